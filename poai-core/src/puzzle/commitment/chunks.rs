//! Chunks of a matrix that one opening holds for several ranges of bytes.

use super::strip::{CHUNK, count_siblings, opened_len};
use alloc::vec::Vec;
use core::ops::Range;

/// The chunks that hold the same columns of consecutive rows (spec §14).
///
/// One opening holds all of them. It has the bytes of the chunks in order, and
/// the siblings of all together, so the rows share the upper levels of the tree.
/// The chunks of whole rows are those of their [`super::Strip`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// The matrix's length in bytes.
    total: u64,
    /// Ranges of chunks, in order. No two touch.
    ranges: Vec<Range<u64>>,
}

impl Chunks {
    /// The chunks that hold some bytes of each of consecutive rows, of a matrix
    /// of `total` rows of `row_bytes` bytes.
    ///
    /// It is `None` if a range is empty or does not lie in the matrix or the
    /// row. It allocates at most 16 bytes a row.
    pub fn of_columns(
        rows: &Range<u32>,
        columns: &Range<u64>,
        total: u32,
        row_bytes: u64,
    ) -> Option<Chunks> {
        let empty = rows.start >= rows.end || columns.start >= columns.end;
        if empty || rows.end > total || columns.end > row_bytes {
            return None;
        }
        let total = u64::from(total).checked_mul(row_bytes)?;
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for row in rows.clone() {
            // Exact: the row ends within the matrix.
            let first = u64::from(row) * row_bytes;
            let start = (first + columns.start) / CHUNK;
            let end = (first + columns.end).div_ceil(CHUNK);
            match ranges.last_mut() {
                Some(last) if start <= last.end => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        Some(Chunks { total, ranges })
    }

    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// The matrix's length in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The number of bytes that the opening holds.
    pub fn opened_len(&self) -> u64 {
        opened_len(&self.ranges, self.total)
    }

    /// The number of siblings that the opening holds.
    pub fn siblings(&self) -> u32 {
        count_siblings(&self.ranges, self.total)
    }

    /// Where some bytes of the matrix lie in the opened bytes, or `None` if the
    /// opening does not hold all of them.
    pub fn find(&self, bytes: &Range<u64>) -> Option<Range<usize>> {
        let mut before = 0;
        for range in &self.ranges {
            let opened = range.start * CHUNK..(range.end * CHUNK).min(self.total);
            if opened.start <= bytes.start && bytes.end <= opened.end {
                let at = |offset: u64| usize::try_from(before + offset - opened.start).ok();
                return (bytes.start <= bytes.end).then_some(at(bytes.start)?..at(bytes.end)?);
            }
            before += opened.end - opened.start;
        }
        None
    }
}
