//! Makes a new version's fixtures of training runs: segments, claims, audits, fraud
//! proofs, demands, answers and receipts:
//! `cargo run -p poai-testing --features verify --bin make-run-fixtures -- DIRECTORY`.
//!
//! Never make the fixtures of an earlier version again: today's and all later code
//! has to read them unchanged. The program refuses a directory that exists.

use poai_core::program::{Dtype, ValueId};
use poai_core::trace::Demand;
use poai_core::training_run::{
    Demanded, RunParameters, Segment, TrainingAudit, TrainingFraud, TrainingReceipt, TrainingRules,
};
use poai_core::{Beacon, Prover};
use poai_engine::execute::{Tensor, Trace};
use poai_testing::training_runs::{BEACON, Claims, JOB, RULES, Trained, outputs_of, small};
use poai_train::commit::output_roots;
use poai_verify::train::{IterationClaim, RunChecker, TrainingAnswer, TrainingDemand};
use serde_json::{Value, json};
use std::path::Path;

type Failure = Box<dyn std::error::Error>;

/// The beacon of the audits.
const AUDIT: Beacon = Beacon([0x51; 32]);
const PROVER: Prover = Prover([0x55; 32]);

struct Writer<'a> {
    directory: &'a Path,
    manifest: Vec<Value>,
    job: Value,
    checker: RunChecker,
}

impl Writer<'_> {
    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        Ok(std::fs::write(self.directory.join(name), bytes)?)
    }

    /// Writes one file and its line of the manifest, with everything that its check
    /// needs. `expect` is `valid`, or the beginning of the error's text.
    fn add(
        &mut self,
        kind: &str,
        name: &str,
        bytes: &[u8],
        expect: &str,
        with: Value,
    ) -> Result<(), Failure> {
        self.file(name, bytes)?;
        let mut entry = self.job.clone();
        for (key, value) in [("kind", kind), ("file", name), ("expect", expect)] {
            entry[key] = value.into();
        }
        for (key, value) in with.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        self.manifest.push(entry);
        Ok(())
    }

    fn fraud(
        &mut self,
        name: &str,
        segment: (&str, &Segment),
        proof: Option<TrainingFraud>,
    ) -> Result<(), Failure> {
        let proof = proof.ok_or("no such place")?;
        let convicted = self.checker.fraud(segment.1, &proof);
        let expect = match &convicted {
            Ok(_) => "valid".into(),
            Err(why) => why.to_string(),
        };
        self.file(segment.0, &segment.1.to_bytes())?;
        self.add("fraud", name, proof.as_bytes(), &expect, json!({ "segment": segment.0 }))
    }
}

fn main() -> Result<(), Failure> {
    let directory = std::env::args_os().nth(1).ok_or("usage: make-run-fixtures DIRECTORY")?;
    let directory = Path::new(&directory);
    std::fs::create_dir(directory)?;
    let trained = small();
    let rules = TrainingRules { iteration_samples: 1, ..RULES };
    let checker = trained.checker_of(1);
    let mut honest = trained.honest();
    honest.parameters = *checker.parameters();
    let honest = honest.with(|_| ());
    let job = json!({
        "program": "iteration.program",
        "parameters": "job.parameters",
        "dataset": trained.job.dataset,
        "beacon": BEACON,
        "rules": rules,
    });
    let mut writer = Writer { directory, manifest: vec![], job, checker };
    writer.file("iteration.program", &trained.iteration.network().program().to_bytes())?;
    writer.file("job.parameters", &honest.parameters.to_bytes())?;
    honest_messages(&mut writer, &honest, &rules)?;
    lies(&mut writer, trained, &honest, &rules)?;
    let manifest = serde_json::to_string_pretty(&writer.manifest)?;
    std::fs::write(directory.join("manifest.json"), manifest + "\n")?;
    Ok(())
}

