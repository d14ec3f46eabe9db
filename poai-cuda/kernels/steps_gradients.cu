// poai: arch compute_61
//
// Gradients of steps that are no products. Every kernel here takes blocks of 256
// threads, as many as there are groups of 8 padded rows of the output: a warp
// makes a row.
#include "training.cuh"
#include "window.cuh"

// `table` is 256×1.
extern "C" __global__ void __launch_bounds__(256)
    step_gate(const void* g, uint32_t g_type, const void* x, uint32_t x_type, const void* table,
              uint32_t table_type, void* out, uint32_t type, uint32_t rows, uint32_t columns,
              uint32_t index_shift, uint32_t shift, int32_t least, int32_t most) {
    __shared__ int32_t entries[256];
    entries[threadIdx.x] = column_load(table, table_type, threadIdx.x);
    __syncthreads();
    const int32_t* found = entries;
    uint32_t row = warp_row();
    uint64_t g_start = uint64_t(row) * row_stride(columns, g_type);
    uint64_t x_start = uint64_t(row) * row_stride(columns, x_type);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int32_t gradient = entry_load(g, g_type, g_start + column);
        // A shift by more than 31 leaves only the sign, too.
        int64_t index = entry_load(x, x_type, x_start + column) >> min(index_shift, 31u);
        return clamp(rsh_product(gradient, found[clamp(index + 128, 0, 255)], shift), least, most);
    });
}

// `labels` are rows×1, `table` 256×1 of type 2, `out` of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_cross_entropy(const void* x, uint32_t x_type, const int32_t* labels, const int16_t* table,
                       int32_t* out, uint32_t rows, uint32_t columns, int32_t multiplier,
                       uint32_t shift, uint32_t fraction) {
    __shared__ int32_t entries[256];
    entries[threadIdx.x] = max(int32_t(table[threadIdx.x]), 0);
    __syncthreads();
    const int32_t* exponentials = entries;
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    // A negative label is a large unsigned number.
    uint32_t label = row < rows ? uint32_t(labels[row]) : columns;
    // A row without a label is zeros, as padding is, and reads nothing.
    uint32_t end = label < columns ? columns : 0;
    int32_t top = -2147483647 - 1;
    for (uint32_t column = lane; column < end; column += 32) {
        top = max(top, entry_load(x, x_type, start + column));
    }
    top = warp_max(top);
    auto numerator = [=](uint32_t column) {
        int64_t distance = int64_t(top) - entry_load(x, x_type, start + column);
        // Below 2^63: 32 bits by 31.
        return exponentials[clamp(rsh(distance * multiplier, shift), 0, 255)];
    };
    // At most 2^16 entries of 15 bits.
    int64_t sum = 0;
    for (uint32_t column = lane; column < end; column += 32) {
        sum += numerator(column);
    }
    sum = max(warp_sum(sum), int64_t(1));
    row_store(out, 4, end > 0, columns, [=](uint32_t column) {
        int64_t share = rdiv(int64_t(numerator(column)) << fraction, sum);
        return sat32(share - (column == label ? int64_t(1) << fraction : 0));
    });
}

