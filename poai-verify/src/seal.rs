//! Sealed headers, one or many: the proof with what the node holds it against.

use crate::error::{Malformed, VerifyError};
use crate::rules::RulesError;
use crate::verifier::{Verified, Verifier};
use alloc::vec::Vec;
use poai_core::{Challenge, Difficulty};

/// What a node has in hand when a block arrives.
///
/// It binds nothing by itself: challenge and difficulty are what the *node*
/// computed, the first from the header, the second from the header's ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// The hash of the header without its proof, nonce included.
    pub challenge: Challenge,
    /// What the node's retargeting asks of this block, in MACs. A difficulty
    /// that a header states must be compared with it before.
    pub difficulty: Difficulty,
    /// The proof's bytes, as they arrived.
    pub proof: &'a [u8],
}

impl Verifier {
    /// The verifier of the same rules at another difficulty; a copy, at no cost.
    ///
    /// # Errors
    /// [`RulesError::Difficulty`] below what the rules permit.
    pub fn at(&self, difficulty: Difficulty) -> Result<Verifier, RulesError> {
        Verifier::new(*self.rules(), difficulty)
    }

    /// [`Verifier::verify`], against the seal's own challenge and difficulty.
    ///
    /// # Errors
    /// [`VerifyError`]; [`Malformed::Difficulty`] where the seal's difficulty
    /// lies below what the rules permit.
    pub fn verify_seal(&self, seal: &Seal<'_>) -> Result<Verified, VerifyError> {
        self.of(seal)?.verify(&seal.challenge, seal.proof)
    }

    /// [`Verifier::preliminary_verify`], against the seal's own challenge and
    /// difficulty.
    ///
    /// # Errors
    /// As [`Verifier::verify_seal`], for what it checks.
    pub fn preliminary_verify_seal(&self, seal: &Seal<'_>) -> Result<(), VerifyError> {
        self.of(seal)?.preliminary_verify(&seal.challenge, seal.proof)
    }

    /// [`Verifier::verify_seal`] of each, in order; one that fails stops no
    /// other. With the feature `parallel` on all threads of rayon's pool.
    pub fn verify_batch(&self, seals: &[Seal<'_>]) -> Vec<Result<Verified, VerifyError>> {
        #[cfg(feature = "parallel")]
        {
            use rayon::prelude::*;
            seals.par_iter().map(|seal| self.verify_seal(seal)).collect()
        }
        #[cfg(not(feature = "parallel"))]
        seals.iter().map(|seal| self.verify_seal(seal)).collect()
    }

    fn of(&self, seal: &Seal<'_>) -> Result<Verifier, Malformed> {
        let (difficulty, min) = (seal.difficulty, self.rules().difficulty_min);
        self.at(difficulty).map_err(|_| Malformed::Difficulty { difficulty, min })
    }
}
