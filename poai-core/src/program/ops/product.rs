//! Products of two values, block by block.

use super::arithmetic::{clamp, rsh};
use super::reads::items;
use super::{Local, Read, Region, RowSource, StepError, dot, read_rows};
use crate::program::Op;
use alloc::vec;
use alloc::vec::Vec;

/// The rows of a block: of a, and of b. Both are at least 1.
fn block_rows(local: &Local<'_>) -> (u32, u32) {
    let Op::Product { blocks, .. } = *local.op else { return (1, 1) };
    let of = |slot| (local.item_rows(slot) / blocks.max(1)).max(1);
    (of(0), of(1))
}

/// Computes sums of products, shifted and clamped.
pub(super) fn compute(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let Op::Product { shift, clamp: ref to, .. } = *local.op else {
        return Err(StepError::Region);
    };
    let (width, k) = (region.width(), local.slot(0).columns.max(1) as usize);
    let (own, other) = block_rows(local);
    let mut a = vec![0; k];
    // The rows of b of one block, which are read once.
    let mut held: (Option<u32>, Vec<i32>) = (None, vec![]);
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        if let Some(sums) = sums {
            for (out, &sum) in out.iter_mut().zip(&sums[index * width..][..width]) {
                *out = clamp(rsh(sum.into(), shift), to);
            }
            continue;
        }
        // Blocks of all items have consecutive numbers in both inputs.
        let block = row / own;
        if held.0 != Some(block) {
            let rows = block * other + region.columns.start..block * other + region.columns.end;
            held = (Some(block), read_rows(source, 1, rows, k)?);
        }
        source.read(0, row, &mut a)?;
        for (out, b) in out.iter_mut().zip(held.1.chunks_exact(k)) {
            *out = clamp(rsh(dot(&a, b).into(), shift), to);
        }
    }
    Ok(())
}

/// The rows that a region depends on.
pub(super) fn reads(local: &Local<'_>, region: &Region) -> Vec<Read> {
    let Region { rows, columns } = region;
    let (own, other) = block_rows(local);
    let mut reads = vec![Read { slot: 0, rows: rows.clone() }];
    reads.extend(items(rows, own).map(|(block, _)| Read {
        slot: 1,
        rows: block * other + columns.start..block * other + columns.end,
    }));
    reads
}
