//! Runs: iterations one after another, with checkpoints.

mod checkpoint;
mod lock;
mod loss;
mod totals;

pub use checkpoint::CheckpointError;
pub use lock::RunLock;
pub use loss::Loss;
pub use totals::RunTotals;

use crate::dataset::Dataset;
use crate::iteration::{Iteration, Source};
use poai_core::program::{Dtype, Extent};
use poai_engine::execute::{
    Device, Inputs, MinedStep, RunError, RunOptions, Session, SharedInput, Tensor, TensorError,
    Trace,
};
use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// The most settings of a run.
const SETTINGS_MAX: usize = 64;
/// The most bytes of a setting's name, and of its value.
const SETTING_BYTES_MAX: usize = 1024;

/// Why a run cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The iteration takes its batches as inputs, or another number of samples.
    #[error("expected an iteration that draws from {expected} samples, got one that {got}")]
    Source {
        /// The samples of the dataset.
        expected: u32,
        /// What the iteration does.
        got: String,
    },
    /// The states are not those of the iteration.
    #[error("expected {expected} states, got {got}; start from `initial`")]
    States {
        /// The iteration's states.
        expected: usize,
        /// The number of states.
        got: usize,
    },
    /// A state has another shape or type.
    #[error(
        "state {index}: expected {expected:?} rows and columns of i32, got {got:?}; start from `initial`"
    )]
    State {
        /// The state's number.
        index: usize,
        /// Rows and columns of the iteration's state.
        expected: (u32, u32),
        /// Rows and columns of the tensor.
        got: (u32, u32),
    },
    /// The dataset was made for other layers.
    #[error(
        "{what}: expected {expected} for the iteration, got {got}; make the dataset for its layers"
    )]
    Dataset {
        /// Its samples or its labels.
        what: &'static str,
        /// Rows, columns and type of the iteration's input.
        expected: String,
        /// Those of the dataset.
        got: String,
    },
    /// A checkpoint has no room for a setting.
    #[error(
        "expected at most {SETTINGS_MAX} settings of at most {SETTING_BYTES_MAX} bytes, got {0:?} beyond; \
         bind the value's hash"
    )]
    Setting(String),
    /// All iterations are done.
    #[error("expected an iteration below {0}, got none left; make a run of more iterations")]
    Done(u32),
    /// An iteration failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// An input is no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What one iteration gave.
#[derive(Debug)]
#[non_exhaustive]
pub struct IterationReport {
    /// The iteration, from 0.
    pub t: u32,
    /// The loss and the right answers of its batch, before the update.
    pub loss: Loss,
    /// The mining results of its products, if the caller requested mining.
    pub mined: Vec<MinedStep>,
    /// The trace, if the caller requested one.
    pub trace: Option<Trace>,
}

/// A run of training.
///
/// The same iteration, dataset, seed and initial states give the same states on
/// every machine, with any number of threads.
#[derive(Debug)]
pub struct TrainingRun {
    session: Session,
    iteration: Iteration,
    dataset: Dataset,
    seed: [u8; 32],
    seed_input: SharedInput,
    states: Vec<SharedInput>,
    t: u32,
    total: u32,
    history: Vec<Loss>,
    totals: RunTotals,
    settings: Vec<(String, String)>,
}

impl TrainingRun {
    /// A run from initial states. The seed orders samples and rounds gradients.
    ///
    /// # Errors
    /// [`TrainError`].
    pub fn new(
        iteration: Iteration,
        dataset: Dataset,
        states: Vec<Tensor>,
        seed: [u8; 32],
        device: Arc<dyn Device>,
    ) -> Result<TrainingRun, TrainError> {
        let total = match iteration.source() {
            Source::Drawn { samples, rates } if *samples == dataset.count() => rates.len(),
            Source::Drawn { samples, .. } => {
                let got = format!("draws from {samples}");
                return Err(TrainError::Source { expected: dataset.count(), got });
            }
            Source::Given => {
                let got = "takes its batches as inputs".into();
                return Err(TrainError::Source { expected: dataset.count(), got });
            }
        };
        check_states(&iteration, states.iter())?;
        check_dataset(&iteration, &dataset)?;
        let words = seed.as_chunks::<4>().0.iter().map(|&word| i32::from_le_bytes(word));
        let seed_input = shared(Tensor::new(8, 1, Dtype::I32, &words.collect::<Vec<_>>())?);
        let session = iteration.network().clone().on(device)?;
        let states = states.into_iter().map(shared).collect();
        // Exact: at most 2^24 rates.
        let (t, total) = (0, total as u32);
        Ok(TrainingRun {
            session,
            iteration,
            dataset,
            seed,
            seed_input,
            states,
            t,
            total,
            history: vec![],
            totals: RunTotals::default(),
            settings: vec![],
        })
    }

