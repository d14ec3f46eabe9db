// poai: arch compute_90a
// poai: sass IGMMA
//
// The noised product with its transcripts by wgmma, for Hopper. product.md
// beside this file has the launch shapes and the costs.
//
// A persistent grid of clusters of two blocks. A cluster computes 256×256 sums,
// and each of its blocks 128×256. Both blocks need the same rows of B'ᵀ, so
// each copies half of them to both. A block has three warpgroups:
//
// - the first copies (one thread) and draws tickets (its second warp);
// - the other two multiply, 64×256 sums each, 128 registers of a thread. They
//   alternate: one issues its four matrix instructions of a step, then the
//   other. While the other's run, the first one's are done, and it folds them.
//   The matrix units always have a step in their queue, although a warpgroup
//   waits for its sums at every step.
#include "hopper.cuh"
#include "place.cuh"
#include "store.cuh"
#include "thin.cuh"
#include "ticket.cuh"

namespace {

constexpr int CLUSTER = 2;
constexpr int BM = 128, BN = 256;
constexpr int WM = 64;  // rows of a warpgroup
// One stage is one step: 128 columns are the 128 bytes of a swizzled row. A
// block on the host has less memory.
#ifdef POAI_HOST
constexpr int STAGES = 2;
#else
constexpr int STAGES = 4;
#endif
constexpr uint32_t BOX_BYTES = 128 * RANK;
constexpr uint32_t A_BYTES = BM * RANK, B_BYTES = BN * RANK;
constexpr uint32_t STAGE_BYTES = A_BYTES + B_BYTES;
constexpr int COLUMN_TILES = BN / TILE;
constexpr int MULTIPLIERS = 256, THREADS = 128 + MULTIPLIERS;
// Shared memory: the stages, the parts of transcripts, the barriers.
constexpr uint32_t PARTS_AT = STAGES * STAGE_BYTES;
constexpr uint32_t PARTS = MULTIPLIERS / 32 * COLUMN_TILES * 16;
constexpr uint32_t BARRIERS_AT = PARTS_AT + PARTS * 4;

// Named barriers: the turns (two), parts written, parts read.
constexpr uint32_t TURN = 1, WRITTEN = 3, READ = 4;

struct Work {
    uint32_t m, n, k, digits;

    __device__ __forceinline__ uint32_t rows() const {
        return (m + CLUSTER * BM - 1) / (CLUSTER * BM);
    }
    __device__ __forceinline__ uint32_t columns() const { return (n + BN - 1) / BN; }
    __device__ __forceinline__ uint32_t blocks() const { return rows() * columns(); }
    __device__ __forceinline__ uint32_t steps() const { return k / RANK; }
    __device__ __forceinline__ uint32_t all_steps() const {
        return steps() + digits * (DIGIT_COLUMNS / RANK);
    }
    // Eight by eight clusters run at a time: 2048 rows of either side.
    __device__ __forceinline__ Place place(uint32_t index) const {
        Place place = place_of(index, rows(), columns(), 8);
        return {place.row * CLUSTER * BM + cluster_rank() * BM, place.column * BN};
    }
};

struct Maps {
    const TensorMap &a, &b, &thin_a, &thin_b;
};

// A place in the ring of stages.
struct Ring {
    uint32_t shared;
    uint32_t stage = 0, phase = 0;

