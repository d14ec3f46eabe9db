//! Small training runs, honest and lying, for tests of their checks.
#![allow(dead_code, reason = "each user takes its own part")]

use crate::zoo::entries;
use poai_core::program::ValueId;
use poai_core::trace::{RecordBytes, TraceHeader, TraceRules};
use poai_core::training_run::{
    DatasetRoots, IterationClaim, RunParameters, Segment, TrainedRun, TrainingAudit,
    TrainingProgram, TrainingRules, chain_root,
};
use poai_core::{Beacon, Job, Root, SegmentRoot};
use poai_engine::execute::{Tensor, TensorBytes, Trace};
use poai_train::commit::{Claimed, SegmentMessages, claim_of, input_roots, output_roots};
use poai_train::{
    CommitError, Dataset, Iteration, IterationOptions, JobParameters, Layers, Lie, Optimiser,
    Source, TrainingRun, Watcher, initial,
};
use poai_verify::trace::Checker;
use poai_verify::train::{IterationOpening, RunChecker};
use std::sync::OnceLock;

pub const JOB: Job = Job([0x31; 32]);
pub const BEACON: Beacon = Beacon([0x32; 32]);
pub const SAMPLES: u32 = 40;
pub const ITERATIONS: usize = 10;
/// Iterations of a segment: the last one has fewer.
pub const SEGMENT: u32 = 4;
pub const RULES: TrainingRules = TrainingRules {
    trace: TraceRules {
        batch_max: 64,
        sequence_max: 1,
        product_samples: 1,
        step_samples: 1,
        output_tiles: 1,
        ..TraceRules::DEFAULT
    },
    iteration_samples: 2,
};

/// What a job fixes, and what its honest prover computes.
pub struct Trained {
    pub iteration: Iteration,
    pub dataset: Dataset,
    pub first: Vec<Tensor>,
    pub job: JobParameters,
    pub traces: Vec<Trace>,
}

/// The layers of all runs here.
pub fn layers() -> Layers {
    Layers::features(16).linear(12).relu().linear(4)
}

/// An iteration on samples of 16 numbers and 4 classes, with a rate for each of the
/// run's iterations.
pub fn iteration(rate: f64) -> Iteration {
    let rates = (0..ITERATIONS as u64).map(|t| Optimiser::SGD.rate(rate, t, 8)).collect();
    let options = IterationOptions {
        optimiser: Optimiser::SGD,
        decay: 0.0,
        batch: 8,
        source: Source::Drawn { samples: SAMPLES, rates },
    };
    Iteration::new(&layers(), &options).unwrap()
}

/// Samples by name.
pub fn dataset(name: &str) -> Dataset {
    let numbers = entries(name, SAMPLES as usize * 16, -60, 60);
    let numbers: Vec<f32> = numbers.iter().map(|&x| x as f32 / 64.0).collect();
    let labels: Vec<u32> =
        entries("labels", SAMPLES as usize, 0, 3).iter().map(|&label| label as u32).collect();
    Dataset::dense(&layers(), &numbers, &labels).unwrap()
}

/// The traces of a run's iterations from a state on, which is that before iteration
/// `done`.
pub fn traced(
    iteration: &Iteration,
    dataset: &Dataset,
    states: Vec<Tensor>,
    seed: [u8; 32],
) -> Vec<Trace> {
    let mut run = run(iteration, dataset, states, seed);
    (0..run.total()).map(|_| run.trace().unwrap().trace.unwrap().with_rules(RULES.trace)).collect()
}

pub fn run(
    iteration: &Iteration,
    dataset: &Dataset,
    states: Vec<Tensor>,
    seed: [u8; 32],
) -> TrainingRun {
    let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
    TrainingRun::new(iteration.clone(), dataset.clone(), states, seed, device).unwrap()
}

/// The small run, made once.
pub fn small() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let (iteration, dataset) = (iteration(0.1), dataset("samples"));
        let first = initial(&iteration, &[1; 32]).unwrap();
        let job = JobParameters::new(&iteration, &dataset, &first, JOB, &BEACON, SEGMENT, &RULES)
            .unwrap();
        let traces = traced(&iteration, &dataset, first.clone(), job.seed());
        Trained { iteration, dataset, first, job, traces }
    })
}

impl Trained {
    pub fn program(&self) -> TrainingProgram {
        TrainingProgram::of(self.iteration.network().program()).unwrap()
    }

    pub fn checker(&self) -> RunChecker {
        self.checker_of(RULES.iteration_samples)
    }

    /// A checker whose audits draw another number of iterations, of a job under
    /// these rules.
    pub fn checker_of(&self, iteration_samples: u32) -> RunChecker {
        let rules = TrainingRules { iteration_samples, ..RULES };
        let parameters = RunParameters { rules: rules.digest(), ..self.job.parameters };
        let checker = Checker::new(self.iteration.network().program().clone(), RULES.trace);
        let dataset: DatasetRoots = self.job.dataset.clone();
        RunChecker::new(checker, parameters, dataset, &BEACON, iteration_samples).unwrap()
    }

    /// A watcher that has done nothing yet.
    pub fn watch(&self) -> Watcher {
        let run = run(&self.iteration, &self.dataset, self.first.clone(), self.job.seed());
        Watcher::new(run, self.job.clone()).unwrap()
    }

    pub fn honest(&self) -> Claims {
        Claims::of(self, self.traces.clone())
    }

