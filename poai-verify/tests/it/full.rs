//! The full check of whole traces. It finds every wrong entry, whether it
//! checks a product by its sums or multiplies it again.

use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::trace::TraceHeader;
use poai_engine::execute::{Constants, Network, RunOptions, Tensor, Trace};
use poai_testing::traces as common;
use poai_testing::traces::{Tensors, bytes_of, checker, moved, steps};
use poai_testing::zoo;
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Checked, Data, Method, TraceError, TraceInvalid, TraceMalformed};
use proptest::prelude::*;

fn method() -> Method {
    Method { recompute_below: 0, ..Method::new(Seed32([6; 32]), 2) }
}

#[test]
fn a_full_check_decides_every_entry() {
    type Case = (Network, fn(&RunShape) -> Vec<Tensor>, RunShape);
    let cases: [Case; 3] = [
        (zoo::encoder(), zoo::tokens, RunShape::new(3, 40)),
        (zoo::classifier(), zoo::images, RunShape::new(7, 1)),
        (zoo::relative(), zoo::states, RunShape::new(2, 21)),
    ];
    for (network, inputs, shape) in cases {
        let session = network.on(poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
        let options = RunOptions::new().sums();
        let trace = session.trace_with((shape, inputs(&shape)), &options).unwrap().trace;
        let trace = trace.with_rules(poai_testing::traces::RULES);
        let checker = checker(&trace);
        let (values, constants, sums) = bytes_of(&trace);
        let data = Data { values: &values, constants: &constants, sums: &sums };
        let header = trace.header();
        let check = |trace: &Trace, data: &Data<'_>| {
            checker.full(&trace.root(), &trace.header(), data, &method())
        };
        let checked = check(&trace, &data).unwrap();
        let products = sums.iter().flatten().count() as u32;
        assert!(products > 0);
        assert_eq!((checked.freivalds, checked.error_bits), (products, 64));
        assert_eq!(checked.freivalds + checked.recomputed, steps(&trace).count() as u32);
        // Without sums, every product is multiplied again.
        let none = vec![None; values.len()];
        let checked = check(&trace, &Data { sums: &none, ..data }).unwrap();
        assert_eq!(checked.freivalds, 0);
        // The last entry of each step in turn is wrong. The check finds it with
        // and without sums.
        for value in steps(&trace) {
            let tensor = trace.value(value).unwrap();
            let last = tensor.entries().len() - 1;
            let faulty = trace.with_fault(value, moved(tensor, last, 1)).unwrap();
            let (values, constants, _) = bytes_of(&faulty);
            for sums in [&sums, &none] {
                let data = Data { values: &values, constants: &constants, sums };
                let extent = tensor.extent();
                let (row, column) = (extent.rows - 1, extent.columns - 1);
                assert_eq!(
                    check(&faulty, &data),
                    Err(TraceInvalid::Value { value, row, column }.into())
                );
            }
        }
        // Wrong sums.
        let value = ValueId(sums.iter().position(Option::is_some).unwrap() as u32);
        let mut wrong = sums[value.0 as usize].unwrap().to_vec();
        wrong[7] ^= 1;
        let mut altered = sums.clone();
        altered[value.0 as usize] = Some(&wrong);
        let error = check(&trace, &Data { sums: &altered, ..data }).unwrap_err();
        assert!(matches!(error, TraceError::Invalid(TraceInvalid::Sums { .. })), "{error}");
        altered[value.0 as usize] = Some(&wrong[1..]);
        let error = check(&trace, &Data { sums: &altered, ..data }).unwrap_err();
        assert!(matches!(error, TraceError::Malformed(TraceMalformed::Sums { .. })), "{error}");
        // Tensors that do not match the roots.
        let error = check(&trace, &Data { values: &values[1..], ..data }).unwrap_err();
        assert_eq!(error, TraceMalformed::Data.into());
        // One tensor too few or too many, while all lengths are right.
        let more = [&constants[..], &constants[..1]].concat();
        for constants in [&constants[1..], &constants[..constants.len() - 1], &more] {
            let error = check(&trace, &Data { constants, ..data }).unwrap_err();
            assert_eq!(error, TraceMalformed::Data.into());
        }
        let more = [&values[..], &values[..1]].concat();
        for values in [&values[..values.len() - 1], &more] {
            let error = check(&trace, &Data { values, ..data }).unwrap_err();
            assert_eq!(error, TraceMalformed::Data.into());
        }
        // The right number of tensors, one of them a byte shorter.
        let mut altered = constants.clone();
        altered[0] = &constants[0][1..];
        let error = check(&trace, &Data { constants: &altered, ..data }).unwrap_err();
        assert_eq!(error, TraceMalformed::Data.into());
        let mut other = constants[0].to_vec();
        other[0] ^= 1;
        let mut altered = constants.clone();
        altered[0] = &other;
        let error = check(&trace, &Data { constants: &altered, ..data }).unwrap_err();
        assert!(matches!(error, TraceError::Invalid(TraceInvalid::Constant { constant: 0, .. })));
        let mut other = values[0].to_vec();
        other[0] ^= 1;
        let mut altered = values.clone();
        altered[0] = &other;
        let error = check(&trace, &Data { values: &altered, ..data }).unwrap_err();
        assert_eq!(error, TraceInvalid::Records.into());
        let other = TraceHeader { macs: header.macs + 1, ..header };
        assert!(checker.full(&trace.root(), &other, &data, &method()).is_err());
    }
}

