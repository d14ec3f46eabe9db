//! An inference proof: a Groth16 proof with its signals and its key's digest.

use super::key::VerifyingKeyDigest;
use super::proof::{Groth16DecodeError, Groth16Proof};
use super::signals::{SIGNALS_MAX, Signals, SignalsError};
use alloc::vec::Vec;

/// Number of bytes before the signals.
const HEADER_LEN: usize = Groth16Proof::LEN + 32;

/// Why bytes are not an inference proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceDecodeError {
    /// The bytes do not have the length of an inference proof.
    #[error("expected {HEADER_LEN} bytes and 1 to {SIGNALS_MAX} words of a proof, got {0} bytes")]
    Length(usize),
    /// The Groth16 proof is invalid.
    #[error(transparent)]
    Proof(#[from] Groth16DecodeError),
    /// The signals are invalid.
    #[error(transparent)]
    Signals(#[from] SignalsError),
}

/// An inference proof.
///
/// It is only a claim until a verifier has checked it with the verifier's own
/// key and the binding that it expects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InferenceProof {
    /// The Groth16 proof.
    pub proof: Groth16Proof,
    /// The digest of the key to check it with.
    ///
    /// It distinguishes a wrong key from a false proof. A verifier never takes
    /// its key from here.
    pub key: VerifyingKeyDigest,
    /// The public inputs.
    pub signals: Signals,
}

impl InferenceProof {
    /// The largest number of bytes of an inference proof.
    pub const LEN_MAX: usize = HEADER_LEN + 32 * SIGNALS_MAX;

    /// The canonical bytes: the proof, the key's digest, the signals' words.
    ///
    /// There is no length prefix, because the number of signals follows from
    /// the length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(InferenceProof::LEN_MAX);
        bytes.extend(self.proof.to_bytes());
        bytes.extend(self.key.0);
        bytes.extend(self.signals.to_bytes());
        bytes
    }

    /// Reads the canonical bytes, which `to_bytes` reproduces exactly.
    ///
    /// # Errors
    /// [`InferenceDecodeError`] for bytes that are not an inference proof.
    pub fn from_bytes(bytes: &[u8]) -> Result<InferenceProof, InferenceDecodeError> {
        let length = InferenceDecodeError::Length(bytes.len());
        if bytes.len() > InferenceProof::LEN_MAX {
            return Err(length);
        }
        let (proof, rest) = bytes.split_at_checked(Groth16Proof::LEN).ok_or(length)?;
        let (key, rest) = rest.split_first_chunk().ok_or(length)?;
        // Decodes the cheap part first, because points cost square roots.
        let signals = match Signals::from_bytes(rest) {
            Err(SignalsError::Length(_)) => return Err(length),
            signals => signals?,
        };
        Ok(InferenceProof {
            proof: Groth16Proof::from_bytes(proof)?,
            key: VerifyingKeyDigest(*key),
            signals,
        })
    }
}
