// Included by every kernel; the only header that a kernel needs.
//
// Compiled by NVRTC (or nvcc), it provides integer types, because NVRTC has no
// standard library. It also provides small functions around the PTX
// instructions that CUDA C++ has no name for. Compiled for the host with
// POAI_HOST, the same names come from `poai-testing/emulated/shim`, for the
// processor. CUDA's own built-in functions (`__shfl_sync`, `__dp4a`,
// `atomicMin`, ...) are used under their own names in both.
//
// All 32 lanes must call every function here that is of a warp.
#pragma once

#ifdef POAI_HOST

#include "simt.hpp"

#else

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

static_assert(sizeof(void*) == 8, "64-bit addresses");

// The capability that code is compiled for, as in 800 for 8.0. A macro of its
// own, because the host has one, too.
#ifdef __CUDA_ARCH__
#define POAI_ARCH __CUDA_ARCH__
#else
#define POAI_ARCH 0
#endif

// Dynamic shared memory, as `type name[]`. One per kernel: all such names are
// the same memory.
extern __shared__ __align__(1024) unsigned char simt_dynamic_shared[];
#define SHARED_DYNAMIC(type, name) type* const name = reinterpret_cast<type*>(simt_dynamic_shared)

// A place where the host may switch threads. Put it between accesses to shared
// memory that are assumed not to need a barrier.
#define SIMT_POINT() ((void)0)

__device__ __forceinline__ uint32_t shared_address(const void* shared) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// Barrier `id` (1 to 15; 0 is __syncthreads) of `threads` threads, whole warps.
__device__ __forceinline__ void named_barrier_sync(uint32_t id, uint32_t threads) {
    asm volatile("barrier.sync.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// The XOR of the warp's values, in every lane.
__device__ __forceinline__ uint32_t warp_xor(uint32_t value) {
#if POAI_ARCH >= 800
    return __reduce_xor_sync(0xffffffffu, value);
#else
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        value ^= __shfl_xor_sync(0xffffffffu, value, distance);
    }
    return value;
#endif
}

#if POAI_ARCH >= 800

// Copies 16 bytes from global to shared memory, both aligned to 16. The copy
// arrives before the end of a wait that includes its group. Not cached in L1.
__device__ __forceinline__ void cp_async16(void* shared, const void* global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
                 "l"(global)
                 : "memory");
}

// Copies 16 bytes, of which only the first `bytes` (0 to 16) are read; the rest
// are written as zeros.
__device__ __forceinline__ void cp_async16_zfill(void* shared, const void* global,
                                                 uint32_t bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(bytes)
                 : "memory");
}

// Closes the group of this thread's copies since the last call; it may be empty.
__device__ __forceinline__ void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits for all groups of this thread except the newest `pending`. Other
// threads see the bytes after a later barrier.
template <int pending>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// `d += a·b` of a 16×32 A (row) and a 32×8 B (col) of i8 in i32 (16×8), modulo 2^32.
// Fragments: PTX ISA, "Matrix Fragments for mma.m16n8k32"; see the shim's mma.hpp.
__device__ __forceinline__ void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4],
                                                const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif

// Loads 1, 2 or 4 matrices of 8 rows of 16 bytes from shared memory. Lanes 8i
// to 8i + 7 give the addresses of matrix i's rows, aligned to 16 (those of
// lanes beyond the last matrix are not used). Lane l gets, of each matrix, the
// 4 bytes of row l/4 from byte 4·(l mod 4) on. sm_75 and later.
#if POAI_ARCH >= 750

__device__ __forceinline__ void ldmatrix_x1(uint32_t (&to)[1], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(to[0])
                 : "r"(shared_address(row))
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x2(uint32_t (&to)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(shared_address(row))
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The loads with each matrix of 8×8 16-bit elements transposed.
__device__ __forceinline__ void ldmatrix_x1_trans(uint32_t (&to)[1], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(to[0])
                 : "r"(shared_address(row))
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x2_trans(uint32_t (&to)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(to[0]), "=r"(to[1])
                 : "r"(shared_address(row))
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

#endif

#endif
