//! A run: the host queues everything, then waits once.

use super::Executor;
use super::ready::Ready;
use super::training::gather_slots;
use crate::backend::Cuda;
use crate::backend::operand::Nodes;
use crate::gpu::Memory;
use poai_core::program::ops::{Local, StepError};
use poai_core::program::{Extent, Op, RunShape, TrainingOp, ValueId};
use poai_core::puzzle::commitment::Tree;
use poai_engine::backend::BackendError;
use poai_engine::execute::options::{last_uses, mineable};
use poai_engine::execute::run::check_inputs;
use poai_engine::execute::{
    Kept, MinedStep, Resident, ResidentRun, RunError, RunOptions, Tensor, Traced,
};
use std::sync::Arc;

/// A tensor that a run left on its GPU.
#[derive(Debug)]
struct OnGpu {
    cuda: Cuda,
    memory: Arc<Memory>,
}

impl Kept for OnGpu {
    fn fetch(&self, to: &mut [u8]) -> Result<(), BackendError> {
        Ok(self.cuda.gpu().download(&self.memory, 0, to)?)
    }
}

/// Entries that name rows, lengths or other entries, and so may have no result.
struct Named {
    /// The index of the step.
    step: usize,
    slot: usize,
    /// The entries, of i32.
    entries: Arc<Memory>,
    columns: u32,
    /// Whether −1 has a result, too.
    none: bool,
    min: u32,
    max: u32,
}

/// Everything that a run has queued.
struct Queued {
    /// Values that a later step still reads, inputs first.
    values: Vec<Option<Arc<Memory>>>,
    /// Nodes of the values' trees, if the run is traced.
    nodes: Vec<Option<Nodes>>,
    sums: Vec<Option<Vec<i32>>>,
    mined: Vec<MinedStep>,
    /// One word for each step.
    errors: Memory,
    named: Vec<Named>,
}

/// The request for a run.
struct Asked<'a> {
    shape: &'a RunShape,
    extents: &'a [Extent],
    options: &'a RunOptions,
}

impl Resident for Executor {
    fn run(
        &self,
        shape: &RunShape,
        inputs: &[Arc<Tensor>],
        options: &RunOptions,
    ) -> Result<ResidentRun, RunError> {
        // Checked first: kernels read as much as the extents say.
        let extents = check_inputs(self.network.program(), shape, inputs)?;
        let asked = Asked { shape, extents: &extents, options };
        let mut queued = self.start(inputs, options)?;
        let steps = self.queue_steps(&asked, &mut queued);
        // An entry without a result came before the error of any later step.
        match (self.check_errors(&queued), steps) {
            (Err(error @ RunError::Step { .. }), _) | (_, Err(error)) | (Err(error), _) => {
                Err(error.with_mined(queued.mined))
            }
            (Ok(()), Ok(())) => self.finish(&asked, queued),
        }
    }
}

impl Executor {
    /// Sends the inputs.
    fn start(&self, inputs: &[Arc<Tensor>], options: &RunOptions) -> Result<Queued, BackendError> {
        let untold = vec![u8::MAX; 4 * self.network.program().steps().len()];
        let mut queued = Queued {
            values: vec![],
            nodes: vec![],
            sums: vec![],
            mined: vec![],
            errors: self.cuda.upload(&untold)?,
            named: vec![],
        };
        for input in inputs {
            let memory = self.cuda.upload(input.bytes())?;
            self.made(&mut queued, memory, input.extent(), options)?;
        }
        Ok(queued)
    }

    /// Stores a value's memory, and hashes it if the run is traced.
    fn made(
        &self,
        queued: &mut Queued,
        memory: Memory,
        extent: &Extent,
        options: &RunOptions,
    ) -> Result<(), BackendError> {
        let nodes = match options.is_traced() {
            true => self.cuda.nodes(&memory, extent.bytes())?,
            false => None,
        };
        queued.nodes.push(nodes);
        queued.values.push(Some(Arc::new(memory)));
        Ok(())
    }

