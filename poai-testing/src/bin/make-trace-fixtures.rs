//! Makes a new version's fixtures of audits, fraud proofs, demands, answers,
//! links and receipts:
//! `cargo run -p poai-testing --features verify --bin make-trace-fixtures -- DIRECTORY`.
//! With `outputs` after the directory, all fixtures are of programs that list
//! their outputs. With `answers`, they are of a run with answers.
//!
//! Never make the fixtures of an earlier version again: today's and all later
//! code has to read them unchanged. The program refuses a directory that
//! exists.

#[path = "trace_fixtures/answers.rs"]
mod answers;

use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::trace::{Demand, Receipt, RecordBytes, TraceHeader, header, unclean};
use poai_core::{Beacon, Challenge, Difficulty, Job, Prover, Side};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Mining, Network, RunOptions, Tensor, Trace};
use poai_engine::{Cpu, MineOptions, Miner};
use poai_testing::forge::Forged;
use poai_testing::{training_network, zoo};
use poai_verify::trace::{Checker, TraceError, TraceInvalid, TraceRules};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

const RULES: TraceRules = TraceRules {
    batch_max: 64,
    sequence_max: 64,
    product_samples: 2,
    step_samples: 2,
    output_tiles: 1,
    ..TraceRules::DEFAULT
};
const JOB: Job = Job([0x54; 32]);
const PROVER: Prover = Prover([0x55; 32]);
const BEACON: Beacon = Beacon([0x51; 32]);

/// A network with one product that can be mined.
fn deep() -> Result<Network, Failure> {
    let mut builder = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(1000), Dtype::I8)]);
    let mut constants = Constants::default();
    let entries = zoo::entries("fixture weights", 20 * 1000, -63, 63);
    let weights = constants.add(&mut builder, "weights", (20, 1000), Dtype::I8, &entries)?;
    let scales = [0, 1 << 20, 0].repeat(20);
    let requantise = constants.add(&mut builder, "scales", (20, 3), Dtype::I32, &scales)?;
    let op = Op::Linear { weights, requantise, shifts: [28, 0, 0], clamp: Clamp::SYMMETRIC };
    builder.step("linear", op, &[builder.input(0)])?;
    Ok(Network::new(builder.finish()?, constants.into_tensors())?)
}

struct Writer<'a> {
    directory: &'a Path,
    manifest: Vec<Value>,
}

impl Writer<'_> {
    /// Writes one file and its line of the manifest, with everything that its
    /// check needs. `expect` is `valid`, or the beginning of the error's text.
    fn add(
        &mut self,
        kind: &str,
        name: &str,
        bytes: &[u8],
        expect: &str,
        mut with: Value,
    ) -> Result<(), Failure> {
        self.file(name, bytes)?;
        for (key, value) in [("kind", kind), ("file", name), ("expect", expect)] {
            with[key] = value.into();
        }
        with["rules"] = json!(RULES);
        self.manifest.push(with);
        Ok(())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        Ok(std::fs::write(self.directory.join(name), bytes)?)
    }
}

fn step_named(trace: &Trace, name: &str) -> Result<ValueId, Failure> {
    let program = trace.network().program();
    let at =
        program.steps().iter().position(|step| step.op.name() == name).ok_or("no such step")?;
    Ok(ValueId(u32::try_from(program.inputs().len() + at)?))
}

/// A beacon whose audit opens the first tile of the wrong step.
fn caught(faulty: &Trace) -> Result<(Beacon, Vec<u8>), Failure> {
    let checker = Checker::new(faulty.network().program().clone(), RULES);
    for byte in 0..=255 {
        let (receipt, beacon) = (faulty.receipt(JOB, PROVER), Beacon([byte; 32]));
        let audit = faulty.audit(&receipt, &beacon)?;
        let result = checker.audit(&receipt, &beacon, &audit);
        if matches!(result, Err(TraceError::Invalid(TraceInvalid::Entry { row: 0, column: 1, .. })))
        {
            return Ok((beacon, audit.to_bytes()));
        }
    }
    Err("no beacon finds the fault".into())
}

