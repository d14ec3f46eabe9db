//! Conversion of verifying keys between arkworks' form and that of inference
//! proofs.

use ark_bn254::Bn254;
use poai_core::inference::{VerifyingKey, VerifyingKeyError};

/// The checked verifying key with the points of an arkworks key.
///
/// Every function of this crate that reads or makes a key calls this one, so
/// that none of them returns a degenerate key.
///
/// # Errors
/// As for [`VerifyingKey::from_bytes`].
pub fn checked(key: &ark_groth16::VerifyingKey<Bn254>) -> Result<VerifyingKey, VerifyingKeyError> {
    let ic = key.gamma_abc_g1.clone();
    VerifyingKey::new(key.alpha_g1, key.beta_g2, key.gamma_g2, key.delta_g2, ic)
}

/// The points of a verifying key.
pub fn points(key: &VerifyingKey) -> ark_groth16::VerifyingKey<Bn254> {
    ark_groth16::VerifyingKey {
        alpha_g1: *key.alpha(),
        beta_g2: *key.beta(),
        gamma_g2: *key.gamma(),
        delta_g2: *key.delta(),
        gamma_abc_g1: key.ic().to_vec(),
    }
}
