// poai: arch compute_61
// poai: sass IDP
//
// The two products of attention, each with the arithmetic that follows it.
// Blocks of 256 threads, as many as there are groups of 8 padded rows of the
// output: a warp makes a row. The caller may give the sums of products;
// otherwise every lane computes its own.
#include "steps.cuh"

// What both kernels of weights compute. `biased(head, distance, score)` is the
// score of a query and a key at the distance from the first to the second.
template <class Biased>
__device__ __forceinline__ void attention_weights(
    const int8_t* q, const int8_t* k, const int32_t* alpha, const int16_t* table,
    const int32_t* lengths, const int32_t* sums, uint32_t sums_stride, int8_t* out, uint32_t batch,
    uint32_t sequence, uint32_t heads, uint32_t columns, uint32_t shift, uint32_t causal,
    uint32_t* error, const Biased& biased) {
    __shared__ int32_t entries[256];
    entries[threadIdx.x] = clamp(table[threadIdx.x], 0, 127) - WEIGHT_OFFSET;
    __syncthreads();
    const int32_t* exponentials = entries;

    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    bool is_true = row < batch * heads * sequence;
    // A row of padding uses the first row.
    uint32_t block = is_true ? row / sequence : 0, i = is_true ? row % sequence : 0;
    uint32_t item = block / heads, head = block % heads;
    uint32_t length = lengths == nullptr ? sequence : uint32_t(lengths[item]);
    // A negative length is a large unsigned number.
    if (length == 0 || length > sequence) {
        if (is_true && lane == 0) {
            atomicMin(error, item);
        }
        is_true = false;
        length = 0;
    }
    uint32_t seen = causal != 0 ? min(length, i + 1) : length;

    uint32_t d = columns / heads, stride = row_stride(columns, 1);
    const int8_t* query = q + (uint64_t(item) * sequence + i) * stride + head * d;
    const int8_t* keys = k + uint64_t(item) * sequence * stride + head * d;
    int32_t factor = alpha[head];
    bool by_words = d % 4 == 0;
    auto score = [=](uint32_t j) {
        int32_t sum = sums != nullptr ? sums[uint64_t(row) * sums_stride + j]
                                      : dot(query, keys + uint64_t(j) * stride, d, by_words);
        // A sequence has at most 2^16 tokens.
        return biased(head, int32_t(j) - int32_t(i), sat32(rsh_product(sum, factor, shift)));
    };
    int32_t top = -2147483647 - 1;
    if (is_true) {
        for (uint32_t j = lane; j < seen; j += 32) {
            top = max(top, score(j));
        }
    }
    top = warp_max(top);
    row_store(out, 1, is_true, sequence, [=](uint32_t j) {
        if (j >= seen) {
            return -WEIGHT_OFFSET;
        }
        // No score is above the largest one.
        return exponentials[min(uint32_t(top) - uint32_t(score(j)), 255u)];
    });
}

// Rows (item, head, i) of columns j, for `batch` items. q and k have `columns`
// columns of type 1 and one row a token. `alpha` is heads×1, `table` 256×1 of
// type 2, `lengths` batch×1 or null. `sums`, with the output's rows and
// `sums_stride` entries a row, are the products of q and k, or null. If an
// item's length is not in 1..=sequence, its rows are zeros, and `error` becomes
// the minimum of itself and the item's number.
extern "C" __global__ void __launch_bounds__(256)
    step_attention_weights(const int8_t* q, const int8_t* k, const int32_t* alpha,
                           const int16_t* table, const int32_t* lengths, const int32_t* sums,
                           uint32_t sums_stride, int8_t* out, uint32_t batch, uint32_t sequence,
                           uint32_t heads, uint32_t columns, uint32_t shift, uint32_t causal,
                           uint32_t* error) {
    attention_weights(q, k, alpha, table, lengths, sums, sums_stride, out, batch, sequence, heads,
                      columns, shift, causal, error,
                      [](uint32_t, int32_t, int32_t score) { return score; });
}

