//! Options of a run, and which products it mines.

use crate::miner::{Found, MineOptions};
use core::fmt;
use poai_core::Challenge;
use poai_core::control::{Cancel, Control, Progress};
use poai_core::params::{BLOCK_K_MAX, BLOCK_K_MIN};
use poai_core::program::ops::Local;
use poai_core::program::{Op, Program, TrainingOp, ValueId};

/// Mining during a run: the challenge, and what is kept of each product.
#[derive(Clone, Debug)]
pub struct Mining {
    /// The challenge.
    pub challenge: Challenge,
    /// Difficulty, winners to keep and cancellation, the same for each product.
    pub options: MineOptions,
}

/// What a run does in addition to computing its output, and its control.
#[derive(Clone, Default)]
pub struct RunOptions {
    trace: bool,
    sums: bool,
    mining: Option<Mining>,
    control: Control,
}

impl RunOptions {
    /// Options that ask for nothing in addition.
    pub fn new() -> RunOptions {
        RunOptions::default()
    }

    /// Whether every tensor is committed and kept. A session sets it; only a
    /// caller of a device's [`super::Resident::run`] sets it by itself.
    pub fn traced(mut self, traced: bool) -> RunOptions {
        self.trace = traced;
        self
    }

    /// Keeps the sums of products with weights beside the trace, four bytes per
    /// entry. With them a checker does not have to multiply.
    pub fn sums(mut self) -> RunOptions {
        self.sums = true;
        self
    }

    /// Mines every product with weights, and every scaled product of two
    /// values, whose k a block accepts.
    pub fn mine(mut self, mining: Mining) -> RunOptions {
        self.mining = Some(mining);
        self
    }

    /// Calls `callback` after every step, which is the unit of progress. If a
    /// device runs the program, the call comes when the step is queued there.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> RunOptions {
        self.control = self.control.progress(callback);
        self
    }

    /// Stops before the next step when `cancel` is cancelled, from any thread.
    pub fn cancel(mut self, cancel: &Cancel) -> RunOptions {
        self.control = self.control.cancel(cancel);
        self
    }

    /// Whether every tensor is committed and kept.
    pub fn is_traced(&self) -> bool {
        self.trace
    }

    /// Whether the sums of products with weights are kept.
    pub fn keeps_sums(&self) -> bool {
        self.sums && self.trace
    }

    /// Whether a traced run keeps the sums.
    pub(super) fn keeps_sums_if_traced(&self) -> bool {
        self.sums
    }

    /// The mining options, if any.
    pub fn mining(&self) -> Option<&Mining> {
        self.mining.as_ref()
    }

    /// Sets progress and cancellation.
    pub fn control(mut self, control: Control) -> RunOptions {
        self.control = control;
        self
    }

    /// Progress and cancellation, which a device reports and checks.
    pub fn control_ref(&self) -> &Control {
        &self.control
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

/// The mining result of one product.
#[derive(Clone, Debug)]
pub struct MinedStep {
    /// The product's value.
    pub value: ValueId,
    /// Its winners, and the number of tickets drawn.
    pub found: Found,
}

/// Whether a step is a product whose k a block accepts. [`RunOptions::mine`]
/// mines these steps.
pub fn mineable(local: &Local<'_>) -> bool {
    let k = local.slot(0).padded_columns();
    let whole =
        matches!(local.op, Op::Linear { .. } | Op::Training(TrainingOp::ScaledProduct { .. }));
    whole && (BLOCK_K_MIN..=BLOCK_K_MAX).contains(&k)
}

/// For each value, the value that reads it last; 0 if no value reads it, and
/// `u32::MAX` for outputs, which a run keeps.
pub fn last_uses(program: &Program) -> Vec<u32> {
    let mut last = vec![0; program.values()];
    for (index, step) in program.steps().iter().enumerate() {
        for input in &step.inputs {
            last[input.0 as usize] = (program.inputs().len() + index) as u32;
        }
    }
    for output in program.outputs() {
        last[output.0 as usize] = u32::MAX;
    }
    last
}
