//! The opening of a strip or of chunks, and its check against a root.

use super::chunks::Chunks;
use super::strip::{CHUNK, Place, Strip, count_siblings, opened_len, place, split};
use crate::digest::Root;
use alloc::vec::Vec;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use core::ops::Range;

/// The opening of a strip or of [`Chunks`].
///
/// It holds the strip's bytes (whole chunks) and the chaining value of every
/// maximal subtree outside them, in pre-order.
///
/// It binds the bytes to a root under a given number of rows and columns. It
/// does not bind these numbers, so one opening may fit several shapes. The
/// seeds bind the shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Opening {
    /// The opened bytes of the matrix.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::hex_or_bytes"))]
    pub bytes: Vec<u8>,
    /// The siblings, in pre-order.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::hex_or_bytes::chaining_values"))]
    pub siblings: Vec<ChainingValue>,
}

impl Opening {
    /// Borrows the opening.
    pub fn view(&self) -> OpeningView<'_> {
        OpeningView { bytes: &self.bytes, siblings: &self.siblings }
    }
}

/// A borrowed [`Opening`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningView<'a> {
    /// The opened bytes of the matrix.
    pub bytes: &'a [u8],
    /// The siblings, in pre-order.
    pub siblings: &'a [ChainingValue],
}

/// Why an opening does not prove its bytes under a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// The opening has the wrong number of bytes.
    #[error("expected an opening of {expected} bytes, got {got}")]
    Bytes {
        /// The number of bytes that the shape implies.
        expected: u64,
        /// The number of bytes in the opening.
        got: u64,
    },
    /// The opening has the wrong number of siblings.
    #[error("expected an opening of {expected} siblings, got {got}")]
    Siblings {
        /// The number of siblings that the shape implies.
        expected: u64,
        /// The number of siblings in the opening.
        got: u64,
    },
    /// The bytes and siblings hash to another root.
    #[error("expected bytes and siblings that hash to the root, got another hash")]
    Root,
}

impl OpeningView<'_> {
    /// Checks that the bytes are those of `strip` under `root`.
    ///
    /// The check uses every byte and every sibling of the opening.
    ///
    /// # Errors
    /// [`OpeningError`] if the number of bytes or siblings, or the root, is
    /// wrong.
    pub fn check(&self, strip: &Strip, root: &Root) -> Result<(), OpeningError> {
        self.check_ranges(core::slice::from_ref(&strip.chunks()), strip.total(), root)
    }

    /// Checks that the bytes are those of `chunks` under `root`.
    ///
    /// The check uses every byte and every sibling of the opening.
    ///
    /// # Errors
    /// As [`OpeningView::check`].
    pub fn check_chunks(&self, chunks: &Chunks, root: &Root) -> Result<(), OpeningError> {
        self.check_ranges(chunks.ranges(), chunks.total(), root)
    }

    fn check_ranges(
        &self,
        opened: &[Range<u64>],
        total: u64,
        root: &Root,
    ) -> Result<(), OpeningError> {
        let (expected, got) = (opened_len(opened, total), self.bytes.len() as u64);
        if expected != got {
            return Err(OpeningError::Bytes { expected, got });
        }
        let expected = u64::from(count_siblings(opened, total));
        let got = self.siblings.len() as u64;
        if expected != got {
            return Err(OpeningError::Siblings { expected, got });
        }
        match self.root(opened, total) {
            Some(found) if found == *root => Ok(()),
            _ => Err(OpeningError::Root),
        }
    }

    /// The root that the bytes and siblings hash to, or `None` if there are too
    /// few.
    fn root(&self, opened: &[Range<u64>], total: u64) -> Option<Root> {
        let whole = 0..total.div_ceil(CHUNK);
        if let Place::Inside = place(&whole, opened) {
            return Some(Root(*blake3::hash(self.bytes).as_bytes()));
        }
        let siblings = self.siblings.iter();
        let mut rebuild = Rebuild { bytes: self.bytes, total, siblings, opened };
        let (left, right) = split(&whole);
        let left = rebuild.node(left)?;
        let right = rebuild.node(right)?;
        Some(Root(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
    }
}

/// The walk that hashes an opening back to its root.
struct Rebuild<'a> {
    /// The opened bytes that are not hashed yet.
    bytes: &'a [u8],
    /// The matrix's length in bytes.
    total: u64,
    siblings: core::slice::Iter<'a, ChainingValue>,
    opened: &'a [Range<u64>],
}

impl Rebuild<'_> {
    /// The chaining value of a node below the root.
    fn node(&mut self, node: Range<u64>) -> Option<ChainingValue> {
        match place(&node, self.opened) {
            Place::Outside => self.siblings.next().copied(),
            Place::Inside => {
                // Nodes come in order, so the next bytes are this one's.
                let start = node.start * CHUNK;
                let len = (node.end * CHUNK).min(self.total).checked_sub(start)?;
                let (bytes, rest) = self.bytes.split_at_checked(usize::try_from(len).ok()?)?;
                self.bytes = rest;
                (!bytes.is_empty()).then(|| subtree(start, bytes))
            }
            Place::Across => {
                let (left, right) = split(&node);
                let left = self.node(left)?;
                let right = self.node(right)?;
                Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
            }
        }
    }
}

/// The chaining value of a maximal subtree, from its bytes.
///
/// The bytes start at `offset` of the matrix and are not empty.
pub(crate) fn subtree(offset: u64, bytes: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(bytes);
    hasher.finalize_non_root()
}
