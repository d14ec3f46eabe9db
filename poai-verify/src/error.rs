//! Malformed bytes and invalid proofs: different errors, because a node treats
//! them differently. Malformed bytes are no proof of anything under any
//! challenge; an invalid proof is well-formed and false.

use poai_core::puzzle::commitment::opening::OpeningError;
use poai_core::puzzle::proof::DecodeError;
use poai_core::puzzle::statement::Dimension;
use poai_core::{Difficulty, Side, Ticket};

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The bytes are no proof under the node's rules.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The proof is false.
    #[error("invalid: {0}")]
    Invalid(#[from] Invalid),
    /// A node's memory of failures refuses it; nothing was recomputed. It may
    /// still hold, coming from somebody else.
    #[error("refused: this transcript is known to be false, or has failed from this sender before")]
    Known,
}

/// Why bytes are no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Length, shape or tile index.
    #[error(transparent)]
    Encoding(#[from] DecodeError),
    /// A dimension lies outside what the rules permit.
    #[error("{dimension} = {value} is outside {min}..={max}")]
    Limit {
        /// The dimension.
        dimension: Dimension,
        /// Its value.
        value: u32,
        /// The least permitted.
        min: u32,
        /// The largest permitted.
        max: u32,
    },
    /// The block is asked for fewer MACs than the rules permit.
    #[error("difficulty {difficulty} is below the least permitted, {min}")]
    Difficulty {
        /// The difficulty given.
        difficulty: Difficulty,
        /// The least one.
        min: Difficulty,
    },
    /// An opened byte is no clean entry.
    #[error("opening of {side}: byte {offset} = {value} is no entry in -64..=63")]
    Entry {
        /// Which opening.
        side: Side,
        /// Which of the opened bytes, the neighbours' included.
        offset: usize,
        /// Its value.
        value: i8,
    },
}

/// Why a well-formed proof is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The claimed transcript's ticket does not win.
    #[error("ticket {ticket} does not win at difficulty {difficulty}")]
    Target {
        /// The ticket of the claimed transcript.
        ticket: Ticket,
        /// The difficulty it was held against.
        difficulty: Difficulty,
    },
    /// An opening does not lead to its root.
    #[error("opening of {side}: {source}")]
    Opening {
        /// Which opening.
        side: Side,
        /// What is wrong with it.
        source: OpeningError,
    },
    /// The tile's transcript is not the claimed one.
    #[error("transcript word {word}: claimed {claimed:#010x}, recomputed {recomputed:#010x}")]
    Transcript {
        /// The first word that differs.
        word: usize,
        /// The claimed word.
        claimed: u32,
        /// The recomputed word.
        recomputed: u32,
    },
}
