// poai: arch compute_61
// poai: sass IDP
//
// The noised product with its transcripts by the four-way dot product, for GPUs
// without int8 tensor cores, from compute capability 6.1 on.
#include "place.cuh"
#include "store.cuh"
#include "thin.cuh"
#include "ticket.cuh"

namespace {

// A block computes 128×128 sums. Each of its eight warps has 32×64 sums, two
// tiles side by side. Each thread has 8×8: eight rows, and four columns of
// either tile. Four 16-byte reads of shared memory then feed 64 dot products.
constexpr int BLOCK = 128;
constexpr int THREADS = 256;
// Columns of a chunk: 256 threads read 16 bytes each, of 128 rows.
constexpr int CHUNK = 32;
constexpr int WORDS = CHUNK / 4;
// Chunks lie in shared memory with columns outermost, in words of four columns.
// The four words of padding put the words that a warp writes (16 rows of two
// columns, four apart) into 32 different banks.
constexpr int PITCH = BLOCK + 4;
constexpr int CHUNK_WORDS = WORDS * PITCH;

// One side's rows of a block, in transit through registers.
struct Rows {
    const int8_t* from;
    uint4 held;

    // Rows beyond the operand's last repeat that row; their results are never
    // stored.
    __device__ __forceinline__ void start(const int8_t* operand, uint64_t first, uint32_t rows,
                                          uint32_t columns, uint32_t skip) {
        uint64_t row = min(first + threadIdx.x / 2, uint64_t(rows - 1));
        from = operand + row * columns + skip + threadIdx.x % 2 * 16;
    }

    __device__ __forceinline__ void load() {
        held = *reinterpret_cast<const uint4*>(from);
        from += CHUNK;
    }

    __device__ __forceinline__ void store(uint32_t* shared) const {
        uint32_t* to = shared + threadIdx.x % 2 * 4 * PITCH + threadIdx.x / 2;
        to[0] = held.x;
        to[PITCH] = held.y;
        to[2 * PITCH] = held.z;
        to[3 * PITCH] = held.w;
    }
};

__device__ __forceinline__ void read4(uint32_t* to, const uint32_t* from) {
    uint4 four = *reinterpret_cast<const uint4*>(from);
    to[0] = four.x;
    to[1] = four.y;
    to[2] = four.z;
    to[3] = four.w;
}

struct Block {
    int32_t sums[8][8];
    Rows rows_a, rows_b;
    uint32_t* shared;
    uint32_t row_in_block, column_in_block;  // of this thread's first sum
    uint32_t chunks, used, change;
    const int8_t *thin_a, *thin_b;
    uint64_t row, column;
    uint32_t m, n, skip;

    // The two halves of shared memory alternate.
    __device__ __forceinline__ uint32_t* half(uint32_t chunk) {
        return shared + chunk % 2 * 2 * CHUNK_WORDS;
    }

    __device__ __forceinline__ void load(uint32_t chunk) {
        if (chunk == change) {
            rows_a.start(thin_a, row, m, THIN_COLUMNS, skip);
            rows_b.start(thin_b, column, n, THIN_COLUMNS, skip);
        }
        rows_a.load();
        rows_b.load();
    }

    __device__ __forceinline__ void store(uint32_t chunk) {
        rows_a.store(half(chunk));
        rows_b.store(half(chunk) + CHUNK_WORDS);
    }

    __device__ __forceinline__ void start(const int8_t* operand_a, const int8_t* operand_b,
                                          uint32_t k) {
        SHARED_DYNAMIC(uint32_t, memory);
        shared = memory;
        uint32_t lane = lane_id(), warp = threadIdx.x / 32;
        row_in_block = warp % 4 * TILE + lane / 8 * 8;
        column_in_block = warp / 4 * 2 * TILE + lane % 8 * 4;
        rows_a.start(operand_a, row, m, k, 0);
        rows_b.start(operand_b, column, n, k, 0);
#pragma unroll
        for (int i = 0; i < 8; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                sums[i][j] = 0;
            }
        }
        used = 0;
        load(0);
        store(0);
        __syncthreads();
    }

