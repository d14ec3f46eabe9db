//! A proof with what it is of.

use super::key::VerifyingKeyDigest;
use super::proof::{Groth16Proof, ProofDecodeError};
use super::signals::{SIGNALS_MAX, Signals, SignalsError};
use alloc::vec::Vec;

/// Bytes before the signals.
const HEADER_LEN: usize = Groth16Proof::LEN + 32;

/// Why bytes are no proof of inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferenceDecodeError {
    /// A number of bytes that none has.
    #[error("{0} bytes are no proof of inference: {HEADER_LEN} and 1 to {SIGNALS_MAX} words are")]
    Length(usize),
    /// The proof.
    #[error(transparent)]
    Proof(#[from] ProofDecodeError),
    /// The signals.
    #[error(transparent)]
    Signals(#[from] SignalsError),
}

/// A proof of inference: a claim, until a verifier has checked it with a key of
/// its own and against the binding that it expects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InferenceProof {
    /// The proof.
    pub proof: Groth16Proof,
    /// Names the key that it is to be checked with, so that another key is
    /// told from a false proof. No verifier takes its key from here.
    pub key: VerifyingKeyDigest,
    /// The public inputs.
    pub signals: Signals,
}

impl InferenceProof {
    /// The most bytes that one has.
    pub const LEN_MAX: usize = HEADER_LEN + 32 * SIGNALS_MAX;

    /// The canonical bytes: the proof, the key's digest, the signals' words. No
    /// prefix: how many signals follows from the length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(InferenceProof::LEN_MAX);
        bytes.extend(self.proof.encode());
        bytes.extend(self.key.0);
        bytes.extend(self.signals.encode());
        bytes
    }

    /// Reads the canonical bytes; `encode` gives exactly them again.
    ///
    /// # Errors
    /// [`InferenceDecodeError`] for every byte string that is no proof's.
    pub fn decode(bytes: &[u8]) -> Result<InferenceProof, InferenceDecodeError> {
        let length = InferenceDecodeError::Length(bytes.len());
        if bytes.len() > InferenceProof::LEN_MAX {
            return Err(length);
        }
        let (proof, rest) = bytes.split_at_checked(Groth16Proof::LEN).ok_or(length)?;
        let (key, rest) = rest.split_first_chunk().ok_or(length)?;
        // The cheap part first: points cost square roots.
        let signals = match Signals::decode(rest) {
            Err(SignalsError::Length(_)) => return Err(length),
            signals => signals?,
        };
        Ok(InferenceProof {
            proof: Groth16Proof::decode(proof)?,
            key: VerifyingKeyDigest(*key),
            signals,
        })
    }
}
