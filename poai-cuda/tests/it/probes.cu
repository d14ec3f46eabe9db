// Kernels that test the shim: some right, some wrong on purpose.
#include "simt.cuh"

// Sums a block's values by a tree in shared memory, without its barriers if
// `racy` is set.
static __device__ void sum_tree(const uint32_t* from, uint32_t* to, bool racy) {
    SHARED_DYNAMIC(uint32_t, sums);
    uint32_t i = threadIdx.x;
    sums[i] = from[blockIdx.x * blockDim.x + i];
    for (uint32_t half = blockDim.x / 2; half > 0; half /= 2) {
        if (!racy) {
            __syncthreads();
        }
        if (i < half) {
            sums[i] += sums[i + half];
        }
    }
    if (i == 0) {
        to[blockIdx.x] = sums[0];
    }
}
extern "C" __global__ void sum_right(const uint32_t* from, uint32_t* to) {
    sum_tree(from, to, false);
}
extern "C" __global__ void sum_racy(const uint32_t* from, uint32_t* to) {
    sum_tree(from, to, true);
}

// Reverses a block in static shared memory. If `unwritten` is 1, it reads one
// word that was never written.
extern "C" __global__ void __launch_bounds__(64) reverse(const uint32_t* from, uint32_t* to,
                                                         uint32_t unwritten) {
    __shared__ uint32_t words[65];
    words[threadIdx.x] = from[threadIdx.x];
    __syncthreads();
    to[threadIdx.x] = words[63 - threadIdx.x + (threadIdx.x == 0 ? unwritten : 0)];
}

extern "C" __global__ void exits_early(uint32_t* to) {
    to[threadIdx.x] = 0;
    if (threadIdx.x >= 40) {
        return;
    }
    __syncthreads();
}

extern "C" __global__ void parts(uint32_t* to) {
    to[threadIdx.x] = 0;
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

extern "C" __global__ void votes_alone(uint32_t* to) {
    to[threadIdx.x] = 0;
    if (threadIdx.x % 32 != 5) {
        to[threadIdx.x] = __ballot_sync(0xffffffffu, 1);
    }
}

extern "C" __global__ void strays(uint32_t* to, const uint32_t* from, uint64_t at, uint32_t how) {
    if (how == 0) {
        to[at] = 1;
    } else if (how == 1) {
        const_cast<uint32_t*>(from)[at] = 1;
    } else {
        to[0] = from[at];
    }
}

// Uses more local memory than a fiber's stack, page by page from its end.
extern "C" __global__ void deep(uint32_t* to) {
    volatile uint32_t local[5 << 14];
    for (uint32_t i = 5 << 14; i > 0; i -= 1024) {
        local[i - 1] = i;
    }
    to[0] = local[1023];
}

extern "C" __global__ void vector(const uint8_t* from, uint4* to, uint64_t at) {
    to[0] = *reinterpret_cast<const uint4*>(from + at);
}

// One word per function and thread.
extern "C" __global__ void warp_functions(const uint32_t* from, uint32_t* to) {
    uint32_t i = threadIdx.x, value = from[i];
    uint32_t* mine = to + 12 * i;
    mine[0] = __shfl_sync(0xffffffffu, value, (i * 7 + 3) % 32);
    mine[1] = __shfl_up_sync(0xffffffffu, value, 3);
    mine[2] = __shfl_down_sync(0xffffffffu, value, 5, 8);
    mine[3] = __shfl_xor_sync(0xffffffffu, value, 9);
    mine[4] = __ballot_sync(0xffffffffu, value & 1);
    mine[5] = __any_sync(0xffffffffu, value == 0xffffffffu);
    mine[6] = warp_xor(value);
    mine[7] = __dp4a(int(value), int(from[i ^ 1]), int(i));
    mine[8] = __funnelshift_l(value, from[i ^ 1], i);
    mine[9] = __byte_perm(value, from[i ^ 1], 0x7250);
    // Half warps by themselves.
    uint32_t mask = i % 32 < 16 ? 0xffffu : 0xffff0000u;
    mine[10] = i % 32 < 16 ? __shfl_xor_sync(mask, value, 1) : __shfl_xor_sync(mask, value, 2);
    __syncwarp();
    mine[11] = uint32_t(__shfl_sync(0xffffffffu, uint64_t(value) << 32, 0) >> 32);
}

extern "C" __global__ void atomics(uint32_t* words, uint64_t* least, uint32_t* claimed) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&words[0], i);
    atomicXor(&words[1], i * i);
    atomicMax(&words[2], i);
    atomicMin(least, uint64_t(1000 - i) << 32);
    if (atomicCAS(&claimed[i / 2], 0, 1) == 0) {
        atomicAdd(&words[3], 1);
    }
    atomicExch(&words[4], 7);
}