fn honest_messages(
    writer: &mut Writer<'_>,
    honest: &Claims,
    rules: &TrainingRules,
) -> Result<(), Failure> {
    let [first, second, ..] = honest.segments.as_slice() else { return Err("segments".into()) };
    let segment = |name: &str| json!({ "segment": name });
    writer.add("segment", "first.segment", &first.to_bytes(), "valid", json!({}))?;
    let previous = json!({ "previous": "first.segment" });
    writer.add("segment", "second.segment", &second.to_bytes(), "valid", previous)?;
    let why = "invalid: expected a segment that continues the number";
    writer.add("segment", "second.segment", &second.to_bytes(), why, json!({}))?;
    let claims = IterationClaim::list_to_bytes(honest.of_segment(0));
    writer.add("claims", "first.claims", &claims, "valid", segment("first.segment"))?;
    let why = "invalid: expected the claim of iteration 4, got that of iteration 0";
    writer.add("claims", "first.claims", &claims, why, segment("second.segment"))?;

    let audit: TrainingAudit = honest.audit(0, &AUDIT, rules);
    let with = |name: &str, beacon: Beacon| json!({ "segment": name, "audit_beacon": beacon });
    let bytes = audit.as_bytes();
    writer.add("audit", "honest.audit", bytes, "valid", with("first.segment", AUDIT))?;
    let why = "invalid: the claim at place";
    writer.add("audit", "honest.audit", bytes, why, with("second.segment", AUDIT))?;

    let (messages, trace) = (honest.messages(0), &honest.traces[1]);
    let asked = |name: &str| json!({ "segment": "first.segment", "demand": name });
    let demand = messages.demand(1, Demanded::Records);
    let (name, bytes) = ("records.demand", demand.to_bytes());
    writer.add("demand", name, &bytes, "valid", segment("first.segment"))?;
    let why = "invalid: expected a demand about segment";
    writer.add("demand", name, &bytes, why, segment("second.segment"))?;
    let answer = messages.records(1, &trace.header(), trace.records()).ok_or("no place")?;
    writer.add("answer", "records.answer", answer.as_bytes(), "valid", asked(name))?;
    let value = trace.network().program().outputs()[0];
    let (demand, answer) = tile(honest, 1, trace, value)?;
    writer.add("demand", "tile.demand", &demand.to_bytes(), "valid", segment("first.segment"))?;
    writer.add("answer", "tile.answer", answer.as_bytes(), "valid", asked("tile.demand"))?;
    let run = honest.trained();
    writer.file("honest.run", &run.to_bytes())?;
    let receipt = TrainingReceipt::of(&honest.parameters, &run, writer.checker.macs(), PROVER);
    let of = || json!({ "run": "honest.run", "digest": receipt.digest() });
    writer.add("receipt", "honest.receipt", &receipt.to_bytes(), "valid", of())?;
    let fewer = TrainingReceipt { macs: receipt.macs - 1, ..receipt };
    let why = "the receipt differs from the run in its number of MACs";
    let with = json!({ "run": "honest.run", "digest": fewer.digest() });
    writer.add("receipt", "fewer-macs.receipt", &fewer.to_bytes(), why, with)
}

/// A demand of tile 0 of a value of the segment's iteration at a place, and its answer.
fn tile(
    claims: &Claims,
    place: u64,
    trace: &Trace,
    value: ValueId,
) -> Result<(TrainingDemand, TrainingAnswer), Failure> {
    let messages = claims.messages(0);
    let receipt = trace.receipt(JOB, PROVER);
    let own = Demand { receipt: receipt.digest(), value, tile: 0 };
    let answer = trace.answer(&receipt, &own)?;
    let demand = messages.demand(place, Demanded::Tile { value, tile: 0 });
    Ok((demand, messages.tile(place, &answer).ok_or("no place")?))
}