    /// Binds a setting, such as the length of segments: a checkpoint of this run then has
    /// it, and a run with another value refuses that checkpoint. Program, dataset, seed,
    /// batch and iterations are bound always. A name that was bound gets the new value.
    ///
    /// # Errors
    /// [`TrainError::Setting`]: more than 64 settings, or 1024 bytes.
    pub fn bind(&mut self, name: &str, value: impl Display) -> Result<(), TrainError> {
        let (name, value) = (name.to_owned(), value.to_string());
        let place = self.settings.iter().position(|(own, _)| *own == name);
        let place = place.unwrap_or(self.settings.len());
        if place >= SETTINGS_MAX || name.len().max(value.len()) > SETTING_BYTES_MAX {
            return Err(TrainError::Setting(name.chars().take(40).collect()));
        }
        match self.settings.get_mut(place) {
            Some(own) => own.1 = value,
            None => self.settings.push((name, value)),
        }
        Ok(())
    }

    /// Runs the next iteration, untraced.
    ///
    /// # Errors
    /// [`TrainError`]. The states stay as they were.
    pub fn step(&mut self) -> Result<IterationReport, TrainError> {
        self.step_with(&RunOptions::new(), false)
    }

    /// Runs the next iteration, and commits every tensor of it.
    ///
    /// # Errors
    /// [`TrainError`]. The states stay as they were.
    pub fn trace(&mut self) -> Result<IterationReport, TrainError> {
        self.step_with(&RunOptions::new(), true)
    }