fn audits_and_frauds(writer: &mut Writer<'_>) -> Result<(), Failure> {
    let run = RunShape::new(2, 3);
    let session = zoo::encoder().on(Arc::new(Cpu::new()))?;
    let trace = session.trace((run, zoo::tokens(&run)))?.trace.with_rules(RULES);
    let receipt = trace.receipt(JOB, PROVER);
    let program = trace.network().program();
    writer.file("encoder.program", &program.to_bytes())?;
    let of = |root| json!({ "program": "encoder.program", "trace": root, "beacon": BEACON });

    let audit = trace.audit(&receipt, &BEACON)?.to_bytes();
    writer.file("encoder.receipt", &trace.receipt(JOB, PROVER).to_bytes())?;
    let audited = || {
        let mut with = of(trace.root());
        with["receipt"] = "encoder.receipt".into();
        with
    };
    writer.add("audit", "honest.audit", &audit, "valid", audited())?;
    let mut other = audited();
    other["beacon"] = json!(Beacon([0x52; 32]));
    writer.add("audit", "honest.audit", &audit, "invalid", other)?;
    // Another prover copied the trace: its receipt is right, but the audit is
    // not its own.
    let copier = Receipt { prover: Prover([0x56; 32]), ..receipt };
    writer.file("copied.receipt", &copier.to_bytes())?;
    let mut copied = audited();
    copied["receipt"] = "copied.receipt".into();
    writer.add("audit", "honest.audit", &audit, "invalid", copied)?;

    for name in ["linear", "embed", "mean pool"] {
        let value = step_named(&trace, name)?;
        let tensor = trace.value(value)?;
        let mut entries = tensor.entries();
        entries[1] = if entries[1] > 0 { entries[1] - 1 } else { entries[1] + 1 };
        let extent = tensor.extent();
        let (rows, columns) = (extent.rows as usize, extent.columns as usize);
        let wrong = Tensor::new(rows, columns, extent.dtype, &entries)?;
        let faulty = trace.with_fault(value, wrong).ok_or("no fault")?;
        let file = format!("{}-tile.fraud", name.replace(' ', "-"));
        let proof = faulty.fraud_proof(value, 0)?.to_bytes();
        writer.add("fraud", &file, &proof, "valid", of(faulty.root()))?;
        if name == "mean pool" {
            let (beacon, audit) = caught(&faulty)?;
            let mut with = of(faulty.root());
            with["beacon"] = json!(beacon);
            with["receipt"] = "faulty.receipt".into();
            writer.file("faulty.receipt", &faulty.receipt(JOB, PROVER).to_bytes())?;
            let demand = Demand { receipt: faulty.receipt(JOB, PROVER).digest(), value, tile: 0 };
            writer.file("faulty.demand", &demand.to_bytes())?;
            let mut asked = of(faulty.root());
            asked["demand"] = "faulty.demand".into();
            asked["receipt"] = "faulty.receipt".into();
            let convicts = format!("invalid: value {}, tile 0: entry", value.0);
            let answer = faulty.answer(&faulty.receipt(JOB, PROVER), &demand)?.to_bytes();
            writer.add("answer", "convicting.answer", &answer, &convicts, asked)?;
            let expect = format!("invalid: value {}, tile 0: entry [0, 1] is wrong", value.0);
            writer.add("audit", "wrong-tile.audit", &audit, &expect, with)?;
        }
    }
    let value = step_named(&trace, "mean pool")?;
    let right = trace.fraud_proof(value, 0)?.to_bytes();
    let expect = format!("invalid: value {}, tile 0 is right", value.0);
    writer.add("fraud", "right-tile.fraud", &right, &expect, of(trace.root()))?;
    demands_and_answers(writer, &trace, value)?;
    let mut header = trace.header();
    header.macs += 1;
    writer.add("fraud", "header-macs.fraud", &header.to_bytes(), "valid", of(header.root()))?;

    let input = ValueId(0);
    let clean = trace.value(input)?.bytes().to_vec();
    let mut forged = Forged::new(&trace, input, clean.clone());
    forged.header.input.0[0] ^= 1;
    let proof = forged.input_proof(input);
    writer.add("fraud", "header-input.fraud", &proof, "valid", of(forged.root()))?;
    let forged = Forged::new(&trace, input, clean.clone())
        .with_records(|records| records[value.0 as usize].inputs[0].0[0] ^= 1);
    let proof = forged.record_proof(value);
    writer.add("fraud", "record-wiring.fraud", &proof, "valid", of(forged.root()))?;
    let mut stained = clean.clone();
    *stained.last_mut().ok_or("an empty input")? = 1;
    let forged = Forged::new(&trace, input, stained);
    let Forged { header, records, values, .. } = &forged;
    let records: Vec<RecordBytes> =
        records.iter().map(|record| RecordBytes(record.to_bytes())).collect();
    let proof = unclean::accuse_input(program, header, &records, input, &values[0]);
    let proof = proof.ok_or("a clean input")?.to_bytes();
    writer.add("fraud", "unclean-input.fraud", &proof, "valid", of(forged.root()))?;
    let forged = Forged::new(&trace, input, clean);
    let proof = forged.input_strip(input, 0);
    let expect = "invalid: value 0, tile 1 is right";
    writer.add("fraud", "clean-input.fraud", &proof, expect, of(forged.root()))
}

