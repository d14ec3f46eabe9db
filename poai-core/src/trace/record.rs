//! Records: one for each value of a run, and the tree over all of them.

use crate::digest::Root;
use crate::digest::derive;
use crate::hash_tree;
use crate::program::{Extent, Program, RunShape, ValueId};
use alloc::vec::Vec;
use core::ops::Range;

/// A trace's entry for one value. The records of the program's inputs come
/// first, then one record for every step.
///
/// Its bytes are `value ‖ root ‖ u32 rows ‖ u32 columns ‖ u8 dtype ‖ u64 macs ‖
/// u8 count ‖ input roots`: 54 bytes, plus 32 for every input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record {
    /// The value. The record's place in the tree binds it.
    pub value: ValueId,
    /// The commitment of the value's padded bytes. It does not show that they
    /// are what the step computes.
    pub root: Root,
    /// The true extent; follows from the program and the run.
    pub extent: Extent,
    /// Multiply-accumulates of the step; follows from the program and the run.
    pub macs: u64,
    /// The commitments of what the step read: the roots in its producers'
    /// records.
    pub inputs: Vec<Root>,
}

/// A record's bytes as a prover published them. They may not be a record of the
/// run: [`Record::from_bytes`] decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordBytes(pub Vec<u8>);

impl AsRef<[u8]> for RecordBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Why a record cannot belong to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record has too few or too many bytes.
    #[error("expected a record of the program's length, got another length")]
    Length,
    /// Its value, extent, MACs or number of inputs are not the program's.
    #[error("the record of value {} differs from the program's {what}", value.0)]
    Differs {
        /// The value that the record should be of.
        value: ValueId,
        /// What differs.
        what: &'static str,
    },
    /// An input's commitment is not its producer's.
    #[error("expected the producer's root as input {input} of value {}, got another root", value.0)]
    Wiring {
        /// The value.
        value: ValueId,
        /// Which input.
        input: usize,
    },
}

impl Record {
    /// The range of a record's bytes that holds the root.
    pub const ROOT: Range<usize> = 4..36;

    /// The length in bytes of a record with `inputs` inputs.
    pub fn len(inputs: usize) -> usize {
        54 + 32 * inputs
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Record::len(self.inputs.len()));
        bytes.extend(self.value.0.to_le_bytes());
        bytes.extend(self.root.as_bytes());
        bytes.extend(self.extent.rows.to_le_bytes());
        bytes.extend(self.extent.columns.to_le_bytes());
        bytes.push(self.extent.dtype.tag());
        bytes.extend(self.macs.to_le_bytes());
        // Exact: a step has at most 16 inputs.
        bytes.push(self.inputs.len() as u8);
        for input in &self.inputs {
            bytes.extend(input.as_bytes());
        }
        bytes
    }

    /// Reads a record's roots from bytes. The other fields must be what the
    /// program and the run imply.
    ///
    /// # Errors
    /// [`RecordError::Length`], or [`RecordError::Differs`] naming the field.
    pub fn from_bytes(
        bytes: &[u8],
        program: &Program,
        extents: &[Extent],
        run: &RunShape,
        value: ValueId,
    ) -> Result<Record, RecordError> {
        let extent = extents.get(value.0 as usize).copied();
        let extent = extent.ok_or(RecordError::Differs { value, what: "values" })?;
        let count = program.step_of(value).map_or(0, |step| step.inputs.len());
        if bytes.len() != Record::len(count) {
            return Err(RecordError::Length);
        }
        let root = |at: usize| -> Result<Root, RecordError> {
            let bytes = bytes.get(at..at + 32).and_then(|bytes| bytes.try_into().ok());
            Ok(Root(bytes.ok_or(RecordError::Length)?))
        };
        let inputs = (0..count).map(|input| root(54 + 32 * input)).collect::<Result<_, _>>()?;
        let macs = program.macs(value, run);
        let record = Record { value, root: root(4)?, extent, macs, inputs };
        let expected = record.to_bytes();
        let fields = [("value", 0..4), ("extent", 36..45), ("MACs", 45..53), ("inputs", 53..54)];
        for (what, range) in fields {
            if expected.get(range.clone()) != bytes.get(range) {
                return Err(RecordError::Differs { value, what });
            }
        }
        Ok(record)
    }

    /// Checks that the record's inputs are the roots in their producers'
    /// records.
    ///
    /// # Errors
    /// [`RecordError::Wiring`].
    pub fn check_wiring<'a>(
        &self,
        producers: impl IntoIterator<Item = &'a Root>,
    ) -> Result<(), RecordError> {
        let pairs = self.inputs.iter().zip(producers).enumerate();
        for (input, (said, made)) in pairs {
            if said != made {
                return Err(RecordError::Wiring { value: self.value, input });
            }
        }
        Ok(())
    }

    /// The leaf of the record in the tree.
    pub fn leaf(bytes: &[u8]) -> [u8; 32] {
        derive!("trace record", bytes)
    }
}

/// The root of the tree over all leaves, in the shape of BLAKE3's tree. A node
/// of c ≥ 2 leaves has the largest power of two below c in its left child. Its
/// hash is `H("trace node", left ‖ right)`.
pub fn records_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    hash_tree::root(leaves, merge)
}

fn merge(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    derive!("trace node", left, right)
}

/// The number of siblings in the path of leaf `index` of `count` leaves.
pub fn path_len(count: u64, index: u64) -> usize {
    hash_tree::path_len(count, index)
}

/// The siblings of a leaf, from the root down.
pub fn path(leaves: &[[u8; 32]], index: u64) -> Vec<[u8; 32]> {
    hash_tree::path(leaves, index, merge)
}

/// The paths of some leaves, as [`path`] gives them. Nodes that several paths
/// share are hashed once.
pub fn paths(leaves: &[[u8; 32]], indices: impl IntoIterator<Item = u64>) -> Vec<Vec<[u8; 32]>> {
    hash_tree::paths(leaves, indices, merge)
}

/// The root to which a leaf and its siblings, from the root down, lead. `None`
/// if the number of siblings is wrong.
pub fn path_root(
    leaf: [u8; 32],
    count: u64,
    index: u64,
    siblings: &[[u8; 32]],
) -> Option<[u8; 32]> {
    hash_tree::path_root(leaf, count, index, siblings, merge)
}
