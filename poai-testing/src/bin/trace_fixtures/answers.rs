//! Messages about a run with answers, whose header has another version and one
//! field more.

use super::{BEACON, Failure, JOB, PROVER, Writer, step_named};
use poai_core::program::{Builder, Clamp, DecoderOp, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::trace::Demand;
use poai_core::{Beacon, Challenge, Difficulty};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Mining, Network, RunOptions, Tensor, Trace};
use poai_engine::{Cpu, MineOptions};
use poai_testing::forge::Forged;
use poai_testing::{decoder, zoo};
use serde_json::{Value, json};
use std::sync::Arc;

/// Columns of the product, so that it can be mined.
const WIDTH: usize = 1024;
/// Words of the vocabulary.
const WORDS: usize = 40;

/// The last product of a decoder: logits of all tokens, of which the last ones
/// choose words.
fn head() -> Result<Network, Failure> {
    let fixed = Dim::fixed;
    let mut builder = Builder::new(&[
        Form::new(Dim::TOKENS, fixed(WIDTH as u32), Dtype::I8),
        Form::new(fixed(1), fixed(1), Dtype::I32),
        Form::new(fixed(1), fixed(11), Dtype::I32),
    ]);
    let [x, starts, request] = [0, 1, 2].map(|input| builder.input(input));
    let mut held = Constants::default();
    let entries = zoo::entries("fixture words", WORDS * WIDTH, -63, 63);
    let weights = held.add(&mut builder, "words", (WORDS, WIDTH), Dtype::I8, &entries)?;
    let channels = [0, 1 << 20, 0].repeat(WORDS);
    let requantise = held.add(&mut builder, "channels", (WORDS, 3), Dtype::I32, &channels)?;
    let clamp = Clamp::full(Dtype::I16);
    let op = Op::Linear { weights, requantise, shifts: [22, 0, 0], clamp };
    let logits = builder.step("logits", op, &[x])?;
    let tail = builder.step("tail", Op::Decoder(DecoderOp::Tail), &[logits, starts])?;
    let sampling = decoder::sampling();
    let table = held.add(&mut builder, "sampling", (256, 1), Dtype::I32, &sampling)?;
    let op = Op::Decoder(DecoderOp::Sample { table, shift: 18 });
    builder.step("choice", op, &[tail, request])?;
    Ok(Network::new(builder.finish()?, held.into_tensors())?)
}

/// The trace of a run in which an item of 3 tokens answers 4 times.
fn trace(challenge: Challenge, difficulty: Difficulty) -> Result<(Trace, Vec<u8>), Failure> {
    let run = RunShape::new(1, 3).answers(4);
    let entries = zoo::entries("fixture states", 3 * WIDTH, -64, 63);
    let inputs = vec![
        Tensor::new(3, WIDTH, Dtype::I8, &entries)?,
        Tensor::new(1, 1, Dtype::I32, &[1])?,
        Tensor::new(1, 11, Dtype::I32, &decoder::request(1, 10))?,
    ];
    let session = head()?.on(Arc::new(Cpu::new()))?;
    let mining = Mining { challenge, options: MineOptions::new(difficulty) };
    let done = session.trace_with((run, inputs), &RunOptions::new().mine(mining))?;
    let mined = done.mined.first().ok_or("nothing mined")?;
    let proof = mined.found.proof().ok_or("no win")?.to_bytes();
    Ok((done.trace.with_rules(super::RULES), proof))
}