fn demands_and_answers(
    writer: &mut Writer<'_>,
    trace: &Trace,
    value: ValueId,
) -> Result<(), Failure> {
    writer.file("encoder.header", &trace.header().to_bytes())?;
    let of = || {
        json!({
            "program": "encoder.program", "trace": trace.root(), "header": "encoder.header",
            "receipt": "encoder.receipt",
        })
    };
    let (input, receipt) = (ValueId(0), trace.receipt(JOB, PROVER).digest());
    for (name, value, tile) in
        [("tile", value, 0), ("input-records", input, 0), ("input-strip", input, 1)]
    {
        let demand = Demand { receipt, value, tile };
        let file = format!("{name}.demand");
        writer.add("demand", &file, &demand.to_bytes(), "valid", of())?;
        let mut with = of();
        with["demand"] = file.into();
        let answer = trace.answer(&trace.receipt(JOB, PROVER), &demand)?.to_bytes();
        writer.add("answer", &format!("{name}.answer"), &answer, "valid", with)?;
    }
    let mut with = of();
    with["demand"] = "tile.demand".into();
    let expect = format!("malformed: expected tile 0 of value {}", value.0);
    writer.add(
        "answer",
        "header-alone.answer",
        &trace.header().to_bytes(),
        &expect,
        with.clone(),
    )?;
    let other = trace.fraud_proof(value, 1)?.to_bytes();
    writer.add("answer", "another-tile.answer", &other, &expect, with)?;
    let demand = Demand { receipt, value, tile: 1 << 40 };
    let expect = format!("malformed: value {} has no tile", value.0);
    writer.add("demand", "no-tile.demand", &demand.to_bytes(), &expect, of())?;
    // A demand about another prover's receipt of the same trace.
    let copier = trace.receipt(JOB, Prover([0x56; 32]));
    let demand = Demand { receipt: copier.digest(), value, tile: 0 };
    let expect = "invalid: expected a demand about receipt";
    writer.add("demand", "copier.demand", &demand.to_bytes(), expect, of())
}

fn link_and_receipts(writer: &mut Writer<'_>) -> Result<(), Failure> {
    let session = deep()?.on(Arc::new(Cpu::new()))?;
    let entries = zoo::entries("fixture input", 3000, -64, 63);
    let input = Tensor::new(3, 1000, Dtype::I8, &entries)?;
    let (challenge, difficulty) = (Challenge([0x53; 32]), Difficulty::new(1)?);
    let mining = Mining { challenge, options: MineOptions::new(difficulty) };
    let done = session.trace_with(input, &RunOptions::new().mine(mining))?;
    let trace = done.trace.with_rules(RULES);
    let mined = done.mined.first().ok_or("nothing mined")?;
    let proof = mined.found.proof().ok_or("no win")?.to_bytes();
    writer.file("deep.program", &trace.network().program().to_bytes())?;
    writer.file("win.proof", &proof)?;
    let of = || {
        json!({
            "program": "deep.program", "trace": trace.root(),
            "proof": "win.proof", "challenge": challenge, "difficulty": difficulty,
        })
    };
    let link = trace.link(mined.value)?.to_bytes();
    writer.add("link", "honest.link", &link, "valid", of())?;
    let value = ValueId(1);
    let bytes = trace.value(value)?.bytes().to_vec();
    let other =
        Forged::new(&trace, value, bytes).with_records(|records| records[1].inputs[0].0[0] ^= 1);
    let link = [&other.header.to_bytes()[..], &1u32.to_le_bytes(), &other.record(value)].concat();
    let mut with = of();
    with["trace"] = json!(other.root());
    writer.add("link", "other-operand.link", &link, "invalid: the proof's A", with)?;

    let receipt = trace.receipt(JOB, PROVER);
    let header: TraceHeader = trace.header();
    writer.file("deep.header", &header.to_bytes())?;
    let of = |receipt: &Receipt| {
        json!({
            "program": "deep.program", "header": "deep.header",
            "trace": trace.root(), "digest": receipt.digest(),
        })
    };
    writer.add("receipt", "honest.receipt", &receipt.to_bytes(), "valid", of(&receipt))?;
    let mut other = receipt;
    other.macs_weights -= 1;
    let expect = "invalid: the receipt says";
    writer.add("receipt", "fewer-macs.receipt", &other.to_bytes(), expect, of(&other))
}

