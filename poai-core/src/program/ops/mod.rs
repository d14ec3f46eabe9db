//! What each step computes, written once: execution, audits and fraud proofs
//! all call [`Local::compute`] (spec §12).
//!
//! A *region* is some rows and columns of a step's output. [`Local::reads`]
//! says which rows of which inputs and constants it is made of, and
//! [`Local::compute`] makes it from them. A *tile* is the region that is
//! checked at once: 32×32 of a product, 32 whole rows of other steps.
//!
//! - [`arithmetic`]: rounding and saturation.
//! - [`reads`]: which rows a region is made of.
//! - `rows`: the loops over a row's entries.
//! - one file for each family of steps.

pub mod arithmetic;
mod attention;
mod embed;
mod linear;
mod normalise;
mod pointwise;
pub mod pool;
pub mod reads;
mod rearrange;
mod rows;

pub use reads::Read;

use crate::program::tensor::Rows;
use crate::program::{Extent, Op, Program, RunShape, ValueId};
use alloc::vec::Vec;
use core::ops::Range;

/// Why a region has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A row that it needs was not given.
    #[error("row {row} of slot {slot} is missing")]
    Missing {
        /// The slot: an input, or after them a constant.
        slot: usize,
        /// The row.
        row: u32,
    },
    /// An entry that names a row or a length is out of range.
    #[error("entry {value} of slot {slot}, row {row}, is outside {min}..={max}")]
    Index {
        /// The slot.
        slot: usize,
        /// The row.
        row: u32,
        /// The entry.
        value: i32,
        /// The least permitted.
        min: u32,
        /// The largest permitted.
        max: u32,
    },
    /// A region outside the output, or memory of another size.
    #[error("the region lies outside the output, or its memory has another size")]
    Region,
}

/// Where a step's rows are read from.
pub trait RowSource {
    /// Reads the first entries of a row of a slot.
    ///
    /// # Errors
    /// [`StepError::Missing`] where it is not there.
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError>;

    /// Reads the first `width` entries of each of some consecutive rows.
    ///
    /// # Errors
    /// [`StepError::Missing`] where one is not there.
    fn read_rows(
        &self,
        slot: usize,
        rows: Range<u32>,
        width: usize,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        for (row, to) in rows.zip(to.chunks_exact_mut(width.max(1))) {
            self.read(slot, row, to)?;
        }
        Ok(())
    }
}

/// A region of a step's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Rows.
    pub rows: Range<u32>,
    /// Columns.
    pub columns: Range<u32>,
}

impl Region {
    /// Entries of a row of it.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}

/// How an output is cut into tiles. Every tile holds true entries; the last
/// ones reach over all the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Rows of a tile.
    pub tile_rows: u32,
    /// Columns of a tile.
    pub tile_columns: u32,
    /// Tiles one below the other.
    pub down: u32,
    /// Tiles side by side.
    pub across: u32,
    /// Rows with their padding.
    rows: u32,
    /// Columns with theirs.
    columns: u32,
}

impl Grid {
    /// How many tiles there are.
    pub fn tiles(&self) -> u64 {
        u64::from(self.down) * u64::from(self.across)
    }

    /// The number of the tile that holds an entry; `None` outside.
    pub fn at(&self, row: u32, column: u32) -> Option<u64> {
        let inside = row < self.rows && column < self.columns;
        // Padding belongs to the last tiles.
        let down = (row / self.tile_rows).min(self.down - 1);
        let across = (column / self.tile_columns).min(self.across - 1);
        inside.then(|| u64::from(down) * u64::from(self.across) + u64::from(across))
    }

    /// A tile by its number, row by row, padding included.
    pub fn tile(&self, index: u64) -> Option<Region> {
        if index >= self.tiles() {
            return None;
        }
        // Exact: both are below 2^32.
        let (down, across) =
            ((index / u64::from(self.across)) as u32, (index % u64::from(self.across)) as u32);
        let cut = |at: u32, size: u32, count: u32, end: u32| {
            at * size..if at + 1 == count { end } else { (at + 1) * size }
        };
        Some(Region {
            rows: cut(down, self.tile_rows, self.down, self.rows),
            columns: cut(across, self.tile_columns, self.across, self.columns),
        })
    }
}

