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

/// The region's channels, one vector for each number.
fn channels(source: &dyn RowSource, slot: usize, region: &Region) -> Result<Channels, StepError> {
    let entries = read_rows(source, slot, region.columns.clone(), 3)?;
    let of = |at: usize| entries.as_chunks::<3>().0.iter().map(|channel| channel[at]).collect();
    Ok(Channels { before: of(0), multiplier: of(1), after: of(2) })
}
