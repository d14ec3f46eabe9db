//! Steps that move entries without changing them.

use super::pool::{pixels, spread_pixels};
use super::{Local, Region, RowSource, StepError};
use crate::program::{GroupWindow, Window};
use alloc::vec;

/// Writes every position of a window as a row.
pub(super) fn unfold(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
    window: &Window,
) -> Result<(), StepError> {
    let channels = local.slot(0).columns as usize;
    let mut row_entries = vec![0; local.output.columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let places = row_entries.chunks_exact_mut(channels.max(1));
        for (pixel, place) in pixels(local, window, row).zip(places) {
            match pixel {
                Some(pixel) => source.read(0, pixel, place)?,
                None => place.fill(0),
            }
        }
        let columns = region.columns.start as usize..region.columns.end as usize;
        out.copy_from_slice(&row_entries[columns]);
    }
    Ok(())
}

/// Writes every position of a window with gaps as a row, group by group.
pub(super) fn group_unfold(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
    moved: &GroupWindow,
) -> Result<(), StepError> {
    let Some(covered) = moved.covered() else { return Err(StepError::Region) };
    let channels = local.slot(0).columns as usize;
    let per_group = (channels / moved.groups.max(1) as usize).max(1);
    // Entries of a group.
    let whole = (local.output.columns as usize / moved.groups.max(1) as usize).max(1);
    let mut pixel_entries = vec![0; channels];
    let mut row_entries = vec![0; local.output.columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        row_entries.fill(moved.fill);
        let pixels = spread_pixels(local, &covered, moved.dilation, row);
        for (position, pixel) in pixels.enumerate() {
            let Some(pixel) = pixel else { continue };
            source.read(0, pixel, &mut pixel_entries)?;
            let places = row_entries.get_mut(position * per_group..).unwrap_or_default();
            if per_group == 1 {
                // Depthwise: slices of one entry would take most of the time.
                for (to, &from) in places.iter_mut().step_by(whole).zip(&pixel_entries) {
                    *to = from;
                }
                continue;
            }
            let places = places.chunks_mut(whole);
            for (to, from) in places.zip(pixel_entries.chunks_exact(per_group)) {
                if let Some(to) = to.get_mut(..per_group) {
                    to.copy_from_slice(from);
                }
            }
        }
        let columns = region.columns.start as usize..region.columns.end as usize;
        out.copy_from_slice(&row_entries[columns]);
    }
    Ok(())
}

/// Transposes every item.
pub(super) fn transpose(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (in_rows, out_rows) = (local.item_rows(0), local.output_item_rows());
    let mut input = vec![0; local.slot(0).columns as usize];
    let width = region.width();
    // One item at a time, so that each of its rows is read once.
    let mut row = region.rows.start;
    while row < region.rows.end {
        let item = row / out_rows;
        let end = region.rows.end.min((item + 1) * out_rows);
        for (at, column) in region.columns.clone().enumerate() {
            source.read(0, item * in_rows + column, &mut input)?;
            for r in row..end {
                let to = (r - region.rows.start) as usize * width + at;
                out[to] = input[(r - item * out_rows) as usize];
            }
        }
        row = end;
    }
    Ok(())
}

/// Writes the same entries, in order, in another shape.
pub(super) fn reshape(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let in_columns = u64::from(local.slot(0).columns).max(1);
    let mut input = vec![0; in_columns as usize];
    let mut held = None;
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let first = u64::from(row) * u64::from(local.output.columns);
        for (column, out) in region.columns.clone().zip(out) {
            let at = first + u64::from(column);
            // Exact: the row number of an input tensor fits 32 bits.
            let from = (at / in_columns) as u32;
            if held.replace(from) != Some(from) {
                source.read(0, from, &mut input)?;
            }
            *out = input[(at % in_columns) as usize];
        }
    }
    Ok(())
}
