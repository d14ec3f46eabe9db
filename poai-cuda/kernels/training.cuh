// Shared by the steps of training (spec §12, steps of training): the arithmetic
// of poai-core/src/program/ops/training/arithmetic.rs.
#pragma once

#include "steps.cuh"

// The largest magnitude of a shift.
constexpr int32_t SHIFT_MOST = 62;

// x·2^by for 0 <= by <= 62, saturated.
__device__ __forceinline__ int64_t left_saturating(int64_t x, uint32_t by) {
    constexpr int64_t most = int64_t(~uint64_t(0) >> 1);
    if (x > most >> by) {
        return most;
    }
    return x < (-most - 1) >> by ? -most - 1 : int64_t(uint64_t(x) << by);
}

// x·2^-p to the nearest integer, halves up, for |p| <= 62; saturated.
__device__ __forceinline__ int64_t shift_nearest(int64_t x, int32_t p) {
    return p > 0 ? rsh(x, uint32_t(p)) : left_saturating(x, uint32_t(-p));
}

// x·2^-p, rounded by a random byte.
__device__ __forceinline__ int64_t shift_random(int64_t x, int32_t p, uint32_t byte) {
    if (p <= 0) {
        return left_saturating(x, uint32_t(-p));
    }
    int64_t odd = 2 * int64_t(byte) + 1;
    return add_saturating(x, p > 9 ? odd << (p - 9) : odd >> (9 - p)) >> p;
}

// The binary digits of x, and 0 if x is negative.
__device__ __forceinline__ int32_t bits(int32_t x) { return 32 - __clz(max(x, 0)); }

// A shift: a base, and exponents that are i32 columns. A missing one is null.
// For exponent i, bit 2i of `modes` says that each row of the output has its
// own, and bit 2i + 1 that it is added, not subtracted.
struct Shift {
    const int32_t* exponents[4];
    uint32_t modes;
    int32_t base;
};

// The shift of a row, in -62..=62.
__device__ __forceinline__ int32_t shift_of(const Shift& shift, uint32_t row) {
    int64_t p = shift.base;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (shift.exponents[i] != nullptr) {
            uint32_t mode = shift.modes >> (2 * i);
            int64_t exponent = shift.exponents[i][(mode & 1) != 0 ? row : 0];
            p += (mode & 2) != 0 ? exponent : -exponent;
        }
    }
    return clamp(p, -SHIFT_MOST, SHIFT_MOST);
}
