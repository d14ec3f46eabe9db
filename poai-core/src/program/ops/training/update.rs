//! Optimisers: steps that update a state's entries, each from the same place.

use super::loops;
use crate::program::TrainingOp;
use crate::program::ops::{Local, Region, RowSource, StepError};
use alloc::vec;

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
            TrainingOp::Descend { shift, decay, clamp } => {
                loops::descend(out, &other, rate[0], i64::from(*shift), *decay, clamp);
            }
            TrainingOp::SecondMoment { shift } => loops::second_moment(out, &other, *shift),
            TrainingOp::Ratio { clamp } => loops::ratio(out, &other, clamp),
            _ => return Err(StepError::Region),
        }
    }
    Ok(())
}