    __device__ __forceinline__ void next() {
        stage++;
        if (stage == STAGES) {
            stage = 0;
            phase ^= 1;
        }
    }
    __device__ __forceinline__ uint32_t a() const { return shared + stage * STAGE_BYTES; }
    __device__ __forceinline__ uint32_t b() const { return a() + A_BYTES; }
    __device__ __forceinline__ uint32_t full() const {
        return shared + BARRIERS_AT + stage * 8;
    }
    __device__ __forceinline__ uint32_t empty() const { return full() + STAGES * 8; }
};

// One thread: keeps the ring full, across the end of a block into the next.
__device__ __forceinline__ void copy_all(const Work& work, const Maps& maps, Ring ring) {
    uint32_t rank = cluster_rank();
    for (uint32_t index = cluster_index<CLUSTER>(); index < work.blocks();
         index += cluster_count<CLUSTER>()) {
        Place place = work.place(index);
        for (uint32_t step = 0; step < work.all_steps(); step++) {
            bool thin = step >= work.steps();
            const TensorMap& a = thin ? maps.thin_a : maps.a;
            const TensorMap& b = thin ? maps.thin_b : maps.b;
            uint32_t column = thin ? (DIGITS - work.digits) * DIGIT_COLUMNS +
                                         (step - work.steps()) * RANK
                                   : step * RANK;
            // Both blocks have used the data of this stage, so this block's
            // copy goes to both.
            mbarrier_wait(ring.empty(), ring.phase ^ 1);
            mbarrier_expect(ring.full(), STAGE_BYTES);
            // Rows beyond the operand's last arrive as zeros.
            tensor_copy(ring.a(), a, column, place.row, ring.full());
            tensor_copy_to((1 << CLUSTER) - 1, ring.b() + rank * BOX_BYTES, b, column,
                           place.column + rank * 128, ring.full());
            ring.next();
        }
    }
}

// One warp, with a lane for each tile of a block.
__device__ __forceinline__ void draw_all(const Work& work, const Output& output,
                                         const uint32_t* parts) {
    uint32_t tile_row = lane_id() / COLUMN_TILES, tile_column = lane_id() % COLUMN_TILES;
    static_assert(BM / TILE * COLUMN_TILES == 32, "a lane for each tile");
    block_barrier_arrive(READ, MULTIPLIERS + 32);
    for (uint32_t index = cluster_index<CLUSTER>(); index < work.blocks();
         index += cluster_count<CLUSTER>()) {
        block_barrier_sync(WRITTEN, MULTIPLIERS + 32);
        uint32_t transcript[16];
#pragma unroll
        for (int i = 0; i < 16; i++) {
            // Two warps have 16 rows of a tile each.
            uint32_t at = (tile_row * 2 * COLUMN_TILES + tile_column) * 16 + i;
            transcript[i] = parts[at] ^ parts[at + COLUMN_TILES * 16];
        }
        block_barrier_arrive(READ, MULTIPLIERS + 32);
        Place place = work.place(index);
        uint32_t row = place.row / TILE + tile_row, column = place.column / TILE + tile_column;
        if (row < work.m / TILE && column < work.n / TILE) {
            ticket_draw(output, transcript, row, column, work.n / TILE);
        }
        __syncwarp();
    }
}

struct Multiplier {
    int32_t sums[128];
    Ring ring;
    uint32_t group;  // 0 or 1
    uint32_t released;

    // For this warp the stage is free, for both blocks' copies.
    __device__ __forceinline__ void release(uint32_t empty) {
        if (lane_id() < CLUSTER) {
            mbarrier_arrive_at(empty, lane_id());
        }
    }

    // Issues the four instructions of a step.
    __device__ __forceinline__ void issue(bool add) {
        uint64_t a = wgmma_rows(ring.a() + group * WM * RANK), b = wgmma_rows(ring.b());
        wgmma_hold(sums);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < RANK / 32; i++) {
            wgmma_m64n256k32(sums, a + 2 * i, b + 2 * i, add || i > 0);
        }
        wgmma_commit();
    }

    // A step whose sums are complete when it returns.
    __device__ __forceinline__ void step_in_turn(bool add) {
        mbarrier_wait(ring.full(), ring.phase);
        block_barrier_sync(TURN + group, MULTIPLIERS);
        issue(add);
        block_barrier_arrive(TURN + 1 - group, MULTIPLIERS);
        wgmma_wait<0>();
        wgmma_hold(sums);
        release(ring.empty());
        ring.next();
    }

    // A step whose sums need not be complete before the next: two are in
    // progress.
    __device__ __forceinline__ void step_ahead(bool add) {
        mbarrier_wait(ring.full(), ring.phase);
        issue(add);
        wgmma_wait<1>();
        if (add) {
            release(released);
        }
        released = ring.empty();
        ring.next();
    }

    __device__ __forceinline__ void finish_ahead() {
        wgmma_wait<0>();
        wgmma_hold(sums);
        release(released);
    }

    __device__ __forceinline__ void scale(uint32_t factor) {
#pragma unroll
        for (int i = 0; i < 128; i++) {
            sums[i] = int32_t(uint32_t(sums[i]) * factor);
        }
    }

    __device__ __forceinline__ void fold(uint32_t step, uint32_t (&words)[COLUMN_TILES]) {
#pragma unroll
        for (int tile = 0; tile < COLUMN_TILES; tile++) {
            uint32_t x = 0;
#pragma unroll
            for (int i = 16 * tile; i < 16 * tile + 16; i += 2) {
                x = xor3(x, sums[i], sums[i + 1]);
            }
            transcript_fold(words[tile], step, warp_xor(x));
        }
    }

    __device__ __forceinline__ void store(int32_t* c, const Place& place, const Work& work) {
        uint32_t lane = lane_id(), warp = thread_of_block() / 32 % 4;
        uint32_t first = place.row + group * WM + warp * 16;
        // m and n are multiples of the tile, so fragments are inside or outside for all lanes.
        if (first >= work.m) {
            return;
        }
        int32_t* to = c + uint64_t(first + lane / 4) * work.n + place.column + fragment_column();
        int32_t* below = to + uint64_t(work.n) * 8;
#pragma unroll
        for (int j = 0; j < BN / 8; j += 2) {
            if (place.column + 8 * j < work.n) {
                store_sums(to + 8 * j, fragments_join(sums + 4 * j, sums + 4 * j + 4));
                store_sums(below + 8 * j, fragments_join(sums + 4 * j + 2, sums + 4 * j + 6));
            }
        }
    }
};

