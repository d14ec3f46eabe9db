//! The proof, and its one canonical byte string (spec §7).
//!
//! [`ProofView`] borrows from the bytes and allocates nothing: it is what
//! verifiers use. [`Proof`] owns its parts: it is what miners make.

mod encoding;

pub use encoding::{DecodeError, EncodeError, HEADER_LEN, ProofHeader};

use crate::digest::{Challenge, Seed, Ticket};
use crate::params::Params;
use crate::puzzle::commitment::opening::OpeningView;
use crate::puzzle::commitment::{Opening, Strip};
use crate::puzzle::seeds::Seeds;
use crate::puzzle::statement::{Shape, Side, Statement, Tile};
use crate::puzzle::ticket::TicketKey;
use crate::puzzle::transcript::Transcript;
use alloc::vec::Vec;

/// A claim that one tile of one product drew a ticket, with all that is needed
/// to recompute it.
///
/// It carries neither the challenge nor the parameters nor the difficulty:
/// these are the verifier's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Proof {
    /// The product that was mined.
    pub statement: Statement,
    /// Which tile drew the ticket.
    pub tile: Tile,
    /// The claimed transcript. It proves nothing until it was recomputed from
    /// the openings; it binds neither tile nor openings.
    pub transcript: Transcript,
    /// A's strip of the tile.
    pub opening_a: Opening,
    /// Bᵀ's strip of the tile.
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

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`EncodeError`] where the shape, the tile or an opening's lengths do
    /// not fit one another: such a proof has no bytes.
    pub fn encode(&self, params: &Params) -> Result<Vec<u8>, EncodeError> {
        self.view().encode(params)
    }

    /// Reads the canonical bytes; `encode` gives exactly them again.
    ///
    /// # Errors
    /// [`DecodeError`] for every byte string that is no proof's.
    pub fn decode(params: &Params, bytes: &[u8]) -> Result<Proof, DecodeError> {
        ProofView::decode(params, bytes).map(|view| view.to_proof())
    }
}

/// A borrowed [`Proof`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofView<'a> {
    /// The product that was mined.
    pub statement: Statement,
    /// Which tile drew the ticket.
    pub tile: Tile,
    /// The claimed transcript.
    pub transcript: Transcript,
    /// A's strip of the tile.
    pub opening_a: OpeningView<'a>,
    /// Bᵀ's strip of the tile.
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

    /// The ticket of the *claimed* transcript.
    pub fn claimed_ticket(&self, seed_a: &Seed) -> Ticket {
        TicketKey::new(seed_a).ticket(&self.transcript)
    }
}

/// Where one side's strip of a tile lies, or `None` for a tile outside.
pub fn strip(params: &Params, shape: &Shape, tile: Tile, side: Side) -> Option<Strip> {
    Strip::new(params, shape.rows(side), shape.k, tile.strip(side))
}