/// A step in one run, with the extents of all that it reads.
#[derive(Clone, Debug)]
pub struct Local<'a> {
    /// The step's kind and numbers.
    pub op: &'a Op,
    /// The run.
    pub run: RunShape,
    /// The output.
    pub output: Extent,
    /// The inputs, then the constants.
    pub slots: Vec<Extent>,
    /// How many of the slots are inputs.
    pub inputs: usize,
}

impl<'a> Local<'a> {
    /// A value's step in a run whose extents are given; `None` for an input.
    pub fn new(
        program: &'a Program,
        extents: &[Extent],
        run: RunShape,
        value: ValueId,
    ) -> Option<Local<'a>> {
        let step = program.step_of(value)?;
        let mut slots: Vec<Extent> = step
            .inputs
            .iter()
            .map(|input| extents.get(input.0 as usize).copied())
            .collect::<Option<_>>()?;
        let inputs = slots.len();
        let (constants, count) = step.op.constants();
        for constant in constants.iter().take(count) {
            slots.push(program.constants().get(constant.0 as usize)?.extent);
        }
        let output = *extents.get(value.0 as usize)?;
        Some(Local { op: &step.op, run, output, slots, inputs })
    }

    /// How the output is cut into tiles.
    pub fn grid(&self) -> Grid {
        let tile = crate::params::Params::CONSENSUS.tile() as u32;
        let Extent { rows, columns, .. } = self.output;
        let tile_rows = match self.op {
            // A row of it is made of a whole sequence.
            Op::MeanPool => 1,
            _ => tile,
        };
        let tile_columns = match self.op {
            Op::Linear { .. } | Op::AttentionContext { .. } => tile,
            _ => columns,
        };
        Grid {
            tile_rows,
            tile_columns,
            down: rows.div_ceil(tile_rows),
            across: columns.div_ceil(tile_columns),
            rows: self.output.padded_rows(),
            columns: self.output.padded_columns(),
        }
    }

    /// How many rows of the output are best computed at once: those that share
    /// what they are made of.
    pub fn block_rows(&self) -> u32 {
        match self.op {
            Op::MeanPool => 1,
            Op::Transpose => self.output_item_rows(),
            Op::AttentionWeights { .. } | Op::AttentionContext { .. } => self.run.sequence,
            _ => crate::params::Params::CONSENSUS.tile() as u32,
        }
    }

    /// The part of a region that is no padding, or `None` where all is.
    pub fn within(&self, region: &Region) -> Option<Region> {
        let clip = |range: &Range<u32>, end: u32| range.start..range.end.min(end);
        let rows = clip(&region.rows, self.output.rows);
        let columns = clip(&region.columns, self.output.columns);
        (!rows.is_empty() && !columns.is_empty()).then_some(Region { rows, columns })
    }

    /// The first place where a region's committed entries are not those of its
    /// recomputed true part, `own`, or not zero in the padding. A row that is
    /// not there is zeros.
    pub fn first_difference(
        &self,
        region: &Region,
        own: &[i32],
        committed: &Rows<'_>,
    ) -> Option<(u32, u32)> {
        let within = self.within(region);
        let mut entries = alloc::vec![0; region.columns.end as usize];
        for row in region.rows.clone() {
            if committed.read(row, &mut entries).is_none() {
                entries.fill(0);
            }
            let expected = within.as_ref().and_then(|within| {
                let at = within.rows.contains(&row).then(|| (row - within.rows.start) as usize)?;
                own.get(at * within.width()..(at + 1) * within.width())
            });
            let expected = expected.unwrap_or_default();
            let first = region.columns.start;
            for (column, &entry) in (0u32..).zip(&entries).skip(first as usize) {
                if entry != expected.get((column - first) as usize).copied().unwrap_or(0) {
                    return Some((row, column));
                }
            }
        }
        None
    }

    /// Computes a region, row-major into `out`. For products `sums` are the
    /// region's sums of products where somebody has them already; they are
    /// computed otherwise.
    ///
    /// # Errors
    /// [`StepError`]: a row that was not given, an index out of range, or a
    /// region outside the output.
    pub fn compute(
        &self,
        source: &dyn RowSource,
        region: &Region,
        sums: Option<&[i32]>,
        out: &mut [i32],
    ) -> Result<(), StepError> {
        let entries = region.rows.len().checked_mul(region.width());
        let inside =
            region.rows.end <= self.output.rows && region.columns.end <= self.output.columns;
        let memory = entries == Some(out.len()) && sums.is_none_or(|sums| sums.len() == out.len());
        if !inside || !memory || out.is_empty() {
            return Err(StepError::Region);
        }
        match self.op {
            Op::Linear { shifts, clamp, .. } => {
                linear::compute(self, source, region, sums, out, shifts, clamp)
            }
            Op::AttentionWeights { .. } => attention::weights(self, source, region, sums, out),
            Op::AttentionContext { .. } => attention::context(self, source, region, sums, out),
            Op::Unfold(window) => rearrange::unfold(self, source, region, out, window),
            Op::Transpose => rearrange::transpose(self, source, region, out),
            Op::Reshape { .. } => rearrange::reshape(self, source, region, out),
            Op::MaxPool(window) | Op::AveragePool(window) => {
                pool::window(self, source, region, out, window)
            }
            Op::MeanPool => pool::mean(self, source, region, out),
            Op::Embed { shift, .. } => embed::embed(self, source, region, out, *shift),
            Op::AddRows { .. } => embed::add_rows(self, source, region, out),
            Op::Softmax { .. } => normalise::softmax(self, source, region, out),
            Op::Normalise { centre, shift, .. } => {
                normalise::normalise(self, source, region, out, *centre, *shift)
            }
            Op::L2Normalise => normalise::l2(self, source, region, out),
            Op::Add { .. }
            | Op::Requantise { .. }
            | Op::ScaleColumns { .. }
            | Op::Relu
            | Op::Table { .. }
            | Op::RowScale
            | Op::Quantise => pointwise::compute(self, source, region, out),
        }
    }

    /// The extent of a slot; what is not there is empty, and read as missing.
    pub fn slot(&self, slot: usize) -> Extent {
        const NONE: Extent = Extent { rows: 0, columns: 0, dtype: crate::program::Dtype::I8 };
        self.slots.get(slot).copied().unwrap_or(NONE)
    }

    /// How many rows of a slot belong to one item, at least 1.
    pub fn item_rows(&self, slot: usize) -> u32 {
        (self.slot(slot).rows / self.run.batch.max(1)).max(1)
    }

    /// How many rows of the output belong to one item, at least 1.
    pub fn output_item_rows(&self) -> u32 {
        (self.output.rows / self.run.batch.max(1)).max(1)
    }

    /// The true length of an item: an entry of the slot, or the sequence where
    /// there is no such slot.
    pub fn length(&self, source: &dyn RowSource, slot: usize, item: u32) -> Result<u32, StepError> {
        if slot >= self.inputs {
            return Ok(self.run.sequence);
        }
        let mut value = [0];
        source.read(slot, item, &mut value)?;
        let max = self.run.sequence;
        u32::try_from(value[0])
            .ok()
            .filter(|length| (1..=max).contains(length))
            .ok_or(StepError::Index { slot, row: item, value: value[0], min: 1, max })
    }
}

/// Reads consecutive rows of a slot, `width` entries each.
fn read_rows(
    source: &dyn RowSource,
    slot: usize,
    rows: Range<u32>,
    width: usize,
) -> Result<Vec<i32>, StepError> {
    let mut entries = alloc::vec![0; rows.len() * width];
    source.read_rows(slot, rows, width, &mut entries)?;
    Ok(entries)
}

/// A constant of 256 entries.
fn table(source: &dyn RowSource, slot: usize) -> Result<rows::Table, StepError> {
    let mut table = [0; 256];
    source.read_rows(slot, 0..256, 1, &mut table)?;
    Ok(table)
}

/// Sum of products, exact for operands of at most 2^16 columns.
fn dot(a: &[i32], b: &[i32]) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| sum.wrapping_add(a.wrapping_mul(b)))
}
