//! Executing a program: its output and, if requested, its trace and the mining
//! results of its products.

use super::device::{Resident, ResidentRun, Traced};
use super::error::RunError;
use super::host::Host;
use super::lazy::Lazy;
use super::network::Held;
use super::options::{MinedStep, Mining, RunOptions, last_uses, mineable};
use super::task::{Done, Slots, Task};
use super::tensor::{Tensor, rows_operand};
use super::trace::{OpenError, Trace};
use crate::miner::{MineError, Miner};
use poai_core::control::Cancelled;
use poai_core::digest::{Beacon, Job, Prover};
use poai_core::program::ops::Local;
use poai_core::program::{Extent, Op, Program, RunShape, ValueId};
use poai_core::puzzle::commitment::Tree;
use poai_core::puzzle::statement::Side;
use poai_core::trace::{Answer, Audit, Demand, Receipt};
use std::borrow::Borrow;
use std::sync::{Arc, OnceLock};

/// A run's results.
#[derive(Debug)]
#[non_exhaustive]
pub struct Run {
    /// The last of the outputs, which is the only one unless the program lists
    /// its outputs.
    pub output: Arc<Tensor>,
    /// All outputs, in the program's order. The first continue the states.
    pub outputs: Vec<Arc<Tensor>>,
    /// The mining results, one per product, if the caller requested mining.
    pub mined: Vec<MinedStep>,
}

/// A traced run's results.
#[derive(Debug)]
#[non_exhaustive]
pub struct TracedRun {
    /// The last of the outputs, which is the only one unless the program lists
    /// its outputs.
    pub output: Arc<Tensor>,
    /// All outputs, in the program's order. The first continue the states.
    pub outputs: Vec<Arc<Tensor>>,
    /// The trace, which makes receipts, audits, fraud proofs, answers and links.
    pub trace: Trace,
    /// The mining results, one per product, if the caller requested mining.
    pub mined: Vec<MinedStep>,
}

impl TracedRun {
    /// [`Trace::receipt`].
    pub fn receipt(&self, job: Job, prover: Prover) -> Receipt {
        self.trace.receipt(job, prover)
    }

    /// [`Trace::audit`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn audit(&self, receipt: &Receipt, beacon: &Beacon) -> Result<Audit, OpenError> {
        self.trace.audit(receipt, beacon)
    }

    /// [`Trace::answer`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn answer(&self, receipt: &Receipt, demand: &Demand) -> Result<Answer, OpenError> {
        self.trace.answer(receipt, demand)
    }
}

/// The results of a run, traced or not.
pub(super) struct Finished {
    pub(super) outputs: Vec<Arc<Tensor>>,
    pub(super) trace: Option<Trace>,
    pub(super) mined: Vec<MinedStep>,
}

/// The results of the steps in addition to their tensors.
struct StepResults {
    sums: Vec<Option<Vec<i32>>>,
    mined: Vec<MinedStep>,
}

/// One run of a network.
#[derive(Clone, Copy)]
pub(super) struct Executor<'a> {
    pub(super) host: &'a Host,
    pub(super) shape: &'a RunShape,
    pub(super) options: &'a RunOptions,
}

