//! The miner: computes a wanted product and draws a ticket from each of its
//! tiles.
//!
//! 1. [`Miner::prepare`] commits to an operand, once per operand.
//! 2. [`Miner::round`] fixes the challenge and side B, and noises B once.
//! 3. [`Round::mine`] multiplies one A. It always returns the exact product,
//!    and the winning tiles. [`Round::search`] only draws tickets, and can stop
//!    early.
//! 4. [`Found::prove`] makes a proof of a winner.
//!
//! Another nonce means another challenge and so another product. The caller
//! owns that loop.

mod found;
mod options;
mod round;

pub use crate::backend::Winner;
pub use found::{Found, Mined, WinnerError};
pub use options::{Keep, MineOptions};
pub use round::{MineError, Round};

use crate::backend::{Backend, Prepared, Unsupported};
use crate::operand::Operand;
use poai_core::digest::Challenge;
use poai_core::params::Params;
use std::sync::Arc;

/// A backend and the parameters that it mines under. Cloning shares the
/// backend.
#[derive(Clone, Debug)]
pub struct Miner {
    params: Params,
    backend: Arc<dyn Backend>,
}

impl Miner {
    /// A miner on a backend.
    ///
    /// # Errors
    /// [`Unsupported`] if the backend does not support the parameters.
    pub fn new(params: Params, backend: Arc<dyn Backend>) -> Result<Miner, Unsupported> {
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

    /// Commits to an operand and converts it to the backend's layout. The
    /// result serves any number of challenges.
    ///
    /// # Errors
    /// [`MineError::Params`] if the operand was made for other parameters, and
    /// any error of the backend.
    pub fn prepare(&self, operand: Operand) -> Result<Prepared, MineError> {
        round::check_params(&self.params, &operand)?;
        Ok(self.backend.prepare(operand)?)
    }

    /// Fixes the challenge and the right operand Bᵀ, and noises Bᵀ. The result
    /// serves any number of left operands.
    ///
    /// # Errors
    /// [`MineError::Side`] if the operand is of side A, and any error of the
    /// backend.
    pub fn round(&self, challenge: &Challenge, bt: &Prepared) -> Result<Round, MineError> {
        Round::new(self, challenge, bt)
    }
}