/// Writes all messages.
pub fn all(writer: &mut Writer<'_>) -> Result<(), Failure> {
    let (challenge, difficulty) = (Challenge([0x53; 32]), Difficulty::new(1)?);
    let (trace, proof) = trace(challenge, difficulty)?;
    let (receipt, header) = (trace.receipt(JOB, PROVER), trace.header());
    writer.file("answering.program", &trace.network().program().to_bytes())?;
    writer.file("answering.header", &header.to_bytes())?;
    writer.file("win.proof", &proof)?;
    let of = |root| -> Value {
        json!({
            "program": "answering.program", "trace": root, "header": "answering.header",
            "receipt": "answering.receipt", "digest": receipt.digest(), "beacon": BEACON,
            "proof": "win.proof", "challenge": challenge, "difficulty": difficulty,
        })
    };
    let own = || of(trace.root());
    writer.add("receipt", "answering.receipt", &receipt.to_bytes(), "valid", own())?;
    let mut other = receipt;
    other.macs_weights += 1;
    let mut with = own();
    with["digest"] = json!(other.digest());
    let expect = "invalid: the receipt says";
    writer.add("receipt", "more-macs.receipt", &other.to_bytes(), expect, with)?;

    let audit = trace.audit(&receipt, &BEACON)?.to_bytes();
    writer.add("audit", "answering.audit", &audit, "valid", own())?;
    let mut with = own();
    with["beacon"] = json!(Beacon([0x52; 32]));
    writer.add("audit", "answering.audit", &audit, "invalid", with)?;
    frauds(writer, &trace, &of)?;

    let link = trace.link(step_named(&trace, "linear")?)?.to_bytes();
    writer.add("link", "answering.link", &link, "valid", own())?;
    let input = ValueId(0);
    let value = step_named(&trace, "linear")?;
    let forged = Forged::new(&trace, input, trace.value(input)?.bytes().to_vec())
        .with_records(|records| records[value.0 as usize].inputs[0].0[0] ^= 1);
    let place = value.0.to_le_bytes();
    let link = [&forged.header.to_bytes()[..], &place, &forged.record(value)].concat();
    let expect = "invalid: the proof's A";
    writer.add("link", "other-operand.link", &link, expect, of(forged.root()))
}

/// Fraud proofs, demands and answers.
fn frauds(
    writer: &mut Writer<'_>,
    trace: &Trace,
    of: &impl Fn(poai_core::TraceRoot) -> Value,
) -> Result<(), Failure> {
    let receipt = trace.receipt(JOB, PROVER);
    for name in ["tail", "sample"] {
        let value = step_named(trace, name)?;
        let tensor = trace.value(value)?;
        let mut entries = tensor.entries();
        entries[0] += 1;
        let extent = tensor.extent();
        let (rows, columns) = (extent.rows as usize, extent.columns as usize);
        let wrong = Tensor::new(rows, columns, extent.dtype, &entries)?;
        let faulty = trace.with_fault(value, wrong).ok_or("no fault")?;
        let proof = faulty.fraud_proof(value, 0)?.to_bytes();
        let file = format!("{name}-tile.fraud");
        writer.add("fraud", &file, &proof, "valid", of(faulty.root()))?;
    }
    let value = step_named(trace, "tail")?;
    let right = trace.fraud_proof(value, 0)?.to_bytes();
    let expect = format!("invalid: value {}, tile 0 is right", value.0);
    writer.add("fraud", "right-tile.fraud", &right, &expect, of(trace.root()))?;
    // The same tile under a header without answers.
    let mut header = trace.header();
    header.run = header.run.answers(0);
    let proof = [&header.to_bytes()[..], &right[trace.header().to_bytes().len()..]].concat();
    let expect = "malformed: expected 1 or more answers";
    writer.add("fraud", "no-answers.fraud", &proof, expect, of(header.root()))?;

    let demand = Demand { receipt: receipt.digest(), value, tile: 0 };
    writer.add("demand", "tail.demand", &demand.to_bytes(), "valid", of(trace.root()))?;
    let mut with = of(trace.root());
    with["demand"] = "tail.demand".into();
    let answer = trace.answer(&receipt, &demand)?.to_bytes();
    writer.add("answer", "tail.answer", &answer, "valid", with.clone())?;
    let expect = format!("malformed: expected tile 0 of value {}", value.0);
    let alone = trace.header().to_bytes();
    writer.add("answer", "header-alone.answer", &alone, &expect, with)?;
    let demand = Demand { tile: 1, ..demand };
    let expect = format!("malformed: value {} has no tile", value.0);
    writer.add("demand", "no-tile.demand", &demand.to_bytes(), &expect, of(trace.root()))
}
