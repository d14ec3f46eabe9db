// Shared by the steps of a program (spec §11, §12): the layout of tensors, the
// arithmetic of poai-core/src/program/ops/arithmetic.rs, sums over a warp.
//
// A tensor is row-major; its type is the number of bytes of an entry: 1, 2 or
// 4. Rows are padded to a multiple of 32, and columns to one of 128 if the type
// is 1. The padding is zeros, which kernels write too. Below, `rows` and
// `columns` are the true ones.
#pragma once

#include "simt.cuh"

constexpr uint32_t STEP_WARPS = 8, STEP_THREADS = STEP_WARPS * 32;

// Attention's weights are stored less this, so that 0..=127 become operands.
constexpr int32_t WEIGHT_OFFSET = 64;

// Entries from one row of a tensor to the next.
__device__ __forceinline__ uint32_t row_stride(uint32_t columns, uint32_t type) {
    return type == 1 ? (columns + 127) / 128 * 128 : columns;
}

__device__ __forceinline__ int32_t entry_load(const void* tensor, uint32_t type, uint64_t at) {
    if (type == 1) {
        return static_cast<const int8_t*>(tensor)[at];
    }
    return type == 2 ? static_cast<const int16_t*>(tensor)[at]
                     : static_cast<const int32_t*>(tensor)[at];
}

__device__ __forceinline__ void entry_store(void* tensor, uint32_t type, uint64_t at,
                                            int32_t entry) {
    if (type == 1) {
        static_cast<int8_t*>(tensor)[at] = int8_t(entry);
    } else if (type == 2) {
        static_cast<int16_t*>(tensor)[at] = int16_t(entry);
    } else {
        static_cast<int32_t*>(tensor)[at] = entry;
    }
}

// An entry of a constant of one column.
__device__ __forceinline__ int32_t column_load(const void* constant, uint32_t type, uint32_t row) {
    return entry_load(constant, type, uint64_t(row) * row_stride(1, type));
}

// The padded row that this warp makes, if a warp makes a row.
__device__ __forceinline__ uint32_t warp_row() {
    return blockIdx.x * STEP_WARPS + threadIdx.x / 32;
}

// Writes the padded columns from `first` on, a multiple of 128, and before `end`,
// of this warp's row: `entry(column)` in true columns of a true row, and zeros
// elsewhere. One-byte entries are stored four at a time.
template <class Entry>
__device__ __forceinline__ void row_store_part(void* out, uint32_t type, bool is_true,
                                               uint32_t columns, uint32_t first, uint32_t end,
                                               const Entry& entry) {
    uint32_t stride = row_stride(columns, type), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(warp_row()) * stride;
    end = min(end, stride);
    if (type == 1) {
        for (uint32_t own = first + lane * 4; own < end; own += 128) {
            uint32_t word = 0;
            for (uint32_t i = 0; i < 4; i++) {
                if (is_true && own + i < columns) {
                    word |= uint32_t(uint8_t(entry(own + i))) << (8 * i);
                }
            }
            *reinterpret_cast<uint32_t*>(static_cast<int8_t*>(out) + start + own) = word;
        }
        return;
    }
    for (uint32_t column = first + lane; column < end; column += 32) {
        entry_store(out, type, start + column, is_true ? entry(column) : 0);
    }
}

// Writes this warp's whole row.
template <class Entry>
__device__ __forceinline__ void row_store(void* out, uint32_t type, bool is_true, uint32_t columns,
                                          const Entry& entry) {
    row_store_part(out, type, is_true, columns, 0, 0xffffffffu, entry);
}

// The dot product of `count` entries. It takes four at a time if both begin at
// a multiple of four and `count` is a multiple of four.
__device__ __forceinline__ int32_t dot(const int8_t* a, const int8_t* b, uint32_t count,
                                       bool by_words) {
    int32_t sum = 0;
    if (by_words) {
        const int* words_a = reinterpret_cast<const int*>(a);
        const int* words_b = reinterpret_cast<const int*>(b);
        for (uint32_t word = 0; word < count / 4; word++) {
            sum = __dp4a(words_a[word], words_b[word], sum);
        }
        return sum;
    }
    for (uint32_t i = 0; i < count; i++) {
        sum += int32_t(a[i]) * b[i];
    }
    return sum;
}

// Rounding and saturation.

