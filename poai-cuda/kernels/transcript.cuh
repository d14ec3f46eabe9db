// The transcript of a tile (spec §5), kept by one warp.
#pragma once

#include "simt.cuh"

// Rows and columns of a tile, and columns of a rank step: a block's.
constexpr int TILE = 32;
constexpr int RANK = 128;

__device__ __forceinline__ uint32_t lane_id() { return threadIdx.x % 32; }

// One instruction on every GPU, which the compiler does not find by itself
// among more XORs: the fold of all sums of a step is half as long with it.
__device__ __forceinline__ uint32_t xor3(uint32_t a, uint32_t b, uint32_t c) {
#ifdef POAI_HOST
    return a ^ b ^ c;
#else
    uint32_t x;
    asm("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(x) : "r"(a), "r"(b), "r"(c));
    return x;
#endif
}

// A value that the compiler has to keep, where it would compute it anew in the
// innermost loop to save a register that is not needed.
__device__ __forceinline__ void keep(uint32_t& value) {
#ifndef POAI_HOST
    asm volatile("" : "+r"(value));
#endif
}

// A transcript has 16 words and step ℓ changes word ℓ mod 16 alone. Lane i
// keeps word i mod 16, so a tile costs one register, and no word is chosen by
// an index that only the running kernel knows. `x` is the XOR of the warp's
// part of the tile, the same in all lanes.
//
// Rotation and XOR are linear: where several warps share a tile, each folds its
// own part and the XOR of their transcripts is the tile's.
__device__ __forceinline__ void transcript_fold(uint32_t& word, uint32_t step, uint32_t x) {
    uint32_t next = __funnelshift_l(word, word, 13) ^ x;
    word = (lane_id() ^ step) % 16 == 0 ? next : word;
}
