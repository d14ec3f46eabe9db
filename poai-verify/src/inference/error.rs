//! Errors of malformed and false inference proofs.
//!
//! They are different errors, because a node treats them differently.

use poai_core::inference::{InferenceDecodeError, VerifyingKeyDigest};

/// Why an inference proof was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// The bytes are not a proof, or have another number of signals than the key.
    #[error("malformed: {0}")]
    Malformed(#[from] InferenceMalformed),
    /// The proof is well formed, and does not show its statement under this key.
    #[error("false: {0}")]
    False(#[from] False),
}

/// Why a proof cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceMalformed {
    /// The bytes are not an inference proof.
    #[error(transparent)]
    Encoding(#[from] InferenceDecodeError),
    /// The proof has another number of signals than the key.
    #[error("expected {expected} signals for this key, got {got}")]
    Signals {
        /// The key's number of signals.
        expected: usize,
        /// The proof's number of signals.
        got: usize,
    },
}

/// Why a well-formed proof is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum False {
    /// The proof is for another key.
    #[error("expected a proof of the key {expected}, got one of {got}")]
    Key {
        /// The digest of the verifier's key.
        expected: VerifyingKeyDigest,
        /// The digest of the key that the proof names.
        got: VerifyingKeyDigest,
    },
    /// The first signal does not bind the program, job, prover and MACs that
    /// the caller expects.
    #[error("expected a proof of this program, job, prover and MACs, got another binding")]
    Binding,
    /// The pairing equation does not hold.
    #[error("the pairing equation does not hold")]
    Pairing,
}
