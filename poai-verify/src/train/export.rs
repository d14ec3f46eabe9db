//! Exports: checks that a training run made constants of a program.

use super::checker::RunChecker;
use super::error::{TrainingError, TrainingInvalid, TrainingMalformed};
use crate::trace::Checker;
use crate::trace::cursor::Cursor;
use alloc::vec;
use alloc::vec::Vec;
use poai_core::program::{ConstantId, Extent, Program};
use poai_core::trace::{TraceHeader, header};
use poai_core::training_run::{Export, TrainedRun, state_root};
use poai_core::{ExportRoot, Root};

/// What an export's roots hash: the last states, and the trace that makes constants
/// of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportEvidence {
    /// The commitments of all states after the run's last iteration.
    pub states: Vec<Root>,
    /// The numbers of the states that the trace's inputs are, ascending.
    pub taken: Vec<u32>,
    /// The header of the trace.
    pub header: TraceHeader,
    /// The commitments of the trace's outputs.
    pub outputs: Vec<Root>,
}

/// An export that holds: which constants of a program the run made.
///
/// It does not show that the trace is right; a receipt and an audit of §14 show that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The export.
    pub export: ExportRoot,
    /// The constants that are outputs of the trace.
    pub trained: Vec<ConstantId>,
    /// The other constants, of which the export says nothing: tables, scales, or
    /// weights from elsewhere.
    pub untrained: Vec<ConstantId>,
}

impl Exported {
    /// Refuses a program with another untrained constant than those that may be, such
    /// as tables.
    ///
    /// # Errors
    /// [`TrainingInvalid::Untrained`] names the first.
    pub fn only_untrained(&self, permitted: &[ConstantId]) -> Result<(), TrainingError> {
        match self.untrained.iter().find(|id| !permitted.contains(id)) {
            Some(&ConstantId(constant)) => Err(TrainingInvalid::Untrained { constant }.into()),
            None => Ok(()),
        }
    }
}

impl RunChecker {
    /// Checks an export: the trace's inputs are states that the run ended in, and
    /// each of its outputs is a constant of the program. `exporter` checks traces of
    /// the program that makes constants of states.
    ///
    /// # Errors
    /// [`TrainingError`] names what differs. [`TrainingInvalid::Constant`] if an
    /// output is no constant of the program.
    pub fn export(
        &self,
        trained: &TrainedRun,
        exporter: &Checker,
        program: &Program,
        export: &Export,
        evidence: &ExportEvidence,
    ) -> Result<Exported, TrainingError> {
        let ExportEvidence { states, taken, header, outputs } = evidence;
        let differs = |what| Err(TrainingInvalid::Export { what }.into());
        if export.run != trained.root(self.parameters()) {
            return differs("run");
        }
        if export.program != program.program_id() {
            return differs("program");
        }
        if state_root(states) != trained.last {
            return differs("last state");
        }
        let of_trace = TrainingError::of_trace(self.parameters().iterations);
        let head = exporter
            .head(&export.trace, &mut Cursor::new(&header.to_bytes()))
            .map_err(&of_trace)?;
        exporter.check_macs(&head).map_err(|why| of_trace(why.into()))?;
        let (expected, got) = (exporter.program().inputs().len(), taken.len());
        if expected != got {
            return Err(TrainingMalformed::Roots { expected, got }.into());
        }
        if !taken.is_sorted_by(|a, b| a < b) {
            return differs("order of states");
        }
        let mut inputs = vec![];
        for (state, extent) in taken.iter().zip(&head.extents) {
            let state = *state as usize;
            // A root covers padded bytes, which another extent can have as well.
            let own = self.extents().get(..self.program().states()).unwrap_or_default();
            match (states.get(state), own.get(state)) {
                (Some(root), Some(own)) if own == extent => inputs.push(*root),
                _ => return differs("states"),
            }
        }
        if header::input_root(&head.run, &inputs) != head.header.input {
            return differs("input");
        }
        if !head.ends_in(exporter.program(), outputs) {
            return differs("output");
        }
        let made = made(exporter, &head.extents, outputs);
        let is_made = |root: &Root, extent: &Extent| made.contains(&(*root, *extent));
        let held = program.constants();
        for (output, (root, extent)) in made.iter().enumerate() {
            if !held.iter().any(|held| held.root == *root && held.extent == *extent) {
                return Err(TrainingInvalid::Constant { output }.into());
            }
        }
        // Exact: at most 2^16 constants.
        let numbered = (0..).map(ConstantId).zip(held);
        let (trained, untrained): (Vec<_>, Vec<_>) =
            numbered.partition(|(_, held)| is_made(&held.root, &held.extent));
        let ids = |held: Vec<(ConstantId, _)>| held.into_iter().map(|(id, _)| id).collect();
        Ok(Exported { export: export.root(), trained: ids(trained), untrained: ids(untrained) })
    }
}

/// The outputs of a trace, with their extents.
fn made(exporter: &Checker, extents: &[Extent], outputs: &[Root]) -> Vec<(Root, Extent)> {
    let listed = exporter.program().outputs().iter().zip(outputs);
    let output = |(value, root): (&poai_core::program::ValueId, &Root)| {
        Some((*root, *extents.get(value.0 as usize)?))
    };
    listed.filter_map(output).collect()
}
