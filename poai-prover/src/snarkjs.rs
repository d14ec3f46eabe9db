//! The JSON files of snarkjs: `proof.json`, `public.json` and
//! `verification_key.json`, which `snarkjs groth16 verify` takes.

use super::iden3::json;
use super::verifying;
use ark_bn254::Fr;
use ark_groth16::Proof;
use poai_core::inference::{Groth16Proof, Signals, VerifyingKey};

/// The text of `proof.json`.
pub fn proof_json(proof: &Groth16Proof) -> String {
    json::proof_to_json(&Proof { a: *proof.a(), b: *proof.b(), c: *proof.c() })
}

/// The text of `public.json`.
pub fn signals_json(signals: &Signals) -> String {
    let signals: Vec<Fr> = signals.elements().iter().copied().map(Fr::from).collect();
    json::signals_to_json(&signals)
}

/// The text of `verification_key.json`.
pub fn verifying_key_json(key: &VerifyingKey) -> String {
    json::verifying_key_to_json(&verifying::points(key))
}