    __device__ __forceinline__ void chunk() {
        bool more = used + 1 < chunks;
        if (more) {
            load(used + 1);
        }
        const uint32_t* from_a = half(used) + row_in_block;
        const uint32_t* from_b = half(used) + CHUNK_WORDS + column_in_block;
        // Unrolled twice, not eight times: with more, the registers do not
        // suffice.
#pragma unroll 2
        for (int word = 0; word < WORDS; word++) {
            uint32_t a[8], b[8];
            read4(a, from_a + word * PITCH);
            read4(a + 4, from_a + word * PITCH + 4);
            read4(b, from_b + word * PITCH);
            read4(b + 4, from_b + word * PITCH + TILE);
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    sums[i][j] = __dp4a(int(a[i]), int(b[j]), sums[i][j]);
                }
            }
        }
        used++;
        // All threads read the other half before the last barrier.
        if (more) {
            store(used);
        }
        __syncthreads();
    }

    __device__ __forceinline__ void scale(uint32_t factor) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                sums[i][j] = int32_t(uint32_t(sums[i][j]) * factor);
            }
        }
    }

    __device__ __forceinline__ void fold(uint32_t step, uint32_t (&words)[2]) {
#pragma unroll
        for (int tile = 0; tile < 2; tile++) {
            uint32_t x = 0;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                x = xor3(x, sums[i][4 * tile], sums[i][4 * tile + 1]);
                x = xor3(x, sums[i][4 * tile + 2], sums[i][4 * tile + 3]);
            }
            transcript_fold(words[tile], step, warp_xor(x));
        }
    }

    __device__ __forceinline__ void store_product(int32_t* c) {
        uint64_t first_row = row + row_in_block, first_column = column + column_in_block;
#pragma unroll
        for (int tile = 0; tile < 2; tile++) {
            uint64_t at = first_column + tile * TILE;
            // m and n are multiples of the tile, so a thread's part of a tile
            // is entirely inside or outside.
            if (first_row < m && at < n) {
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    const int32_t* four = sums[i] + 4 * tile;
                    store_sums(c + (first_row + i) * n + at,
                               make_int4(four[0], four[1], four[2], four[3]));
                }
            }
        }
    }
};

template <bool TICKETS, bool EXACT>
__device__ __forceinline__ void product(const int8_t* a, const int8_t* bt, uint32_t m, uint32_t n,
                                        uint32_t k, const Output& output, const Thin& thin) {
    Block block;
    Place place = place_of(blockIdx.x, (m + BLOCK - 1) / BLOCK, (n + BLOCK - 1) / BLOCK, 8);
    block.row = uint64_t(place.row) * BLOCK;
    block.column = uint64_t(place.column) * BLOCK;
    block.m = m;
    block.n = n;
    block.chunks = block.change = k / CHUNK;
    uint32_t digits = 0;
    if constexpr (EXACT) {
        digits = thin_digits(thin.wide);
        block.chunks += digits * (DIGIT_COLUMNS / CHUNK);
        block.skip = (DIGITS - digits) * DIGIT_COLUMNS;
        block.thin_a = thin.a;
        block.thin_b = thin.b;
    }
    block.start(a, bt, k);

    uint32_t words[2] = {};
    uint32_t steps = k / RANK;
    for (uint32_t step = 0; step < steps; step++) {
        for (int i = 0; i < RANK / CHUNK; i++) {
            block.chunk();
        }
        if constexpr (TICKETS) {
            block.fold(step, words);
        }
    }
    if constexpr (EXACT) {
        for (uint32_t digit = 1; digit < digits; digit++) {
            block.scale(DIGIT_BASE_INVERSE);
        }
        for (uint32_t digit = 0; digit < digits; digit++) {
            if (digit > 0) {
                block.scale(DIGIT_BASE);
            }
            for (int i = 0; i < DIGIT_COLUMNS / CHUNK; i++) {
                block.chunk();
            }
        }
    }

    if (output.c != nullptr) {
        block.store_product(output.c);
    }
    if constexpr (TICKETS) {
        uint32_t transcript[16];
        transcript_gather(words, transcript);
        uint32_t warp = threadIdx.x / 32, lane = lane_id();
        uint32_t row = uint32_t(block.row / TILE) + warp % 4;
        uint32_t column = uint32_t(block.column / TILE) + warp / 4 * 2 + lane;
        if (lane < 2 && row < m / TILE && column < n / TILE) {
            ticket_draw(output, transcript, row, column, n / TILE);
        }
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    product_dp4a_plain(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                       uint32_t k) {
    product<false, false>(a, bt, m, n, k, {c}, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    product_dp4a_ticket(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                        uint32_t k, const Draw* draw, Winners* winners, uint32_t* tickets,
                        uint32_t first_row) {
    product<true, false>(a, bt, m, n, k, {c, draw, winners, tickets, first_row}, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    product_dp4a_exact(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                       uint32_t k, const Draw* draw, Winners* winners, uint32_t* tickets,
                       uint32_t first_row, const int8_t* thin_a, const int8_t* thin_b,
                       const uint32_t* wide) {
    product<true, true>(a, bt, m, n, k, {c, draw, winners, tickets, first_row},
                        {thin_a, thin_b, wide});
}
