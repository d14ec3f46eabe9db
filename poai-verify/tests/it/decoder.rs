//! Attacks on the steps of decoders: a wrong entry of each is convicted, and a
//! right one never. Tiles are computed from opened rows alone.

use poai_core::program::ops::StepError;
use poai_core::program::{RunShape, ValueId};
use poai_core::trace::{TraceDecodeError, TraceHeader};
use poai_engine::execute::Trace;
use poai_testing::decoder::{answering, answering_inputs, ids};
use poai_testing::edges::{ProgramCase, decoder_cases, decoder_cases_without_output};
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, RULES, bytes_of, moved, run, steps, tile_of, tile_openings,
    tiles,
};
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{
    Checker, Data, Method, TraceError, TraceInvalid, TraceMalformed, TraceRules, Wrong,
};
use std::collections::{BTreeMap, BTreeSet};

fn checker(trace: &Trace) -> Checker {
    Checker::new(trace.network().program().clone(), RULES)
}

/// At most some programs of each kind, spread over all of them. Every second
/// one has a list of outputs.
fn some(most: usize) -> Vec<(String, Trace)> {
    let mut kinds = BTreeMap::<&str, Vec<ProgramCase>>::new();
    for case in decoder_cases() {
        let kind = case.network.program().steps().last().unwrap().op.name();
        kinds.entry(kind).or_default().push(case);
    }
    let mut chosen = vec![];
    for of_kind in kinds.into_values() {
        let each = of_kind.len().div_ceil(most);
        chosen.extend(of_kind.into_iter().step_by(each));
    }
    let trace = |(index, case): (usize, ProgramCase)| {
        let list = index % 2 == 1;
        let network = if list { crate::training::listed(&case.network) } else { case.network };
        (format!("{}, list {list}", case.name), run(network, case.run, case.inputs))
    };
    chosen.into_iter().enumerate().map(trace).collect()
}

/// The tiny decoder, which answers at the ends of two prompts.
fn tiny() -> Trace {
    let prompts = [ids()[..35].to_vec(), ids()[5..].to_vec()];
    let (shape, inputs) = answering_inputs(&prompts, &[35, 9], &[33, 8], 3);
    run(answering(), shape, inputs)
}

/// The step of a decoder's kind that a trace is about.
fn kind(trace: &Trace) -> &'static str {
    let program = trace.network().program();
    let mut steps = program.steps().iter().rev();
    let listed = usize::from(program.has_list());
    steps.nth(listed).unwrap().op.name()
}

