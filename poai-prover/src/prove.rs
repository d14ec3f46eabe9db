//! Proving: a key, and a run.

use super::circuit::CircuitError;
use super::circuit::synthesis::{Built, Witness};
use super::commitment::{Salt, Salts};
use super::defect::Defect;
use super::estimate::{Held, MemoryError};
use super::groth16::{self, Stopped};
use super::keys::ProvingKey;
use super::matrices::{Matrices, Row};
use super::random::{self, RandomError};
use super::reduction::CircomReduction;
use super::system::System;
use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup, UniformRand};
use ark_groth16::Groth16;
use poai_core::inference::{
    Address, Binding, FieldElement, Groth16DecodeError, Groth16Proof, InferenceProof, Signals,
    SignalsError,
};
use poai_core::{Cancel, Cancelled, Control, Job, Progress};
use poai_engine::execute::{RunError, RunOptions, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Stages of a proof: the witness, the run, the check of all constraints, those
/// of the points, and the verification.
const STAGES: u64 = 3 + groth16::STAGES + 1;

/// Why no proof was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The input does not fit the circuit.
    #[error(transparent)]
    Circuit(CircuitError),
    /// A proof would take more memory than is available.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The program has no output on this input.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The proof does not verify: the key is for another circuit, or damaged.
    #[error(
        "expected a proof that verifies, got a false one; take the circuit's own, undamaged key"
    )]
    False,
    /// The operating system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The caller cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The circuit's output is not the executor's, or the constraints do not
    /// hold. This is a defect of the library.
    #[error("expected the program's output from the circuit, got another; report this defect")]
    Differs,
    /// The points are not a valid proof. This is a defect of the library.
    #[error(transparent)]
    Groth16Proof(#[from] Groth16DecodeError),
    /// The signals are not valid for a proof. This is a defect of the library.
    #[error(transparent)]
    Signals(#[from] SignalsError),
    /// Another defect of the library.
    #[error(transparent)]
    Defect(#[from] Defect),
}

impl From<CircuitError> for ProveError {
    fn from(error: CircuitError) -> ProveError {
        match error {
            CircuitError::Cancelled(cancelled) => ProveError::Cancelled(cancelled),
            error => ProveError::Circuit(error),
        }
    }
}

impl From<Stopped> for ProveError {
    fn from(stopped: Stopped) -> ProveError {
        match stopped {
            Stopped::Cancelled(cancelled) => cancelled.into(),
            Stopped::Defect(defect) => defect.into(),
        }
    }
}

/// Options of a proof: salts, progress and cancellation.
///
/// The unit of progress is a stage; the number of stages is the same for every
/// proof. A proof stops between two stages, and between two steps of the
/// program. A single sum of points cannot be stopped.
#[derive(Clone, Debug, Default)]
pub struct ProveOptions {
    input: Option<Salt>,
    weights: Option<Salt>,
    output: Option<Salt>,
    control: Control,
}

impl ProveOptions {
    /// Options for new salts, without progress.
    pub fn new() -> ProveOptions {
        ProveOptions::default()
    }

    /// Uses this salt for the input's commitment, which was published before.
    /// The other salts stay random. A salt must not be used for two tensors:
    /// equal commitments would show equal tensors.
    pub fn input_salt(mut self, salt: Salt) -> ProveOptions {
        self.input = Some(salt);
        self
    }

    /// Uses this salt for the commitment to the weights, which was registered
    /// before. It may serve all proofs of one network.
    pub fn weights_salt(mut self, salt: Salt) -> ProveOptions {
        self.weights = Some(salt);
        self
    }

    /// Uses this salt for the output's commitment, for one proof only.
    pub fn output_salt(mut self, salt: Salt) -> ProveOptions {
        self.output = Some(salt);
        self
    }

    /// Uses these three salts, for one proof only.
    pub fn salts(self, salts: Salts) -> ProveOptions {
        self.input_salt(salts.input).weights_salt(salts.weights).output_salt(salts.output)
    }

    /// Sets progress and cancellation.
    pub fn control(mut self, control: Control) -> ProveOptions {
        self.control = control;
        self
    }

    /// Stops the proof when `cancel` is cancelled, from any thread.
    pub fn cancel(mut self, cancel: &Cancel) -> ProveOptions {
        self.control = self.control.cancel(cancel);
        self
    }

    /// Calls `callback` after every stage.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> ProveOptions {
        self.control = self.control.progress(callback);
        self
    }
}

/// A proof, and what only its prover knows.
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
    pub salts: Salts,
}

impl Proven {
    /// The proof's canonical bytes, which may be published.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proof.to_bytes()
    }
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

