//! Audits, fraud proofs and links of the zoo's programs. Right ones pass, wrong
//! ones are found, and no other message convinces a verifier.

use poai_core::Beacon;
use poai_core::program::{Dtype, RunShape, ValueId};
use poai_core::trace::{Receipt, TraceHeader};
use poai_core::{Challenge, Difficulty};
use poai_engine::MineOptions;
use poai_engine::execute::{Mining, RunOptions, Tensor, Trace};
use poai_testing::traces::{
    BEACON, CheckBytes, JOB, PROVER, RULES, checker, moved, record_opening, run, steps, tile_of,
    tile_openings, tiles, traces,
};
use poai_testing::zoo;
use poai_verify::trace::{
    Checker, TraceError, TraceInvalid, TraceMalformed, TraceRules, Wrong, escape, samples_for,
};
use poai_verify::{Rules, Verifier};
use proptest::prelude::*;
use std::sync::OnceLock;

#[test]
fn the_zoo_is_worth_testing() {
    // A step whose entries are all the same would hide faults.
    for trace in traces() {
        for value in steps(trace) {
            let entries = trace.value(value).unwrap().entries();
            let different: std::collections::BTreeSet<_> = entries.iter().collect();
            let name = trace.network().program().step_of(value).unwrap().op.name();
            assert!(
                different.len() > 3.min(entries.len() - 1),
                "{} {name}: {different:?}",
                value.0
            );
        }
    }
}

#[test]
fn honest_audits_pass() {
    for trace in traces() {
        let audit = trace.audit(&trace.receipt(JOB, PROVER), &BEACON).unwrap().to_bytes();
        let audited =
            checker(trace).check_audit(&trace.receipt(JOB, PROVER), &BEACON, &audit).unwrap();
        assert_eq!(audited.header, trace.header());
        assert_eq!(audited.rules, RULES.digest());
        // Another beacon requires other tiles.
        assert!(
            checker(trace)
                .check_audit(&trace.receipt(JOB, PROVER), &Beacon([8; 32]), &audit)
                .is_err()
        );
    }
}

#[test]
fn no_right_tile_is_fraudulent() {
    for trace in traces() {
        let checker = checker(trace);
        for value in steps(trace) {
            for tile in 0..tiles(trace, value) {
                let proof = trace.fraud_proof(value, tile).unwrap().to_bytes();
                let expected = TraceInvalid::NoFraud { value, tile }.into();
                assert_eq!(checker.check_fraud(&trace.root(), &proof), Err(expected));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For every step type, makes one entry wrong. Its tile is proven wrong,
    /// and no other tile of the value is.
    #[test]
    fn every_wrong_tile_is_found(
        which in 0usize..4, step in 0usize..64, at: u32, other: u64, by in 1i32..1000,
    ) {
        let trace = &traces()[which];
        let all: Vec<_> = steps(trace).collect();
        let value = all[step % all.len()];
        let tensor = trace.value(value).unwrap();
        let columns = tensor.extent().columns;
        let at = at as usize % (tensor.extent().rows * columns) as usize;
        let faulty = trace.with_fault(value, moved(tensor, at, by)).unwrap();
        let (row, column) = (at as u32 / columns, at as u32 % columns);
        let tile = tile_of(trace, value, row, column);
        let proof = faulty.fraud_proof(value, tile).unwrap().to_bytes();
        let fraud = checker(trace).check_fraud(&faulty.root(), &proof).unwrap();
        prop_assert_eq!(fraud.value, value);
        prop_assert_eq!(
            fraud.wrong, Wrong::Tile(TraceInvalid::Entry { value, tile, row, column })
        );
        // The proof shows nothing about the honest trace.
        let honest = checker(trace).check_fraud(&trace.root(), &proof);
        let other_trace = matches!(honest, Err(TraceError::Invalid(TraceInvalid::Trace { .. })));
        prop_assert!(other_trace);
        let other = other % tiles(trace, value);
        if other != tile {
            let proof = faulty.fraud_proof(value, other).unwrap().to_bytes();
            let expected = TraceInvalid::NoFraud { value, tile: other }.into();
            prop_assert_eq!(checker(trace).check_fraud(&faulty.root(), &proof), Err(expected));
        }
    }

    /// Detects every change to every byte of a fraud proof or an audit.
    #[test]
    fn no_altered_message_convinces(which in 0usize..4, at: u32, bit in 0u8..8, cut: u32) {
        let (trace, audit, proof) = &messages()[which];
        let checker = checker(trace);
        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = at as usize % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes
        };
        prop_assert!(checker.check_audit(&trace.receipt(JOB, PROVER), &BEACON, &flip(audit)).is_err());
        prop_assert!(checker.check_fraud(&trace.root(), &flip(proof)).is_err());
        let short = &audit[..cut as usize % audit.len()];
        prop_assert!(checker.check_audit(&trace.receipt(JOB, PROVER), &BEACON, short).is_err());
        let short = &proof[..cut as usize % proof.len()];
        prop_assert!(checker.check_fraud(&trace.root(), short).is_err());
        let longer = [&audit[..], &[0]].concat();
        prop_assert_eq!(
            checker.check_audit(&trace.receipt(JOB, PROVER), &BEACON, &longer),
            Err(TraceMalformed::Long(1).into())
        );
    }
}

type Messages = (Trace, Vec<u8>, Vec<u8>);

/// Traces with an honest audit and a fraud proof that proves nothing.
fn messages() -> &'static [Messages; 4] {
    static MESSAGES: OnceLock<[Messages; 4]> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        traces().clone().map(|trace| {
            let audit = trace.audit(&trace.receipt(JOB, PROVER), &BEACON).unwrap().to_bytes();
            let proof = trace.fraud_proof(steps(&trace).nth(1).unwrap(), 0).unwrap().to_bytes();
            (trace, audit, proof)
        })
    })
}