    fn queue_steps(&self, asked: &Asked<'_>, queued: &mut Queued) -> Result<(), RunError> {
        let program = self.network.program();
        let (total, inputs) = (program.steps().len() as u64, program.inputs().len());
        let control = asked.options.control_ref();
        let last_use = last_uses(program);
        for (index, step) in program.steps().iter().enumerate() {
            control.check()?;
            let at = inputs + index;
            // Exact: there are at most 2^16 + 16 values.
            self.queue_step(asked, queued, ValueId(at as u32))?;
            if !asked.options.is_traced() {
                // Free the memory of values that no later step reads and that
                // are no outputs.
                for input in &step.inputs {
                    let input = input.0 as usize;
                    if last_use.get(input) == Some(&(at as u32)) {
                        queued.values[input] = None;
                    }
                }
            }
            control.report(index as u64 + 1, total);
        }
        Ok(())
    }

    fn queue_step(
        &self,
        asked: &Asked<'_>,
        queued: &mut Queued,
        value: ValueId,
    ) -> Result<(), RunError> {
        let &Asked { shape, extents, options } = asked;
        let program = self.network.program();
        let step = program.step_of(value).ok_or(RunError::Layout)?;
        let local = Local::new(program, extents, *shape, value).ok_or(RunError::Layout)?;
        let mut slots = vec![];
        for input in &step.inputs {
            let memory = queued.values.get(input.0 as usize).cloned().flatten();
            slots.push(memory.ok_or(RunError::Layout)?);
        }
        let (constants, count) = step.op.constants();
        for constant in constants.iter().take(count) {
            let memory = self.constants.get(constant.0 as usize).cloned();
            slots.push(memory.ok_or(RunError::Layout)?);
        }
        let index = value.0 as usize - program.inputs().len();
        queued.named.extend(named(&local, &slots, index));
        let out = self.cuda.gpu().allocate(local.output.bytes())?;
        let errors = (&queued.errors, index as u64);
        let ready = Ready { cuda: &self.cuda, local: &local, slots, out: &out, errors };
        let keep = options.keeps_sums();
        let sums = match (local.op, options.mining()) {
            (_, Some(mining)) if mineable(&local) => {
                // Mining waits on the host in any case, and a step without a
                // result must not be mined.
                self.check_errors(queued)?;
                self.mine(&ready, value, (mining, options.control_ref()), &mut queued.mined, keep)?
            }
            (Op::Linear { .. }, _) => self.multiply(&ready, keep)?,
            // The sums that a trace keeps are those of products with weights.
            (Op::Training(TrainingOp::ScaledProduct { .. }), _) => self.multiply(&ready, false)?,
            _ => {
                let launched = ready.queue().ok_or(RunError::Layout)?;
                launched?;
                None
            }
        };
        queued.sums.push(sums);
        self.made(queued, out, &local.output, options)?;
        Ok(())
    }

    /// Checks that every entry of every step had a result.
    fn check_errors(&self, queued: &Queued) -> Result<(), RunError> {
        let program = self.network.program();
        let mut words = vec![0u32; program.steps().len()];
        self.download(&queued.errors, 0, bytemuck::cast_slice_mut(&mut words))?;
        let failed = |named: &&Named| words.get(named.step).is_some_and(|&row| row != u32::MAX);
        let Some(first) = queued.named.iter().find(failed) else { return Ok(()) };
        let &Named { step, slot, ref entries, columns, none, min, max } = first;
        let row = words[step];
        let mut values = vec![0i32; columns as usize];
        let offset = 4 * u64::from(row) * u64::from(columns);
        self.download(entries, offset, bytemuck::cast_slice_mut(&mut values))?;
        let range = i64::from(min)..=i64::from(max);
        let permitted = |&value: &i32| range.contains(&value.into()) || (none && value == -1);
        let value = values.into_iter().find(|value| !permitted(value)).unwrap_or_default();
        let name = program.steps().get(step).map_or_else(String::new, |step| step.name.clone());
        let source = StepError::Index { slot, row, value, min, max };
        Err(RunError::Step { name, source })
    }

