// poai: arch compute_61
// poai: sass IDP
//
// The noised product with its transcripts for every permitted rank and tile:
// plain and slow, for research and for tests. Consensus parameters have kernels
// of their own.
#include "ticket.cuh"

// A block of 256 threads for each tile of `tile`×`tile` sums, tiles row-major.
// `rank` is a multiple of 32, and k of `rank`. m and n are multiples of `tile`,
// 16 to 64. `c`, `draw` and `tickets` may be null; without `draw` the kernel
// draws no tickets. Operands are read from the cache: every thread that needs a
// word of four columns reads it.
extern "C" __global__ void __launch_bounds__(256)
    product_any(const int8_t* a, const int8_t* bt, int32_t* c, uint32_t m, uint32_t n, uint32_t k,
                const Draw* draw, Winners* winners, uint32_t* tickets, uint32_t first_row,
                uint32_t rank, uint32_t tile) {
    constexpr int THREADS = 256, SUMS = 64 * 64 / THREADS;
    // Of the warps, for alternate steps: a warp may be one step ahead of
    // another.
    __shared__ uint32_t parts[2][THREADS / 32];
    __shared__ uint32_t words[16];
    uint32_t columns = n / tile, row = blockIdx.x / columns, column = blockIdx.x % columns;
    const int* rows_a = reinterpret_cast<const int*>(a + uint64_t(row) * tile * k);
    const int* rows_b = reinterpret_cast<const int*>(bt + uint64_t(column) * tile * k);
    if (threadIdx.x < 16) {
        words[threadIdx.x] = 0;
    }

    int32_t sums[SUMS] = {};
    for (uint32_t step = 0; step < k / rank; step++) {
        uint32_t x = 0;
#pragma unroll
        for (int i = 0; i < SUMS; i++) {
            uint32_t at = threadIdx.x + i * THREADS;
            if (at < tile * tile) {
                const int* from_a = rows_a + uint64_t(at / tile) * (k / 4) + step * (rank / 4);
                const int* from_b = rows_b + uint64_t(at % tile) * (k / 4) + step * (rank / 4);
                for (uint32_t word = 0; word < rank / 4; word++) {
                    sums[i] = __dp4a(from_a[word], from_b[word], sums[i]);
                }
                x ^= uint32_t(sums[i]);
            }
        }
        x = warp_xor(x);
        if (threadIdx.x % 32 == 0) {
            parts[step % 2][threadIdx.x / 32] = x;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            uint32_t word = words[step % 16];
            word = __funnelshift_l(word, word, 13);
            for (int warp = 0; warp < THREADS / 32; warp++) {
                word ^= parts[step % 2][warp];
            }
            words[step % 16] = word;
        }
    }

    if (c != nullptr) {
#pragma unroll
        for (int i = 0; i < SUMS; i++) {
            uint32_t at = threadIdx.x + i * THREADS;
            if (at < tile * tile) {
                c[(uint64_t(row) * tile + at / tile) * n + uint64_t(column) * tile + at % tile] =
                    sums[i];
            }
        }
    }
    if (draw != nullptr && threadIdx.x == 0) {
        uint32_t transcript[16];
#pragma unroll
        for (int i = 0; i < 16; i++) {
            transcript[i] = words[i];
        }
        ticket_draw({c, draw, winners, tickets, first_row}, transcript, row, column, columns);
    }
}
