//! How much the worst tile of a step opens, computed without walking its tiles.
//!
//! A run may have too many tiles to walk, so arithmetic bounds the worst one.
//! It mirrors [`Local::reads`] and [`Local::further_reads`]. A test compares it
//! with every tile of runs that are small enough.

use alloc::vec;
use alloc::vec::Vec;
use poai_core::program::ops::Local;
use poai_core::program::{Extent, Op, Window};

/// Bounds of a step's worst tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TileBound {
    /// The most bytes of a tile's openings.
    pub bytes: u64,
    /// The most bytes that recomputing a tile allocates besides the message.
    /// [`super::TraceRules::tile_memory_max`] limits it.
    pub memory: u64,
}

/// BLAKE3's chunk, in bytes.
const CHUNK: u64 = blake3::CHUNK_LEN as u64;

/// The most that any tile reads of one slot.
struct Reach {
    slot: usize,
    /// Rows of all ranges together.
    rows: u64,
    /// The number of ranges that do not touch.
    ranges: u64,
    /// Ranges start at multiples of this; 0 if they start at row 0.
    align: u64,
}

/// The worst tile of a step.
pub(super) fn worst(local: &Local<'_>) -> TileBound {
    let grid = local.grid();
    let (tile_rows, down) = (u64::from(grid.tile_rows), u64::from(grid.down));
    let tile = Tile::new(local);
    let (reaches, pieces) = tile.reaches();
    let mut worst = TileBound::default();
    for reach in &reaches {
        let extent = local.slots.get(reach.slot).copied();
        let Some(extent) = extent else { continue };
        worst.bytes = worst.bytes.saturating_add(opened(&extent, reach));
        // Decoded tensors, each at most once at a time.
        let entries = reach.rows.saturating_mul(extent.columns.into());
        worst.memory = worst.memory.saturating_add(entries.saturating_mul(4));
    }
    // The tile's own rows; the last tile extends over the padding.
    let padded = u64::from(local.output.padded_rows());
    let last = padded.saturating_sub(down.saturating_sub(1).saturating_mul(tile_rows));
    let own = Reach { slot: 0, rows: tile_rows.min(padded).max(last), ranges: 1, align: tile_rows };
    worst.bytes = worst.bytes.saturating_add(opened(&local.output, &own));
    // The computed tile, some rows of it and of the input, and the bookkeeping
    // of the openings.
    let columns = local.slots.first().map_or(0, |extent| u64::from(extent.padded_columns()));
    let columns = columns.saturating_add(local.output.padded_columns().into());
    let parts = [
        tile.rows.saturating_mul(tile.columns).saturating_mul(4),
        columns.saturating_mul(16),
        pieces.saturating_mul(PIECE),
        FIXED,
    ];
    worst.memory = parts.into_iter().fold(worst.memory, u64::saturating_add);
    worst
}

/// Heap for each range of rows: its numbers before and after the ranges are
/// joined, in vectors that may be copied once while they double.
const PIECE: u64 = 256;

/// Heap that every step may take.
const FIXED: u64 = 4096;

/// The bytes of the opening of some rows at a multiple of `align`.
pub(super) fn strip_bytes(extent: &Extent, rows: u32, align: u32) -> u64 {
    let rows = rows.min(extent.padded_rows());
    opened(extent, &Reach { slot: 0, rows: rows.into(), ranges: 1, align: align.into() })
}

/// Bytes and siblings of all ranges of a slot, each opened separately.
fn opened(extent: &Extent, reach: &Reach) -> u64 {
    let (row, total) = (extent.row_bytes() as u64, extent.bytes());
    let ranges = reach.ranges.min(reach.rows);
    if ranges == 0 {
        return 0;
    }
    let own = reach.rows.saturating_mul(row);
    // The start and the length of a range are multiples of these bytes, so this
    // many bytes of its first chunk may belong to other rows.
    let before = CHUNK - gcd(reach.align.saturating_mul(row), CHUNK);
    let chunks = if ranges == 1 {
        own.saturating_add(before).div_ceil(CHUNK)
    } else {
        let after = CHUNK - gcd(row, CHUNK);
        own.saturating_add(ranges.saturating_mul(before + after)) / CHUNK
    };
    let bytes = chunks.saturating_mul(CHUNK).min(ranges.saturating_mul(total));
    let whole = ranges == 1 && reach.rows >= u64::from(extent.padded_rows());
    let siblings = if whole { 0 } else { ranges.saturating_mul(siblings(total, chunks)) };
    bytes.saturating_add(siblings.saturating_mul(32))
}

