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

static inline int8_t byte_of(const uint32_t* registers, int i) {
    return int8_t(registers[i / 4] >> (8 * (i % 4)));
}

static void combine_mma_m16n8k32_s8(void** lanes, uint32_t) {
    int8_t a[16][32], b[8][32];
    for (int l = 0; l < 32; l++) {
        auto& lane = *static_cast<MmaLane*>(lanes[l]);
        int group = l / 4, t = l % 4;
        for (int i = 0; i < 16; i++) {
            int row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
            a[row][4 * t + i % 4 + (i < 8 ? 0 : 16)] = byte_of(lane.a, i);
        }
        for (int i = 0; i < 8; i++) {
            b[group][4 * t + i % 4 + (i < 4 ? 0 : 16)] = byte_of(lane.b, i);
        }
    }
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
