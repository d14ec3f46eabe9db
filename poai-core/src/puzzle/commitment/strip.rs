//! The place of a strip in its matrix's BLAKE3 tree.

use crate::params::Params;
use core::ops::Range;

/// The length of a BLAKE3 chunk in bytes.
pub(crate) const CHUNK: u64 = blake3::CHUNK_LEN as u64;

/// A strip, as byte and chunk ranges of its matrix.
///
/// A strip of the puzzle is `t` consecutive rows that start at a multiple of
/// `t`. The ranges determine all lengths of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// The matrix's length in bytes.
    total: u64,
    /// The strip's own bytes.
    start: u64,
    end: u64,
}

impl Strip {
    /// Strip number `index` of a matrix of `rows` rows and `k` columns.
    ///
    /// It is `None` if the strip does not lie in the matrix. The caller has
    /// checked the shape, so `rows` is a multiple of the tile.
    pub fn new(params: &Params, rows: u32, k: u32, index: u32) -> Option<Strip> {
        let tile = params.tile() as u64;
        let first = u64::from(index) * tile;
        if first + tile > u64::from(rows) || k == 0 {
            return None;
        }
        // At most 2^32 rows of 2^32 bytes, so the end of the last row fits u64.
        let total = u64::from(rows).checked_mul(u64::from(k))?;
        let (start, end) = (first * u64::from(k), (first + tile) * u64::from(k));
        Some(Strip { total, start, end })
    }

    /// Consecutive rows of a matrix of `total` rows.
    ///
    /// It is `None` if the range is empty or does not lie in the matrix, or if
    /// rows have no bytes.
    pub fn of_rows(rows: &Range<u32>, total: u32, row_bytes: u64) -> Option<Strip> {
        if rows.start >= rows.end || rows.end > total || row_bytes == 0 {
            return None;
        }
        let bytes = |rows: u32| u64::from(rows).checked_mul(row_bytes);
        Some(Strip { total: bytes(total)?, start: bytes(rows.start)?, end: bytes(rows.end)? })
    }

    /// The chunks that hold the strip, including those that it covers only in
    /// part.
    pub(crate) fn chunks(&self) -> Range<u64> {
        self.start / CHUNK..self.end.div_ceil(CHUNK)
    }

    /// The matrix's length in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The bytes of the matrix that an opening holds, which are whole chunks.
    pub fn opened(&self) -> Range<u64> {
        let chunks = self.chunks();
        chunks.start * CHUNK..(chunks.end * CHUNK).min(self.total)
    }

    /// The range of the strip's own bytes in the opened bytes.
    pub fn own(&self) -> Range<usize> {
        let opened = self.opened().start;
        // Exact: a puzzle's strip is at most 64 rows of 2^17 bytes. A caller
        // that opens more rows has their bytes in memory.
        (self.start - opened) as usize..(self.end - opened) as usize
    }

    /// The number of bytes that an opening holds.
    pub fn opened_len(&self) -> u64 {
        opened_len(core::slice::from_ref(&self.chunks()), self.total)
    }

    /// The number of siblings that an opening holds.
    pub fn siblings(&self) -> u32 {
        count_siblings(core::slice::from_ref(&self.chunks()), self.total)
    }
}

/// The number of bytes in ranges of chunks of a matrix of `total` bytes.
pub(crate) fn opened_len(ranges: &[Range<u64>], total: u64) -> u64 {
    let bytes = |range: &Range<u64>| (range.end * CHUNK).min(total) - range.start * CHUNK;
    ranges.iter().map(bytes).sum()
}

/// The number of maximal subtrees outside ranges of chunks.
pub(crate) fn count_siblings(ranges: &[Range<u64>], total: u64) -> u32 {
    let mut count = 0;
    walk(0..total.div_ceil(CHUNK), ranges, &mut |_| count += 1);
    count
}

/// The chunks of the left and right subtree of a node of at least two chunks.
///
/// The left one has the largest power of two below the node's number of chunks
/// (BLAKE3 §2.1).
pub(crate) fn split(node: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let len = node.end - node.start;
    let left = len.next_power_of_two() / 2;
    (node.start..node.start + left, node.start + left..node.end)
}

/// The position of a tree node relative to opened chunks.
pub(crate) enum Place {
    /// The node shares no chunk with them, so it is a sibling.
    Outside,
    /// All chunks of the node are opened, so it is hashed from the opened
    /// bytes.
    Inside,
    /// Some chunks of the node are opened.
    Across,
}

/// The position of `node` relative to opened ranges of chunks, which are in
/// order and do not touch.
pub(crate) fn place(node: &Range<u64>, opened: &[Range<u64>]) -> Place {
    let first = opened.partition_point(|range| range.end <= node.start);
    match opened.get(first) {
        Some(range) if range.start <= node.start && node.end <= range.end => Place::Inside,
        Some(range) if range.start < node.end => Place::Across,
        _ => Place::Outside,
    }
}

/// Visits every maximal subtree outside the opened chunks, in pre-order from
/// left to right.
///
/// The depth is at most 54 nodes.
pub(crate) fn walk(node: Range<u64>, opened: &[Range<u64>], sibling: &mut dyn FnMut(Range<u64>)) {
    match place(&node, opened) {
        Place::Outside => sibling(node),
        Place::Inside => {}
        Place::Across => {
            let (left, right) = split(&node);
            walk(left, opened, sibling);
            walk(right, opened, sibling);
        }
    }
}
