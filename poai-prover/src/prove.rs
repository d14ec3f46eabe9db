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
    Address, Binding, Groth16Proof, InferenceProof, Job, ProofDecodeError, Signals, SignalsError,
    VerifyingKey, VerifyingKeyError,
};
use poai_engine::execute::{ExecuteError, Model, RunOptions, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Why there is no prover or no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// No circuit.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The key has another size than the circuit's: it is for another one.
    #[error("the key is for {got} {what}, the circuit has {expected}: it is another circuit's")]
    Key {
        /// Of what.
        what: &'static str,
        /// The circuit's.
        expected: usize,
        /// The key's.
        got: usize,
    },
    /// The key's points are no verifying key.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyingKeyError),
    /// There is no memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The program has no output on this input.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The circuit's output is not the executor's, or its constraints do not
    /// hold: a defect of the library.
    #[error("the circuit does not compute what the program does")]
    Differs,
    /// The proof that was made does not verify: the key is another circuit's.
    #[error("the proof does not verify: the key is another circuit's, or damaged")]
    False,
    /// Groth16 failed: a defect of the library.
    #[error("no proof: {0}")]
    Synthesis(SynthesisError),
    /// Points that are no proof: a defect of the library.
    #[error(transparent)]
    Groth16Proof(#[from] ProofDecodeError),
    /// Signals that no proof has: a defect of the library.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// No commitment: a defect of the library.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
}

/// Who proves, and for which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct For {
    /// The requester's name for the job.
    pub job: Job,
    /// Who may use the proof.
    pub prover: Address,
}

/// A proof, and what its prover alone knows.
#[derive(Clone)]
pub struct Proven {
    /// The proof, for everybody.
    pub proof: InferenceProof,
    /// What it is bound to.
    pub binding: Binding,
    /// The program's output.
    pub output: Arc<Tensor>,
    /// The salts of input, weights and output: whoever gets one with the tensor
    /// can check the commitment.
    pub salts: [Salt; 3],
}

impl std::fmt::Debug for Proven {
    /// Nothing that the proof hides.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proven")
            .field("proof", &self.proof)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// A circuit with its key.
#[derive(Debug)]
pub struct Prover {
    circuit: Circuit,
    /// A, B and C.
    rows: [Vec<Row>; 3],
    signals: usize,
    key: ProvingKey<Bn254>,
    verifying_key: VerifyingKey,
    model: Model,
}

impl Prover {
    /// A prover of a circuit with a key that was made for it: by
    /// [`super::setup`], or read from a file whose header says so.
    ///
    /// # Errors
    /// [`ProveError::Key`] for a key of another size, and
    /// [`ProveError::Memory`], with the estimate, where a proof would not fit.
    pub fn new(circuit: Circuit, key: ProvingKey<Bn254>) -> Result<Prover, ProveError> {
        // Counted first, and refused, before any row is kept.
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
        let model = Model::new((**circuit.network()).clone(), cpu)?;
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

    /// Executes the program and proves its output; `rng` gives the salts and
    /// what hides the witness, so that two proofs of one input have nothing in
    /// common.
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

    /// The same with given salts: where a commitment was published before.
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

    /// The same with `[r, s]`, which hide the witness. Compiled here, once, and not
    /// again by all who call it with some source of randomness.
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
        let executed = self.model.run(run, vec![input.clone()], &RunOptions::new())?;
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
        // A prover never hands out what its own key refuses.
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
/// [`VerifyingKeyError`] for points that are none, and for degenerate keys.
pub fn verifying_key(key: &ProvingKey<Bn254>) -> Result<VerifyingKey, VerifyingKeyError> {
    verifying::checked(&key.vk)
}
