//! Calldata for the contracts of `poai-verify`.

use super::object::InferenceProof;
use super::proof::Groth16Proof;
use super::signals::Signals;
use crate::digest::Job;
use crate::digest::ProgramId;
use alloc::vec::Vec;
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

/// Calldata of [`VERIFY`], for a verifier contract without the registry.
pub fn verify_calldata(proof: &Groth16Proof, signals: &Signals) -> Vec<u8> {
    calldata(VERIFY, &[], proof, signals)
}

/// Calldata of [`VERIFY_INFERENCE`], for the registry: program, the proof's key, job.
///
/// It has to be sent from the address that the proof is bound to.
pub fn verify_inference_calldata(
    program: &ProgramId,
    job: &Job,
    proof: &InferenceProof,
) -> Vec<u8> {
    let words = [program.0, proof.key.0, job.0];
    calldata(VERIFY_INFERENCE, &words, &proof.proof, &proof.signals)
}

/// Static words, the proof's words, and the signals as an array after them.
fn calldata(
    signature: &str,
    words: &[[u8; 32]],
    proof: &Groth16Proof,
    signals: &Signals,
) -> Vec<u8> {
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
    bytes
}

/// A number as a word.
fn number(value: usize) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(low) = word.last_chunk_mut() {
        *low = (value as u64).to_be_bytes();
    }
    word
}
