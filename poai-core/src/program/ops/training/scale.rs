//! Operands with exponents, and their products.

use super::arithmetic::{Random, iteration, row_shift, seed, shift};
use super::loops;
use crate::program::TrainingOp;
use crate::program::ops::arithmetic::{clamp, rsh, sat32};
use crate::program::ops::{Local, Region, RowSource, StepError, dot, read_rows};
use alloc::vec;
use alloc::vec::Vec;

/// Multiplies rows of two values, and scales the sums.
pub(super) fn product(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::ScaledProduct { shift: by, bias, bias_shift, clamp: to } = op else {
        return Err(StepError::Region);
    };
    let (width, k) = (region.width(), local.slot(0).columns.max(1) as usize);
    let biases =
        if *bias { read_rows(source, 2, region.columns.clone(), 1)? } else { vec![0; width] };
    let b = match sums {
        Some(_) => vec![],
        None => read_rows(source, 1, region.columns.clone(), k)?,
    };
    let mut a = vec![0; k];
    let first = if *bias { 3 } else { 2 };
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        let p = row_shift(source, local, by, first, row)?;
        match sums {
            Some(sums) => out.copy_from_slice(&sums[index * width..][..width]),
            None => {
                source.read(0, row, &mut a)?;
                for (out, b) in out.iter_mut().zip(b.chunks_exact(k)) {
                    *out = dot(&a, b);
                }
            }
        }
        for (out, &bias) in out.iter_mut().zip(&biases) {
            let bias = rsh(bias.into(), *bias_shift);
            *out = clamp(shift((*out).into(), p).saturating_add(bias), to);
        }
    }
    Ok(())
}

/// Scales entries by a power of two that the run computes.
pub(super) fn rescale(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::Rescale { shift: by, stream, multiplier, clamp: to } = op else {
        return Err(StepError::Region);
    };
    let (first, end) = (region.columns.start as usize, region.columns.end as usize);
    let random = 1 + by.signs.len();
    let mut random = match stream {
        Some(stream) => {
            let (seed, t) = (seed(source, random)?, iteration(source, random + 1)?);
            Some(Random::new(&seed, t, *stream, end))
        }
        None => None,
    };
    let multiplier = *multiplier;
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let p = row_shift(source, local, by, 1, row)?;
        source.read_from(0, row, region.columns.start, out)?;
        match &mut random {
            // A shift to the left rounds nothing.
            Some(random) if p > 0 => {
                loops::scale_randomly(out, multiplier, p, &random.row(row)[first..], to);
            }
            _ => loops::scale(out, multiplier, p, to),
        }
    }
    Ok(())
}

/// Binary digits of a number that is not negative.
fn bits(x: i32) -> i32 {
    // Exact: at most 31.
    (u32::BITS - x.max(0).unsigned_abs().leading_zeros()) as i32
}

/// The exponent of an operand whose largest magnitude is `max`.
fn exponent_for(max: i32) -> i32 {
    (bits(max) - 6).max(0)
}

/// The largest entry of a column.
fn largest(source: &dyn RowSource, slot: usize, rows: u32) -> Result<i32, StepError> {
    let mut largest = i32::MIN;
    let mut entry = [0];
    for row in 0..rows {
        source.read(slot, row, &mut entry)?;
        largest = largest.max(entry[0]);
    }
    Ok(largest)
}

/// Finds the exponents of operands from their row scales.
pub(super) fn exponent(
    local: &Local<'_>,
    per_row: bool,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    if !per_row {
        out.fill(exponent_for(largest(source, 0, local.slot(0).rows)?));
        return Ok(());
    }
    for (row, out) in region.rows.clone().zip(out) {
        let mut m = [0];
        source.read(0, row, &mut m)?;
        *out = exponent_for(m[0]);
    }
    Ok(())
}

/// Finds the exponent for the next iteration.
pub(super) fn next_exponent(
    local: &Local<'_>,
    source: &dyn RowSource,
    out: &mut [i32],
) -> Result<(), StepError> {
    let mut e = [0];
    source.read(0, 0, &mut e)?;
    let largest = largest(source, 1, local.slot(1).rows)?;
    out.fill(if largest >= 63 {
        e[0].saturating_add(1)
    } else if largest < 32 {
        e[0].saturating_sub(6 - bits(largest)).max(0)
    } else {
        e[0]
    });
    Ok(())
}

/// Sums rows.
pub(super) fn row_sum(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let mut x: Vec<i32> = vec![0; local.slot(0).columns as usize];
    for (row, out) in region.rows.clone().zip(out) {
        source.read(0, row, &mut x)?;
        // Exact: fewer than 2^17 entries of 32 bits.
        *out = sat32(x.iter().map(|&x| i64::from(x)).sum());
    }
    Ok(())
}
