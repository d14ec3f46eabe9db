//! What a run is asked for beside its output, and which products it mines.

use crate::miner::{Found, MineOptions};
use core::fmt;
use poai_core::Challenge;
use poai_core::program::ops::Local;
use poai_core::program::{Op, Program, ValueId};
use std::sync::Arc;

/// Products with at least so many (padded) columns are mined: a block takes no
/// shallower ones.
pub const MINED_K_MIN: u32 = 1024;
/// And no deeper ones.
pub const MINED_K_MAX: u32 = 16384;

/// Mining on the way: under which challenge, and what is kept of each product.
#[derive(Clone, Debug)]
pub struct Mining {
    /// The challenge.
    pub challenge: Challenge,
    /// Difficulty, what to keep, cancellation; for each product.
    pub options: MineOptions,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

type Callback = Arc<dyn Fn(RunProgress) + Send + Sync>;

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
    pub fn progress(
        mut self,
        callback: impl Fn(RunProgress) + Send + Sync + 'static,
    ) -> RunOptions {
        self.progress = Some(Arc::new(callback));
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

    /// What is mined.
    pub fn mining(&self) -> Option<&Mining> {
        self.mining.as_ref()
    }

    /// Calls back, where somebody wants to know.
    pub fn report(&self, progress: RunProgress) {
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

/// Whether a step is a product whose k a block takes: those that
/// [`RunOptions::mine`] mines.
pub fn mineable(local: &Local<'_>) -> bool {
    let k = local.slot(0).padded_columns();
    matches!(local.op, Op::Linear { .. }) && (MINED_K_MIN..=MINED_K_MAX).contains(&k)
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
