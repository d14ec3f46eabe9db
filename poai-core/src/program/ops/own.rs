//! What is opened of the output of a tile's own step (spec §14).

use super::{Local, Region};
use crate::program::tensor::{Extent, Rows, read_entries};
use crate::program::{Op, TrainingOp};
use crate::puzzle::commitment::Chunks;
use core::ops::Range;

impl Local<'_> {
    /// The padded columns of the output that a tile opens: all of each row, and
    /// of a scaled product those of the tile.
    pub fn own_columns(&self, region: &Region) -> Range<u32> {
        match self.op {
            Op::Training(TrainingOp::ScaledProduct { .. }) => region.columns.clone(),
            _ => 0..self.output.padded_columns(),
        }
    }

    /// The chunks of the output that hold a tile's own rows.
    ///
    /// It is `None` if the region is empty or not in the output.
    pub fn own_chunks(&self, region: &Region) -> Option<Chunks> {
        let (columns, size) = (self.own_columns(region), self.output.dtype.size() as u64);
        let columns = u64::from(columns.start) * size..u64::from(columns.end) * size;
        let row_bytes = self.output.row_bytes() as u64;
        Chunks::of_columns(&region.rows, &columns, self.output.padded_rows(), row_bytes)
    }
}

/// A part of a committed tensor.
pub trait Committed {
    /// Reads the entries of a row from the column `first` on.
    ///
    /// It returns `None` if the part does not hold them, or the row is shorter.
    fn read_from(&self, row: u32, first: u32, to: &mut [i32]) -> Option<()>;
}

impl Committed for Rows<'_> {
    fn read_from(&self, row: u32, first: u32, to: &mut [i32]) -> Option<()> {
        Rows::read_from(self, row, first, to)
    }
}

/// Opened bytes of some columns of a tensor's rows.
#[derive(Clone, Debug)]
pub struct Columns<'a> {
    /// The whole tensor's extent.
    pub extent: Extent,
    /// The chunks that the bytes are of.
    pub chunks: Chunks,
    /// The bytes, whole chunks.
    pub bytes: &'a [u8],
}

impl Committed for Columns<'_> {
    fn read_from(&self, row: u32, first: u32, to: &mut [i32]) -> Option<()> {
        let (size, row_bytes) = (self.extent.dtype.size() as u64, self.extent.row_bytes() as u64);
        let start = u64::from(first) * size;
        let end = start.checked_add((to.len() as u64).checked_mul(size)?)?;
        if end > row_bytes {
            return None;
        }
        let before = u64::from(row) * row_bytes;
        let held = self.chunks.find(&(before + start..before + end))?;
        read_entries(self.extent.dtype, self.bytes.get(held)?, to);
        Some(())
    }
}
