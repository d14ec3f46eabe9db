//! Optimisers: steps that update a state's entries, each from the same place.

use super::arithmetic::shift;
use crate::program::TrainingOp;
use crate::program::ops::arithmetic::{clamp, rdiv, rsh, sat32};
use crate::program::ops::{Local, Region, RowSource, StepError};
use alloc::vec;

/// The largest magnitude of a gradient times 2^8 in a second moment.
const GRADIENT_MAX: i64 = 1 << 30;

/// Computes an update of each entry of a region.
pub(super) fn compute(
    _local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let mut other = vec![0; region.width()];
    let mut rate = [0];
    if let TrainingOp::Descend { .. } = op {
        source.read(2, 0, &mut rate)?;
    }
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read_from(0, row, region.columns.start, out)?;
        source.read_from(1, row, region.columns.start, &mut other)?;
        match op {
            TrainingOp::Descend { shift: by, decay, clamp: to } => {
                let rate = i64::from(rate[0]);
                for (w, &d) in out.iter_mut().zip(&other) {
                    let down = shift(-(i64::from(d) * rate), i64::from(*by));
                    let kept = match decay {
                        0 => i64::from(*w),
                        _ => i64::from(*w) - rsh(i64::from(*w) * rate, *decay),
                    };
                    *w = clamp(down.saturating_add(kept), to);
                }
            }
            TrainingOp::SecondMoment { shift } => {
                for (r, &g) in out.iter_mut().zip(&other) {
                    *r = second_moment(*r, g, *shift);
                }
            }
            TrainingOp::Ratio { clamp: to } => {
                for (a, &r) in out.iter_mut().zip(&other) {
                    let divisor = i64::from(r).max(0) + 256;
                    *a = clamp(rdiv(i64::from(*a) << 24, divisor), to);
                }
            }
            _ => return Err(StepError::Region),
        }
    }
    Ok(())
}

/// The root of a running mean of squares.
fn second_moment(r: i32, g: i32, shift: u8) -> i32 {
    let g = (i64::from(g) << 8).clamp(-GRADIENT_MAX, GRADIENT_MAX);
    let (r, g) = (i64::from(r).pow(2), g.pow(2));
    // At most 2^62 + 2^60, and not negative.
    let mean = r - (r >> shift) + (g >> shift);
    sat32(mean.isqrt())
}
