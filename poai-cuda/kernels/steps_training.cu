// poai: arch compute_61
//
// Steps of training on operands, their products and states: shifts that the run
// computes, updates, and rows that ids name. Unless a kernel's comment differs,
// it takes blocks of 256 threads, as many as there are groups of 8 padded rows
// of the output: a warp makes a row.
#include "training.cuh"

// Scales the sums of a product. Sums are rows of `sums_stride` entries, `bias`
// columns×1 or null. Exponents of rows begin at the first row of the sums.
extern "C" __global__ void __launch_bounds__(256)
    step_scaled_product(const int32_t* sums, uint32_t sums_stride, const int32_t* bias,
                        uint32_t bias_shift, const int32_t* e0, const int32_t* e1,
                        const int32_t* e2, const int32_t* e3, uint32_t modes, int32_t base,
                        void* out, uint32_t type, uint32_t rows, uint32_t columns, int32_t least,
                        int32_t most) {
    uint32_t row = warp_row();
    bool is_true = row < rows;
    int32_t p = is_true ? shift_of({{e0, e1, e2, e3}, modes, base}, row) : 0;
    row_store(out, type, is_true, columns, [=](uint32_t column) {
        int64_t added = bias != nullptr ? rsh(bias[column], bias_shift) : 0;
        int32_t sum = sums[uint64_t(row) * sums_stride + column];
        return clamp(add_saturating(shift_nearest(sum, p), added), least, most);
    });
}

extern "C" __global__ void __launch_bounds__(256)
    step_rescale(const void* x, uint32_t x_type, const int32_t* e0, const int32_t* e1,
                 const int32_t* e2, const int32_t* e3, uint32_t modes, int32_t base, void* out,
                 uint32_t type, uint32_t rows, uint32_t columns, int32_t multiplier, int32_t least,
                 int32_t most) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    bool is_true = row < rows;
    int32_t p = is_true ? shift_of({{e0, e1, e2, e3}, modes, base}, row) : 0;
    row_store(out, type, is_true, columns, [=](uint32_t column) {
        int64_t entry = entry_load(x, x_type, start + column);
        return clamp(shift_nearest(entry * multiplier, p), least, most);
    });
}

// `m` has `count` rows of one column. `out` is one entry: the exponent of the
// largest m or, if `before` is not null, the one that follows the exponent
// there. One block.
extern "C" __global__ void __launch_bounds__(256)
    step_exponent(const int32_t* m, uint32_t count, const int32_t* before, int32_t* out) {
    __shared__ int32_t tops[STEP_WARPS];
    int32_t top = -2147483647 - 1;
    for (uint32_t row = threadIdx.x; row < count; row += STEP_THREADS) {
        top = max(top, m[row]);
    }
    top = warp_max(top);
    if (threadIdx.x % 32 == 0) {
        tops[threadIdx.x / 32] = top;
    }
    __syncthreads();
    if (threadIdx.x >= 32) {
        return;
    }
    // Rows of padding are zeros.
    int32_t found = 0;
    if (threadIdx.x == 0) {
        for (uint32_t warp = 0; warp < STEP_WARPS; warp++) {
            top = max(top, tops[warp]);
        }
        if (before == nullptr) {
            found = max(bits(top) - 6, 0);
        } else if (top >= 63) {
            found = sat32(int64_t(*before) + 1);
        } else if (top < 32) {
            found = max(sat32(int64_t(*before) - (6 - bits(top))), 0);
        } else {
            found = *before;
        }
    }
    out[threadIdx.x] = found;
}

// The exponent of each row of m, which has one column. A thread for each padded
// row of the output.
extern "C" __global__ void __launch_bounds__(256)
    step_row_exponents(const int32_t* m, int32_t* out, uint32_t rows) {
    uint32_t row = blockIdx.x * STEP_THREADS + threadIdx.x;
    if (row < (rows + 31) / 32 * 32) {
        out[row] = row < rows ? max(bits(m[row]) - 6, 0) : 0;
    }
}

// x has `columns` columns, `out` one of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_row_sum(const void* x, uint32_t x_type, int32_t* out, uint32_t rows, uint32_t columns) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    // Fewer than 2^17 entries of 32 bits. A row of padding reads nothing.
    uint32_t end = row < rows ? columns : 0;
    int64_t sum = 0;
    for (uint32_t column = lane; column < end; column += 32) {
        sum += entry_load(x, x_type, start + column);
    }
    sum = warp_sum(sum);
    if (lane == 0) {
        out[row] = sat32(sum);
    }
}

