//! Gradients of a row from the same row of the step's inputs.

use super::arithmetic::{rdiv, sat};
use crate::program::TrainingOp;
use crate::program::ops::arithmetic::{clamp, rsh, rsh_product, sat32};
use crate::program::ops::{Local, Region, RowSource, StepError, rows, table};
use alloc::vec;

/// Multiplies a gradient by an activation's derivative, which a table holds.
pub(super) fn gate(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::Gate { index_shift, shift, clamp: to, .. } = op else {
        return Err(StepError::Region);
    };
    let table = table(source, local.inputs)?;
    let mut x = vec![0; region.width()];
    // A shift by more than 31 also leaves only the sign.
    let index_shift = (*index_shift).min(31);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read_from(0, row, region.columns.start, out)?;
        source.read_from(1, row, region.columns.start, &mut x)?;
        for (g, &x) in out.iter_mut().zip(&x) {
            let index = (x >> index_shift).saturating_add(128).clamp(0, 255);
            *g = clamp(rsh_product(*g, table[index as usize], *shift), to);
        }
    }
    Ok(())
}

/// Computes softmax less the label.
pub(super) fn cross_entropy(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::CrossEntropy { multiplier, shift, fraction, .. } = op else {
        return Err(StepError::Region);
    };
    let table = table(source, local.inputs)?;
    let columns = local.output.columns;
    let mut x = vec![0; columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        let mut label = [0];
        source.read(1, row, &mut label)?;
        let Some(label) = u32::try_from(label[0]).ok().filter(|&label| label < columns) else {
            out.fill(0);
            continue;
        };
        let max = i64::from(x.iter().copied().max().unwrap_or(0));
        let mut sum = 0;
        for x in &mut x {
            let distance = (max - i64::from(*x)) * i64::from(*multiplier);
            let index = rsh(distance, *shift).clamp(0, 255);
            *x = table[index as usize].max(0);
            sum += i64::from(*x);
        }
        for (column, out) in region.columns.clone().zip(out) {
            let e = i128::from(x[column as usize]) << fraction;
            let one = if column == label { 1i128 << fraction } else { 0 };
            *out = sat(rdiv(e, sum.max(1).into()) - one);
        }
    }
    Ok(())
}

/// Computes the gradient of a normalised row.
pub(super) fn normalise(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::NormaliseGradient { centre, shift, clamp: to } = op else {
        return Err(StepError::Region);
    };
    let columns = local.output.columns as usize;
    let n = local.output.columns.max(1);
    let (mut x, mut dz) = (vec![0; columns], vec![0; columns]);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        source.read(1, row, &mut dz)?;
        let (mean, deviation) = rows::moments(&x, *centre);
        let inverse = (1 << 26) / deviation;
        let z = |x: i32| sat32(((i64::from(x) - mean) * inverse) >> 8);
        let products = x.iter().zip(&dz).map(|(&x, &dz)| i128::from(dz) * i128::from(z(x)));
        let along = sat(rdiv(products.sum(), i128::from(n) << 14));
        let sum: i128 = dz.iter().map(|&dz| i128::from(dz)).sum();
        let mean_dz = if *centre { rdiv(sum, n.into()) } else { 0 };
        for (column, out) in region.columns.clone().zip(out) {
            let (x, dz) = (x[column as usize], dz[column as usize]);
            let own = i128::from(dz) - mean_dz - i128::from(rsh_product(z(x), along, 14));
            let scaled = rdiv(own << shift, deviation.into());
            *out = clamp(scaled.clamp(i64::MIN.into(), i64::MAX.into()) as i64, to);
        }
    }
    Ok(())
}

/// Spreads the gradient of an item's mean over its live rows.
pub(super) fn mean_pool(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let rows = local.output_item_rows();
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let (item, at) = (row / rows, row % rows);
        let length = length(local, source, item)?;
        if at >= length {
            out.fill(0);
            continue;
        }
        source.read_from(0, item, region.columns.start, out)?;
        for out in out {
            *out = sat(rdiv((*out).into(), length.into()));
        }
    }
    Ok(())
}

/// The length of an item of a mean pool's gradient.
fn length(local: &Local<'_>, source: &dyn RowSource, item: u32) -> Result<u32, StepError> {
    let max = local.output_item_rows();
    if local.inputs == 1 {
        return Ok(max);
    }
    let mut value = [0];
    source.read(1, item, &mut value)?;
    let length = u32::try_from(value[0]).ok().filter(|length| (1..=max).contains(length));
    length.ok_or(StepError::Index { slot: 1, row: item, value: value[0], min: 1, max })
}
