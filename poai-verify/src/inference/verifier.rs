//! The pairing equation. The parts that depend only on the key are computed
//! once.

use super::error::{False, InferenceError, InferenceMalformed};
use alloc::vec::Vec;
use ark_bn254::{Bn254, Fr, G1Affine, G1Projective};
use ark_ec::AffineRepr;
use ark_ec::pairing::{Pairing, PairingOutput};
use ark_ff::PrimeField;
use core::ops::Neg;
use poai_core::inference::{
    Address, Binding, Groth16Proof, InferenceProof, Signals, VerifyingKey, VerifyingKeyDigest,
};
use poai_core::program::RunShape;
use poai_core::{Job, Program, ProgramId};

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

/// A verifier of one program's proofs under one verifying key.
///
/// It is built once and cheap to share.
#[derive(Clone, Debug)]
pub struct InferenceVerifier {
    program: ProgramId,
    macs: u64,
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
    /// A verifier of runs of `program`, which cost `macs` multiply-accumulates
    /// ([`Program::total_macs`]), under `key`.
    ///
    /// These three are what a registrar registers. The caller trusts them, and
    /// takes none of them from a prover: a proof shows neither that the key is
    /// for this program nor that the run costs these MACs.
    pub fn new(program: ProgramId, macs: u64, key: VerifyingKey) -> InferenceVerifier {
        InferenceVerifier {
            program,
            macs,
            digest: key.digest(),
            alpha_beta: Bn254::pairing(key.alpha(), key.beta()),
            gamma: key.gamma().neg().into(),
            delta: key.delta().neg().into(),
            key,
        }
    }

    /// A verifier of runs of this shape of a program under `key`: as
    /// [`InferenceVerifier::new`], with the program's id and
    /// [`Program::total_macs`] of the run.
    pub fn of(program: &Program, run: &RunShape, key: VerifyingKey) -> InferenceVerifier {
        InferenceVerifier::new(program.program_id(), program.total_macs(run), key)
    }

    /// A verifier of another program's runs under the same key, as for networks
    /// of one architecture with committed weights. It computes no pairing.
    pub fn for_program(&self, program: ProgramId, macs: u64) -> InferenceVerifier {
        InferenceVerifier { program, macs, ..self.clone() }
    }

    /// The program.
    pub fn program(&self) -> ProgramId {
        self.program
    }

    /// The multiply-accumulates of a run.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// The key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The digest that names the key.
    pub fn digest(&self) -> VerifyingKeyDigest {
        self.digest
    }

    /// The binding of a proof for this job and this prover.
    pub fn binding(&self, job: Job, prover: Address) -> Binding {
        Binding { program: self.program, job, prover, macs: self.macs }
    }

    /// Runs all checks on a proof's canonical bytes. `Ok` means that the proof
    /// is valid for the verifier's program and MACs, this job and this prover.
    ///
    /// The caller must compare the signals after the first with its request.
    /// Without that, a proof of any old run is valid (spec §16).
    ///
    /// # Errors
    /// [`InferenceError`] names the check that failed. Bytes that are not a
    /// proof give [`InferenceMalformed::Encoding`].
    pub fn verify(
        &self,
        job: Job,
        prover: Address,
        proof: &[u8],
    ) -> Result<InferenceVerified, InferenceError> {
        let proof = InferenceProof::from_bytes(proof).map_err(InferenceMalformed::Encoding)?;
        self.verify_proof(job, prover, &proof)
    }

    /// As [`InferenceVerifier::verify`], for a proof that was read before.
    ///
    /// # Errors
    /// [`InferenceError`] names the check that failed.
    pub fn verify_proof(
        &self,
        job: Job,
        prover: Address,
        proof: &InferenceProof,
    ) -> Result<InferenceVerified, InferenceError> {
        if proof.key != self.digest {
            return Err(False::Key { expected: self.digest, got: proof.key }.into());
        }
        self.count(&proof.signals)?;
        // This check comes before the pairing, because it costs a thousandth of
        // it.
        if proof.signals.binding() != self.binding(job, prover).signal() {
            return Err(False::Binding.into());
        }
        self.verify_signals(&proof.proof, &proof.signals)?;
        Ok(InferenceVerified { signals: proof.signals.clone(), key: self.digest })
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
        let terms = points.iter().zip(signals.elements().iter().copied().map(Fr::from));
        let sum = terms.fold(G1Projective::from(*constant), |sum, (point, signal)| {
            sum + point.mul_bigint(signal.into_bigint())
        });
        sum.into()
    }
}
