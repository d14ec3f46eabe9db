//! Executing a program: its output, and where asked for its trace and what its
//! products mined.

use super::model::{Model, operand};
use super::network::Held;
use super::steps::{Done, Slots, Task};
use super::tensor::Tensor;
use super::traced::Trace;
use crate::backend::BackendError;
use crate::digest::Challenge;
use crate::miner::{Found, MineError, Miner, Options};
use crate::operand::OperandError;
use crate::params::Params;
use crate::program::{Extent, Op, RunShape, RunShapeError, ValueId};
use crate::statement::Side;
use crate::step::{Local, StepError};
use core::fmt;
use std::sync::Arc;

/// Products with at least so many (padded) columns are mined: a block takes no
/// shallower ones.
pub const MINED_K_MIN: u32 = 1024;
/// And no deeper ones.
pub const MINED_K_MAX: u32 = 16384;

/// Why a program was not executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The run has no tensors, or too large ones.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// Another number of inputs than the program has.
    #[error("{got} inputs, the program has {expected}")]
    Inputs {
        /// The program's.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// An input of another extent.
    #[error("input {input} is {got}, this run takes {expected}")]
    Input {
        /// Which input.
        input: usize,
        /// What the run takes.
        expected: Extent,
        /// What was given.
        got: Extent,
    },
    /// A step's entries have no result: an id or a length is out of range.
    #[error("step {name}: {source}")]
    Step {
        /// The step's name.
        name: String,
        /// What is wrong.
        source: StepError,
    },
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Mining failed or was cancelled.
    #[error(transparent)]
    Mine(#[from] MineError),
    /// A tensor is no operand.
    #[error(transparent)]
    Operand(#[from] OperandError),
    /// A step alone failed; named by [`ExecuteError::Step`] to callers.
    #[error(transparent)]
    Local(#[from] StepError),
    /// A tensor's bytes do not have its extent's layout: a defect of the
    /// library.
    #[error("a tensor's bytes do not have its extent's layout")]
    Layout,
}

/// Mining on the way: under which challenge, and what is kept of each product.
#[derive(Clone, Debug)]
pub struct Mining {
    /// The challenge.
    pub challenge: Challenge,
    /// Difficulty, what to keep, cancellation; for each product.
    pub options: Options,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a run leaves beside its output.
#[derive(Clone, Default)]
pub struct RunOptions {
    trace: bool,
    sums: bool,
    mining: Option<Mining>,
    progress: Option<Callback>,
}

impl RunOptions {
    /// The output alone.
    pub fn new() -> RunOptions {
        RunOptions::default()
    }

    /// Commits every tensor and keeps them all.
    pub fn trace(mut self) -> RunOptions {
        self.trace = true;
        self
    }

    /// Keeps the sums of products with weights beside the trace, four bytes
    /// for each entry: with them a checker needs not multiply.
    pub fn sums(mut self) -> RunOptions {
        self.sums = true;
        self
    }

    /// Mines every product with weights whose k a block takes.
    pub fn mine(mut self, mining: Mining) -> RunOptions {
        self.mining = Some(mining);
        self
    }

    /// Calls back after every step.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> RunOptions {
        self.progress = Some(Arc::new(callback));
        self
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("trace", &self.trace)
            .field("sums", &self.sums)
            .field("mining", &self.mining)
            .finish_non_exhaustive()
    }
}

/// What one product mined.
#[derive(Clone, Debug)]
pub struct MinedStep {
    /// The product's value.
    pub value: ValueId,
    /// Its winners, and how many tickets were drawn.
    pub found: Found,
}

/// A run's results.
#[derive(Debug)]
pub struct Run {
    /// The output.
    pub output: Arc<Tensor>,
    /// The trace, where it was asked for.
    pub trace: Option<Trace>,
    /// What was mined, product by product.
    pub mined: Vec<MinedStep>,
}

impl Model {
    /// Executes the program.
    ///
    /// # Errors
    /// [`ExecuteError`] names the input or step and what is wrong with it.
    pub fn run(
        &self,
        shape: &RunShape,
        inputs: Vec<Tensor>,
        options: &RunOptions,
    ) -> Result<Run, ExecuteError> {
        let program = self.program();
        let extents = program.extents(shape)?;
        check_inputs(program.inputs().len(), &extents, &inputs)?;
        let last_use = last_uses(self);
        let mut values: Vec<Option<Arc<Tensor>>> =
            inputs.into_iter().map(|tensor| Some(Arc::new(tensor))).collect();
        let mut trees = vec![];
        if options.trace {
            trees.extend(values.iter().flatten().map(|tensor| tensor.tree()));
        }
        let (mut mined, mut sums) = (vec![], vec![None; values.len()]);
        let total = program.steps().len();
        for index in 0..total {
            let value = ValueId((program.inputs().len() + index) as u32);
            let (output, step_sums) =
                self.step(shape, &extents, &values, value, options, &mut mined)?;
            sums.push(step_sums);
            if options.trace {
                trees.push(output.tree());
            } else {
                // What nobody reads again gives its memory back.
                for &input in &program.steps()[index].inputs {
                    if last_use[input.0 as usize] == value.0 {
                        values[input.0 as usize] = None;
                    }
                }
            }
            values.push(Some(Arc::new(output)));
            if let Some(progress) = &options.progress {
                progress(Progress { done: index + 1, total });
            }
        }
        let output = values.last().cloned().flatten().ok_or(ExecuteError::Layout)?;
        let trace = options.trace.then(|| {
            Trace::new(
                self.network.clone(),
                *shape,
                extents,
                values.into_iter().flatten().collect(),
                trees,
                sums,
            )
        });
        Ok(Run { output, trace, mined })
    }

    fn step(
        &self,
        shape: &RunShape,
        extents: &[Extent],
        values: &[Option<Arc<Tensor>>],
        value: ValueId,
        options: &RunOptions,
        mined: &mut Vec<MinedStep>,
    ) -> Result<Done, ExecuteError> {
        let program = self.program();
        let step = program.step_of(value).ok_or(ExecuteError::Layout)?;
        let local = Local::new(program, extents, *shape, value).ok_or(ExecuteError::Layout)?;
        let held = self.network.constants();
        let slots = slots(&local, &step.inputs, values, held).ok_or(ExecuteError::Layout)?;
        let keep_sums = options.sums && options.trace;
        let task = Task { model: self, local, slots, keep_sums };
        let output = match &options.mining {
            Some(mining) if mineable(&task.local) => self.mine(&task, mining, value, mined),
            _ => task.run(),
        };
        output.map_err(|error| match error {
            ExecuteError::Local(source) => ExecuteError::Step { name: step.name.clone(), source },
            other => other,
        })
    }

    /// A product with weights, mined.
    fn mine(
        &self,
        task: &Task<'_>,
        mining: &Mining,
        value: ValueId,
        mined: &mut Vec<MinedStep>,
    ) -> Result<Done, ExecuteError> {
        let Op::Linear { weights, .. } = *task.local.op else { return task.run() };
        let weights = self.weights(weights).ok_or(ExecuteError::Layout)?;
        let x = task.slots.0.first().ok_or(ExecuteError::Layout)?;
        let a = Tensor::from_bytes(x.extent, x.bytes.to_vec()).map_err(|_| ExecuteError::Layout)?;
        let a = self.backend.prepare(operand(Side::A, &a)?)?;
        let miner =
            Miner::new(Params::CONSENSUS, self.backend.clone()).map_err(BackendError::from)?;
        let round = miner.round(&mining.challenge, &weights.prepared)?;
        let product = round.mine(&a, &mining.options)?;
        mined.push(MinedStep { value, found: product.found });
        let stride = product.product.ncols();
        let sums = product.product.into_raw_vec_and_offset().0;
        let output = task.finish(&sums, stride)?;
        Ok((output, task.keep_sums.then_some(sums)))
    }
}

fn mineable(local: &Local<'_>) -> bool {
    let k = local.slot(0).padded_columns();
    matches!(local.op, Op::Linear { .. }) && (MINED_K_MIN..=MINED_K_MAX).contains(&k)
}

fn check_inputs(
    expected: usize,
    extents: &[Extent],
    inputs: &[Tensor],
) -> Result<(), ExecuteError> {
    if inputs.len() != expected {
        return Err(ExecuteError::Inputs { expected, got: inputs.len() });
    }
    for (input, (tensor, expected)) in inputs.iter().zip(extents).enumerate() {
        if tensor.extent() != expected {
            let (expected, got) = (*expected, *tensor.extent());
            return Err(ExecuteError::Input { input, expected, got });
        }
    }
    Ok(())
}

/// Which value reads each value last.
fn last_uses(model: &Model) -> Vec<u32> {
    let program = model.program();
    let mut last = vec![0; program.values()];
    for (index, step) in program.steps().iter().enumerate() {
        for input in &step.inputs {
            last[input.0 as usize] = (program.inputs().len() + index) as u32;
        }
    }
    last
}

fn slots<'a>(
    local: &Local<'_>,
    inputs: &[ValueId],
    values: &'a [Option<Arc<Tensor>>],
    held: &'a [Held],
) -> Option<Slots<'a>> {
    let mut slots = vec![];
    for input in inputs {
        slots.push(values.get(input.0 as usize)?.as_ref()?.rows());
    }
    let (constants, count) = local.op.constants();
    for constant in constants.iter().take(count) {
        slots.push(held.get(constant.0 as usize)?.tensor.rows());
    }
    Some(Slots(slots))
}
