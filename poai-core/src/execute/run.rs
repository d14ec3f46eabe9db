//! Executing a program: its output, and where asked for its trace and what its
//! products mined.

use super::model::Model;
use super::network::Held;
use super::resident::{Lazy, Resident, ResidentRun, Traced, ValueError};
use super::steps::{Done, Slots, Task};
use super::tensor::Tensor;
use super::traced::Trace;
use crate::backend::BackendError;
use crate::commitment::Tree;
use crate::digest::Challenge;
use crate::miner::{Found, MineError, Miner, Options};
use crate::operand::OperandError;
use crate::params::Params;
use crate::program::{Extent, Op, Program, RunShape, RunShapeError, ValueId};
use crate::statement::Side;
use crate::step::{Local, StepError};
use core::fmt;
use std::sync::{Arc, OnceLock};

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
    /// A traced tensor cannot be read.
    #[error(transparent)]
    Value(#[from] ValueError),
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

    /// Commits every tensor and keeps them all. Tensors are hashed while later
    /// steps run, for which the run moves to a thread of rayon's pool: progress
    /// is called there, and of many traced runs at once one may wait in the
    /// middle for another.
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

    /// Calls back after every step; where a device runs the program, when the
    /// step is queued there.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> RunOptions {
        self.progress = Some(Arc::new(callback));
        self
    }
}

/// What was asked for, for a [`Resident`].
impl RunOptions {
    /// Whether every tensor is committed and kept.
    pub fn is_traced(&self) -> bool {
        self.trace
    }

    /// Whether the sums of products with weights are kept.
    pub fn keeps_sums(&self) -> bool {
        self.sums && self.trace
    }

    /// What is mined.
    pub fn mining(&self) -> Option<&Mining> {
        self.mining.as_ref()
    }

    /// Calls back, where somebody wants to know.
    pub fn report(&self, progress: Progress) {
        if let Some(callback) = &self.progress {
            callback(progress);
        }
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

/// What the steps leave beside their tensors.
struct Finished {
    sums: Vec<Option<Vec<i32>>>,
    mined: Vec<MinedStep>,
}

/// What every step of a run is told.
struct StepRun<'a> {
    shape: &'a RunShape,
    extents: &'a [Extent],
    values: &'a [Option<Arc<Tensor>>],
    options: &'a RunOptions,
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
        let inputs: Vec<Arc<Tensor>> = inputs.into_iter().map(Arc::new).collect();
        if let Some(resident) = &self.resident {
            return self.run_resident(&**resident, shape, extents, inputs, options);
        }
        let mut values: Vec<Option<Arc<Tensor>>> = inputs.into_iter().map(Some).collect();
        let mut done = Finished { sums: vec![None; values.len()], mined: vec![] };
        if !options.trace {
            self.steps(shape, &extents, &mut values, options, &mut done, &|_, _| ())?;
        }
        let trees = match options.trace {
            true => Some(self.traced_steps(shape, &extents, &mut values, options, &mut done)?),
            false => None,
        };
        let output = values.last().cloned().flatten().ok_or(ExecuteError::Layout)?;
        let Finished { sums, mined } = done;
        let trace = trees.map(|trees| {
            let values = values.into_iter().flatten().map(Lazy::here).collect();
            Trace::new(self.network.clone(), *shape, extents, values, trees, sums)
        });
        Ok(Run { output, trace, mined })
    }

    /// All of it on the backend's device.
    fn run_resident(
        &self,
        resident: &dyn Resident,
        shape: &RunShape,
        extents: Vec<Extent>,
        inputs: Vec<Arc<Tensor>>,
        options: &RunOptions,
    ) -> Result<Run, ExecuteError> {
        let ResidentRun { output, traced, sums, mined } = resident.run(shape, &inputs, options)?;
        let trace = traced.map(|Traced { steps, trees }| {
            let sums = inputs.iter().map(|_| None).chain(sums).collect();
            let steps = extents.iter().skip(inputs.len()).zip(steps);
            let steps = steps.map(|(extent, kept)| Lazy::away(*extent, kept));
            let values = inputs.into_iter().map(Lazy::here).chain(steps).collect();
            Trace::new(self.network.clone(), *shape, extents, values, trees, sums)
        });
        Ok(Run { output, trace, mined })
    }

