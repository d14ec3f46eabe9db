//! The arithmetic of each step (spec §12).
//!
//! It is written once: execution, audits and fraud proofs all call
//! [`Local::compute`].
//!
//! A *region* is a range of rows and columns of a step's output.
//! [`Local::reads`] lists the rows of inputs and constants that the region
//! depends on. [`Local::compute`] computes the region from them. A *tile* is
//! the region that is checked at once: 32×32 entries of a product, or 32 whole
//! rows of other steps.
//!
//! - [`arithmetic`]: rounding and saturation.
//! - [`reads`]: the rows that a region depends on.
//! - [`own`]: what is opened of the output itself.
//! - `rows`: the loops over a row's entries.
//! - one file for each family of steps.

pub mod arithmetic;
mod arrange;
mod attention;
pub mod decoder;
mod embed;
mod linear;
mod normalise;
pub mod own;
mod pointwise;
pub mod pool;
mod product;
pub mod reads;
mod rearrange;
mod rows;
pub mod training;

pub use own::{Columns, Committed};
pub use reads::Read;

use crate::program::training::BlockKind;
use crate::program::{DecoderOp, Extent, Op, Program, RunShape, TrainingOp, ValueId};
use alloc::vec::Vec;
use core::ops::Range;

/// Why a region cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The source lacks a row that the region depends on.
    #[error("expected row {row} of slot {slot}, got none; supply the row")]
    Missing {
        /// The slot: an input, or a constant after the inputs.
        slot: usize,
        /// The row.
        row: u32,
    },
    /// An entry that names a row, an entry or a length is out of range.
    ///
    /// An index may also hold −1, which names nothing.
    #[error(
        "expected an entry in {min}..={max} in slot {slot}, row {row}, got {value}; correct it"
    )]
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
    /// The region is empty or outside the output, or its memory has another
    /// size.
    #[error("expected a region inside the output and memory of its size, got another")]
    Region,
}

/// A source of the rows that a step reads.
pub trait RowSource {
    /// Reads the first entries of a row of a slot.
    ///
    /// # Errors
    /// [`StepError::Missing`] if the source lacks the row.
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError>;

    /// Reads the entries of a row of a slot from the column `first` on.
    ///
    /// # Errors
    /// [`StepError::Missing`] if the source lacks the row.
    fn read_from(
        &self,
        slot: usize,
        row: u32,
        first: u32,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        let mut entries = alloc::vec![0; (first as usize).saturating_add(to.len())];
        self.read(slot, row, &mut entries)?;
        to.copy_from_slice(&entries[first as usize..]);
        Ok(())
    }

    /// Reads the first `width` entries of each of consecutive rows.
    ///
    /// # Errors
    /// [`StepError::Missing`] if the source lacks a row.
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
    /// The rows.
    pub rows: Range<u32>,
    /// The columns.
    pub columns: Range<u32>,
}

impl Region {
    /// The number of entries in a row of the region.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}

/// The division of an output into tiles.
///
/// Every tile holds true entries. The last tiles extend over all the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The rows of a tile.
    pub tile_rows: u32,
    /// The columns of a tile.
    pub tile_columns: u32,
    /// The number of tiles from top to bottom.
    pub down: u32,
    /// The number of tiles from left to right.
    pub across: u32,
    /// The output's rows with their padding.
    rows: u32,
    /// The output's columns with their padding.
    columns: u32,
}

impl Grid {
    /// The number of tiles.
    pub fn tiles(&self) -> u64 {
        u64::from(self.down) * u64::from(self.across)
    }

    /// The number of the tile that holds an entry, or `None` outside the
    /// output.
    pub fn at(&self, row: u32, column: u32) -> Option<u64> {
        let inside = row < self.rows && column < self.columns;
        // Padding belongs to the last tiles.
        let down = (row / self.tile_rows).min(self.down - 1);
        let across = (column / self.tile_columns).min(self.across - 1);
        inside.then(|| u64::from(down) * u64::from(self.across) + u64::from(across))
    }

    /// The region of a tile, padding included, or `None` if there is no such
    /// tile.
    ///
    /// Tiles are numbered row by row.
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

/// A step in one run, with the extents of all inputs and constants that it
/// reads.
#[derive(Clone, Debug)]
pub struct Local<'a> {
    /// The step's kind and numbers.
    pub op: &'a Op,
    /// The run.
    pub run: RunShape,
    /// The extent of the output.
    pub output: Extent,
    /// The extents of the inputs, then of the constants.
    pub slots: Vec<Extent>,
    /// The number of slots that are inputs.
    pub inputs: usize,
    /// Whether the program lists its outputs, so that tiles of row-local steps
    /// have fewer rows.
    pub listed: bool,
}