template <bool TICKETS, bool EXACT>
__device__ __forceinline__ void multiply_all(const Work& work, const Output& output, Ring ring,
                                             uint32_t* parts) {
    Multiplier self;
    self.ring = ring;
    self.group = thread_of_block() / 128 - 1;
    if (TICKETS && self.group == 1) {
        block_barrier_arrive(TURN, MULTIPLIERS);
    }
    for (uint32_t index = cluster_index<CLUSTER>(); index < work.blocks();
         index += cluster_count<CLUSTER>()) {
        if constexpr (TICKETS) {
            uint32_t words[COLUMN_TILES] = {};
            for (uint32_t step = 0; step < work.steps(); step++) {
                self.step_in_turn(step > 0);
                self.fold(step, words);
            }
            block_barrier_sync(READ, MULTIPLIERS + 32);
            if (lane_id() < 16) {
#pragma unroll
                for (int tile = 0; tile < COLUMN_TILES; tile++) {
                    parts[((thread_of_block() / 32 - 4) * COLUMN_TILES + tile) * 16 + lane_id()] =
                        words[tile];
                }
            }
            __syncwarp();
            block_barrier_arrive(WRITTEN, MULTIPLIERS + 32);
        } else {
            for (uint32_t step = 0; step < work.steps(); step++) {
                self.step_ahead(step > 0);
            }
            self.finish_ahead();
        }
        if constexpr (EXACT) {
            uint32_t inverse = DIGIT_BASE_INVERSE;
            self.scale(work.digits == 3 ? inverse * inverse : inverse);
            for (uint32_t digit = 0; digit < work.digits; digit++) {
                if (digit > 0) {
                    self.scale(DIGIT_BASE);
                }
                for (int i = 0; i < DIGIT_COLUMNS / RANK; i++) {
                    self.step_in_turn(true);
                }
            }
        }
        if (output.c != nullptr) {
            self.store(output.c, work.place(index), work);
        }
    }
    // Leaves every barrier in its initial state.
    if constexpr (TICKETS) {
        if (self.group == 0) {
            block_barrier_sync(TURN, MULTIPLIERS);
        }
        block_barrier_sync(READ, MULTIPLIERS + 32);
    }
}

template <bool TICKETS, bool EXACT>
__device__ __forceinline__ void product(const Maps& maps, uint32_t m, uint32_t n, uint32_t k,
                                        const Output& output, const uint32_t* wide) {
    uint8_t* shared = memory_of_block();
    Work work = {m, n, k, EXACT ? thin_digits(wide) : 0};
    Ring ring = {shared_address(shared)};
    uint32_t* parts = reinterpret_cast<uint32_t*>(shared + PARTS_AT);
    if (thread_of_block() == 0) {
        tensor_map_prefetch(maps.a);
        tensor_map_prefetch(maps.b);
        for (Ring at = ring; at.phase == 0; at.next()) {
            mbarrier_init(at.full(), 1);
            // A warp of each multiplying warpgroup of both blocks.
            mbarrier_init(at.empty(), CLUSTER * MULTIPLIERS / 32);
        }
        mbarrier_init_fence();
    }
    cluster_sync();
    if (thread_of_block() < 128) {
        registers_fewer<72>();
        if (thread_of_block() == 0) {
            copy_all(work, maps, ring);
        } else if (TICKETS && thread_of_block() / 32 == 1) {
            draw_all(work, output, parts);
        }
    } else {
        registers_more<216>();
        multiply_all<TICKETS, EXACT>(work, output, ring, parts);
    }
    // A block's barriers and memory must exist until the other block has used
    // them.
    cluster_sync();
}

}  // namespace

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    product_wgmma_plain(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                        int32_t* c, uint32_t m, uint32_t n, uint32_t k) {
    product<false, false>({a, b, a, b}, m, n, k, {c}, nullptr);
}

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    product_wgmma_ticket(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                         int32_t* c, uint32_t m, uint32_t n, uint32_t k, const Draw* draw,
                         Winners* winners, uint32_t* tickets, uint32_t first_row) {
    product<true, false>({a, b, a, b}, m, n, k, {c, draw, winners, tickets, first_row}, nullptr);
}

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(THREADS, 1)
    product_wgmma_exact(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                        int32_t* c, uint32_t m, uint32_t n, uint32_t k, const Draw* draw,
                        Winners* winners, uint32_t* tickets, uint32_t first_row,
                        const __grid_constant__ TensorMap thin_a,
                        const __grid_constant__ TensorMap thin_b, const uint32_t* wide) {
    product<true, true>({a, b, thin_a, thin_b}, m, n, k, {c, draw, winners, tickets, first_row},
                        wide);
}
