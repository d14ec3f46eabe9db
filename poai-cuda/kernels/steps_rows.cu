// poai: arch compute_61
//
// Steps whose entries come from the same row of their inputs, and look-ups of
// rows. Every kernel here takes blocks of 256 threads, as many as there are
// groups of 8 padded rows of the output: a warp makes a row.
#include "steps.cuh"

// Requantises the sums of a product. Sums are rows of `sums_stride` entries,
// channels columns×3 (before, multiplier, after), `scales` one a row or null.
extern "C" __global__ void __launch_bounds__(256)
    step_linear(const int32_t* sums, uint32_t sums_stride, const int32_t* channels,
                const int32_t* scales, void* out, uint32_t type, uint32_t rows, uint32_t columns,
                uint32_t shift0, uint32_t shift1, uint32_t shift2, int32_t least, int32_t most) {
    uint32_t row = warp_row();
    bool is_true = row < rows, scaled = scales != nullptr;
    int32_t scale = is_true && scaled ? scales[row] : 0;
    Requantise how = {shift0, shift1, shift2, least, most, scaled, scale};
    row_store(out, type, is_true, columns, [=](uint32_t column) {
        int32_t sum = sums[uint64_t(row) * sums_stride + column];
        return requantise(sum, channels + uint64_t(column) * 3, how);
    });
}

extern "C" __global__ void __launch_bounds__(256)
    step_add(const void* a, uint32_t a_type, const void* b, uint32_t b_type, void* out,
             uint32_t type, uint32_t rows, uint32_t columns, int32_t m0, int32_t m1, uint32_t shift,
             int32_t least, int32_t most) {
    uint32_t row = warp_row();
    uint64_t a_start = uint64_t(row) * row_stride(columns, a_type);
    uint64_t b_start = uint64_t(row) * row_stride(columns, b_type);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int64_t left = int64_t(entry_load(a, a_type, a_start + column)) * m0;
        int64_t right = int64_t(entry_load(b, b_type, b_start + column)) * m1;
        return clamp(rsh(add_saturating(left, right), shift), least, most);
    });
}

extern "C" __global__ void __launch_bounds__(256)
    step_requantise(const void* x, uint32_t x_type, void* out, uint32_t type, uint32_t rows,
                    uint32_t columns, int32_t multiplier, uint32_t shift, int32_t least,
                    int32_t most) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int32_t entry = entry_load(x, x_type, start + column);
        return clamp(rsh_product(entry, multiplier, shift), least, most);
    });
}

extern "C" __global__ void __launch_bounds__(256)
    step_mul(const void* a, uint32_t a_type, const void* b, uint32_t b_type, void* out,
             uint32_t type, uint32_t rows, uint32_t columns, uint32_t shift, int32_t least,
             int32_t most) {
    uint32_t row = warp_row();
    uint64_t a_start = uint64_t(row) * row_stride(columns, a_type);
    uint64_t b_start = uint64_t(row) * row_stride(columns, b_type);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int32_t left = entry_load(a, a_type, a_start + column);
        int32_t right = entry_load(b, b_type, b_start + column);
        return clamp(rsh_product(left, right, shift), least, most);
    });
}

// `scales` are columns×1.
extern "C" __global__ void __launch_bounds__(256)
    step_scale_columns(const void* x, uint32_t x_type, const int32_t* scales, void* out,
                       uint32_t type, uint32_t rows, uint32_t columns, uint32_t shift,
                       int32_t least, int32_t most) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int32_t entry = entry_load(x, x_type, start + column);
        return clamp(rsh_product(entry, scales[column], shift), least, most);
    });
}

extern "C" __global__ void __launch_bounds__(256)
    step_relu(const void* x, void* out, uint32_t type, uint32_t rows, uint32_t columns) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, type);
    row_store(out, type, row < rows, columns,
              [=](uint32_t column) { return max(entry_load(x, type, start + column), 0); });
}

