// poai: arch compute_61
// poai: sass IDP
//
// Products of groups of columns with weights, and products of two values block
// by block, each with the arithmetic that follows it. Blocks of 256 threads, as
// many as there are groups of 8 padded rows of the output: a warp makes a row,
// and every lane computes its own sums.
#include "steps.cuh"

// `weights` are columns×k of type 1, and x has groups·k columns of type 1.
// Channels are columns×3 (before, multiplier, after), `scales` one a row or
// null.
extern "C" __global__ void __launch_bounds__(256)
    step_group_linear(const int8_t* x, const int8_t* weights, const int32_t* channels,
                      const int32_t* scales, void* out, uint32_t type, uint32_t rows,
                      uint32_t columns, uint32_t groups, uint32_t k, uint32_t shift0,
                      uint32_t shift1, uint32_t shift2, int32_t least, int32_t most) {
    uint32_t row = warp_row();
    bool is_true = row < rows, scaled = scales != nullptr;
    int32_t scale = is_true && scaled ? scales[row] : 0;
    Requantise how = {shift0, shift1, shift2, least, most, scaled, scale};
    uint32_t each = columns / groups, stride = row_stride(k, 1);
    const int8_t* own = x + uint64_t(row) * row_stride(groups * k, 1);
    bool by_words = k % 4 == 0;
    row_store(out, type, is_true, columns, [=](uint32_t column) {
        const int8_t* other = weights + uint64_t(column) * stride;
        int32_t sum = dot(own + column / each * k, other, k, by_words);
        return requantise(sum, channels + uint64_t(column) * 3, how);
    });
}

// Row i of a block of a with row j of the same block of b: `own_rows` and
// `columns` rows of k columns of type 1 in each block.
extern "C" __global__ void __launch_bounds__(256)
    step_product(const int8_t* a, const int8_t* b, void* out, uint32_t type, uint32_t rows,
                 uint32_t columns, uint32_t own_rows, uint32_t k, uint32_t shift, int32_t least,
                 int32_t most) {
    uint32_t row = warp_row(), stride = row_stride(k, 1);
    const int8_t* own = a + uint64_t(row) * stride;
    const int8_t* block = b + uint64_t(row / own_rows) * columns * stride;
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        // Padding is zeros, and rows begin at words.
        int32_t sum = dot(own, block + uint64_t(column) * stride, stride, true);
        return clamp(rsh(sum, shift), least, most);
    });
}
