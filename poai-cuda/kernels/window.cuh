// Windows over images (spec §12).
#pragma once

#include "simt.cuh"

// A window over images of height×width pixels, with `out_height`×`out_width`
// positions.
struct Window {
    uint32_t height, width, kernel_down, kernel_right, stride_down, stride_right, top, left,
        out_height, out_width;
};
