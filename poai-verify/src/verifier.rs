//! The checks of spec §7, cheap checks first.

use crate::error::{Invalid, Malformed, VerifyError};
use crate::rules::{Rules, RulesError};
use poai_core::params::{ENTRY_MAX, ENTRY_MIN};
use poai_core::puzzle::proof::{DecodeError, ProofView, strip};
use poai_core::puzzle::seeds::Seeds;
use poai_core::{
    Challenge, Difficulty, RulesDigest, Side, Statement, Ticket, Tile, Transcript, recompute,
};

/// A valid proof, under the rules and the difficulty of the verifier that
/// returned it.
///
/// Only a verifier can make this value.
///
/// It states that the tile was computed from committed operands under this
/// challenge. It does not state that the operands were useful, or whose they
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Verified {
    /// The shape and the roots of the product.
    pub statement: Statement,
    /// The tile that drew the ticket.
    pub tile: Tile,
    /// The ticket.
    pub ticket: Ticket,
    /// The difficulty that the ticket was compared with.
    pub difficulty: Difficulty,
    /// The digest of the rules that the proof was verified under.
    pub rules: RulesDigest,
}

/// A verifier of proofs under a node's rules at one difficulty.
///
/// It is cheap to build and to copy.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    rules: Rules,
    difficulty: Difficulty,
}

impl Verifier {
    /// A verifier of blocks with this difficulty.
    ///
    /// # Errors
    /// [`RulesError::Difficulty`] if the difficulty is below 2^24.
    pub fn block(difficulty: Difficulty) -> Result<Verifier, RulesError> {
        Verifier::new(Rules::CONSENSUS, difficulty)
    }

    /// A verifier under other rules, for shares, tests and research.
    ///
    /// # Errors
    /// [`RulesError`] if the rules contradict themselves, or the difficulty is
    /// below the least that they permit.
    pub fn new(rules: Rules, difficulty: Difficulty) -> Result<Verifier, RulesError> {
        rules.check()?;
        let min = rules.difficulty_min;
        if difficulty < min {
            return Err(RulesError::Difficulty { difficulty, min });
        }
        Ok(Verifier { rules, difficulty })
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The difficulty.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// Runs all checks. `Ok` means that the proof is valid.
    ///
    /// # Errors
    /// [`VerifyError`] names the field and the check that failed.
    pub fn verify(&self, challenge: &Challenge, proof: &[u8]) -> Result<Verified, VerifyError> {
        self.finish(&self.claim(challenge, proof)?)
    }

    /// Runs the costly checks, after [`Verifier::claim`].
    pub(crate) fn finish(&self, claim: &Claim<'_>) -> Result<Verified, VerifyError> {
        self.check_openings(claim)?;
        self.check_tile(claim)?;
        Ok(Verified {
            statement: claim.proof.statement,
            tile: claim.proof.tile,
            ticket: claim.ticket,
            difficulty: self.difficulty,
            rules: self.rules.digest(),
        })
    }

    /// Runs only the cheap checks, which take a few microseconds: lengths,
    /// limits, indices and the ticket of the *claimed* transcript.
    ///
    /// A node can use it to decide whether a message deserves the other checks.
    /// It proves nothing.
    ///
    /// # Errors
    /// As for [`Verifier::verify`], for these checks.
    pub fn preliminary_verify(
        &self,
        challenge: &Challenge,
        proof: &[u8],
    ) -> Result<(), VerifyError> {
        self.claim(challenge, proof).map(drop)
    }

    /// Checks sizes and limits, derives the seeds, and compares the claimed
    /// transcript's ticket with the target.
    pub(crate) fn claim<'a>(
        &self,
        challenge: &Challenge,
        proof: &'a [u8],
    ) -> Result<Claim<'a>, VerifyError> {
        let params = &self.rules.params;
        let proof = ProofView::from_bytes(params, proof).map_err(Malformed::Encoding)?;
        let shape = proof.statement.shape;
        for (dimension, value, min, max) in self.rules.limits(&shape) {
            if !(min..=max).contains(&value) {
                return Err(Malformed::Limit { dimension, value, min, max }.into());
            }
        }
        let seeds = proof.seeds(params, challenge);
        let ticket = proof.claimed_ticket(&seeds.a);
        let difficulty = self.difficulty;
        if !difficulty.wins(params, shape.k, &ticket) {
            return Err(Invalid::Target { ticket, difficulty }.into());
        }
        Ok(Claim { proof, seeds, ticket })
    }

    /// Checks that entries are in range, and that openings lead to their roots.
    fn check_openings(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        for side in [Side::A, Side::B] {
            check_entries(side, claim.proof.opening(side).bytes)?;
        }
        let Claim { proof, .. } = claim;
        for side in [Side::A, Side::B] {
            let strip = self.strip(proof, side)?;
            let root = proof.statement.root(side);
            proof
                .opening(side)
                .check(&strip, root)
                .map_err(|source| Invalid::Opening { side, source })?;
        }
        Ok(())
    }

    /// Recomputes the tile from both strips, and compares it with the claim.
    fn check_tile(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        let Claim { proof, seeds, .. } = claim;
        let params = &self.rules.params;
        let own = |side| {
            let strip = self.strip(proof, side)?;
            let bytes = proof.opening(side).bytes.get(strip.own());
            bytes.ok_or_else(|| length(proof.opening(side).bytes))
        };
        let (a, b) = (own(Side::A)?, own(Side::B)?);
        let k = proof.statement.shape.k;
        let recomputed =
            recompute::transcript(params, seeds, proof.tile, k, a, b).map_err(|_| length(a))?;
        compare(&proof.transcript, &recomputed)
    }

    /// The place of a strip. Decoding has checked that it exists.
    fn strip(
        &self,
        proof: &ProofView<'_>,
        side: Side,
    ) -> Result<poai_core::puzzle::commitment::Strip, VerifyError> {
        strip(&self.rules.params, &proof.statement.shape, proof.tile, side)
            .ok_or_else(|| length(proof.opening(side).bytes))
    }
}

