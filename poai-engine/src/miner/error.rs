//! Why mining failed, from preparing operands to making a proof.

use super::Found;
use crate::backend::{BackendError, ChooseError, Unsupported, Winner};
use crate::operand::OperandError;
use poai_core::params::{BLOCK_K_MAX, BLOCK_K_MIN, Params};
use poai_core::puzzle::commitment::tree::LengthError;
use poai_core::puzzle::statement::Side;

/// Why a product was not mined completely, or a winner not proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MineError {
    /// The backend does not support the miner's parameters.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A matrix is not a valid operand.
    #[error(transparent)]
    Operand(#[from] OperandError),
    /// No backend was chosen.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// No block accepts a product of this k.
    #[error(
        "expected k of {BLOCK_K_MIN} to {BLOCK_K_MAX}, got {k}; pad a smaller k with zeros, split a \
         larger one, or mine with parameters for research"
    )]
    Depth {
        /// The matrix's columns.
        k: usize,
    },
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// An operand was made for another rank or tile than the miner's.
    #[error(
        "expected an operand for {expected:?}, got one for {got:?}; make it with the miner's params"
    )]
    Params {
        /// The miner's parameters.
        expected: Params,
        /// The operand's parameters.
        got: Params,
    },
    /// There is not enough memory for the product.
    #[error(
        "expected memory for a product of {entries} entries, got less; split the product or free \
         memory"
    )]
    Memory {
        /// m·n.
        entries: u64,
    },
    /// An operand was given for the wrong side.
    #[error(
        "expected an operand of side {expected}, got one of side {got}; pass weights to a round, \
         and activations to mining"
    )]
    Side {
        /// The side that is required.
        expected: Side,
        /// The operand's side.
        got: Side,
    },
    /// A and Bᵀ have different numbers of columns.
    #[error("expected A with the {b} columns of Bᵀ, got {a}; pass matrices of one k")]
    Inner {
        /// Columns of A.
        a: u32,
        /// Columns of Bᵀ.
        b: u32,
    },
    /// The caller cancelled. The winners so far are kept.
    #[error("cancelled after {} tickets", found.drawn())]
    Cancelled {
        /// The winners so far. Their proofs are as valid as any others.
        found: Box<Found>,
    },
    /// The winner to prove is not one of the winners kept.
    #[error("expected a kept winner of this product, got tile {}; pass one of its winners", winner.tile)]
    Winner {
        /// The winner.
        winner: Winner,
    },
    /// The operand and its commitment do not match.
    #[error(transparent)]
    Length(#[from] LengthError),
}