// x is of type 2, dz of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_normalise_gradient(const int16_t* x, const int32_t* dz, void* out, uint32_t type,
                            uint32_t rows, uint32_t columns, uint32_t centre, uint32_t shift,
                            int32_t least, int32_t most) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    const int16_t* own = x + uint64_t(row) * columns;
    const int32_t* gradients = dz + uint64_t(row) * columns;
    // A row of padding reads nothing.
    uint32_t end = row < rows ? columns : 0;
    Moments moments = row_moments(own, end, columns, centre != 0);
    int64_t mean = moments.mean, deviation = moments.deviation;
    int64_t inverse = (int64_t(1) << 26) / deviation;
    auto normalised = [=](uint32_t column) {
        return sat32(((own[column] - mean) * inverse) >> 8);
    };
    // Up to 2^16 products of 62 bits: their two halves are summed separately.
    int64_t high = 0, low = 0, sum = 0;
    for (uint32_t column = lane; column < end; column += 32) {
        int64_t product = int64_t(gradients[column]) * normalised(column);
        high += product >> 32;
        low += product & 0xffffffff;
        sum += gradients[column];
    }
    low = warp_sum(low);
    high = warp_sum(high) + (low >> 32);
    low &= 0xffffffff;
    // The quotient by at most 2^30 saturates if the sum leaves 63 bits.
    int64_t products = add_saturating(left_saturating(high, 32), low);
    int32_t along = sat32(rdiv(products, int64_t(columns) << 14));
    int64_t middle = centre != 0 ? rdiv(warp_sum(sum), columns) : 0;
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int64_t rest =
            gradients[column] - middle - rsh_product(normalised(column), along, 14);
        // The quotient by less than 2^21 leaves every type if this saturates.
        return clamp(rdiv(left_saturating(rest, shift), deviation), least, most);
    });
}

// dy has a row for each item, whose output has `item_rows` rows, of type 4. Of
// these the first `lengths[item]` are live, or all if `lengths` is null. If an
// item's length is not in 1..=item_rows, its rows are zeros, and `error` becomes
// the minimum of itself and the item's number.
extern "C" __global__ void __launch_bounds__(256)
    step_mean_pool_gradient(const void* dy, uint32_t dy_type, const int32_t* lengths, int32_t* out,
                            uint32_t rows, uint32_t columns, uint32_t item_rows, uint32_t* error) {
    uint32_t row = warp_row();
    bool is_true = row < rows;
    // A row of padding uses the first item.
    uint32_t item = is_true ? row / item_rows : 0, length = item_rows;
    if (lengths != nullptr) {
        length = uint32_t(lengths[item]);
        // A negative length is a large unsigned number.
        if (length == 0 || length > item_rows) {
            if (is_true && threadIdx.x % 32 == 0) {
                atomicMin(error, item);
            }
            length = 0;
        }
    }
    uint64_t start = uint64_t(item) * row_stride(columns, dy_type);
    row_store(out, 4, is_true && row % item_rows < length, columns, [=](uint32_t column) {
        return sat32(rdiv(entry_load(dy, dy_type, start + column), length));
    });
}

// Positions or pixels along one side: the first, and the end. Position p sees the
// pixels from p·stride - pad on, `kernel` of them.
struct Seen {
    uint32_t first, end;
};

// The positions whose windows see the pixel `at`.
__device__ __forceinline__ Seen seen_by(uint32_t at, uint32_t kernel, uint32_t stride, uint32_t pad,
                                        uint32_t positions) {
    uint64_t place = uint64_t(at) + pad;
    uint64_t first = place + 1 > kernel ? (place - kernel + stride) / stride : 0;
    return {uint32_t(min(first, uint64_t(positions))),
            uint32_t(min(place / stride + 1, uint64_t(positions)))};
}

// The pixels of `size` that a position sees.
__device__ __forceinline__ Seen pixels_of(uint32_t position, uint32_t kernel, uint32_t stride,
                                          uint32_t pad, uint32_t size) {
    // A window begins at most a pad before the image, and sees a pixel.
    uint32_t at = position * stride;
    return {at > pad ? at - pad : 0, min(at + kernel - pad, size)};
}

