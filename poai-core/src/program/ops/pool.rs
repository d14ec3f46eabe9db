//! Steps that compute means and maxima over pixels and tokens.

use super::arithmetic::{rdiv, sat32};
use super::{Local, Region, RowSource, StepError};
use crate::program::{Op, Window};
use alloc::vec;

/// Computes the maximum or the mean of the pixels under the window.
pub(super) fn window(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
    window: &Window,
) -> Result<(), StepError> {
    let end = region.columns.end as usize;
    let first = region.columns.start as usize;
    let mean = matches!(local.op, Op::AveragePool(_));
    let mut pixel = vec![0; end];
    let mut sums = vec![0i64; region.width()];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        sums.fill(if mean { 0 } else { i64::MIN });
        let mut count = 0;
        for pixel_row in pixels(local, window, row).flatten() {
            source.read(0, pixel_row, &mut pixel)?;
            count += 1;
            for (sum, &x) in sums.iter_mut().zip(&pixel[first..]) {
                *sum = if mean { *sum + i64::from(x) } else { (*sum).max(x.into()) };
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = sat32(if mean { rdiv(sum, count.max(1)) } else { sum });
        }
    }
    Ok(())
}

/// The input rows under the window of an output row, in order.
///
/// An element is `None` if that pixel of the window lies outside the image.
pub fn pixels(local: &Local<'_>, window: &Window, row: u32) -> impl Iterator<Item = Option<u32>> {
    spread_pixels(local, window, [1, 1], row)
}

/// As [`pixels`], without the pixels in the gaps of a kernel.
///
/// The window is what the kernel covers, gaps included. `dilation` is the
/// distance between neighbours of the kernel.
pub(super) fn spread_pixels(
    local: &Local<'_>,
    window: &Window,
    dilation: [u32; 2],
    row: u32,
) -> impl Iterator<Item = Option<u32>> + use<> {
    let Window { height, width, kernel, stride, pads } = *window;
    let [out_height, out_width] = window.output().unwrap_or([1, 1]);
    let per_item = (out_height * out_width).max(1);
    let (item, place) = (row / per_item, row % per_item);
    let (y, x) = (place / out_width.max(1), place % out_width.max(1));
    let first = item * local.item_rows(0);
    let inside = |at: u32, stride: u32, offset: u32, before: u32, size: u32| {
        (at * stride + offset).checked_sub(before).filter(|&at| at < size)
    };
    let [down, right] = dilation.map(|distance| distance.max(1) as usize);
    (0..kernel[0]).step_by(down).flat_map(move |down| {
        (0..kernel[1]).step_by(right).map(move |right| {
            let y = inside(y, stride[0], down, pads[0], height)?;
            let x = inside(x, stride[1], right, pads[1], width)?;
            Some(first + y * width + x)
        })
    })
}

/// Computes the mean of an item's tokens.
pub(super) fn mean(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (first, end) = (region.columns.start as usize, region.columns.end as usize);
    let rows = local.item_rows(0);
    let mut token = vec![0; end];
    let mut sums = vec![0i64; region.width()];
    for (item, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let length = if local.inputs > 1 { local.length(source, 1, item)? } else { rows };
        sums.fill(0);
        for row in item * rows..item * rows + length {
            source.read(0, row, &mut token)?;
            for (sum, &x) in sums.iter_mut().zip(&token[first..]) {
                *sum += i64::from(x);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = sat32(rdiv(sum << 8, length.into()));
        }
    }
    Ok(())
}
