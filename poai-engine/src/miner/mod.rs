//! The miner: computes a wanted product and draws a ticket from each of its
//! tiles.
//!
//! 1. [`Miner::weights`] and [`Miner::activations`] check a matrix and commit to
//!    it, once per matrix.
//! 2. [`Miner::round`] fixes the challenge and side B, and noises B once.
//! 3. [`Round::mine`] multiplies one A. It always returns the exact product,
//!    and the winning tiles. [`Round::search`] only draws tickets, and can stop
//!    early.
//! 4. [`Mined::proof`] proves the best winner, and [`Mined::prove`] any of them.
//!
//! Another nonce means another challenge and so another product. The caller
//! owns that loop.

mod error;
mod found;
mod options;
mod round;

pub use error::MineError;
pub use found::{Found, Mined};
pub use options::{Keep, MineOptions};
pub use round::Round;

use crate::backend::{Backend, Prepared};
use crate::operand::{Operand, Split};
use ndarray::Array2;
use poai_core::digest::Challenge;
use poai_core::params::{BLOCK_K_MAX, BLOCK_K_MIN, Params};
use poai_core::puzzle::statement::{Shape, Side};
use std::sync::Arc;

/// A backend and the parameters that it mines under. Cloning shares the
/// backend.
///
/// ```
/// use poai_core::{Challenge, Difficulty};
/// use poai_engine::{Cpu, MineError, Miner, ndarray::Array2};
///
/// let miner = Miner::new(std::sync::Arc::new(Cpu::new()));
/// let weights = miner.weights(Array2::from_elem((32, 1024), 3))?;
/// let activations = miner.activations(Array2::from_elem((64, 1024), 2))?;
/// let mined = miner.round(&Challenge([7; 32]), &weights)?.mine(&activations, Difficulty::ONE)?;
/// assert_eq!(mined.product[[63, 31]], 6 * 1024);
/// assert!(mined.proof().is_some());
/// # Ok::<(), MineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Miner {
    params: Params,
    backend: Arc<dyn Backend>,
}

impl Miner {
    /// A miner of blocks, with [`Params::CONSENSUS`], which every backend
    /// supports.
    pub fn new(backend: Arc<dyn Backend>) -> Miner {
        Miner { params: Params::CONSENSUS, backend }
    }

    /// A miner with other parameters, for research.
    ///
    /// # Errors
    /// [`MineError::Unsupported`] if the backend does not support the
    /// parameters.
    pub fn with_params(params: Params, backend: Arc<dyn Backend>) -> Result<Miner, MineError> {
        backend.supports(&params)?;
        Ok(Miner { params, backend })
    }

    /// Rank and tile.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The backend.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Checks weights and commits to them. They are the right operand
    /// transposed, Bᵀ (n×k), with entries from -64 to 63. n has to be a multiple
    /// of the tile, and k of the rank. A block accepts k from 1024 to 16384
    /// only. The result serves any number of challenges.
    ///
    /// # Errors
    /// - [`MineError::Depth`] if no block accepts the k.
    /// - [`MineError::Operand`] names the broken bound, and the entry that broke
    ///   it; and any error of the backend.
    pub fn weights(&self, weights: Array2<i8>) -> Result<Prepared, MineError> {
        self.check_depth(weights.ncols())?;
        self.prepare(Operand::new(&self.params, Side::B, weights)?)
    }

    /// Checks activations and commits to them. They are the left operand, A
    /// (m×k), under the same bounds as [`Miner::weights`].
    ///
    /// # Errors
    /// As for [`Miner::weights`].
    pub fn activations(&self, activations: Array2<i8>) -> Result<Prepared, MineError> {
        self.check_depth(activations.ncols())?;
        self.prepare(Operand::new(&self.params, Side::A, activations)?)
    }

    /// Pads activations (m×k) and weights (n×k) of any m and n, and cuts a k of
    /// more than 16384 into parts. [`Miner::prepare`] takes the operands of each
    /// part, and [`Split::assemble`] adds their products.
    ///
    /// # Errors
    /// [`MineError::Depth`] if k is too small for a block, and
    /// [`MineError::Operand`] as for [`Split::new`].
    pub fn split(&self, activations: Array2<i8>, weights: Array2<i8>) -> Result<Split, MineError> {
        let padded = weights.ncols().next_multiple_of(self.params.rank());
        self.check_depth(padded.min(BLOCK_K_MAX as usize))?;
        Ok(Split::new(&self.params, activations, weights)?)
    }

    /// Checks that a block accepts this k. Other parameters are not a block's,
    /// so they permit any k.
    fn check_depth(&self, k: usize) -> Result<(), MineError> {
        let permitted = BLOCK_K_MIN as usize..=BLOCK_K_MAX as usize;
        if self.params == Params::CONSENSUS && !permitted.contains(&k) {
            return Err(MineError::Depth { k });
        }
        Ok(())
    }

    /// Commits to a checked operand and converts it to the backend's layout. Any
    /// k is permitted: a product whose k no block accepts can be multiplied and
    /// win, but no node accepts its proof.
    ///
    /// # Errors
    /// [`MineError::Params`] if the operand was made for other parameters, and
    /// any error of the backend.
    pub fn prepare(&self, operand: Operand) -> Result<Prepared, MineError> {
        round::check_params(&self.params, &operand)?;
        Ok(self.backend.prepare(operand)?)
    }

    /// Fixes the challenge and the weights, and noises the weights. The result
    /// serves any number of activations.
    ///
    /// # Errors
    /// [`MineError::Side`] if the operand is of side A, and any error of the
    /// backend.
    pub fn round(&self, challenge: &Challenge, weights: &Prepared) -> Result<Round, MineError> {
        Round::new(self, challenge, weights)
    }

    /// An upper bound of the host's memory, in bytes, that mining a product of
    /// this shape takes at its peak. It includes the exact product and
    /// everything made from the two matrices, but not the matrices. Each winner
    /// that is kept beyond the first takes up to 512 bytes more.
    pub fn memory_bytes(&self, shape: &Shape) -> u64 {
        self.backend.memory_bytes(&self.params, shape)
    }
}
