//! The rows of inputs and constants that a region depends on.

use super::{Local, Region, RowSource, StepError, arrange, decoder, embed, product, training};
use crate::program::Op;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Consecutive rows of a slot that a region depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The slot: an input, or a constant after the inputs.
    pub slot: usize,
    /// The rows.
    pub rows: Range<u32>,
}

impl Local<'_> {
    /// The rows that a region depends on, except those that entries name.
    ///
    /// They are in the order of slots, then of rows, without duplicates.
    /// [`Local::further_reads`] gives the rows that entries name.
    pub fn reads(&self, region: &Region) -> Vec<Read> {
        let Region { rows, columns } = region;
        let all = |slot: usize| Read { slot, rows: 0..self.slot(slot).rows };
        let same = |slot: usize| Read { slot, rows: rows.clone() };
        let of_columns = |slot: usize| Read { slot, rows: columns.clone() };
        let constant = self.inputs;
        let mut reads: Vec<Read> = match self.op {
            Op::Linear { .. } | Op::GroupLinear { .. } => {
                let mut reads: Vec<Read> = (0..self.inputs).map(same).collect();
                reads.extend([of_columns(constant), of_columns(constant + 1)]);
                reads
            }
            Op::Unfold(window) | Op::MaxPool(window) | Op::AveragePool(window) => {
                self.band(rows, window)
            }
            Op::Table { .. } | Op::Softmax { .. } | Op::Normalise { .. } | Op::Curve { .. } => {
                vec![same(0), all(constant)]
            }
            Op::ScaleColumns { .. } => vec![same(0), of_columns(constant)],
            Op::Add { .. } | Op::Quantise | Op::Mul { .. } => vec![same(0), same(1)],
            Op::GroupUnfold(moved) => match moved.covered() {
                Some(covered) => self.band(rows, &covered),
                None => vec![],
            },
            Op::Arrange { .. } => {
                let per_item = self.output_item_rows();
                let index = items(rows, per_item).map(|(item, rows)| Read {
                    slot: constant,
                    rows: rows.start - item * per_item..rows.end - item * per_item,
                });
                index.collect()
            }
            Op::Product { .. } => product::reads(self, region),
            Op::Training(op) => training::reads(self, op, region),
            Op::Decoder(op) => decoder::reads(self, op, region),
            Op::Requantise { .. }
            | Op::Relu
            | Op::RowScale
            | Op::L2Normalise
            | Op::Embed { .. } => vec![same(0)],
            Op::AddRows { .. } => {
                let per_item = self.output_item_rows();
                let mut reads = vec![same(0)];
                reads.extend(items(rows, per_item).map(|(item, rows)| Read {
                    slot: 1,
                    rows: rows.start - item * per_item..rows.end - item * per_item,
                }));
                reads
            }
            Op::AttentionWeights { heads, .. } => self.weights(rows, *heads, false),
            Op::RelativeAttentionWeights { heads, .. } => self.weights(rows, *heads, true),
            Op::AttentionContext { heads, .. } => self.context(region, *heads),
            Op::Transpose => {
                let per_item = self.item_rows(0);
                let items = items(rows, self.output_item_rows());
                items.map(|(item, _)| whole(0, item, per_item)).collect()
            }
            Op::Reshape { .. } => {
                let input = u64::from(self.slot(0).columns).max(1);
                let entries = |row: u32| u64::from(row) * u64::from(self.output.columns);
                // Exact: rows of the input.
                let first = (entries(rows.start) / input) as u32;
                vec![Read { slot: 0, rows: first..entries(rows.end).div_ceil(input) as u32 }]
            }
            Op::MeanPool => {
                let per_item = self.item_rows(0);
                let mut reads: Vec<Read> =
                    rows.clone().map(|item| whole(0, item, per_item)).collect();
                reads.extend((1..self.inputs).map(same));
                reads
            }
        };
        merge(&mut reads);
        reads
    }

    /// The rows that the rows of [`Local::reads`] name.
    ///
    /// Ids name rows of embed's tables, and an index names entries of arrange's
    /// inputs.
    ///
    /// # Errors
    /// [`StepError`] if an id or a number of an entry is missing or out of
    /// range.
    pub fn further_reads(
        &self,
        region: &Region,
        source: &dyn RowSource,
    ) -> Result<Vec<Read>, StepError> {
        let mut reads = match self.op {
            Op::Embed { .. } => embed::reads(self, region, source)?,
            Op::Arrange { .. } => arrange::reads(self, region, source)?,
            Op::Training(op) => training::further_reads(self, op, region, source)?,
            Op::Decoder(op) => decoder::further_reads(self, op, region, source)?,
            _ => return Ok(vec![]),
        };
        merge(&mut reads);
        Ok(reads)
    }

    /// The rows of pixels that windows cover.
    fn band(&self, rows: &Range<u32>, window: &crate::program::Window) -> Vec<Read> {
        let [out_height, out_width] = window.output().unwrap_or([1, 1]);
        let (per_item, item_rows) = (out_height * out_width, self.item_rows(0));
        let bands = items(rows, per_item).map(|(item, rows)| {
            let first = (rows.start - item * per_item) / out_width;
            let last = (rows.end - 1 - item * per_item) / out_width;
            let top = (first * window.stride[0]).saturating_sub(window.pads[0]);
            let bottom = last * window.stride[0] + window.kernel[0];
            let bottom = bottom.saturating_sub(window.pads[0]).min(window.height);
            let first = item * item_rows;
            Read { slot: 0, rows: first + top * window.width..first + bottom * window.width }
        });
        bands.collect()
    }

    fn weights(&self, rows: &Range<u32>, heads: u32, biased: bool) -> Vec<Read> {
        let sequence = self.run.sequence;
        let mut reads = vec![];
        for (block, rows) in items(rows, sequence) {
            let (item, head) = (block / heads, block % heads);
            let queries = rows.start - block * sequence..rows.end - block * sequence;
            let first = item * sequence;
            reads.push(Read { slot: 0, rows: first + queries.start..first + queries.end });
            reads.push(whole(1, item, sequence));
            if self.inputs > 2 {
                reads.push(whole(2, item, 1));
            }
            reads.push(whole(self.inputs, head, 1));
            if biased {
                reads.push(whole(self.inputs + 2, head, 1));
            }
        }
        reads.push(Read { slot: self.inputs + 1, rows: 0..256 });
        reads
    }

    fn context(&self, region: &Region, heads: u32) -> Vec<Read> {
        let Region { rows, columns } = region;
        let (sequence, hidden) = (self.run.sequence, self.output.columns);
        let d = (hidden / heads).max(1);
        let mut reads = vec![Read { slot: 2, rows: columns.clone() }];
        for (item, rows) in items(rows, sequence) {
            for head in columns.start / d..columns.end.div_ceil(d) {
                let first = (item * heads + head) * sequence;
                let own = rows.start - item * sequence..rows.end - item * sequence;
                reads.push(Read { slot: 0, rows: first + own.start..first + own.end });
            }
            let first = item * hidden;
            reads.push(Read { slot: 1, rows: first + columns.start..first + columns.end });
        }
        reads
    }
}

/// The rows of a slot that belong to one item.
fn whole(slot: usize, item: u32, per_item: u32) -> Read {
    Read { slot, rows: item * per_item..(item + 1) * per_item }
}

/// Splits rows at the ends of items, into pairs (item, its rows).
pub(super) fn items(
    rows: &Range<u32>,
    per_item: u32,
) -> impl Iterator<Item = (u32, Range<u32>)> + use<> {
    let rows = rows.clone();
    let per_item = per_item.max(1);
    (rows.start / per_item..rows.end.div_ceil(per_item)).map(move |item| {
        let own = item * per_item..(item + 1) * per_item;
        (item, own.start.max(rows.start)..own.end.min(rows.end))
    })
}

/// Sorts the reads, and joins those that touch or overlap.
fn merge(reads: &mut Vec<Read>) {
    reads.sort_by_key(|read| (read.slot, read.rows.start));
    reads.dedup_by(|next, read| {
        let touches = next.slot == read.slot && next.rows.start <= read.rows.end;
        if touches {
            read.rows.end = read.rows.end.max(next.rows.end);
        }
        touches
    });
}