// `table` is 256×1 of the output's type; `pass` passes values above its end.
extern "C" __global__ void __launch_bounds__(256)
    step_table(const void* x, uint32_t x_type, const void* table, void* out, uint32_t type,
               uint32_t rows, uint32_t columns, uint32_t shift, uint32_t pass) {
    __shared__ int32_t entries[256];
    entries[threadIdx.x] = column_load(table, type, threadIdx.x);
    __syncthreads();
    const int32_t* found = entries;
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int32_t entry = entry_load(x, x_type, start + column);
        // A shift by more than 31 leaves only the sign, too.
        int64_t index = int64_t(entry >> min(shift, 31u)) + 128;
        return pass != 0 && index > 255 ? sat_type(entry, type) : found[clamp(index, 0, 255)];
    });
}

// `points` are 257×1 of type 2, as is `out`; `pass` passes values above their
// end.
extern "C" __global__ void __launch_bounds__(256)
    step_curve(const void* x, uint32_t x_type, const int16_t* points, int16_t* out, uint32_t rows,
               uint32_t columns, uint32_t shift, uint32_t pass) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    row_store(out, 2, row < rows, columns, [=](uint32_t column) {
        int32_t entry = entry_load(x, x_type, start + column);
        int64_t t = max(int64_t(entry) + (int64_t(128) << shift), int64_t(0)), j = t >> shift;
        if (j >= 256) {
            return pass != 0 ? sat16(entry) : int32_t(points[256]);
        }
        int32_t from = points[j], rise = int32_t(points[j + 1]) - from;
        int32_t rest = int32_t(t & ((int64_t(1) << shift) - 1));
        return from + int32_t(rsh_product(rise, rest, shift));
    });
}

// `out` is rows×1 of i32.
extern "C" __global__ void __launch_bounds__(256)
    step_row_scale(const void* x, uint32_t x_type, int32_t* out, uint32_t rows, uint32_t columns) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    int32_t most = 1;
    if (row < rows) {
        for (uint32_t column = lane; column < columns; column += 32) {
            int64_t entry = entry_load(x, x_type, start + column);
            most = max(most, sat32(entry < 0 ? -entry : entry));
        }
    }
    most = warp_max(most);
    if (lane == 0) {
        out[row] = row < rows ? most : 0;
    }
}

// `scales` are rows×1, `out` of type 1.
extern "C" __global__ void __launch_bounds__(256)
    step_quantise(const void* x, uint32_t x_type, const int32_t* scales, int8_t* out, uint32_t rows,
                  uint32_t columns) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    // The dividend is at most 63·2^20 and 2^30.
    uint32_t scale = row < rows ? uint32_t(max(scales[row], 1)) : 1;
    int32_t reciprocal = int32_t(((63u << 20) + scale / 2) / scale);
    row_store(out, 1, row < rows, columns, [=](uint32_t column) {
        int32_t entry = entry_load(x, x_type, start + column);
        return clamp(rsh_product(entry, reciprocal, 20), -64, 63);
    });
}

// All of type 2. Row i of the table is added to row i of every item, and an
// item has `item_rows` rows.
extern "C" __global__ void __launch_bounds__(256)
    step_add_rows(const int16_t* x, const int16_t* table, int16_t* out, uint32_t rows,
                  uint32_t columns, uint32_t item_rows) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * columns, added = uint64_t(row % item_rows) * columns;
    row_store(out, 2, row < rows, columns, [=](uint32_t column) {
        return sat16(int64_t(x[start + column]) + table[added + column]);
    });
}

// `ids` are rows×1. The table has `table_rows` rows of type 1 and the same
// number of scales; `out` is of type 2. If a row's id is not a row of the
// table, its output is zeros, and `error` becomes the minimum of itself and the
// row's number.
extern "C" __global__ void __launch_bounds__(256)
    step_embed(const int32_t* ids, const int8_t* table, const int32_t* scales, int16_t* out,
               uint32_t rows, uint32_t columns, uint32_t table_rows, uint32_t shift,
               uint32_t* error) {
    uint32_t row = warp_row();
    uint32_t id = row < rows ? uint32_t(ids[row]) : 0;
    // A negative id is a large unsigned number.
    bool found = row < rows && id < table_rows;
    if (row < rows && !found && threadIdx.x % 32 == 0) {
        atomicMin(error, row);
    }
    int32_t scale = found ? scales[id] : 0;
    uint64_t start = uint64_t(id) * row_stride(columns, 1);
    row_store(out, 2, found, columns, [=](uint32_t column) {
        return sat16(rsh_product(table[start + column], scale, shift));
    });
}
