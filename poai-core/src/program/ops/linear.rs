//! Products with weights.

use super::rows::{Channels, Requantise, requantise_sums};
use super::{Local, Region, RowSource, StepError, dot, read_rows};
use crate::program::Clamp;
use alloc::vec;

pub(super) fn compute(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
    shifts: &[u8; 3],
    to: &Clamp,
) -> Result<(), StepError> {
    let (weights, requantise) = (local.inputs, local.inputs + 1);
    let (width, k) = (region.width(), local.slot(0).columns as usize);
    let channels = channels(source, requantise, region)?;
    let weights = match sums {
        Some(_) => vec![],
        None => read_rows(source, weights, region.columns.clone(), k)?,
    };
    let (mut x, mut own) = (vec![0; k], vec![0; width]);
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        let sums = match sums {
            Some(sums) => &sums[index * width..][..width],
            None => {
                source.read(0, row, &mut x)?;
                for (sum, weights) in own.iter_mut().zip(weights.chunks_exact(k)) {
                    *sum = dot(&x, weights);
                }
                &own
            }
        };
        let mut scale = [0];
        if local.inputs > 1 {
            source.read(1, row, &mut scale)?;
        }
        let scale = (local.inputs > 1).then_some(scale[0]);
        requantise_sums(out, sums, &channels, &Requantise { shifts, clamp: to, scale });
    }
    Ok(())
}

/// Computes products of groups of columns with weights.
#[allow(clippy::too_many_arguments)]
pub(super) fn grouped(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
    groups: u32,
    shifts: &[u8; 3],
    to: &Clamp,
) -> Result<(), StepError> {
    let (weights, requantise) = (local.inputs, local.inputs + 1);
    let (width, k) = (region.width(), local.slot(weights).columns as usize);
    let channels = channels(source, requantise, region)?;
    let weights = match sums {
        Some(_) => vec![],
        None => read_rows(source, weights, region.columns.clone(), k)?,
    };
    let per_group = (local.output.columns / groups.max(1)).max(1);
    let (mut x, mut own) = (vec![0; local.slot(0).columns as usize], vec![0; width]);
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        let sums = match sums {
            Some(sums) => &sums[index * width..][..width],
            None => {
                source.read(0, row, &mut x)?;
                let outputs = region.columns.clone().zip(weights.chunks_exact(k));
                for (sum, (output, weights)) in own.iter_mut().zip(outputs) {
                    let first = (output / per_group) as usize * k;
                    *sum = dot(x.get(first..first + k).unwrap_or_default(), weights);
                }
                &own
            }
        };
        let mut scale = [0];
        if local.inputs > 1 {
            source.read(1, row, &mut scale)?;
        }
        let scale = (local.inputs > 1).then_some(scale[0]);
        requantise_sums(out, sums, &channels, &Requantise { shifts, clamp: to, scale });
    }
    Ok(())
}

/// The region's channels, one vector for each number.
fn channels(source: &dyn RowSource, slot: usize, region: &Region) -> Result<Channels, StepError> {
    let entries = read_rows(source, slot, region.columns.clone(), 3)?;
    let of = |at: usize| entries.as_chunks::<3>().0.iter().map(|channel| channel[at]).collect();
    Ok(Channels { before: of(0), multiplier: of(1), after: of(2) })
}
