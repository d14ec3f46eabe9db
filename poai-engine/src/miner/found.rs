//! Mining results, and proofs of them.

use super::MineError;
use crate::backend::{Prepared, Winner};
use ndarray::Array2;
use poai_core::params::Params;
use poai_core::puzzle::proof::{Proof, strip};
use poai_core::puzzle::seeds::Seeds;
use poai_core::puzzle::statement::{Side, Statement};

/// The result of a completely mined product.
#[derive(Debug)]
#[non_exhaustive]
pub struct Mined {
    /// The exact product `A·B`, m×n.
    pub product: Array2<i32>,
    /// The winners among its tickets.
    pub found: Found,
}

/// The winners among the tickets of one statement.
#[derive(Clone, Debug)]
pub struct Found {
    pub(super) params: Params,
    pub(super) statement: Statement,
    pub(super) seeds: Seeds,
    pub(super) a: Prepared,
    pub(super) bt: Prepared,
    pub(super) winners: Vec<Winner>,
    pub(super) won: u64,
    pub(super) drawn: u64,
}

impl Mined {
    /// The statement that was mined.
    pub fn statement(&self) -> &Statement {
        self.found.statement()
    }

    /// The winners that were kept, the lowest ticket first.
    pub fn winners(&self) -> &[Winner] {
        self.found.winners()
    }

    /// The winner with the lowest ticket.
    pub fn best(&self) -> Option<&Winner> {
        self.found.best()
    }

    /// The number of winning tickets, kept or not.
    pub fn won(&self) -> u64 {
        self.found.won()
    }

    /// The number of tickets drawn.
    pub fn drawn(&self) -> u64 {
        self.found.drawn()
    }

    /// The proof of the best winner, or `None` if no tile has won.
    pub fn proof(&self) -> Option<Proof> {
        self.found.proof()
    }

    /// The proof of one of the winners.
    ///
    /// # Errors
    /// As for [`Found::prove`].
    pub fn prove(&self, winner: &Winner) -> Result<Proof, MineError> {
        self.found.prove(winner)
    }
}

impl Found {
    /// The statement that was mined.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The statement's seeds under the round's challenge.
    pub fn seeds(&self) -> &Seeds {
        &self.seeds
    }

    /// The winners that were kept, the lowest ticket first.
    pub fn winners(&self) -> &[Winner] {
        &self.winners
    }

    /// The winner with the lowest ticket.
    pub fn best(&self) -> Option<&Winner> {
        self.winners.first()
    }

    /// The number of winning tickets, kept or not.
    pub fn won(&self) -> u64 {
        self.won
    }

    /// The number of tickets drawn.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// The proof of the best winner, or `None` if no tile has won.
    pub fn proof(&self) -> Option<Proof> {
        // The best winner belongs to this statement, so `prove` accepts it.
        self.best().and_then(|winner| self.prove(winner).ok())
    }

    /// The proof of one of the winners: opens both strips of its tile.
    ///
    /// # Errors
    /// [`MineError::Winner`] if `winner` is not one of the winners kept.
    pub fn prove(&self, winner: &Winner) -> Result<Proof, MineError> {
        let foreign = || MineError::Winner { winner: *winner };
        if !self.winners.contains(winner) {
            return Err(foreign());
        }
        let open = |side, prepared: &Prepared| {
            let strip = strip(&self.params, &self.statement.shape, winner.tile, side)
                .ok_or_else(foreign)?;
            let bytes = prepared.operand().as_bytes();
            Ok::<_, MineError>(prepared.tree().open(bytes, &strip)?)
        };
        Ok(Proof {
            statement: self.statement,
            tile: winner.tile,
            transcript: winner.transcript,
            opening_a: open(Side::A, &self.a)?,
            opening_b: open(Side::B, &self.bt)?,
        })
    }
}
