//! Attacks on the steps that imported networks need: a wrong entry of each is
//! convicted, and a right one never.

use poai_core::program::ops::StepError;
use poai_core::program::{Builder, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::trace::{Record, TraceHeader, record};
use poai_engine::execute::{Constants, Network, Published, Tensor, TensorBytes, Trace};
use poai_testing::edges::{self, ProgramCase};
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, bytes_of, checker, moved, run, steps, tile_of, tiles,
};
use poai_testing::zoo;
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Data, Method, TraceError, TraceInvalid, Wrong};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether imported networks need the step.
fn is_imported(op: &Op) -> bool {
    matches!(
        op,
        Op::Mul { .. }
            | Op::Curve { .. }
            | Op::Arrange { .. }
            | Op::GroupUnfold(_)
            | Op::GroupLinear { .. }
            | Op::Product { .. }
            | Op::RelativeAttentionWeights { .. }
    )
}

/// The traces of all edges of these steps that have an output, and of a network
/// of them.
fn traces() -> Vec<(String, Trace)> {
    let shape = RunShape::new(3, 1);
    let gates = run(zoo::gates(), shape, zoo::small_images(&shape));
    let mut all = vec![("gates".to_owned(), gates)];
    for ProgramCase { name, about, network, inputs, run: shape } in edges::cases() {
        let kind = &network.program().steps()[0].op;
        if is_imported(kind) && !["outside", "a false length"].contains(&&*about) {
            all.push((format!("{name} ({about})"), run(network, shape, inputs)));
        }
    }
    all
}

