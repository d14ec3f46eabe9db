//! Bounds of attention.

use super::bytes::{Reach, gcd};
use super::{Tile, touched};
use alloc::vec;
use alloc::vec::Vec;

impl Tile<'_> {
    pub(super) fn weights(&self, heads: u64, blocks: u64, biased: bool) -> Vec<Reach> {
        let (sequence, constant) = (u64::from(self.local.run.sequence), self.local.inputs);
        let period = sequence.saturating_mul(heads);
        let items = touched(self.rows, self.tile_rows, period, self.batch);
        let mut reaches = vec![
            self.queries(sequence, heads, blocks),
            Reach { slot: 1, rows: items.saturating_mul(sequence), ranges: 1, align: sequence },
        ];
        if constant > 2 {
            reaches.push(Reach { slot: 2, rows: items, ranges: 1, align: 1 });
        }
        let heads = blocks.min(heads);
        let of_heads = |slot| Reach { slot, rows: heads, ranges: heads.min(2), align: 1 };
        reaches.push(of_heads(constant));
        reaches.push(Reach { slot: constant + 1, rows: 256, ranges: 1, align: 0 });
        reaches.extend(biased.then(|| of_heads(constant + 2)));
        reaches
    }

    /// Items and heads that a tile of a context touches.
    pub(super) fn context_items(&self, heads: u64) -> (u64, u64) {
        self.items_and_heads(self.local.run.sequence.into(), heads)
    }

    /// Items of `length` rows, and heads, that a tile touches.
    pub(super) fn items_and_heads(&self, length: u64, heads: u64) -> (u64, u64) {
        let items = touched(self.rows, self.tile_rows, length, self.batch);
        let channels = (u64::from(self.local.output.columns) / heads).max(1);
        (items, touched(self.columns, self.tile_columns, channels, heads))
    }

    /// The rows of weights at the tile's places in each touched head of each
    /// item, for heads of `length` rows.
    pub(super) fn of_heads(
        &self,
        slot: usize,
        length: u64,
        items: u64,
        (touched, heads): (u64, u64),
    ) -> Reach {
        // If the rows of an item are read whole, its heads touch each other. If
        // the tile reads all heads, they also touch those of the next item. At
        // most the first item and the last are read in part.
        let ranges = if self.tile_rows.is_multiple_of(length.max(1)) {
            // A narrower tile beside it may read fewer heads.
            if touched == heads && (heads == 1 || self.tile_columns == 0) { 1 } else { items }
        } else {
            items.min(2) * touched + items.saturating_sub(2)
        };
        let rows = self.rows.saturating_mul(touched);
        Reach { slot, rows, ranges, align: gcd(self.tile_rows, length) }
    }

    /// The rows of queries at the tile's places, of blocks of `length` rows.
    pub(super) fn queries(&self, length: u64, heads: u64, blocks: u64) -> Reach {
        // Two heads of one item may read its end and its start; a head between
        // them reads all of it.
        let ranges = if heads > 1 { blocks.min(2) } else { 1 };
        Reach { slot: 0, rows: self.rows, ranges, align: gcd(self.tile_rows, length) }
    }

    pub(super) fn context(&self, heads: u64) -> Vec<Reach> {
        let sequence = u64::from(self.local.run.sequence);
        let (items, touched) = self.context_items(heads);
        let weights = self.of_heads(0, sequence, items, (touched, heads));
        vec![weights, self.blocks_of_columns(1, items), self.of_columns(2)]
    }
}
