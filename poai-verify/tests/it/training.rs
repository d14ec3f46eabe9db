//! Attacks on the steps of training: a wrong entry of each is convicted, and a
//! right one never. Tiles are computed from opened rows alone.

use poai_core::program::ops::StepError;
use poai_core::program::{Builder, Op, RunShape, TrainingOp, ValueId};
use poai_core::trace::{Record, TraceHeader, record};
use poai_engine::execute::{Network, Published, Tensor, TensorBytes, Trace};
use poai_testing::forge::Forged;
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, RULES, bytes_of, moved, run, steps, tile_of, tile_openings,
    tiles,
};
use poai_testing::training::{OneStep, one_step_programs, programs_without_output};
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Checker, Data, Method, TraceError, TraceInvalid, TraceRules, Wrong};
use std::collections::{BTreeMap, BTreeSet};

/// Rules that permit every program of training.
const WIDE: TraceRules = TraceRules { batch_max: 128, ..RULES };

fn checker(trace: &Trace) -> Checker {
    Checker::new(trace.network().program().clone(), WIDE)
}

/// The same network with a list of outputs, in which the sums of the output's
/// rows follow it. Its row-local steps have tiles of fewer rows.
pub fn listed(network: &Network) -> Network {
    let program = network.program();
    let mut builder = Builder::new(program.inputs());
    for constant in program.constants() {
        builder.constant(&constant.name, constant.root, constant.extent);
    }
    for step in program.steps() {
        builder.step(&step.name, step.op.clone(), &step.inputs).unwrap();
    }
    let output = program.output();
    let sums = Op::Training(TrainingOp::RowSum);
    let sums = builder.step("sums", sums, &[output]).unwrap();
    let constants = network.constants().iter().map(|held| held.tensor.clone());
    let program = builder.finish_with(&[output, sums], 0).unwrap();
    Network::new(program, constants.collect()).unwrap()
}

/// At most some programs of each kind, spread over all of them, each with its
/// kind. Every second one has a list of outputs.
fn some(all: Vec<OneStep>, most: usize) -> Vec<(String, Trace)> {
    let mut kinds = BTreeMap::<&str, Vec<OneStep>>::new();
    for program in all {
        let kind = program.1.program().steps().last().unwrap().op.name();
        kinds.entry(kind).or_default().push(program);
    }
    let mut chosen = vec![];
    for of_kind in kinds.into_values() {
        let each = of_kind.len().div_ceil(most);
        chosen.extend(of_kind.into_iter().step_by(each));
    }
    let trace = |(index, (name, network, inputs, shape)): (usize, OneStep)| {
        let list = index % 2 == 1;
        let network = if list { listed(&network) } else { network };
        (format!("{name}, list {list}"), run(network, shape, inputs).with_rules(WIDE))
    };
    chosen.into_iter().enumerate().map(trace).collect()
}

/// The step of a training kind that a trace is about.
fn kind(trace: &Trace) -> &'static str {
    let program = trace.network().program();
    let mut steps = program.steps().iter().rev();
    let listed = usize::from(program.has_list());
    steps.nth(listed).unwrap().op.name()
}

#[test]
fn a_wrong_entry_of_training_is_convicted_and_a_right_one_never() {
    let (mut kinds, mut lists) = (BTreeSet::new(), 0);
    for (name, trace) in some(one_step_programs(), 12) {
        let checker = checker(&trace);
        kinds.insert(kind(&trace));
        lists += usize::from(trace.network().program().has_list());
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
                let others = [wrong.checked_sub(1), Some(wrong + 1)].into_iter().flatten();
                let all = tiles(&trace, value);
                for tile in others.filter(|&tile| tile < all) {
                    let proof = faulty.fraud_proof(value, tile).unwrap().to_bytes();
                    let none = Err(TraceInvalid::NoFraud { value, tile }.into());
                    assert_eq!(checker.check_fraud(&faulty.root(), &proof), none, "{name}");
                }
                let proof = faulty.fraud_proof(value, wrong).unwrap().to_bytes();
                let found = checker.check_fraud(&faulty.root(), &proof).unwrap();
                let entry = TraceInvalid::Entry { value, tile: wrong, row, column };
                assert_eq!(found.wrong, Wrong::Tile(entry), "{name}");
            }
        }
    }
    assert_eq!(kinds.len(), 24, "{kinds:?}");
    assert!(lists > 40, "{lists}");
}

fn full(checker: &Checker, trace: &Trace) -> Result<u32, TraceError> {
    let method = Method::new(Seed32([3; 32]), 2);
    let (values, constants, sums) = bytes_of(trace);
    let data = Data { values: &values, constants: &constants, sums: &sums };
    checker.full(&trace.root(), &trace.header(), &data, &method).map(|full| full.recomputed)
}

