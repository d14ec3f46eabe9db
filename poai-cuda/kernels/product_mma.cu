// poai: arch compute_80
// poai: sass IMMA
//
// The noised product with its transcripts by mma.sync m16n8k32, from Ampere on.
// product.md beside this file has the launch shapes and the costs.
#include "place.cuh"
#include "store.cuh"
#include "thin.cuh"
#include "ticket.cuh"

namespace {

// A thread block computes BM×BN sums, and a warp WM×WN of them. These are whole
// tiles, so that no step's fold leaves the warp. 64×64 sums a warp take 128
// registers a thread. Fewer sums would read more shared memory for each product
// (a warp reads WM + WN bytes of every column for WM·WN products).
template <int BM_, int BN_, int WM_, int WN_, int STAGES_>
struct Shape {
    static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_;
    // Copies run STAGES - 1 chunks of columns ahead.
    static constexpr int STAGES = STAGES_;
    // Columns of a chunk. Half a step, so that the ring has enough stages to
    // hide the memory's latency in the 99 KiB that all GPUs have.
    static constexpr int CHUNK = 64;
    static constexpr int THREADS = BM / WM * (BN / WN) * 32;
    static constexpr int STAGE_BYTES = (BM + BN) * CHUNK;
    // Fragments: 16 rows of A', 8 rows of B'ᵀ.
    static constexpr int FM = WM / 16, FN = WN / 8;
    static constexpr int TM = WM / TILE, TN = WN / TILE;
    static_assert(WM % TILE == 0 && WN % TILE == 0, "warps own whole tiles");
    static_assert(RANK % CHUNK == 0 && DIGIT_COLUMNS % CHUNK == 0, "chunks fill steps");
};

// The place of the 16-byte column `c` of row `row` of a chunk. Rows are 64
// bytes, two to a line of all 32 banks. ldmatrix reads the same column of eight
// consecutive rows at once: the XOR puts these into eight different places.
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t c) {
    return row * 64 + (c ^ (row / 2 % 4)) * 16;
}

// One side's rows of a block, in transit to shared memory.
template <int ROWS, int THREADS, int CHUNK>
struct Copies {
    static constexpr int COUNT = ROWS * CHUNK / 16 / THREADS;
    static_assert(COUNT * THREADS * 16 == ROWS * CHUNK, "every thread copies the same");
    const int8_t* from;
    uint32_t offset[COUNT];  // a block's rows have less than 2^32 bytes
    // This thread's place in a stage. Its other places are whole groups of rows
    // further, where the swizzle is the same.
    uint32_t to;
    static_assert(THREADS * 16 / CHUNK % 8 == 0, "the swizzle repeats after 8 rows");

    // Rows beyond the operand's last repeat that row; their results are never
    // stored, and no copy needs a condition.
    __device__ __forceinline__ void start(const int8_t* operand, uint64_t first, uint32_t rows,
                                          uint32_t columns, uint32_t skip) {
        from = operand + first * columns + skip;
        uint32_t last = rows - 1 - uint32_t(first);
        to = swizzled(threadIdx.x / (CHUNK / 16), threadIdx.x % (CHUNK / 16));
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            uint32_t row = (threadIdx.x + i * THREADS) / (CHUNK / 16);
            offset[i] = min(row, last) * columns + threadIdx.x % (CHUNK / 16) * 16;
            keep(offset[i]);
        }
    }

    __device__ __forceinline__ void chunk(int8_t* shared) {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            cp_async16(shared + to + i * THREADS * 16, from + offset[i]);
        }
        from += CHUNK;
    }
};

template <class S>
struct Block {
    int32_t sums[S::FM][S::FN][4];
    // Two sets: one is loaded while the other is multiplied.
    uint32_t a[2][S::FM][4];
    uint32_t b[2][S::FN][2];

    Copies<S::BM, S::THREADS, S::CHUNK> copies_a;
    Copies<S::BN, S::THREADS, S::CHUNK> copies_b;
    int8_t* ring;
    // The byte in a stage of this lane's row of the first fragment.
    uint32_t at_a, at_b;
    uint32_t chunks, copied, used;
    // The chunk at which the copies change from the operands to the thin ones.
    uint32_t change;
    const int8_t *thin_a, *thin_b;
    uint64_t row, column;
    uint32_t m, n, skip;

    __device__ __forceinline__ int8_t* stage(uint32_t chunk) {
        return ring + chunk % S::STAGES * S::STAGE_BYTES;
    }