    /// Runs iterations, untraced, until all are done or the caller breaks: to
    /// show progress, to save, or to stop early.
    ///
    /// # Errors
    /// [`TrainError`] of the iteration that failed. The states are those before it.
    pub fn train(
        &mut self,
        mut after: impl FnMut(&TrainingRun, &IterationReport) -> Result<ControlFlow<()>, TrainError>,
    ) -> Result<(), TrainError> {
        while self.t < self.total {
            let report = self.step()?;
            if after(self, &report)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Runs the next iteration with options, traced or not.
    ///
    /// # Errors
    /// [`TrainError`]. The states stay as they were.
    pub fn step_with(
        &mut self,
        options: &RunOptions,
        traced: bool,
    ) -> Result<IterationReport, TrainError> {
        if self.t == self.total {
            return Err(TrainError::Done(self.total));
        }
        let start = Instant::now();
        let inputs = Inputs::shared(self.iteration.shape(), self.inputs()?);
        let (outputs, mined, trace) = if traced {
            let run = self.session.trace_with(inputs, options)?;
            (run.outputs, run.mined, Some(run.trace))
        } else {
            let run = self.session.run_with(inputs, options)?;
            (run.outputs, run.mined, None)
        };
        let count = self.states.len();
        let logits = outputs.get(count).ok_or(RunError::Layout)?;
        let columns = logits.extent().columns as usize;
        let kind = self.iteration.loss();
        let batch = self.iteration.shape().batch;
        let labels = self.dataset.drawn_labels(&self.seed, self.t, batch);
        let loss = Loss::of(kind, &logits.entries(), &labels, columns);
        let values = self.iteration.network().program().outputs();
        let tree = |index: usize| {
            let value = values.get(index)?;
            trace.as_ref().and_then(|trace| trace.tree(*value)).cloned()
        };
        self.states = outputs
            .into_iter()
            .take(count)
            .enumerate()
            .map(|(index, tensor)| SharedInput { tensor, tree: tree(index) })
            .collect();
        let t = self.t;
        self.t += 1;
        self.history.push(loss);
        let report = IterationReport { t, loss, mined, trace };
        let (program, shape) = (self.iteration.network().program(), self.iteration.shape());
        self.totals.add(program, &shape, &report, start.elapsed().as_secs_f64());
        Ok(report)
    }

    /// Goes to the state before iteration t, to execute iterations again.
    ///
    /// Losses of iterations that this run has not done are those of no answers.
    /// [`TrainingRun::totals`] counts an iteration as often as it is executed.
    ///
    /// # Errors
    /// [`TrainError::States`], [`TrainError::State`] or [`TrainError::Done`]. The
    /// run stays as it was.
    pub fn restart_at(&mut self, t: u32, states: Vec<Arc<Tensor>>) -> Result<(), TrainError> {
        check_states(&self.iteration, states.iter().map(Arc::as_ref))?;
        if t > self.total {
            return Err(TrainError::Done(self.total));
        }
        self.states = states.into_iter().map(|tensor| SharedInput { tensor, tree: None }).collect();
        self.t = t;
        self.history.resize(t as usize, Loss::default());
        Ok(())
    }

    /// The inputs of the next iteration, in the program's order.
    fn inputs(&self) -> Result<Vec<SharedInput>, TrainError> {
        // Exact: at most 2^24 iterations.
        let t = shared(Tensor::new(1, 1, Dtype::I32, &[self.t as i32])?);
        let rest = [
            self.seed_input.clone(),
            t,
            self.dataset.samples().clone(),
            self.dataset.labels().clone(),
        ];
        Ok(self.states.iter().cloned().chain(rest).collect())
    }

    /// The number of iterations that are done.
    pub fn done(&self) -> u32 {
        self.t
    }

    /// The number of all iterations.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The losses of all iterations that are done.
    pub fn history(&self) -> &[Loss] {
        &self.history
    }

    /// What all iterations that are done came to.
    pub fn totals(&self) -> &RunTotals {
        &self.totals
    }

    /// The states now, in the iteration's order.
    pub fn states(&self) -> impl Iterator<Item = &Arc<Tensor>> {
        self.states.iter().map(|state| &state.tensor)
    }

    /// The iteration.
    pub fn iteration(&self) -> &Iteration {
        &self.iteration
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The seed.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

/// Compares states with those of an iteration.
fn check_states<'a>(
    iteration: &Iteration,
    states: impl ExactSizeIterator<Item = &'a Tensor>,
) -> Result<(), TrainError> {
    let (expected, got) = (iteration.states().len(), states.len());
    if expected != got {
        return Err(TrainError::States { expected, got });
    }
    for (index, (state, tensor)) in iteration.states().iter().zip(states).enumerate() {
        let (extent, expected) = (tensor.extent(), (state.rows, state.columns));
        if (extent.rows, extent.columns) != expected || extent.dtype != Dtype::I32 {
            let got = (extent.rows, extent.columns);
            return Err(TrainError::State { index, expected, got });
        }
    }
    Ok(())
}

/// Compares a dataset's extents with the inputs of an iteration that draws.
fn check_dataset(iteration: &Iteration, dataset: &Dataset) -> Result<(), TrainError> {
    // Seed and t stand between the states and the dataset.
    let forms = iteration.network().program().inputs().iter().skip(iteration.states().len() + 2);
    let inputs = [("samples", dataset.samples()), ("labels", dataset.labels())];
    for (form, (what, input)) in forms.zip(inputs) {
        let (expected, got) = (Extent::of(form, &iteration.shape()), input.tensor.extent());
        if expected != Some(*got) {
            let text =
                |extent: &Extent| format!("{}×{} {}", extent.rows, extent.columns, extent.dtype);
            let expected = expected.map_or_else(|| "a tensor".into(), |extent| text(&extent));
            return Err(TrainError::Dataset { what, expected, got: text(got) });
        }
    }
    Ok(())
}

fn shared(tensor: Tensor) -> SharedInput {
    SharedInput { tensor: Arc::new(tensor), tree: None }
}
