//! Verifying keys as arkworks has them, and as proofs of inference do.

use ark_bn254::Bn254;
use poai_core::inference::{VerifyingKey, VerifyingKeyError};

/// The key of proofs of inference that has an arkworks key's points. Every way
/// in which this crate reads or makes a key goes through here, so that none of
/// them makes a degenerate one.
///
/// # Errors
/// As of [`VerifyingKey::new`].
pub(super) fn checked(
    key: &ark_groth16::VerifyingKey<Bn254>,
) -> Result<VerifyingKey, VerifyingKeyError> {
    let ic = key.gamma_abc_g1.clone();
    VerifyingKey::new(key.alpha_g1, key.beta_g2, key.gamma_g2, key.delta_g2, ic)
}