#[test]
fn audits_and_full_checks_decide_steps_of_training() {
    let mut kinds = BTreeSet::new();
    for (name, trace) in some(one_step_programs(), 6) {
        kinds.insert(kind(&trace));
        let checker = checker(&trace);
        let receipt = trace.receipt(JOB, PROVER);
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
    assert_eq!(kinds.len(), 24, "{kinds:?}");
}

/// Every byte of an opening counts, and so does its length.
#[test]
fn malformed_openings_of_training_convict_no_one() {
    let mut kinds = BTreeSet::new();
    for (name, trace) in some(one_step_programs(), 2) {
        kinds.insert(kind(&trace));
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
    assert!(kinds.len() >= 24, "{kinds:?}");
}

/// Inputs with entries that no honest run has. A tile that reads such a row is
/// wrong, whatever it holds.
#[test]
fn unclean_rows_of_training_are_convicted() {
    let mut stained = 0;
    for (name, trace) in some(one_step_programs(), 3) {
        let checker = checker(&trace);
        let program = trace.network().program();
        let value = ValueId(program.inputs().len() as u32);
        let step = program.step_of(value).unwrap();
        for (slot, &input) in step.inputs.iter().enumerate() {
            let extent = *trace.value(input).unwrap().extent();
            if extent.row_bytes() == extent.columns as usize * extent.dtype.size() {
                continue;
            }
            // The last padding column of row 0.
            let mut bytes = trace.value(input).unwrap().bytes().to_vec();
            bytes[extent.row_bytes() - 1] = 1;
            let forged = Forged::new(&trace, input, bytes);
            let convicts = |tile: u64| {
                match checker.check_fraud(&forged.root(), &forged.fraud_proof(value, tile)) {
                    Ok(fraud) => {
                        let unclean = TraceInvalid::Unclean { value, slot };
                        // One value may be two inputs; the first is named.
                        let named = step.inputs.iter().position(|other| *other == input);
                        assert!(named == Some(slot) || fraud.wrong != Wrong::Tile(unclean));
                        assert!(matches!(fraud.wrong, Wrong::Tile(TraceInvalid::Unclean { .. })));
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, TraceInvalid::NoFraud { value, tile }.into(), "{name}");
                        false
                    }
                }
            };
            let convicting = (0..tiles(&trace, value)).filter(|&tile| convicts(tile)).count();
            // A row that no id names is read by no tile.
            let named = matches!(step.op, Op::Training(TrainingOp::Gather { .. }));
            assert!(convicting > 0 || named, "{name}");
            stained += usize::from(convicting > 0);
        }
    }
    assert!(stained > 15, "{stained}");
}

/// A run whose step has no output has no honest trace. Any trace of it is
/// convicted by a tile that reads the entry, whatever its entries are.
#[test]
fn entries_without_output_make_false_traces() {
    let mut kinds = BTreeSet::new();
    for (name, network, inputs, shape) in programs_without_output() {
        let value = network.program().output();
        let step = network.program().step_of(value).unwrap();
        kinds.insert(step.op.name());
        let liar = lie(network, shape, &inputs);
        let checker = checker(&liar);
        for tile in 0..tiles(&liar, value) {
            let proof = liar.fraud_proof(value, tile).unwrap().to_bytes();
            let fraud = checker.check_fraud(&liar.root(), &proof).unwrap();
            let index = matches!(
                fraud.wrong,
                Wrong::Tile(TraceInvalid::Step { source: StepError::Index { .. }, .. })
            );
            assert!(index, "{name}, tile {tile}: {fraud:?}");
        }
        let found = liar.find_fraud().unwrap().unwrap().to_bytes();
        assert!(checker.check_fraud(&liar.root(), &found).is_ok(), "{name}");
        let wrong = full(&checker, &liar).unwrap_err();
        let step = matches!(
            wrong,
            TraceError::Invalid(TraceInvalid::Step { source: StepError::Index { .. }, .. })
        );
        assert!(step, "{name}: {wrong}");
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}

/// A trace of zeros in place of a step's output.
pub fn lie(network: Network, run: RunShape, inputs: &[Tensor]) -> Trace {
    let program = network.program().clone();
    let extents = program.extents(&run).unwrap();
    let output = *extents.last().unwrap();
    let zeros = TensorBytes(vec![0; output.bytes() as usize]);
    let mut values: Vec<TensorBytes> =
        inputs.iter().map(|input| TensorBytes(input.bytes().to_vec())).collect();
    values.push(zeros);
    let roots: Vec<_> =
        values.iter().map(|value| poai_core::Root(*blake3::hash(&value.0).as_bytes())).collect();
    let records = (0..values.len() as u32).map(|index| {
        let value = ValueId(index);
        let made = program.step_of(value).map_or(&[][..], |step| &step.inputs);
        let record = Record {
            value,
            root: roots[index as usize],
            extent: extents[index as usize],
            macs: program.macs(value, &run),
            inputs: made.iter().map(|input| roots[input.0 as usize]).collect(),
        };
        poai_core::trace::RecordBytes(record.to_bytes())
    });
    let records: Vec<_> = records.collect();
    let leaves: Vec<_> = records.iter().map(|record| Record::leaf(&record.0)).collect();
    let header = TraceHeader {
        program: program.program_id(),
        run,
        input: poai_core::trace::header::input_root(&run, &roots[..inputs.len()]),
        output: *roots.last().unwrap(),
        macs: program.total_macs(&run),
        records: record::records_root(&leaves),
    };
    let published = Published::new(std::sync::Arc::new(network), header, records).unwrap();
    published.with_tensors(values).unwrap().with_rules(WIDE)
}