fn lies(
    writer: &mut Writer<'_>,
    trained: &Trained,
    honest: &Claims,
    rules: &TrainingRules,
) -> Result<(), Failure> {
    let parameters: RunParameters = honest.parameters;
    let of = |traces: Vec<Trace>| {
        let mut claims = Claims::of(trained, traces);
        claims.parameters = parameters;
        claims.with(|_| ())
    };
    let program = trained.iteration.network().program();
    let (states, draw) = (trained.program().states(), trained.program().draws()[0]);

    // Claims that do not chain.
    let swapped = honest.clone().with(|claims| claims.swap(1, 2));
    let named = ("swapped.segment", &swapped.segments[0]);
    writer.fraud("number.fraud", named, swapped.messages(0).number(1))?;
    let links = swapped.with(|claims| (claims[1].t, claims[2].t) = (1, 2));
    let named = ("links.segment", &links.segments[0]);
    writer.fraud("link.fraud", named, links.messages(0).link(1))?;
    let why = "invalid: iteration 1 does not continue";
    let claims = IterationClaim::list_to_bytes(links.of_segment(0));
    writer.add("claims", "links.claims", &claims, why, json!({ "segment": named.0 }))?;

    // Iteration 2 is iteration 1 again, with the state of iteration 2.
    let mut copied = trained.traces.clone();
    copied[2] = copied[1].clone();
    let copied = of(copied).with(|claims| claims[2].before = claims[1].after);
    let named = ("copied.segment", &copied.segments[0]);
    let (header, roots) = (copied.traces[2].header(), honest.state_roots(&trained.traces[2]));
    writer.fraud("inputs.fraud", named, copied.messages(0).inputs(2, &header, &roots))?;

    // Another number of MACs.
    let mut header = trained.traces[1].header();
    header.macs += 1;
    let more = honest.clone().with(|claims| claims[1].trace = header.root());
    let named = ("more-macs.segment", &more.segments[0]);
    writer.fraud("header.fraud", named, more.messages(0).header(1, &header))?;

    // A next state that the trace does not give.
    let other = honest.clone().with(|claims| claims[1].after = claims[0].after);
    let named = ("other-state.segment", &other.segments[0]);
    let trace = &trained.traces[1];
    let roots = output_roots(trace);
    let proof = other.messages(0).outputs(1, &trace.header(), &roots);
    writer.fraud("outputs.fraud", named, proof)?;

    // Other samples.
    let tensor = trace.value(draw)?;
    let mut samples = tensor.entries();
    samples.rotate_left(1);
    let samples = Tensor::new(samples.len(), 1, Dtype::I32, &samples)?;
    let lie = trace.with_fault(draw, samples).ok_or("no fault")?;
    let mut traces = trained.traces.clone();
    traces[1] = lie.clone();
    let order = of(traces);
    let named = ("order.segment", &order.segments[0]);
    let record = lie.record_opening(draw).ok_or("no record")?;
    let proof = order.messages(0).order(1, &lie.header(), draw, &record);
    writer.fraud("order.fraud", named, proof)?;

    // One wrong update of a weight, from which the run goes on.
    let output = program.outputs()[0];
    let tensor = trace.value(output)?;
    let wrong = tensor.with_entry(0, 0, tensor.entries()[0] + 1)?;
    let lie = trace.with_fault(output, wrong).ok_or("no fault")?;
    let mut traces = trained.traces[..1].to_vec();
    traces.push(lie.clone());
    traces.extend(trained.continued(2, outputs_of(&lie, states)));
    let update = of(traces);
    let segment = &update.segments[0];
    let named = ("update.segment", segment);
    let proof = update.messages(0).trace(1, &lie.fraud_proof(output, 0)?);
    writer.fraud("update.fraud", named, proof)?;
    let (demand, answer) = tile(&update, 1, &lie, output)?;
    writer.file("update.demand", &demand.to_bytes())?;
    let with = json!({ "segment": named.0, "demand": "update.demand" });
    writer.add("answer", "convicting.answer", answer.as_bytes(), "convicts", with)?;
    for byte in 0..=255 {
        let beacon = Beacon([byte; 32]);
        let audit = update.audit(0, &beacon, rules);
        let Err(why) = writer.checker.audit(segment, &beacon, &audit) else { continue };
        let with = json!({ "segment": named.0, "audit_beacon": beacon });
        writer.add("audit", "update.audit", audit.as_bytes(), &why.to_string(), with)?;
        break;
    }

    // What is right convicts no prover.
    let first = ("first.segment", &honest.segments[0]);
    let proof = trained.traces[1].fraud_proof(output, 0)?;
    writer.fraud("right.fraud", first, honest.messages(0).trace(1, &proof))
}