    // Starts the copies of the next chunk. The group is closed even if there is
    // no chunk, so that the number of newest groups is always the same.
    __device__ __forceinline__ void copy() {
        if (copied < chunks) {
            if (copied == change) {
                copies_a.start(thin_a, row, m, THIN_COLUMNS, skip);
                copies_b.start(thin_b, column, n, THIN_COLUMNS, skip);
            }
            int8_t* to = stage(copied);
            copies_a.chunk(to);
            copies_b.chunk(to + S::BM * S::CHUNK);
            copied++;
        }
        cp_async_commit();
    }

    // 32 columns: half a chunk.
    __device__ __forceinline__ void load(int set, const int8_t* from, int half) {
        // In bytes the halves differ only in bit 5, before and after the XOR.
        const int8_t* rows_a = from + (at_a ^ uint32_t(32 * half));
        const int8_t* rows_b = from + S::BM * S::CHUNK + (at_b ^ uint32_t(32 * half));
#pragma unroll
        for (int i = 0; i < S::FM; i++) {
            ldmatrix_x4(a[set][i], rows_a + i * 16 * S::CHUNK);
        }
#pragma unroll
        for (int j = 0; j < S::FN; j += 2) {
            uint32_t pair[4];
            ldmatrix_x4(pair, rows_b + j * 8 * S::CHUNK);
            b[set][j][0] = pair[0];
            b[set][j][1] = pair[1];
            b[set][j + 1][0] = pair[2];
            b[set][j + 1][1] = pair[3];
        }
    }

    __device__ __forceinline__ void multiply(int set) {
#pragma unroll
        for (int i = 0; i < S::FM; i++) {
#pragma unroll
            for (int j = 0; j < S::FN; j++) {
                mma_m16n8k32_s8(sums[i][j], a[set][i], b[set][j]);
            }
        }
    }

    __device__ __forceinline__ void start(const int8_t* operand_a, const int8_t* operand_b,
                                          uint32_t k) {
        SHARED_DYNAMIC(int8_t, shared);
        ring = shared;
        uint32_t lane = lane_id(), warp = threadIdx.x / 32;
        uint32_t warp_row = warp % (S::BM / S::WM) * S::WM;
        uint32_t warp_column = warp / (S::BM / S::WM) * S::WN;
        // ldmatrix takes four matrices of 8 rows by 16 columns. For A' they are
        // the upper and the lower 8 rows, then the same rows of the next 16
        // columns. For B'ᵀ they are both columns of 8 rows, then both of the
        // next 8 rows.
        at_a = swizzled(warp_row + lane % 16, lane / 16);
        at_b = swizzled(warp_column + lane / 16 * 8 + lane % 8, lane / 8 % 2);
        copies_a.start(operand_a, row, m, k, 0);
        copies_b.start(operand_b, column, n, k, 0);
        copied = used = 0;
#pragma unroll
        for (int i = 0; i < S::STAGES - 1; i++) {
            copy();
        }
#pragma unroll
        for (int i = 0; i < S::FM; i++) {
#pragma unroll
            for (int j = 0; j < S::FN; j++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    sums[i][j][e] = 0;
                }
            }
        }
        cp_async_wait<S::STAGES - 2>();
        __syncthreads();
        load(0, stage(0), 0);
    }

    // Multiplies the next chunk; the fragments of its first half are already
    // loaded.
    __device__ __forceinline__ void chunk() {
        load(1, stage(used), 1);
        multiply(0);
        // Overwrites the chunk before this one, which all warps had loaded when
        // they passed the last barrier.
        copy();
        used++;
        cp_async_wait<S::STAGES - 2>();
        __syncthreads();
        if (used < chunks) {
            load(0, stage(used), 0);
        }
        multiply(1);
    }

    __device__ __forceinline__ void scale(uint32_t factor) {
#pragma unroll
        for (int i = 0; i < S::FM; i++) {
#pragma unroll
            for (int j = 0; j < S::FN; j++) {
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    sums[i][j][e] = int32_t(uint32_t(sums[i][j][e]) * factor);
                }
            }
        }
    }

    __device__ __forceinline__ void fold(uint32_t step, uint32_t (&words)[S::TM * S::TN]) {
#pragma unroll
        for (int tile = 0; tile < S::TM * S::TN; tile++) {
            uint32_t x = 0;
#pragma unroll
            for (int i = 0; i < TILE / 16; i++) {
#pragma unroll
                for (int j = 0; j < TILE / 8; j++) {
                    const auto& part =
                        sums[tile / S::TN * (TILE / 16) + i][tile % S::TN * (TILE / 8) + j];
                    x = xor3(x, part[0], part[1]);
                    x = xor3(x, part[2], part[3]);
                }
            }
            transcript_fold(words[tile], step, warp_xor(x));
        }
    }

    __device__ __forceinline__ void store(int32_t* c) {
        uint32_t lane = lane_id(), warp = threadIdx.x / 32;
        uint64_t first_row = row + warp % (S::BM / S::WM) * S::WM;
        uint64_t first_column = column + warp / (S::BM / S::WM) * S::WN;
#pragma unroll
        for (int i = 0; i < S::FM; i++) {
#pragma unroll
            for (int j = 0; j < S::FN; j += 2) {
                // m and n are multiples of the tile, so both fragments are
                // inside or outside, for all lanes.
                if (first_row + i * 16 < m && first_column + j * 8 < n) {
                    int32_t* to = c + (first_row + i * 16 + lane / 4) * n + first_column + j * 8 +
                                  fragment_column();
                    store_sums(to, fragments_join(sums[i][j], sums[i][j + 1]));
                    store_sums(to + uint64_t(n) * 8,
                               fragments_join(sums[i][j] + 2, sums[i][j + 1] + 2));
                }
            }
        }
    }
};

