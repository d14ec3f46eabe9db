// The host's side of `poai-cuda/kernels/simt.cuh`: CUDA's words, built-in
// functions and the wrapped instructions, run on the processor so that kernels
// are tested without a GPU. Used in tests alone.
//
// - types.hpp: keywords, vector types and functions of one thread;
// - block.hpp: threads of a block as fibers, their scheduling, the barriers;
// - warp.hpp: shuffles, votes and reductions; atomics;
// - memory.hpp: shared memory, cp.async, ldmatrix;
// - mma.hpp: matrix fragments;
// - launch.hpp: a grid; fault.hpp: accesses outside all buffers;
// - hopper.hpp, for `kernels/hopper.cuh` alone: a cluster of two blocks, mbarriers,
//   bulk tensor copies, wgmma.
//
// Not emulated: caches and the memory model. Every write is seen at once by
// all fibers: only the order of threads between two places where they may
// switch is varied, and a shuffle or vote joins lanes like __syncwarp, though
// on the device it orders no memory. Nor are there other blocks that run at the
// same time and wait for each other, threads that spin, or floating-point
// functions.
#pragma once

#include "types.hpp"

#include "block.hpp"
#include "memory.hpp"
#include "mma.hpp"
#include "warp.hpp"
