//! Execution again, from states that are kept in memory.

use super::setup::Setup;
use crate::failure::Failure;
use poai::execute::{Tensor, Trace};
use poai::train::TrainingRun;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most bytes of all states that are kept.
const BYTES_MAX: u64 = 1 << 28;

/// States of a run: the first, and those of later iterations at a distance that
/// bounds their memory.
#[derive(Clone)]
pub struct Snapshots {
    /// The iterations between two states.
    every: u32,
    states: BTreeMap<u32, Vec<Arc<Tensor>>>,
}

impl Snapshots {
    /// Those of a run that has done nothing.
    pub fn of(run: &TrainingRun) -> Snapshots {
        let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
        let bytes: u64 = states.iter().map(|state| state.extent().bytes()).sum();
        let all = bytes.saturating_mul(u64::from(run.total()));
        // Exact: at most the number of iterations, or it saturates.
        let every = u32::try_from(all.div_ceil(BYTES_MAX)).unwrap_or(u32::MAX).max(1);
        Snapshots { every, states: BTreeMap::from([(run.done(), states)]) }
    }

    /// Keeps a run's state.
    pub fn keep(&mut self, run: &TrainingRun) {
        self.states.insert(run.done(), run.states().cloned().collect());
    }

    /// Keeps a run's state, if it is time.
    pub fn note(&mut self, run: &TrainingRun) {
        if run.done().is_multiple_of(self.every) {
            self.keep(run);
        }
    }
}

/// A run that executes iterations again.
pub struct Replay {
    run: TrainingRun,
    /// Those of the earlier run, and what this one passes.
    snapshots: Snapshots,
}

impl Replay {
    /// A run of a setup from the states of an earlier one.
    pub fn new(setup: &Setup, snapshots: &Snapshots) -> Result<Replay, Failure> {
        Ok(Replay { run: setup.run()?, snapshots: snapshots.clone() })
    }

    /// Goes to the state before iteration t.
    pub fn go_to(&mut self, t: u32) -> Result<(), Failure> {
        let nearest = self.snapshots.states.range(..=t).next_back();
        if let Some((&from, states)) = nearest
            && !(from..=t).contains(&self.run.done())
        {
            self.run.restart_at(from, states.clone())?;
        }
        while self.run.done() < t {
            self.run.step()?;
            self.snapshots.note(&self.run);
        }
        Ok(())
    }

    /// The trace of iteration t.
    pub fn trace(&mut self, t: u32) -> Result<Trace, Failure> {
        self.go_to(t)?;
        traced(&mut self.run)
    }

    /// The run, with the state before iteration t.
    pub fn into_run(mut self, t: u32) -> Result<TrainingRun, Failure> {
        self.go_to(t)?;
        Ok(self.run)
    }
}

/// The trace of a run's next iteration.
pub fn traced(run: &mut TrainingRun) -> Result<Trace, Failure> {
    let trace = run.trace()?.trace;
    trace.ok_or_else(|| Failure::failed("expected a trace of an iteration, got none"))
}
