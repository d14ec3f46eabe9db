// The host's side of `kernels/simt.cuh`: CUDA's words, built-in functions and
// the wrapped instructions, run on the processor so that kernels are tested
// without a GPU. Used in tests alone.
//
// - types.hpp: keywords, vector types and functions of one thread;
// - block.hpp: threads of a block as fibers, their scheduling, the barriers;
// - warp.hpp: shuffles, votes and reductions; atomics;
// - memory.hpp: shared memory, cp.async, ldmatrix;
// - mma.hpp: matrix fragments;
// - launch.hpp: a grid;
// - hopper.hpp, for `kernels/hopper.cuh` alone: a cluster of two blocks, mbarriers,
//   bulk tensor copies, wgmma.
//
// Not emulated: caches and the memory model (every write is seen at once by
// all fibers: only the order of threads between two places where they may
// switch is varied), other blocks that run at the same time and wait for each
// other, floating-point intrinsics.
#pragma once

#include "types.hpp"

#include "block.hpp"
#include "memory.hpp"
#include "mma.hpp"
#include "warp.hpp"
