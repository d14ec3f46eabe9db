//! Calldata for the contracts of `poai-verify`.

use super::object::InferenceProof;
use super::proof::Groth16Proof;
use super::signals::Signals;
use crate::digest::Job;
use crate::digest::ProgramId;
use alloc::vec::Vec;
use core::fmt;
use sha3::{Digest, Keccak256};

/// The function of a rendered verifier that checks a proof.
pub const VERIFY: &str = "verify(uint256[8],uint256[])";

/// The function of the registry that certifies a proof.
pub const VERIFY_INFERENCE: &str = "verifyInference(bytes32,bytes32,bytes32,uint256[8],uint256[])";

/// The first four bytes of calldata: those of Keccak-256 of the signature.
pub fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..]: [u8; 32] = Keccak256::digest(signature.as_bytes()).into();
    [a, b, c, d]
}

/// The data of a transaction: a function's selector and its arguments.
///
/// It prints as `0x` and hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Calldata(Vec<u8>);

impl Calldata {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for Calldata {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Calldata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Calldata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calldata({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Calldata {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        crate::encoding::hex_or_bytes::serialize(&self.0, to)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Calldata {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::encoding::hex_or_bytes::deserialize(from).map(Calldata)
    }
}

/// Calldata of [`VERIFY`], for a verifier contract without the registry.
pub fn verify_calldata(proof: &Groth16Proof, signals: &Signals) -> Calldata {
    calldata(VERIFY, &[], proof, signals)
}

/// Calldata of [`VERIFY_INFERENCE`], for the registry: program, the proof's key, job.
///
/// It has to be sent from the address that the proof is bound to.
pub fn verify_inference_calldata(
    program: &ProgramId,
    job: &Job,
    proof: &InferenceProof,
) -> Calldata {
    let words = [program.0, proof.key.0, job.0];
    calldata(VERIFY_INFERENCE, &words, &proof.proof, &proof.signals)
}

/// Static words, the proof's words, and the signals as an array after them.
fn calldata(
    signature: &str,
    words: &[[u8; 32]],
    proof: &Groth16Proof,
    signals: &Signals,
) -> Calldata {
    let signals = signals.words();
    // The array follows all static words and the word that holds its offset.
    let offset = 32 * (words.len() + 8 + 1);
    let mut bytes = Vec::with_capacity(4 + offset + 32 * (1 + signals.len()));
    bytes.extend(selector(signature));
    bytes.extend(words.as_flattened());
    bytes.extend(proof.words().as_flattened());
    bytes.extend(number(offset));
    bytes.extend(number(signals.len()));
    bytes.extend(signals.as_flattened());
    Calldata(bytes)
}

/// A number as a word.
fn number(value: usize) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(low) = word.last_chunk_mut() {
        *low = (value as u64).to_be_bytes();
    }
    word
}