/// A header with an output other than the last value's, under its own trace
/// root.
#[test]
fn an_output_of_nothing_is_refused() {
    let shape = RunShape::new(2, 1);
    let trace = common::run(zoo::classifier(), shape, zoo::images(&shape));
    let (values, constants, sums) = bytes_of(&trace);
    let data = Data { values: &values, constants: &constants, sums: &sums };
    let honest = trace.header();
    checker(&trace).full(&honest.root(), &honest, &data, &method()).unwrap();
    let forged = TraceHeader { output: poai_core::Root(honest.records), ..honest };
    let error = checker(&trace).full(&forged.root(), &forged, &data, &method());
    assert_eq!(error, Err(TraceInvalid::Output.into()));
}

/// At the threshold, the check reads sums: 64·128·128 true MACs are 32 times
/// the entries of the three matrices.
#[test]
fn a_product_at_the_threshold_is_not_recomputed() {
    let trace = product(64, 128, 128);
    let parts = bytes_of(&trace);
    for (below, freivalds) in [(15, 1), (16, 1), (17, 0)] {
        let method = Method { recompute_below: below, ..Method::new(Seed32([6; 32]), 2) };
        assert_eq!(full(&trace, &parts, &method).unwrap().freivalds, freivalds, "{below}");
    }
}

/// A trace of one product of m rows, n channels and k columns, with its sums.
fn product(m: u32, n: u32, k: u32) -> Trace {
    let mut builder = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(k), Dtype::I8)]);
    let mut constants = Constants::default();
    let (rows, columns) = (n as usize, k as usize);
    let entries = zoo::entries("weights", rows * columns, -64, 63);
    let weights =
        constants.add(&mut builder, "weights", (rows, columns), Dtype::I8, &entries).unwrap();
    // Requantisation passes sums unchanged, so that a wrong sum is a wrong
    // entry.
    let scales = [0, 1, 0].repeat(rows);
    let requantise = constants.add(&mut builder, "scales", (rows, 3), Dtype::I32, &scales).unwrap();
    let clamp = Clamp::full(Dtype::I32);
    let op = Op::Linear { weights, requantise, shifts: [0, 0, 0], clamp };
    builder.step("linear", op, &[builder.input(0)]).unwrap();
    let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
    let session = network.on(poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    let entries = zoo::entries("input", (m * k) as usize, -64, 63);
    let input = Tensor::new(m as usize, columns, Dtype::I8, &entries).unwrap();
    session.trace_with(input, &RunOptions::new().sums()).unwrap().trace
}

