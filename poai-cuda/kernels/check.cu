// poai: arch compute_61
// poai: sass IDP

// Computes a sum whose answer the CPU knows (`kernels::check_answer`). The
// backend checks it before it uses a GPU and its driver for work that pays. It
// covers global reads, the dot product, shuffles, shared memory, a barrier and
// an atomic.
//
// A one-dimensional grid of any number of blocks of 256 threads. `*answer` is
// zero before the launch and the answer after it.
extern "C" __global__ void __launch_bounds__(256)
check(const int *a, const int *b, unsigned words, unsigned *answer)
{
    __shared__ unsigned warps[8];
    const unsigned thread = threadIdx.x;
    unsigned folded = 0;
    for (unsigned i = blockIdx.x * 256 + thread; i < words; i += gridDim.x * 256) {
        const unsigned sum = (unsigned)__dp4a(a[i], b[i], (int)i);
        // By 1 to 31: a shift by 32 is undefined.
        const unsigned by = 1 + i % 31;
        folded ^= sum << by | sum >> (32 - by);
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        folded ^= __shfl_xor_sync(0xffffffffu, folded, distance);
    }
    if (thread % 32 == 0) {
        warps[thread / 32] = folded;
    }
    __syncthreads();
    if (thread == 0) {
        for (int warp = 1; warp < 8; warp++) {
            folded ^= warps[warp];
        }
        atomicXor(answer, folded);
    }
}
