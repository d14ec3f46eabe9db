//! Gradients of a row from the same row of the step's inputs.

use super::arithmetic::{rdiv, sat};
use super::loops;
use crate::program::TrainingOp;
use crate::program::ops::arithmetic::{clamp, rdiv as rdiv64, rsh, rsh_product};
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
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read_from(0, row, region.columns.start, out)?;
        source.read_from(1, row, region.columns.start, &mut x)?;
        loops::gate(out, &x, &table, *index_shift, *shift, to);
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
        rows::centred(&mut x, mean, inverse);
        let z = &x;
        let products = z.iter().zip(&dz).map(|(&z, &dz)| i128::from(dz) * i128::from(z));
        let products = match loops::along_narrow(z, &dz) {
            Some(sum) => sum.into(),
            None => products.sum(),
        };
        let along = sat(rdiv(products, i128::from(n) << 14));
        // Exact: fewer than 2^17 entries.
        let mean_dz = if *centre { rdiv64(rows::total(&dz), n.into()) } else { 0 };
        let at = region.columns.start as usize;
        let (z, dz) = (&z[at..], &dz[at..]);
        let how = loops::Normed { mean: mean_dz, along, bits: *shift, deviation, to };
        if loops::normalise_gradient(out, z, dz, &how) {
            continue;
        }
        for ((out, &z), &dz) in out.iter_mut().zip(z).zip(dz) {
            let own = i128::from(dz) - i128::from(mean_dz) - i128::from(rsh_product(z, along, 14));
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
