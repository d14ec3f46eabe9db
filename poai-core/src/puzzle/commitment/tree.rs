//! The cached BLAKE3 tree of one matrix.

use super::chunks::Chunks;
use super::opening::{Opening, subtree};
use super::strip::{CHUNK, Strip, count_siblings, walk};
use crate::digest::Root;
use alloc::vec::Vec;
use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};
use core::ops::Range;

/// The number of chunks under one cached leaf.
///
/// It is four times the number that fills the widest SIMD hash, so the other
/// costs of a call are small. The cache is about 1/1024 of the matrix.
const GROUP_CHUNKS: u64 = 64;
const GROUP: usize = (GROUP_CHUNKS * CHUNK) as usize;

/// The cached hash tree of a matrix.
///
/// It holds the root, and the chaining values of the groups of 64 chunks and of
/// all nodes above them. Opening a strip then hashes at most the two groups
/// that the strip covers in part.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Root,
    len: u64,
    /// `levels[0]` holds the groups. Each next level merges pairs and carries
    /// an odd last value up unchanged. This is BLAKE3's tree.
    levels: Vec<Vec<ChainingValue>>,
}

/// The bytes or the strip do not have the committed matrix's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a matrix of {committed} bytes, got {matrix} bytes and a strip of a matrix of {strip}; \
     pass the committed matrix"
)]
#[non_exhaustive]
pub struct LengthError {
    /// The length of the matrix that the tree was built from.
    pub committed: u64,
    /// The length of the bytes that the caller passed.
    pub matrix: u64,
    /// The length of the matrix that the strip was made for.
    pub strip: u64,
}

impl Tree {
    /// The number of bytes under one node of [`Tree::of_groups`].
    pub const GROUP_BYTES: u64 = GROUP as u64;

    /// Commits to a matrix's bytes. Feature `parallel` uses every core.
    pub fn new(bytes: &[u8]) -> Tree {
        let groups = group_values(bytes);
        if let Some(tree) = Tree::of_groups(bytes.len() as u64, groups.clone()) {
            return tree;
        }
        let root = Root(*blake3::hash(bytes).as_bytes());
        Tree { root, len: bytes.len() as u64, levels: alloc::vec![groups] }
    }

    /// The tree of a matrix of `len` bytes whose groups the caller has hashed.
    ///
    /// `groups` holds the chaining value of every [`Tree::GROUP_BYTES`] bytes;
    /// the last group may be shorter. It is `None` if the number of groups does
    /// not fit `len`, or is below two. A matrix of one group is hashed as a
    /// whole.
    pub fn of_groups(len: u64, groups: Vec<ChainingValue>) -> Option<Tree> {
        if groups.len() < 2 || groups.len() as u64 != len.div_ceil(Tree::GROUP_BYTES) {
            return None;
        }
        let (mut levels, mut level) = (Vec::new(), groups);
        while level.len() > 2 {
            let above = level.chunks(2).map(merge_pair).collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        let [left, right] = level.as_slice() else { return None };
        let root = merge_subtrees_root(left, right, Mode::Hash);
        levels.push(level);
        Some(Tree { root: Root(*root.as_bytes()), len, levels })
    }

    /// The commitment, which is plain BLAKE3 of the bytes.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Opens a strip of the committed matrix. The caller passes its bytes
    /// again.
    ///
    /// # Errors
    /// [`LengthError`] if the bytes or the strip belong to a matrix of another
    /// length. Other bytes of the same length give an opening that does not
    /// verify.
    pub fn open(&self, bytes: &[u8], strip: &Strip) -> Result<Opening, LengthError> {
        self.open_ranges(bytes, core::slice::from_ref(&strip.chunks()), strip.total())
    }

    /// Opens chunks of the committed matrix. The caller passes its bytes again.
    ///
    /// # Errors
    /// As [`Tree::open`].
    pub fn open_chunks(&self, bytes: &[u8], chunks: &Chunks) -> Result<Opening, LengthError> {
        self.open_ranges(bytes, chunks.ranges(), chunks.total())
    }

    /// Opens ranges of chunks of a matrix of `strip` bytes.
    fn open_ranges(
        &self,
        bytes: &[u8],
        opened: &[Range<u64>],
        strip: u64,
    ) -> Result<Opening, LengthError> {
        let (committed, matrix) = (self.len, bytes.len() as u64);
        if matrix != committed || strip != committed {
            return Err(LengthError { committed, matrix, strip });
        }
        // Exact: the ranges lie inside a slice.
        let of_range = |range: &Range<u64>| {
            &bytes[(range.start * CHUNK) as usize..(range.end * CHUNK).min(strip) as usize]
        };
        let held = opened.iter().map(of_range).collect::<Vec<_>>().concat();
        let mut siblings = Vec::with_capacity(count_siblings(opened, strip) as usize);
        walk(0..strip.div_ceil(CHUNK), opened, &mut |node| {
            siblings.push(self.node(bytes, node));
        });
        Ok(Opening { bytes: held, siblings })
    }

    /// The chaining value of a node that is not the root.
    ///
    /// The cache holds it for groups and nodes above. Below groups it is
    /// hashed.
    fn node(&self, bytes: &[u8], node: Range<u64>) -> ChainingValue {
        let mut height = (node.end - node.start).next_power_of_two();
        // The last group may be shorter.
        if node.start.is_multiple_of(GROUP_CHUNKS) && node.end * CHUNK >= self.len {
            height = height.max(GROUP_CHUNKS);
        }
        if height < GROUP_CHUNKS {
            let start = (node.start * CHUNK) as usize;
            let end = bytes.len().min((node.end * CHUNK) as usize);
            return subtree(start as u64, &bytes[start..end]);
        }
        let level = (height / GROUP_CHUNKS).trailing_zeros() as usize;
        self.levels[level][(node.start / height) as usize]
    }
}

/// The chaining values of all groups.
fn group_values(bytes: &[u8]) -> Vec<ChainingValue> {
    let value = |(index, group): (usize, &[u8])| subtree((index * GROUP) as u64, group);
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        bytes.par_chunks(GROUP).enumerate().map(value).collect()
    }
    #[cfg(not(feature = "parallel"))]
    {
        bytes.chunks(GROUP).enumerate().map(value).collect()
    }
}

/// The parent of two neighbours. An odd last value is carried up unchanged.
fn merge_pair(pair: &[ChainingValue]) -> ChainingValue {
    match pair {
        [left, right] => merge_subtrees_non_root(left, right, Mode::Hash),
        odd => odd[0],
    }
}