/// A proof that passed the cheap checks.
pub(crate) struct Claim<'a> {
    pub(crate) proof: ProofView<'a>,
    seeds: Seeds,
    ticket: Ticket,
}

/// An error for a case that decoding excludes, so that it is not a panic.
fn length(bytes: &[u8]) -> VerifyError {
    let got = bytes.len() as u64;
    Malformed::Encoding(DecodeError::Length { expected: got, got }).into()
}

fn check_entries(side: Side, bytes: &[u8]) -> Result<(), Malformed> {
    let bad = |&byte: &u8| !(ENTRY_MIN..=ENTRY_MAX).contains(&(byte as i8));
    // Tests all bytes at once first: this vectorises, and finding the byte does
    // not.
    if !bytes.iter().fold(false, |any, byte| any | bad(byte)) {
        return Ok(());
    }
    match bytes.iter().position(bad) {
        Some(offset) => Err(Malformed::Entry { side, offset, value: bytes[offset] as i8 }),
        None => Ok(()),
    }
}

fn compare(claimed: &Transcript, recomputed: &Transcript) -> Result<(), VerifyError> {
    let words = claimed.0.iter().zip(&recomputed.0).enumerate();
    for (word, (&claimed, &recomputed)) in words {
        if claimed != recomputed {
            return Err(Invalid::Transcript { word, claimed, recomputed }.into());
        }
    }
    Ok(())
}

/// Plain BLAKE3 of a proof's bytes.
///
/// A node must put it into the block's id, because another winning tile of the
/// same product is an equally valid proof.
pub fn proof_hash(proof: &[u8]) -> [u8; 32] {
    *blake3::hash(proof).as_bytes()
}
