// Hopper's own instructions: barriers in shared memory, bulk tensor copies,
// clusters, and matrix instructions of a warpgroup. For sm_90a only. On the
// host they are in the shim's `hopper.hpp`, where one block of threads is a
// cluster.
#pragma once

#include "simt.cuh"

#ifdef POAI_HOST

#include "hopper.hpp"

#else

// The map that the driver's cuTensorMapEncodeTiled makes; a kernel's parameter.
struct __align__(64) TensorMap {
    uint64_t opaque[16];
};

__device__ __forceinline__ void tensor_map_prefetch(const TensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// ---- Barriers in shared memory, by their 32-bit address ---------------------

__device__ __forceinline__ void mbarrier_init(uint32_t barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

// Call it after all are initialised, and before a barrier of the cluster.
// Copies and other blocks of the cluster then see the barriers.
__device__ __forceinline__ void mbarrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Arrives, and makes the phase wait for `bytes` bytes of copies.
__device__ __forceinline__ void mbarrier_expect(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
                 "r"(bytes)
                 : "memory");
}

// Arrives at the same barrier of block `rank` of the cluster. Between blocks it
// orders only copies and matrix instructions: the scope of a cluster would cost
// a fence of the whole device each time.
__device__ __forceinline__ void mbarrier_arrive_at(uint32_t barrier, uint32_t rank) {
    asm volatile(
        "{\n"
        ".reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n"
        "}" ::"r"(barrier),
        "r"(rank)
        : "memory");
}

// Waits until the phase of this parity has ended. For a new barrier, the phase
// before the first, of parity 1, has ended.
__device__ __forceinline__ void mbarrier_wait(uint32_t barrier, uint32_t parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(barrier),
        "r"(parity)
        : "memory");
}

// ---- Blocks and clusters ----------------------------------------------------

__device__ __forceinline__ uint32_t thread_of_block() { return threadIdx.x; }

// All dynamic shared memory of the block, aligned to 1024.
__device__ __forceinline__ uint8_t* memory_of_block() {
    SHARED_DYNAMIC(uint8_t, shared);
    return shared;
}

// Barrier `id` (1 to 7) of `threads` threads of the block, whole warps.
__device__ __forceinline__ void block_barrier_sync(uint32_t id, uint32_t threads) {
    named_barrier_sync(id, threads);
}

// Arrives at the barrier, and does not wait.
__device__ __forceinline__ void block_barrier_arrive(uint32_t id, uint32_t threads) {
    asm volatile("barrier.arrive.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// For a one-dimensional grid and clusters of `blocks` blocks.
template <int blocks>
__device__ __forceinline__ uint32_t cluster_index() {
    return blockIdx.x / blocks;
}

template <int blocks>
__device__ __forceinline__ uint32_t cluster_count() {
    return gridDim.x / blocks;
}

__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// A barrier of all threads of the cluster. Whole warps arrive: diverged lanes
// are joined first.
__device__ __forceinline__ void cluster_sync() {
    __syncwarp();
    asm volatile(
        "barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
            : "memory");
}

// ---- Copies -----------------------------------------------------------------

// Starts the copy of a map's box at (column, row) to shared memory, which
// counts its bytes at the barrier. Called by one thread.
__device__ __forceinline__ void tensor_copy(uint32_t shared, const TensorMap& map, uint32_t column,
                                            uint32_t row, uint32_t barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared),
        "l"(&map), "r"(barrier), "r"(column), "r"(row)
        : "memory");
}

// Starts the copy to the same place in each block of the cluster whose bit is
// set, counted at the barrier of each.
__device__ __forceinline__ void tensor_copy_to(uint16_t blocks, uint32_t shared,
                                               const TensorMap& map, uint32_t column,
                                               uint32_t row, uint32_t barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%0], [%1, {%4, %5}], [%2], %3;" ::"r"(shared),
        "l"(&map), "r"(barrier), "h"(blocks), "r"(column), "r"(row)
        : "memory");
}

// ---- Matrix instructions of a warpgroup -------------------------------------

