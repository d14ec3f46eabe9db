//! The checker of a run: what the job fixes, its segments and its claims.

use super::error::{RunCheckerError, TrainingError, TrainingInvalid, TrainingMalformed};
use super::opening::IterationOpening;
use crate::trace::Checker;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use poai_core::program::ops::{Local, RowSource, StepError};
use poai_core::program::{Extent, ValueId};
use poai_core::training_run::program::column_root;
use poai_core::training_run::{
    ChainBuilder, DatasetRoots, IterationClaim, RunParameters, Segment, TrainedRun,
    TrainingProgram, TrainingRules,
};
use poai_core::{Beacon, ChainRoot, Root, RunRoot, SegmentRoot, StateRoot, TrainingSeed};

/// Checks messages about one training run.
///
/// Program, parameters, dataset and beacon are the job's, never the prover's. One
/// sequence of segments is admitted for a job: a chain lets a second one, or a beacon
/// that stays unanswered, forfeit the job. Otherwise a prover restarts after a beacon
/// that it does not like.
#[derive(Clone, Debug)]
pub struct RunChecker {
    checker: Checker,
    program: TrainingProgram,
    parameters: RunParameters,
    rules: TrainingRules,
    dataset: DatasetRoots,
    extents: Vec<Extent>,
    macs: u64,
}

impl RunChecker {
    /// A checker of a run. The rules of iterations are the checker's; an audit draws
    /// `iteration_samples` iterations.
    ///
    /// # Errors
    /// [`RunCheckerError`]: a program without draw, inadmissible runs, or parameters
    /// that are not of program, dataset, beacon and rules.
    pub fn new(
        checker: Checker,
        parameters: RunParameters,
        dataset: DatasetRoots,
        beacon: &Beacon,
        iteration_samples: u32,
    ) -> Result<RunChecker, RunCheckerError> {
        let program = TrainingProgram::of(checker.program())?;
        parameters.check()?;
        let (expected, got) = (*checker.program_id(), parameters.program);
        if expected != got {
            return Err(RunCheckerError::OtherProgram { expected, got });
        }
        if !program.takes(&dataset) {
            let (samples, tensors) = (program.samples(), program.tensors());
            return Err(RunCheckerError::Dataset { samples, tensors });
        }
        let (expected, got) = (dataset.root(), parameters.dataset);
        if expected != got {
            return Err(RunCheckerError::OtherDataset { expected, got });
        }
        let (expected, got) = (parameters.with_beacon(beacon).seed, parameters.seed);
        if expected != got {
            return Err(RunCheckerError::Seed { expected, got });
        }
        let rules = TrainingRules { trace: *checker.rules(), iteration_samples };
        let (expected, got) = (rules.digest(), parameters.rules);
        if expected != got {
            return Err(RunCheckerError::Rules { expected, got });
        }
        let extents = checker.extents(&parameters.run)?;
        checker.check_memory(&parameters.run, &extents)?;
        let macs = checker.program().total_macs(&parameters.run);
        Ok(RunChecker { checker, program, parameters, rules, dataset, extents, macs })
    }

    /// The checker of an iteration's trace.
    pub fn checker(&self) -> &Checker {
        &self.checker
    }

    /// The parts of the program.
    pub fn program(&self) -> &TrainingProgram {
        &self.program
    }

    /// What the job fixes.
    pub fn parameters(&self) -> &RunParameters {
        &self.parameters
    }

    /// The rules.
    pub fn rules(&self) -> &TrainingRules {
        &self.rules
    }

    /// The dataset.
    pub fn dataset(&self) -> &DatasetRoots {
        &self.dataset
    }

    /// The multiply-accumulates of an iteration.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// The extents of an iteration's values.
    pub(super) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Checks that a segment continues the one before, or the job's first state. A
    /// chain calls it before it admits a segment, and admits no second sequence of
    /// segments for a job.
    ///
    /// # Errors
    /// [`TrainingError`]: no such segment, or [`TrainingInvalid::Previous`].
    pub fn segment(
        &self,
        previous: Option<&Segment>,
        segment: &Segment,
    ) -> Result<SegmentRoot, TrainingError> {
        self.iterations_of(segment)?;
        let (index, root, state) = match previous {
            None => (Some(0), SegmentRoot::default(), self.parameters.first),
            Some(last) => (last.index.checked_add(1), last.root(&self.parameters), last.after),
        };
        let fits = [
            ("the number", index == Some(segment.index)),
            ("the root", root == segment.previous),
            ("the state", state == segment.before),
        ];
        match fits.iter().find(|(_, fits)| !fits) {
            Some(&(what, _)) => Err(TrainingInvalid::Previous { what }.into()),
            None => Ok(segment.root(&self.parameters)),
        }
    }