/// Messages about a network that trains: it lists its next states and its logits.
fn listed_outputs(writer: &mut Writer<'_>) -> Result<(), Failure> {
    let run = RunShape::new(3, 1);
    let session = training_network::perceptron().on(Arc::new(Cpu::new()))?;
    let trace = session.trace((run, training_network::samples(&run)))?.trace.with_rules(RULES);
    let (program, receipt) = (trace.network().program(), trace.receipt(JOB, PROVER));
    let outputs = Demand::of_outputs(program).ok_or("no list")?;
    writer.file("training.program", &program.to_bytes())?;
    writer.file("training.header", &trace.header().to_bytes())?;
    let of = || {
        json!({
            "program": "training.program", "trace": trace.root(), "header": "training.header",
            "receipt": "training.receipt", "digest": receipt.digest(), "beacon": BEACON,
        })
    };
    writer.add("receipt", "training.receipt", &receipt.to_bytes(), "valid", of())?;
    let mut other = receipt;
    other.macs_activations += 1;
    let mut with = of();
    with["digest"] = json!(other.digest());
    let expect = "invalid: the receipt says";
    writer.add("receipt", "more-macs.receipt", &other.to_bytes(), expect, with)?;
    let audit = trace.audit(&receipt, &BEACON)?.to_bytes();
    writer.add("audit", "training.audit", &audit, "valid", of())?;

    // The header names the states in another order.
    let input = ValueId(0);
    let bytes = trace.value(input)?.bytes().to_vec();
    let forged = || Forged::new(&trace, input, bytes.clone());
    let mut wrong = forged();
    let mut roots: Vec<_> =
        program.outputs().iter().map(|value| wrong.records[value.0 as usize].root).collect();
    roots.swap(0, 1);
    wrong.header.output = header::output_root(program, &roots).ok_or("no outputs")?;
    let lied = wrong.receipt(JOB, PROVER);
    writer.file("wrong-order.receipt", &lied.to_bytes())?;
    writer.file("wrong-order.header", &wrong.header.to_bytes())?;
    let of_wrong = |root| {
        json!({
            "program": "training.program", "trace": root, "header": "wrong-order.header",
            "receipt": "wrong-order.receipt", "beacon": BEACON,
        })
    };
    let expect = "invalid: the header's output is not that of the records";
    let audit = wrong.audit(&lied, &BEACON);
    writer.add("audit", "wrong-order.audit", &audit, expect, of_wrong(wrong.root()))?;
    let proof = wrong.output_proof();
    writer.add("fraud", "wrong-order.fraud", &proof, "valid", of_wrong(wrong.root()))?;
    let last = program.output();
    let proof = wrong.fraud_proof(last, 0);
    let expect = format!("invalid: value {}, tile 0 is right", last.0);
    writer.add("fraud", "last-value.fraud", &proof, &expect, of_wrong(wrong.root()))?;
    let first = program.outputs().first().ok_or("no outputs")?.0 as usize;
    let wrong = forged().with_records(|records| records[first].extent.rows += 1);
    let proof = wrong.output_proof();
    writer.add("fraud", "output-record.fraud", &proof, "valid", of_wrong(wrong.root()))?;
    let expect = format!("invalid: value {}, tile 0 is right", outputs.0);
    let proof = trace.fraud_proof(outputs, 0)?.to_bytes();
    writer.add("fraud", "right-outputs.fraud", &proof, &expect, of())?;
    let value = training_network::step_named(trace.network(), "descend");
    let mut entries = trace.value(value)?.entries();
    entries[1] -= 1;
    let extent = trace.value(value)?.extent();
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let tensor = Tensor::new(rows, columns, extent.dtype, &entries)?;
    let faulty = trace.with_fault(value, tensor).ok_or("no fault")?;
    let proof = faulty.fraud_proof(value, 0)?.to_bytes();
    writer.add("fraud", "descend-tile.fraud", &proof, "valid", of_wrong(faulty.root()))?;

    let demand = Demand { receipt: receipt.digest(), value: outputs, tile: 0 };
    writer.add("demand", "outputs.demand", &demand.to_bytes(), "valid", of())?;
    let mut with = of();
    with["demand"] = "outputs.demand".into();
    let answer = trace.answer(&receipt, &demand)?.to_bytes();
    writer.add("answer", "outputs.answer", &answer, "valid", with.clone())?;
    let expect = format!("malformed: expected tile 0 of value {}", outputs.0);
    let alone = trace.header().to_bytes();
    writer.add("answer", "header-alone.answer", &alone, &expect, with)?;
    let demand = Demand { tile: 1, ..demand };
    let expect = format!("malformed: value {} has no tile", outputs.0);
    writer.add("demand", "no-tile.demand", &demand.to_bytes(), &expect, of())
}