#[test]
fn a_wrong_entry_of_decoders_is_convicted_and_a_right_one_never() {
    let mut kinds = BTreeSet::new();
    for (name, trace) in some(12).into_iter().chain([("tiny".to_owned(), tiny())]) {
        let checker = checker(&trace);
        kinds.insert(kind(&trace));
        for value in steps(&trace) {
            let bound = checker.tile_bound(trace.run(), value).unwrap().unwrap();
            let tensor = trace.value(value).unwrap();
            for tile in 0..tiles(&trace, value) {
                let opened = tile_openings(&trace, value, tile).len() as u64;
                assert!(opened <= bound.bytes, "{name}: {opened} {bound:?}");
                let honest = trace.fraud_proof(value, tile).unwrap().to_bytes();
                let none = Err(TraceInvalid::NoFraud { value, tile }.into());
                assert_eq!(checker.check_fraud(&trace.root(), &honest), none, "{name}");
            }
            let (columns, last) = (tensor.extent().columns, tensor.entries().len() - 1);
            for at in BTreeSet::from([0, last / 3, last]) {
                let faulty = trace.with_fault(value, moved(tensor, at, 1)).unwrap();
                let (row, column) = (at as u32 / columns, at as u32 % columns);
                let wrong = tile_of(&trace, value, row, column);
                let proof = faulty.fraud_proof(value, wrong).unwrap().to_bytes();
                let found = checker.check_fraud(&faulty.root(), &proof).unwrap();
                let entry = TraceInvalid::Entry { value, tile: wrong, row, column };
                assert_eq!(found.wrong, Wrong::Tile(entry), "{name}");
            }
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

fn full(checker: &Checker, trace: &Trace) -> Result<u32, TraceError> {
    let method = Method::new(Seed32([3; 32]), 2);
    let (values, constants, sums) = bytes_of(trace);
    let data = Data { values: &values, constants: &constants, sums: &sums };
    checker.full(&trace.root(), &trace.header(), &data, &method).map(|full| full.recomputed)
}

#[test]
fn audits_and_full_checks_decide_steps_of_decoders() {
    let mut kinds = BTreeSet::new();
    for (name, trace) in some(6).into_iter().chain([("tiny".to_owned(), tiny())]) {
        kinds.insert(kind(&trace));
        let checker = checker(&trace);
        let receipt = trace.receipt(JOB, PROVER);
        checker.receipt(&receipt, &trace.header()).unwrap();
        let audit = trace.audit(&receipt, &BEACON).unwrap().to_bytes();
        assert!(audit.len() as u64 <= checker.audit_bytes_max(trace.run()).unwrap(), "{name}");
        checker.check_audit(&receipt, &BEACON, &audit).unwrap();
        full(&checker, &trace).unwrap();
        for value in steps(&trace) {
            let tensor = trace.value(value).unwrap();
            let at = tensor.entries().len() / 2;
            let faulty = trace.with_fault(value, moved(tensor, at, -1)).unwrap();
            let columns = tensor.extent().columns;
            let (row, column) = (at as u32 / columns, at as u32 % columns);
            let wrong = TraceInvalid::Value { value, row, column };
            assert_eq!(full(&checker, &faulty), Err(wrong.into()), "{name}");
            let found = faulty.find_fraud().unwrap().unwrap().to_bytes();
            assert_eq!(checker.check_fraud(&faulty.root(), &found).unwrap().value, value, "{name}");
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

/// Every byte of an opening counts, and so does its length.
#[test]
fn malformed_openings_of_decoders_convict_no_one() {
    for (name, trace) in some(2) {
        let checker = checker(&trace);
        let value = steps(&trace).last().unwrap();
        let faulty = trace.with_fault(value, moved(trace.value(value).unwrap(), 0, 1)).unwrap();
        let proof = faulty.fraud_proof(value, 0).unwrap().to_bytes();
        checker.check_fraud(&faulty.root(), &proof).unwrap();
        for at in (TraceHeader::LEN + 4..proof.len()).step_by(37) {
            let mut altered = proof.clone();
            altered[at] ^= 1;
            assert!(checker.check_fraud(&faulty.root(), &altered).is_err(), "{name}: {at}");
            assert!(checker.check_fraud(&faulty.root(), &proof[..at]).is_err(), "{name}: {at}");
        }
        let longer = [&proof[..], &[0]].concat();
        assert!(checker.check_fraud(&faulty.root(), &longer).is_err(), "{name}");
    }
}

/// A run whose step has no output has no honest trace. Any trace of it is
/// convicted by a tile that reads the entry, whatever its entries are.
#[test]
fn entries_without_output_make_false_traces_of_decoders() {
    let mut kinds = BTreeSet::new();
    for ProgramCase { name, network, inputs, run, .. } in decoder_cases_without_output() {
        let value = network.program().output();
        kinds.insert(network.program().step_of(value).unwrap().op.name());
        let liar = crate::training::lie(network, run, &inputs);
        let checker = checker(&liar);
        let found = liar.find_fraud().unwrap().unwrap().to_bytes();
        let fraud = checker.check_fraud(&liar.root(), &found).unwrap();
        let index = matches!(
            fraud.wrong,
            Wrong::Tile(TraceInvalid::Step { source: StepError::Index { .. }, .. })
        );
        assert!(index, "{name}: {fraud:?}");
        let wrong = full(&checker, &liar).unwrap_err();
        let step = matches!(
            wrong,
            TraceError::Invalid(TraceInvalid::Step { source: StepError::Index { .. }, .. })
        );
        assert!(step, "{name}: {wrong}");
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

/// A header with answers has another version and 4 bytes more. Other answers
/// make another trace, and another input.
#[test]
fn answers_are_part_of_headers_and_inputs() {
    let trace = tiny();
    let (header, checker) = (trace.header(), checker(&trace));
    let bytes = header.to_bytes();
    assert_eq!((bytes.len(), header.run.answers), (TraceHeader::LEN + 4, 3));
    assert_eq!(bytes[..4], [2, 0, 0, 0x80]);
    assert_eq!(bytes[44..48], [3, 0, 0, 0]);
    assert_eq!(TraceHeader::from_bytes(&bytes), Ok(header));
    assert_eq!(TraceHeader::len_at(&bytes), bytes.len());
    for cut in [0, 3, 4, 44, TraceHeader::LEN, bytes.len() - 1] {
        assert!(TraceHeader::from_bytes(&bytes[..cut]).is_err(), "{cut}");
    }
    let mut none = bytes.clone();
    none[44] = 0;
    assert_eq!(TraceHeader::from_bytes(&none), Err(TraceDecodeError::Answers));
    // The form without answers has the usual length and version.
    let plain = TraceHeader { run: header.run.answers(0), ..header };
    assert_eq!(plain.to_bytes().len(), TraceHeader::LEN);
    assert_ne!(plain.root(), header.root());
    let roots: Vec<_> = (0..4).map(|input| trace.value(ValueId(input)).unwrap().root()).collect();
    let input = |run: &RunShape| poai_core::trace::header::input_root(run, &roots);
    let others = [0, 1, 4].map(|answers| input(&header.run.answers(answers)));
    assert_eq!(input(&header.run), header.input);
    assert_eq!(BTreeSet::from(others).len(), 3);
    assert!(!others.contains(&header.input));
    // A run needs as many answers as the rules permit, at least one.
    let error = |answers: u32| checker.audit_bytes_max(&header.run.answers(answers)).unwrap_err();
    assert!(matches!(error(0), TraceMalformed::Run(_)));
    let max = RULES.sequence_max;
    assert_eq!(error(max + 1), TraceMalformed::Answers { answers: max + 1, max });
    checker.audit_bytes_max(&header.run.answers(max)).unwrap();
}

/// A demand's answer names its place after the header, whatever the header's
/// length is.
#[test]
fn demands_of_runs_with_answers_are_answered() {
    let trace = tiny();
    let (checker, receipt) = (checker(&trace), trace.receipt(JOB, PROVER));
    let value = trace.network().program().output();
    let demand = poai_core::trace::Demand { receipt: receipt.digest(), value, tile: 4 };
    let most = checker.demand(&receipt, &trace.header(), &demand).unwrap();
    let answer = trace.answer(&receipt, &demand).unwrap().to_bytes();
    assert!(answer.len() as u64 <= most);
    let right = poai_verify::trace::Answered::Right;
    assert_eq!(checker.check_answer(&receipt, &demand, &answer), Ok(right));
    let other = poai_core::trace::Demand { tile: 5, ..demand };
    assert!(checker.check_answer(&receipt, &other, &answer).is_err());
}

/// The costs that a registration gets are those of the largest run, with as
/// many answers as tokens.
#[test]
fn registrations_count_answers() {
    let program = answering().program().clone();
    let rules = TraceRules { batch_max: 3, sequence_max: 40, ..RULES };
    let checker = Checker::new(program.clone(), rules);
    let largest = checker.largest().unwrap();
    assert_eq!(largest.run, RunShape::new(3, 40).answers(40));
    for batch in 1..=3 {
        for (sequence, answers) in [(1, 1), (40, 1), (40, 40), (1, 40), (33, 7), (17, 33), (39, 38)]
        {
            let run = RunShape::new(batch, sequence).answers(answers);
            assert!(checker.audit_bytes_max(&run).unwrap() <= largest.audit_bytes, "{run:?}");
            assert!(checker.fraud_bytes_max(&run).unwrap() <= largest.fraud_bytes, "{run:?}");
        }
    }
    // The table of turns has 64 places.
    let longer = TraceRules { sequence_max: 70, ..rules };
    let fitted = Checker::new(program, longer).fitted().unwrap();
    assert_eq!(fitted.rules().sequence_max, 64);
}
