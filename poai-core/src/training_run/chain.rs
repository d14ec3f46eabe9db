//! The tree over the claims of consecutive iterations.

use crate::digest::{ChainRoot, IterationLeaf, derive};
use crate::hash_tree;
use alloc::vec::Vec;

fn merge(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    derive!("train node", left, right)
}

fn hashes(leaves: &[IterationLeaf]) -> Vec<[u8; 32]> {
    leaves.iter().map(|leaf| leaf.0).collect()
}

/// The root of the tree over leaves, in the shape of BLAKE3's tree with nodes
/// `H("train node", left ‖ right)` (spec §19); zeros without a leaf.
pub fn chain_root(leaves: &[IterationLeaf]) -> ChainRoot {
    ChainRoot(hash_tree::root(&hashes(leaves), merge))
}

/// The siblings of the leaf at a place, from the root down.
pub fn chain_path(leaves: &[IterationLeaf], place: u64) -> Vec<[u8; 32]> {
    hash_tree::path(&hashes(leaves), place, merge)
}

/// The number of siblings in the path of the leaf at `place` of `count`.
pub fn chain_path_len(count: u64, place: u64) -> usize {
    hash_tree::path_len(count, place)
}

/// The root to which the leaf at `place` of `count` and its siblings lead. `None`
/// if there is no such place, or if the number of siblings is wrong.
pub fn chain_path_root(
    leaf: &IterationLeaf,
    count: u64,
    place: u64,
    siblings: &[[u8; 32]],
) -> Option<ChainRoot> {
    hash_tree::path_root(leaf.0, count, place, siblings, merge).map(ChainRoot)
}

/// Hashes a chain leaf by leaf, in memory of a hash for each bit of their number.
#[derive(Clone, Debug, Default)]
pub struct ChainBuilder {
    count: u64,
    /// The roots of full subtrees, the largest first: one for each bit that is set
    /// in the count.
    full: Vec<[u8; 32]>,
}

impl ChainBuilder {
    /// A chain without leaves.
    pub fn new() -> ChainBuilder {
        ChainBuilder::default()
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: IterationLeaf) {
        let mut own = leaf.0;
        // Each bit that a carry clears is a subtree of the same size.
        for _ in 0..self.count.trailing_ones() {
            let Some(left) = self.full.pop() else { break };
            own = merge(&left, &own);
        }
        self.full.push(own);
        self.count += 1;
    }

    /// The number of leaves.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are no leaves.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The root over the leaves so far, as [`chain_root`] gives it.
    pub fn root(&self) -> ChainRoot {
        let root = self.full.iter().rev().copied().reduce(|right, left| merge(&left, &right));
        ChainRoot(root.unwrap_or_default())
    }
}