impl Executor<'_> {
    /// Runs steps on the processor and products on the device. The caller has
    /// checked the inputs.
    pub(super) fn step_by_step(
        &self,
        extents: Vec<Extent>,
        inputs: Vec<Arc<Tensor>>,
        known: Vec<Option<Tree>>,
    ) -> Result<Finished, RunError> {
        let mut values: Vec<Option<Arc<Tensor>>> = inputs.into_iter().map(Some).collect();
        let mut done = StepResults { sums: vec![None; values.len()], mined: vec![] };
        let trees = match self.options.is_traced() {
            true => self.traced_steps(&extents, &mut values, known, &mut done).map(Some),
            false => self.steps(&extents, &mut values, &mut done, &|_, _| ()).map(|()| None),
        };
        let trees = match trees {
            Ok(trees) => trees,
            Err(error) => return Err(error.with_mined(done.mined)),
        };
        let program = self.host.network.program();
        let output = |value: &ValueId| values.get(value.0 as usize).cloned().flatten();
        let outputs: Option<Vec<_>> = program.outputs().iter().map(output).collect();
        let outputs = outputs.ok_or(RunError::Layout)?;
        let StepResults { sums, mined } = done;
        let trace = trees.map(|trees| {
            let values = values.into_iter().flatten().map(Lazy::here).collect();
            Trace::new(self.host.network.clone(), *self.shape, extents, values, trees, sums)
        });
        Ok(Finished { outputs, trace, mined })
    }

    /// Runs the whole program on the device.
    pub(super) fn on_device(
        &self,
        resident: &dyn Resident,
        extents: Vec<Extent>,
        inputs: Vec<Arc<Tensor>>,
    ) -> Result<Finished, RunError> {
        let ResidentRun { outputs, traced, sums, mined } =
            resident.run(self.shape, &inputs, self.options)?;
        let trace = traced.map(|Traced { steps, trees }| {
            let sums = inputs.iter().map(|_| None).chain(sums).collect();
            let steps = extents.iter().skip(inputs.len()).zip(steps);
            let steps = steps.map(|(extent, kept)| Lazy::away(*extent, kept));
            let values = inputs.into_iter().map(Lazy::here).chain(steps).collect();
            Trace::new(self.host.network.clone(), *self.shape, extents, values, trees, sums)
        });
        Ok(Finished { outputs, trace, mined })
    }

    /// Runs every step and builds the trees of all values. Idle threads of the
    /// pool hash a tensor while later steps run.
    fn traced_steps(
        &self,
        extents: &[Extent],
        values: &mut Vec<Option<Arc<Tensor>>>,
        known: Vec<Option<Tree>>,
        done: &mut StepResults,
    ) -> Result<Vec<Tree>, RunError> {
        let trees: Vec<OnceLock<Tree>> = extents.iter().map(|_| OnceLock::new()).collect();
        // This runs on a thread of the pool, so that the other threads can take
        // the hashing tasks from its queue.
        rayon::scope(|scope| {
            let hash = |index: usize, tensor: &Arc<Tensor>| {
                if let Some(place) = trees.get(index) {
                    let tensor = tensor.clone();
                    scope.spawn(move |_| {
                        // No other task sets this place.
                        let _ = place.set(tensor.tree());
                    });
                }
            };
            let mut known = known.into_iter();
            for (index, input) in values.iter().flatten().enumerate() {
                match known.next().flatten() {
                    // No task sets this place.
                    Some(tree) => drop(trees.get(index).map(|place| place.set(tree))),
                    None => hash(index, input),
                }
            }
            self.steps(extents, values, done, &hash)
        })?;
        let trees: Option<Vec<Tree>> = trees.into_iter().map(OnceLock::into_inner).collect();
        trees.ok_or(RunError::Layout)
    }

    /// Runs every step; `finished` receives each output.
    fn steps(
        &self,
        extents: &[Extent],
        values: &mut Vec<Option<Arc<Tensor>>>,
        done: &mut StepResults,
        finished: &dyn Fn(usize, &Arc<Tensor>),
    ) -> Result<(), RunError> {
        let program = self.host.network.program();
        let last_use = last_uses(program);
        let (control, total) = (self.options.control_ref(), program.steps().len() as u64);
        for (index, step) in program.steps().iter().enumerate() {
            control.check()?;
            let value = program.inputs().len() + index;
            // Exact: at most 2^16 + 16 values.
            let (output, sums) =
                self.step(extents, values, ValueId(value as u32), &mut done.mined)?;
            done.sums.push(sums);
            let output = Arc::new(output);
            finished(value, &output);
            values.push(Some(output));
            if !self.options.is_traced() {
                // A value without later readers returns its memory here.
                for &input in &step.inputs {
                    if last_use[input.0 as usize] as usize == value {
                        values[input.0 as usize] = None;
                    }
                }
            }
            control.report(index as u64 + 1, total);
        }
        Ok(())
    }

    fn step(
        &self,
        extents: &[Extent],
        values: &[Option<Arc<Tensor>>],
        value: ValueId,
        mined: &mut Vec<MinedStep>,
    ) -> Result<Done, RunError> {
        let Executor { host, shape, options } = *self;
        let program = host.network.program();
        let step = program.step_of(value).ok_or(RunError::Layout)?;
        let local = Local::new(program, extents, *shape, value).ok_or(RunError::Layout)?;
        let held = host.network.constants();
        let slots = slots(&local, &step.inputs, values, held).ok_or(RunError::Layout)?;
        let keep_sums = options.keeps_sums();
        let task = Task { host, local, slots, keep_sums };
        let output = match options.mining() {
            Some(mining) if mineable(&task.local) => self.mine(&task, mining, value, mined),
            _ => task.run(),
        };
        output.map_err(|error| match error {
            RunError::Local(source) => RunError::Step { name: step.name.clone(), source },
            other => other,
        })
    }

    /// Mines a product with weights, or a scaled product of two values.
    fn mine(
        &self,
        task: &Task<'_>,
        mining: &Mining,
        value: ValueId,
        mined: &mut Vec<MinedStep>,
    ) -> Result<Done, RunError> {
        let operand = |side, slot: usize| {
            let rows = task.slots.0.get(slot).ok_or(RunError::Layout)?;
            let operand = rows_operand(side, rows.bytes, rows.extent.row_bytes())?;
            Ok::<_, RunError>(self.host.device.prepare(operand)?)
        };
        let a = operand(Side::A, 0)?;
        let b = match *task.local.op {
            Op::Linear { weights, .. } => {
                self.host.weights(weights).ok_or(RunError::Layout)?.prepared.clone()
            }
            _ => operand(Side::B, 1)?,
        };
        let miner = Miner::new(self.host.device.clone());
        let round = miner.round(&mining.challenge, &b)?;
        let options = mining.options.clone().cancelled_with(self.options.control_ref());
        let product = match round.mine(&a, options) {
            Err(MineError::Cancelled { found }) => {
                mined.push(MinedStep { value, found: *found });
                return Err(Cancelled.into());
            }
            product => product?,
        };
        mined.push(MinedStep { value, found: product.found });
        let stride = product.product.ncols();
        let sums = product.product.into_raw_vec_and_offset().0;
        let output = task.finish(&sums, stride)?;
        Ok((output, task.keep_sums.then_some(sums)))
    }
}

/// Checks the inputs' number and extents against the program, and returns the
/// extents of all values. Every executor of programs calls it first, because
/// steps assume the lengths that it checks.
///
/// # Errors
/// [`RunError`] names the run's shape, or the first input that does not
/// match.
pub fn check_inputs(
    program: &Program,
    shape: &RunShape,
    inputs: &[impl Borrow<Tensor>],
) -> Result<Vec<Extent>, RunError> {
    let extents = program.extents(shape)?;
    let expected = program.inputs().len();
    if inputs.len() != expected {
        return Err(RunError::Inputs { expected, got: inputs.len() });
    }
    for (input, (tensor, expected)) in inputs.iter().zip(&extents).enumerate() {
        let (expected, got) = (*expected, *tensor.borrow().extent());
        if got != expected {
            return Err(RunError::Input { input, expected, got });
        }
    }
    Ok(extents)
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