// `ids` are rows×1. The table has `table_rows` rows of the output's type. If a
// row's id is not a row of the table, its output is zeros, and `error` becomes
// the minimum of itself and the row's number.
extern "C" __global__ void __launch_bounds__(256)
    step_gather(const int32_t* ids, const void* table, void* out, uint32_t type, uint32_t rows,
                uint32_t columns, uint32_t table_rows, uint32_t* error) {
    uint32_t row = warp_row();
    uint32_t id = row < rows ? uint32_t(ids[row]) : 0;
    // A negative id is a large unsigned number.
    bool found = row < rows && id < table_rows;
    if (row < rows && !found && threadIdx.x % 32 == 0) {
        atomicMin(error, row);
    }
    uint64_t start = uint64_t(id) * row_stride(columns, type);
    row_store(out, type, found, columns,
              [=](uint32_t column) { return entry_load(table, type, start + column); });
}

// Row v of the output is the sum of the rows of x, of which there are `count`,
// whose id is v. `out` is of type 4. If an id is not a row of the output,
// `error` becomes the minimum of itself and the id's row. Every warp reads all
// ids, once for each 128 columns.
extern "C" __global__ void __launch_bounds__(256)
    step_scatter_add(const void* x, uint32_t x_type, const int32_t* ids, int32_t* out,
                     uint32_t rows, uint32_t columns, uint32_t count, uint32_t* error) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint32_t stride = row_stride(columns, x_type);
    // A row of padding takes no row.
    uint32_t end = row < rows ? count : 0;
    for (uint32_t first = 0; first < columns; first += 128) {
        // Fewer than 2^31 rows of 32 bits.
        int64_t sums[4] = {0, 0, 0, 0};
        for (uint32_t from = 0; from < end; from += 32) {
            uint32_t own = from + lane;
            uint32_t id = own < end ? uint32_t(ids[own]) : 0;
            if (row == 0 && first == 0 && id >= rows) {
                atomicMin(error, own);
            }
            uint32_t taken = __ballot_sync(0xffffffffu, own < end && id == row);
            for (; taken != 0; taken &= taken - 1) {
                uint64_t start = uint64_t(from + uint32_t(__ffs(int(taken)) - 1)) * stride;
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    uint32_t column = first + 32 * i + lane;
                    sums[i] += column < columns ? entry_load(x, x_type, start + column) : 0;
                }
            }
        }
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t column = first + 32 * i + lane;
            if (column < columns) {
                out[uint64_t(row) * columns + column] = sat32(sums[i]);
            }
        }
    }
}

// A step downhill of w by d; `rate` is one entry.
extern "C" __global__ void __launch_bounds__(256)
    step_descend(const void* w, uint32_t w_type, const void* d, uint32_t d_type,
                 const int32_t* rate, void* out, uint32_t type, uint32_t rows, uint32_t columns,
                 int32_t shift, uint32_t decay, int32_t least, int32_t most) {
    uint32_t row = warp_row();
    uint64_t w_start = uint64_t(row) * row_stride(columns, w_type);
    uint64_t d_start = uint64_t(row) * row_stride(columns, d_type);
    int32_t factor = *rate;
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int32_t kept = entry_load(w, w_type, w_start + column);
        int64_t down = -(int64_t(entry_load(d, d_type, d_start + column)) * factor);
        int64_t decayed = kept - (decay != 0 ? rsh_product(kept, factor, decay) : 0);
        return clamp(add_saturating(shift_nearest(down, shift), decayed), least, most);
    });
}

// The root of a running mean of squares; all of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_second_moment(const int32_t* r, const int32_t* g, int32_t* out, uint32_t rows,
                       uint32_t columns, uint32_t shift) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * columns;
    row_store(out, 4, row < rows, columns, [=](uint32_t column) {
        int64_t before = r[start + column], gradient = int64_t(g[start + column]) * 256;
        gradient = clamp(gradient, -(1 << 30), 1 << 30);
        before *= before;
        gradient *= gradient;
        // At most 2^62 + 2^60, and not negative.
        int64_t mean = before - (before >> shift) + (gradient >> shift);
        return sat32(int64_t(root(0, uint64_t(mean), 32)));
    });
}

// a·2^24 / (r + 256), r taken as at least 0; a and r are of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_ratio(const int32_t* a, const int32_t* r, void* out, uint32_t type, uint32_t rows,
               uint32_t columns, int32_t least, int32_t most) {
    uint32_t row = warp_row();
    uint64_t start = uint64_t(row) * columns;
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int64_t divisor = int64_t(max(r[start + column], 0)) + 256;
        return clamp(rdiv(int64_t(a[start + column]) * (1 << 24), divisor), least, most);
    });
}
