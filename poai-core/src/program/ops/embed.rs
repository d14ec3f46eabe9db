//! Steps that look up rows in tables.

use super::arithmetic::{rsh, sat16};
use super::{Local, Read, Region, RowSource, StepError, named_row};
use alloc::vec;
use alloc::vec::Vec;

/// Looks up rows of a table by id, and multiplies each by its own scale.
pub(super) fn embed(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
    shift: u8,
) -> Result<(), StepError> {
    let mut entries = vec![0; region.columns.end as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let id = named_row(source, 0, row, local.slot(1).rows)?;
        let mut scale = [0];
        source.read(2, id, &mut scale)?;
        source.read(1, id, &mut entries)?;
        for (out, &entry) in out.iter_mut().zip(&entries[region.columns.start as usize..]) {
            *out = sat16(rsh(i64::from(entry) * i64::from(scale[0]), shift));
        }
    }
    Ok(())
}

/// The rows of the table and of the scales that a region's ids name.
pub(super) fn reads(
    local: &Local<'_>,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    let mut reads = Vec::with_capacity(2 * region.rows.len());
    for row in region.rows.clone() {
        let id = named_row(source, 0, row, local.slot(1).rows)?;
        reads.extend([1, 2].map(|slot| Read { slot, rows: id..id + 1 }));
    }
    Ok(reads)
}

/// Adds row i of a table to row i of every item.
pub(super) fn add_rows(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (rows, end) = (local.output_item_rows(), region.columns.end as usize);
    let (mut x, mut table) = (vec![0; end], vec![0; end]);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        source.read(1, row % rows, &mut table)?;
        let first = region.columns.start as usize;
        for (out, (&x, &y)) in out.iter_mut().zip(x[first..].iter().zip(&table[first..])) {
            *out = sat16(i64::from(x) + i64::from(y));
        }
    }
    Ok(())
}