/// Counts the stages that are done.
struct Stages<'a> {
    control: &'a Control,
    done: u64,
}

impl Stages<'_> {
    fn next(&mut self) -> Result<(), Cancelled> {
        self.done += 1;
        self.control.report(self.done, STAGES);
        self.control.check()
    }
}

impl ProvingKey {
    /// Executes the network and proves its output, for this job and as this
    /// prover, which alone may use the proof.
    ///
    /// Salts, and the values that hide the witness, come from the operating
    /// system. Two proofs of one input share no element but public signals.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove(&self, input: &Tensor, job: Job, prover: Address) -> Result<Proven, ProveError> {
        self.prove_with(input, job, prover, &ProveOptions::new())
    }

    /// As [`ProvingKey::prove`], with options.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove_with(
        &self,
        input: &Tensor,
        job: Job,
        prover: Address,
        options: &ProveOptions,
    ) -> Result<Proven, ProveError> {
        let ProveOptions { input: input_salt, weights, output, control } = options;
        control.check()?;
        self.circuit.estimate().check_memory(Held::RowsAndKey)?;
        let random = Salts::random()?;
        let salts = Salts {
            input: input_salt.unwrap_or(random.input),
            weights: weights.unwrap_or(random.weights),
            output: output.unwrap_or(random.output),
        };
        let mut generator = random::generator()?;
        let masks = [(); 2].map(|()| Fr::rand(&mut generator));
        let mut stages = Stages { control, done: 0 };
        let program = self.circuit.network().program();
        let (run, matrices) = (self.circuit.run(), self.circuit.matrices());
        let (program_id, macs) = (program.program_id(), program.total_macs(run));
        let binding = Binding { program: program_id, job, prover, macs };
        let (output, assignment) = self.assignment(input, &binding, salts, &mut stages)?;

        let elements = assignment.get(1..=matrices.signals).unwrap_or_default();
        let signals = Signals::new(elements.iter().copied().map(FieldElement::from).collect())?;
        let points =
            groth16::prove(&self.points, matrices, &assignment, masks, &mut || stages.next())?;
        // The prover checks the proof with its own key before it returns it.
        let prepared = ark_groth16::prepare_verifying_key(&self.points.vk);
        let holds = Groth16::<Bn254, CircomReduction>::verify_proof(&prepared, &points, elements)
            .map_err(Defect::of("expected a verdict on the proof, got an error"))?;
        if !holds {
            return Err(ProveError::False);
        }
        let proof = Groth16Proof::new(points.a, points.b, points.c)?;
        let proof = InferenceProof { proof, key: self.verifying_key.digest(), signals };
        // After the last stage there is nothing to stop.
        control.report(STAGES, STAGES);
        Ok(Proven { proof, binding, output, salts })
    }

    /// The output of the run, and an assignment that satisfies the circuit.
    fn assignment(
        &self,
        input: &Tensor,
        binding: &Binding,
        salts: Salts,
        stages: &mut Stages<'_>,
    ) -> Result<(Arc<Tensor>, Vec<Fr>), ProveError> {
        let binding = binding.signal().into();
        let witness = Witness { input: input.clone(), binding, salts };
        // The synthesis stops between steps, and counts as one stage.
        let control = stages.control.silent();
        let system = System::new(self.circuit.layout().count(), false);
        let Built { system, output } =
            self.circuit.subject.synthesise(Some(&witness), system, &control)?;
        stages.next()?;
        let run = self.circuit.run();
        let options = RunOptions::new().control(control);
        let asked = (*run, input.clone());
        let executed = self.session.run_with(asked, &options).map_err(|error| match error {
            RunError::Cancelled { .. } => ProveError::Cancelled(Cancelled),
            error => error.into(),
        })?;
        stages.next()?;
        let (_, assignment) = system.into_parts();
        if executed.output.entries() != output
            || !is_satisfied(self.circuit.matrices(), &assignment)
        {
            return Err(ProveError::Differs);
        }
        stages.next()?;
        Ok((executed.output, assignment))
    }
}

/// Whether all constraints hold.
fn is_satisfied(matrices: &Matrices, assignment: &[Fr]) -> bool {
    let value = |row: &Row| -> Fr {
        let value = |at: usize| assignment.get(at).copied().unwrap_or(Fr::ZERO);
        row.iter().map(|&(factor, at)| factor * value(at)).sum()
    };
    let rows = matrices.a.par_iter().zip(&matrices.b).zip(&matrices.c);
    rows.all(|((a, b), c)| value(a) * value(b) == value(c))
}
