//! The rows that a region of a training step depends on (spec §14).

use super::arithmetic::exponent_row;
use super::blocks::Blocks;
use super::rows::gather_slots;
use super::windows;
use crate::program::TrainingOp;
use crate::program::ops::reads::items;
use crate::program::ops::{Local, Read, Region, RowSource, StepError, named_row};
use crate::program::training::{BlockKind, Shift};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The rows that a region depends on, except those that entries name.
pub(in crate::program::ops) fn reads(
    local: &Local<'_>,
    op: &TrainingOp,
    region: &Region,
) -> Vec<Read> {
    let Region { rows, columns } = region;
    let all = |slot: usize| Read { slot, rows: 0..local.slot(slot).rows };
    let same = |slot: usize| Read { slot, rows: rows.clone() };
    let of_columns = |slot: usize| Read { slot, rows: columns.clone() };
    let constant = local.inputs;
    match op {
        TrainingOp::ScaledProduct { shift, bias, .. } => {
            let mut reads = vec![same(0), of_columns(1)];
            reads.extend(bias.then(|| of_columns(2)));
            let first = reads.len();
            reads.extend(exponents(local, shift, first, rows));
            reads
        }
        TrainingOp::TransposeTiles => vec![of_columns(0)],
        TrainingOp::Exponent { per_row: true } => vec![same(0)],
        TrainingOp::Exponent { per_row: false } => vec![all(0)],
        TrainingOp::NextExponent | TrainingOp::Draw { .. } => vec![all(0), all(1)],
        TrainingOp::Rescale { shift, .. } => {
            let mut reads = vec![same(0)];
            reads.extend(exponents(local, shift, 1, rows));
            reads.extend((1 + shift.signs.len()..constant).map(all));
            reads
        }
        TrainingOp::RowSum => vec![same(0)],
        TrainingOp::Gate { .. } | TrainingOp::CrossEntropy { .. } => {
            vec![same(0), same(1), all(constant)]
        }
        TrainingOp::Exponentials { .. } => vec![same(0), all(constant)],
        TrainingOp::NormaliseGradient { .. }
        | TrainingOp::SoftmaxGradient
        | TrainingOp::SecondMoment { .. }
        | TrainingOp::Ratio { .. } => vec![same(0), same(1)],
        TrainingOp::Descend { .. } => vec![same(0), same(1), all(2)],
        TrainingOp::Gather { .. } => vec![same(gather_slots(local).1)],
        TrainingOp::ScatterAdd { .. } => vec![all(1)],
        TrainingOp::UnfoldGradient(window) => windows::reads(local, window, region, 0),
        TrainingOp::MaxPoolGradient(window) => windows::reads(local, window, region, 1),
        TrainingOp::Block { kind, heads, shift, .. } => {
            let mut reads = blocks(local, *kind, *heads, region);
            reads.extend(exponents(local, shift, 2, rows));
            reads
        }
        TrainingOp::DivideBySums { .. } => {
            let shape = Blocks::of_division(local);
            let mut reads = vec![same(0)];
            for (item, rows) in items(rows, shape.rows) {
                reads.extend(shape.heads_of(region).map(|(head, _)| {
                    let first = item * shape.rows;
                    let at = |row: u32| shape.score(item, head, row - first);
                    Read { slot: 1, rows: at(rows.start)..at(rows.end) }
                }));
            }
            reads
        }
        TrainingOp::MeanPoolGradient { .. } => {
            let per_item = local.output_item_rows();
            let items = rows.start / per_item..rows.end.div_ceil(per_item);
            (0..local.inputs).map(|slot| Read { slot, rows: items.clone() }).collect()
        }
    }
}

/// The rows of exponents that some rows of the output take.
fn exponents(
    local: &Local<'_>,
    shift: &Shift,
    first: usize,
    rows: &Range<u32>,
) -> impl Iterator<Item = Read> {
    (first..first + shift.signs.len()).map(move |slot| {
        let end = exponent_row(local, slot, rows.end.saturating_sub(1)) + 1;
        Read { slot, rows: exponent_row(local, slot, rows.start)..end }
    })
}

fn blocks(local: &Local<'_>, kind: BlockKind, heads: u32, region: &Region) -> Vec<Read> {
    let shape = Blocks::new(local, heads);
    let whole = |item: u32| item * shape.rows..(item + 1) * shape.rows;
    let mut reads = vec![];
    match kind {
        BlockKind::Scores => {
            for (block, rows) in items(&region.rows, shape.rows) {
                let item = block / shape.heads;
                let at = |row: u32| item * shape.rows + (row - block * shape.rows);
                reads.push(Read { slot: 0, rows: at(rows.start)..at(rows.end) });
                reads.push(Read { slot: 1, rows: whole(item) });
            }
        }
        BlockKind::Mix | BlockKind::MixBack => {
            for (item, rows) in items(&region.rows, shape.rows) {
                let first = item * shape.rows;
                for (head, _) in shape.heads_of(region) {
                    let own = match kind {
                        BlockKind::MixBack => 0..shape.rows,
                        _ => rows.start - first..rows.end - first,
                    };
                    let rows = shape.score(item, head, 0);
                    reads.push(Read { slot: 0, rows: rows + own.start..rows + own.end });
                }
                reads.push(Read { slot: 1, rows: whole(item) });
            }
        }
    }
    reads
}

/// The rows that the rows of [`reads`] name.
///
/// # Errors
/// [`StepError`] if an id is missing or out of range.
pub(in crate::program::ops) fn further_reads(
    local: &Local<'_>,
    op: &TrainingOp,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    let mut reads = vec![];
    match op {
        TrainingOp::Gather { .. } => {
            let (table, ids) = gather_slots(local);
            for row in region.rows.clone() {
                let id = named_row(source, ids, row, local.slot(table).rows)?;
                reads.push(Read { slot: table, rows: id..id + 1 });
            }
        }
        TrainingOp::ScatterAdd { .. } => {
            for row in 0..local.slot(1).rows {
                let id = named_row(source, 1, row, local.output.rows)?;
                if region.rows.contains(&id) {
                    reads.push(Read { slot: 0, rows: row..row + 1 });
                }
            }
        }
        _ => {}
    }
    Ok(reads)
}
