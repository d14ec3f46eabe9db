// Hopper's instructions on the host: the functions of
// `poai-cuda/kernels/hopper.cuh`.
//
// Here a block of the launch is a whole cluster, because blocks run one after
// the other. Its threads are those of block 0, then those of block 1, and its
// shared memory is halved between them. Addresses of shared memory are offsets
// into a block's half, as on the device.
//
// Matrix instructions run when a thread waits for them, and until then the sums
// hold rubbish. This finds sums that are read early, and stages that are
// released early. Copies run at once. They write only where their barrier says
// the memory is free; otherwise the order of threads shows it.
#pragma once

#include "simt.hpp"

#define __cluster_dims__(...)
#define __grid_constant__

namespace hopper {

const uint32_t BLOCKS = 2;

// A tensor map on the host. Without a start, the entries follow it.
struct Map {
    uint64_t columns, rows;
    const int8_t* start;
    const int8_t* entries() const {
        return start ? start : reinterpret_cast<const int8_t*>(this + 1);
    }
};

// Fits into the 8 bytes of a barrier.
struct Barrier {
    uint8_t count, pending, phase, valid;
    int32_t bytes;
};

struct Product {
    int32_t* sums;
    uint64_t a, b;
    bool add;
};

struct Named {
    uint32_t arrived, threads;
};

static std::vector<std::vector<std::vector<Product>>> groups;  // of each thread; the last group is open
static Named named[BLOCKS][16];
// Not the numbers of the shim's own barriers, which are below 16.
const uint32_t NAMED_ID = 16, MBARRIER_ID = 64;

SIMT_UNCHECKED static uint32_t threads() { return blockDim.x / BLOCKS; }
SIMT_UNCHECKED static uint32_t rank() { return threadIdx.x / threads(); }
SIMT_UNCHECKED static char* memory(uint32_t block) {
    return simt::machine.dynamic + block * (simt::machine.dynamic_bytes / BLOCKS);
}

SIMT_UNCHECKED static char* at(uint32_t block, uint32_t address, uint32_t bytes) {
    if (uint64_t(address) + bytes > simt::machine.dynamic_bytes / BLOCKS) {
        simt::fail("shared address %u is beyond the block's memory", address);
    }
    return memory(block) + address;
}

static void wake(uint32_t id) {
    for (simt::Fiber& fiber : simt::machine.fibers) {
        if (fiber.state == simt::State::Named && fiber.named_id == id) {
            simt::set_ready(fiber);
        }
    }
}

static void sleep(uint32_t id, const char* what, int line) {
    simt::wait_as(simt::State::Named, what, line);
    simt::machine.current->named_id = id;
    simt::suspend();
}

static bool arrive(uint32_t id, uint32_t threads) {
    Named& barrier = named[rank()][id];
    if (barrier.arrived > 0 && barrier.threads != threads) {
        simt::fail("barrier %u of %u and of %u threads", id, threads, barrier.threads);
    }
    barrier.threads = threads;
    barrier.arrived++;
    if (barrier.arrived < threads) {
        return false;
    }
    barrier.arrived = 0;
    wake(NAMED_ID + rank() * 16 + id);
    return true;
}

static Barrier& barrier_at(uint32_t block, uint32_t address) {
    auto& barrier = *reinterpret_cast<Barrier*>(at(block, address, 8));
    if (address % 8 != 0 || barrier.valid != 0x5b) {
        simt::fail("no mbarrier at shared address %u", address);
    }
    return barrier;
}

static uint32_t barrier_id(uint32_t block, uint32_t address) {
    return MBARRIER_ID + 2 * address + block;
}

// Call it after arrivals or bytes: it ends the phase when it is complete.
static void settle(uint32_t block, uint32_t address) {
    Barrier& barrier = barrier_at(block, address);
    if (barrier.pending == 0 && barrier.bytes == 0) {
        barrier.pending = barrier.count;
        barrier.phase ^= 1;
        wake(barrier_id(block, address));
    }
}

static void arrive_at(uint32_t block, uint32_t address, int32_t bytes) {
    Barrier& barrier = barrier_at(block, address);
    if (barrier.pending == 0) {
        simt::fail("more arrivals than the mbarrier at %u has in a phase", address);
    }
    barrier.pending--;
    barrier.bytes += bytes;
    settle(block, address);
}

// The 128-byte swizzle of an address: it exchanges 16-byte columns by the
// number of their 128-byte line.
SIMT_UNCHECKED static uint32_t swizzle(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

static void copy(uint32_t blocks, uint32_t to, const Map& map, uint32_t column, uint32_t row,
                 uint32_t barrier) {
    if (to % 1024 != 0) {
        simt::fail("a swizzled copy to shared address %u", to);
    }
    if (column % 16 != 0) {
        simt::fail("expected a column that is a multiple of 16, got %u", column);
    }
    for (uint32_t block = 0; block < BLOCKS; block++) {
        if (!(blocks >> block & 1)) {
            continue;
        }
        // 16 bytes at once: the swizzle does not part them.
        for (uint32_t i = 0; i < 128 * 128; i += 16) {
            uint64_t r = row + i / 128, c = column + i % 128;
            char* place = at(block, swizzle(to + i), 16);
            memset(place, 0, 16);
            if (r < map.rows && c < map.columns) {
                const int8_t* from = map.entries() + r * map.columns + c;
                memcpy(place, from, std::min<uint64_t>(16, map.columns - c));
            }
        }
        // The bytes may arrive before the thread that waits for them says how
        // many.
        barrier_at(block, barrier).bytes -= 128 * 128;
        settle(block, barrier);
    }
    simt::point();
}

// The 32 bytes of row `r` of the matrix of a descriptor.
SIMT_UNCHECKED static void described(int16_t (&to)[32], uint64_t descriptor, uint32_t r) {
    uint32_t start = uint32_t(descriptor & 0x3fff) << 4;
    uint32_t groups_apart = uint32_t(descriptor >> 32 & 0x3fff) << 4;
    uint32_t row = start + r / 8 * groups_apart + r % 8 * 128;
    int8_t bytes[32];
    // Rows start at multiples of 16 bytes, which the swizzle does not part.
    memcpy(bytes, at(rank(), swizzle(row), 16), 16);
    memcpy(bytes + 16, at(rank(), swizzle(row + 16), 16), 16);
    for (uint32_t c = 0; c < 32; c++) {
        to[c] = bytes[c];
    }
}

SIMT_UNCHECKED static void perform(const Product& product) {
    if (product.a >> 62 != 1 || product.b >> 62 != 1) {
        simt::fail("expected a descriptor of the 128-byte swizzle, got another layout");
    }
    uint32_t warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    int16_t a[2][32], b[32];
    described(a[0], product.a, 16 * warp + lane / 4);
    described(a[1], product.a, 16 * warp + 8 + lane / 4);
    for (uint32_t j = 0; j < 64; j++) {
        described(b, product.b, j / 2 * 8 + lane % 4 * 2 + j % 2);
        for (uint32_t half = 0; half < 2; half++) {
            int32_t sum = 0;
            for (uint32_t c = 0; c < 32; c++) {
                sum += a[half][c] * b[c];
            }
            int32_t& to = product.sums[j / 2 * 4 + half * 2 + j % 2];
            to = int32_t(uint32_t(product.add ? to : 0) + uint32_t(sum));
        }
    }
}

static std::vector<std::vector<Product>>& own_groups() {
    groups.resize(blockDim.x);
    auto& own = groups[threadIdx.x];
    if (own.empty()) {
        own.emplace_back();
    }
    return own;
}

// Turns the sums that products in progress will change to rubbish, and back.
SIMT_UNCHECKED static void spoil(const std::vector<std::vector<Product>>& groups) {
    for (const auto& group : groups) {
        if (!group.empty()) {
            for (int i = 0; i < 128; i++) {
                group.front().sums[i] ^= 0x5a3c96f1;
            }
            return;
        }
    }
}

}  // namespace hopper

typedef const hopper::Map* TensorMap;

namespace simt {
template <class T>
struct Kind;
// Passed by value on a GPU: the launch says that the argument is a map.
template <>
struct Kind<TensorMap> {
    static const char of = 'm';
    static TensorMap from(uint64_t value) { return reinterpret_cast<TensorMap>(value); }
};
}  // namespace simt

static inline void tensor_map_prefetch(const TensorMap&) {}

static inline uint32_t shared_address(const void* shared) {
    return uint32_t(static_cast<const char*>(shared) - hopper::memory(hopper::rank()));
}

static inline void mbarrier_init(uint32_t barrier, uint32_t arrivals) {
    *reinterpret_cast<hopper::Barrier*>(hopper::at(hopper::rank(), barrier, 8)) = {
        uint8_t(arrivals), uint8_t(arrivals), 0, 0x5b, 0};
}
static inline void mbarrier_init_fence() {
    // No thread is past the barrier of the cluster that follows. This resets
    // the state, even after a failed launch.
    memset(hopper::named, 0, sizeof hopper::named);
    hopper::groups.clear();
}
static inline void mbarrier_expect(uint32_t barrier, uint32_t bytes) {
    hopper::arrive_at(hopper::rank(), barrier, bytes);
    simt::point();
}
static inline void mbarrier_arrive_at(uint32_t barrier, uint32_t rank) {
    hopper::arrive_at(rank, barrier, 0);
    simt::point();
}
static inline void mbarrier_wait(uint32_t barrier, uint32_t parity, int line = __builtin_LINE()) {
    simt::point();
    while (hopper::barrier_at(hopper::rank(), barrier).phase == parity) {
        hopper::sleep(hopper::barrier_id(hopper::rank(), barrier), "mbarrier_wait", line);
    }
}

static inline uint32_t thread_of_block() { return threadIdx.x % hopper::threads(); }
static inline uint8_t* memory_of_block() {
    return reinterpret_cast<uint8_t*>(hopper::memory(hopper::rank()));
}
static inline void block_barrier_sync(uint32_t id, uint32_t threads, int line = __builtin_LINE()) {
    uint32_t key = hopper::NAMED_ID + hopper::rank() * 16 + id;
    if (!hopper::arrive(id, threads)) {
        hopper::sleep(key, "block_barrier_sync", line);
    }
}
static inline void block_barrier_arrive(uint32_t id, uint32_t threads) {
    hopper::arrive(id, threads);
    simt::point();
}

template <int blocks>
static inline uint32_t cluster_index() {
    static_assert(blocks == hopper::BLOCKS, "the blocks of a cluster here");
    return blockIdx.x;
}
template <int blocks>
static inline uint32_t cluster_count() {
    return gridDim.x;
}
static inline uint32_t cluster_rank() { return hopper::rank(); }
static inline void cluster_sync() { __syncthreads(); }

static inline void tensor_copy(uint32_t shared, const TensorMap& map, uint32_t column,
                               uint32_t row, uint32_t barrier) {
    hopper::copy(1u << hopper::rank(), shared, *map, column, row, barrier);
}
static inline void tensor_copy_to(uint16_t blocks, uint32_t shared, const TensorMap& map,
                                  uint32_t column, uint32_t row, uint32_t barrier) {
    hopper::copy(blocks, shared, *map, column, row, barrier);
}

static inline uint64_t wgmma_rows(uint32_t shared) {
    return uint64_t(shared >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 |
           uint64_t(1) << 62;
}
static inline void wgmma_fence() {}
static inline void wgmma_hold(int32_t (&)[128]) {}
static inline void wgmma_commit() { hopper::own_groups().emplace_back(); }

template <int pending>
static inline void wgmma_wait() {
    auto& groups = hopper::own_groups();
    simt::point();
    hopper::spoil(groups);
    while (groups.size() > pending + 1) {
        for (const hopper::Product& product : groups.front()) {
            hopper::perform(product);
        }
        groups.erase(groups.begin());
    }
    hopper::spoil(groups);
    // For a warp: no lane goes on before all have read their operands.
    __syncwarp();
}

static inline void wgmma_m64n256k32(int32_t (&d)[128], uint64_t a, uint64_t b, uint32_t add) {
    auto& groups = hopper::own_groups();
    hopper::spoil(groups);
    groups.back().push_back({d, a, b, add != 0});
    hopper::spoil(groups);
    simt::point();
}

template <int registers>
static inline void registers_more() {}
template <int registers>
static inline void registers_fewer() {}
