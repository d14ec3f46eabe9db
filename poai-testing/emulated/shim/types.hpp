// CUDA's keywords and types, and its functions of one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifndef POAI_ARCH
#define POAI_ARCH 800
#endif

// The sanitiser checks kernels. The shim's own loops over bytes are much faster
// without it.
#define SIMT_UNCHECKED __attribute__((no_sanitize("undefined")))

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// Static shared memory lies in a section of its own, so that it can be poisoned
// when a block starts. Blocks run one after the other, so one copy is enough.
// Compilers refuse it inside templates and inline functions: pass those a
// pointer.
#define __shared__ static __attribute__((section("simt_shared")))

// The vector types that kernels use, with CUDA's alignment.
#define SIMT_VECTORS(scalar, name, align2, align4) \
    struct alignas(align2) name##2 {               \
        scalar x, y;                               \
    };                                             \
    struct name##3 {                               \
        scalar x, y, z;                            \
    };                                             \
    struct alignas(align4) name##4 {               \
        scalar x, y, z, w;                         \
    };                                             \
    static inline name##2 make_##name##2(scalar x, scalar y) { return {x, y}; } \
    static inline name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { \
        return {x, y, z, w};                       \
    }
SIMT_VECTORS(unsigned, uint, 8, 16)
SIMT_VECTORS(int, int, 8, 16)
SIMT_VECTORS(signed char, char, 2, 4)
SIMT_VECTORS(unsigned char, uchar, 2, 4)
#undef SIMT_VECTORS
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};

// Dimensions; those not given are 1.
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

template <class T>
static inline T min(T a, T b) {
    return b < a ? b : a;
}
template <class T>
static inline T max(T a, T b) {
    return a < b ? b : a;
}

template <class T>
static inline T __ldg(const T* from) {
    return *from;
}
template <class T>
static inline void __stcs(T* to, T value) {
    *to = value;
}

// The sum of `c` and the products of four signed bytes each, modulo 2^32.
static inline int __dp4a(int a, int b, int c) {
    uint32_t sum = c;
    for (int i = 0; i < 32; i += 8) {
        sum += static_cast<uint32_t>(int8_t(a >> i) * int8_t(b >> i));
    }
    return sum;
}
// The sum of `c` and the products of four unsigned bytes each, modulo 2^32.
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 32; i += 8) {
        c += uint32_t(uint8_t(a >> i)) * uint8_t(b >> i);
    }
    return c;
}

// The upper word of high:low shifted left by shift mod 32.
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    uint64_t pair = uint64_t(high) << 32 | low;
    return unsigned((pair << (shift & 31)) >> 32);
}
// The lower word of high:low shifted right by shift mod 32.
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    uint64_t pair = uint64_t(high) << 32 | low;
    return unsigned(pair >> (shift & 31));
}

// Byte i of the result is byte (selector >> 4i) & 7 of y:x. This function lacks
// the sign mode of PTX's prmt (bit 3 of a selector).
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    uint64_t pair = uint64_t(y) << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned byte = (selector >> (4 * i)) & 7;
        result |= unsigned(uint8_t(pair >> (8 * byte))) << (8 * i);
    }
    return result;
}

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(x); }
static inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned((uint64_t(a) * b) >> 32);
}
static inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

// Per byte, wrapping.
static inline unsigned __vadd4(unsigned a, unsigned b) {
    return ((a & 0x7f7f7f7f) + (b & 0x7f7f7f7f)) ^ ((a ^ b) & 0x80808080);
}
static inline unsigned __vsub4(unsigned a, unsigned b) {
    return ((a | 0x80808080) - (b & 0x7f7f7f7f)) ^ ((a ^ ~b) & 0x80808080);
}
