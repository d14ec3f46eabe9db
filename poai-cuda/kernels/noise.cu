// poai: arch compute_61
//
// Noise (spec §4): the factors, and the noised operands.
//
// The formats of the factors in memory, which recovery reads as well:
//
// - rows: L row-major, `rank` i8 a row, entries in -32..=31;
// - columns: for each column of the operand a word of two entries of the step
//   factor, the first in the low half. An entry is a row of the factor (0 to
//   rank - 1), plus 256 if its sign is -1. Column l·rank + c is column c of
//   R_l: E[i][l·rank + c] = ±L[i][first] ± L[i][second];
// - by_row: the entries by R_l's rows. For row p of R_l, word l·rank + p has
//   two columns: the one whose first entry is p, then the one whose second
//   entry is p.
//
// Keys are 8 words of device memory: H("noise rows", seed), H("noise steps", seed).
// Ranks are 32, 64, 128 or 256.
#include "blake3.cuh"

#define NOISE_RANK_MAX 256u
#define NOISE_NEGATIVE 256u

// Output block `index` of the keyed hash of one u32.
static __device__ __forceinline__ void keyed_word_output(uint32_t (&out)[16], const uint32_t* key,
                                                         uint32_t word, uint32_t index) {
    uint32_t message[16] = {word}, words[8];
    load_8(words, key);
    blake3_keyed_output(out, words, message, 4, index);
}

// Writes rows `first` to `first + rows - 1` of L to `factors`. Any block size;
// a thread for each 64 bytes of a row (half a block's output for rank 32), so
// rows·max(1, rank/64) threads. Two compressions a row at rank 128: negligible
// beside the product.
extern "C" __global__ void __launch_bounds__(128)
noise_rows(const uint32_t* key, uint32_t first, uint32_t rows, uint32_t rank, int8_t* factors) {
    uint32_t parts = rank < 64 ? 1 : rank / 64, bytes = rank < 64 ? rank : 64;
    uint64_t id = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (id >= uint64_t(rows) * parts) {
        return;
    }
    uint32_t row = uint32_t(id / parts), part = uint32_t(id % parts), out[16];
    keyed_word_output(out, key, first + row, part);
    uint4* to = reinterpret_cast<uint4*>(factors + uint64_t(row) * rank + part * 64);
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        if (16 * i < bytes) {
            uint32_t entries[4];
#pragma unroll
            for (uint32_t j = 0; j < 4; j++) {
                // Computes (byte & 63) - 32 of four bytes at once. In six bits
                // that flips the highest bit and makes it the sign, which bits
                // 6 and 7 repeat.
                uint32_t x = (out[4 * i + j] & 0x3f3f3f3fu) ^ 0x20202020u;
                uint32_t sign = x & 0x20202020u;
                entries[j] = x | sign << 1 | sign << 2;
            }
            to[i] = make_uint4(entries[0], entries[1], entries[2], entries[3]);
        }
    }
}

// Writes the factor of step `first + blockIdx.x` to `columns` and `by_row`, at
// blockIdx.x·rank. One warp a block. The shuffle's exchanges depend on each
// other, so one lane does them, on bytes in shared memory (some microseconds,
// for all steps at the same time). The lanes share the work before it, a
// compression each (at most 18) and the places to exchange, and the work after
// it.
extern "C" __global__ void __launch_bounds__(32)
noise_steps(const uint32_t* key, uint32_t first, uint32_t rank, uint32_t* columns,
            uint32_t* by_row) {
    // 4·rank + 2 + rank/4 bytes, rounded up to whole output blocks.
    __shared__ __align__(16) uint32_t raw[18 * 16];
    __shared__ uint8_t partners[NOISE_RANK_MAX], permutation[NOISE_RANK_MAX];
    __shared__ uint16_t rows[2 * NOISE_RANK_MAX];
    uint32_t lane = threadIdx.x, step = blockIdx.x;
    uint32_t blocks = (4 * rank + 2 + rank / 4 + 63) / 64;
    if (lane < blocks) {
        uint32_t out[16];
        keyed_word_output(out, key, first + step, lane);
#pragma unroll
        for (uint32_t i = 0; i < 16; i++) {
            raw[16 * lane + i] = out[i];
        }
    }
    __syncwarp();
    for (uint32_t i = lane; i < rank; i += 32) {
        // (w·(i + 1)) >> 32, which is below i + 1.
        partners[i] = uint8_t(__umulhi(raw[i], i + 1));
        permutation[i] = uint8_t(i);
    }
    // The signs: words from byte 4·rank + 2 on, which is off by half a word.
    uint32_t sign_words = rank / 16, word = 0;
    if (lane < sign_words) {
        word = __funnelshift_r(raw[rank + lane], raw[rank + lane + 1], 16);
    }
    uint32_t odd = __popc(warp_xor(word)) & 1;
    if (odd == 0 && lane == sign_words - 1) {
        // The number of -1 is even here: flip the last sign.
        word ^= 0x80000000u;
    }
    uint32_t delta = 2 * ((raw[rank] & 0xffffu) % (rank / 2)) + 1;
    __syncwarp();
    if (lane == 0) {
        for (uint32_t i = rank - 1; i > 0; i--) {
            uint32_t j = partners[i];
            uint8_t at_i = permutation[i];
            permutation[i] = permutation[j];
            permutation[j] = at_i;
        }
    }
    __syncwarp();
    uint64_t start = uint64_t(step) * rank;
    for (uint32_t c = lane; c < rank; c += 32) {
        // Sign c of the first entries is bit c mod 32, which is the lane, of
        // word c / 32. The signs of the second entries follow `rank` bits
        // later.
        uint32_t d1 = __shfl_sync(0xffffffffu, word, c / 32) >> lane & 1;
        uint32_t d2 = __shfl_sync(0xffffffffu, word, (rank + c) / 32) >> lane & 1;
        uint32_t p = permutation[c], q = permutation[(c + delta) % rank];
        columns[start + c] = (p | d1 * NOISE_NEGATIVE) | (q | d2 * NOISE_NEGATIVE) << 16;
        rows[2 * p] = uint16_t(c | d1 * NOISE_NEGATIVE);
        rows[2 * q + 1] = uint16_t(c | d2 * NOISE_NEGATIVE);
    }
    __syncwarp();
    for (uint32_t p = lane; p < rank; p += 32) {
        by_row[start + p] = rows[2 * p] | uint32_t(rows[2 * p + 1]) << 16;
    }
}

