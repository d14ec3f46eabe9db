//! Datasets, and the roots of states.

use crate::digest::{DatasetRoot, Root, StateRoot};
use alloc::vec::Vec;

/// What names a dataset: the number of its samples, and the commitments of the
/// tensors that have a row for each (spec §19).
///
/// The tensors are the inputs of the program after t, in order. A tensor that is a
/// constant of the program is not among them, because the program's id binds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DatasetRoots {
    /// The number of samples.
    pub rows: u64,
    /// The commitments of the tensors.
    pub roots: Vec<Root>,
}

impl DatasetRoots {
    /// The dataset's identifier: `H("train dataset", u64 rows ‖ roots)`.
    pub fn root(&self) -> DatasetRoot {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 train dataset");
        hasher.update(&self.rows.to_le_bytes());
        for root in &self.roots {
            hasher.update(root.as_bytes());
        }
        DatasetRoot(*hasher.finalize().as_bytes())
    }
}

/// The root of all states before or after an iteration: `H("train state", roots)`,
/// over the commitments of the states in the order of the program's inputs (spec
/// §19).
pub fn state_root(roots: &[Root]) -> StateRoot {
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 train state");
    for root in roots {
        hasher.update(root.as_bytes());
    }
    StateRoot(*hasher.finalize().as_bytes())
}