// Two stages of cp.async; each thread hands on its neighbour's bytes. `wrong`:
// 0 is right, 1 waits for one group too few, 2 has no barrier before it reads,
// 3 has no barrier before it overwrites what others read, 4 does not wait at
// the end.
extern "C" __global__ void pipeline(const uint8_t* from, uint8_t* to, uint32_t stages,
                                    uint32_t wrong) {
    SHARED_DYNAMIC(uint8_t, buffer);
    uint32_t i = threadIdx.x, row = 16 * blockDim.x;
    for (uint32_t s = 0; s < 2; s++) {
        cp_async16(buffer + s * row + 16 * i, from + s * row + 16 * i);
        cp_async_commit();
    }
    for (uint32_t s = 0; s < stages; s++) {
        if (wrong == 1) {
            cp_async_wait<2>();
        } else {
            cp_async_wait<1>();
        }
        if (wrong != 2) {
            __syncthreads();
        }
        const uint4* other = reinterpret_cast<const uint4*>(buffer + s % 2 * row);
        reinterpret_cast<uint4*>(to + s * row)[i] = other[(i + 1) % blockDim.x];
        if (wrong != 3) {
            __syncthreads();
        }
        if (s + 2 < stages) {
            uint32_t bytes = s + 3 == stages ? 5 : 16;
            cp_async16_zfill(buffer + s % 2 * row + 16 * i, from + (s + 2) * row + 16 * i, bytes);
        } else if (wrong == 4) {
            cp_async16(buffer + s % 2 * row + 16 * i, from);
        }
        cp_async_commit();
    }
    if (wrong != 4) {
        cp_async_wait<0>();
    }
}

extern "C" __global__ void misaligned(const uint8_t* from, uint32_t offset) {
    SHARED_DYNAMIC(uint8_t, buffer);
    cp_async16(buffer + offset, from);
    cp_async_commit();
    cp_async_wait<0>();
}

// A 16×32 times B (8×32, each row a column of the product), added to C.
extern "C" __global__ void multiply(const int8_t* a, const int8_t* b, int32_t* c) {
    uint32_t group = threadIdx.x / 4, t = threadIdx.x % 4;
    uint32_t fa[4], fb[2];
    int32_t fc[4];
    for (uint32_t i = 0; i < 4; i++) {
        const int8_t* at = a + (group + i % 2 * 8) * 32 + 4 * t + i / 2 * 16;
        fa[i] = *reinterpret_cast<const uint32_t*>(at);
        fc[i] = c[(group + i / 2 * 8) * 8 + 2 * t + i % 2];
    }
    for (uint32_t i = 0; i < 2; i++) {
        fb[i] = *reinterpret_cast<const uint32_t*>(b + group * 32 + 4 * t + 16 * i);
    }
    mma_m16n8k32_s8(fc, fa, fb);
    for (uint32_t i = 0; i < 4; i++) {
        c[(group + i / 2 * 8) * 8 + 2 * t + i % 2] = fc[i];
    }
}

// The product as in `multiply`, with both operands through shared memory and
// ldmatrix, whose matrices of 8 rows × 16 bytes are the registers of the
// fragments.
extern "C" __global__ void multiply_ldmatrix(const uint4* a, const uint4* b, int32_t* c) {
    __shared__ uint4 rows_a[32], rows_b[16];
    uint32_t lane = threadIdx.x;
    rows_a[lane] = a[lane];
    if (lane < 16) {
        rows_b[lane] = b[lane];
    }
    __syncwarp();
    uint32_t fa[4], fb[2];
    int32_t fc[4];
    ldmatrix_x4(fa, &rows_a[(lane % 16) * 2 + lane / 16]);
    ldmatrix_x2(fb, &rows_b[(lane % 8) * 2 + lane / 8 % 2]);
    for (uint32_t i = 0; i < 4; i++) {
        fc[i] = c[(lane / 4 + i / 2 * 8) * 8 + 2 * (lane % 4) + i % 2];
    }
    mma_m16n8k32_s8(fc, fa, fb);
    for (uint32_t i = 0; i < 4; i++) {
        c[(lane / 4 + i / 2 * 8) * 8 + 2 * (lane % 4) + i % 2] = fc[i];
    }
}

// Four 8×8 matrices of 16-bit elements, unchanged and transposed.
extern "C" __global__ void load_matrices(const uint4* rows, uint32_t* plain, uint32_t* turned) {
    __shared__ uint4 shared[32];
    uint32_t lane = threadIdx.x, four[4], two[2], one[1];
    shared[lane] = rows[lane];
    __syncwarp();
    ldmatrix_x4(four, &shared[lane]);
    ldmatrix_x1(one, &shared[lane % 8]);
    for (uint32_t i = 0; i < 4; i++) {
        plain[lane * 5 + i] = four[i];
    }
    plain[lane * 5 + 4] = one[0];
    ldmatrix_x4_trans(four, &shared[lane]);
    ldmatrix_x2_trans(two, &shared[16 + lane % 16]);
    for (uint32_t i = 0; i < 4; i++) {
        turned[lane * 6 + i] = four[i];
    }
    turned[lane * 6 + 4] = two[0];
    turned[lane * 6 + 5] = two[1];
}

// Warps 0 and 1 meet at a barrier that warp 2 does not reach.
extern "C" __global__ void pairs(uint32_t* to) {
    __shared__ uint32_t word;
    if (threadIdx.x == 0) {
        word = 77;
    }
    if (threadIdx.x < 64) {
        named_barrier_sync(1, 64);
        to[threadIdx.x] = word;
    } else {
        to[threadIdx.x] = 1;
    }
}

// The position of every thread of a three-dimensional grid.
extern "C" __global__ void where(uint32_t* to) {
    uint32_t block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    uint32_t thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    to[block * blockDim.x * blockDim.y * blockDim.z + thread] = block << 16 | thread;
}
