// Functions of a warp, and atomics.
#pragma once

#include "block.hpp"

namespace simt {

// The ways to choose a shuffle's source (PTX ISA, "shfl.sync").
enum class Shuffle { Index, Up, Down, Xor };

template <class T>
struct ShuffleLane {
    T value, result;
    Shuffle kind;
    int operand, width, line;
};

template <class T>
static void combine_shuffle(void** lanes, uint32_t mask) {
    for (int lane = 0; lane < 32; lane++) {
        if (!(mask >> lane & 1)) {
            continue;
        }
        auto& own = *static_cast<ShuffleLane<T>*>(lanes[lane]);
        // Segments of `width` lanes; a lane whose source is outside keeps its
        // own value.
        int first = lane & ~(own.width - 1), last = first + own.width - 1;
        int source = lane;
        switch (own.kind) {
            case Shuffle::Index: source = first | (own.operand & (own.width - 1)); break;
            case Shuffle::Up: source = lane - own.operand < first ? lane : lane - own.operand; break;
            case Shuffle::Down: source = lane + own.operand > last ? lane : lane + own.operand; break;
            case Shuffle::Xor: source = (lane ^ own.operand) > last ? lane : lane ^ own.operand; break;
        }
        if (!(mask >> source & 1)) {
            fail("line %d: lane %d shuffles from lane %d, which mask %08x does not name", own.line,
                 lane, source, mask);
        }
        own.result = static_cast<ShuffleLane<T>*>(lanes[source])->value;
    }
}

template <class T>
static T shuffle(Shuffle kind, uint32_t mask, T value, int operand, int width, int line) {
    if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
        fail("line %d: expected a shuffle width that is a power of two up to 32, got %d", line, width);
    }
    ShuffleLane<T> lane = {value, value, kind, operand, width, line};
    collective(mask, lane, combine_shuffle<T>, "a shuffle", line);
    return lane.result;
}

struct WordLane {
    uint32_t value, result;
};

static void combine_ballot(void** lanes, uint32_t mask) {
    uint32_t ballot = 0;
    for (int lane = 0; lane < 32; lane++) {
        if (mask >> lane & 1) {
            ballot |= uint32_t(static_cast<WordLane*>(lanes[lane])->value != 0) << lane;
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        if (mask >> lane & 1) {
            static_cast<WordLane*>(lanes[lane])->result = ballot;
        }
    }
}

// An associative and commutative operation over the lanes of the mask.
template <class Operation>
static void combine_words(void** lanes, uint32_t mask) {
    bool first = true;
    uint32_t all = 0;
    for (int lane = 0; lane < 32; lane++) {
        if (mask >> lane & 1) {
            uint32_t value = static_cast<WordLane*>(lanes[lane])->value;
            all = first ? value : Operation::of(all, value);
            first = false;
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        if (mask >> lane & 1) {
            static_cast<WordLane*>(lanes[lane])->result = all;
        }
    }
}
struct XorOf {
    static uint32_t of(uint32_t a, uint32_t b) { return a ^ b; }
};
struct OrOf {
    static uint32_t of(uint32_t a, uint32_t b) { return a | b; }
};
struct AndOf {
    static uint32_t of(uint32_t a, uint32_t b) { return a & b; }
};
struct AddOf {
    static uint32_t of(uint32_t a, uint32_t b) { return a + b; }
};
struct MinOf {
    static uint32_t of(uint32_t a, uint32_t b) { return a < b ? a : b; }
};
struct MaxOf {
    static uint32_t of(uint32_t a, uint32_t b) { return a < b ? b : a; }
};

template <class Operation>
static uint32_t reduce(uint32_t mask, uint32_t value, const char* what, int line) {
    WordLane lane = {value, 0};
    collective(mask, lane, combine_words<Operation>, what, line);
    return lane.result;
}

static void combine_nothing(void**, uint32_t) {}

}  // namespace simt

#define SIMT_FULL 0xffffffffu
#define SIMT_LINE int line = __builtin_LINE()

static inline void __syncwarp(uint32_t mask = SIMT_FULL, SIMT_LINE) {
    char nothing;
    simt::collective(mask, nothing, simt::combine_nothing, "__syncwarp", line);
}

template <class T>
static inline T __shfl_sync(uint32_t mask, T value, int source, int width = 32, SIMT_LINE) {
    return simt::shuffle(simt::Shuffle::Index, mask, value, source, width, line);
}
template <class T>
static inline T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int width = 32, SIMT_LINE) {
    return simt::shuffle(simt::Shuffle::Up, mask, value, int(delta), width, line);
}
template <class T>
static inline T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int width = 32,
                                 SIMT_LINE) {
    return simt::shuffle(simt::Shuffle::Down, mask, value, int(delta), width, line);
}
template <class T>
static inline T __shfl_xor_sync(uint32_t mask, T value, int with, int width = 32, SIMT_LINE) {
    return simt::shuffle(simt::Shuffle::Xor, mask, value, with, width, line);
}

