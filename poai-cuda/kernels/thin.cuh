// Makes a product exact while its sums are still in registers.
//
// With E = E_L·E_R and F = F_L·F_R (spec §5),
//
//     A·B = C' − P_A·F_R − E_L·P_B,   P_A = A·F_L (m×r),   P_B = E_R·B' (r×n),
//
// which is a product of inner length 2r: rows [P_A | −E_L] by rows [−F_Rᵀ |
// P_Bᵀ], to be added to C'. Row factors lie in −32..31, so their negatives are
// i8 as well. The entries of P_A and P_B are not. |P| ≤ 2k (two entries of
// magnitude at most 128 for each of k/r steps), which is 2^15 at k = 16384.
// They are cut into digits of an odd base,
//
//     P = P_0 + 255·P_1 + 255²·P_2,   P_0, P_1, P_2 in −127..127,
//
// of which three hold |P| ≤ 127·(1 + 255 + 255²) > 8·10^6 > 2^18 > 2k for every
// permitted k, and two hold |P| ≤ 127·256 = 32512. So P_2 is zero for all clean
// entries to k = 16384 (|P_A| ≤ 2·64·128 = 2^14). For noised ones it is zero
// except for sums that practically never occur (every one of 256 entries within
// 1 % of ±128). A flag says when P_2 is not zero, and costs nothing when it is.
//
// All three digits' products go to the accumulators that hold C'. Modulo 2^32
// the base has the inverse 1/255 = −0x01010101, so that
//
//     C' ← C'/255²;  += X_2;  ·255;  += X_1;  ·255;  += X_0
//
// is C' + X_0 + 255·X_1 + 255²·X_2 modulo 2^32. The intermediate values may
// wrap: the result is A·B, which fits i32. A base of 256 has no inverse, and
// would need a second set of accumulators.
#pragma once

#include "transcript.cuh"

constexpr uint32_t DIGIT_BASE = 255;
constexpr uint32_t DIGIT_BASE_INVERSE = 0xfefefeffu;
static_assert(DIGIT_BASE * DIGIT_BASE_INVERSE == 1u, "modulo 2^32");

// A row of a thin operand: digits 2, 1, 0, each [P | −L] or [−L | P].
constexpr int DIGITS = 3;
constexpr int DIGIT_COLUMNS = 2 * RANK;
constexpr int THIN_COLUMNS = DIGITS * DIGIT_COLUMNS;

// Both sides' thin operands, rows of THIN_COLUMNS, and the flag.
struct Thin {
    const int8_t *a, *b;
    const uint32_t* wide;
};

// The number of digits to process: two, or three if the flag is set.
__device__ __forceinline__ uint32_t thin_digits(const uint32_t* wide) {
    return *wide != 0 ? DIGITS : DIGITS - 1;
}
