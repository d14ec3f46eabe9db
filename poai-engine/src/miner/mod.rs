//! The miner: a wanted product, and every ticket that it draws on the way.
//!
//! 1. [`Miner::prepare`] commits to an operand, once in its life.
//! 2. [`Miner::round`] fixes the challenge and the B side, and noises B once.
//! 3. [`Round::mine`] multiplies one A: the exact product always, and the
//!    winning tiles. [`Round::search`] draws tickets only, and can stop early.
//! 4. [`Found::prove`] makes a proof of a winner.
//!
//! Trying another nonce means another challenge, hence another product: that
//! loop belongs to the caller.

mod found;
mod options;
mod round;

pub use crate::backend::Winner;
pub use found::{Found, Mined, WinnerError};
pub use options::{Cancel, Keep, MineOptions, MineProgress};
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
    /// [`Unsupported`] where the backend does not take the parameters.
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

    /// Commits to an operand and brings it into the backend's layout. What
    /// comes back serves any number of challenges.
    ///
    /// # Errors
    /// [`MineError::Params`] for an operand that was made for other parameters,
    /// and whatever the backend says.
    pub fn prepare(&self, operand: Operand) -> Result<Prepared, MineError> {
        round::check_params(&self.params, &operand)?;
        Ok(self.backend.prepare(operand)?)
    }

    /// Fixes the challenge and the right operand Bᵀ, and noises the latter.
    /// What comes back serves any number of left operands.
    ///
    /// # Errors
    /// [`MineError::Side`] for an operand of side A, and whatever the backend
    /// says.
    pub fn round(&self, challenge: &Challenge, bt: &Prepared) -> Result<Round, MineError> {
        Round::new(self, challenge, bt)
    }
}
