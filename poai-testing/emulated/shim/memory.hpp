// Shared memory, cp.async and ldmatrix.
#pragma once

#include "block.hpp"

// The linker's names for the ends of the section of static shared memory; null
// if a kernel has no such memory.
extern "C" {
extern __attribute__((weak, visibility("hidden"))) char __start_simt_shared[];
extern __attribute__((weak, visibility("hidden"))) char __stop_simt_shared[];
}

namespace simt {

// The byte that fills uninitialised memory. It differs in every order, so that
// a kernel that reads such memory gives different results.
static uint8_t poison_byte() {
    return uint8_t(0xa5 ^ (uint32_t(machine.order) * 0x33) ^ (machine.random * 0x1d));
}

static void poison_shared(uint8_t byte) {
    if (__start_simt_shared != nullptr) {
        memset(__start_simt_shared, byte, __stop_simt_shared - __start_simt_shared);
    }
    memset(machine.dynamic, byte, machine.dynamic_bytes);
}

static bool is_shared(const void* at, size_t bytes) {
    auto inside = [=](const char* start, const char* end) {
        const char* p = static_cast<const char*>(at);
        return start != nullptr && p >= start && p <= end && size_t(end - p) >= bytes;
    };
    return inside(machine.dynamic, machine.dynamic + machine.dynamic_bytes) ||
           inside(__start_simt_shared, __stop_simt_shared);
}

static void check_shared(const void* at, size_t bytes, size_t align, const char* what, int line) {
    if (!is_shared(at, bytes)) {
        fail("line %d: %s outside shared memory", line, what);
    }
    if (reinterpret_cast<uintptr_t>(at) % align != 0) {
        fail("line %d: %s at an address that is not a multiple of %zu", line, what, align);
    }
}

static void perform(const Copy& copy) {
    memset(copy.to, 0, 16);
    memcpy(copy.to, copy.from, copy.bytes);
}

// On the device the 16 bytes arrive at any time between here and the end of the
// wait. The fixed orders let them arrive last, and overwrite the old contents
// at once. This finds readers that do not wait, and copies over data that other
// threads still read. The random order also lets some arrive first.
__attribute__((noinline)) static void copy_async(void* to, const void* from, uint32_t bytes,
                                                 int line) {
    check_shared(to, 16, 16, "cp.async", line);
    if (reinterpret_cast<uintptr_t>(from) % 16 != 0 || bytes > 16) {
        fail("line %d: cp.async of %u bytes from %p", line, bytes, from);
    }
    Copy copy = {to, from, bytes};
    if (machine.order == Order::Random && (next_random() & 1)) {
        perform(copy);
    } else {
        memset(to, poison_byte(), 16);
        machine.current->groups.back().push_back(copy);
    }
    point();
}

static void commit_async() { machine.current->groups.emplace_back(); }

static void wait_async(size_t pending) {
    // The last group is open, and no wait includes it.
    auto& groups = machine.current->groups;
    while (groups.size() - 1 > pending) {
        for (const Copy& copy : groups.front()) {
            perform(copy);
        }
        groups.erase(groups.begin());
    }
    point();
}

struct LoadMatrixLane {
    const void* row;
    uint32_t to[4];
    int line;
};

// PTX ISA, "Warp-level matrix load instruction: ldmatrix": matrix i of 8×8
// 16-bit elements has its rows at the addresses of lanes 8i to 8i + 7. Lane l
// gets elements 2·(l mod 4) and the next one of row l/4, the first in the low
// half. With .trans, row and column of an element are exchanged.
template <int matrices, bool transposed>
static void combine_ldmatrix(void** lanes, uint32_t) {
    for (int i = 0; i < matrices; i++) {
        uint16_t elements[8][8];
        for (int row = 0; row < 8; row++) {
            auto& lane = *static_cast<LoadMatrixLane*>(lanes[8 * i + row]);
            check_shared(lane.row, 16, 16, "ldmatrix", lane.line);
            memcpy(elements[row], lane.row, 16);
        }
        for (int l = 0; l < 32; l++) {
            uint32_t word = 0;
            for (int half = 0; half < 2; half++) {
                int row = l / 4, column = 2 * (l % 4) + half;
                uint32_t element =
                    transposed ? elements[column][row] : elements[row][column];
                word |= element << (16 * half);
            }
            static_cast<LoadMatrixLane*>(lanes[l])->to[i] = word;
        }
    }
}

template <int matrices, bool transposed>
static void ldmatrix(uint32_t (&to)[matrices], const void* row, int line) {
    LoadMatrixLane lane = {row, {}, line};
    collective(0xffffffffu, lane, combine_ldmatrix<matrices, transposed>, "ldmatrix", line);
    for (int i = 0; i < matrices; i++) {
        to[i] = lane.to[i];
    }
}

}  // namespace simt

#define SHARED_DYNAMIC(type, name) type* const name = reinterpret_cast<type*>(simt::machine.dynamic)

#if POAI_ARCH >= 800
static inline void cp_async16(void* shared, const void* global, int line = __builtin_LINE()) {
    simt::copy_async(shared, global, 16, line);
}
static inline void cp_async16_zfill(void* shared, const void* global, uint32_t bytes,
                                    int line = __builtin_LINE()) {
    simt::copy_async(shared, global, bytes, line);
}
static inline void cp_async_commit() { simt::commit_async(); }
template <int pending>
static inline void cp_async_wait() {
    simt::wait_async(pending);
}
#endif

#if POAI_ARCH >= 750
static inline void ldmatrix_x1(uint32_t (&to)[1], const void* row, int line = __builtin_LINE()) {
    simt::ldmatrix<1, false>(to, row, line);
}
static inline void ldmatrix_x2(uint32_t (&to)[2], const void* row, int line = __builtin_LINE()) {
    simt::ldmatrix<2, false>(to, row, line);
}
static inline void ldmatrix_x4(uint32_t (&to)[4], const void* row, int line = __builtin_LINE()) {
    simt::ldmatrix<4, false>(to, row, line);
}
static inline void ldmatrix_x1_trans(uint32_t (&to)[1], const void* row,
                                     int line = __builtin_LINE()) {
    simt::ldmatrix<1, true>(to, row, line);
}
static inline void ldmatrix_x2_trans(uint32_t (&to)[2], const void* row,
                                     int line = __builtin_LINE()) {
    simt::ldmatrix<2, true>(to, row, line);
}
static inline void ldmatrix_x4_trans(uint32_t (&to)[4], const void* row,
                                     int line = __builtin_LINE()) {
    simt::ldmatrix<4, true>(to, row, line);
}
#endif
