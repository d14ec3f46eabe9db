//! Proofs of inference, their keys and deployments.

use super::found::Found;
use crate::deployment::Deployment;
use crate::failure::Failure;
use poai::inference::{InferenceProof, VerifyingKey};
use poai::prover::keys::{self, KeyPurpose};
use std::path::Path;

/// A proof of inference.
pub fn proof(bytes: &[u8]) -> Option<Found> {
    let proof = InferenceProof::from_bytes(bytes).ok()?;
    let found = of_proof(Found::new("proof of inference"), &proof);
    Some(found.with("bytes", bytes.len()))
}

fn of_proof(found: Found, proof: &InferenceProof) -> Found {
    let signals: Vec<_> = proof.signals.words().iter().map(hex::encode).collect();
    found.text_of("verifying_key", proof.key).with("signals", signals)
}

/// A verifying key without a header.
pub fn verifying_key(bytes: &[u8]) -> Option<Found> {
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    Some(
        Found::new("verifying key")
            .text_of("verifying_key", key.digest())
            .with("signals", key.signals())
            .with("bytes", bytes.len()),
    )
}

/// A key file with a header, for a proving or a verifying key; only the header
/// is read.
pub fn key_file(path: &Path) -> Result<Found, Failure> {
    let header = keys::read_header(path)?;
    let identity = &header.identity;
    let KeyPurpose { owner, visibility, run } = identity.purpose;
    Ok(Found::new("key file")
        .text_of("half", header.kind)
        .text_of("owner", owner)
        .text_of("visibility", visibility)
        .with("batch", run.batch)
        .with("sequence", run.sequence)
        .text_of("made_by", header.origin)
        .text_of("constraints", identity.constraints)
        .text_of("verifying_key", header.verifying_key)
        .with("signals", identity.signals)
        .with("variables", identity.variables)
        .with("domain", identity.domain))
}

/// A deployment's JSON.
pub fn deployment(bytes: &[u8]) -> Option<Found> {
    let deployment = Deployment::parse(bytes).ok()?;
    let binding = deployment.binding;
    let found = Found::new("deployment")
        .text_of("contract", &deployment.contract)
        .text_of("program_id", binding.program)
        .text_of("job", binding.job)
        .text_of("prover", binding.prover)
        .with("macs", binding.macs)
        .with("calldata_bytes", deployment.calldata.as_bytes().len());
    Some(of_proof(found, &deployment.proof))
}