#[test]
fn padding_that_is_not_zero_makes_no_tensor() {
    let trace = &traces()[0];
    let value = steps(trace).find(|&value| {
        let extent = trace.value(value).unwrap().extent();
        extent.dtype == Dtype::I8 && extent.columns < extent.padded_columns()
    });
    let value = value.unwrap();
    let tensor = trace.value(value).unwrap();
    let mut bytes = tensor.bytes().to_vec();
    *bytes.last_mut().unwrap() = 1;
    assert!(Tensor::from_bytes(*tensor.extent(), bytes).is_err(), "honest code makes none");
}

#[test]
fn escape_and_its_inverse() {
    assert_eq!(escape(0, 0.5, 0), 1.0);
    assert_eq!(escape(10, 0.5, 0), 2f64.powi(-10));
    assert_eq!(escape(10, 0.5, 4), 2f64.powi(-6));
    assert_eq!(escape(10, 0.5, 40), 1.0);
    assert_eq!(escape(10, 0.0, 0), 1.0);
    assert_eq!(escape(1, 1.0, 80), 0.0);
    assert_eq!(escape(3, f64::NAN, 0), 1.0);
    // Exact results are not rounded; others are rounded up. 1 minus 0.6 of the
    // last place below 1 would be nearer to 1 minus one place.
    assert_eq!(escape(1, 0.375, 0), 0.625);
    assert_eq!(escape(1, 0.625, 0), 0.375);
    assert_eq!(escape(1, 0.6 * 2f64.powi(-53), 0), 1.0);
    assert_eq!(samples_for(0.5, 40, 0), Some(40));
    assert_eq!(samples_for(0.5, 40, 60), Some(100));
    assert_eq!(samples_for(0.0, 1, 0), None);
    // Neither factor fits a number of 64 bits.
    assert_eq!(escape(1100, 0.5, 1100), 1.0);
    assert_eq!(escape(1100, 0.5, 1090), 2f64.powi(-10));
    assert_eq!(samples_for(0.5, 1000, 100), Some(1100));
    // Rounded up: (5/8)^q is 5^q of 8^q.
    for samples in 1..=42 {
        let bound = escape(samples, 0.375, 0) * 2f64.powi(126);
        let exact = 5u128.pow(samples) << (126 - 3 * samples);
        assert!(bound as u128 >= exact && bound * (1.0 - 1e-12) <= exact as f64, "{samples}");
    }
    for (fraction, bits, grinding) in [(0.01, 40, 0), (0.1, 40, 80), (0.3, 20, 0), (0.001, 60, 64)]
    {
        let samples = samples_for(fraction, bits, grinding).unwrap();
        let target = 2f64.powi(-(bits as i32));
        assert!(escape(samples, fraction, grinding) <= target);
        assert!(escape(samples - 1, fraction, grinding) > target);
    }
}

