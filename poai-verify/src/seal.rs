//! Verification of sealed headers, one or many.
//!
//! A seal is a proof with the challenge and the difficulty that the node
//! computed.

use crate::error::{Malformed, VerifyError};
use crate::rules::RulesError;
use crate::verifier::{Verified, Verifier};
use alloc::vec::Vec;
use poai_core::{Challenge, Difficulty};

/// A block's proof, with the node's challenge and difficulty.
///
/// It binds nothing by itself. The *node* computes the challenge from the
/// header, and the difficulty from the header's ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// The hash of the header without its proof, nonce included.
    pub challenge: Challenge,
    /// The difficulty that the node's retargeting requires of this block, in
    /// MACs. If the header states a difficulty, the node must compare the two
    /// first.
    pub difficulty: Difficulty,
    /// The proof's bytes, as received.
    pub proof: &'a [u8],
}

impl Verifier {
    /// The verifier of the same rules at another difficulty. It is a cheap copy.
    ///
    /// # Errors
    /// [`RulesError::Difficulty`] if the difficulty is below the least that the rules permit.
    pub fn at(&self, difficulty: Difficulty) -> Result<Verifier, RulesError> {
        Verifier::new(*self.rules(), difficulty)
    }

    /// As [`Verifier::verify`], with the seal's own challenge and difficulty.
    ///
    /// # Errors
    /// [`VerifyError`]; [`Malformed::Difficulty`] if the seal's difficulty is
    /// below the least that the rules permit.
    pub fn verify_seal(&self, seal: &Seal<'_>) -> Result<Verified, VerifyError> {
        self.of(seal)?.verify(&seal.challenge, seal.proof)
    }

    /// As [`Verifier::preliminary_verify`], with the seal's own challenge and
    /// difficulty.
    ///
    /// # Errors
    /// As for [`Verifier::verify_seal`], for these checks.
    pub fn preliminary_verify_seal(&self, seal: &Seal<'_>) -> Result<(), VerifyError> {
        self.of(seal)?.preliminary_verify(&seal.challenge, seal.proof)
    }

    /// [`Verifier::verify_seal`] for each seal, in order. A failure does not
    /// stop the others.
    ///
    /// With the feature `parallel`, it uses all threads of rayon's pool.
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
