//! Traces of programs that list their outputs: a network that trains. Honest ones
//! pass every check, and every lie about outputs and states is convicted.

use poai_core::Root;
use poai_core::program::{Builder, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::trace::{Answer, Demand, Record, RecordBytes, TraceHeader, header};
use poai_engine::execute::{Network, Published, ReceivedError, Tensor, TensorBytes, Trace};
use poai_testing::forge::Forged;
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, RULES, bytes_of, checker, moved, run, steps, tile_of, tiles,
    traces,
};
use poai_testing::training_network as training;
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{
    Answered, Checker, Data, Method, TraceError, TraceInvalid, TraceMalformed, TraceRules, Wrong,
};
use std::sync::{Arc, OnceLock};

const RUN: RunShape = RunShape::new(35, 1);

fn trained() -> &'static Trace {
    static TRACE: OnceLock<Trace> = OnceLock::new();
    TRACE.get_or_init(|| run(training::perceptron(), RUN, training::samples(&RUN)))
}

fn outputs_of(trace: &Trace) -> ValueId {
    Demand::of_outputs(trace.network().program()).unwrap()
}

fn root(trace: &Trace, value: ValueId) -> Root {
    Root(trace.records()[value.0 as usize].0[Record::ROOT].try_into().unwrap())
}

fn honest(trace: &Trace) -> Forged {
    let value = ValueId(0);
    Forged::new(trace, value, trace.value(value).unwrap().bytes().to_vec())
}

/// What a challenger convicts a forged trace of.
fn found(trace: &Trace, forged: &Forged) -> Option<(ValueId, Wrong)> {
    let network = Arc::new(trace.network().clone());
    let records = forged.records.iter().map(|record| RecordBytes(record.to_bytes())).collect();
    let proof = match Published::new(network, forged.header, records) {
        Err(ReceivedError::Fraud(proof)) => *proof,
        received => {
            let values = forged.values.iter().cloned().map(TensorBytes).collect();
            received.unwrap().with_tensors(values).unwrap().find_fraud().unwrap()?
        }
    };
    assert!(proof.as_bytes().len() as u64 <= checker(trace).fraud_bytes_max(&RUN).unwrap());
    let fraud = checker(trace).fraud(&forged.root(), &proof).unwrap();
    Some((fraud.value, fraud.wrong))
}

#[test]
fn the_network_is_worth_testing() {
    let trace = trained();
    let program = trace.network().program();
    assert_eq!((program.states(), program.outputs().len()), (8, 9));
    assert!(program.outputs().contains(&program.output()));
    for value in steps(trace) {
        let entries = trace.value(value).unwrap().entries();
        let different: std::collections::BTreeSet<_> = entries.iter().collect();
        let name = program.step_of(value).unwrap().op.name();
        assert!(different.len() > 3.min(entries.len() - 1), "{} {name}: {different:?}", value.0);
    }
    // Training goes on from the outputs, and moves every state.
    let mut inputs = training::samples(&RUN);
    for (state, output) in program.outputs().iter().take(8).enumerate() {
        let next = trace.value(*output).unwrap();
        assert_ne!(next.bytes(), inputs[state].bytes());
        inputs[state] = next.clone();
    }
    let next = run(trace.network().clone(), RUN, inputs);
    assert_ne!(next.header().output, trace.header().output);
    assert_eq!(next.find_fraud().unwrap(), None);
}

#[test]
fn the_header_names_every_output() {
    let trace = trained();
    let program = trace.network().program();
    let roots: Vec<Root> = program.outputs().iter().map(|&value| root(trace, value)).collect();
    let bytes: Vec<u8> = roots.iter().flat_map(|root| root.0).collect();
    let expected = blake3::derive_key("poai-1 train outputs", &bytes);
    assert_eq!(trace.header().output, Root(expected));
    assert_eq!(header::output_root(program, &roots), Some(Root(expected)));
    assert_eq!(header::output_root(program, &roots[1..]), None);
    // Without a list it is the last value's root.
    for trace in traces() {
        let program = trace.network().program();
        let own = root(trace, program.output());
        assert_eq!(trace.header().output, own);
        assert_eq!(header::output_root(program, &[own]), Some(own));
        assert_eq!(header::output_root(program, &[]), None);
        assert_eq!(Demand::of_outputs(program), None);
    }
}

