// The transcript of a tile (spec §5), stored by one warp.
#pragma once

#include "simt.cuh"

// Rows and columns of a tile, and columns of a rank-step, under consensus
// parameters.
constexpr int TILE = 32;
constexpr int RANK = 128;

__device__ __forceinline__ uint32_t lane_id() { return threadIdx.x % 32; }

// One instruction on every GPU, which the compiler does not find by itself
// among more XORs. It halves the fold of all sums of a step.
__device__ __forceinline__ uint32_t xor3(uint32_t a, uint32_t b, uint32_t c) {
#ifdef POAI_HOST
    return a ^ b ^ c;
#else
    uint32_t x;
    asm("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(x) : "r"(a), "r"(b), "r"(c));
    return x;
#endif
}

// Makes the compiler keep a value that it would otherwise recompute in the
// innermost loop, to save a register that is not needed.
__device__ __forceinline__ void keep(uint32_t& value) {
#ifndef POAI_HOST
    asm volatile("" : "+r"(value));
#endif
}

// A transcript has 16 words, and step ℓ changes only word ℓ mod 16. Lane i
// stores word i mod 16, so a tile costs one register, and no word is selected
// by an index that only the running kernel knows. `x` is the XOR of the warp's
// part of the tile, the same in all lanes.
//
// Rotation and XOR are linear: if several warps share a tile, each folds its
// own part, and the XOR of their transcripts is the tile's.
__device__ __forceinline__ void transcript_fold(uint32_t& word, uint32_t step, uint32_t x) {
    uint32_t next = __funnelshift_l(word, word, 13) ^ x;
    word = (lane_id() ^ step) % 16 == 0 ? next : word;
}
