//! Trees of hashes in the shape of BLAKE3's tree: a node of c ≥ 2 leaves has the
//! largest power of two below c in its left child.
//!
//! Records and iterations are in such trees, which differ in the hash of a node.

use crate::puzzle::commitment::strip::split;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// The hash of a node of two children.
pub(crate) type Merge = fn(&[u8; 32], &[u8; 32]) -> [u8; 32];

/// The root over all leaves; zeros without a leaf.
pub(crate) fn root(leaves: &[[u8; 32]], merge: Merge) -> [u8; 32] {
    node(leaves, 0..leaves.len() as u64, merge)
}

fn node(leaves: &[[u8; 32]], range: Range<u64>, merge: Merge) -> [u8; 32] {
    if range.end - range.start < 2 {
        return leaves.get(range.start as usize).copied().unwrap_or_default();
    }
    let (left, right) = split(&range);
    merge(&node(leaves, left, merge), &node(leaves, right, merge))
}

/// The number of siblings in the path of leaf `index` of `count` leaves.
pub(crate) fn path_len(count: u64, index: u64) -> usize {
    let mut len = 0;
    descend(count, index, |_, _| len += 1);
    len
}

/// The siblings of a leaf, from the root down.
pub(crate) fn path(leaves: &[[u8; 32]], index: u64, merge: Merge) -> Vec<[u8; 32]> {
    let mut siblings = Vec::new();
    let count = leaves.len() as u64;
    descend(count, index, |sibling, _| siblings.push(node(leaves, sibling, merge)));
    siblings
}

/// The paths of some leaves, as [`path`] gives them. Nodes that several paths
/// share are hashed once.
pub(crate) fn paths(
    leaves: &[[u8; 32]],
    indices: impl IntoIterator<Item = u64>,
    merge: Merge,
) -> Vec<Vec<[u8; 32]>> {
    let mut known = BTreeMap::new();
    let path = |index| {
        let mut siblings = Vec::new();
        descend(leaves.len() as u64, index, |sibling, _| {
            siblings.push(known_node(leaves, sibling, merge, &mut known));
        });
        siblings
    };
    indices.into_iter().map(path).collect()
}

/// As [`node`], with the nodes that are known by their ranges.
fn known_node(
    leaves: &[[u8; 32]],
    range: Range<u64>,
    merge: Merge,
    known: &mut BTreeMap<[u64; 2], [u8; 32]>,
) -> [u8; 32] {
    if range.end - range.start < 2 {
        return node(leaves, range, merge);
    }
    let place = [range.start, range.end];
    if let Some(hash) = known.get(&place) {
        return *hash;
    }
    let (left, right) = split(&range);
    let left = known_node(leaves, left, merge, known);
    let hash = merge(&left, &known_node(leaves, right, merge, known));
    known.insert(place, hash);
    hash
}

/// The root to which a leaf and its siblings, from the root down, lead. `None`
/// if the number of siblings is wrong.
pub(crate) fn path_root(
    leaf: [u8; 32],
    count: u64,
    index: u64,
    siblings: &[[u8; 32]],
    merge: Merge,
) -> Option<[u8; 32]> {
    let mut lefts = Vec::new();
    descend(count, index, |_, own_is_left| lefts.push(own_is_left));
    if index >= count || lefts.len() != siblings.len() {
        return None;
    }
    let steps = lefts.iter().zip(siblings).rev();
    Some(steps.fold(
        leaf,
        |own, (&own_is_left, sibling)| {
            if own_is_left { merge(&own, sibling) } else { merge(sibling, &own) }
        },
    ))
}

/// Walks from the root to a leaf and visits, at each level, the sibling's
/// leaves and whether the leaf's own side is the left one.
fn descend(count: u64, index: u64, mut visit: impl FnMut(Range<u64>, bool)) {
    let mut range = 0..count;
    while range.end - range.start > 1 {
        let (left, right) = split(&range);
        let own_is_left = index < left.end;
        let (own, sibling) = if own_is_left { (left, right) } else { (right, left) };
        visit(sibling, own_is_left);
        range = own;
    }
}
