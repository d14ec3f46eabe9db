//! Gradients of steps that look through windows.

use crate::program::Window;
use crate::program::ops::arithmetic::sat32;
use crate::program::ops::reads::items;
use crate::program::ops::{Local, Read, Region, RowSource, StepError, pool};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The lines of positions of an item whose windows reach some lines of pixels.
///
/// It is empty if no window reaches them.
pub(super) fn positions(window: &Window, lines: &Range<u32>) -> Range<u32> {
    let height = window.output().unwrap_or([1, 1])[0];
    let (stride, kernel) = (u64::from(window.stride[0].max(1)), u64::from(window.kernel[0]));
    let pad = u64::from(window.pads[0]);
    // Line Y sees the lines Y·stride − pad to Y·stride − pad + kernel − 1.
    let first = (u64::from(lines.start) + pad + 1).saturating_sub(kernel).div_ceil(stride);
    let end = (u64::from(lines.end.max(1)) - 1 + pad) / stride + 1;
    // Exact: at most the output's height.
    let (first, end) = (first.min(height.into()) as u32, end.min(height.into()) as u32);
    first..end.max(first)
}

/// The lines of pixels that some lines of positions see.
pub(super) fn seen(window: &Window, lines: &Range<u32>) -> Range<u32> {
    if lines.is_empty() {
        return 0..0;
    }
    let top = (lines.start * window.stride[0]).saturating_sub(window.pads[0]);
    let bottom = (lines.end - 1) * window.stride[0] + window.kernel[0];
    top..bottom.saturating_sub(window.pads[0]).min(window.height).max(top)
}

/// The lines of pixels that some rows of an item hold.
fn lines_of(window: &Window, rows: &Range<u32>) -> Range<u32> {
    let width = window.width.max(1);
    rows.start / width..rows.end.div_ceil(width)
}

/// The rows that a region of a window's gradient depends on: of dy, in slot
/// `dy`, and of x if its slot is 0 and dy's is not.
pub(super) fn reads(local: &Local<'_>, window: &Window, region: &Region, dy: usize) -> Vec<Read> {
    let width = window.output().unwrap_or([1, 1])[1];
    let (pixels, places) = (local.output_item_rows(), local.item_rows(dy));
    let mut reads = vec![];
    for (item, rows) in items(&region.rows, pixels) {
        let rows = rows.start - item * pixels..rows.end - item * pixels;
        let lines = positions(window, &lines_of(window, &rows));
        let first = item * places;
        reads.push(Read { slot: dy, rows: first + lines.start * width..first + lines.end * width });
        if dy > 0 {
            let seen = seen(window, &lines);
            let first = item * pixels;
            let rows = first + seen.start * window.width..first + seen.end * window.width;
            reads.push(Read { slot: 0, rows });
        }
    }
    reads.retain(|read| !read.rows.is_empty());
    reads
}

/// Sums the gradients of the places to which unfold copies each pixel.
pub(super) fn unfold(
    local: &Local<'_>,
    window: &Window,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (pixels, places) = (local.output_item_rows(), local.item_rows(0));
    let channels = local.output.columns;
    let mut sums = vec![0i64; region.width()];
    let mut part = vec![0; region.width()];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let (item, pixel) = (row / pixels, row % pixels);
        sums.fill(0);
        for (place, offset) in seen_from(window, pixel) {
            let column = offset * channels + region.columns.start;
            source.read_from(0, item * places + place, column, &mut part)?;
            for (sum, &part) in sums.iter_mut().zip(&part) {
                // Exact: at most 2^16 entries of 32 bits.
                *sum += i64::from(part);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = sat32(sum);
        }
    }
    Ok(())
}

/// The positions whose windows see a pixel, with the pixel's number in each.
fn seen_from(window: &Window, pixel: u32) -> impl Iterator<Item = (u32, u32)> + use<> {
    let Window { width, kernel, stride, pads, .. } = *window;
    let [height_out, width_out] = window.output().unwrap_or([1, 1]);
    let along = |at: u32, axis: usize, count: u32| {
        let (stride, kernel) = (stride[axis].max(1), kernel[axis]);
        // Exact: pads are below the kernel, of at most 2^16 pixels.
        let at = u64::from(at) + u64::from(pads[axis]);
        (0..kernel).filter_map(move |offset| {
            let rest = at.checked_sub(offset.into())?;
            let place = rest / u64::from(stride);
            (rest % u64::from(stride) == 0 && place < count.into())
                .then_some((place as u32, offset))
        })
    };
    let (y, x) = (pixel / width.max(1), pixel % width.max(1));
    let right: Vec<(u32, u32)> = along(x, 1, width_out).collect();
    along(y, 0, height_out).flat_map(move |(place, down)| {
        let right = right.clone();
        right
            .into_iter()
            .map(move |(column, offset)| (place * width_out + column, down * kernel[1] + offset))
    })
}

/// Sums the gradients of the windows whose first largest pixel each pixel is.
pub(super) fn max_pool(
    local: &Local<'_>,
    window: &Window,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    // A part of the columns at a time: the sums of all would take more memory
    // than a tile has.
    let part = region.columns.len().div_ceil(16).max(8) as u32;
    for start in region.columns.clone().step_by(part as usize) {
        let columns = start..region.columns.end.min(start + part);
        max_pool_columns(local, window, source, region, columns, out)?;
    }
    Ok(())
}

/// The same for some columns of the region.
fn max_pool_columns(
    local: &Local<'_>,
    window: &Window,
    source: &dyn RowSource,
    region: &Region,
    columns: Range<u32>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (pixels, places) = (local.output_item_rows(), local.item_rows(1));
    let width = columns.len();
    let [_, width_out] = window.output().unwrap_or([1, 1]);
    let mut sums = vec![0i64; region.rows.len() * width];
    let (mut pixel, mut dy) = (vec![0; width], vec![0; width]);
    // The first largest pixel of each column, and its row.
    let mut best: Vec<(i32, u32)> = vec![(0, 0); width];
    for (item, rows) in items(&region.rows, pixels) {
        let own = rows.start - item * pixels..rows.end - item * pixels;
        let lines = positions(window, &lines_of(window, &own));
        for place in lines.start * width_out..lines.end * width_out {
            source.read_from(1, item * places + place, columns.start, &mut dy)?;
            // Every window sees a pixel.
            let seen = pool::pixels(local, window, item * places + place).flatten();
            for (order, at) in seen.enumerate() {
                source.read_from(0, at, columns.start, &mut pixel)?;
                for (best, &x) in best.iter_mut().zip(&pixel) {
                    if order == 0 || x > best.0 {
                        *best = (x, at);
                    }
                }
            }
            for (column, ((_, at), &dy)) in best.iter().zip(&dy).enumerate() {
                if rows.contains(at) {
                    let row = (at - region.rows.start) as usize;
                    sums[row * width + column] += i64::from(dy);
                }
            }
        }
    }
    let first = (columns.start - region.columns.start) as usize;
    for (out, sums) in out.chunks_exact_mut(region.width()).zip(sums.chunks_exact(width)) {
        for (out, &sum) in out[first..first + width].iter_mut().zip(sums) {
            *out = sat32(sum);
        }
    }
    Ok(())
}
