//! Commitments of a training run: claims, segments, audits, and messages that
//! convict (spec §19).
//!
//! A prover fixes the [`JobParameters`] and traces each iteration. A [`Committer`]
//! makes claims of traces, and segments and audits of claims. A watcher re-executes
//! the run, and [`Watcher`] finds the first lie of a segment.
//!
//! - [`mod@messages`]: the bytes of fraud proofs, answers and demands.
//! - [`mod@stored`]: claims in a file, which survive a stop of the run.
//! - [`mod@watch`]: re-execution by a watcher, which finds the first lie.
//!
//! The crate `poai-verify` checks all of these messages.

mod audit;
pub mod messages;
pub mod stored;
pub mod watch;

pub use messages::SegmentMessages;
pub use stored::{ClaimsError, ClaimsFile};
pub use watch::{Claimed, Lie, WatchError, Watcher};

use crate::dataset::Dataset;
use crate::iteration::{Iteration, Source};
use crate::run::TrainingRun;
use poai_core::program::Program;
use poai_core::puzzle::commitment::Tree;
use poai_core::trace::header;
use poai_core::training_run::{
    ChainBuilder, DatasetRoots, IterationClaim, RunParameters, RunParametersError, Segment,
    TrainedRun, TrainingProgram, TrainingProgramError, TrainingRules, chain_root, state_root,
};
use poai_core::{Beacon, Job, Root, SegmentRoot, TrainingSeed};
use poai_engine::execute::{OpenError, Tensor, Trace};

/// Why a run cannot be committed to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The program's iterations are no training run.
    #[error(transparent)]
    Program(#[from] TrainingProgramError),
    /// A parameter is outside its limits.
    #[error(transparent)]
    Parameters(#[from] RunParametersError),
    /// The iteration takes its batches as inputs, or draws from another dataset.
    #[error("expected an iteration that draws from the {0} samples of the dataset, got another")]
    Source(u32),
    /// A trace is not of the run's next iteration.
    #[error("expected a trace of iteration {t} of this run, got one with another {what}")]
    Trace {
        /// The iteration.
        t: u64,
        /// What differs.
        what: &'static str,
    },
    /// A stored claim is not one of the run.
    #[error(
        "expected claim {t} of this run, got one with another {what}; resume from another copy"
    )]
    Claim {
        /// The iteration.
        t: u64,
        /// What differs.
        what: &'static str,
    },
    /// The run has no such segment yet.
    #[error("expected a segment whose iterations are all committed, got segment {0}")]
    Segment(u32),
    /// A trace cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a job fixes of a run, with the dataset's commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobParameters {
    /// What a verifier takes from the job.
    pub parameters: RunParameters,
    /// The dataset's commitments.
    pub dataset: DatasetRoots,
}

impl JobParameters {
    /// The parameters of a run of an iteration on a dataset from a first state, in
    /// segments of `segment` iterations. The seed follows from them and the beacon,
    /// which has to be fixed after all else.
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn new(
        iteration: &Iteration,
        dataset: &Dataset,
        first: &[Tensor],
        job: Job,
        beacon: &Beacon,
        segment: u32,
        rules: &TrainingRules,
    ) -> Result<JobParameters, CommitError> {
        let Source::Drawn { samples, rates } = iteration.source() else {
            return Err(CommitError::Source(dataset.count()));
        };
        if *samples != dataset.count() {
            return Err(CommitError::Source(dataset.count()));
        }
        let inputs = [dataset.samples(), dataset.labels()];
        let root = |tree: &Option<Tree>, tensor: &Tensor| {
            tree.as_ref().map_or_else(|| tensor.root(), |tree| *tree.root())
        };
        let roots = inputs.map(|input| root(&input.tree, &input.tensor)).to_vec();
        let dataset = DatasetRoots { rows: u64::from(*samples), roots };
        let first: Vec<Root> = first.iter().map(Tensor::root).collect();
        let parameters = RunParameters {
            program: iteration.network().program().program_id(),
            job,
            dataset: dataset.root(),
            seed: TrainingSeed::default(),
            run: iteration.shape(),
            iterations: rates.len() as u64,
            first: state_root(&first),
            segment,
            rules: rules.digest(),
        };
        parameters.check()?;
        Ok(JobParameters { parameters: parameters.with_beacon(beacon), dataset })
    }

    /// The seed, as [`crate::TrainingRun`] takes it.
    pub fn seed(&self) -> [u8; 32] {
        self.parameters.seed.0
    }
}

/// Makes claims of the traces of a run, one after another, and segments of them.
#[derive(Clone, Debug)]
pub struct Committer {
    program: Program,
    training: TrainingProgram,
    job: JobParameters,
    claims: Vec<IterationClaim>,
    chain: ChainBuilder,
    segments: Vec<Segment>,
}

impl Committer {
    /// A committer of a run of a program.
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn new(program: &Program, job: JobParameters) -> Result<Committer, CommitError> {
        job.parameters.check()?;
        let training = TrainingProgram::of(program)?;
        let (program, claims) = (program.clone(), vec![]);
        let (chain, segments) = (ChainBuilder::new(), vec![]);
        Ok(Committer { program, training, job, claims, chain, segments })
    }

