//! Bounds of the steps of training (spec §14).

use super::bytes::Reach;
use super::{Tile, touched};
use alloc::vec;
use alloc::vec::Vec;
use poai_core::program::TrainingOp;
use poai_core::program::training::{BlockKind, Shift};

impl Tile<'_> {
    /// The reach of a training step in each slot, and the number of ranges
    /// before they are joined. `None` for a kind that this crate does not know.
    pub(super) fn training(&self, op: &TrainingOp) -> Option<(Vec<Reach>, u64)> {
        let constant = self.local.inputs;
        let mut pieces = 0;
        let reaches = match op {
            TrainingOp::ScaledProduct { shift, bias, .. } => {
                // The tile's own rows, each opened in part.
                pieces = self.rows;
                let mut reaches = vec![self.same(0), self.of_columns(1)];
                reaches.extend(bias.then(|| self.of_columns(2)));
                let first = reaches.len();
                reaches.extend(self.exponents(shift, first));
                reaches
            }
            TrainingOp::TransposeTiles => vec![self.of_columns(0)],
            TrainingOp::Exponent { per_row: true } | TrainingOp::RowSum => vec![self.same(0)],
            TrainingOp::Exponent { per_row: false } => vec![self.all(0)],
            TrainingOp::NextExponent | TrainingOp::Draw { .. } => vec![self.all(0), self.all(1)],
            TrainingOp::Rescale { shift, .. } => {
                let mut reaches = vec![self.same(0)];
                reaches.extend(self.exponents(shift, 1));
                reaches.extend((1 + shift.signs.len()..constant).map(|slot| self.all(slot)));
                reaches
            }
            TrainingOp::Gate { .. } | TrainingOp::CrossEntropy { .. } => {
                vec![self.same(0), self.same(1), self.all(constant)]
            }
            TrainingOp::Exponentials { .. } => vec![self.same(0), self.all(constant)],
            TrainingOp::NormaliseGradient { .. }
            | TrainingOp::SoftmaxGradient
            | TrainingOp::SecondMoment { .. }
            | TrainingOp::Ratio { .. } => vec![self.same(0), self.same(1)],
            TrainingOp::Descend { .. } => vec![self.same(0), self.same(1), self.all(2)],
            TrainingOp::Gather { table } => {
                let (table, ids) = if table.is_some() { (constant, 0) } else { (0, 1) };
                pieces = self.rows;
                vec![self.named(table, self.rows), self.same(ids)]
            }
            TrainingOp::ScatterAdd { .. } => {
                pieces = self.slot_rows(0);
                // All ids name rows of the only tile.
                let added = if self.tile_rows == 0 { self.all(0) } else { self.named(0, pieces) };
                vec![added, self.all(1)]
            }
            TrainingOp::UnfoldGradient(window) => {
                pieces = self.items();
                vec![self.reaching(window, 0)]
            }
            TrainingOp::MaxPoolGradient(window) => {
                pieces = 2 * self.items();
                vec![self.around(window), self.reaching(window, 1)]
            }
            TrainingOp::Block { kind: BlockKind::Scores, heads, shift, .. } => {
                let (heads, length) = (u64::from(*heads).max(1), self.item_rows(1));
                let all = self.batch.saturating_mul(heads);
                let blocks = touched(self.rows, self.tile_rows, length, all);
                let items = self.items();
                pieces = items.saturating_add(blocks);
                let queries = self.queries(length, heads, blocks);
                // Heads read the same rows.
                let rows = queries.rows.min(items.saturating_mul(length));
                let mut reaches = vec![Reach { rows, ..queries }];
                reaches.push(whole_items(1, items, length));
                reaches.extend(self.exponents(shift, 2));
                reaches
            }
            TrainingOp::Block { kind, heads, shift, .. } => {
                let (heads, length) = (u64::from(*heads).max(1), self.item_rows(1));
                let (items, of_tile) = self.items_and_heads(length, heads);
                pieces = items.saturating_mul(of_tile + 1);
                let weights = match kind {
                    BlockKind::MixBack => {
                        let rows = items.saturating_mul(of_tile).saturating_mul(length);
                        let all = of_tile == heads && (heads == 1 || self.tile_columns == 0);
                        let ranges = if all { 1 } else { items };
                        Reach { slot: 0, rows, ranges, align: length }
                    }
                    _ => self.of_heads(0, length, items, (of_tile, heads)),
                };
                let mut reaches = vec![weights, whole_items(1, items, length)];
                reaches.extend(self.exponents(shift, 2));
                reaches
            }
            TrainingOp::DivideBySums { .. } => {
                let (items, length) = (self.items(), self.item_rows(0));
                let heads = (self.item_rows(1) / length).max(1);
                pieces = items.saturating_mul(heads);
                vec![self.same(0), self.of_heads(1, length, items, (heads, heads))]
            }
            TrainingOp::MeanPoolGradient { .. } => {
                let per_item = self.output_item_rows();
                let whole = self.tile_rows.is_multiple_of(per_item);
                let align = if whole { self.tile_rows / per_item } else { 1 };
                let of_items = |slot| Reach { slot, rows: self.items(), ranges: 1, align };
                (0..constant).map(of_items).collect()
            }
            _ => return None,
        };
        Some((reaches, pieces))
    }

    /// The rows of exponents: the only one, or those of the tile's rows.
    fn exponents(&self, shift: &Shift, first: usize) -> impl Iterator<Item = Reach> {
        (first..first + shift.signs.len()).map(|slot| match self.slot_rows(slot) {
            1 => self.all(slot),
            _ => self.same(slot),
        })
    }
}

/// All rows of some items.
fn whole_items(slot: usize, items: u64, length: u64) -> Reach {
    Reach { slot, rows: items.saturating_mul(length), ranges: 1, align: length }
}
