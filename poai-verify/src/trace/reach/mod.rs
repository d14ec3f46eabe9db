//! How much the worst tile of a step opens, computed without walking its tiles.
//!
//! A run may have too many tiles to walk, so arithmetic bounds the worst one.
//! It mirrors [`Local::reads`] and [`Local::further_reads`]. A test compares it
//! with every tile of runs that are small enough.
//!
//! - `bytes`: the bytes of openings.
//! - `attention`, `windows`, `imported`, `training`, `decoder`: what tiles of
//!   families of steps read.

mod attention;
mod bytes;
mod decoder;
mod imported;
mod training;
mod windows;

pub(super) use bytes::strip_bytes;

use alloc::vec;
use alloc::vec::Vec;
use bytes::{Reach, Starts, gcd, opened, opened_anywhere, opened_columns};
use poai_core::Params;
use poai_core::program::ops::{Grid, Local};
use poai_core::program::{Extent, Op, TrainingOp};

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

/// The worst tile of a step.
pub(super) fn worst(local: &Local<'_>) -> TileBound {
    let tile = Tile::new(local);
    let of = |extent: &Extent, reach: &Reach| {
        (opened(extent, reach), reach.rows.saturating_mul(extent.columns.into()))
    };
    let own = (own_bytes(local, &local.grid()), tile.rows.saturating_mul(tile.columns));
    total(&tile, of, own)
}

/// At least the worst tile of a row-local step of a program with a list of
/// outputs, in this run and in every run in which its rows are shorter.
///
/// A tile's rows take at most 16 KiB of any slot, or they are one row. The last
/// tile extends over at most `padding` rows of padding.
pub(super) fn worst_light(local: &Local<'_>, padding: u32) -> TileBound {
    const LIGHT_BYTES: u64 = 16384;
    let tile = Tile::new(local);
    let all = local.slots.iter().chain([&local.output]);
    let most = LIGHT_BYTES.max(all.map(Extent::row_bytes).max().unwrap_or(0) as u64);
    let light = |extent: &Extent| most.min(TILE.saturating_mul(extent.row_bytes() as u64));
    let entries = |extent: &Extent| light(extent) / extent.dtype.size() as u64;
    let of = |extent: &Extent, reach: &Reach| {
        let ranges = if reach.ranges > 1 { TILE } else { 1 };
        let bytes = opened(extent, reach).max(opened_anywhere(extent, light(extent), ranges));
        let rows = reach.rows.saturating_mul(extent.columns.into());
        (bytes, rows.max(entries(extent)))
    };
    let output = &local.output;
    let padding = u64::from(padding).saturating_mul(output.row_bytes() as u64);
    let own = opened_anywhere(output, light(output).saturating_add(padding), 1);
    total(&tile, of, (own, entries(output)))
}

/// Rows of the tallest tile.
const TILE: u64 = Params::CONSENSUS.tile() as u64;

/// Sums what a tile opens and allocates. `of` gives the bytes and the entries of
/// each reach, and `own` those of the tile itself.
fn total(
    tile: &Tile<'_>,
    of: impl Fn(&Extent, &Reach) -> (u64, u64),
    own: (u64, u64),
) -> TileBound {
    let local = tile.local;
    let (reaches, pieces) = tile.reaches();
    let mut worst = TileBound { bytes: own.0, memory: own.1.saturating_mul(4) };
    for reach in &reaches {
        let Some(extent) = local.slots.get(reach.slot) else { continue };
        let (bytes, entries) = of(extent, reach);
        worst.bytes = worst.bytes.saturating_add(bytes);
        // Decoded tensors, each at most once at a time.
        worst.memory = worst.memory.saturating_add(entries.saturating_mul(4));
    }
    // Some rows of the computed tile and of the input, and the bookkeeping of
    // the openings.
    let columns = local.slots.first().map_or(0, |extent| u64::from(extent.padded_columns()));
    let columns = columns.saturating_add(local.output.padded_columns().into());
    let pieces = pieces.saturating_add(PIECES).saturating_mul(PIECE);
    let parts = [columns.saturating_mul(16), pieces, FIXED];
    worst.memory = parts.into_iter().fold(worst.memory, u64::saturating_add);
    worst
}

/// The most bytes of the opening of a tile's own rows, or of its part of them.
///
/// The last tiles extend over the padding.
fn own_bytes(local: &Local<'_>, grid: &Grid) -> u64 {
    let output = &local.output;
    let largest = |padded: u32, tile: u32, count: u32| {
        let last = padded.saturating_sub(count.saturating_sub(1).saturating_mul(tile));
        u64::from(tile.min(padded).max(last))
    };
    let rows = largest(output.padded_rows(), grid.tile_rows, grid.down);
    let size = output.dtype.size() as u64;
    // In rows of at most a chunk, the parts of neighbours touch.
    let in_part = matches!(local.op, Op::Training(TrainingOp::ScaledProduct { .. }))
        && grid.across > 1
        && output.row_bytes() > blake3::CHUNK_LEN;
    if in_part {
        let step = u64::from(grid.tile_columns) * size;
        let last = u64::from(grid.across - 1) * step;
        let width = (output.row_bytes() as u64).saturating_sub(last);
        let inner = opened_columns(output, rows, step, Starts::MultiplesOf(step));
        return inner.max(opened_columns(output, rows, width, Starts::At(last)));
    }
    opened(output, &Reach { slot: 0, rows, ranges: 1, align: grid.tile_rows.into() })
}

/// Ranges that every step may have: slots that are read whole, and the tile's
/// own rows.
const PIECES: u64 = 8;

/// Heap for each range of rows: its numbers before and after the ranges are
/// joined, in vectors that may be copied once while they double.
const PIECE: u64 = 256;

/// Heap that every step may take.
const FIXED: u64 = 4096;

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

    /// The rows of a slot that some entries name.
    ///
    /// Each may name another row. At worst the named rows are every other one,
    /// so that no two touch.
    fn named(&self, slot: usize, entries: u64) -> Reach {
        let rows = entries.min(self.slot_rows(slot));
        let ranges = rows.min(self.slot_rows(slot).div_ceil(2));
        Reach { slot, rows, ranges, align: 1 }
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

    /// The reach in each slot, and the number of ranges before they are joined.
    fn reaches(&self) -> (Vec<Reach>, u64) {
        let constant = self.local.inputs;
        let mut pieces = 0;
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
                pieces += 2 * self.rows;
                vec![self.same(0), self.named(1, self.rows), self.named(2, self.rows)]
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
            Op::Training(op) => {
                return self.training(op).unwrap_or_else(|| self.anything());
            }
            Op::Decoder(op) => {
                return self.decoder(op).unwrap_or_else(|| self.anything());
            }
            _ => return self.anything(),
        };
        (reaches, pieces)
    }

    /// A kind of step that this crate does not know may read any rows.
    fn anything(&self) -> (Vec<Reach>, u64) {
        let any = |slot| Reach { ranges: self.slot_rows(slot), align: 1, ..self.all(slot) };
        let reaches: Vec<Reach> = (0..self.local.slots.len()).map(any).collect();
        let pieces = reaches.iter().fold(0u64, |sum, reach| sum.saturating_add(reach.ranges));
        (reaches, pieces)
    }
}