    /// A committer that goes on after the claims of a run's iterations so far.
    ///
    /// The claims chain from the job's first state to the run's state now. Whether
    /// their traces are right is not checked: they are the prover's own.
    ///
    /// # Errors
    /// [`CommitError::Claim`] names the first claim that is not the run's.
    pub fn resumed(
        run: &TrainingRun,
        job: JobParameters,
        claims: &[IterationClaim],
    ) -> Result<Committer, CommitError> {
        let mut committer = Committer::new(run.iteration().network().program(), job)?;
        let differs = |t, what| Err(CommitError::Claim { t, what });
        let (mut state, done) = (committer.job.parameters.first, u64::from(run.done()));
        if claims.len() as u64 != done {
            return differs(done.min(claims.len() as u64), "number: the run has done others");
        }
        for (t, claim) in (0..).zip(claims) {
            if claim.t != t {
                return differs(t, "number");
            }
            if claim.before != state {
                return differs(t, "state before");
            }
            state = claim.after;
            committer.chain.push(claim.leaf());
            committer.claims.push(*claim);
            committer.close_segment();
        }
        let own: Vec<Root> = run.states().map(|state| state.root()).collect();
        match state == state_root(&own) {
            true => Ok(committer),
            false => differs(done.saturating_sub(1), "state after"),
        }
    }

    /// Adds the claim of the next iteration's trace.
    ///
    /// # Errors
    /// [`CommitError::Trace`] if it is the trace of another program, run, state,
    /// seed, number or dataset.
    pub fn push(&mut self, trace: &Trace) -> Result<IterationClaim, CommitError> {
        let (t, parameters) = (self.claims.len() as u64, &self.job.parameters);
        let differs = |what| Err(CommitError::Trace { t, what });
        if t == parameters.iterations {
            return differs("number: the run is complete");
        }
        let header = trace.header();
        if (header.program, header.run) != (parameters.program, parameters.run) {
            return differs("program or run");
        }
        let claim = claim_of(&self.training, t, trace);
        if claim.before != self.claims.last().map_or(parameters.first, |last| last.after) {
            return differs("state");
        }
        let states = input_roots(&self.training, trace);
        if header.input != self.training.header_input(parameters, &states, t, &self.job.dataset) {
            return differs("seed, number or dataset");
        }
        self.chain.push(claim.leaf());
        self.claims.push(claim);
        self.close_segment();
        Ok(claim)
    }

    /// Adds the segment of the last claims, if it is complete.
    fn close_segment(&mut self) {
        // Exact: a run has at most 2^31 segments.
        let index = self.segments.len() as u32;
        let Some(range) = self.job.parameters.iterations_of(index) else { return };
        if range.end != self.claims.len() as u64 {
            return;
        }
        // Exact: as many claims are in memory.
        let claims = &self.claims[range.start as usize..];
        let (Some(first), Some(last)) = (claims.first(), claims.last()) else { return };
        let leaves: Vec<_> = claims.iter().map(IterationClaim::leaf).collect();
        let root = |last: &Segment| last.root(&self.job.parameters);
        let previous = self.segments.last().map_or(SegmentRoot::default(), root);
        let (before, after) = (first.before, last.after);
        self.segments.push(Segment { previous, index, before, chain: chain_root(&leaves), after });
    }

    /// What the job fixes.
    pub fn job(&self) -> &JobParameters {
        &self.job
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The claims so far.
    pub fn claims(&self) -> &[IterationClaim] {
        &self.claims
    }

    /// The segments whose iterations are all committed.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The messages about a segment.
    ///
    /// # Errors
    /// [`CommitError::Segment`].
    pub fn messages(&self, segment: u32) -> Result<SegmentMessages<'_>, CommitError> {
        let none = CommitError::Segment(segment);
        let own = self.segments.get(segment as usize).ok_or(none.clone())?;
        let range = self.job.parameters.iterations_of(segment).ok_or(none)?;
        let claims = &self.claims[range.start as usize..range.end as usize];
        Ok(SegmentMessages { parameters: &self.job.parameters, segment: own, claims })
    }

    /// What the run came to. `None` before its last iteration.
    pub fn trained(&self) -> Option<TrainedRun> {
        let last = self.claims.last()?.after;
        let complete = self.claims.len() as u64 == self.job.parameters.iterations;
        complete.then(|| TrainedRun { last, chain: self.chain.root() })
    }
}

/// The commitments of the states that a trace begins with.
pub fn input_roots(program: &TrainingProgram, trace: &Trace) -> Vec<Root> {
    // Exact: at most 4096 inputs.
    let states = (0..program.states() as u32).map(poai_core::program::ValueId);
    states.filter_map(|state| trace.tree(state)).map(|tree| *tree.root()).collect()
}

/// The commitments of a trace's outputs, the next states first.
pub fn output_roots(trace: &Trace) -> Vec<Root> {
    let outputs = trace.network().program().outputs();
    outputs.iter().filter_map(|&output| trace.tree(output)).map(|tree| *tree.root()).collect()
}

/// The claim that a trace is iteration t. Whether it is, is not checked.
pub fn claim_of(program: &TrainingProgram, t: u64, trace: &Trace) -> IterationClaim {
    let outputs = output_roots(trace);
    debug_assert_eq!(
        header::output_root(trace.network().program(), &outputs),
        Some(trace.header().output)
    );
    let states = outputs.get(..program.states()).unwrap_or_default();
    IterationClaim {
        t,
        before: state_root(&input_roots(program, trace)),
        trace: trace.root(),
        after: state_root(states),
    }
}
