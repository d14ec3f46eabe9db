//! The rows that a region of a step of decoders depends on (spec §14).

use super::attention::Shape;
use super::places::tail_row;
use crate::program::DecoderOp;
use crate::program::ops::reads::items;
use crate::program::ops::{Local, Read, Region, RowSource, StepError};
use alloc::vec;
use alloc::vec::Vec;

/// The rows that a region depends on, except those that entries name.
pub(in crate::program::ops) fn reads(
    local: &Local<'_>,
    op: &DecoderOp,
    region: &Region,
) -> Vec<Read> {
    let Region { rows, columns } = region;
    let all = |slot: usize| Read { slot, rows: 0..local.slot(slot).rows };
    let same = |slot: usize| Read { slot, rows: rows.clone() };
    let of_columns = |slot: usize| Read { slot, rows: columns.clone() };
    // One row for each item of the region.
    let of_items = |slot: usize| {
        let per_item = local.output_item_rows();
        Read { slot, rows: rows.start / per_item..rows.end.div_ceil(per_item) }
    };
    let constant = local.inputs;
    match op {
        DecoderOp::RmsNorm { .. } | DecoderOp::Mix { .. } => vec![same(0), all(constant)],
        DecoderOp::Limb { .. } => vec![same(0), same(1)],
        DecoderOp::Tail => vec![of_items(1)],
        DecoderOp::Sample { .. } => vec![same(0), of_items(1), all(constant)],
        DecoderOp::Rotary { heads, .. } => {
            let (sequence, heads) = (local.run.sequence, (*heads).max(1));
            let blocks = items(rows, sequence).flat_map(|(block, rows)| {
                let places = rows.start - block * sequence..rows.end - block * sequence;
                let first = block / heads * sequence;
                let tokens = first + places.start..first + places.end;
                [Read { slot: 0, rows: tokens }, Read { slot: constant, rows: places }]
            });
            blocks.collect()
        }
        DecoderOp::Attention { .. } => {
            let Some(shape) = Shape::new(local, op) else { return vec![] };
            let mut reads = vec![all(constant + 1), of_columns(constant + 2)];
            for (head, columns) in shape.heads_of(columns) {
                reads.push(Read { slot: constant, rows: head..head + 1 });
                for (item, rows) in items(rows, shape.sequence) {
                    let first = item * shape.sequence;
                    let places = rows.start - first..rows.end - first;
                    let queries = shape.queries(item, head);
                    let queries = queries + places.start..queries + places.end;
                    reads.extend([0, 1].map(|slot| Read { slot, rows: queries.clone() }));
                    let seen = shape.seen(&places);
                    let keys = shape.keys(item, head);
                    let keys = keys + seen.start..keys + seen.end;
                    reads.extend([2, 3].map(|slot| Read { slot, rows: keys.clone() }));
                    let values = shape.values(item, head);
                    let rows = values + columns.start..values + columns.end;
                    reads.push(Read { slot: 4, rows });
                    reads.extend((5..constant).map(|slot| Read { slot, rows: item..item + 1 }));
                }
            }
            reads
        }
    }
}

/// The rows that the rows of [`reads`] name.
///
/// # Errors
/// [`StepError`] if a start is missing or negative.
pub(in crate::program::ops) fn further_reads(
    local: &Local<'_>,
    op: &DecoderOp,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    let mut reads = vec![];
    if let DecoderOp::Tail = op {
        for row in region.rows.clone() {
            let from = tail_row(local, source, row)?;
            reads.push(Read { slot: 0, rows: from..from + 1 });
        }
    }
    Ok(reads)
}
