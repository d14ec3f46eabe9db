//! The proof and its canonical bytes (spec §7).
//!
//! Verifiers use [`ProofView`], which borrows from the bytes and allocates
//! nothing. Miners make a [`Proof`], which owns its parts.

mod encoding;

pub use encoding::{DecodeError, HEADER_LEN, ProofHeader};

use crate::digest::{Challenge, Seed, Ticket};
use crate::params::Params;
use crate::puzzle::commitment::opening::OpeningView;
use crate::puzzle::commitment::{Opening, Strip};
use crate::puzzle::seeds::Seeds;
use crate::puzzle::statement::{Shape, Side, Statement, Tile};
use crate::puzzle::ticket::TicketKey;
use crate::puzzle::transcript::Transcript;
use alloc::vec::Vec;

/// A claim that a tile of a product drew a ticket, with the data to recompute
/// it.
///
/// It does not hold the challenge, the parameters or the difficulty. The
/// verifier supplies them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Proof {
    /// The statement of the mined product.
    pub statement: Statement,
    /// The tile that drew the ticket.
    pub tile: Tile,
    /// The claimed transcript.
    ///
    /// It proves nothing until the verifier has recomputed it from the
    /// openings. It binds neither the tile nor the openings.
    pub transcript: Transcript,
    /// The opening of the tile's strip of A.
    pub opening_a: Opening,
    /// The opening of the tile's strip of Bᵀ.
    pub opening_b: Opening,
}

impl Proof {
    /// Borrows the proof.
    pub fn view(&self) -> ProofView<'_> {
        ProofView {
            statement: self.statement,
            tile: self.tile,
            transcript: self.transcript,
            opening_a: self.opening_a.view(),
            opening_b: self.opening_b.view(),
        }
    }

    /// The bytes of the proof, which are canonical if a miner or
    /// [`Proof::from_bytes`] made it.
    ///
    /// If the caller has altered its parts so that they do not fit together,
    /// [`Proof::from_bytes`] refuses the bytes or reads other parts, which no
    /// verifier accepts.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.view().to_bytes()
    }

    /// Reads the canonical bytes. `to_bytes` returns exactly these bytes again.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a proof.
    pub fn from_bytes(params: &Params, bytes: &[u8]) -> Result<Proof, DecodeError> {
        ProofView::from_bytes(params, bytes).map(|view| view.to_proof())
    }
}

/// A borrowed [`Proof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofView<'a> {
    /// The statement of the mined product.
    pub statement: Statement,
    /// The tile that drew the ticket.
    pub tile: Tile,
    /// The claimed transcript.
    pub transcript: Transcript,
    /// The opening of the tile's strip of A.
    pub opening_a: OpeningView<'a>,
    /// The opening of the tile's strip of Bᵀ.
    pub opening_b: OpeningView<'a>,
}

impl ProofView<'_> {
    /// Copies the proof out of the bytes it borrows from.
    pub fn to_proof(&self) -> Proof {
        let own = |opening: &OpeningView<'_>| Opening {
            bytes: opening.bytes.to_vec(),
            siblings: opening.siblings.to_vec(),
        };
        Proof {
            statement: self.statement,
            tile: self.tile,
            transcript: self.transcript,
            opening_a: own(&self.opening_a),
            opening_b: own(&self.opening_b),
        }
    }

    /// One side's opening.
    pub fn opening(&self, side: Side) -> &OpeningView<'_> {
        match side {
            Side::A => &self.opening_a,
            Side::B => &self.opening_b,
        }
    }

    /// The seeds of the statement under a challenge.
    pub fn seeds(&self, params: &Params, challenge: &Challenge) -> Seeds {
        Seeds::derive(params, challenge, &self.statement)
    }

    /// The ticket of the claimed transcript, which is not recomputed.
    pub fn claimed_ticket(&self, seed_a: &Seed) -> Ticket {
        TicketKey::new(seed_a).ticket(&self.transcript)
    }
}

/// The place of one side's strip of a tile, or `None` if the tile is outside
/// the product.
pub fn strip(params: &Params, shape: &Shape, tile: Tile, side: Side) -> Option<Strip> {
    Strip::new(params, shape.rows(side), shape.k, tile.strip(side))
}
