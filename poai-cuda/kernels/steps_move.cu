// poai: arch compute_61
//
// Steps that move entries, and pools of pixels. Unless a kernel's comment
// differs, it takes blocks of 256 threads, as many as there are groups of 8
// padded rows of the output: a warp makes a row. Inputs and output are of one
// type.
#include "steps.cuh"
#include "window.cuh"

// Transposes every item. `rows` and `columns` are the output's. An item has
// `item_rows` rows in the output; its input has `item_rows` columns and
// `columns` rows. A block of 256 threads for each 32×32 padded entries of the
// output: blocks along x go down, along y across (the last ones may be
// narrower).
extern "C" __global__ void __launch_bounds__(256)
    step_transpose(const void* x, void* out, uint32_t type, uint32_t rows, uint32_t columns,
                   uint32_t item_rows) {
    // One column more, so that reading down it uses every bank.
    __shared__ int32_t tile[32][33];
    uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t first_row = blockIdx.x * 32, first_column = blockIdx.y * 32;
    uint32_t in_stride = row_stride(item_rows, type), out_stride = row_stride(columns, type);

    // Lanes go along the input's rows, which are the output's columns.
    uint32_t row = first_row + lane;
    uint64_t first = uint64_t(row / item_rows) * columns;
    for (uint32_t i = warp; i < 32; i += STEP_WARPS) {
        uint32_t column = first_column + i;
        tile[i][lane] = row < rows && column < columns
                            ? entry_load(x, type, (first + column) * in_stride + row % item_rows)
                            : 0;
    }
    __syncthreads();
    uint32_t column = first_column + lane;
    for (uint32_t i = warp; i < 32; i += STEP_WARPS) {
        if (column < out_stride) {
            entry_store(out, type, uint64_t(first_row + i) * out_stride + column, tile[lane][i]);
        }
    }
}

// Copies the entries in order; the input has `in_columns` columns.
extern "C" __global__ void __launch_bounds__(256)
    step_reshape(const void* x, void* out, uint32_t type, uint32_t rows, uint32_t columns,
                 uint32_t in_columns) {
    uint32_t row = warp_row(), in_stride = row_stride(in_columns, type);
    uint64_t first = uint64_t(row) * columns;
    uint64_t in_row = first / in_columns;
    uint32_t in_column = uint32_t(first % in_columns);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        // Both are below 2^17.
        uint32_t at = in_column + column;
        return entry_load(x, type, (in_row + at / in_columns) * in_stride + at % in_columns);
    });
}

// The position of a window for a row of the output.
struct Position {
    // The first row of the image; then the row and the column of the window's
    // first pixel, which may lie before the image.
    uint64_t image;
    int64_t y, x;
};

__device__ __forceinline__ Position position(const Window& window, uint32_t row) {
    uint32_t positions = window.out_height * window.out_width;
    uint32_t place = row % positions;
    return {uint64_t(row / positions) * window.height * window.width,
            int64_t(uint64_t(place / window.out_width) * window.stride_down) - window.top,
            int64_t(uint64_t(place % window.out_width) * window.stride_right) - window.left};
}

// The pixels under a window as a row, in the order down, right, channel; those
// outside the image are zeros. Of type 1; pixels have `channels` columns.
extern "C" __global__ void __launch_bounds__(256)
    step_unfold(const int8_t* x, int8_t* out, uint32_t rows, uint32_t channels, uint32_t height,
                uint32_t width, uint32_t kernel_down, uint32_t kernel_right, uint32_t stride_down,
                uint32_t stride_right, uint32_t top, uint32_t left, uint32_t out_height,
                uint32_t out_width) {
    Window window = {height,       width, kernel_down, kernel_right, stride_down,
                     stride_right, top,   left,        out_height,   out_width};
    uint32_t row = warp_row(), stride = row_stride(channels, 1);
    Position at = position(window, row);
    row_store(out, 1, row < rows, kernel_down * kernel_right * channels, [=](uint32_t column) {
        uint32_t pixel = column / channels, channel = column % channels;
        int64_t down = at.y + pixel / kernel_right, right = at.x + pixel % kernel_right;
        bool inside = down >= 0 && down < height && right >= 0 && right < width;
        return inside ? x[(at.image + uint64_t(down) * width + uint64_t(right)) * stride + channel]
                      : int8_t(0);
    });
}

