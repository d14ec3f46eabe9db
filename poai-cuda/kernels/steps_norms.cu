// poai: arch compute_61
//
// Steps that scale a row by its own contents, and means over tokens. Unless a
// kernel's comment differs, it takes blocks of 256 threads, as many as there
// are groups of 8 padded rows of the output: a warp makes a row.
#include "steps.cuh"

// LayerNorm if `centre` is not 0, else RMSNorm, of type 2. `affine` is
// columns×2: γ, β.
extern "C" __global__ void __launch_bounds__(256)
    step_normalise(const int16_t* x, const int32_t* affine, int16_t* out, uint32_t rows,
                   uint32_t columns, uint32_t centre, uint32_t shift) {
    uint32_t row = warp_row();
    const int16_t* own = x + uint64_t(row) * columns;
    // A row of padding reads nothing.
    uint32_t end = row < rows ? columns : 0;
    Moments moments = row_moments(own, end, columns, centre != 0);
    int64_t mean = moments.mean;
    int64_t inverse = (int64_t(1) << 26) / moments.deviation;
    row_store(out, 2, row < rows, columns, [=](uint32_t column) {
        int32_t z = sat32(((own[column] - mean) * inverse) >> 8);
        return sat16(rsh_product(z, affine[2 * column], shift) + affine[2 * column + 1]);
    });
}

// `table` is 256×1 of type 2.
extern "C" __global__ void __launch_bounds__(256)
    step_softmax(const void* x, uint32_t x_type, const int16_t* table, void* out, uint32_t type,
                 uint32_t rows, uint32_t columns, int32_t multiplier, uint32_t shift, int32_t one,
                 int32_t least, int32_t most) {
    __shared__ int32_t entries[256];
    entries[threadIdx.x] = clamp(table[threadIdx.x], 0, 127);
    __syncthreads();
    const int32_t* exponentials = entries;
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    // A row of padding reads nothing.
    uint32_t end = row < rows ? columns : 0;
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
    int32_t sum = 0;
    for (uint32_t column = lane; column < end; column += 32) {
        sum += numerator(column);
    }
    sum = max(warp_sum(sum), 1);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        return clamp(rdiv(int64_t(numerator(column)) * one, sum), least, most);
    });
}

// `out` is of type 2.
extern "C" __global__ void __launch_bounds__(256)
    step_l2_normalise(const void* x, uint32_t x_type, int16_t* out, uint32_t rows,
                      uint32_t columns) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    // A row of padding reads nothing.
    uint32_t end = row < rows ? columns : 0;
    // Up to 2^16 squares of 2^62: their two halves are summed separately.
    uint64_t high = 0, low = 0;
    for (uint32_t column = lane; column < end; column += 32) {
        int64_t entry = entry_load(x, x_type, start + column);
        uint64_t square = uint64_t(entry * entry);
        high += square >> 32;
        low += square & 0xffffffffu;
    }
    low = warp_sum(low);
    high = warp_sum(high) + (low >> 32);
    low = high << 32 | (low & 0xffffffffu);
    int64_t length = int64_t(max(root(high >> 32, low, 40), uint64_t(1)));
    row_store(out, 2, row < rows, columns, [=](uint32_t column) {
        return sat16(rdiv(int64_t(entry_load(x, x_type, start + column)) * (1 << 14), length));
    });
}

// The means of items' tokens, times 2^8: `out` is items×columns of type 4. An
// item has `item_rows` rows, of which the first `lengths[item]` count, or all
// if `lengths` is null. If an item's length is not in 1..=sequence, its row is
// zeros, and `error` becomes the minimum of itself and the item's number. A
// thread for each padded entry of the output.
extern "C" __global__ void __launch_bounds__(256)
    step_mean_pool(const void* x, uint32_t x_type, const int32_t* lengths, int32_t* out,
                   uint32_t items, uint32_t columns, uint32_t item_rows, uint32_t sequence,
                   uint32_t* error) {
    uint64_t at = uint64_t(blockIdx.x) * STEP_THREADS + threadIdx.x;
    if (at >= uint64_t(items + 31) / 32 * 32 * columns) {
        return;
    }
    uint32_t item = uint32_t(at / columns), column = uint32_t(at % columns);
    uint32_t length = item_rows;
    if (item < items && lengths != nullptr) {
        length = uint32_t(lengths[item]);
        // A negative length is a large unsigned number.
        if (length == 0 || length > sequence) {
            atomicMin(error, item);
            length = 0;
        }
    }
    int32_t mean = 0;
    if (item < items && length > 0) {
        uint32_t stride = row_stride(columns, x_type);
        const uint64_t first = uint64_t(item) * item_rows;
        int64_t sum = 0;
        for (uint32_t row = 0; row < length; row++) {
            sum += entry_load(x, x_type, (first + row) * stride + column);
        }
        mean = sat32(rdiv(sum * 256, length));
    }
    out[at] = mean;
}