#[test]
fn a_wrong_entry_is_convicted_and_a_right_one_never() {
    let mut kinds = BTreeSet::new();
    for (name, trace) in traces() {
        let checker = checker(&trace);
        for value in steps(&trace) {
            kinds.insert(trace.network().program().step_of(value).unwrap().op.name());
            let tensor = trace.value(value).unwrap();
            let (columns, last) = (tensor.extent().columns, tensor.entries().len() - 1);
            for at in BTreeSet::from([0, last / 3, last]) {
                let faulty = trace.with_fault(value, moved(tensor, at, 1)).unwrap();
                let (row, column) = (at as u32 / columns, at as u32 % columns);
                let wrong = tile_of(&trace, value, row, column);
                for tile in 0..tiles(&trace, value) {
                    let honest = trace.fraud_proof(value, tile).unwrap().to_bytes();
                    let none = Err(TraceInvalid::NoFraud { value, tile }.into());
                    assert_eq!(checker.check_fraud(&trace.root(), &honest), none, "{name}");
                    let proof = faulty.fraud_proof(value, tile).unwrap().to_bytes();
                    let found = checker.check_fraud(&faulty.root(), &proof);
                    if tile != wrong {
                        assert_eq!(found, none, "{name}, tile {tile}");
                        continue;
                    }
                    let entry = TraceInvalid::Entry { value, tile, row, column };
                    assert_eq!(found.unwrap().wrong, Wrong::Tile(entry), "{name}");
                }
            }
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn audits_and_full_checks_decide_these_steps() {
    let method = Method::new(Seed32([3; 32]), 2);
    for (name, trace) in traces() {
        let checker = checker(&trace);
        let receipt = trace.receipt(JOB, PROVER);
        let audit = trace.audit(&receipt, &BEACON).unwrap().to_bytes();
        assert!(audit.len() as u64 <= checker.audit_bytes_max(trace.run()).unwrap(), "{name}");
        checker.check_audit(&receipt, &BEACON, &audit).unwrap();
        let full = |trace: &Trace| {
            let (values, constants, sums) = bytes_of(trace);
            let data = Data { values: &values, constants: &constants, sums: &sums };
            checker.full(&trace.root(), &trace.header(), &data, &method)
        };
        assert_eq!(full(&trace).unwrap().recomputed, steps(&trace).count() as u32, "{name}");
        for value in steps(&trace) {
            let tensor = trace.value(value).unwrap();
            let at = tensor.entries().len() / 2;
            let faulty = trace.with_fault(value, moved(tensor, at, -1)).unwrap();
            let columns = tensor.extent().columns;
            let (row, column) = (at as u32 / columns, at as u32 % columns);
            let wrong = TraceInvalid::Value { value, row, column };
            assert_eq!(full(&faulty).map(drop), Err(wrong.into()), "{name}");
            // All tiles of one step are opened, so its wrong entry is found.
            if trace.network().program().steps().len() == 1 && tiles(&trace, value) <= 8 {
                let receipt = faulty.receipt(JOB, PROVER);
                let audit = faulty.audit(&receipt, &BEACON).unwrap().to_bytes();
                let error = checker.check_audit(&receipt, &BEACON, &audit).unwrap_err();
                let entry = matches!(error, TraceError::Invalid(TraceInvalid::Entry { .. }));
                assert!(entry, "{name}: {error}");
            }
        }
    }
}

/// The first tile of the gated network's first step begins outside the image. An
/// executor that writes zeros there, as for a fill of 0, is convicted.
#[test]
fn zeros_in_place_of_a_fill_are_convicted() {
    let shape = RunShape::new(1, 1);
    let trace = run(zoo::gates(), shape, zoo::small_images(&shape));
    let value = steps(&trace).next().unwrap();
    let Op::GroupUnfold(window) = trace.network().program().step_of(value).unwrap().op else {
        panic!("expected a group unfold first");
    };
    let tensor = trace.value(value).unwrap();
    assert_eq!((window.fill, tensor.entries()[0]), (-64, -64));
    let faulty = trace.with_fault(value, moved(tensor, 0, 64)).unwrap();
    assert_eq!(faulty.value(value).unwrap().entries()[0], 0);
    let proof = faulty.fraud_proof(value, 0).unwrap().to_bytes();
    let found = checker(&trace).check_fraud(&faulty.root(), &proof).unwrap();
    let entry = TraceInvalid::Entry { value, tile: 0, row: 0, column: 0 };
    assert_eq!(found.wrong, Wrong::Tile(entry));
}

/// Two inputs, arranged by an index.
fn arranged(numbers: &[i32]) -> Network {
    let form = |columns| Form::new(Dim::fixed(2), Dim::fixed(columns), Dtype::I8);
    let mut builder = Builder::new(&[form(3), form(2)]);
    let mut constants = Constants::default();
    let shape = (40, numbers.len() / 40);
    let index = constants.add(&mut builder, "index", shape, Dtype::I32, numbers).unwrap();
    builder.step("arrange", Op::Arrange { index }, &[ValueId(0), ValueId(1)]).unwrap();
    Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap()
}

/// A program whose index names no entry has no honest trace. Any trace of it is
/// convicted by the tile that reads the number, whatever its entries are.
#[test]
fn a_number_that_names_no_entry_makes_a_false_trace() {
    let shape = RunShape::new(2, 1);
    let inputs = || {
        let entries = |seed, count| zoo::entries(seed, count, -64, 63);
        vec![
            Tensor::new(4, 3, Dtype::I8, &entries("left", 12)).unwrap(),
            Tensor::new(4, 2, Dtype::I8, &entries("right", 8)).unwrap(),
        ]
    };
    let numbers: Vec<i32> = (0..80).map(|at| at % 11 - 1).collect();
    let honest = run(arranged(&numbers), shape, inputs());
    let value = honest.network().program().output();
    for number in [10, 11, -2, i32::MIN, i32::MAX] {
        // The second of an item's two tiles of rows reads it.
        let mut outside = numbers.clone();
        outside[79] = number;
        let network = Arc::new(arranged(&outside));
        let program = network.program().clone();
        let records = honest.records().to_vec();
        let leaves: Vec<_> = records.iter().map(|record| Record::leaf(&record.0)).collect();
        let header = TraceHeader {
            program: program.program_id(),
            records: record::records_root(&leaves),
            ..honest.header()
        };
        let published = Published::new(network, header, records).unwrap();
        let values = (0..3).map(ValueId);
        let values = values.map(|value| TensorBytes(honest.value(value).unwrap().bytes().to_vec()));
        let liar = published.with_tensors(values.collect()).unwrap();
        let checker = checker(&liar);
        let verdict = |tile| {
            let proof = liar.fraud_proof(value, tile).unwrap().to_bytes();
            checker.check_fraud(&liar.root(), &proof)
        };
        assert_eq!(verdict(0), Err(TraceInvalid::NoFraud { value, tile: 0 }.into()));
        let index = StepError::Index { slot: 2, row: 39, value: number, min: 0, max: 9 };
        let wrong = Wrong::Tile(TraceInvalid::Step { value, source: index });
        for tile in [1, 2] {
            assert_eq!(verdict(tile).unwrap().wrong, wrong, "{number}");
        }
        let found = liar.find_fraud().unwrap().unwrap().to_bytes();
        assert_eq!(checker.check_fraud(&liar.root(), &found).unwrap().wrong, wrong);
        let (values, constants, sums) = bytes_of(&liar);
        let data = Data { values: &values, constants: &constants, sums: &sums };
        let method = Method::new(Seed32([3; 32]), 2);
        let full = checker.full(&liar.root(), &liar.header(), &data, &method);
        assert_eq!(full.map(drop), Err(TraceInvalid::Step { value, source: index }.into()));
    }
}
