// poai: arch compute_61
//
// Steps of training that draw: stochastic rounding, and the samples of a batch.
// `seed` has 8 rows and `t` one, each of one column of type 4. If t is negative,
// the output is zeros, and `error` becomes 0.
#include "blake3.cuh"
#include "training.cuh"

// The context of H("rounding", ...): the hash of "poai-1 rounding" in BLAKE3's
// mode for contexts.
static __device__ __forceinline__ void rounding_context(uint32_t (&context)[8]) {
    context[0] = 0x0bd5a934u, context[1] = 0x3e2bbc25u, context[2] = 0x5bd796d3u;
    context[3] = 0x9489d3b3u, context[4] = 0xedc060a1u, context[5] = 0x1ec62a4du;
    context[6] = 0x53af4c77u, context[7] = 0x095342feu;
}

// The context of H("draw", ...).
static __device__ __forceinline__ void draw_context(uint32_t (&context)[8]) {
    context[0] = 0x16b790cbu, context[1] = 0x5bd35085u, context[2] = 0x3dbbc339u;
    context[3] = 0x5fe05671u, context[4] = 0xb22deff1u, context[5] = 0x3e297e72u;
    context[6] = 0x2e49ca8fu, context[7] = 0x95999ac4u;
}

// A message that begins with a seed; the rest is zeros.
static __device__ __forceinline__ void seed_message(uint32_t (&message)[16], const int32_t* seed) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
        message[i] = i < 8 ? uint32_t(seed[i]) : 0;
    }
}

// Random bytes that a warp makes at once: a block of output for each lane.
constexpr uint32_t RANDOM_BYTES = 32 * 64;

// step_rescale, rounded by the bytes of `stream`. Blocks of 256 threads, as many
// as there are groups of 8 padded rows of the output: a warp makes a row.
extern "C" __global__ void __launch_bounds__(256)
    step_rescale_random(const void* x, uint32_t x_type, const int32_t* e0, const int32_t* e1,
                        const int32_t* e2, const int32_t* e3, uint32_t modes, int32_t base,
                        const int32_t* seed, const int32_t* t, uint32_t stream, void* out,
                        uint32_t type, uint32_t rows, uint32_t columns, int32_t multiplier,
                        int32_t least, int32_t most, uint32_t* error) {
    __shared__ uint32_t random[STEP_WARPS][RANDOM_BYTES / 4];
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint64_t start = uint64_t(row) * row_stride(columns, x_type);
    bool is_true = row < rows && *t >= 0;
    if (row == 0 && lane == 0 && *t < 0) {
        atomicMin(error, 0u);
    }
    int32_t p = is_true ? shift_of({{e0, e1, e2, e3}, modes, base}, row) : 0;
    uint32_t context[8], key[8], message[16];
    rounding_context(context);
    seed_message(message, seed);
    // t as 64 bits.
    message[8] = uint32_t(*t), message[10] = stream;
    blake3_derive_key(key, context, message, 44);
    const uint32_t of_row[16] = {row};
    uint32_t* own = random[threadIdx.x / 32];
    for (uint32_t first = 0; first < row_stride(columns, type); first += RANDOM_BYTES) {
        if (is_true && first + lane * 64 < columns) {
            uint32_t bytes[16];
            blake3_keyed_output(bytes, key, of_row, 4, first / 64 + lane);
#pragma unroll
            for (uint32_t i = 0; i < 16; i++) {
                own[16 * lane + i] = bytes[i];
            }
        }
        __syncwarp();
        row_store_part(out, type, is_true, columns, first, first + RANDOM_BYTES,
                       [=](uint32_t column) {
                           uint32_t at = column - first;
                           uint32_t byte = own[at / 4] >> (8 * (at % 4)) & 0xff;
                           int64_t entry = entry_load(x, x_type, start + column);
                           return clamp(shift_random(entry * multiplier, p, byte), least, most);
                       });
        __syncwarp();
    }
}

// The sample of each item: `out` is rows×1 of type 4, for `rows` items. A thread
// for each padded row of the output.
extern "C" __global__ void __launch_bounds__(256)
    step_draw(const int32_t* seed, const int32_t* t, int32_t* out, uint32_t rows,
              uint32_t samples, uint32_t* error) {
    uint32_t row = blockIdx.x * STEP_THREADS + threadIdx.x;
    if (row >= (rows + 31) / 32 * 32) {
        return;
    }
    if (row == 0 && *t < 0) {
        atomicMin(error, 0u);
    }
    if (row >= rows || *t < 0) {
        out[row] = 0;
        return;
    }
    uint64_t place = uint64_t(uint32_t(*t)) * rows + row, epoch = place / samples;
    uint32_t context[8], key[8], message[16];
    draw_context(context);
    seed_message(message, seed);
    message[8] = uint32_t(epoch), message[9] = uint32_t(epoch >> 32);
    blake3_derive_key(key, context, message, 40);
    // Half of the binary digits of samples - 1, rounded up: at most 16.
    uint32_t half = (33 - uint32_t(__clz(int(samples - 1)))) / 2, mask = (1u << half) - 1;
    uint32_t at = uint32_t(place % samples);
    // A permutation returns below `samples`, because `at` was there.
    do {
        uint32_t left = at >> half, right = at & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t words[16];
            const uint32_t of_round[16] = {round | right << 8, right >> 24};
            blake3_keyed_output(words, key, of_round, 5, 0);
            uint32_t next = left ^ (words[0] & mask);
            left = right;
            right = next;
        }
        at = left << half | right;
    } while (at >= samples);
    out[row] = int32_t(at);
}