fn full(
    trace: &Trace,
    (values, constants, sums): &Tensors<'_>,
    method: &Method,
) -> Result<Checked, TraceError> {
    let data = Data { values, constants, sums };
    checker(trace).full(&trace.root(), &trace.header(), &data, method)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Tests products on either side of the threshold, and with the threshold
    /// moved to either end. The check takes the right path. A true product
    /// passes. A wrong entry is rejected, whether its sums are true or false as
    /// well.
    #[test]
    fn neither_path_passes_a_wrong_product(
        m in 1u32..65, n in 1u32..70, k in 1u32..260, rounds in 1u32..6,
        threshold in prop_oneof![Just(0), Just(Method::RECOMPUTE_BELOW), 1u32..20, Just(u32::MAX)],
        row: u32, column: u32, by in 1i32..1000,
    ) {
        let trace = product(m, n, k);
        let method =
            Method { recompute_below: threshold, ..Method::new(Seed32([4; 32]), rounds) };
        let (rows, channels, columns) =
            (m.next_multiple_of(32), n.next_multiple_of(32), k.next_multiple_of(128));
        let reads = rounds * (rows * columns + channels * columns + rows * channels);
        let recomputed = u64::from(m * n * k) < u64::from(reads) * u64::from(threshold);
        let checked = full(&trace, &bytes_of(&trace), &method).unwrap();
        prop_assert_eq!(
            (checked.recomputed, checked.freivalds), (recomputed.into(), (!recomputed).into())
        );
        let (row, column) = (row % m, column % n);
        let value = ValueId(1);
        let tensor = trace.value(value).unwrap();
        let faulty = trace.with_fault(value, moved(tensor, (row * n + column) as usize, by)).unwrap();
        let mut tensors = bytes_of(&faulty);
        let wrong = Err(TraceInvalid::Value { value, row, column }.into());
        prop_assert_eq!(full(&faulty, &tensors, &method), wrong);
        let mut sums = trace.sums(value).unwrap().to_vec();
        sums[(row * channels + column) as usize] += by;
        tensors.2[1] = Some(&sums);
        let got = full(&faulty, &tensors, &method);
        if recomputed {
            prop_assert_eq!(got, wrong);
        } else {
            let refused = matches!(got, Err(TraceError::Invalid(TraceInvalid::Sums { .. })));
            prop_assert!(refused, "{:?}", got);
        }
    }
}

#[test]
fn no_rounds_check_nothing() {
    let trace = product(3, 5, 7);
    for recompute_below in [0, 1, u32::MAX] {
        let method = Method { recompute_below, ..Method::new(Seed32([4; 32]), 0) };
        let error = full(&trace, &bytes_of(&trace), &method).unwrap_err();
        assert!(matches!(error, TraceError::Malformed(TraceMalformed::Sums { .. })), "{error}");
    }
}

/// A full check stops between steps, and reports each step.
#[test]
fn a_full_check_reports_and_stops() {
    use poai_verify::{Cancel, Cancelled};
    use std::sync::{Arc, Mutex};
    let trace = &poai_testing::traces::traces()[1];
    let tensors = bytes_of(trace);
    let steps = trace.network().program().steps().len() as u64;
    let (cancel, seen) = (Cancel::new(), Arc::new(Mutex::new(vec![])));
    let (stop, to) = (cancel.clone(), seen.clone());
    let method = method().cancel(&cancel).progress(move |progress| {
        to.lock().unwrap().push((progress.done, progress.total));
        if progress.done == 2 {
            stop.cancel();
        }
    });
    assert_eq!(full(trace, &tensors, &method), Err(TraceError::Cancelled(Cancelled)));
    assert_eq!(*seen.lock().unwrap(), [(1, steps), (2, steps)]);
}