    /// The iterations of a segment.
    pub(super) fn iterations_of(&self, segment: &Segment) -> Result<Range<u64>, TrainingMalformed> {
        let none = TrainingMalformed::Segment(segment.index);
        self.parameters.iterations_of(segment.index).ok_or(none)
    }

    /// Checks that claims are a segment's: its iterations in order, each continuing
    /// the state of the one before, from the segment's first state to its last.
    ///
    /// # Errors
    /// [`TrainingError`] names the first claim that does not fit.
    pub fn claims(
        &self,
        segment: &Segment,
        claims: &[IterationClaim],
    ) -> Result<(), TrainingError> {
        let range = self.iterations_of(segment)?;
        let Segment { before, chain, after, .. } = *segment;
        chained(range, claims, before, after, chain)
    }

    /// Checks that claims are those of a whole run, from the job's first state to the
    /// run's last. Returns the run's identifier.
    ///
    /// # Errors
    /// [`TrainingError`] names the first claim that does not fit.
    pub fn run(
        &self,
        trained: &TrainedRun,
        claims: &[IterationClaim],
    ) -> Result<RunRoot, TrainingError> {
        let RunParameters { iterations, first, .. } = self.parameters;
        chained(0..iterations, claims, first, trained.last, trained.chain)?;
        Ok(trained.root(&self.parameters))
    }

    /// As [`RunChecker::run`], and checks every iteration's header: its trace is of
    /// the job's program and run, its input that of state, seed, number and dataset,
    /// and its output that of the next state. It checks no step of an iteration.
    ///
    /// # Errors
    /// [`TrainingError`] names the first iteration that does not fit.
    pub fn iterations<'a>(
        &self,
        trained: &TrainedRun,
        claims: &[IterationClaim],
        openings: impl IntoIterator<Item = &'a IterationOpening>,
    ) -> Result<RunRoot, TrainingError> {
        let run = self.run(trained, claims)?;
        let (expected, mut openings) = (claims.len() as u64, openings.into_iter());
        for (claim, got) in claims.iter().zip(0..) {
            let opening = openings.next().ok_or(TrainingMalformed::Count { expected, got })?;
            self.iteration(claim, opening)?;
        }
        match openings.next() {
            Some(_) => Err(TrainingMalformed::Count { expected, got: expected + 1 }.into()),
            None => Ok(run),
        }
    }

    /// The commitment of what a step draw gives in an iteration.
    pub(super) fn draw_root(&self, value: ValueId, t: u64) -> Option<Root> {
        let RunParameters { run, seed, .. } = &self.parameters;
        let local = Local::new(self.checker.program(), &self.extents, *run, value)?;
        let region = poai_core::program::ops::Region { rows: 0..local.output.rows, columns: 0..1 };
        // A row an item: the rules bound the batch.
        let mut samples = vec![0; region.rows.len()];
        local.compute(&Random { seed, t }, &region, None, &mut samples).ok()?;
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Some(column_root(local.output.rows, &bytes))
    }
}

/// The inputs of a step draw.
struct Random<'a> {
    seed: &'a TrainingSeed,
    t: u64,
}

impl RowSource for Random<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let words = self.seed.as_bytes().as_chunks::<4>().0;
        let entry = match slot {
            0 => words.get(row as usize).map(|&word| i32::from_le_bytes(word)),
            1 if row == 0 => i32::try_from(self.t).ok(),
            _ => None,
        };
        let missing = StepError::Missing { slot, row };
        match (entry, to) {
            (Some(entry), [to]) => {
                *to = entry;
                Ok(())
            }
            _ => Err(missing),
        }
    }
}

/// Checks that claims are of these iterations, chain from one state to another, and
/// hash to a chain.
fn chained(
    range: Range<u64>,
    claims: &[IterationClaim],
    before: StateRoot,
    after: StateRoot,
    chain: ChainRoot,
) -> Result<(), TrainingError> {
    let (expected, got) = (range.end - range.start, claims.len() as u64);
    if expected != got {
        return Err(TrainingMalformed::Count { expected, got }.into());
    }
    let (mut state, mut builder) = (before, ChainBuilder::new());
    for (expected, claim) in range.clone().zip(claims) {
        let got = claim.t;
        if expected != got {
            return Err(TrainingInvalid::Number { expected, got }.into());
        }
        if claim.before != state {
            return Err(TrainingInvalid::Link { t: got }.into());
        }
        state = claim.after;
        builder.push(claim.leaf());
    }
    if state != after {
        return Err(TrainingInvalid::End { t: range.end.saturating_sub(1) }.into());
    }
    let (expected, got) = (chain, builder.root());
    if expected != got {
        return Err(TrainingInvalid::Chain { expected, got }.into());
    }
    Ok(())
}
