//! The pairing equation, with all of it that is the key's computed once.

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

/// A proof of inference that holds, under the key of the verifier that says so.
/// It can only be had from one.
///
/// It says that the signals are what the key's circuit permits. Which program,
/// visibility, run (batch, sequence) and MACs a key stands for, whoever
/// registered it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InferenceVerified {
    /// The public inputs, the binding first. **Compare the others**: input, weights
    /// and output are what the prover chose until they are compared with what was
    /// asked for (spec §16, `Layout::split`).
    pub signals: Signals,
    /// The key. It is of one run: batch and sequence are no signals, so keep them
    /// beside the digest.
    pub key: VerifyingKeyDigest,
}

/// Checks proofs of one verifying key. Built once, cheap to share.
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
    /// A verifier with a key that the caller trusts: never one that came with a
    /// proof.
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

    /// The key's name.
    pub fn digest(&self) -> VerifyingKeyDigest {
        self.digest
    }

    /// Everything: on `Ok` the proof holds, for this program, job, prover and
    /// MACs. What the signals after the first say is left to compare with what
    /// was asked for: without that, a proof of any old run holds (spec §16).
    ///
    /// # Errors
    /// [`InferenceError`] names the check that failed.
    pub fn verify(
        &self,
        binding: &Binding,
        proof: &InferenceProof,
    ) -> Result<InferenceVerified, InferenceError> {
        if proof.key != self.digest {
            return Err(InferenceMalformed::Key { expected: self.digest, got: proof.key }.into());
        }
        self.count(&proof.signals)?;
        // Before the pairing: it costs a thousandth of it.
        if proof.signals.binding() != binding.signal() {
            return Err(False::Binding.into());
        }
        self.verify_signals(&proof.proof, &proof.signals)?;
        Ok(InferenceVerified { signals: proof.signals.clone(), key: self.digest })
    }

    /// [`InferenceVerifier::verify`] of canonical bytes.
    ///
    /// # Errors
    /// [`InferenceError`], for bytes that are no proof [`InferenceMalformed::Encoding`].
    pub fn verify_bytes(
        &self,
        binding: &Binding,
        proof: &[u8],
    ) -> Result<InferenceVerified, InferenceError> {
        let proof = InferenceProof::decode(proof).map_err(InferenceMalformed::Encoding)?;
        self.verify(binding, &proof)
    }

    /// The pairing equation alone: e(A, B) = e(α, β) · e(L, γ) · e(C, δ), where
    /// L is the signals' combination of the key's points. It does not say what
    /// the signals are about.
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