#[test]
fn an_honest_trace_passes_every_check() {
    let trace = trained();
    let checker = checker(trace);
    let receipt = trace.receipt(JOB, PROVER);
    assert_eq!(checker.receipt(&receipt, &trace.header()), Ok(()));
    let audit = trace.audit(&receipt, &BEACON).unwrap().to_bytes();
    let audited = checker.check_audit(&receipt, &BEACON, &audit).unwrap();
    assert_eq!(audited.header, trace.header());
    assert_eq!(found(trace, &honest(trace)), None);
    for value in steps(trace) {
        for tile in 0..tiles(trace, value) {
            let proof = trace.fraud_proof(value, tile).unwrap().to_bytes();
            let right = Err(TraceInvalid::NoFraud { value, tile }.into());
            assert_eq!(checker.check_fraud(&trace.root(), &proof), right);
        }
    }
    let proof = trace.fraud_proof(outputs_of(trace), 0).unwrap().to_bytes();
    assert_eq!(proof, honest(trace).output_proof());
    let right = TraceInvalid::NoFraud { value: outputs_of(trace), tile: 0 };
    assert_eq!(checker.check_fraud(&trace.root(), &proof), Err(right.into()));
}

/// An audit opens tiles of every output in the list's order, then draws the
/// others from the steps that are no outputs.
#[test]
fn audits_open_every_output() {
    let trace = trained();
    let program = trace.network().program();
    let rules = TraceRules { product_samples: 0, step_samples: 7, output_tiles: 64, ..RULES };
    let trace = trace.clone().with_rules(rules);
    let opened = trace.audit_tiles(&trace.receipt(JOB, PROVER), &BEACON);
    let all = program
        .outputs()
        .iter()
        .flat_map(|&value| (0..tiles(&trace, value)).map(move |tile| (value, tile)));
    let all: Vec<_> = all.collect();
    let got: Vec<_> = opened.iter().map(|sample| (sample.value, sample.tile)).collect();
    assert_eq!(got[..all.len()], all);
    assert!(got[all.len()..].iter().all(|(value, _)| !program.outputs().contains(value)));
    assert!((all.len() + 1..=all.len() + 7).contains(&got.len()));
    // One tile of each, although one has more.
    let rules = TraceRules { step_samples: 0, output_tiles: 1, ..rules };
    let trace = trace.with_rules(rules);
    let opened = trace.audit_tiles(&trace.receipt(JOB, PROVER), &BEACON);
    let values: Vec<_> = opened.iter().map(|sample| sample.value).collect();
    assert_eq!(values, program.outputs());
    assert_eq!(rules.tiles_max(program.outputs().len()), values.len() as u64);
}

/// One step is no output and has 8 tiles; the outputs have 8 tiles and 2.
#[test]
fn soundness_counts_samples_of_each_output() {
    let program = training::deep().program().clone();
    let shape = RunShape::new(40, 1);
    let chance = |step_samples, output_tiles| {
        let rules = TraceRules { product_samples: 0, step_samples, output_tiles, ..RULES };
        let said = Checker::new(program.clone(), rules).soundness(&shape, 1.0, 0).unwrap();
        [said.work_skipped, said.answer_wrong]
    };
    let near = |[skipped, wrong]: [f64; 2], samples: i32, misses: i32| {
        let expected = [(-f64::from(samples)).exp(), 0.875f64.powi(misses)];
        let close = |got: f64, expected: f64| (got / expected - 1.0).abs() < 1e-3;
        assert!(close(skipped, expected[0]) && close(wrong, expected[1]), "{skipped} {wrong}");
    };
    // All tiles of the outputs are opened, or enough of them, or fewer than of the
    // other step.
    near(chance(3, 8), 3, 3);
    near(chance(3, 4), 3, 3);
    near(chance(3, 2), 2, 2);
    assert_eq!(chance(0, 8), [1.0, 1.0]);
    assert_eq!(chance(3, 0), [1.0, 1.0]);
}