#[test]
fn a_record_that_lies_is_a_fraud() {
    // A fault leaves its consumers' records true, because they name the faulty
    // root. Records that lie about wiring have to be made by hand.
    let trace = &traces()[0];
    let program = trace.network().program();
    let value = steps(trace).nth(2).unwrap();
    let lie = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut records: Vec<Vec<u8>> = (0..program.values() as u32)
            .map(|value| {
                let inputs = program.step_of(ValueId(value)).map_or(0, |step| step.inputs.len());
                let opening = record_opening(trace, ValueId(value));
                opening[..poai_core::trace::Record::len(inputs)].to_vec()
            })
            .collect();
        change(&mut records[value.0 as usize]);
        let leaves: Vec<_> =
            records.iter().map(|record| poai_core::trace::Record::leaf(record)).collect();
        let mut header = trace.header();
        header.records = poai_core::trace::record::records_root(&leaves);
        let mut proof = header.to_bytes();
        proof.extend(value.0.to_le_bytes());
        proof.extend(0u64.to_le_bytes());
        let step = program.step_of(value).unwrap();
        for opened in [&value].into_iter().chain(&step.inputs) {
            proof.extend(&records[opened.0 as usize]);
            proof.extend(poai_core::trace::record::path(&leaves, u64::from(opened.0)).concat());
        }
        let audit = [header.to_bytes(), records.concat()].concat();
        let receipt = Receipt { trace: header.root(), ..trace.receipt(JOB, PROVER) };
        (receipt, proof, audit)
    };
    let checker = checker(trace);
    let (Receipt { trace: root, .. }, mut proof, _) = lie(&|_| {});
    proof.extend(tile_openings(trace, value, 0));
    assert!(matches!(
        checker.check_fraud(&root, &proof),
        Err(TraceError::Invalid(TraceInvalid::NoFraud { .. }))
    ));
    // An input's root, the value's number, the extent, the MACs.
    for at in [60, 0, 36, 45] {
        let (receipt, proof, audit) = lie(&|record| record[at] ^= 1);
        let root = receipt.trace;
        let fraud = checker.check_fraud(&root, &proof).unwrap();
        let longer = [&proof[..], &[0]].concat();
        assert_eq!(checker.check_fraud(&root, &longer), Err(TraceMalformed::Long(1).into()));
        assert!(matches!(fraud.wrong, Wrong::Record(TraceInvalid::Record(_))), "{at}: {fraud:?}");
        assert!(matches!(
            checker.check_audit(&receipt, &BEACON, &audit),
            Err(TraceError::Invalid(TraceInvalid::Record(_)))
        ));
    }
}

#[test]
fn limits_and_programs_are_the_nodes_own() {
    let [encoder, classifier, ..] = traces();
    let audit = encoder.audit(&encoder.receipt(JOB, PROVER), &BEACON).unwrap().to_bytes();
    assert!(matches!(
        checker(classifier).check_audit(&encoder.receipt(JOB, PROVER), &BEACON, &audit),
        Err(TraceError::Invalid(TraceInvalid::Program { .. }))
    ));
    let program = encoder.network().program().clone();
    let small = Checker::new(program, TraceRules { sequence_max: 39, ..RULES });
    assert_eq!(
        small.check_audit(&encoder.receipt(JOB, PROVER), &BEACON, &audit),
        Err(TraceMalformed::Limit { batch: 3, sequence: 40 }.into())
    );
}

