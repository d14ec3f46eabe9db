//! What a program needs for its iterations to be a training run, and the inputs of
//! each iteration.

use super::dataset::DatasetRoots;
use super::parameters::RunParameters;
use crate::digest::{Root, TrainingSeed};
use crate::program::{BatchAxis, Dim, Dtype, Extent, Form, Op, Program, TrainingOp, ValueId};
use crate::trace::header;
use alloc::vec::Vec;

/// Why a program's iterations are no training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingProgramError {
    /// The program continues no state.
    #[error("expected a program with states, got one without; build it with a list of outputs")]
    Stateless,
    /// The inputs after the states are not seed and t.
    #[error("expected input {0} to be the seed (8×1 i32, shared) or t (1×1 i32, shared)")]
    Random(usize),
    /// No step draws samples.
    #[error("expected a step draw, got a program without one; draw batches inside the program")]
    NoDraw,
    /// A draw does not read the inputs seed and t.
    #[error("expected draw, value {}, to read the inputs seed and t", .0.0)]
    Draw(ValueId),
    /// Two draws are of different numbers of samples.
    #[error("expected every draw to be of {expected} samples, got {got}")]
    Samples {
        /// The number of the first draw.
        expected: u32,
        /// The number of another.
        got: u32,
    },
    /// An input after t is no tensor of a dataset.
    #[error("expected input {input} to be a shared tensor of {samples} rows")]
    Dataset {
        /// The input.
        input: usize,
        /// The number of samples.
        samples: u32,
    },
}

/// The parts of a program whose iterations are a training run (spec §19). Its inputs
/// are the states, seed (8×1), t (1×1), then the dataset's tensors, a row a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingProgram {
    states: usize,
    tensors: usize,
    samples: u32,
    draws: Vec<ValueId>,
}

impl TrainingProgram {
    /// The parts of a program.
    ///
    /// # Errors
    /// [`TrainingProgramError`] names what is missing.
    pub fn of(program: &Program) -> Result<TrainingProgram, TrainingProgramError> {
        let (states, inputs) = (program.states(), program.inputs());
        if states == 0 {
            return Err(TrainingProgramError::Stateless);
        }
        for (input, rows) in [(states, 8), (states + 1, 1)] {
            let expected = Form::shared(Dim::fixed(rows), Dim::fixed(1), Dtype::I32);
            if inputs.get(input) != Some(&expected) {
                return Err(TrainingProgramError::Random(input));
            }
        }
        // Exact: at most 4096 inputs.
        let random = [ValueId(states as u32), ValueId(states as u32 + 1)];
        let (mut draws, mut samples) = (Vec::new(), None);
        for (value, step) in (inputs.len() as u32..).map(ValueId).zip(program.steps()) {
            let Op::Training(TrainingOp::Draw { samples: got }) = step.op else { continue };
            if step.inputs != random {
                return Err(TrainingProgramError::Draw(value));
            }
            let expected = *samples.get_or_insert(got);
            if got != expected {
                return Err(TrainingProgramError::Samples { expected, got });
            }
            draws.push(value);
        }
        let samples = samples.ok_or(TrainingProgramError::NoDraw)?;
        for (input, form) in inputs.iter().enumerate().skip(states + 2) {
            if form.batch != BatchAxis::None || form.rows != Dim::fixed(samples) {
                return Err(TrainingProgramError::Dataset { input, samples });
            }
        }
        Ok(TrainingProgram { states, tensors: inputs.len() - states - 2, samples, draws })
    }

    /// The number of states.
    pub fn states(&self) -> usize {
        self.states
    }

    /// The number of the dataset's tensors, which are the inputs after t.
    pub fn tensors(&self) -> usize {
        self.tensors
    }

    /// The number of samples.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// The steps that draw samples.
    pub fn draws(&self) -> &[ValueId] {
        &self.draws
    }

    /// Whether a dataset has the program's samples and tensors.
    pub fn takes(&self, dataset: &DatasetRoots) -> bool {
        dataset.rows == u64::from(self.samples) && dataset.roots.len() == self.tensors
    }

    /// The commitments of an iteration's inputs, in order: the states', seed's and
    /// t's, then the dataset's.
    pub fn input_roots(
        &self,
        states: &[Root],
        seed: &TrainingSeed,
        t: u64,
        dataset: &DatasetRoots,
    ) -> Vec<Root> {
        let mut roots = Vec::with_capacity(states.len() + 2 + dataset.roots.len());
        roots.extend(states);
        roots.extend([seed_root(seed), iteration_root(t)]);
        roots.extend(&dataset.roots);
        roots
    }

    /// What the header of an iteration's trace has as its input
    /// ([`header::input_root`]), from the states' commitments.
    pub fn header_input(
        &self,
        parameters: &RunParameters,
        states: &[Root],
        t: u64,
        dataset: &DatasetRoots,
    ) -> Root {
        let roots = self.input_roots(states, &parameters.seed, t, dataset);
        header::input_root(&parameters.run, &roots)
    }
}

/// The commitment of the seed as a tensor: i32, 8×1, its bytes the seed's.
pub fn seed_root(seed: &TrainingSeed) -> Root {
    column_root(8, seed.as_bytes())
}

/// The commitment of an iteration's number as a tensor: i32, 1×1. A run's numbers
/// are below 2^31.
pub fn iteration_root(t: u64) -> Root {
    // The low four bytes are the entry.
    let bytes = t.to_le_bytes();
    column_root(1, bytes.get(..4).unwrap_or_default())
}

/// The commitment of a column of i32 entries, from the bytes of its true rows.
pub fn column_root(rows: u32, entries: &[u8]) -> Root {
    let padded = Extent { rows, columns: 1, dtype: Dtype::I32 }.bytes();
    let mut hasher = blake3::Hasher::new();
    hasher.update(entries);
    // The padding is below 32 rows.
    let zeros = usize::try_from(padded).unwrap_or(usize::MAX).saturating_sub(entries.len());
    hasher.update([0; 128].get(..zeros).unwrap_or_default());
    Root(*hasher.finalize().as_bytes())
}