/// Links of a mined product of two values.
fn listed_links(writer: &mut Writer<'_>) -> Result<(), Failure> {
    let run = RunShape::new(3, 1);
    let session = training_network::deep().on(Arc::new(Cpu::new()))?;
    let trace = session.trace((run, training_network::deep_samples(&run)))?.trace;
    let (challenge, difficulty) = (Challenge([0x53; 32]), Difficulty::new(1)?);
    let value = training_network::step_named(trace.network(), "scores");
    let [x, rows] = trace.network().program().step_of(value).ok_or("no step")?.inputs[..] else {
        return Err("not two inputs".into());
    };
    let miner = Miner::new(Arc::new(Cpu::new()));
    let a = miner.prepare(trace.value(x)?.operand(Side::A)?)?;
    let b = miner.prepare(trace.value(rows)?.operand(Side::B)?)?;
    let mined = miner.round(&challenge, &b)?.mine(&a, MineOptions::new(difficulty))?;
    let proof = mined.found.proof().ok_or("no win")?.to_bytes();
    writer.file("deep.program", &trace.network().program().to_bytes())?;
    writer.file("win.proof", &proof)?;
    let of = |root| {
        json!({
            "program": "deep.program", "trace": root,
            "proof": "win.proof", "challenge": challenge, "difficulty": difficulty,
        })
    };
    let link = trace.link(value)?.to_bytes();
    writer.add("link", "scaled-product.link", &link, "valid", of(trace.root()))?;
    let bytes = trace.value(x)?.bytes().to_vec();
    let other = Forged::new(&trace, x, bytes)
        .with_records(|records| records[value.0 as usize].inputs[1].0[0] ^= 1);
    let place = value.0.to_le_bytes();
    let link = [&other.header.to_bytes()[..], &place, &other.record(value)].concat();
    let expect = "invalid: the proof's Bᵀ";
    writer.add("link", "other-operand.link", &link, expect, of(other.root()))
}

fn main() -> Result<(), Failure> {
    let usage = "usage: make-trace-fixtures DIRECTORY [outputs|answers]";
    let directory = std::env::args_os().nth(1).ok_or(usage)?;
    let directory = Path::new(&directory);
    let form = std::env::args().nth(2);
    if !matches!(form.as_deref(), None | Some("outputs" | "answers")) {
        return Err(usage.into());
    }
    std::fs::create_dir(directory)?;
    let mut writer = Writer { directory, manifest: vec![] };
    match form.as_deref() {
        Some("outputs") => {
            listed_outputs(&mut writer)?;
            listed_links(&mut writer)?;
        }
        Some(_) => answers::all(&mut writer)?,
        None => {
            audits_and_frauds(&mut writer)?;
            link_and_receipts(&mut writer)?;
        }
    }
    let manifest = serde_json::to_string_pretty(&writer.manifest)?;
    std::fs::write(directory.join("manifest.json"), manifest + "\n")?;
    Ok(())
}