// Transposes 4×4 bytes: byte j of word i becomes byte i of word j.
static __device__ __forceinline__ void transpose_4x4(uint32_t (&w)[4]) {
    uint32_t low01 = __byte_perm(w[0], w[1], 0x5140), high01 = __byte_perm(w[0], w[1], 0x7362);
    uint32_t low23 = __byte_perm(w[2], w[3], 0x5140), high23 = __byte_perm(w[2], w[3], 0x7362);
    w[0] = __byte_perm(low01, low23, 0x5410), w[1] = __byte_perm(low01, low23, 0x7632);
    w[2] = __byte_perm(high01, high23, 0x5410), w[3] = __byte_perm(high01, high23, 0x7632);
}

// `noised = clean + E`, row-major like `clean`, whose entries must be clean
// (-64..=63). `clean`, `noised` and `factors` are aligned to 16, and k is a
// multiple of rank. 256 threads. blockIdx.x takes 8 rows (the last may have
// fewer), and blockIdx.y takes every gridDim.y-th 1024 of their columns:
// gridDim.y is 1 if the rows alone fill the GPU.
//
// Bound by memory, if the work for an entry is kept small:
//
// - All rows of a block use the same factor entries in a column. So shared
//   memory holds L transposed, the bytes of 8 rows beside each other, and one
//   load gives an entry's value for 8 rows. Entries with the sign -1 find the
//   negated value 256 places further, without a multiplication or a branch.
// - Values are stored with 32 added. The sum of two, E + 64, lies in 0..=128,
//   and with A + 64 (0..=127) added in 0..=255. So four bytes add in one 32-bit
//   addition without a carry between them. A + 64 and the - 128 at the end are
//   exclusive ors.
// - A thread takes 4 columns of the 8 rows. Lanes are neighbours in a row, so
//   loads and stores are whole lines of 128 bytes. E comes column by column, so
//   its words are transposed: 8 byte permutations for 16 entries.
// - A block goes along its columns. It builds its table once. It reads the
//   words of the factors' columns once for 8 rows, mostly from the cache. A
//   thread issues its 8 loads before it looks up the noise.
extern "C" __global__ void __launch_bounds__(256)
noise_operand(const int8_t* clean, const int8_t* factors, const uint32_t* columns, int8_t* noised,
              uint32_t rows, uint32_t k, uint32_t rank) {
    __shared__ __align__(16) uint2 table[2 * NOISE_RANK_MAX];
    uint64_t row = uint64_t(blockIdx.x) * 8;
    uint32_t here = rows - row < 8 ? uint32_t(rows - row) : 8;

    for (uint32_t p = threadIdx.x; p < rank; p += blockDim.x) {
        uint32_t plus[2] = {0, 0};
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) {
            if (i < here) {
                uint32_t value = uint32_t(factors[(row + i) * rank + p] + 32);
                plus[i / 4] |= value << (8 * (i % 4));
            }
        }
        table[p] = make_uint2(plus[0], plus[1]);
        // 32 - L = 64 - (L + 32), at least 1 in each byte, so no byte borrows.
        table[p + NOISE_NEGATIVE] = make_uint2(0x40404040u - plus[0], 0x40404040u - plus[1]);
    }
    __syncthreads();

    uint32_t first = 4 * (blockIdx.y * blockDim.x + threadIdx.x);
    for (uint32_t column = first; column < k; column += 4 * blockDim.x * gridDim.y) {
        uint64_t at = row * k + column;
        uint32_t a[8];
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) {
            if (i < here) {
                a[i] = *reinterpret_cast<const uint32_t*>(clean + at + uint64_t(i) * k);
            }
        }
        uint4 entries = *reinterpret_cast<const uint4*>(columns + column);
        uint32_t of_column[4] = {entries.x, entries.y, entries.z, entries.w};
        uint32_t noise[2][4];
#pragma unroll
        for (uint32_t c = 0; c < 4; c++) {
            uint2 first_of = table[of_column[c] & 0xffffu], second_of = table[of_column[c] >> 16];
            noise[0][c] = first_of.x + second_of.x;
            noise[1][c] = first_of.y + second_of.y;
        }
        transpose_4x4(noise[0]);
        transpose_4x4(noise[1]);
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) {
            if (i < here) {
                uint32_t sum = ((a[i] ^ 0x40404040u) & 0x7f7f7f7fu) + noise[i / 4][i % 4];
                *reinterpret_cast<uint32_t*>(noised + at + uint64_t(i) * k) = sum ^ 0x80808080u;
            }
        }
    }
}
