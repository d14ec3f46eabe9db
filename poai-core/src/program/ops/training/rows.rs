//! Steps that move rows: transposes, rows by id, and the samples of a batch.

use super::arithmetic::{iteration, seed};
use crate::digest::derive;
use crate::program::ops::arithmetic::sat32;
use crate::program::ops::{Local, Region, RowSource, StepError, named_row};
use alloc::vec;

/// Transposes a whole value.
pub(super) fn transpose(
    _local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let width = region.width();
    let mut x = vec![0; region.rows.len()];
    for (column, row) in region.columns.clone().enumerate() {
        source.read_from(0, row, region.rows.start, &mut x)?;
        for (out, &x) in out.iter_mut().skip(column).step_by(width).zip(&x) {
            *out = x;
        }
    }
    Ok(())
}

/// The slots of a table and of its ids.
pub(super) fn gather_slots(local: &Local<'_>) -> (usize, usize) {
    // A constant follows the inputs.
    if local.inputs == 1 { (1, 0) } else { (0, 1) }
}

/// Looks up rows of a table.
pub(super) fn gather(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (table, ids) = gather_slots(local);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let id = named_row(source, ids, row, local.slot(table).rows)?;
        source.read_from(table, id, region.columns.start, out)?;
    }
    Ok(())
}

/// Sums the rows that have each id.
pub(super) fn scatter_add(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let width = region.width();
    let mut named = vec![];
    for row in 0..local.slot(1).rows {
        let id = named_row(source, 1, row, local.output.rows)?;
        if region.rows.contains(&id) {
            named.push((id, row));
        }
    }
    named.sort_unstable();
    // The sums of one row at a time: those of all rows would take more memory
    // than a tile has.
    let (mut sums, mut x) = (vec![0i64; width], vec![0; width]);
    let mut rest = named.as_slice();
    for (own, out) in region.rows.clone().zip(out.chunks_exact_mut(width)) {
        sums.fill(0);
        while let Some((&(id, row), others)) = rest.split_first()
            && id == own
        {
            rest = others;
            source.read_from(0, row, region.columns.start, &mut x)?;
            for (sum, &x) in sums.iter_mut().zip(&x) {
                // Exact: fewer than 2^31 rows of 32 bits.
                *sum += i64::from(x);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = sat32(sum);
        }
    }
    Ok(())
}

/// Names the samples of a batch.
pub(super) fn draw(
    local: &Local<'_>,
    samples: u32,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (seed, t) = (seed(source, 0)?, iteration(source, 1)?);
    for (row, out) in region.rows.clone().zip(out) {
        // Exact: t is below 2^31.
        let place = t * u64::from(local.run.batch) + u64::from(row);
        *out = sample_at(&seed, place, samples) as i32;
    }
    Ok(())
}

/// The sample at a place of a run: in every epoch each sample has one place.
///
/// Place p is item p mod batch of iteration ⌊p/batch⌋. No samples count as 1.
pub fn sample_at(seed: &[u8; 32], place: u64, samples: u32) -> u32 {
    let samples = samples.max(1);
    let (epoch, at) = (place / u64::from(samples), place % u64::from(samples));
    let key = derive!("draw", seed, &epoch.to_le_bytes());
    let half = (u32::BITS - (samples - 1).leading_zeros()).div_ceil(2);
    let mask = (1u32 << half) - 1;
    // Exact: below `samples`.
    let mut x = at as u32;
    // A permutation of 2^(2·half) < 4·samples numbers returns below `samples`,
    // because x was there.
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..4u8 {
            let mut hasher = blake3::Hasher::new_keyed(&key);
            hasher.update(&[round]).update(&right.to_le_bytes());
            let mut word = [0; 4];
            word.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
            (left, right) = (right, left ^ (u32::from_le_bytes(word) & mask));
        }
        x = (left << half) | right;
        if x < samples {
            return x;
        }
    }
}