// As `step_attention_weights`, with `bias`, heads×`distances`, added to scores.
// The number of distances is odd. The middle column is for a query's own token.
// Tokens beyond the first or the last column have that column's bias.
extern "C" __global__ void __launch_bounds__(256)
    step_relative_attention_weights(const int8_t* q, const int8_t* k, const int32_t* alpha,
                                    const int16_t* table, const int32_t* lengths,
                                    const int32_t* sums, uint32_t sums_stride, int8_t* out,
                                    uint32_t batch, uint32_t sequence, uint32_t heads,
                                    uint32_t columns, uint32_t shift, uint32_t causal,
                                    uint32_t* error, const int32_t* bias, uint32_t distances) {
    // Exact: at most 2^16 columns.
    int32_t last = int32_t(distances / 2);
    attention_weights(q, k, alpha, table, lengths, sums, sums_stride, out, batch, sequence, heads,
                      columns, shift, causal, error,
                      [=](uint32_t head, int32_t distance, int32_t score) {
                          uint32_t column = uint32_t(clamp(distance, -last, last) + last);
                          return sat32(int64_t(score) + bias[uint64_t(head) * distances + column]);
                      });
}

// Sums of the entries of rows of type 1. A warp for each padded row; `out` has
// the same number of rows, of one column.
extern "C" __global__ void __launch_bounds__(256)
    step_row_totals(const int8_t* x, int32_t* out, uint32_t columns) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32, stride = row_stride(columns, 1);
    const int* words = reinterpret_cast<const int*>(x + uint64_t(row) * stride);
    int32_t total = 0;
    for (uint32_t word = lane; word < stride / 4; word += 32) {
        total = __dp4a(words[word], 0x01010101, total);
    }
    total = warp_sum(total);
    if (lane == 0) {
        out[row] = total;
    }
}

// Rows (item, i) of columns (head, channel), of type 2, for `batch` items.
// `weights` are rows (item, head, i) of `sequence` columns. `values` are rows
// (item, column) of `sequence` columns. Both are of type 1; `scales` are
// columns×1. `sums`, with the output's rows and `sums_stride` entries a row,
// are the products of the stored weights and values. With them, `totals` are
// the sums of values' rows. Both may be null.
extern "C" __global__ void __launch_bounds__(256)
    step_attention_context(const int8_t* weights, const int8_t* values, const int32_t* scales,
                           const int32_t* sums, uint32_t sums_stride, const int32_t* totals,
                           int16_t* out, uint32_t batch, uint32_t sequence, uint32_t heads,
                           uint32_t columns, uint32_t shift0, uint32_t shift1) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * columns;
    if (row >= batch * sequence) {
        for (uint32_t column = lane; column < columns; column += 32) {
            out[start + column] = 0;
        }
        return;
    }
    uint32_t item = row / sequence, i = row % sequence;
    uint32_t d = columns / heads, stride = row_stride(sequence, 1);
    for (uint32_t head = 0; head < heads; head++) {
        uint64_t weights_row = (uint64_t(item) * heads + head) * sequence + i;
        const int* own = reinterpret_cast<const int*>(weights + weights_row * stride);
        int32_t sum = 0;
        for (uint32_t word = lane; word < stride / 4; word += 32) {
            // Padding is zeros.
            sum = __dp4a(own[word], 0x01010101, sum);
        }
        sum = warp_sum(sum) + WEIGHT_OFFSET * int32_t(sequence);
        int64_t reciprocal = rdiv(int64_t(1) << 22, max(sum, 1));
        for (uint32_t channel = lane; channel < d; channel += 32) {
            uint32_t column = head * d + channel;
            uint64_t values_row = uint64_t(item) * columns + column;
            int32_t product = 0;
            if (sums != nullptr) {
                product = sums[uint64_t(row) * sums_stride + column] +
                          WEIGHT_OFFSET * totals[values_row];
            } else {
                const int* other = reinterpret_cast<const int*>(values + values_row * stride);
                for (uint32_t word = 0; word < stride / 4; word++) {
                    // Weights are 0..=127 again; in padding, values are zeros.
                    int weight = int(__vadd4(uint32_t(own[word]), 0x40404040u));
                    product = __dp4a(weight, other[word], product);
                }
            }
            int32_t mean = sat32(rsh(product * reciprocal, shift0));
            out[start + column] = int16_t(sat16(rsh_product(mean, scales[column], shift1)));
        }
    }
}