    /// Every step, and on the way the trees of all values: a tensor is hashed
    /// while later steps run, by threads that wait for others.
    fn traced_steps(
        &self,
        shape: &RunShape,
        extents: &[Extent],
        values: &mut Vec<Option<Arc<Tensor>>>,
        options: &RunOptions,
        done: &mut Finished,
    ) -> Result<Vec<Tree>, ExecuteError> {
        let trees: Vec<OnceLock<Tree>> = extents.iter().map(|_| OnceLock::new()).collect();
        // On a thread of the pool, whose queue the others take trees from.
        rayon::scope(|scope| {
            let hash = |index: usize, tensor: &Arc<Tensor>| {
                if let Some(place) = trees.get(index) {
                    let tensor = tensor.clone();
                    scope.spawn(move |_| {
                        // Nobody else sets it.
                        let _ = place.set(tensor.tree());
                    });
                }
            };
            for (index, input) in values.iter().flatten().enumerate() {
                hash(index, input);
            }
            self.steps(shape, extents, values, options, done, &hash)
        })?;
        let trees: Option<Vec<Tree>> = trees.into_iter().map(OnceLock::into_inner).collect();
        trees.ok_or(ExecuteError::Layout)
    }

    /// Every step; `finished` sees each output.
    fn steps(
        &self,
        shape: &RunShape,
        extents: &[Extent],
        values: &mut Vec<Option<Arc<Tensor>>>,
        options: &RunOptions,
        done: &mut Finished,
        finished: &dyn Fn(usize, &Arc<Tensor>),
    ) -> Result<(), ExecuteError> {
        let program = self.program();
        let last_use = last_uses(program);
        let total = program.steps().len();
        let mut memory = vec![];
        for (index, step) in program.steps().iter().enumerate() {
            let value = program.inputs().len() + index;
            let run = StepRun { shape, extents, values, options };
            // Exact: at most 2^16 + 16 values.
            let (output, sums) =
                self.step(&run, ValueId(value as u32), &mut done.mined, &mut memory)?;
            done.sums.push(sums);
            let output = Arc::new(output);
            finished(value, &output);
            values.push(Some(output));
            if !options.trace {
                // What nobody reads again gives its memory back.
                for &input in &step.inputs {
                    if last_use[input.0 as usize] as usize == value {
                        values[input.0 as usize] = None;
                    }
                }
            }
            options.report(Progress { done: index + 1, total });
        }
        Ok(())
    }

    fn step(
        &self,
        run: &StepRun<'_>,
        value: ValueId,
        mined: &mut Vec<MinedStep>,
        memory: &mut Vec<i32>,
    ) -> Result<Done, ExecuteError> {
        let &StepRun { shape, extents, values, options } = run;
        let program = self.program();
        let step = program.step_of(value).ok_or(ExecuteError::Layout)?;
        let local = Local::new(program, extents, *shape, value).ok_or(ExecuteError::Layout)?;
        let held = self.network.constants();
        let slots = slots(&local, &step.inputs, values, held).ok_or(ExecuteError::Layout)?;
        let keep_sums = options.keeps_sums();
        let task = Task { model: self, local, slots, keep_sums };
        let output = match &options.mining {
            Some(mining) if mineable(&task.local) => self.mine(&task, mining, value, mined),
            _ => task.run(memory),
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
        let Op::Linear { weights, .. } = *task.local.op else { return Err(ExecuteError::Layout) };
        let weights = self.weights(weights).ok_or(ExecuteError::Layout)?;
        let x = task.slots.0.first().ok_or(ExecuteError::Layout)?;
        let a = Tensor::from_bytes(x.extent, x.bytes.to_vec()).map_err(|_| ExecuteError::Layout)?;
        let a = self.backend.prepare(a.operand(Side::A)?)?;
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

/// Whether a step is a product whose k a block takes: those that
/// [`RunOptions::mine`] mines.
pub fn mineable(local: &Local<'_>) -> bool {
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

/// Which value reads each value last; 0 for one that none reads.
pub fn last_uses(program: &Program) -> Vec<u32> {
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
