//! Products with weights, of all columns or group by group.

use super::rows::{Channels, Requantise, requantise_sums};
use super::{Local, Region, RowSource, StepError, dot, read_rows};
use crate::program::Op;
use alloc::vec;

/// Computes products with weights, requantised per output channel.
///
/// A linear step is a group linear step of one group.
pub(super) fn compute(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (groups, shifts, clamp) = match local.op {
        Op::Linear { shifts, clamp, .. } => (1, shifts, clamp),
        Op::GroupLinear { groups, shifts, clamp, .. } => (*groups, shifts, clamp),
        _ => return Err(StepError::Region),
    };
    let (weights, requantise) = (local.inputs, local.inputs + 1);
    let (width, k) = (region.width(), local.slot(weights).columns.max(1) as usize);
    let channels = channels(source, requantise, region)?;
    let weights = match sums {
        Some(_) => vec![],
        None => read_rows(source, weights, region.columns.clone(), k)?,
    };
    // Output channels of a group.
    let per_group = (local.output.columns / groups.max(1)).max(1);
    let (mut x, mut own) = (vec![0; local.slot(0).columns as usize], vec![0; width]);
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        let sums = match sums {
            Some(sums) => &sums[index * width..][..width],
            None => {
                source.read(0, row, &mut x)?;
                let outputs = region.columns.clone().zip(weights.chunks_exact(k));
                for (sum, (output, weights)) in own.iter_mut().zip(outputs) {
                    let columns = x.chunks_exact(k).nth((output / per_group) as usize);
                    *sum = dot(columns.unwrap_or_default(), weights);
                }
                &own
            }
        };
        let mut scale = [0];
        if local.inputs > 1 {
            source.read(1, row, &mut scale)?;
        }
        let scale = (local.inputs > 1).then_some(scale[0]);
        requantise_sums(out, sums, &channels, &Requantise { shifts, clamp, scale });
    }
    Ok(())
}

/// The region's channels, one vector for each number.
fn channels(source: &dyn RowSource, slot: usize, region: &Region) -> Result<Channels, StepError> {
    let entries = read_rows(source, slot, region.columns.clone(), 3)?;
    let of = |at: usize| entries.as_chunks::<3>().0.iter().map(|channel| channel[at]).collect();
    Ok(Channels { before: of(0), multiplier: of(1), after: of(2) })
}
