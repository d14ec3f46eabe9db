//! Audits of segments, from traces of the drawn iterations.

use super::{CommitError, Committer, SegmentMessages, input_roots, output_roots};
use poai_core::Beacon;
use poai_core::program::{Program, ValueId};
use poai_core::trace::{SampleStream, Sampling};
use poai_core::training_run::{TrainingAudit, TrainingProgram, TrainingRules};
use poai_engine::execute::{OpenError, Trace};
use std::borrow::Borrow;
use std::collections::BTreeSet;

impl Committer {
    /// The audit of a segment under a beacon. `trace_of` gives the trace of an
    /// iteration again: from memory, or by re-execution from a checkpoint.
    ///
    /// # Errors
    /// [`CommitError`], or what `trace_of` returns.
    pub fn audit<T, E>(
        &self,
        segment: u32,
        beacon: &Beacon,
        rules: &TrainingRules,
        trace_of: impl FnMut(u64) -> Result<T, E>,
    ) -> Result<TrainingAudit, E>
    where
        T: Borrow<Trace>,
        E: From<CommitError>,
    {
        self.messages(segment)?.audit(&self.program, &self.training, beacon, rules, trace_of)
    }
}

impl SegmentMessages<'_> {
    /// As [`Committer::audit`], for claims that may lie.
    ///
    /// # Errors
    /// [`CommitError`], or what `trace_of` returns.
    pub fn audit<T, E>(
        &self,
        program: &Program,
        training: &TrainingProgram,
        beacon: &Beacon,
        rules: &TrainingRules,
        mut trace_of: impl FnMut(u64) -> Result<T, E>,
    ) -> Result<TrainingAudit, E>
    where
        T: Borrow<Trace>,
        E: From<CommitError>,
    {
        let none = CommitError::Segment(self.segment.index);
        let range = self.parameters.iterations_of(self.segment.index).ok_or(none.clone())?;
        let run = &self.parameters.run;
        let extents = program.extents(run).map_err(|_| none.clone())?;
        let sampling = Sampling { program, extents: &extents, run, rules: &rules.trace };
        let root = self.segment.root(self.parameters);
        let mut stream = SampleStream::of_segment(&root, beacon);
        let mut bytes = vec![];
        for _ in 0..rules.iteration_samples {
            // Exact: below the segment's iterations.
            let place = stream.below(u128::from(range.end - range.start)) as u64;
            let tiles = sampling.drawn(&mut stream);
            let trace = trace_of(range.start + place)?;
            let trace: &Trace = trace.borrow();
            bytes.extend(self.opened_claim(place).ok_or(none.clone())?);
            bytes.extend(trace.header().to_bytes());
            let roots = input_roots(training, trace).into_iter().chain(output_roots(trace));
            roots.for_each(|root| bytes.extend(root.as_bytes()));
            let mut known = BTreeSet::new();
            for &draw in training.draws() {
                open_records(program, trace, draw, &mut known, &mut bytes)?;
            }
            for sample in tiles {
                open_records(program, trace, sample.value, &mut known, &mut bytes)?;
                let openings = trace.tile_openings(sample.value, sample.tile);
                bytes.extend(openings.map_err(CommitError::from)?);
            }
        }
        Ok(TrainingAudit::of_body(&bytes))
    }
}

/// The records of a step and of what it reads that are not known yet, each with its
/// path.
fn open_records(
    program: &Program,
    trace: &Trace,
    value: ValueId,
    known: &mut BTreeSet<ValueId>,
    bytes: &mut Vec<u8>,
) -> Result<(), CommitError> {
    let inputs = program.step_of(value).map_or(&[][..], |step| &step.inputs);
    for &value in [value].iter().chain(inputs) {
        if known.insert(value) {
            let none = OpenError::Tile { value, tile: 0 };
            bytes.extend(trace.record_opening(value).ok_or(none)?);
        }
    }
    Ok(())
}
