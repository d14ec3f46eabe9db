//! Proving: a circuit, its key, and a run.

use super::circuit::{Built, Circuit, CircuitError, Witness};
use super::commitment::{CommitmentError, Salt};
use super::estimate::{Estimate, MemoryError};
use super::matrices::{Matrices, Row};
use super::reduction::CircomReduction;
use super::verifying;
use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup, UniformRand};
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::SynthesisError;
use ark_std::rand::{CryptoRng, RngCore};
use poai_core::inference::{
    Address, Binding, Groth16DecodeError, Groth16Proof, InferenceProof, Job, Signals, SignalsError,
    VerifyingKey, VerifyingKeyError,
};
use poai_engine::execute::{RunError, Session, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Why a prover or a proof cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The program has no circuit.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The key has another size than the circuit, so it is for another circuit.
    #[error("expected a key for {expected} {what}, got one for {got}; take the circuit's own key")]
    Key {
        /// What was counted.
        what: &'static str,
        /// The circuit's number.
        expected: usize,
        /// The key's number.
        got: usize,
    },
    /// The key's points are not a valid verifying key.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyingKeyError),
    /// There is not enough memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The program has no output on this input.
    #[error(transparent)]
    Execute(#[from] RunError),
    /// The circuit's output is not the executor's, or the constraints do not
    /// hold. This is a defect of the library.
    #[error("expected the program's output from the circuit, got another; report this defect")]
    Differs,
    /// The proof does not verify: the key is for another circuit, or damaged.
    #[error(
        "expected a proof that verifies, got a false one; take the circuit's own, undamaged key"
    )]
    False,
    /// Groth16 failed. This is a defect of the library.
    #[error("expected a proof from Groth16, got an error: {0}")]
    Synthesis(SynthesisError),
    /// The points are not a valid proof. This is a defect of the library.
    #[error(transparent)]
    Groth16Proof(#[from] Groth16DecodeError),
    /// The signals are not valid for a proof. This is a defect of the library.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// The commitment cannot be computed. This is a defect of the library.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
}

/// The job and the prover that a proof is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct For {
    /// The requester's name for the job.
    pub job: Job,
    /// The prover, which alone may use the proof.
    pub prover: Address,
}

/// A proof, and the salts that only its prover knows.
#[derive(Clone)]
pub struct Proven {
    /// The proof, which may be published.
    pub proof: InferenceProof,
    /// The binding of the proof.
    pub binding: Binding,
    /// The program's output.
    pub output: Arc<Tensor>,
    /// The salts of input, weights and output. A party that has one of them and
    /// the tensor can check the commitment.
    pub salts: [Salt; 3],
}

impl std::fmt::Debug for Proven {
    /// Omits everything that the proof hides.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proven")
            .field("proof", &self.proof)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// A circuit with its key, which makes proofs.
#[derive(Debug)]
pub struct Prover {
    circuit: Circuit,
    /// The rows of A, B and C.
    rows: [Vec<Row>; 3],
    signals: usize,
    key: ProvingKey<Bn254>,
    verifying_key: VerifyingKey,
    model: Session,
}

impl Prover {
    /// A prover of a circuit, with a key that was made for it by
    /// [`super::setup`], or read from a file whose header names the circuit.
    ///
    /// # Errors
    /// - [`ProveError::Key`] for a key of another size.
    /// - [`ProveError::Memory`], with the estimate, if a proof would not fit in
    ///   memory.
    pub fn new(circuit: Circuit, key: ProvingKey<Bn254>) -> Result<Prover, ProveError> {
        // Counts the circuit first, and rejects it before any row is kept.
        Estimate::of(&circuit.build(None, false)?.system).check_memory()?;
        let (matrices, _) = circuit.build(None, true)?.system.into_parts();
        for (what, expected, got) in [
            ("signals", matrices.signals + 1, key.vk.gamma_abc_g1.len()),
            ("variables", matrices.variables, key.a_query.len()),
            ("witnesses", matrices.variables - matrices.signals - 1, key.l_query.len()),
        ] {
            if expected != got {
                return Err(ProveError::Key { what, expected, got });
            }
        }
        let verifying_key = verifying_key(&key)?;
        let cpu = Arc::new(poai_engine::Cpu::new());
        let model = Session::new((**circuit.network()).clone(), cpu)?;
        let Matrices { a, b, c, signals, .. } = matrices;
        Ok(Prover { circuit, rows: [a, b, c], signals, key, verifying_key, model })
    }