impl<'a> Local<'a> {
    /// The step of a value in a run with the given extents, or `None` for an
    /// input.
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
        Some(Local { op: &step.op, run, output, slots, inputs, listed: program.has_list() })
    }

    /// The division of the output into tiles.
    pub fn grid(&self) -> Grid {
        let tile = crate::params::Params::CONSENSUS.tile() as u32;
        let Extent { rows, columns, .. } = self.output;
        let tile_rows = match self.op {
            // Each of its rows depends on a whole sequence.
            Op::MeanPool => 1,
            // A row has a word of a vocabulary in each column.
            Op::Decoder(DecoderOp::Sample { .. }) => 1,
            _ if self.listed && self.is_row_local() => self.light_rows(),
            _ => tile,
        };
        let tile_columns = match self.op {
            Op::Linear { .. }
            | Op::AttentionContext { .. }
            | Op::GroupLinear { .. }
            | Op::Product { .. }
            | Op::Training(
                TrainingOp::ScaledProduct { .. }
                | TrainingOp::TransposeTiles
                | TrainingOp::Block { kind: BlockKind::Mix | BlockKind::MixBack, .. },
            ) => tile,
            Op::Decoder(DecoderOp::Attention { .. }) => decoder::tile_columns(self.slot(0).columns),
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

    /// Whether the step computes each row from the same row of its inputs
    /// (spec §14).
    pub fn is_row_local(&self) -> bool {
        match self.op {
            Op::Add { .. }
            | Op::Requantise { .. }
            | Op::Relu
            | Op::Table { .. }
            | Op::ScaleColumns { .. }
            | Op::RowScale
            | Op::Quantise
            | Op::Softmax { .. }
            | Op::Normalise { .. }
            | Op::L2Normalise
            | Op::Mul { .. }
            | Op::Curve { .. } => true,
            Op::Decoder(op) => matches!(
                op,
                DecoderOp::RmsNorm { .. } | DecoderOp::Mix { .. } | DecoderOp::Limb { .. }
            ),
            Op::Training(op) => matches!(
                op,
                TrainingOp::Exponent { per_row: true }
                    | TrainingOp::Rescale { .. }
                    | TrainingOp::RowSum
                    | TrainingOp::Gate { .. }
                    | TrainingOp::CrossEntropy { .. }
                    | TrainingOp::NormaliseGradient { .. }
                    | TrainingOp::Gather { .. }
                    | TrainingOp::Exponentials { .. }
                    | TrainingOp::SoftmaxGradient
                    | TrainingOp::Descend { .. }
                    | TrainingOp::SecondMoment { .. }
                    | TrainingOp::Ratio { .. }
            ),
            _ => false,
        }
    }

    /// The rows of a tile of a row-local step, so that the widest row's tile
    /// takes at most 16 KiB.
    fn light_rows(&self) -> u32 {
        const LIGHT_BYTES: usize = 16384;
        let tile = crate::params::Params::CONSENSUS.tile() as u32;
        // Other inputs than those read at the output's rows are 1×1 or seeds,
        // which are never widest, and gather's table.
        let read = match self.op {
            Op::Training(TrainingOp::Gather { .. }) => &[],
            _ => self.slots.get(..self.inputs).unwrap_or_default(),
        };
        let inputs = read.iter().filter(|slot| slot.rows == self.output.rows);
        let widest = inputs.chain([&self.output]).map(Extent::row_bytes).max().unwrap_or(1);
        u32::try_from(LIGHT_BYTES / widest.max(1)).unwrap_or(tile).clamp(1, tile)
    }

    /// The number of output rows that are best computed at once.
    ///
    /// These rows depend on the same inputs.
    pub fn block_rows(&self) -> u32 {
        match self.op {
            Op::MeanPool | Op::Decoder(DecoderOp::Sample { .. }) => 1,
            Op::Transpose => self.output_item_rows(),
            Op::AttentionWeights { .. }
            | Op::AttentionContext { .. }
            | Op::RelativeAttentionWeights { .. }
            | Op::Decoder(DecoderOp::Attention { .. }) => self.run.sequence,
            Op::Training(op) => match op {
                TrainingOp::Block { .. } => self.item_rows(1),
                TrainingOp::UnfoldGradient(_) | TrainingOp::MaxPoolGradient(_) => {
                    self.output_item_rows()
                }
                // Each block reads all ids.
                TrainingOp::ScatterAdd { .. } => 512,
                _ => crate::params::Params::CONSENSUS.tile() as u32,
            },
            _ => crate::params::Params::CONSENSUS.tile() as u32,
        }
    }

    /// The part of a region that is not padding, or `None` if all of it is
    /// padding.
    pub fn within(&self, region: &Region) -> Option<Region> {
        let clip = |range: &Range<u32>, end: u32| range.start..range.end.min(end);
        let rows = clip(&region.rows, self.output.rows);
        let columns = clip(&region.columns, self.output.columns);
        (!rows.is_empty() && !columns.is_empty()).then_some(Region { rows, columns })
    }

    /// The first (row, column) of a region whose committed entry is wrong.
    ///
    /// The true part has to equal its recomputed entries, `own`, and the
    /// padding has to be zero. Entries that `committed` lacks count as zeros.
    pub fn first_difference(
        &self,
        region: &Region,
        own: &[i32],
        committed: &dyn Committed,
    ) -> Option<(u32, u32)> {
        let within = self.within(region);
        let mut entries = alloc::vec![0; region.width()];
        for row in region.rows.clone() {
            if committed.read_from(row, region.columns.start, &mut entries).is_none() {
                entries.fill(0);
            }
            let expected = within.as_ref().and_then(|within| {
                let at = within.rows.contains(&row).then(|| (row - within.rows.start) as usize)?;
                own.get(at * within.width()..(at + 1) * within.width())
            });
            let expected = expected.unwrap_or_default();
            for (at, (column, &entry)) in region.columns.clone().zip(&entries).enumerate() {
                if entry != expected.get(at).copied().unwrap_or(0) {
                    return Some((row, column));
                }
            }
        }
        None
    }

    /// Computes a region, row-major into `out`.
    ///
    /// For products, `sums` are the region's sums of products if the caller
    /// already has them. Otherwise this function computes them.
    ///
    /// # Errors
    /// [`StepError`] if a row is missing or an index is out of range. It is also
    /// an error if the region is empty or outside the output, or does not have
    /// the size of `out` or `sums`.
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
            Op::Linear { .. } | Op::GroupLinear { .. } => {
                linear::compute(self, source, region, sums, out)
            }
            Op::Product { .. } => product::compute(self, source, region, sums, out),
            Op::AttentionWeights { .. } | Op::RelativeAttentionWeights { .. } => {
                attention::weights(self, source, region, sums, out)
            }
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
            Op::Arrange { .. } => arrange::arrange(self, source, region, out),
            Op::GroupUnfold(window) => rearrange::group_unfold(self, source, region, out, window),
            Op::Add { .. }
            | Op::Requantise { .. }
            | Op::ScaleColumns { .. }
            | Op::Relu
            | Op::Table { .. }
            | Op::RowScale
            | Op::Quantise
            | Op::Mul { .. }
            | Op::Curve { .. } => pointwise::compute(self, source, region, out),
            Op::Training(op) => training::compute(self, op, source, region, sums, out),
            Op::Decoder(op) => decoder::compute(self, op, source, region, out),
        }
    }

    /// The extent of a slot.
    ///
    /// A slot that does not exist is empty, and its rows read as missing.
    pub fn slot(&self, slot: usize) -> Extent {
        const NONE: Extent = Extent { rows: 0, columns: 0, dtype: crate::program::Dtype::I8 };
        self.slots.get(slot).copied().unwrap_or(NONE)
    }

    /// The number of rows of a slot that belong to one item, at least 1.
    pub fn item_rows(&self, slot: usize) -> u32 {
        (self.slot(slot).rows / self.run.batch.max(1)).max(1)
    }

    /// The number of rows of the output that belong to one item, at least 1.
    pub fn output_item_rows(&self) -> u32 {
        (self.output.rows / self.run.batch.max(1)).max(1)
    }

    /// The true length of an item.
    ///
    /// It is an entry of the slot, or the sequence if the step has no such
    /// input.
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

/// The row that an id in slot `slot` names, of `rows`.
fn named_row(source: &dyn RowSource, slot: usize, row: u32, rows: u32) -> Result<u32, StepError> {
    let mut value = [0];
    source.read(slot, row, &mut value)?;
    let max = rows.saturating_sub(1);
    let id = u32::try_from(value[0]).ok().filter(|&id| id < rows);
    id.ok_or(StepError::Index { slot, row, value: value[0], min: 0, max })
}

/// Reads a constant of 256 entries.
fn table(source: &dyn RowSource, slot: usize) -> Result<rows::Table, StepError> {
    let mut table = [0; 256];
    source.read_rows(slot, 0..256, 1, &mut table)?;
    Ok(table)
}

/// The sum of products, which is exact for operands of fewer than 2^17 columns.
fn dot(a: &[i32], b: &[i32]) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| sum.wrapping_add(a.wrapping_mul(b)))
}