    /// The run of which iteration t is replaced by a trace that differs, and which
    /// goes on from the state that this one gives.
    pub fn from_lie(&self, t: usize, lie: Trace) -> Claims {
        let mut traces = self.traces[..t].to_vec();
        let states = outputs_of(&lie, self.program().states());
        traces.push(lie);
        traces.extend(self.continued(t + 1, states));
        Claims::of(self, traces)
    }

    /// The iterations from t on, from given states.
    pub fn continued(&self, t: usize, mut states: Vec<Tensor>) -> Vec<Trace> {
        let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
        let session = self.iteration.network().clone().on(device).unwrap();
        let count = states.len();
        let mut traces = vec![];
        for t in t..ITERATIONS {
            let given = &self.traces[t];
            let rest = (count..given.network().program().inputs().len())
                .map(|input| given.value(ValueId(input as u32)).unwrap().clone());
            let inputs: Vec<Tensor> = states.iter().cloned().chain(rest).collect();
            let trace = session.trace((*given.run(), inputs)).unwrap().trace;
            let trace = trace.with_rules(RULES.trace);
            states = outputs_of(&trace, count);
            traces.push(trace);
        }
        traces
    }
}

/// The first outputs of a trace, which continue its states.
pub fn outputs_of(trace: &Trace, count: usize) -> Vec<Tensor> {
    let outputs = trace.network().program().outputs();
    outputs[..count].iter().map(|&value| trace.value(value).unwrap().clone()).collect()
}

/// What a prover claims, and the traces that it publishes.
#[derive(Clone)]
pub struct Claims {
    pub parameters: RunParameters,
    pub program: TrainingProgram,
    pub traces: Vec<Trace>,
    pub claims: Vec<IterationClaim>,
    pub segments: Vec<Segment>,
}

impl Claims {
    /// The claims of traces, as their prover makes them.
    pub fn of(trained: &Trained, traces: Vec<Trace>) -> Claims {
        let program = trained.program();
        let claims = (0..).zip(&traces).map(|(t, trace)| claim_of(&program, t, trace)).collect();
        let parameters = trained.job.parameters;
        let claimed = Claims { parameters, program, traces, claims, segments: vec![] };
        claimed.committed()
    }

    /// The same claims after a change, in segments that fit them.
    pub fn with(mut self, change: impl FnOnce(&mut [IterationClaim])) -> Claims {
        change(&mut self.claims);
        self.committed()
    }

    fn committed(mut self) -> Claims {
        let (mut previous, mut before) = (SegmentRoot::default(), self.parameters.first);
        self.segments.clear();
        for index in 0..self.parameters.segments() {
            let claims = self.of_segment(index);
            let leaves: Vec<_> = claims.iter().map(IterationClaim::leaf).collect();
            let (chain, after) = (chain_root(&leaves), claims.last().unwrap().after);
            let segment = Segment { previous, index, before, chain, after };
            (previous, before) = (segment.root(&self.parameters), after);
            self.segments.push(segment);
        }
        self
    }

    pub fn of_segment(&self, index: u32) -> &[IterationClaim] {
        let range = self.parameters.iterations_of(index).unwrap();
        &self.claims[range.start as usize..range.end as usize]
    }

    pub fn messages(&self, index: u32) -> SegmentMessages<'_> {
        let (parameters, claims) = (&self.parameters, self.of_segment(index));
        SegmentMessages { parameters, segment: &self.segments[index as usize], claims }
    }

    pub fn trained(&self) -> TrainedRun {
        let leaves: Vec<_> = self.claims.iter().map(IterationClaim::leaf).collect();
        TrainedRun { last: self.claims.last().unwrap().after, chain: chain_root(&leaves) }
    }

    /// The header and roots of each iteration.
    pub fn openings(&self) -> Vec<IterationOpening> {
        let opening = |trace: &Trace| IterationOpening {
            header: trace.header(),
            states: self.state_roots(trace),
            outputs: output_roots(trace),
        };
        self.traces.iter().map(opening).collect()
    }

    /// The commitments of the states that a trace begins with.
    pub fn state_roots(&self, trace: &Trace) -> Vec<Root> {
        input_roots(&self.program, trace)
    }

    /// The audit that the prover makes of what it claims.
    pub fn audit(&self, index: u32, beacon: &Beacon, rules: &TrainingRules) -> TrainingAudit {
        let program = self.traces[0].network().program();
        let trace_of = |t: u64| Ok::<_, CommitError>(&self.traces[t as usize]);
        self.messages(index).audit(program, &self.program, beacon, rules, trace_of).unwrap()
    }

    /// What a watcher finds, and in which segment.
    pub fn watched(&self, trained: &Trained) -> Option<(u32, Lie)> {
        let mut watch = trained.watch();
        for segment in &self.segments {
            let claims = self.of_segment(segment.index);
            if let Some(lie) = watch.segment(segment, claims, self).unwrap() {
                return Some((segment.index, lie));
            }
        }
        None
    }
}

impl Claimed for Claims {
    fn records(&self, t: u64) -> Option<(TraceHeader, Vec<RecordBytes>)> {
        let trace = &self.traces[t as usize];
        Some((trace.header(), trace.records().to_vec()))
    }

    fn tensor(&self, t: u64, value: ValueId) -> Option<TensorBytes> {
        Some(TensorBytes(self.traces[t as usize].value(value).ok()?.bytes().to_vec()))
    }
}
