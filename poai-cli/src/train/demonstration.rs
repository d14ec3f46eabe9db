//! What others do with a run's commitments: a verifier audits a segment, and a
//! watcher finds a lie and convicts its prover.

use super::evidence::{drawn, drawn_segment};
use super::replay::{Replay, Snapshots, traced};
use super::setup::{RULES, Setup};
use crate::failure::Failure;
use poai::execute::{OpenError, Tensor, TensorBytes, Trace};
use poai::program::ValueId;
use poai::trace::{RecordBytes, TraceHeader};
use poai::train::commit::{Claimed, claim_of};
use poai::train::{Committer, Lie, Watcher};
use poai::training_run::{
    IterationClaim, Segment, TrainedRun, TrainingAudit, TrainingProgram, chain_root,
};
use poai::verify::trace::{Checker, Fraud, Wrong};
use poai::verify::train::{RunChecker, TrainingWrong};
use poai::{Beacon, RunRoot};
use std::sync::Arc;
use std::time::Instant;

/// How often a check is timed; the median counts.
const TIMED: usize = 5;

/// An audit that holds.
pub struct AuditReport {
    pub segment: u32,
    pub beacon: Beacon,
    /// Iterations that were drawn.
    pub iterations: u32,
    /// Tiles that were recomputed.
    pub tiles: u32,
    pub audit: TrainingAudit,
    pub prove_seconds: f64,
    pub verify_seconds: f64,
}

/// A lie that was convicted.
pub struct LieReport {
    /// The iteration that lies.
    pub t: u64,
    /// The parameter whose update is wrong.
    pub parameter: String,
    pub row: usize,
    pub column: usize,
    /// The entry that the iteration computes.
    pub was: i32,
    /// The entry that the prover commits to.
    pub is: i32,
    /// Iterations that the watcher executed again.
    pub watched: u64,
    pub watch_seconds: f64,
    /// Bytes of the fraud proof.
    pub bytes: usize,
    pub verify_seconds: f64,
    /// What the fraud proof convicts.
    pub step: String,
}

/// A verifier of a run, which knows what the job fixes.
pub struct Verification<'a> {
    setup: &'a Setup,
    committer: &'a Committer,
    snapshots: &'a Snapshots,
    checker: RunChecker,
    /// What draws the audit and the lie.
    beacon: Beacon,
}

