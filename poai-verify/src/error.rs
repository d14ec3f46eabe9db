//! Errors of malformed bytes and invalid proofs.
//!
//! They are different errors, because a node treats them differently. Malformed
//! bytes are not a proof under any challenge. An invalid proof is well-formed
//! and false.

use poai_core::puzzle::commitment::opening::OpeningError;
use poai_core::puzzle::proof::DecodeError;
use poai_core::puzzle::statement::Dimension;
use poai_core::{Difficulty, Side, Ticket};

/// Why a proof was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The bytes are not a proof under the node's rules.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The proof is false.
    #[error("invalid: {0}")]
    Invalid(#[from] Invalid),
    /// A node's memory of failures rejects the proof, and nothing was
    /// recomputed. The proof may still be valid if another sender sends it.
    #[error("refused: expected a new transcript, got one that is false or failed from this sender")]
    Known,
}

/// Why bytes are not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The length, the shape or a tile index is wrong.
    #[error(transparent)]
    Encoding(#[from] DecodeError),
    /// A dimension is outside the range that the rules permit.
    #[error("expected {dimension} in {min}..={max}, got {value}")]
    Limit {
        /// The dimension.
        dimension: Dimension,
        /// Its value.
        value: u32,
        /// The least permitted value.
        min: u32,
        /// The largest permitted value.
        max: u32,
    },
    /// The difficulty requires fewer MACs than the rules permit.
    #[error("expected a difficulty of at least {min}, got {difficulty}")]
    Difficulty {
        /// The given difficulty.
        difficulty: Difficulty,
        /// The least permitted difficulty.
        min: Difficulty,
    },
    /// An opened byte is not a clean entry.
    #[error("opening of {side}: byte {offset} = {value}, expected an entry in -64..=63")]
    Entry {
        /// The side of the opening.
        side: Side,
        /// Index among the opened bytes, those of neighbours included.
        offset: usize,
        /// The byte's value.
        value: i8,
    },
}

/// Why a well-formed proof is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The claimed transcript's ticket does not win.
    #[error("expected a ticket that wins at difficulty {difficulty}, got {ticket}")]
    Target {
        /// The ticket of the claimed transcript.
        ticket: Ticket,
        /// The difficulty that the ticket was compared with.
        difficulty: Difficulty,
    },
    /// An opening does not lead to its root.
    #[error("opening of {side}: {source}")]
    Opening {
        /// The side of the opening.
        side: Side,
        /// The opening's error.
        source: OpeningError,
    },
    /// The tile's transcript differs from the claimed one.
    #[error("expected {recomputed:#010x} as transcript word {word}, got {claimed:#010x}")]
    Transcript {
        /// The first word that differs.
        word: usize,
        /// The claimed word.
        claimed: u32,
        /// The recomputed word.
        recomputed: u32,
    },
}