#[test]
fn a_wrong_output_in_the_header_is_convicted() {
    let trace = trained();
    let checker = checker(trace);
    let program = trace.network().program();
    let mut roots: Vec<Root> = program.outputs().iter().map(|&value| root(trace, value)).collect();
    let last = root(trace, program.output());
    // States in another order, one output in place of another, the last value
    // alone as without a list, and any other root.
    let mut wrong = vec![last, Root([1; 32])];
    roots.swap(0, 1);
    wrong.extend(header::output_root(program, &roots));
    roots.swap(0, 1);
    roots[4] = roots[5];
    wrong.extend(header::output_root(program, &roots));
    assert_eq!(wrong.len(), 4);
    for output in wrong {
        let mut forged = honest(trace);
        forged.header.output = output;
        let expected = (outputs_of(trace), Wrong::Header(TraceInvalid::Output));
        assert_eq!(found(trace, &forged), Some(expected));
        let trace_root = forged.root();
        let fraud = checker.check_fraud(&trace_root, &forged.output_proof()).unwrap();
        assert_eq!((fraud.value, fraud.wrong), expected);
        // The step's form says nothing about listed outputs.
        let value = program.output();
        let right = Err(TraceInvalid::NoFraud { value, tile: 0 }.into());
        assert_eq!(checker.check_fraud(&trace_root, &forged.fraud_proof(value, 0)), right);
        let ends = checker.check_fraud(&trace_root, &forged.record_proof(value));
        assert_eq!(ends, Err(TraceMalformed::Short.into()));
        // No audit and no full check passes.
        let receipt = forged.receipt(JOB, PROVER);
        let refused = Err(TraceInvalid::Output.into());
        let audit = forged.audit(&receipt, &BEACON);
        assert_eq!(checker.check_audit(&receipt, &BEACON, &audit), refused);
        let (values, constants, sums) = bytes_of(trace);
        let data = Data { values: &values, constants: &constants, sums: &sums };
        let method = Method::new(Seed32([6; 32]), 2);
        let checked = checker.full(&trace_root, &forged.header, &data, &method);
        assert_eq!(checked.map(drop), Err(TraceInvalid::Output.into()));
        // A challenger to whom the records are withheld demands them.
        let demand = Demand { receipt: receipt.digest(), value: outputs_of(trace), tile: 0 };
        let most = checker.demand(&receipt, &forged.header, &demand).unwrap();
        let answer = forged.output_proof();
        assert_eq!(answer.len() as u64, most);
        match checker.check_answer(&receipt, &demand, &answer) {
            Ok(Answered::Fraud(fraud)) => assert_eq!((fraud.value, fraud.wrong), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn records_of_outputs_that_lie_are_convicted() {
    let trace = trained();
    let outputs = trace.network().program().outputs().to_vec();
    let [first, second] = [outputs[1], outputs[3]].map(|value| value.0 as usize);
    // The roots of two momenta are exchanged, and the header names the exchanged
    // ones, so only the steps that read the momenta show it.
    let mut forged = honest(trace).with_records(|records| {
        let (a, b) = (records[first].root, records[second].root);
        (records[first].root, records[second].root) = (b, a);
    });
    let roots: Vec<Root> =
        outputs.iter().map(|value| forged.records[value.0 as usize].root).collect();
    forged.header.output = header::output_root(&forged.program, &roots).unwrap();
    let (value, wrong) = found_by_records(trace, &forged);
    assert!(matches!(wrong, Wrong::Record(TraceInvalid::Record(_))), "{value:?} {wrong:?}");
    // Whole records are exchanged: each is at another value's place.
    let forged = honest(trace).with_records(|records| records.swap(first, second));
    let (value, wrong) = found_by_records(trace, &forged);
    assert!(matches!(wrong, Wrong::Record(TraceInvalid::Record(_))), "{value:?} {wrong:?}");
    // A record of each output in turn has another extent.
    for output in outputs {
        let forged =
            honest(trace).with_records(|records| records[output.0 as usize].extent.rows += 1);
        let (value, wrong) = found_by_records(trace, &forged);
        assert_eq!(value, output);
        assert!(matches!(wrong, Wrong::Record(TraceInvalid::Record(_))), "{value:?} {wrong:?}");
        // The records of all outputs show it by themselves.
        let proof = forged.output_proof();
        let fraud = checker(trace).check_fraud(&forged.root(), &proof).unwrap();
        assert_eq!((fraud.value, fraud.wrong), (value, wrong));
    }
}

/// The lie that a challenger proves before it asks for tensors.
fn found_by_records(trace: &Trace, forged: &Forged) -> (ValueId, Wrong) {
    let records = forged.records.iter().map(|record| RecordBytes(record.to_bytes())).collect();
    let network = Arc::new(trace.network().clone());
    let error = Published::new(network, forged.header, records).unwrap_err();
    let ReceivedError::Fraud(proof) = error else { panic!("{error}") };
    let fraud = checker(trace).fraud(&forged.root(), &proof).unwrap();
    (fraud.value, fraud.wrong)
}

/// One wrong entry in each step, and then every entry wrong.
#[test]
fn every_wrong_step_is_convicted() {
    let trace = trained();
    let inner = steps(trace).count() as u32 - trace.network().program().outputs().len() as u32;
    let rules = TraceRules { step_samples: inner, output_tiles: 4, ..RULES };
    let auditor = Checker::new(trace.network().program().clone(), rules);
    for value in steps(trace) {
        let tensor = trace.value(value).unwrap();
        let extent = *tensor.extent();
        for at in [0, tensor.entries().len() - 1] {
            let faulty = trace.with_fault(value, moved(tensor, at, 3)).unwrap();
            let (row, column) = (at as u32 / extent.columns, at as u32 % extent.columns);
            let tile = tile_of(trace, value, row, column);
            let proof = faulty.find_fraud().unwrap().unwrap();
            let fraud = checker(trace).fraud(&faulty.root(), &proof).unwrap();
            assert_eq!(fraud.value, value);
            let expected = TraceInvalid::Entry { value, tile, row, column };
            assert_eq!(fraud.wrong, Wrong::Tile(expected));
        }
        let (min, max) = extent.dtype.range();
        let entries = tensor.entries().into_iter();
        let entries: Vec<i32> =
            entries.map(|entry| if entry == max { min } else { entry + 1 }).collect();
        let (rows, columns) = (extent.rows as usize, extent.columns as usize);
        let tensor = Tensor::new(rows, columns, extent.dtype, &entries).unwrap();
        let faulty = trace.with_fault(value, tensor).unwrap().with_rules(rules);
        let receipt = faulty.receipt(JOB, PROVER);
        let audit = faulty.audit(&receipt, &BEACON).unwrap().to_bytes();
        let refused = auditor.check_audit(&receipt, &BEACON, &audit);
        assert!(
            matches!(refused, Err(TraceError::Invalid(TraceInvalid::Entry { .. }))),
            "{value:?}: {refused:?}"
        );
    }
}

#[test]
fn other_bytes_about_outputs_are_malformed() {
    let trace = trained();
    let checker = checker(trace);
    let value = outputs_of(trace);
    let mut forged = honest(trace);
    forged.header.output.0[0] ^= 1;
    let (trace_root, proof) = (forged.root(), forged.output_proof());
    assert!(checker.check_fraud(&trace_root, &proof).is_ok());
    let place = TraceHeader::LEN;
    for tile in [1u64, u64::MAX] {
        let mut other = proof.clone();
        other[place + 4..place + 12].copy_from_slice(&tile.to_le_bytes());
        let none = TraceMalformed::Tile { value, tile };
        assert_eq!(checker.check_fraud(&trace_root, &other), Err(none.into()));
    }
    let mut other = proof.clone();
    other[place..place + 4].copy_from_slice(&(value.0 + 1).to_le_bytes());
    assert!(checker.check_fraud(&trace_root, &other).is_err());
    // Its length is exact, so a longer message is refused before it is read.
    let longer = [&proof[..], &[0]].concat();
    let (max, got) = (proof.len() as u64, longer.len());
    let too_long = TraceMalformed::Size { max, got };
    assert_eq!(checker.check_fraud(&trace_root, &longer), Err(too_long.into()));
    for cut in [place + 1, place + 4, place + 11, place + 12, proof.len() / 2, proof.len() - 1] {
        let short = checker.check_fraud(&trace_root, &proof[..cut]);
        assert!(short.is_err(), "{cut}");
    }
    for at in (0..proof.len()).step_by(7) {
        let mut other = proof.clone();
        other[at] ^= 0x10;
        assert!(checker.check_fraud(&trace_root, &other).is_err(), "{at}");
    }
    // Programs without a list have no such message and no such demand.
    for trace in traces() {
        let value = ValueId(trace.network().program().values() as u32);
        let mut proof = trace.header().to_bytes();
        proof.extend(value.0.to_le_bytes());
        proof.extend(0u64.to_le_bytes());
        let checker = poai_testing::traces::checker(trace);
        let none = TraceMalformed::Value(value);
        assert_eq!(checker.check_fraud(&trace.root(), &proof), Err(none.into()));
        let receipt = trace.receipt(JOB, PROVER);
        let demand = Demand { receipt: receipt.digest(), value, tile: 0 };
        let none = TraceMalformed::Tile { value, tile: 0 };
        assert_eq!(checker.demand(&receipt, &trace.header(), &demand), Err(none.into()));
        assert!(trace.answer(&receipt, &demand).is_err());
        assert!(trace.fraud_proof(value, 0).is_err());
    }
}

#[test]
fn demanded_outputs_are_answered() {
    let trace = trained();
    let checker = checker(trace);
    let receipt = trace.receipt(JOB, PROVER);
    let value = outputs_of(trace);
    let of = |tile| Demand { receipt: receipt.digest(), value, tile };
    let most = checker.demand(&receipt, &trace.header(), &of(0)).unwrap();
    let answer = trace.answer(&receipt, &of(0)).unwrap().to_bytes();
    assert_eq!(answer.len() as u64, most);
    assert_eq!(checker.check_answer(&receipt, &of(0), &answer), Ok(Answered::Right));
    let none = TraceMalformed::Tile { value, tile: 1 };
    assert_eq!(checker.demand(&receipt, &trace.header(), &of(1)), Err(none.into()));
    assert!(trace.answer(&receipt, &of(1)).is_err());
    let network = Arc::new(trace.network().clone());
    let published = Published::new(network, trace.header(), trace.records().to_vec()).unwrap();
    assert!(published.opened_part(&of(0), &Answer::from_bytes(&answer).unwrap()).is_err());
    assert_eq!(published.demands(&receipt, value, 0..32), vec![]);
}

/// The most inputs and outputs that a program can have.
#[test]
fn thousands_of_inputs_and_outputs_are_one_message_each() {
    const COUNT: usize = 4096;
    let one = Form::shared(Dim::fixed(1), Dim::fixed(1), Dtype::I32);
    let mut builder = Builder::new(&vec![one; COUNT]);
    let outputs: Vec<ValueId> = (0..COUNT)
        .map(|index| builder.step("relu", Op::Relu, &[builder.input(index)]).unwrap())
        .collect();
    let program = builder.finish_with(&outputs, COUNT as u32).unwrap();
    let network = Network::new(program, vec![]).unwrap();
    let inputs =
        (0..COUNT as i32).map(|entry| Tensor::new(1, 1, Dtype::I32, &[entry - 9]).unwrap());
    let shape = RunShape::new(1, 1);
    let trace = run(network, shape, inputs.collect());
    let checker = checker(&trace);
    let receipt = trace.receipt(JOB, PROVER);
    // Every step is an output, so all that an audit opens are outputs.
    let audit = trace.audit(&receipt, &BEACON).unwrap().to_bytes();
    assert!(audit.len() as u64 <= checker.audit_bytes_max(&shape).unwrap());
    assert_eq!(checker.check_audit(&receipt, &BEACON, &audit).unwrap().tiles, COUNT as u32);
    let most = checker.fraud_bytes_max(&shape).unwrap();
    assert_eq!(checker.largest().unwrap().fraud_bytes, most);
    for value in [ValueId(0), outputs_of(&trace)] {
        let demand = Demand { receipt: receipt.digest(), value, tile: 0 };
        let bound = checker.demand(&receipt, &trace.header(), &demand).unwrap();
        let answer = trace.answer(&receipt, &demand).unwrap().to_bytes();
        assert!(answer.len() as u64 <= bound && bound <= most);
        assert_eq!(checker.check_answer(&receipt, &demand, &answer), Ok(Answered::Right));
        let mut wrong = trace.header();
        wrong.input.0[0] ^= 1;
        wrong.output.0[0] ^= 1;
        let forged = [&wrong.to_bytes()[..], &answer[TraceHeader::LEN..]].concat();
        let fraud = checker.check_fraud(&wrong.root(), &forged).unwrap();
        assert_eq!(fraud.value, value);
        assert!(matches!(fraud.wrong, Wrong::Header(_)));
    }
    assert_eq!(trace.find_fraud().unwrap(), None);
}
