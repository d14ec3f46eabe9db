// The block of the product that a thread block computes.
#pragma once

#include "simt.cuh"

struct Place {
    uint32_t row, column;  // of blocks
};

// Blocks go down a band of `band` block rows before they go one block to the
// right. Concurrent blocks then cover an area near a square, and share most of
// their rows of A' and of B'ᵀ in the second-level cache. With rows first, 128
// concurrent blocks would read 128 strips of one side.
__device__ __forceinline__ Place place_of(uint32_t index, uint32_t rows, uint32_t columns,
                                          uint32_t band) {
    uint32_t first = index / (band * columns) * band;
    uint32_t height = min(band, rows - first);
    uint32_t within = index - first * columns;
    return {first + within % height, within / height};
}
