//! Bounds of the steps of decoders (spec §14).

use super::bytes::{Reach, gcd};
use super::{Tile, touched};
use alloc::vec;
use alloc::vec::Vec;
use poai_core::program::DecoderOp;

impl Tile<'_> {
    /// The reach of a step of decoders in each slot, and the number of ranges
    /// before they are joined. `None` for a kind that this crate does not know.
    pub(super) fn decoder(&self, op: &DecoderOp) -> Option<(Vec<Reach>, u64)> {
        let constant = self.local.inputs;
        let mut pieces = 0;
        let reaches = match op {
            DecoderOp::RmsNorm { .. } | DecoderOp::Mix { .. } => {
                vec![self.same(0), self.all(constant)]
            }
            DecoderOp::Limb { .. } => vec![self.same(0), self.same(1)],
            DecoderOp::Tail => {
                let items = self.items();
                pieces = self.rows;
                // Consecutive rows of each item, from any on.
                let rows = self.rows.min(self.slot_rows(0));
                let rows = Reach { slot: 0, rows, ranges: items.min(rows), align: 1 };
                vec![rows, self.of_items(1)]
            }
            DecoderOp::Sample { .. } => {
                vec![self.same(0), self.of_items(1), self.all(constant)]
            }
            DecoderOp::Rotary { heads, .. } => {
                let (heads, sequence) = (u64::from(*heads).max(1), self.sequence());
                let all = self.batch.saturating_mul(heads);
                let blocks = touched(self.rows, self.tile_rows, sequence, all);
                pieces = 2 * blocks;
                let align = gcd(self.tile_rows, sequence);
                // The end of one head and the start of the next; a whole head
                // between them joins both.
                let rows = self.rows.min(sequence);
                let turns = Reach { slot: constant, rows, ranges: blocks.min(2), align };
                vec![self.queries(sequence, heads, blocks), turns]
            }
            DecoderOp::Attention { heads, key_heads, window, .. } => {
                let [heads, key_heads, window] =
                    [*heads, *key_heads, *window].map(|number| u64::from(number).max(1));
                let limited = !matches!(op, DecoderOp::Attention { window: 0, .. });
                return Some(self.grouped(heads, key_heads, limited.then_some(window)));
            }
            _ => return None,
        };
        Some((reaches, pieces))
    }

    /// One row of a slot for each item of the tile.
    fn of_items(&self, slot: usize) -> Reach {
        Reach { slot, rows: self.items(), ranges: 1, align: 1 }
    }

    fn sequence(&self) -> u64 {
        u64::from(self.local.run.sequence).max(1)
    }

    /// The reach of a tile of one head of grouped attention.
    fn grouped(&self, heads: u64, key_heads: u64, window: Option<u64>) -> (Vec<Reach>, u64) {
        let (sequence, constant) = (self.sequence(), self.local.inputs);
        let items = touched(self.rows, self.tile_rows, sequence, self.batch);
        let align = gcd(self.tile_rows, sequence);
        // Rows of several items touch if these have one head.
        let ranges = |heads: u64| if heads == 1 { 1 } else { items };
        let queries = |slot| Reach { slot, rows: self.rows, ranges: ranges(heads), align };
        // With a window, a tile's first place reads keys before it, too. Then no
        // two items' keys need touch.
        let seen = match window {
            Some(window) => sequence.min((window - 1).saturating_add(self.rows)),
            None => sequence,
        };
        let keys = |slot| Reach {
            slot,
            rows: items.saturating_mul(seen),
            ranges: items,
            align: if window.is_some() { 1 } else { sequence },
        };
        let mut reaches = vec![queries(0), queries(1), keys(2), keys(3)];
        // A head has one row of values for each of its columns.
        let width = self.local.slots.first().map_or(1, |extent| u64::from(extent.columns));
        reaches.push(Reach {
            slot: 4,
            rows: items.saturating_mul(self.columns),
            ranges: if key_heads == 1 && self.columns == width { 1 } else { items },
            align: gcd(self.tile_columns, width),
        });
        if constant > 5 {
            reaches.push(Reach { slot: 5, rows: items, ranges: 1, align: 1 });
        }
        reaches.push(Reach { slot: constant, rows: 1, ranges: 1, align: 1 });
        reaches.push(self.all(constant + 1));
        reaches.push(self.of_columns(constant + 2));
        (reaches, 6 * items)
    }
}