    /// The circuit.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying_key
    }

    /// Executes the program and proves its output.
    ///
    /// `rng` gives the salts and the values that hide the witness, so that two
    /// proofs of one input share no element but public signals.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove<R: RngCore + CryptoRng>(
        &self,
        input: &Tensor,
        what_for: &For,
        rng: &mut R,
    ) -> Result<Proven, ProveError> {
        let salts = [(); 3].map(|()| {
            let mut salt = [0; 31];
            rng.fill_bytes(&mut salt);
            Salt(salt)
        });
        self.prove_salted(input, what_for, salts, rng)
    }

    /// As [`Prover::prove`], with given salts, for a commitment that was
    /// published before.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove_salted<R: RngCore + CryptoRng>(
        &self,
        input: &Tensor,
        what_for: &For,
        salts: [Salt; 3],
        rng: &mut R,
    ) -> Result<Proven, ProveError> {
        let masks = [(); 2].map(|()| Fr::rand(rng));
        self.prove_masked(input, what_for, salts, masks)
    }

    /// As [`Prover::prove_salted`], with `[r, s]`, which hide the witness.
    ///
    /// This function is not generic, so that it is compiled once in this crate and not again for
    /// each source of randomness.
    fn prove_masked(
        &self,
        input: &Tensor,
        what_for: &For,
        salts: [Salt; 3],
        [r, s]: [Fr; 2],
    ) -> Result<Proven, ProveError> {
        let (program, run) = (self.circuit.network().program(), self.circuit.run());
        let binding = Binding {
            program: program.program_id(),
            job: what_for.job,
            prover: what_for.prover,
            macs: program.total_macs(run),
        };
        let witness = Witness { input: input.clone(), binding: binding.signal(), salts };
        let Built { system, output } = self.circuit.build(Some(&witness), false)?;
        let executed = self.model.run((*run, vec![input.clone()]))?;
        let assignment = system.assignment();
        if executed.output.entries() != output || !self.is_satisfied(assignment) {
            return Err(ProveError::Differs);
        }
        let signals = Signals::new(assignment[1..=self.signals].to_vec())?;
        let points = Groth16::<Bn254, CircomReduction>::create_proof_with_reduction_and_matrices(
            &self.key,
            r,
            s,
            &self.rows,
            self.signals + 1,
            self.rows[0].len(),
            assignment,
        );
        let points = points.map_err(ProveError::Synthesis)?;
        // The prover checks the proof with its own key before it returns it.
        let prepared = ark_groth16::prepare_verifying_key(&self.key.vk);
        let holds =
            Groth16::<Bn254, CircomReduction>::verify_proof(&prepared, &points, signals.elements());
        if !holds.map_err(ProveError::Synthesis)? {
            return Err(ProveError::False);
        }
        let proof = Groth16Proof::new(points.a, points.b, points.c)?;
        let proof = InferenceProof { proof, key: self.verifying_key.digest(), signals };
        Ok(Proven { proof, binding, output: executed.output, salts })
    }
}

impl Prover {
    /// Whether all constraints hold.
    fn is_satisfied(&self, assignment: &[Fr]) -> bool {
        let value = |row: &Row| -> Fr {
            let value = |at: usize| assignment.get(at).copied().unwrap_or(Fr::ZERO);
            row.iter().map(|&(factor, at)| factor * value(at)).sum()
        };
        let [a, b, c] = &self.rows;
        let rows = a.par_iter().zip(b).zip(c);
        rows.all(|((a, b), c)| value(a) * value(b) == value(c))
    }
}

/// The verifying half of a proving key.
///
/// # Errors
/// [`VerifyingKeyError`] for invalid points, and for degenerate keys.
pub fn verifying_key(key: &ProvingKey<Bn254>) -> Result<VerifyingKey, VerifyingKeyError> {
    verifying::checked(&key.vk)
}
