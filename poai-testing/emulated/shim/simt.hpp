// The host's side of `poai-cuda/kernels/simt.cuh`: CUDA's keywords, built-in
// functions and the wrapped instructions. They run on the processor, so that
// kernels are tested without a GPU. Used only in tests.
//
// - types.hpp: keywords, vector types and functions of one thread;
// - block.hpp: threads of a block as fibers, their scheduling, the barriers;
// - warp.hpp: shuffles, votes and reductions; atomics;
// - memory.hpp: shared memory, cp.async, ldmatrix;
// - mma.hpp: matrix fragments;
// - launch.hpp: a grid; fault.hpp: accesses outside all buffers;
// - hopper.hpp, only for `kernels/hopper.cuh`: a cluster of two blocks,
//   mbarriers, bulk tensor copies, wgmma.
//
// Not emulated: caches and the memory model. All fibers see every write at
// once. Only the order of threads between two places where they may switch
// varies. A shuffle or vote joins lanes like __syncwarp, although on the device
// it orders no memory. Blocks that run at the same time and wait for each
// other, threads that spin, and floating-point functions are not emulated
// either.
#pragma once

#include "types.hpp"

#include "block.hpp"
#include "memory.hpp"
#include "mma.hpp"
#include "warp.hpp"