template <class S, bool TICKETS, bool EXACT>
__device__ __forceinline__ void product(const int8_t* a, const int8_t* bt, uint32_t m, uint32_t n,
                                        uint32_t k, const Output& output, const Thin& thin) {
    Block<S> block;
    Place place = place_of(blockIdx.x, (m + S::BM - 1) / S::BM, (n + S::BN - 1) / S::BN, 16);
    block.row = uint64_t(place.row) * S::BM;
    block.column = uint64_t(place.column) * S::BN;
    block.m = m;
    block.n = n;
    block.chunks = block.change = k / S::CHUNK;
    uint32_t digits = 0;
    if constexpr (EXACT) {
        digits = thin_digits(thin.wide);
        block.chunks += digits * (DIGIT_COLUMNS / S::CHUNK);
        block.skip = (DIGITS - digits) * DIGIT_COLUMNS;
        block.thin_a = thin.a;
        block.thin_b = thin.b;
    }
    block.start(a, bt, k);

    uint32_t words[S::TM * S::TN] = {};
    uint32_t steps = k / RANK;
    for (uint32_t step = 0; step < steps; step++) {
#pragma unroll
        for (int i = 0; i < RANK / S::CHUNK; i++) {
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
            for (int i = 0; i < DIGIT_COLUMNS / S::CHUNK; i++) {
                block.chunk();
            }
        }
    }
    cp_async_wait<0>();

    if (output.c != nullptr) {
        block.store(output.c);
    }
    if constexpr (TICKETS) {
        uint32_t transcript[16];
        transcript_gather(words, transcript);
        uint32_t lane = lane_id(), warp = threadIdx.x / 32;
        uint32_t row = uint32_t(block.row / TILE) + warp % (S::BM / S::WM) * S::TM + lane / S::TN;
        uint32_t column =
            uint32_t(block.column / TILE) + warp / (S::BM / S::WM) * S::TN + lane % S::TN;
        if (lane < S::TM * S::TN && row < m / TILE && column < n / TILE) {
            ticket_draw(output, transcript, row, column, n / TILE);
        }
    }
}

// Eight warps, 96 KiB. A scheduler has two warps: one folds while the other's
// matrix instructions run.
using Wide = Shape<128, 256, 64, 64, 4>;
// For products with few columns: four times the blocks.
using Narrow = Shape<64, 128, 32, 64, 4>;

}  // namespace

extern "C" __global__ void __launch_bounds__(Wide::THREADS, 1)
    product_mma_plain(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                      uint32_t k) {
    product<Wide, false, false>(a, bt, m, n, k, {c}, {});
}

extern "C" __global__ void __launch_bounds__(Narrow::THREADS, 2)
    product_mma_narrow(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                       uint32_t k) {
    product<Narrow, false, false>(a, bt, m, n, k, {c}, {});
}

extern "C" __global__ void __launch_bounds__(Wide::THREADS, 1)
    product_mma_ticket(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                       uint32_t k, const Draw* draw, Winners* winners, uint32_t* tickets,
                       uint32_t first_row) {
    product<Wide, true, false>(a, bt, m, n, k, {c, draw, winners, tickets, first_row}, {});
}

extern "C" __global__ void __launch_bounds__(Wide::THREADS, 1)
    product_mma_exact(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n,
                      uint32_t k, const Draw* draw, Winners* winners, uint32_t* tickets,
                      uint32_t first_row, const int8_t* thin_a, const int8_t* thin_b,
                      const uint32_t* wide) {
    product<Wide, true, true>(a, bt, m, n, k, {c, draw, winners, tickets, first_row},
                              {thin_a, thin_b, wide});
}
