//! The pairing equation. The parts that depend only on the key are computed
//! once.

use super::error::{False, InferenceError, InferenceMalformed};
use alloc::vec::Vec;
use ark_bn254::{Bn254, G1Affine, G1Projective};
use ark_ec::AffineRepr;
use ark_ec::pairing::{Pairing, PairingOutput};
use ark_ff::PrimeField;
use core::ops::Neg;
use poai_core::inference::{
    Binding, Groth16Proof, InferenceProof, Signals, VerifyingKey, VerifyingKeyDigest,
};

type Prepared = <Bn254 as Pairing>::G2Prepared;

/// A valid inference proof, under the key of the verifier that returned it.
///
/// Only a verifier can make this value.
///
/// It states that the key's circuit permits the signals. The registrar of the
/// key states which program, visibility, run (batch, sequence) and MACs the key
/// is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InferenceVerified {
    /// The public inputs, the binding first.
    ///
    /// **Compare the others with your request.** Until then, the prover may have chosen any input,
    /// weights and output (spec §16, `Layout::split`).
    pub signals: Signals,
    /// The key's digest. A key is for one run. Batch and sequence are not signals, so store them
    /// with the digest.
    pub key: VerifyingKeyDigest,
}

/// A verifier of proofs under one verifying key.
///
/// It is built once and cheap to share.
#[derive(Clone, Debug)]
pub struct InferenceVerifier {
    key: VerifyingKey,
    digest: VerifyingKeyDigest,
    /// e(α, β).
    alpha_beta: PairingOutput<Bn254>,
    /// −γ.
    gamma: Prepared,
    /// −δ.
    delta: Prepared,
}

impl InferenceVerifier {
    /// A verifier with a key that the caller trusts. Never use a key that came
    /// with a proof.
    pub fn new(key: VerifyingKey) -> InferenceVerifier {
        InferenceVerifier {
            digest: key.digest(),
            alpha_beta: Bn254::pairing(key.alpha(), key.beta()),
            gamma: key.gamma().neg().into(),
            delta: key.delta().neg().into(),
            key,
        }
    }

    /// The key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The digest that names the key.
    pub fn digest(&self) -> VerifyingKeyDigest {
        self.digest
    }

    /// Runs all checks. `Ok` means that the proof is valid for this program,
    /// job, prover and MACs.
    ///
    /// The caller must compare the signals after the first with its request.
    /// Without that, a proof of any old run is valid (spec §16).
    ///
    /// # Errors
    /// [`InferenceError`] names the check that failed.
    pub fn verify(
        &self,
        binding: &Binding,
        proof: &InferenceProof,
    ) -> Result<InferenceVerified, InferenceError> {
        if proof.key != self.digest {
            return Err(False::Key { expected: self.digest, got: proof.key }.into());
        }
        self.count(&proof.signals)?;
        // This check comes before the pairing, because it costs a thousandth of
        // it.
        if proof.signals.binding() != binding.signal() {
            return Err(False::Binding.into());
        }
        self.verify_signals(&proof.proof, &proof.signals)?;
        Ok(InferenceVerified { signals: proof.signals.clone(), key: self.digest })
    }

    /// As [`InferenceVerifier::verify`], for canonical bytes.
    ///
    /// # Errors
    /// [`InferenceError`]. Bytes that are not a proof give [`InferenceMalformed::Encoding`].
    pub fn verify_bytes(
        &self,
        binding: &Binding,
        proof: &[u8],
    ) -> Result<InferenceVerified, InferenceError> {
        let proof = InferenceProof::from_bytes(proof).map_err(InferenceMalformed::Encoding)?;
        self.verify(binding, &proof)
    }

    /// Checks only the pairing equation: e(A, B) = e(α, β) · e(L, γ) · e(C, δ),
    /// where L is the signals' combination of the key's points.
    ///
    /// It does not check what the signals mean.
    ///
    /// # Errors
    /// [`InferenceMalformed::Signals`], [`False::Pairing`].
    pub fn verify_signals(
        &self,
        proof: &Groth16Proof,
        signals: &Signals,
    ) -> Result<(), InferenceError> {
        self.count(signals)?;
        let combination = self.combination(signals);
        let points: [G1Affine; 3] = [*proof.a(), combination, *proof.c()];
        let others: Vec<Prepared> =
            Vec::from([Prepared::from(*proof.b()), self.gamma.clone(), self.delta.clone()]);
        let product = Bn254::final_exponentiation(Bn254::multi_miller_loop(points, others));
        match product {
            Some(product) if product == self.alpha_beta => Ok(()),
            _ => Err(False::Pairing.into()),
        }
    }

    fn count(&self, signals: &Signals) -> Result<(), InferenceMalformed> {
        let (expected, got) = (self.key.signals(), signals.elements().len());
        if expected == got { Ok(()) } else { Err(InferenceMalformed::Signals { expected, got }) }
    }

    /// ic₀ + Σ signalᵢ · icᵢ₊₁.
    fn combination(&self, signals: &Signals) -> G1Affine {
        let Some((constant, points)) = self.key.ic().split_first() else {
            return G1Affine::identity();
        };
        let terms = points.iter().zip(signals.elements());
        let sum = terms.fold(G1Projective::from(*constant), |sum, (point, signal)| {
            sum + point.mul_bigint(signal.into_bigint())
        });
        sum.into()
    }
}