static inline uint32_t __ballot_sync(uint32_t mask, int predicate, SIMT_LINE) {
    simt::WordLane lane = {uint32_t(predicate != 0), 0};
    simt::collective(mask, lane, simt::combine_ballot, "__ballot_sync", line);
    return lane.result;
}
static inline int __any_sync(uint32_t mask, int predicate, SIMT_LINE) {
    return __ballot_sync(mask, predicate, line) != 0;
}
static inline int __all_sync(uint32_t mask, int predicate, SIMT_LINE) {
    return __ballot_sync(mask, predicate, line) == mask;
}

// The device has these from capability 8.0 on.
#if POAI_ARCH >= 800
static inline unsigned __reduce_xor_sync(uint32_t mask, unsigned value, SIMT_LINE) {
    return simt::reduce<simt::XorOf>(mask, value, "__reduce_xor_sync", line);
}
static inline unsigned __reduce_or_sync(uint32_t mask, unsigned value, SIMT_LINE) {
    return simt::reduce<simt::OrOf>(mask, value, "__reduce_or_sync", line);
}
static inline unsigned __reduce_and_sync(uint32_t mask, unsigned value, SIMT_LINE) {
    return simt::reduce<simt::AndOf>(mask, value, "__reduce_and_sync", line);
}
static inline unsigned __reduce_add_sync(uint32_t mask, unsigned value, SIMT_LINE) {
    return simt::reduce<simt::AddOf>(mask, value, "__reduce_add_sync", line);
}
static inline unsigned __reduce_min_sync(uint32_t mask, unsigned value, SIMT_LINE) {
    return simt::reduce<simt::MinOf>(mask, value, "__reduce_min_sync", line);
}
static inline unsigned __reduce_max_sync(uint32_t mask, unsigned value, SIMT_LINE) {
    return simt::reduce<simt::MaxOf>(mask, value, "__reduce_max_sync", line);
}
#endif

// As in simt.cuh, so that the host tests both ways (-DPOAI_ARCH=610).
static inline uint32_t warp_xor(uint32_t value, SIMT_LINE) {
#if POAI_ARCH >= 800
    return __reduce_xor_sync(SIMT_FULL, value, line);
#else
    for (int distance = 16; distance > 0; distance /= 2) {
        value ^= __shfl_xor_sync(SIMT_FULL, value, distance, 32, line);
    }
    return value;
#endif
}

// Atomics: only one fiber runs at a time, so they are plain operations; the
// random order may switch before and after.
template <class T, class F>
static inline T simt_atomic(T* at, F change) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics of 32 and 64 bits");
    simt::point();
    T old = *at;
    *at = change(old);
    simt::point();
    return old;
}
// The second type is not deduced, so that a literal may be passed.
template <class T>
struct SimtSame {
    typedef T type;
};
#define SIMT_ATOMIC(name, result)                                        \
    template <class T>                                                   \
    static inline T name(T* at, typename SimtSame<T>::type value) {      \
        return simt_atomic(at, [=](T old) -> T { (void)old; return result; }); \
    }
SIMT_ATOMIC(atomicAdd, old + value)
SIMT_ATOMIC(atomicMin, value < old ? value : old)
SIMT_ATOMIC(atomicMax, old < value ? value : old)
SIMT_ATOMIC(atomicExch, value)
SIMT_ATOMIC(atomicXor, old ^ value)
SIMT_ATOMIC(atomicOr, old | value)
SIMT_ATOMIC(atomicAnd, old & value)
#undef SIMT_ATOMIC
template <class T>
static inline T atomicCAS(T* at, typename SimtSame<T>::type expected,
                          typename SimtSame<T>::type value) {
    return simt_atomic(at, [=](T old) -> T { return old == expected ? value : old; });
}