    /// Fetches the outputs, and the roots of a trace.
    fn finish(&self, asked: &Asked<'_>, queued: Queued) -> Result<ResidentRun, RunError> {
        let Queued { values, nodes, sums, mined, .. } = queued;
        let mut outputs = vec![];
        for output in self.network.program().outputs() {
            let at = output.0 as usize;
            let (Some(Some(memory)), Some(extent)) = (values.get(at), asked.extents.get(at)) else {
                return Err(RunError::Layout);
            };
            outputs.push(Arc::new(self.fetch(memory, extent)?));
        }
        if !asked.options.is_traced() {
            return Ok(ResidentRun { outputs, traced: None, sums, mined });
        }
        let (mut steps, mut trees) = (vec![], vec![]);
        let inputs = self.network.program().inputs().len();
        for (index, ((memory, nodes), extent)) in
            values.into_iter().zip(nodes).zip(asked.extents).enumerate()
        {
            let memory = memory.ok_or(RunError::Layout)?;
            trees.push(self.tree(&memory, nodes, extent)?);
            if index >= inputs {
                let on_gpu = OnGpu { cuda: self.cuda.clone(), memory };
                steps.push(Arc::new(on_gpu) as Arc<dyn Kept>);
            }
        }
        let traced = Some(Traced { steps, trees });
        Ok(ResidentRun { outputs, traced, sums, mined })
    }

    /// A tensor's entries.
    pub(super) fn fetch(&self, memory: &Memory, extent: &Extent) -> Result<Tensor, RunError> {
        let mut bytes = vec![0; extent.bytes() as usize];
        self.download(memory, 0, &mut bytes)?;
        Tensor::from_bytes(*extent, bytes).map_err(|_| RunError::Layout)
    }

    fn tree(
        &self,
        memory: &Memory,
        nodes: Option<Nodes>,
        extent: &Extent,
    ) -> Result<Tree, RunError> {
        if let Some(nodes) = nodes {
            let tree = self.cuda.fetch_tree(&nodes)?;
            return tree.ok_or(RunError::Layout);
        }
        // The host hashes a tree of one group before a GPU would start.
        let mut bytes = vec![0; extent.bytes() as usize];
        self.download(memory, 0, &mut bytes)?;
        Ok(Tree::new(&bytes))
    }

    fn download(&self, from: &Memory, offset: u64, to: &mut [u8]) -> Result<(), BackendError> {
        Ok(self.cuda.gpu().download(from, offset, to)?)
    }
}

/// The entries of a step that name rows, lengths or entries (spec §12).
fn named(local: &Local<'_>, slots: &[Arc<Memory>], step: usize) -> Option<Named> {
    let lengths = |slot| (slot, 1, local.run.sequence);
    if let Op::Arrange { .. } = local.op {
        let slot = local.inputs;
        let entries = slots.get(slot)?.clone();
        let of = |slot| u64::from(local.item_rows(slot)) * u64::from(local.slot(slot).columns);
        let all: u64 = (0..slot).map(of).sum();
        let max = u32::try_from(all.saturating_sub(1)).unwrap_or(u32::MAX);
        let columns = local.slot(slot).columns;
        return Some(Named { step, slot, entries, columns, none: true, min: 0, max });
    }
    let (slot, min, max) = match local.op {
        Op::Embed { .. } => {
            let table = local.slots.get(local.inputs)?;
            (0, 0, table.rows.saturating_sub(1))
        }
        Op::AttentionWeights { .. } | Op::RelativeAttentionWeights { .. } => lengths(2),
        Op::MeanPool => lengths(1),
        Op::Training(op) => named_in_training(local, op)?,
        _ => return None,
    };
    if slot >= local.inputs {
        return None;
    }
    let entries = slots.get(slot)?.clone();
    Some(Named { step, slot, entries, columns: 1, none: false, min, max })
}

/// The slot of a training step's entries that name rows, a length or the
/// iteration, and the least and largest that it may hold.
fn named_in_training(local: &Local<'_>, op: &TrainingOp) -> Option<(usize, u32, u32)> {
    let rows = |rows: u32| rows.saturating_sub(1);
    let iteration = |slot| (slot, 0, i32::MAX.unsigned_abs());
    Some(match op {
        TrainingOp::Gather { .. } => {
            let (table, ids) = gather_slots(local.inputs);
            (ids, 0, rows(local.slot(table).rows))
        }
        TrainingOp::ScatterAdd { .. } => (1, 0, rows(local.output.rows)),
        TrainingOp::MeanPoolGradient { .. } => (1, 1, local.output_item_rows()),
        TrainingOp::Draw { .. } => iteration(1),
        TrainingOp::Rescale { shift, stream: Some(_), .. } => iteration(2 + shift.signs.len()),
        _ => return None,
    })
}
