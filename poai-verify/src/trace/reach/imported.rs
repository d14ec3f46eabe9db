//! Bounds of steps that imported networks need.

use super::Tile;
use super::bytes::Reach;
use alloc::vec::Vec;

impl Tile<'_> {
    /// The rows of the inputs that an index may name: each entry of the tile
    /// another row, at worst every other row, so that no two touch.
    pub(super) fn arranged(&self) -> Vec<Reach> {
        let entries = self.rows.saturating_mul(self.columns);
        let items = self.items();
        let named = |slot| {
            let all = items.saturating_mul(self.item_rows(slot));
            let rows = entries.min(all);
            // Rows beyond every other one join two ranges each.
            let ranges = rows.min(all.div_ceil(2));
            Reach { slot, rows, ranges, align: 1 }
        };
        (0..self.local.inputs).map(named).collect()
    }
}
