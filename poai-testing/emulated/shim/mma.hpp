// mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32.
//
// PTX ISA, "Matrix Fragments for mma.m16n8k32" (types .s8 and .s32), with
// group = lane / 4 and t = lane mod 4:
//
// - A, 16×32, 4 registers of 4 bytes, a0 to a15 from the low byte on:
//   row = group for a0..a3 and a8..a11, group + 8 for the others;
//   column = 4t + (i mod 4) for i < 8, and 16 more for i >= 8.
// - B, 32×8, 2 registers, b0 to b7:
//   row = 4t + (i mod 4) for i < 4, and 16 more for i >= 4; column = group.
// - C and D, 16×8, 4 registers of one i32, c0 to c3:
//   row = group for c0 and c1, group + 8 for c2 and c3; column = 2t + (i mod 2).
#pragma once

#include "block.hpp"

#if POAI_ARCH >= 800

namespace simt {

struct MmaLane {
    const uint32_t* a;
    const uint32_t* b;
    int32_t* d;
};

SIMT_UNCHECKED static void combine_mma_m16n8k32_s8(void** lanes, uint32_t) {
    int8_t bytes[24][32];  // A's rows, then B's columns
    for (int l = 0; l < 32; l++) {
        auto& lane = *static_cast<MmaLane*>(lanes[l]);
        int group = l / 4, t = l % 4;
        for (int i = 0; i < 4; i++) {
            memcpy(&bytes[group + i % 2 * 8][4 * t + i / 2 * 16], &lane.a[i], 4);
        }
        for (int i = 0; i < 2; i++) {
            memcpy(&bytes[16 + group][4 * t + i * 16], &lane.b[i], 4);
        }
    }
    // Processors multiply and add pairs of 16 bits.
    int16_t entries[24][32];
    for (int i = 0; i < 24; i++) {
        for (int k = 0; k < 32; k++) {
            entries[i][k] = bytes[i][k];
        }
    }
    int16_t(*a)[32] = entries, (*b)[32] = entries + 16;
    for (int l = 0; l < 32; l++) {
        auto& lane = *static_cast<MmaLane*>(lanes[l]);
        for (int i = 0; i < 4; i++) {
            int row = l / 4 + (i < 2 ? 0 : 8), column = 2 * (l % 4) + i % 2;
            int32_t sum = 0;
            for (int k = 0; k < 32; k++) {
                sum += a[row][k] * b[column][k];
            }
            // Without .satfinite the sum wraps.
            lane.d[i] = int32_t(uint32_t(lane.d[i]) + uint32_t(sum));
        }
    }
}

}  // namespace simt

static inline void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4],
                                   const uint32_t (&b)[2], int line = __builtin_LINE()) {
    simt::MmaLane lane = {a, b, d};
    simt::collective(0xffffffffu, lane, simt::combine_mma_m16n8k32_s8, "mma", line);
}

#endif
