//! Sizes of messages about a run, and the times to check them.

use crate::Failure;
use crate::networks::Name;
use crate::serve::processor;
use poai_core::Beacon;
use poai_core::trace::TraceRules;
use poai_core::training_run::TrainingRules;
use poai_engine::Cpu;
use poai_engine::execute::Trace;
use poai_train::commit::CommitError;
use poai_train::{Committer, JobParameters};
use poai_verify::trace::Checker;
use poai_verify::train::RunChecker;
use serde_json::{Value, json};
use std::time::Instant;

/// Checks of which the median is printed.
const CHECKS: usize = 15;
/// Iterations of the segment, whose traces are all in memory.
const ITERATIONS: u32 = 4;
/// Fixed before the run, and after its segment.
const BEACONS: [Beacon; 2] = [Beacon([2; 32]), Beacon([3; 32])];

/// Prints figures of audits under two rules, and of a fraud proof of an update with
/// a wrong entry.
///
/// The segment has few iterations, so most are drawn several times, each time with
/// other tiles. A segment of 2^d iterations adds at most d hashes to each drawn one.
pub fn audit(network: Name, cpu: &Cpu, samples: u32) -> Result<(), Failure> {
    let one = TrainingRules {
        trace: TraceRules { step_samples: 0, output_tiles: 0, ..TrainingRules::DEFAULT.trace },
        iteration_samples: samples,
    };
    let all = TrainingRules { iteration_samples: samples, ..TrainingRules::DEFAULT };
    // The seed depends on the rules, so each has a run.
    let first = audited(network, cpu, &one, "one tile of each drawn iteration")?;
    let second = audited(network, cpu, &all, "default: also one of steps and one of each output")?;
    println!("{}", json!({ "audits": [first, second], "fraud": fraud(network, cpu, &one)? }));
    Ok(())
}

/// A job with the traces of its run.
struct Traced {
    job: JobParameters,
    checker: RunChecker,
    committer: Committer,
    traces: Vec<Trace>,
}

fn traced(network: Name, cpu: &Cpu, rules: &TrainingRules) -> Result<Traced, Failure> {
    let (job, mut run) = network.run(cpu, ITERATIONS, false, rules)?;
    let program = run.iteration().network().program().clone();
    let checker = Checker::new(program.clone(), rules.trace);
    let (parameters, dataset) = (job.parameters, job.dataset.clone());
    let samples = rules.iteration_samples;
    let checker = RunChecker::new(checker, parameters, dataset, &BEACONS[0], samples)?;
    let mut committer = Committer::new(&program, job.clone())?;
    let mut traces = vec![];
    while run.done() < ITERATIONS {
        let trace = run.trace()?.trace.ok_or("expected a trace, got none")?;
        committer.push(&trace)?;
        traces.push(trace);
    }
    Ok(Traced { job, checker, committer, traces })
}

fn audited(network: Name, cpu: &Cpu, rules: &TrainingRules, what: &str) -> Result<Value, Failure> {
    let Traced { checker, committer, traces, .. } = traced(network, cpu, rules)?;
    let trace_of = |t: u64| Ok::<_, CommitError>(&traces[t as usize]);
    let audit = committer.audit(0, &BEACONS[1], rules, trace_of)?;
    let segment = &committer.segments()[0];
    let checked = checker.audit(segment, &BEACONS[1], &audit)?;
    let check = || Ok(checker.audit(segment, &BEACONS[1], &audit).map(|_| ())?);
    let [ms, processor_ms] = median(check)?;
    let (bytes, bound) = (audit.to_bytes().len(), checker.audit_bytes_max(segment)?);
    let (iterations, tiles) = (checked.iterations, checked.tiles);
    Ok(json!({ "rules": what, "iterations": iterations, "tiles": tiles, "bytes": bytes,
        "bytes_max": bound, "ms": ms, "processor_ms": processor_ms }))
}

/// Convicts a run whose last update has one wrong entry.
fn fraud(network: Name, cpu: &Cpu, rules: &TrainingRules) -> Result<Value, Failure> {
    let Traced { job, checker, committer, traces } = traced(network, cpu, rules)?;
    let (Some(honest), program) = (traces.last(), committer.program()) else {
        return Err("expected traces, got none".into());
    };
    // Every state of a parameter, of which the largest proof is printed.
    let mut worst = Value::Null;
    let mut most = 0;
    for &value in program.outputs() {
        let tensor = honest.value(value)?;
        let wrong = tensor.with_entry(0, 0, tensor.entries()[0] ^ 1)?;
        let lie = honest.with_fault(value, wrong).ok_or("expected a fault, got none")?;
        let mut liar = Committer::new(program, job.clone())?;
        for trace in &traces[..traces.len() - 1] {
            liar.push(trace)?;
        }
        liar.push(&lie)?;
        let segment = &liar.segments()[0];
        let place = u64::from(ITERATIONS) - 1;
        let proof = liar.messages(0)?.trace(place, &lie.fraud_proof(value, 0)?);
        let proof = proof.ok_or("expected a proof, got none")?;
        checker.fraud(segment, &proof)?;
        let bytes = proof.to_bytes().len();
        if bytes > most {
            most = bytes;
            let check = || Ok(checker.fraud(segment, &proof).map(|_| ())?);
            let [ms, processor_ms] = median(check)?;
            let step = program.step_of(value).map(|step| step.name.clone());
            worst = json!({ "step": step, "bytes": bytes, "ms": ms,
                "processor_ms": processor_ms });
        }
    }
    Ok(worst)
}

/// The median milliseconds of some calls, and the median of what their threads ran.
fn median(mut call: impl FnMut() -> Result<(), Failure>) -> Result<[f64; 2], Failure> {
    let mut times = [vec![], vec![]];
    for _ in 0..CHECKS {
        let (start, used) = (Instant::now(), processor()?);
        call()?;
        times[0].push(start.elapsed().as_secs_f64() * 1e3);
        times[1].push(processor()? - used);
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[CHECKS / 2]
    }))
}