// As step_unfold, for a kernel with `gap_down` and `gap_right` from one pixel to
// the next, in the order group, down, right, channel of the group. Pixels
// outside the image are `fill`. Pixels have groups·`channels` columns.
extern "C" __global__ void __launch_bounds__(256)
    step_group_unfold(const int8_t* x, int8_t* out, uint32_t rows, uint32_t channels,
                      uint32_t groups, uint32_t gap_down, uint32_t gap_right, int32_t fill,
                      uint32_t height, uint32_t width, uint32_t kernel_down, uint32_t kernel_right,
                      uint32_t stride_down, uint32_t stride_right, uint32_t top, uint32_t left,
                      uint32_t out_height, uint32_t out_width) {
    Window window = {height,       width, kernel_down, kernel_right, stride_down,
                     stride_right, top,   left,        out_height,   out_width};
    uint32_t row = warp_row(), stride = row_stride(groups * channels, 1);
    uint32_t area = kernel_down * kernel_right;
    Position at = position(window, row);
    row_store(out, 1, row < rows, groups * area * channels, [=](uint32_t column) {
        uint32_t place = column / channels, pixel = place % area;
        uint32_t channel = place / area * channels + column % channels;
        int64_t down = at.y + int64_t(pixel / kernel_right) * gap_down;
        int64_t right = at.x + int64_t(pixel % kernel_right) * gap_right;
        bool inside = down >= 0 && down < height && right >= 0 && right < width;
        return inside ? x[(at.image + uint64_t(down) * width + uint64_t(right)) * stride + channel]
                      : int8_t(fill);
    });
}

// Writes the entries of one input that an index names. `index` has a row for
// each of the output's `item_rows` rows of an item. The input has `in_rows` rows
// of an item, and its entries have the numbers from `first` on, of `entries` in
// all inputs. The launch for the first input, whose `first` is 0, also writes
// zeros to all other entries, and comes before the others. If a number names no
// entry and is not −1, `error` becomes the minimum of itself and the index's
// row.
extern "C" __global__ void __launch_bounds__(256)
    step_arrange(const void* x, const int32_t* index, void* out, uint32_t type, uint32_t rows,
                 uint32_t columns, uint32_t item_rows, uint32_t in_rows, uint32_t in_columns,
                 uint32_t first, uint32_t entries, uint32_t* error) {
    uint32_t row = warp_row(), lane = threadIdx.x % 32;
    uint32_t out_stride = row_stride(columns, type), in_stride = row_stride(in_columns, type);
    uint32_t item = row / item_rows, place = row % item_rows;
    const int32_t* numbers = index + uint64_t(place) * columns;
    uint64_t image = uint64_t(item) * in_rows, start = uint64_t(row) * out_stride;
    for (uint32_t column = lane; column < out_stride; column += 32) {
        bool is_true = row < rows && column < columns;
        int32_t number = is_true ? numbers[column] : -1;
        // Numbers below `first` become large ones; there are fewer than 2^31
        // entries.
        uint32_t own = uint32_t(number) - first;
        bool named = number >= 0 && uint32_t(number) >= first && own / in_columns < in_rows;
        if (named) {
            uint64_t from = (image + own / in_columns) * in_stride + own % in_columns;
            entry_store(out, type, start + column, entry_load(x, type, from));
        } else if (first == 0) {
            entry_store(out, type, start + column, 0);
            if (number < -1 || (number >= 0 && uint32_t(number) >= entries)) {
                atomicMin(error, place);
            }
        }
    }
}

// The largest pixel under a window or, if `mean` is not 0, the mean of those
// inside the image; each channel by itself.
extern "C" __global__ void __launch_bounds__(256)
    step_pool(const void* x, void* out, uint32_t type, uint32_t rows, uint32_t columns,
              uint32_t mean, uint32_t height, uint32_t width, uint32_t kernel_down,
              uint32_t kernel_right, uint32_t stride_down, uint32_t stride_right, uint32_t top,
              uint32_t left, uint32_t out_height, uint32_t out_width) {
    Window window = {height,       width, kernel_down, kernel_right, stride_down,
                     stride_right, top,   left,        out_height,   out_width};
    uint32_t row = warp_row(), stride = row_stride(columns, type);
    Position at = position(window, row);
    // The part of the window inside the image, which is never empty.
    int64_t y_first = max(at.y, int64_t(0)), y_end = min(at.y + kernel_down, int64_t(height));
    int64_t x_first = max(at.x, int64_t(0)), x_end = min(at.x + kernel_right, int64_t(width));
    int64_t count = (y_end - y_first) * (x_end - x_first);
    row_store(out, type, row < rows, columns, [=](uint32_t column) {
        int64_t sum = 0;
        int32_t most = -2147483647 - 1;
        for (int64_t y = y_first; y < y_end; y++) {
            for (int64_t pixel = x_first; pixel < x_end; pixel++) {
                uint64_t from = at.image + uint64_t(y) * width + uint64_t(pixel);
                int32_t entry = entry_load(x, type, from * stride + column);
                sum += entry;
                most = max(most, entry);
            }
        }
        return mean != 0 ? sat32(rdiv(sum, count)) : most;
    });
}