// Pixels have `columns` columns of type 4. dy has a row for each position, whose
// columns are down, right, channel.
extern "C" __global__ void __launch_bounds__(256)
    step_unfold_gradient(const void* dy, uint32_t dy_type, int32_t* out, uint32_t rows,
                         uint32_t columns, uint32_t height, uint32_t width, uint32_t kernel_down,
                         uint32_t kernel_right, uint32_t stride_down, uint32_t stride_right,
                         uint32_t top, uint32_t left, uint32_t out_height, uint32_t out_width) {
    uint32_t row = warp_row();
    uint32_t stride = row_stride(kernel_down * kernel_right * columns, dy_type);
    uint32_t pixels = height * width, pixel = row % pixels;
    uint64_t image = uint64_t(row / pixels) * out_height * out_width;
    uint32_t y = pixel / width, x = pixel % width;
    Seen downs = seen_by(y, kernel_down, stride_down, top, out_height);
    Seen rights = seen_by(x, kernel_right, stride_right, left, out_width);
    row_store(out, 4, row < rows, columns, [=](uint32_t column) {
        int64_t sum = 0;
        for (uint32_t down = downs.first; down < downs.end; down++) {
            uint32_t inside_y = y + top - down * stride_down;
            for (uint32_t right = rights.first; right < rights.end; right++) {
                uint32_t inside_x = x + left - right * stride_right;
                uint64_t place = image + uint64_t(down) * out_width + right;
                uint32_t own = (inside_y * kernel_right + inside_x) * columns + column;
                sum += entry_load(dy, dy_type, place * stride + own);
            }
        }
        return sat32(sum);
    });
}

// x are the pixels, of `columns` columns, and dy has a row for each position.
// `out` is of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_max_pool_gradient(const void* x, uint32_t x_type, const void* dy, uint32_t dy_type,
                           int32_t* out, uint32_t rows, uint32_t columns, uint32_t height,
                           uint32_t width, uint32_t kernel_down, uint32_t kernel_right,
                           uint32_t stride_down, uint32_t stride_right, uint32_t top, uint32_t left,
                           uint32_t out_height, uint32_t out_width) {
    uint32_t row = warp_row();
    uint32_t x_stride = row_stride(columns, x_type), dy_stride = row_stride(columns, dy_type);
    uint32_t pixels = height * width, pixel = row % pixels, item = row / pixels;
    // Fewer than 2^31 rows of pixels.
    uint32_t image = item * pixels, places = item * out_height * out_width;
    Seen downs = seen_by(pixel / width, kernel_down, stride_down, top, out_height);
    Seen rights = seen_by(pixel % width, kernel_right, stride_right, left, out_width);
    row_store(out, 4, row < rows, columns, [=](uint32_t column) {
        int32_t own = entry_load(x, x_type, uint64_t(row) * x_stride + column);
        int64_t sum = 0;
        for (uint32_t down = downs.first; down < downs.end; down++) {
            Seen ys = pixels_of(down, kernel_down, stride_down, top, height);
            for (uint32_t right = rights.first; right < rights.end; right++) {
                Seen xs = pixels_of(right, kernel_right, stride_right, left, width);
                // Whether no pixel is larger, and none before this one equal.
                bool is_first = true;
                for (uint32_t y = ys.first; is_first && y < ys.end; y++) {
                    for (uint32_t at = y * width + xs.first; at < y * width + xs.end; at++) {
                        uint64_t from = uint64_t(image + at) * x_stride + column;
                        int32_t other = entry_load(x, x_type, from);
                        is_first &= at < pixel ? other < own : other <= own;
                    }
                }
                if (is_first) {
                    uint64_t place = places + down * out_width + right;
                    sum += entry_load(dy, dy_type, place * dy_stride + column);
                }
            }
        }
        return sat32(sum);
    });
}