__device__ __forceinline__ int64_t add_saturating(int64_t a, int64_t b) {
    int64_t sum = int64_t(uint64_t(a) + uint64_t(b));
    // It is wrong if its sign differs from both operands' signs.
    if (((a ^ sum) & (b ^ sum)) < 0) {
        return a < 0 ? int64_t(uint64_t(1) << 63) : int64_t(~uint64_t(0) >> 1);
    }
    return sum;
}

// x·2⁻ˢ to the nearest integer, halves up, for shifts of at most 62.
__device__ __forceinline__ int64_t rsh(int64_t x, uint32_t shift) {
    return shift == 0 ? x : add_saturating(x, int64_t(1) << (shift - 1)) >> shift;
}

// x·2⁻ˢ of a product, whose sum with half a unit does not saturate.
__device__ __forceinline__ int64_t rsh_product(int32_t a, int32_t b, uint32_t shift) {
    return (int64_t(a) * b + ((int64_t(1) << shift) >> 1)) >> shift;
}

__device__ __forceinline__ int32_t clamp(int64_t x, int32_t least, int32_t most) {
    return int32_t(min(max(x, int64_t(least)), int64_t(most)));
}

__device__ __forceinline__ int32_t sat32(int64_t x) {
    return clamp(x, -2147483647 - 1, 2147483647);
}

__device__ __forceinline__ int32_t sat16(int64_t x) { return clamp(x, -32768, 32767); }

// x saturated to the range of a type, which for operands is narrower.
__device__ __forceinline__ int32_t sat_type(int64_t x, uint32_t type) {
    return type == 1 ? clamp(x, -64, 63) : type == 2 ? sat16(x) : sat32(x);
}

// What follows a sum of a product with weights: its channel's three numbers,
// and the scale of its row if the step has one.
struct Requantise {
    uint32_t shift0, shift1, shift2;
    int32_t least, most;
    bool scaled;
    int32_t scale;
};

__device__ __forceinline__ int32_t requantise(int32_t sum, const int32_t* channel,
                                              const Requantise& how) {
    int32_t v = sat32(int64_t(sum) + channel[0]);
    v = sat32(rsh_product(v, channel[1], how.shift0));
    if (how.scaled) {
        v = sat32(rsh_product(v, how.scale, how.shift1));
    }
    v = sat32(int64_t(v) + channel[2]);
    return clamp(rsh_product(v, 1, how.shift2), how.least, how.most);
}

// x/n to the nearest integer, halves up, for n > 0.
__device__ __forceinline__ int64_t rdiv(int64_t x, int64_t n) {
    int64_t sum = add_saturating(x, n / 2), quotient = sum / n;
    return quotient * n > sum ? quotient - 1 : quotient;
}

// The floor of the square root, of at most `bits` bits, of high:low.
__device__ __forceinline__ uint64_t root(uint64_t high, uint64_t low, int bits) {
    uint64_t found = 0;
    for (int bit = bits - 1; bit >= 0; bit--) {
        uint64_t next = found | uint64_t(1) << bit;
        uint64_t next_high = __umul64hi(next, next), next_low = next * next;
        if (next_high < high || (next_high == high && next_low <= low)) {
            found = next;
        }
    }
    return found;
}

// Over the lanes of a warp, in every lane.

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
    for (int distance = 16; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    }
    return value;
}

__device__ __forceinline__ int32_t warp_max(int32_t value) {
    for (int distance = 16; distance > 0; distance /= 2) {
        value = max(value, __shfl_xor_sync(0xffffffffu, value, distance));
    }
    return value;
}

// The mean of a row of normalise, or 0 without one, and its deviation of at
// least 1.
struct Moments {
    int64_t mean, deviation;
};

// Of the first `end` entries, which are all `columns` or, in padding, none.
__device__ __forceinline__ Moments row_moments(const int16_t* row, uint32_t end, uint32_t columns,
                                               bool centre) {
    uint32_t lane = threadIdx.x % 32;
    int64_t mean = 0;
    if (centre) {
        // 2^16 entries of 16 bits at most.
        int64_t total = 0;
        for (uint32_t column = lane; column < end; column += 32) {
            total += row[column];
        }
        mean = rdiv(warp_sum(total), columns);
    }
    int64_t squares = 0;
    for (uint32_t column = lane; column < end; column += 32) {
        int64_t distance = row[column] - mean;
        squares += distance * distance;
    }
    uint64_t variance = uint64_t(rdiv(warp_sum(squares), columns));
    // A variance of 17-bit numbers is below 2^34.
    return {mean, int64_t(max(root(0, variance << 8, 21), uint64_t(1)))};
}
