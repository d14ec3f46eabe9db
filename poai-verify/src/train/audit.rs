//! Audits of segments: sampled iterations, and in each sampled tiles.

use super::checker::RunChecker;
use super::error::{TrainingError, TrainingInvalid};
use crate::trace::TraceInvalid;
use crate::trace::checker::Head;
use crate::trace::cursor::Cursor;
use crate::trace::tile::Verdict;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use poai_core::program::ValueId;
use poai_core::trace::{Record, SampleStream, Sampling};
use poai_core::training_run::{IterationClaim, Segment, TrainingAudit};
use poai_core::{Beacon, Root, RulesDigest, SegmentRoot};

/// An audit of a segment that holds. Every drawn iteration is claimed at its place,
/// begins with its claim's state, and takes the samples that the seed gives. Its
/// output is its claim's next state, and every drawn tile is right.
///
/// It does not show that other iterations or tiles are right. It licenses payment
/// for work; [`super::TrainingSoundness`] says how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SegmentAudited {
    /// The segment.
    pub segment: SegmentRoot,
    /// The number of drawn iterations, counting one twice that was drawn twice.
    pub iterations: u32,
    /// The number of tiles that were recomputed.
    pub tiles: u32,
    /// The rules of the audit.
    pub rules: RulesDigest,
}

impl RunChecker {
    /// Checks an audit of an admitted segment under a beacon that was fixed after
    /// the segment was posted (spec §19).
    ///
    /// # Errors
    /// [`TrainingError`] names the first check that fails. An audit under another
    /// beacon opens other iterations, so its first claim does not lead to the chain.
    pub fn audit(
        &self,
        segment: &Segment,
        beacon: &Beacon,
        audit: &TrainingAudit,
    ) -> Result<SegmentAudited, TrainingError> {
        self.check_audit_bytes(segment, audit.as_bytes().len())?;
        let range = self.iterations_of(segment)?;
        let root = segment.root(self.parameters());
        let mut from = Cursor::new(audit.body());
        let mut stream = SampleStream::of_segment(&root, beacon);
        let mut tiles = 0;
        for _ in 0..self.rules().iteration_samples {
            // Exact: below the segment's iterations.
            let place = stream.below(u128::from(range.end - range.start)) as u64;
            tiles += self.audited_iteration(segment, place, &mut stream, &mut from)?;
        }
        from.end()?;
        let iterations = self.rules().iteration_samples;
        Ok(SegmentAudited { segment: root, iterations, tiles, rules: self.rules().digest() })
    }

    /// Checks a drawn iteration, and returns the number of its tiles.
    fn audited_iteration(
        &self,
        segment: &Segment,
        place: u64,
        stream: &mut SampleStream,
        from: &mut Cursor<'_>,
    ) -> Result<u32, TrainingError> {
        let (checker, run) = (self.checker(), &self.parameters().run);
        let claim = self.numbered_claim(segment, place, from)?;
        let header = self.opened_header(&claim, from)?;
        self.check_header(claim.t, &header)?;
        let states = self.opened_states(&claim, from)?;
        self.check_input(&claim, &header, &states)?;
        let outputs = self.opened_outputs(claim.t, &header, from)?;
        self.check_after(&claim, &outputs)?;
        let mut records = Records {
            of: self,
            claim,
            head: self.head(header, claim.trace),
            fixed: self.fixed_roots(claim.t, &states, &outputs),
            known: BTreeMap::new(),
        };
        for &value in self.program().draws() {
            let own = records.open(value, from)?;
            if self.draw_root(value, claim.t) != Some(own.root) {
                return Err(TrainingInvalid::Order { t: claim.t, value }.into());
            }
        }
        let (program, extents) = (checker.program(), self.extents());
        let sampling = Sampling { program, extents, run, rules: checker.rules() };
        let mut tiles = 0;
        for sample in sampling.drawn(stream) {
            let own = records.open(sample.value, from)?;
            let of_trace = TrainingError::of_trace(claim.t);
            match checker
                .tile(&records.head, sample, &own.inputs, &own.root, from)
                .map_err(of_trace)?
            {
                Verdict::Right => tiles += 1,
                Verdict::Wrong(source) => {
                    return Err(TrainingInvalid::Trace { t: claim.t, source }.into());
                }
            }
        }
        Ok(tiles)
    }

    /// The roots that the header's input and output fix.
    fn fixed_roots(&self, t: u64, states: &[Root], outputs: &[Root]) -> BTreeMap<ValueId, Root> {
        let inputs = self.program().input_roots(states, &self.parameters().seed, t, self.dataset());
        // Exact: at most 4096 inputs.
        let inputs = (0..).map(ValueId).zip(inputs);
        let listed = self.checker().program().outputs().iter().copied();
        inputs.chain(listed.zip(outputs.iter().copied())).collect()
    }
}

/// The records of an iteration that an audit opens, each once.
struct Records<'a> {
    of: &'a RunChecker,
    claim: IterationClaim,
    head: Head,
    fixed: BTreeMap<ValueId, Root>,
    known: BTreeMap<ValueId, Record>,
}

impl Records<'_> {
    /// The record of a step, which is wired to the records of what it reads. Records
    /// that were not opened yet are read: the step's, then those of its inputs.
    fn open(&mut self, value: ValueId, from: &mut Cursor<'_>) -> Result<Record, TrainingError> {
        let own = self.read(value, from)?;
        let program = self.of.checker().program();
        let inputs = program.step_of(value).map_or(&[][..], |step| &step.inputs);
        let made: Vec<Root> = inputs
            .iter()
            .map(|&input| Ok(self.read(input, from)?.root))
            .collect::<Result<_, TrainingError>>()?;
        own.check_wiring(&made).map_err(|why| TrainingInvalid::Trace {
            t: self.claim.t,
            source: TraceInvalid::Record(why),
        })?;
        Ok(own)
    }

    /// A record that is in the trace and is as program, header and claim imply.
    fn read(&mut self, value: ValueId, from: &mut Cursor<'_>) -> Result<Record, TrainingError> {
        if let Some(record) = self.known.get(&value) {
            return Ok(record.clone());
        }
        let (t, checker) = (self.claim.t, self.of.checker());
        let of_trace = TrainingError::of_trace(t);
        let bytes = checker.opened_record(&self.head, value, from).map_err(&of_trace)?;
        let record =
            checker.record(&self.head, value, bytes).map_err(|why| of_trace(why.into()))?;
        if self.fixed.get(&value).is_some_and(|root| *root != record.root) {
            return Err(TrainingInvalid::Root { t, value }.into());
        }
        self.known.insert(value, record.clone());
        Ok(record)
    }
}
