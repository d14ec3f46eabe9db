// poai: arch compute_61
//
// The data that makes a product exact (spec §5), without the product itself:
// the noise's step factors as a thin operand, and the digits of thin products.
// thin.cuh describes their use.
//
// In order, for sides A and B with their noise E = E_L·E_R and F = F_L·F_R:
//
// 1. `recover_factors`, twice: E_R and F_Lᵀ as dense matrices of r rows and k
//    columns.
// 2. P_A = A·F_L and P_Bᵀ = B'ᵀ·E_Rᵀ by a plain product of n = r columns.
// 3. `recover_digits`, twice: the thin operands of a `product_…_exact`.
//
// `recover_apply` replaces step 3 if the noised product is already in memory.
#include "thin.cuh"

// Writes the k/r step factors side by side, r×k entries of −1, 0 and 1. It
// reads their rows in the format of noise.cu (`by_row`): for row p of step ℓ a
// word of two entries, each a column, plus 256 if it is −1. A block of r
// threads for each step, for any permitted r. The matrix is dense, although
// only 2 of 128 entries are not zero: tensor cores are more than 64 times as
// fast as additions of gathered entries.
extern "C" __global__ void __launch_bounds__(256)
    recover_factors(const uint32_t* by_row, int8_t* factors, uint32_t k) {
    uint32_t row = threadIdx.x, step = blockIdx.x, rank = blockDim.x;
    uint32_t entries = by_row[uint64_t(step) * rank + row];
    uint4* to = reinterpret_cast<uint4*>(factors + uint64_t(row) * k + step * rank);
    for (uint32_t i = 0; i < rank / 16; i++) {
        uint32_t words[4];
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            words[j] = 0;
            // The two are in different columns, because the shift of spec §4 is
            // odd.
#pragma unroll
            for (uint32_t half = 0; half < 32; half += 16) {
                uint32_t column = entries >> half & 255, negative = entries >> half & 256;
                if (column / 4 == 4 * i + j) {
                    words[j] |= (negative != 0 ? 0xffu : 1u) << (column % 4 * 8);
                }
            }
        }
        to[i] = make_uint4(words[0], words[1], words[2], words[3]);
    }
}

namespace {

// Removes the lowest digits of four entries of a thin product.
__device__ __forceinline__ uint32_t take_digit(int32_t (&p)[4]) {
    uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        // The nearest multiple of the base, rounded in unsigned numbers: 2^11
        // of them cover more than |P| < 2^18.
        constexpr int32_t HALF = DIGIT_BASE / 2, OFFSET = 1 << 11;
        int32_t next = int32_t(uint32_t(p[i] + HALF + OFFSET * int32_t(DIGIT_BASE)) / DIGIT_BASE);
        next -= OFFSET;
        word |= uint32_t(uint8_t(p[i] - next * int32_t(DIGIT_BASE))) << (8 * i);
        p[i] = next;
    }
    return word;
}

}  // namespace

// Makes one side's thin operand from its thin product (rows×r) and its row
// factors (rows×r). `product_first` is 1 for side A, [P | −L], and 0 for side
// B, [−L | P]. Sets the flag if some entry needs the third digit; the host
// clears the flag before the launch. A thread for every four entries: 32
// threads a row.
extern "C" __global__ void __launch_bounds__(256)
    recover_digits(const int32_t* product, const int8_t* row_factors, int8_t* thin,
                   uint32_t* wide, uint32_t rows, uint32_t product_first) {
    uint64_t index = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    uint64_t row = index / (RANK / 4);
    uint32_t column = uint32_t(index % (RANK / 4) * 4);
    if (row >= rows) {
        return;
    }
    int4 four = *reinterpret_cast<const int4*>(product + row * RANK + column);
    int32_t p[4] = {four.x, four.y, four.z, four.w};
    uint32_t factor = *reinterpret_cast<const uint32_t*>(row_factors + row * RANK + column);
    uint32_t negative = 0;
#pragma unroll
    for (int i = 0; i < 32; i += 8) {
        negative |= uint32_t(uint8_t(-int8_t(factor >> i))) << i;
    }
    uint32_t product_at = column + (product_first != 0 ? 0 : RANK);
    uint32_t factor_at = column + (product_first != 0 ? RANK : 0);
    uint32_t digits = 0;
    // The lowest digit is multiplied last.
#pragma unroll
    for (int i = DIGITS - 1; i >= 0; i--) {
        digits = take_digit(p);
        int8_t* to = thin + row * THIN_COLUMNS + i * DIGIT_COLUMNS;
        *reinterpret_cast<uint32_t*>(to + product_at) = digits;
        *reinterpret_cast<uint32_t*>(to + factor_at) = negative;
    }
    if (digits != 0) {
        atomicOr(wide, 1u);
    }
}

// `c −= P_A·L_Bᵀ + L_A·P_Bᵀ` in full width, for every rank and k and without
// tensor cores. For research, and to test the digits. A thread for each entry,
// a block of 32 columns by 8 rows, blocks row-major.
extern "C" __global__ void __launch_bounds__(256)
    recover_apply(int32_t* c, const int32_t* product_a, const int8_t* factors_a,
                  const int32_t* product_b, const int8_t* factors_b, uint32_t m, uint32_t n,
                  uint32_t rank) {
    uint32_t blocks = (n + 31) / 32;
    uint64_t row = uint64_t(blockIdx.x / blocks) * 8 + threadIdx.y;
    uint64_t column = uint64_t(blockIdx.x % blocks) * 32 + threadIdx.x;
    if (row >= m || column >= n) {
        return;
    }
    // Unsigned: intermediate sums may leave i32, but the result does not.
    uint32_t sum = 0;
    for (uint32_t p = 0; p < rank; p++) {
        sum += uint32_t(product_a[row * rank + p] * factors_b[column * rank + p]);
        sum += uint32_t(factors_a[row * rank + p] * product_b[column * rank + p]);
    }
    uint64_t at = row * n + column;
    c[at] = int32_t(uint32_t(c[at]) - sum);
}