// Weights of scores: blocks of `columns` rows of as many columns. `table` is
// 256×1 of type 2, `out` of type 1.
extern "C" __global__ void __launch_bounds__(256)
    step_exponentials(const void* x, uint32_t x_type, const int16_t* table, int8_t* out,
                      uint32_t rows, uint32_t columns, uint32_t causal, int32_t multiplier,
                      uint32_t shift) {
    __shared__ int32_t entries[256];
    entries[threadIdx.x] = clamp(table[threadIdx.x], 0, 127) - WEIGHT_OFFSET;
    __syncthreads();
    const int32_t* exponentials = entries;
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    uint32_t seen = causal != 0 ? row % columns + 1 : columns;
    int32_t top = -2147483647 - 1;
    // A row of padding reads nothing.
    for (uint32_t column = lane; column < (row < rows ? seen : 0); column += 32) {
        top = max(top, entry_load(x, x_type, start + column));
    }
    top = warp_max(top);
    row_store(out, 1, row < rows, columns, [=](uint32_t column) {
        if (column >= seen) {
            return -WEIGHT_OFFSET;
        }
        int64_t distance = int64_t(top) - entry_load(x, x_type, start + column);
        // Below 2^63: 32 bits by 31.
        return exponentials[clamp(rsh(distance * multiplier, shift), 0, 255)];
    });
}

// The sum of a row of stored weights of type 1, at least 1, in every lane.
__device__ __forceinline__ int32_t weights_sum(const int8_t* weights, uint32_t columns) {
    const int* words = reinterpret_cast<const int*>(weights);
    int32_t sum = 0;
    for (uint32_t word = threadIdx.x % 32; word < row_stride(columns, 1) / 4; word += 32) {
        // Padding is zeros.
        sum = __dp4a(words[word], 0x01010101, sum);
    }
    // At most 2^17 weights of 127.
    return max(warp_sum(sum) + WEIGHT_OFFSET * int32_t(columns), 1);
}

// x has `item_rows` rows of an item, and w, of type 1, `heads` blocks of as many
// rows of `item_rows` columns.
extern "C" __global__ void __launch_bounds__(256)
    step_divide_by_sums(const void* x, uint32_t x_type, const int8_t* w, void* out, uint32_t type,
                        uint32_t rows, uint32_t columns, uint32_t item_rows, uint32_t heads,
                        uint32_t shift, int32_t least, int32_t most) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint32_t d = columns / heads, out_stride = row_stride(columns, type);
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    uint64_t out_start = uint64_t(row) * out_stride;
    uint32_t item = row / item_rows, i = row % item_rows;
    for (uint32_t head = 0; row < rows && head < heads; head++) {
        uint64_t w_row = (uint64_t(item) * heads + head) * item_rows + i;
        int64_t sum = weights_sum(w + w_row * row_stride(item_rows, 1), item_rows);
        for (uint32_t column = head * d + lane; column < (head + 1) * d; column += 32) {
            // The quotient by less than 2^24 leaves every type if this
            // saturates.
            int64_t dividend = left_saturating(entry_load(x, x_type, start + column), shift);
            entry_store(out, type, out_start + column, clamp(rdiv(dividend, sum), least, most));
        }
    }
    for (uint32_t column = (row < rows ? columns : 0) + lane; column < out_stride; column += 32) {
        entry_store(out, type, out_start + column, 0);
    }
}

// w is of type 1, `out` of type 4.
extern "C" __global__ void __launch_bounds__(256)
    step_softmax_gradient(const int8_t* w, const void* d, uint32_t d_type, int32_t* out,
                          uint32_t rows, uint32_t columns) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    const int8_t* weights = w + uint64_t(row) * row_stride(columns, 1);
    uint64_t start = uint64_t(row) * row_stride(columns, d_type);
    bool is_true = row < rows;
    int64_t sum = weights_sum(weights, columns);
    // At most 2^16 products of 39 bits. A row of padding reads nothing.
    int64_t products = 0;
    for (uint32_t column = lane; column < (is_true ? columns : 0); column += 32) {
        int64_t weight = int64_t(weights[column]) + WEIGHT_OFFSET;
        products += weight * entry_load(d, d_type, start + column);
    }
    int64_t mean = rdiv(warp_sum(products), sum);
    row_store(out, 4, is_true, columns, [=](uint32_t column) {
        int64_t weight = int64_t(weights[column]) + WEIGHT_OFFSET;
        return sat32(rdiv(weight * (entry_load(d, d_type, start + column) - mean), sum));
    });
}