// Describes rows of 128 bytes in shared memory as a tensor copy with the
// 128-byte swizzle leaves them: 8 rows a group, groups 1024 bytes apart. Adding
// 2 moves 32 bytes along the rows.
__device__ __forceinline__ uint64_t wgmma_rows(uint32_t shared) {
    return uint64_t(shared >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 |
           uint64_t(1) << 62;
}

// Before the first instruction after other code wrote registers of sums.
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int pending>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// The compiler assumes that sums are written when the instruction is issued:
// this keeps their uses after the wait before it.
__device__ __forceinline__ void wgmma_hold(int32_t (&d)[128]) {
#pragma unroll
    for (int i = 0; i < 128; i++) {
        asm volatile("" : "+r"(d[i])::"memory");
    }
}

// `d = a·bᵀ`, or `d += a·bᵀ` if `add` is not 0, of 64 rows of A and 256 of B,
// 32 columns of i8 each, in i32 modulo 2^32. Warp w of the four has rows 16w to
// 16w + 15. Of these, lane l has rows l/4 (d[4j], d[4j + 1]) and l/4 + 8 (d[4j
// + 2], d[4j + 3]), at columns 8j + 2·(l mod 4) and the one after.
__device__ __forceinline__ void wgmma_m64n256k32(int32_t (&d)[128], uint64_t a, uint64_t b,
                                                 uint32_t add) {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "setp.ne.b32 p, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        " %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        " %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        " %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        " %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        " %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        " %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        " %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
        "%128, %129, p;\n"
        "}"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
          "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
          "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21]), "+r"(d[22]), "+r"(d[23]),
          "+r"(d[24]), "+r"(d[25]), "+r"(d[26]), "+r"(d[27]), "+r"(d[28]), "+r"(d[29]), "+r"(d[30]), "+r"(d[31]),
          "+r"(d[32]), "+r"(d[33]), "+r"(d[34]), "+r"(d[35]), "+r"(d[36]), "+r"(d[37]), "+r"(d[38]), "+r"(d[39]),
          "+r"(d[40]), "+r"(d[41]), "+r"(d[42]), "+r"(d[43]), "+r"(d[44]), "+r"(d[45]), "+r"(d[46]), "+r"(d[47]),
          "+r"(d[48]), "+r"(d[49]), "+r"(d[50]), "+r"(d[51]), "+r"(d[52]), "+r"(d[53]), "+r"(d[54]), "+r"(d[55]),
          "+r"(d[56]), "+r"(d[57]), "+r"(d[58]), "+r"(d[59]), "+r"(d[60]), "+r"(d[61]), "+r"(d[62]), "+r"(d[63]),
          "+r"(d[64]), "+r"(d[65]), "+r"(d[66]), "+r"(d[67]), "+r"(d[68]), "+r"(d[69]), "+r"(d[70]), "+r"(d[71]),
          "+r"(d[72]), "+r"(d[73]), "+r"(d[74]), "+r"(d[75]), "+r"(d[76]), "+r"(d[77]), "+r"(d[78]), "+r"(d[79]),
          "+r"(d[80]), "+r"(d[81]), "+r"(d[82]), "+r"(d[83]), "+r"(d[84]), "+r"(d[85]), "+r"(d[86]), "+r"(d[87]),
          "+r"(d[88]), "+r"(d[89]), "+r"(d[90]), "+r"(d[91]), "+r"(d[92]), "+r"(d[93]), "+r"(d[94]), "+r"(d[95]),
          "+r"(d[96]), "+r"(d[97]), "+r"(d[98]), "+r"(d[99]), "+r"(d[100]), "+r"(d[101]), "+r"(d[102]), "+r"(d[103]),
          "+r"(d[104]), "+r"(d[105]), "+r"(d[106]), "+r"(d[107]), "+r"(d[108]), "+r"(d[109]), "+r"(d[110]), "+r"(d[111]),
          "+r"(d[112]), "+r"(d[113]), "+r"(d[114]), "+r"(d[115]), "+r"(d[116]), "+r"(d[117]), "+r"(d[118]), "+r"(d[119]),
          "+r"(d[120]), "+r"(d[121]), "+r"(d[122]), "+r"(d[123]), "+r"(d[124]), "+r"(d[125]), "+r"(d[126]), "+r"(d[127])
        : "l"(a), "l"(b), "r"(add));
}

// Sets the registers of each thread of the calling warpgroup from here on.
template <int registers>
__device__ __forceinline__ void registers_more() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}

template <int registers>
__device__ __forceinline__ void registers_fewer() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}

#endif
