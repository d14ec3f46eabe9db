//! Steps that read rows by their places in an item.

use crate::program::ops::arithmetic::{rsh, sat16};
use crate::program::ops::{Local, Region, RowSource, StepError};
use alloc::vec;

/// Turns pairs of columns of each head by the place of the token.
pub(super) fn rotary(
    local: &Local<'_>,
    shift: u8,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let sequence = local.run.sequence.max(1);
    let width = local.output.columns;
    let heads = (local.slot(0).columns / width.max(1)).max(1);
    let mut x = vec![0; width as usize];
    let mut turns = vec![0; local.slot(local.inputs).columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let (block, i) = (row / sequence, row % sequence);
        let (item, head) = (block / heads, block % heads);
        source.read_from(0, item * sequence + i, head * width, &mut x)?;
        source.read(local.inputs, i, &mut turns)?;
        let half = turns.len() / 2;
        let (cosines, sines) = turns.split_at(half);
        let (left, rest) = x.split_at_mut(half);
        let pairs = left.iter_mut().zip(rest).zip(cosines.iter().zip(sines));
        for ((left, right), (&cosine, &sine)) in pairs {
            // Exact: 16 bits each.
            let (a, b) = (i64::from(*left), i64::from(*right));
            let (c, s) = (i64::from(cosine), i64::from(sine));
            *left = sat16(rsh(a * c - b * s, shift));
            *right = sat16(rsh(b * c + a * s, shift));
        }
        out.copy_from_slice(&x[region.columns.start as usize..region.columns.end as usize]);
    }
    Ok(())
}

/// Copies as many rows of each item as there are answers.
pub(super) fn tail(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let from = tail_row(local, source, row)?;
        source.read_from(0, from, region.columns.start, out)?;
    }
    Ok(())
}

/// The row of x that a row of a tail is.
///
/// # Errors
/// [`StepError::Index`] if the start is negative.
pub(super) fn tail_row(
    local: &Local<'_>,
    source: &dyn RowSource,
    row: u32,
) -> Result<u32, StepError> {
    let answers = local.output_item_rows();
    let (item, answer) = (row / answers, row % answers);
    let rows = local.item_rows(0);
    let start = start(source, 1, item)?;
    // Exact: both are below 2^31.
    Ok(item * rows + (start + answer).min(rows - 1))
}

/// The start of an item, which is not negative: the first entry of its row.
pub(super) fn start(source: &dyn RowSource, slot: usize, item: u32) -> Result<u32, StepError> {
    let mut value = [0];
    source.read(slot, item, &mut value)?;
    let max = i32::MAX as u32;
    let error = StepError::Index { slot, row: item, value: value[0], min: 0, max };
    u32::try_from(value[0]).map_err(|_| error)
}
