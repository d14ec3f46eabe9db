//! Steps whose entries come from the same row of their inputs.

use super::arithmetic::{clamp, rsh};
use super::{Local, Region, Source, StepError, read_rows};
use crate::program::{Clamp, Dtype, Op};
use alloc::vec;

pub(super) fn compute(
    local: &Local<'_>,
    source: &dyn Source,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (width, end) = (region.width(), region.columns.end as usize);
    let columns = match local.op {
        Op::RowScale => local.slot(0).columns as usize,
        _ => end,
    };
    let table = match local.op {
        Op::Table { .. } => read_rows(source, local.inputs, 0..256, 1)?,
        Op::ScaleColumns { .. } => read_rows(source, local.inputs, region.columns.clone(), 1)?,
        _ => vec![],
    };
    let (mut x, mut y) = (vec![0; columns], vec![0; columns]);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(width)) {
        source.read(0, row, &mut x)?;
        match local.op {
            Op::RowScale => {
                // |−2³¹| is no i32.
                let max = x.iter().map(|x| x.saturating_abs()).max().unwrap_or(0);
                out.fill(max.max(1));
                continue;
            }
            Op::Add { .. } => source.read(1, row, &mut y)?,
            Op::Quantise => source.read(1, row, &mut y[..1])?,
            _ => {}
        }
        let x = &x[end - width..];
        map(local, &table, x, &y, end - width, out);
    }
    Ok(())
}

/// One row; `first` is the region's first column.
fn map(local: &Local<'_>, table: &[i32], x: &[i32], y: &[i32], first: usize, out: &mut [i32]) {
    match *local.op {
        Op::Add { multipliers: [m0, m1], shift, clamp: to } => {
            for (out, (&a, &b)) in out.iter_mut().zip(x.iter().zip(&y[first..])) {
                let a = i64::from(a) * i64::from(m0);
                let sum = a.saturating_add(i64::from(b) * i64::from(m1));
                *out = clamp(rsh(sum, shift), &to);
            }
        }
        Op::Requantise { multiplier, shift, clamp: to } => {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = clamp(rsh(i64::from(x) * i64::from(multiplier), shift), &to);
            }
        }
        Op::ScaleColumns { shift, clamp: to, .. } => {
            for (out, (&x, &scale)) in out.iter_mut().zip(x.iter().zip(table)) {
                *out = clamp(rsh(i64::from(x) * i64::from(scale), shift), &to);
            }
        }
        Op::Relu => {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = x.max(0);
            }
        }
        Op::Table { shift, pass_above, .. } => {
            let to = Clamp::full(local.output.dtype);
            for (out, &x) in out.iter_mut().zip(x) {
                let index = (i64::from(x) >> shift) + 128;
                *out = if pass_above && index > 255 {
                    clamp(x.into(), &to)
                } else {
                    table[index.clamp(0, 255) as usize]
                };
            }
        }
        Op::Quantise => {
            let m = i64::from(y[0]).max(1);
            let reciprocal = ((63 << 20) + m / 2) / m;
            let to = Clamp::full(Dtype::I8);
            for (out, &x) in out.iter_mut().zip(x) {
                *out = clamp(rsh(i64::from(x) * reciprocal, 20), &to);
            }
        }
        _ => out.fill(0),
    }
}
