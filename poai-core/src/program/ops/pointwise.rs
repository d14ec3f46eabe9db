//! Steps whose entries come from the same row of their inputs.

use super::rows;
use super::{Local, Region, RowSource, StepError, read_rows, table};
use crate::program::{Clamp, Dtype, Op};
use alloc::vec;

pub(super) fn compute(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (width, end) = (region.width(), region.columns.end as usize);
    let columns = match local.op {
        Op::RowScale => local.slot(0).columns as usize,
        _ => end,
    };
    let scales = match local.op {
        Op::ScaleColumns { .. } => read_rows(source, local.inputs, region.columns.clone(), 1)?,
        _ => vec![],
    };
    let table = match local.op {
        Op::Table { .. } => table(source, local.inputs)?,
        _ => [0; 256],
    };
    let points = match local.op {
        Op::Curve { .. } => read_rows(source, local.inputs, 0..257, 1)?,
        _ => vec![],
    };
    let (mut x, mut y) = (vec![0; columns], vec![0; columns]);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(width)) {
        source.read(0, row, &mut x)?;
        match local.op {
            Op::RowScale => {
                out.fill(rows::magnitude(&x).max(1));
                continue;
            }
            Op::Add { .. } | Op::Mul { .. } => source.read(1, row, &mut y)?,
            Op::Quantise => source.read(1, row, &mut y[..1])?,
            _ => {}
        }
        let x = &x[end - width..];
        match *local.op {
            Op::Add { multipliers, shift, clamp } => {
                rows::add(out, x, &y[end - width..], multipliers, shift, &clamp);
            }
            Op::Requantise { multiplier, shift, clamp } => {
                rows::requantise(out, x, multiplier, shift, &clamp);
            }
            Op::ScaleColumns { shift, clamp, .. } => {
                rows::scale_columns(out, x, &scales, shift, &clamp);
            }
            Op::Relu => rows::relu(out, x),
            Op::Mul { shift, clamp } => rows::mul(out, x, &y[end - width..], shift, &clamp),
            Op::Curve { shift, pass_above, .. } => {
                rows::curve(out, x, &points, shift, pass_above);
            }
            Op::Table { shift, pass_above, .. } => {
                let full = Clamp::full(local.output.dtype);
                rows::look_up(out, x, &table, shift, pass_above, &full);
            }
            Op::Quantise => {
                let m = i64::from(y[0]).max(1);
                // Exact: at most 63·2^20 and a half.
                let reciprocal = (((63 << 20) + m / 2) / m) as i32;
                rows::requantise(out, x, reciprocal, 20, &Clamp::full(Dtype::I8));
            }
            _ => out.fill(0),
        }
    }
    Ok(())
}
