//! What a run claims of an iteration.

use super::error::{Fields, TrainingDecodeError, after_version};
use crate::digest::{IterationLeaf, StateRoot, TraceRoot, derive};
use alloc::vec::Vec;

/// What a run claims of an iteration (spec §19): the state before, a trace, and the
/// state after. Its bytes are `u64 t ‖ before ‖ trace_root ‖ after`.
///
/// A prover publishes the claims of all iterations. They show neither that the
/// trace exists nor that it is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IterationClaim {
    /// The iteration's number, from 0.
    pub t: u64,
    /// The states that the iteration continues.
    pub before: StateRoot,
    /// The iteration's trace.
    pub trace: TraceRoot,
    /// The states that it gives.
    pub after: StateRoot,
}

impl IterationClaim {
    /// The length of a claim's bytes.
    pub const LEN: usize = 8 + 3 * 32;

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(IterationClaim::LEN);
        bytes.extend(self.t.to_le_bytes());
        for hash in [&self.before.0, &self.trace.0, &self.after.0] {
            bytes.extend(hash);
        }
        bytes
    }

    /// Reads the canonical bytes. Every string of [`IterationClaim::LEN`] bytes is
    /// a claim.
    pub fn from_array(bytes: &[u8; IterationClaim::LEN]) -> IterationClaim {
        let mut fields = Fields::of(bytes);
        IterationClaim {
            t: fields.u64(),
            before: StateRoot(fields.next()),
            trace: TraceRoot(fields.next()),
            after: StateRoot(fields.next()),
        }
    }

    /// The claim's leaf in the chain: `H("train iteration", bytes)`.
    pub fn leaf(&self) -> IterationLeaf {
        IterationLeaf(derive!("train iteration", &self.to_bytes()))
    }

    /// The bytes of consecutive claims: `u32 version ‖ claims`.
    pub fn list_to_bytes(claims: &[IterationClaim]) -> Vec<u8> {
        let mut bytes = super::TRAINING_VERSION.to_le_bytes().to_vec();
        claims.iter().for_each(|claim| bytes.extend(claim.to_bytes()));
        bytes
    }

    /// Reads consecutive claims. They take as many bytes as they were read from,
    /// so a caller limits the bytes first. A checker decides whether they are
    /// those of a segment.
    ///
    /// # Errors
    /// [`TrainingDecodeError`].
    pub fn list_from_bytes(bytes: &[u8]) -> Result<Vec<IterationClaim>, TrainingDecodeError> {
        let (claims, rest) = after_version(bytes)?.as_chunks::<{ IterationClaim::LEN }>();
        if !rest.is_empty() {
            let (each, got) = (IterationClaim::LEN, bytes.len());
            return Err(TrainingDecodeError::Claims { each, got });
        }
        Ok(claims.iter().map(IterationClaim::from_array).collect())
    }
}