#[test]
fn mined_products_are_linked_to_their_trace() {
    let shape = RunShape::new(7, 1);
    let session =
        zoo::classifier().on(poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    let challenge = Challenge([5; 32]);
    let difficulty = Difficulty::new(1).unwrap();
    let mining = Mining { challenge, options: MineOptions::new(difficulty) };
    let options = RunOptions::new().mine(mining);
    let done = session.trace_with((shape, zoo::images(&shape)), &options).unwrap();
    let trace = done.trace;
    let mined = &done.mined[0];
    let proof = mined.found.proof().unwrap().to_bytes();
    let win = Verifier::new(Rules::SHARE, difficulty).unwrap().verify(&challenge, &proof).unwrap();
    let checker = checker(&trace);
    let link = trace.link(mined.value).unwrap().to_bytes();
    let useful = checker.check_link(&trace.root(), &win, &link).unwrap();
    assert_eq!((useful.value, useful.trace), (mined.value, trace.root()));
    // A link longer than the bound is refused unread.
    let max = checker.link_bytes_max();
    let mut longer = link[..TraceHeader::LEN].to_vec();
    longer.resize(max as usize + 1, 0xa5);
    assert_eq!(
        checker.check_link(&trace.root(), &win, &longer),
        Err(TraceMalformed::Size { max, got: longer.len() }.into())
    );
    // Another step's record does not support the link.
    let other = steps(&trace).find(|&value| value != mined.value).unwrap();
    assert!(
        checker.check_link(&trace.root(), &win, &trace.link(other).unwrap().to_bytes()).is_err()
    );
    let linear = ValueId(2);
    assert!(matches!(
        checker.check_link(&trace.root(), &win, &trace.link(linear).unwrap().to_bytes()),
        Err(TraceError::Invalid(TraceInvalid::Link { what: "A", .. }))
    ));
    // Nor does another trace's.
    let inputs = vec![Tensor::new(441, 3, Dtype::I8, &[1; 1323]).unwrap()];
    let other = run(zoo::classifier(), shape, inputs);
    let link = other.link(mined.value).unwrap().to_bytes();
    assert!(checker.check_link(&other.root(), &win, &link).is_err());
}

#[test]
fn headers_that_lie_are_frauds() {
    let mut others = 0;
    for trace in traces() {
        let checker = checker(trace);
        let input = trace.fraud_proof(ValueId(0), 0).unwrap().to_bytes();
        let honest = [trace.header().to_bytes(), input.clone()];
        for proof in &honest {
            let error = checker.check_fraud(&trace.root(), proof).unwrap_err();
            assert!(matches!(error, TraceError::Invalid(TraceInvalid::NoFraud { .. })), "{error}");
        }
        let mut header = trace.header();
        header.macs += 1;
        let fraud = checker.check_fraud(&header.root(), &header.to_bytes()).unwrap();
        assert!(matches!(fraud.wrong, Wrong::Header(TraceInvalid::Macs { .. })));
        let mut header = trace.header();
        header.input.0[0] ^= 1;
        let mut proof = input.clone();
        proof[..TraceHeader::LEN].copy_from_slice(&header.to_bytes());
        let fraud = checker.check_fraud(&header.root(), &proof).unwrap();
        assert_eq!(fraud.wrong, Wrong::Header(TraceInvalid::Input));
        // The lie is about all inputs and has one message, with the first input.
        for other in (1..trace.network().program().inputs().len() as u32).map(ValueId) {
            assert_eq!(trace.fraud_proof(other, 0).unwrap().to_bytes(), input);
            proof[TraceHeader::LEN..TraceHeader::LEN + 4].copy_from_slice(&other.0.to_le_bytes());
            let error = checker.check_fraud(&header.root(), &proof).unwrap_err();
            let expected = TraceMalformed::Tile { value: other, tile: 0 };
            assert_eq!(error, TraceError::Malformed(expected));
            others += 1;
        }
    }
    assert!(others > 0, "no program has two inputs");
}

#[test]
fn unclean_tensors_are_refused() {
    let extent = *traces()[1].value(ValueId(0)).unwrap().extent();
    let mut bytes = traces()[1].value(ValueId(0)).unwrap().bytes().to_vec();
    assert!(extent.is_clean(0, &bytes));
    for (at, value) in [(0, 64u8), (0, 191), (extent.columns as usize, 1), (bytes.len() - 1, 1)] {
        let old = std::mem::replace(&mut bytes[at], value);
        assert!(!extent.is_clean(0, &bytes), "{at} {value}");
        bytes[at] = old;
    }
}