impl<'a> Verification<'a> {
    /// The verification of a complete run. Without a beacon of the caller, the run's
    /// own root draws.
    pub fn new(
        setup: &'a Setup,
        committer: &'a Committer,
        snapshots: &'a Snapshots,
        beacon: Option<Beacon>,
    ) -> Result<Verification<'a>, Failure> {
        let checker = Checker::new(setup.iteration.network().program().clone(), RULES.trace);
        let (parameters, dataset) = (setup.job.parameters, setup.job.dataset.clone());
        let samples = RULES.iteration_samples;
        let checker = RunChecker::new(checker, parameters, dataset, &setup.beacon, samples)?;
        let root = |run: TrainedRun| run.root(&setup.job.parameters);
        // An incomplete run has no root; `run` refuses it.
        let beacon = beacon.or_else(|| committer.trained().map(|run| Beacon(root(run).0)));
        let beacon = beacon.unwrap_or(setup.beacon);
        Ok(Verification { setup, committer, snapshots, checker, beacon })
    }

    /// The checker of the run.
    pub fn checker(&self) -> &RunChecker {
        &self.checker
    }

    /// Checks that all segments follow each other and all claims chain, and returns
    /// the run's root.
    pub fn run(&self) -> Result<RunRoot, Failure> {
        let mut previous = None;
        for segment in self.committer.segments() {
            self.checker.segment(previous, segment)?;
            let messages = self.committer.messages(segment.index)?;
            self.checker.claims(segment, messages.claims)?;
            previous = Some(segment);
        }
        let trained = self.committer.trained();
        let trained = trained.ok_or_else(|| {
            Failure::failed("expected claims of all iterations, got fewer; resume the run")
        })?;
        Ok(self.checker.run(&trained, self.committer.claims())?)
    }

    /// What draws the audit and the lie.
    pub fn beacon(&self) -> Beacon {
        self.beacon
    }

    /// Audits a segment that the beacon draws.
    pub fn audit(&self) -> Result<AuditReport, Failure> {
        let beacon = self.beacon;
        let index = drawn_segment(&beacon, &self.setup.job.parameters);
        let start = Instant::now();
        let mut replay = Replay::new(self.setup, self.snapshots)?;
        // Exact: a run has at most 2^24 iterations.
        let trace_of = |t: u64| replay.trace(t as u32);
        let audit = self.committer.audit(index, &beacon, &RULES, trace_of)?;
        let prove_seconds = start.elapsed().as_secs_f64();
        let segment = self.committer.messages(index)?.segment;
        let (audited, verify_seconds) =
            timed(|| Ok(self.checker.audit(segment, &beacon, &audit)?))?;
        Ok(AuditReport {
            segment: index,
            beacon,
            iterations: audited.iterations,
            tiles: audited.tiles,
            audit,
            prove_seconds,
            verify_seconds,
        })
    }

    /// Lets a prover change one entry of one update in the last segment and go on from
    /// it, and a watcher find that.
    pub fn lie(&self) -> Result<LieReport, Failure> {
        let parameters = &self.setup.job.parameters;
        let index = parameters.segments().saturating_sub(1);
        let range = parameters.iterations_of(index).unwrap_or(0..0);
        let t = range.start + drawn(&self.beacon, "iteration", range.end - range.start);
        let liar = self.liar(t, range.end)?;

        let before = &self.committer.messages(index)?;
        // Exact: an iteration of the segment.
        let honest = &before.claims[..(t - range.start) as usize];
        let claims = [honest, &liar.claims].concat();
        let leaves: Vec<_> = claims.iter().map(IterationClaim::leaf).collect();
        let after = claims.last().map_or(before.segment.after, |last| last.after);
        let segment = Segment { chain: chain_root(&leaves), after, ..*before.segment };
        // Nothing that a chain checks at once is wrong.
        self.checker.claims(&segment, &claims)?;

        // Exact: a run has at most 2^24 iterations.
        let own = Replay::new(self.setup, self.snapshots)?.into_run(range.start as u32)?;
        let mut watcher = Watcher::new(own, self.setup.job.clone())?;
        let start = Instant::now();
        let found = watcher.segment(&segment, &claims, &liar)?;
        let watch_seconds = start.elapsed().as_secs_f64();
        let Some(Lie::Proven(fraud)) = found else {
            return Err(Failure::failed(format!(
                "expected a proof of the planted lie, got {found:?}"
            )));
        };
        let (convicted, verify_seconds) = timed(|| Ok(self.checker.fraud(&segment, &fraud)?))?;
        let TrainingWrong::Trace(Fraud { value, wrong: Wrong::Tile(_), .. }) = convicted.wrong
        else {
            let why = format!("expected a conviction of a tile, got {convicted:?}");
            return Err(Failure::failed(why));
        };
        let step = self.setup.iteration.network().program().step_of(value);
        let Liar { parameter, row, column, was, is, .. } = liar;
        Ok(LieReport {
            t: convicted.t,
            parameter,
            row,
            column,
            was,
            is,
            watched: u64::from(watcher.run().done()) - range.start,
            watch_seconds,
            bytes: fraud.as_bytes().len(),
            verify_seconds,
            step: step.map_or_else(String::new, |step| step.name.clone()),
        })
    }

    /// The prover that lies in iteration t, and claims all until `end`.
    fn liar(&self, t: u64, end: u64) -> Result<Liar, Failure> {
        let Setup { iteration, .. } = self.setup;
        let program = iteration.network().program();
        let training = TrainingProgram::of(program).map_err(Failure::failed)?;
        let mut replay = Replay::new(self.setup, self.snapshots)?;
        // Exact: a run has at most 2^24 iterations.
        let at = t as u32;
        let honest = replay.trace(at)?;
        let weights: Vec<usize> = (0..)
            .zip(iteration.states())
            .filter(|(_, state)| state.moment.is_none())
            .map(|(index, _)| index)
            .collect();
        // Exact: below the number of weights.
        let which = weights[drawn(&self.beacon, "parameter", weights.len() as u64) as usize];
        let value = program.outputs()[which];
        let tensor = honest.value(value)?;
        let extent = *tensor.extent();
        let (rows, columns) = (extent.rows as usize, extent.columns as usize);
        let mut entries = tensor.entries();
        // Exact: below the number of entries.
        let entry = drawn(&self.beacon, "entry", entries.len() as u64) as usize;
        let was = entries[entry];
        let is = was.checked_add(1).unwrap_or(was - 1);
        entries[entry] = is;
        let wrong = Tensor::new(rows, columns, extent.dtype, &entries)?;
        let trace = honest.with_fault(value, wrong).ok_or(OpenError::Tile { value, tile: 0 })?;

        let mut claims = vec![claim_of(&training, t, &trace)];
        let states = program.outputs()[..training.states()].iter();
        let states = states.map(|&value| Ok(Arc::new(trace.value(value)?.clone())));
        let states = states.collect::<Result<Vec<_>, Failure>>()?;
        let mut run = replay.into_run(at + 1)?;
        run.restart_at(at + 1, states)?;
        for t in t + 1..end {
            claims.push(claim_of(&training, t, &traced(&mut run)?));
        }
        let parameter = iteration.states()[which].parameter.clone();
        let (row, column) = (entry / columns, entry % columns);
        Ok(Liar { t, trace, claims, parameter, row, column, was, is })
    }
}

/// A prover with one wrong update, and what it publishes.
struct Liar {
    t: u64,
    trace: Trace,
    /// Its claims from iteration t on.
    claims: Vec<IterationClaim>,
    parameter: String,
    row: usize,
    column: usize,
    was: i32,
    is: i32,
}

/// A watcher asks for the first iteration that differs alone.
impl Claimed for Liar {
    fn records(&self, t: u64) -> Option<(TraceHeader, Vec<RecordBytes>)> {
        (t == self.t).then(|| (self.trace.header(), self.trace.records().to_vec()))
    }

    fn tensor(&self, t: u64, value: ValueId) -> Option<TensorBytes> {
        let tensor = self.trace.value(value).ok().filter(|_| t == self.t)?;
        Some(TensorBytes(tensor.bytes().to_vec()))
    }
}

/// The result of a check, and the median of its times.
fn timed<T>(check: impl Fn() -> Result<T, Failure>) -> Result<(T, f64), Failure> {
    let mut seconds = vec![];
    let mut result = check()?;
    for _ in 0..TIMED {
        let start = Instant::now();
        result = check()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok((result, seconds.get(TIMED / 2).copied().unwrap_or_default()))
}
