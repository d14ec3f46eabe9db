//! Products with weights.

use super::arithmetic::{clamp, rsh, sat32};
use super::{Local, Region, Source, StepError, dot, read_rows};
use crate::program::Clamp;
use alloc::vec;

pub(super) fn compute(
    local: &Local<'_>,
    source: &dyn Source,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
    shifts: &[u8; 3],
    to: &Clamp,
) -> Result<(), StepError> {
    let (weights, requantise) = (local.inputs, local.inputs + 1);
    let (width, k) = (region.width(), local.slot(0).columns as usize);
    let channels = read_rows(source, requantise, region.columns.clone(), 3)?;
    let channels = channels.as_chunks::<3>().0;
    let weights = match sums {
        Some(_) => vec![],
        None => read_rows(source, weights, region.columns.clone(), k)?,
    };
    let mut x = vec![0; k];
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        match sums {
            Some(sums) => out.copy_from_slice(&sums[index * width..][..width]),
            None => {
                source.read(0, row, &mut x)?;
                for (out, weights) in out.iter_mut().zip(weights.chunks_exact(k)) {
                    *out = dot(&x, weights);
                }
            }
        }
        let mut scale = [0];
        if local.inputs > 1 {
            source.read(1, row, &mut scale)?;
        }
        for (out, &[before, multiplier, after]) in out.iter_mut().zip(channels) {
            let sum = i64::from(sat32(i64::from(*out) + i64::from(before)));
            let mut v = sat32(rsh(sum * i64::from(multiplier), shifts[0]));
            if local.inputs > 1 {
                v = sat32(rsh(i64::from(v) * i64::from(scale[0]), shifts[1]));
            }
            let v = sat32(i64::from(v) + i64::from(after));
            *out = clamp(rsh(v.into(), shifts[2]), to);
        }
    }
    Ok(())
}
