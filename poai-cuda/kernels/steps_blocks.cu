// poai: arch compute_61
//
// Products of two values of type 1, item by item and head by head, in training.
// Blocks of 256 threads, as many as there are groups of 8 padded rows of the
// output: a warp makes a row.
#include "training.cuh"

// Rows (item, head, i), columns j, of items of `columns` rows: row i of a with
// row j of b, over the head's columns of the `k` columns of both.
extern "C" __global__ void __launch_bounds__(256)
    step_block_scores(const int8_t* a, const int8_t* b, const int32_t* e0, const int32_t* e1,
                      const int32_t* e2, const int32_t* e3, uint32_t modes, int32_t base, void* out,
                      uint32_t type, uint32_t rows, uint32_t columns, uint32_t heads, uint32_t k,
                      int32_t offset, int32_t multiplier, int32_t least, int32_t most) {
    uint32_t row = warp_row(), d = k / heads, stride = row_stride(k, 1);
    bool is_true = row < rows;
    int32_t p = is_true ? shift_of({{e0, e1, e2, e3}, modes, base}, row) : 0;
    uint32_t block = row / columns, i = row % columns;
    uint32_t item = block / heads, head = block % heads;
    const int8_t* own = a + (uint64_t(item) * columns + i) * stride + head * d;
    const int8_t* others = b + uint64_t(item) * columns * stride + head * d;
    // Four entries at a time, if heads begin at words: offsets are at most 64,
    // so sums fit a byte.
    bool by_words = d % 4 == 0;
    uint32_t offsets = uint32_t(offset) * 0x01010101u;
    row_store(out, type, is_true, columns, [=](uint32_t column) {
        const int8_t* other = others + uint64_t(column) * stride;
        int32_t sum = 0;
        if (by_words) {
            const uint32_t* own_words = reinterpret_cast<const uint32_t*>(own);
            const int* words = reinterpret_cast<const int*>(other);
            for (uint32_t word = 0; word < d / 4; word++) {
                sum = __dp4a(int(__vadd4(own_words[word], offsets)), words[word], sum);
            }
        } else {
            for (uint32_t at = 0; at < d; at++) {
                sum += (own[at] + offset) * other[at];
            }
        }
        return clamp(shift_nearest(int64_t(sum) * multiplier, p), least, most);
    });
}

// Rows (item, i), columns (head, channel): the rows of b of the item, weighted by
// row i of the head's block of a or, if `back` is not 0, by its column i. Items
// have `item_rows` rows in b, and `heads` blocks of as many rows of `item_rows`
// columns in a.
extern "C" __global__ void __launch_bounds__(256)
    step_block_mix(const int8_t* a, const int8_t* b, const int32_t* e0, const int32_t* e1,
                   const int32_t* e2, const int32_t* e3, uint32_t modes, int32_t base, void* out,
                   uint32_t type, uint32_t rows, uint32_t columns, uint32_t item_rows,
                   uint32_t heads, uint32_t back, int32_t offset, int32_t multiplier, int32_t least,
                   int32_t most) {
    uint32_t row = warp_row(), d = columns / heads;
    uint32_t a_stride = row_stride(item_rows, 1), b_stride = row_stride(columns, 1);
    bool is_true = row < rows;
    int32_t p = is_true ? shift_of({{e0, e1, e2, e3}, modes, base}, row) : 0;
    uint32_t item = row / item_rows, i = row % item_rows;
    const int8_t* blocks = a + uint64_t(item) * heads * item_rows * a_stride;
    const int8_t* values = b + uint64_t(item) * item_rows * b_stride;
    // From one weight of this row to the next.
    uint64_t first = back != 0 ? i : uint64_t(i) * a_stride;
    uint64_t step = back != 0 ? a_stride : 1;
    row_store(out, type, is_true, columns, [=](uint32_t column) {
        const int8_t* weight = blocks + uint64_t(column / d) * item_rows * a_stride + first;
        const int8_t* value = values + column;
        int32_t sum = 0;
        for (uint32_t j = 0; j < item_rows; j++) {
            sum += (*weight + offset) * *value;
            weight += step;
            value += b_stride;
        }
        return clamp(shift_nearest(int64_t(sum) * multiplier, p), least, most);
    });
}
