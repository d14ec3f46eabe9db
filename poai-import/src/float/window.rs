//! Convolutions and pools of one image 1×C×H×W.

use super::matrix;
use crate::graph::{ImageWindow, ValueShape};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArcArray2, Array2, ArrayViewMut2, s};

/// The numbers of a convolution.
pub(super) struct Convolution<'a> {
    pub(super) weights: &'a ArcArray2<f32>,
    pub(super) bias: &'a [f32],
    pub(super) window: &'a ImageWindow,
    pub(super) groups: usize,
}

/// A convolution, group by group.
pub(super) fn convolve(
    convolution: &Convolution<'_>,
    (from, x): (&ValueShape, &[f32]),
    to: &ValueShape,
    out: &mut [f32],
) {
    let &Convolution { weights, bias, window, groups } = convolution;
    let (Some([channels, ..]), Some([outputs, height, width])) = (from.image(), to.image()) else {
        return;
    };
    let (own, outputs) = (channels / groups.max(1), outputs / groups.max(1));
    let pixels = height * width;
    for (plane, &bias) in out.chunks_exact_mut(pixels.max(1)).zip(bias) {
        plane.fill(bias);
    }
    for (group, out) in out.chunks_exact_mut((outputs * pixels).max(1)).enumerate() {
        let unfolded = unfold(x, from, window, group * own..(group + 1) * own, [height, width]);
        let weights = weights.slice(s![group * outputs..(group + 1) * outputs, ..]);
        if let Ok(mut out) = ArrayViewMut2::from_shape((outputs, pixels), out) {
            general_mat_mul(1.0, &weights, &unfolded.t(), 1.0, &mut out);
        }
    }
}

/// The rows under the kernel, one row per output pixel. Columns are in (kernel
/// row, kernel column, channel) order. Entries are zero where the kernel
/// extends beyond the image.
pub(crate) fn unfold(
    x: &[f32],
    from: &ValueShape,
    window: &ImageWindow,
    channels: std::ops::Range<usize>,
    [height, width]: [usize; 2],
) -> Array2<f32> {
    let count = channels.len();
    let mut rows = Array2::zeros((height * width, window.area() * count));
    let planes = matrix(x, from.0[2] * from.0[3]);
    for (pixel, mut row) in rows.outer_iter_mut().enumerate() {
        for (position, place) in places(window, from, pixel / width, pixel % width).enumerate() {
            let Some(place) = place else { continue };
            for (at, channel) in channels.clone().enumerate() {
                row[position * count + at] = planes[[channel, place]];
            }
        }
    }
    rows
}

/// The pixel under each position of the kernel, or `None` outside the image.
fn places(
    window: &ImageWindow,
    from: &ValueShape,
    y: usize,
    x: usize,
) -> impl Iterator<Item = Option<usize>> {
    let ImageWindow { kernel, stride, pads, dilation } = *window;
    let (height, width) = (from.0[2], from.0[3]);
    let inside = move |at: usize, axis: usize, offset: usize, before: usize, size: usize| {
        (at * stride[axis] + offset * dilation[axis]).checked_sub(before).filter(|&at| at < size)
    };
    (0..kernel[0]).flat_map(move |down| {
        (0..kernel[1]).map(move |right| {
            let y = inside(y, 0, down, pads[0], height)?;
            let x = inside(x, 1, right, pads[1], width)?;
            Some(y * width + x)
        })
    })
}

/// One number for the entries under the window, channel by channel.
pub(super) fn pool(
    x: &[f32],
    from: &ValueShape,
    window: &ImageWindow,
    to: &ValueShape,
    out: &mut [f32],
    of: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) {
    let Some([_, height, width]) = to.image() else { return };
    let planes = x.chunks_exact((from.0[2] * from.0[3]).max(1));
    for (plane, out) in planes.zip(out.chunks_exact_mut((height * width).max(1))) {
        for (pixel, out) in out.iter_mut().enumerate() {
            let under = places(window, from, pixel / width, pixel % width).flatten();
            *out = of(&mut under.map(|place| plane[place]));
        }
    }
}
