//! Scaled products, which multiply two values: full checks by their sums, and links
//! of mined ones.

use poai_core::program::{RunShape, ValueId};
use poai_core::{Challenge, Difficulty, Side};
use poai_engine::execute::Trace;
use poai_engine::{Cpu, Keep, MineOptions, Miner};
use poai_testing::traces::{CheckBytes, bytes_of, checker, moved, run, steps};
use poai_testing::training_network as training;
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Checked, Data, Method, TraceError, TraceInvalid, TraceMalformed};
use poai_verify::{Rules, Verifier};
use std::sync::Arc;

const RUN: RunShape = RunShape::new(35, 1);

/// Sums of scaled products, whose two operands are values.
#[test]
fn scaled_products_are_checked_by_their_sums() {
    let trace = &run(training::perceptron(), RUN, training::samples(&RUN));
    let program = trace.network().program();
    let (values, ..) = bytes_of(trace);
    let extents = program.extents(&RUN).unwrap();
    let sums: Vec<Option<Vec<i32>>> = (0..program.values() as u32)
        .map(|value| {
            let step = program.step_of(ValueId(value))?;
            if step.op.name() != "scaled product" {
                return None;
            }
            let [a, b] = [0, 1].map(|slot| step.inputs[slot].0 as usize);
            let k = extents[a].row_bytes();
            let dot = |a: &[u8], b: &[u8]| -> i32 {
                a.iter().zip(b).map(|(&a, &b)| i32::from(a as i8) * i32::from(b as i8)).sum()
            };
            let rows = values[a].chunks_exact(k);
            Some(rows.flat_map(|a| values[b].chunks_exact(k).map(move |b| dot(a, b))).collect())
        })
        .collect();
    let slices: Vec<Option<&[i32]>> = sums.iter().map(|sums| sums.as_deref()).collect();
    let method = Method { recompute_below: 0, ..Method::new(Seed32([6; 32]), 2) };
    fn check(
        trace: &Trace,
        values: &[&[u8]],
        sums: &[Option<&[i32]>],
        method: &Method,
    ) -> Result<Checked, TraceError> {
        let (_, constants, _) = bytes_of(trace);
        let data = Data { values, constants: &constants, sums };
        checker(trace).full(&trace.root(), &trace.header(), &data, method)
    }
    let checked = check(trace, &values, &slices, &method).unwrap();
    assert_eq!((checked.freivalds, checked.error_bits), (5, 64));
    assert_eq!(checked.freivalds + checked.recomputed, steps(trace).count() as u32);
    // Small products are multiplied again, and so are those without sums.
    let eager = Method { recompute_below: u32::MAX, ..method.clone() };
    assert_eq!(check(trace, &values, &slices, &eager).unwrap().freivalds, 0);
    assert_eq!(check(trace, &values, &vec![None; values.len()], &method).unwrap().freivalds, 0);
    for value in steps(trace).filter(|value| sums[value.0 as usize].is_some()) {
        let index = value.0 as usize;
        // A wrong entry, whose sums are right.
        let tensor = trace.value(value).unwrap();
        let faulty = trace.with_fault(value, moved(tensor, 1, 5)).unwrap();
        let (wrong, ..) = bytes_of(&faulty);
        let expected = TraceInvalid::Value { value, row: 0, column: 1 };
        let checked = check(&faulty, &wrong, &slices, &method).map(drop);
        assert_eq!(checked, Err(expected.into()));
        // Wrong sums, and sums of another length.
        let mut other = sums[index].clone().unwrap();
        other[3] += 1;
        let mut altered = slices.clone();
        altered[index] = Some(&other);
        let error = check(trace, &values, &altered, &method).unwrap_err();
        assert!(matches!(error, TraceError::Invalid(TraceInvalid::Sums { .. })), "{error}");
        altered[index] = Some(&other[1..]);
        let error = check(trace, &values, &altered, &method).unwrap_err();
        assert!(matches!(error, TraceError::Malformed(TraceMalformed::Sums { .. })), "{error}");
    }
}

/// A mined scaled product belongs to the trace by the roots of both of its
/// inputs.
#[test]
fn a_mined_scaled_product_is_linked_to_both_inputs() {
    let shape = RunShape::new(40, 1);
    let trace = run(training::deep(), shape, training::deep_samples(&shape));
    assert_eq!(trace.find_fraud().unwrap(), None);
    let scores = training::step_named(trace.network(), "scores");
    let inputs = trace.network().program().step_of(scores).unwrap().inputs.clone();
    let (challenge, difficulty) = (Challenge([5; 32]), Difficulty::ONE);
    let win = |a: ValueId, b: ValueId| {
        let operand = |value, side| trace.value(value).unwrap().operand(side).unwrap();
        let miner = Miner::new(Arc::new(Cpu::new()));
        let [a, b] = [operand(a, Side::A), operand(b, Side::B)].map(|x| miner.prepare(x).unwrap());
        let round = miner.round(&challenge, &b).unwrap();
        let mined = round.mine(&a, MineOptions::new(difficulty).keep(Keep::UpTo(1))).unwrap();
        let proof = mined.found.proof().unwrap().to_bytes();
        Verifier::new(Rules::SHARE, difficulty).unwrap().verify(&challenge, &proof).unwrap()
    };
    let checker = checker(&trace);
    let link = trace.link(scores).unwrap().to_bytes();
    assert_eq!(link.len() as u64, checker.link_bytes_max());
    let useful = checker.check_link(&trace.root(), &win(inputs[0], inputs[1]), &link).unwrap();
    assert_eq!((useful.value, useful.trace), (scores, trace.root()));
    // Exchanged operands, and either operand twice.
    for (a, b, what) in [(1, 0, "A"), (1, 1, "A"), (0, 0, "Bᵀ")] {
        let error = checker.check_link(&trace.root(), &win(inputs[a], inputs[b]), &link);
        let Err(TraceError::Invalid(TraceInvalid::Link { what: got, .. })) = error else {
            panic!("{error:?}");
        };
        assert_eq!(got, what);
    }
    // Another step is no product.
    let value = training::step_named(trace.network(), "next");
    let other = trace.link(value).unwrap().to_bytes();
    let none = TraceMalformed::Value(value);
    let win = win(inputs[0], inputs[1]);
    assert_eq!(checker.check_link(&trace.root(), &win, &other), Err(none.into()));
}
