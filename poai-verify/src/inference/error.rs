//! Malformed and false proofs: different errors, because a node treats them
//! differently.

use poai_core::inference::{InferenceDecodeError, VerifyingKeyDigest};

/// Why a proof of inference was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferenceError {
    /// It can't be checked with this key, whatever it is about.
    #[error("malformed: {0}")]
    Malformed(#[from] InferenceMalformed),
    /// It was checked, and what it says was not shown.
    #[error("false: {0}")]
    False(#[from] False),
}

/// Why there is nothing to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferenceMalformed {
    /// The bytes are no proof of inference.
    #[error(transparent)]
    Encoding(#[from] InferenceDecodeError),
    /// The proof is another key's.
    #[error("the proof is of the key {got}, this verifier has {expected}")]
    Key {
        /// The verifier's.
        expected: VerifyingKeyDigest,
        /// The one that the proof names.
        got: VerifyingKeyDigest,
    },
    /// The key takes another number of signals.
    #[error("{got} signals, where the key takes {expected}")]
    Signals {
        /// The key's.
        expected: usize,
        /// What came.
        got: usize,
    },
}

/// Why a well-formed proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum False {
    /// The first signal is not of the program, job, prover and MACs that were
    /// asked for.
    #[error("the proof is bound to another program, job, prover or number of MACs")]
    Binding,
    /// The pairing equation does not hold.
    #[error("the pairing equation does not hold")]
    Pairing,
}
