//! Where a strip lies in its matrix's BLAKE3 tree.

use crate::params::Params;
use core::ops::Range;

/// The length of a BLAKE3 chunk in bytes.
pub(crate) const CHUNK: u64 = blake3::CHUNK_LEN as u64;

/// A strip, `t` consecutive rows starting at a multiple of `t`, as byte and
/// chunk ranges of its matrix. All lengths of an opening follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// The matrix's length in bytes.
    total: u64,
    /// The strip's own bytes.
    start: u64,
    end: u64,
}

impl Strip {
    /// Strip number `index` of a matrix of `rows` rows and `k` columns, or
    /// `None` where it does not lie in the matrix.
    ///
    /// `rows` is a multiple of the tile: a caller has checked the shape.
    pub fn new(params: &Params, rows: u32, k: u32, index: u32) -> Option<Strip> {
        let tile = params.tile() as u64;
        let first = u64::from(index) * tile;
        if first + tile > u64::from(rows) || k == 0 {
            return None;
        }
        // At most 2^32 rows of 2^32 bytes: the last one ends within u64.
        let total = u64::from(rows).checked_mul(u64::from(k))?;
        let (start, end) = (first * u64::from(k), (first + tile) * u64::from(k));
        Some(Strip { total, start, end })
    }

    /// Some consecutive rows of a matrix of `total` rows, or `None` where they
    /// are none or do not lie in it.
    pub fn of_rows(rows: &Range<u32>, total: u32, row_bytes: u64) -> Option<Strip> {
        if rows.start >= rows.end || rows.end > total || row_bytes == 0 {
            return None;
        }
        let bytes = |rows: u32| u64::from(rows).checked_mul(row_bytes);
        Some(Strip { total: bytes(total)?, start: bytes(rows.start)?, end: bytes(rows.end)? })
    }

    /// The chunks that hold the strip, those it covers only in part included.
    pub(crate) fn chunks(&self) -> Range<u64> {
        self.start / CHUNK..self.end.div_ceil(CHUNK)
    }

    /// The chunks of the whole matrix.
    pub(crate) fn all_chunks(&self) -> Range<u64> {
        0..self.total.div_ceil(CHUNK)
    }

    /// The matrix's length in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Which bytes of the matrix an opening carries: whole chunks.
    pub fn opened(&self) -> Range<u64> {
        let chunks = self.chunks();
        chunks.start * CHUNK..(chunks.end * CHUNK).min(self.total)
    }

    /// Which of the opened bytes are the strip's own.
    pub fn own(&self) -> Range<usize> {
        let opened = self.opened().start;
        // A puzzle's strip is at most 64 rows of 2^17 bytes; whoever opens more
        // rows holds their bytes.
        (self.start - opened) as usize..(self.end - opened) as usize
    }

    /// How many bytes an opening carries.
    pub fn opened_len(&self) -> u64 {
        let opened = self.opened();
        opened.end - opened.start
    }

    /// How many siblings an opening carries.
    pub fn siblings(&self) -> u32 {
        let strip = self.chunks();
        let mut count = 0;
        walk(self.all_chunks(), &strip, &mut |_| count += 1);
        count
    }
}

/// The chunks of the left and right subtree of a node of two chunks or more:
/// the left one is the largest power of two below the whole (BLAKE3 §2.1).
pub(crate) fn split(node: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let len = node.end - node.start;
    let left = len.next_power_of_two() / 2;
    (node.start..node.start + left, node.start + left..node.end)
}

/// How a tree node lies to a strip's chunks.
pub(crate) enum Place {
    /// It shares no chunk: a sibling.
    Outside,
    /// It shares every chunk: hashed from the opened bytes.
    Inside,
    /// It shares some.
    Across,
}

/// How `node` lies to the chunks of a strip.
pub(crate) fn place(node: &Range<u64>, strip: &Range<u64>) -> Place {
    if node.end <= strip.start || strip.end <= node.start {
        Place::Outside
    } else if strip.start <= node.start && node.end <= strip.end {
        Place::Inside
    } else {
        Place::Across
    }
}

/// Visits every maximal subtree wholly outside the strip, in pre-order, left
/// to right. The depth is at most 54 nodes.
pub(crate) fn walk(node: Range<u64>, strip: &Range<u64>, sibling: &mut dyn FnMut(Range<u64>)) {
    match place(&node, strip) {
        Place::Outside => sibling(node),
        Place::Inside => {}
        Place::Across => {
            let (left, right) = split(&node);
            walk(left, strip, sibling);
            walk(right, strip, sibling);
        }
    }
}