/// The most siblings that some consecutive chunks have. One chunk has one
/// sibling a level. Several chunks have one a level on either side below the
/// node where the paths to the first and the last separate, and one a level
/// above it.
fn siblings(total: u64, chunks: u64) -> u64 {
    let all = total.div_ceil(CHUNK);
    let depth = u64::from(u64::BITS - all.saturating_sub(1).leading_zeros());
    let most = if chunks > 1 { depth.max(2 * depth.saturating_sub(1)) } else { depth };
    most.min(all.saturating_sub(1))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The most items of `period` rows that a tile of `rows` rows touches, if tiles
/// start at multiples of `tile` and there are `all` items.
fn touched(rows: u64, tile: u64, period: u64, all: u64) -> u64 {
    let period = period.max(1);
    // The latest start within an item.
    let start = period - gcd(tile, period);
    ((start + rows).saturating_sub(1) / period + 1).min(all)
}

/// The largest tile of a step: its true rows and columns.
struct Tile<'a> {
    local: &'a Local<'a>,
    /// Tiles start at multiples of these.
    tile_rows: u64,
    tile_columns: u64,
    rows: u64,
    columns: u64,
    batch: u64,
}

impl<'a> Tile<'a> {
    fn new(local: &'a Local<'a>) -> Tile<'a> {
        let grid = local.grid();
        let Extent { rows, columns, .. } = local.output;
        let start = |tile: u32, count: u32| if count > 1 { u64::from(tile) } else { 0 };
        Tile {
            local,
            tile_rows: start(grid.tile_rows, grid.down),
            tile_columns: start(grid.tile_columns, grid.across),
            rows: grid.tile_rows.min(rows).into(),
            columns: grid.tile_columns.min(columns).into(),
            batch: local.run.batch.max(1).into(),
        }
    }

    fn slot_rows(&self, slot: usize) -> u64 {
        self.local.slots.get(slot).map_or(0, |extent| extent.rows.into())
    }

    /// Rows of one item of a slot.
    fn item_rows(&self, slot: usize) -> u64 {
        (self.slot_rows(slot) / self.batch).max(1)
    }

    /// Rows of one item of the output.
    fn output_item_rows(&self) -> u64 {
        (u64::from(self.local.output.rows) / self.batch).max(1)
    }

    /// Items whose rows a tile holds.
    fn items(&self) -> u64 {
        touched(self.rows, self.tile_rows, self.output_item_rows(), self.batch)
    }

    fn all(&self, slot: usize) -> Reach {
        Reach { slot, rows: self.slot_rows(slot), ranges: 1, align: 0 }
    }

    fn same(&self, slot: usize) -> Reach {
        Reach { slot, rows: self.rows, ranges: 1, align: self.tile_rows }
    }

    fn of_columns(&self, slot: usize) -> Reach {
        Reach { slot, rows: self.columns, ranges: 1, align: self.tile_columns }
    }

    /// The rows of a constant that the tile's rows have as their places in
    /// their items.
    fn of_places(&self, slot: usize) -> Reach {
        // The end of one item and the start of the next; a whole item between
        // them joins both.
        let period = self.output_item_rows();
        let align = gcd(self.tile_rows, period);
        Reach { slot, rows: self.rows.min(period), ranges: self.items().min(2), align }
    }

    /// The rows of a slot that have the tile's columns as their places in some
    /// blocks.
    fn blocks_of_columns(&self, slot: usize, blocks: u64) -> Reach {
        let columns = u64::from(self.local.output.columns);
        Reach {
            slot,
            rows: blocks.saturating_mul(self.columns),
            ranges: if self.columns == columns { 1 } else { blocks },
            align: gcd(self.tile_columns, columns),
        }
    }

    /// The rows of the inputs that an index may name: each entry of the tile
    /// another row, at worst every other row, so that no two touch.
    fn arranged(&self) -> Vec<Reach> {
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

    /// The reach in each slot, and the number of ranges before they are joined.
    fn reaches(&self) -> (Vec<Reach>, u64) {
        let constant = self.local.inputs;
        let mut pieces = 8;
        let reaches = match self.local.op {
            Op::Linear { .. } | Op::GroupLinear { .. } => {
                let mut reaches: Vec<Reach> = (0..constant).map(|slot| self.same(slot)).collect();
                reaches.extend([self.of_columns(constant), self.of_columns(constant + 1)]);
                reaches
            }
            Op::Unfold(window) | Op::MaxPool(window) | Op::AveragePool(window) => {
                pieces += self.rows;
                vec![self.band(window)]
            }
            Op::GroupUnfold(moved) => {
                pieces += self.rows;
                moved.covered().map(|covered| self.band(&covered)).into_iter().collect()
            }
            Op::Table { .. } | Op::Softmax { .. } | Op::Normalise { .. } | Op::Curve { .. } => {
                vec![self.same(0), self.all(constant)]
            }
            Op::ScaleColumns { .. } => vec![self.same(0), self.of_columns(constant)],
            Op::Add { .. } | Op::Quantise | Op::Mul { .. } => vec![self.same(0), self.same(1)],
            Op::Requantise { .. } | Op::Relu | Op::RowScale | Op::L2Normalise => {
                vec![self.same(0)]
            }
            Op::Embed { .. } => {
                // Each row may name another row. At worst the named rows are
                // every other one, so that no two touch.
                pieces += 2 * self.rows;
                let named = |slot| {
                    let rows = self.rows.min(self.slot_rows(slot));
                    let ranges = rows.min(self.slot_rows(slot).div_ceil(2));
                    Reach { slot, rows, ranges, align: 1 }
                };
                vec![self.same(0), named(1), named(2)]
            }
            Op::AddRows { .. } => {
                pieces += self.items();
                vec![self.same(0), self.of_places(1)]
            }
            Op::Arrange { .. } => {
                let reaches = self.arranged();
                let named = reaches.iter().fold(0u64, |sum, reach| sum.saturating_add(reach.rows));
                pieces += self.items().saturating_add(named);
                let index = self.of_places(constant);
                reaches.into_iter().chain([index]).collect()
            }
            Op::Product { blocks, .. } => {
                let blocks = u64::from(*blocks).max(1);
                let period = (self.output_item_rows() / blocks).max(1);
                let all = self.batch.saturating_mul(blocks);
                let touched = touched(self.rows, self.tile_rows, period, all);
                pieces += touched;
                vec![self.same(0), self.blocks_of_columns(1, touched)]
            }
            Op::AttentionWeights { heads, .. } | Op::RelativeAttentionWeights { heads, .. } => {
                let heads = u64::from(*heads).max(1);
                let blocks = touched(
                    self.rows,
                    self.tile_rows,
                    self.local.run.sequence.into(),
                    self.batch.saturating_mul(heads),
                );
                let biased = matches!(self.local.op, Op::RelativeAttentionWeights { .. });
                pieces += (4 + u64::from(biased)) * blocks;
                self.weights(heads, blocks, biased)
            }
            Op::AttentionContext { heads, .. } => {
                let heads = u64::from(*heads).max(1);
                let (items, touched) = self.context_items(heads);
                pieces += items * (touched + 1);
                self.context(heads)
            }
            Op::Transpose => {
                let items = self.items();
                pieces += items;
                let align = self.item_rows(0);
                let rows = items.saturating_mul(align);
                vec![Reach { slot: 0, rows, ranges: 1, align }]
            }
            Op::Reshape { .. } => {
                let input = self.local.slots.first().map_or(1, |extent| extent.columns.max(1));
                let (input, columns) = (u64::from(input), u64::from(self.local.output.columns));
                let start = input - gcd(self.tile_rows.saturating_mul(columns), input);
                let rows = self.rows.saturating_mul(columns).saturating_add(start);
                let rows = rows.div_ceil(input).min(self.slot_rows(0));
                vec![Reach { slot: 0, rows, ranges: 1, align: 1 }]
            }
            Op::MeanPool => {
                let align = self.item_rows(0);
                let rows = self.rows.saturating_mul(align);
                pieces += self.rows;
                let mut reaches = vec![Reach { slot: 0, rows, ranges: 1, align }];
                reaches.extend((1..constant).map(|slot| self.same(slot)));
                reaches
            }
            // A kind of step that this crate does not know may read any rows.
            _ => {
                let slots = 0..self.local.slots.len();
                let any = |slot| Reach { ranges: self.slot_rows(slot), align: 1, ..self.all(slot) };
                let reaches: Vec<Reach> = slots.map(any).collect();
                pieces = reaches.iter().fold(pieces, |sum, reach| sum.saturating_add(reach.ranges));
                reaches
            }
        };
        (reaches, pieces)
    }

    /// The rows of pixels under the windows of a tile.
    fn band(&self, window: &Window) -> Reach {
        let [height, width] = window.output().unwrap_or([1, 1]).map(u64::from);
        let (period, image) = (height * width, u64::from(window.height));
        let (stride, kernel) = (u64::from(window.stride[0]), u64::from(window.kernel[0]));
        // The number of lines of windows, and of the items that they lie in.
        let lines = |lines: u64, items: u64| {
            let between = lines.saturating_sub(items).saturating_mul(stride);
            between.saturating_add(items * kernel).min(items * image)
        };
        let rows = self.rows;
        let items = touched(rows, self.tile_rows, period, self.batch);
        let one = (rows.min(period) + width).saturating_sub(2) / width + 1;
        let mut most = lines(one.min(height), 1);
        for items in 2..=items {
            let inner = items - 2;
            // The remainder for the first and the last item, which start and
            // end at their items' edges.
            let Some(edges) = rows.checked_sub(inner * period) else { break };
            let edges = (edges + 2 * (width - 1)) / width;
            let whole = inner.saturating_mul(lines(height, 1));
            most = most.max(whole.saturating_add(lines(edges.clamp(2, 2 * height), 2)));
        }
        // If windows reach an image's last line, one item's rows touch the next
        // item's: the first line is always read.
        let end = (height - 1).saturating_mul(stride).saturating_add(kernel);
        let ranges = if end >= image + u64::from(window.pads[0]) { 1 } else { items };
        let width = u64::from(window.width);
        Reach { slot: 0, rows: most.saturating_mul(width), ranges, align: width }
    }

    fn weights(&self, heads: u64, blocks: u64, biased: bool) -> Vec<Reach> {
        let (sequence, constant) = (u64::from(self.local.run.sequence), self.local.inputs);
        let period = sequence.saturating_mul(heads);
        let items = touched(self.rows, self.tile_rows, period, self.batch);
        // Two heads of one item may read its end and its start; a head between
        // them reads all of it.
        let queries = if heads > 1 { blocks.min(2) } else { 1 };
        let align = gcd(self.tile_rows, sequence);
        let mut reaches = vec![
            Reach { slot: 0, rows: self.rows, ranges: queries, align },
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
    fn context_items(&self, heads: u64) -> (u64, u64) {
        let sequence = u64::from(self.local.run.sequence);
        let items = touched(self.rows, self.tile_rows, sequence, self.batch);
        let channels = (u64::from(self.local.output.columns) / heads).max(1);
        (items, touched(self.columns, self.tile_columns, channels, heads))
    }

    fn context(&self, heads: u64) -> Vec<Reach> {
        let sequence = u64::from(self.local.run.sequence);
        let all = heads;
        let (items, heads) = self.context_items(heads);
        // If the rows of an item are read whole, its heads touch each other. If
        // the tile reads all heads, they also touch those of the next item. At
        // most the first item and the last are read in part.
        let ranges = if self.tile_rows.is_multiple_of(sequence.max(1)) {
            if heads == all { 1 } else { items }
        } else {
            items.min(2) * heads + items.saturating_sub(2)
        };
        let weights = Reach {
            slot: 0,
            rows: self.rows.saturating_mul(heads),
            ranges,
            align: gcd(self.tile_rows, sequence),
        };
        vec![weights, self.blocks_of_columns(1, items), self.of_columns(2)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use poai_core::program::Dtype;

    fn bytes(extent: &Extent, first: u32, rows: u32) -> u64 {
        let strip = extent.strip(&(first..first + rows)).unwrap();
        strip.opened_len() + 32 * u64::from(strip.siblings())
    }

    /// The most bytes of a range of `rows` rows at a multiple of `align`, found
    /// by trying all. Each range is opened separately, so the worst place is
    /// the worst for all ranges if there is room.
    fn most(extent: &Extent, rows: u32, align: u32) -> u64 {
        let starts = (0..=extent.padded_rows() - rows).step_by(align as usize);
        starts.map(|first| bytes(extent, first, rows)).max().unwrap()
    }

    /// Checks that no opening is longer than the bound, and that the longest is
    /// not much shorter. For at least every fourth shape some opening is
    /// exactly as long.
    #[test]
    fn bounds_of_ranges_are_tight() {
        let (mut exact, mut all) = (0, 0);
        for columns in [1, 3, 100, 128, 129, 256, 300, 700, 1000, 1024, 1100, 3000] {
            for (dtype, total) in [Dtype::I8, Dtype::I16, Dtype::I32]
                .into_iter()
                .flat_map(|dtype| [1, 32, 33, 64, 96, 200].map(|total| (dtype, total)))
            {
                let extent = Extent::new(total, columns, dtype).unwrap();
                for (align, rows) in [1, 2, 3, 5, 8, 16, 32]
                    .into_iter()
                    .flat_map(|align| [1, 2, 3, 7, 8, 16, 31, 32, 40].map(|rows| (align, rows)))
                    .filter(|&(_, rows)| rows <= extent.padded_rows())
                {
                    let most = most(&extent, rows, align);
                    let bound = strip_bytes(&extent, rows, align);
                    let name = format!("{rows} rows at {align} of {extent}");
                    let whole_chunks = (extent.row_bytes() as u64).is_multiple_of(CHUNK);
                    let slack = if whole_chunks { 0 } else { CHUNK } + 16 * 32;
                    assert!(bound >= most && bound < most + slack, "{name}: {most} {bound}");
                    exact += u32::from(bound == most);
                    all += 1;
                    // Three ranges, if there is room.
                    if 3 * rows > extent.padded_rows() {
                        continue;
                    }
                    let (ranges, rows) = (3, 3 * u64::from(rows));
                    let reach = Reach { slot: 0, rows, ranges, align: align.into() };
                    let bound = opened(&extent, &reach);
                    // For rows of whole chunks the bound is exact.
                    let chunks = if whole_chunks { 0 } else { 2 * CHUNK };
                    let slack = ranges * (chunks + 16 * 32);
                    assert!(
                        bound >= 3 * most && bound < 3 * most + slack,
                        "{name}: {most} {bound}"
                    );
                }
            }
        }
        assert!(4 * exact > all, "{exact} of {all}");
        // No rows have no bytes. More ranges than rows count as many as the
        // rows.
        let extent = Extent::new(64, 128, Dtype::I8).unwrap();
        let reach = |rows, ranges| opened(&extent, &Reach { slot: 0, rows, ranges, align: 1 });
        assert_eq!((reach(0, 3), reach(3, 0), reach(2, 9)), (0, 0, reach(2, 2)));
    }
}
