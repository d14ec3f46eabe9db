// Stores sums from the matrix instructions' fragments to memory.
#pragma once

#include "transcript.cuh"

// In a fragment of 8 columns, the four lanes of a row have two columns each. Of
// two adjacent fragments, even lanes get four columns of the first and odd
// lanes four of the second. This halves the stores: each writes 64 bytes of a
// row instead of 32. A lane's four columns begin at `fragment_column`.
__device__ __forceinline__ int4 fragments_join(const int32_t* first, const int32_t* second) {
    bool odd = threadIdx.x % 2 != 0;
    int32_t left = __shfl_xor_sync(0xffffffffu, odd ? first[0] : second[0], 1);
    int32_t right = __shfl_xor_sync(0xffffffffu, odd ? first[1] : second[1], 1);
    return odd ? make_int4(left, right, second[0], second[1])
               : make_int4(first[0], first[1], left, right);
}

__device__ __forceinline__ uint32_t fragment_column() {
    return threadIdx.x % 2 * 8 + threadIdx.x % 4 / 2 * 4;
}

// Streaming: the cache is for the operands.
__device__ __forceinline__ void store_sums(int32_t* to, int4 sums) {
    __stcs(reinterpret_cast<int4*>(to), sums);
}
