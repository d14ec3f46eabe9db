//! Steps that scale a row by a measure of its own entries.

use super::arithmetic::{clamp, rdiv, sat16};
use super::rows;
use super::{Local, Region, RowSource, StepError, read_rows, table};
use crate::program::Op;
use alloc::vec;

/// Computes the softmax of each row, by table.
pub(super) fn softmax(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let Op::Softmax { multiplier, shift, one, clamp: to, .. } = *local.op else {
        return Err(StepError::Region);
    };
    let table = table(source, local.inputs)?;
    let mut x = vec![0; local.output.columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        let sum = rows::numerators(&mut x, multiplier, shift, &table);
        for (out, &e) in out.iter_mut().zip(&x[region.columns.start as usize..]) {
            *out = clamp(rdiv(i64::from(e) * i64::from(one), sum.max(1)), &to);
        }
    }
    Ok(())
}

/// Computes LayerNorm with `centre`, and RMSNorm without it.
pub(super) fn normalise(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
    centre: bool,
    shift: u8,
) -> Result<(), StepError> {
    let columns = local.output.columns;
    let affine = read_rows(source, local.inputs, region.columns.clone(), 2)?;
    let affine = affine.as_chunks::<2>().0;
    let mut x = vec![0; columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        let (mean, deviation) = rows::moments(&x, centre);
        let inverse = (1 << 26) / deviation;
        let x = &x[region.columns.start as usize..];
        rows::normalise(out, x, affine, mean, inverse, shift);
    }
    Ok(())
}

/// Divides each row by its Euclidean length.
pub(super) fn l2(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let mut x = vec![0; local.output.columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        // At most 2^20 squares, each at most 2^62, so the sum fits 128 bits.
        let squares: u128 = x.iter().map(|&x| u128::from(x.unsigned_abs()).pow(2)).sum();
        let length = (squares.isqrt() as i64).max(1);
        for (out, &x) in out.iter_mut().zip(&x[region.columns.start as usize..]) {
            *out = sat16(rdiv(i64::from(x) << 14, length));
        }
    }
    Ok(())
}
