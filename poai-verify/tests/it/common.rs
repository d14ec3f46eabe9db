//! Small mined puzzles that the verifier's tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use ndarray::Array2;
use poai_core::puzzle::seeds::Seeds;
use poai_core::puzzle::ticket::TicketKey;
use poai_core::*;
use poai_engine::operand::pseudorandom;
use poai_engine::*;
use poai_verify::{Rules, Verifier, VerifyError};
use std::sync::Arc;

pub const CHALLENGE: Challenge = Challenge([0x5a; 32]);

/// A verifier with the rules of shares: the consensus parameters and ranges, at
/// any difficulty.
pub fn verifier() -> Verifier {
    Verifier::new(Rules::SHARE, Difficulty::ONE).unwrap()
}

/// A product whose every ticket wins.
pub struct Puzzle {
    pub params: Params,
    pub challenge: Challenge,
    pub operands: Operands,
    pub mined: Mined,
}

impl Puzzle {
    pub fn new(params: Params, challenge: Challenge, a: Array2<i8>, bt: Array2<i8>) -> Puzzle {
        let operands = Operands::new(&params, a, bt).unwrap();
        let miner = Miner::with_params(params, Arc::new(Cpu::for_params(&params))).unwrap();
        let a = miner.prepare(operands.a().clone()).unwrap();
        let bt = miner.prepare(operands.bt().clone()).unwrap();
        let round = miner.round(&challenge, &bt).unwrap();
        let options = MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(1 << 20));
        let mined = round.mine(&a, &options).unwrap();
        Puzzle { params, challenge, operands, mined }
    }

    /// Pseudo-random operands with the least k that a block permits.
    pub fn random(m: usize, n: usize) -> Puzzle {
        Puzzle::new(
            Params::CONSENSUS,
            CHALLENGE,
            pseudorandom(b"a", m, 1024),
            pseudorandom(b"b", n, 1024),
        )
    }

    /// The proof of one tile.
    pub fn proof(&self, row: u32, column: u32) -> Proof {
        let winners = self.mined.found.winners();
        let winner = winners.iter().find(|winner| winner.tile == Tile { row, column }).unwrap();
        self.mined.found.prove(winner).unwrap()
    }

    pub fn bytes(&self, row: u32, column: u32) -> Vec<u8> {
        self.proof(row, column).to_bytes()
    }

    pub fn verify(&self, proof: &Proof) -> Result<(), VerifyError> {
        verify(&self.challenge, proof)
    }
}

/// Encodes and verifies a proof as a share.
pub fn verify(challenge: &Challenge, proof: &Proof) -> Result<(), VerifyError> {
    let bytes = proof.to_bytes();
    verifier().verify(challenge, &bytes).map(drop)
}

/// The true ticket of a transcript under a statement.
pub fn ticket(
    params: &Params,
    challenge: &Challenge,
    statement: &Statement,
    transcript: &Transcript,
) -> Ticket {
    let seeds = Seeds::derive(params, challenge, statement);
    TicketKey::new(&seeds.a).ticket(transcript)
}
