//! Receipts: each has one byte string, and every field that a trace binds is
//! compared with it.

use poai_core::trace::{Receipt, TraceDecodeError, TraceHeader};
use poai_core::{Job, Prover};
use poai_engine::execute::Trace;
use poai_testing::traces::{JOB, PROVER, RULES, checker, traces};
use poai_verify::trace::{
    Checker, ReceiptError, TraceError, TraceInvalid, TraceMalformed, TraceRules,
};

#[test]
fn receipts_have_one_byte_string() {
    for trace in traces() {
        let receipt = trace.receipt(JOB, PROVER);
        let header = trace.header();
        assert_eq!((receipt.trace, receipt.program), (trace.root(), header.program));
        assert_eq!((receipt.input, receipt.output), (header.input, header.output));
        assert_eq!(receipt.macs_weights + receipt.macs_activations, header.macs);
        assert!(receipt.macs_weights > 0);
        let bytes = receipt.to_bytes();
        assert_eq!(bytes.len(), Receipt::LEN);
        assert_eq!(Receipt::from_bytes(&bytes), Ok(receipt));
        let (expected, got) = (Receipt::LEN, Receipt::LEN - 1);
        let short = TraceDecodeError::Length { expected, got };
        assert_eq!(Receipt::from_bytes(&bytes[..got]), Err(short));
        // Every byte counts; the first four are the version.
        for at in 0..4 {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let error = Receipt::from_bytes(&other).unwrap_err();
            assert!(matches!(error, TraceDecodeError::UnsupportedVersion { expected: 2, .. }));
        }
        for at in 4..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let other = Receipt::from_bytes(&other).unwrap();
            assert!(other != receipt && other.digest() != receipt.digest(), "byte {at}");
        }
    }
}

fn differs(trace: &Trace, change: impl Fn(&mut Receipt)) -> ReceiptError {
    let mut receipt = trace.receipt(JOB, PROVER);
    change(&mut receipt);
    match checker(trace).receipt(&receipt, &trace.header()) {
        Err(TraceError::Invalid(TraceInvalid::Receipt(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_field_that_a_trace_binds_is_checked() {
    for trace in traces() {
        let honest = trace.receipt(JOB, PROVER);
        assert_eq!(checker(trace).receipt(&honest, &trace.header()), Ok(()));
        let header = trace.header();
        for byte in 0..32 {
            let error = differs(trace, |receipt| receipt.program.0[byte] ^= 1);
            assert!(
                matches!(error, ReceiptError::Program { expected, .. } if expected == header.program)
            );
            let error = differs(trace, |receipt| receipt.input.0[byte] ^= 1);
            assert!(
                matches!(error, ReceiptError::Input { expected, .. } if expected == header.input)
            );
            let error = differs(trace, |receipt| receipt.output.0[byte] ^= 1);
            assert!(
                matches!(error, ReceiptError::Output { expected, .. } if expected == header.output)
            );
            let error = differs(trace, |receipt| receipt.trace.0[byte] ^= 1);
            assert!(
                matches!(error, ReceiptError::Trace { expected, .. } if expected == trace.root())
            );
            let error = differs(trace, |receipt| receipt.rules.0[byte] ^= 1);
            assert!(
                matches!(error, ReceiptError::Rules { expected, .. } if expected == RULES.digest())
            );
        }
        for bit in 0..64 {
            let expected = honest.macs_weights;
            let error = differs(trace, |receipt| receipt.macs_weights ^= 1 << bit);
            assert_eq!(error, ReceiptError::MacsWeights { expected, got: expected ^ 1 << bit });
            let expected = honest.macs_activations;
            let error = differs(trace, |receipt| receipt.macs_activations ^= 1 << bit);
            assert_eq!(error, ReceiptError::MacsActivations { expected, got: expected ^ 1 << bit });
        }
        // MACs moved from one class to the other keep the total.
        let error = differs(trace, |receipt| {
            receipt.macs_weights -= 1;
            receipt.macs_activations += 1;
        });
        assert!(matches!(error, ReceiptError::MacsWeights { .. }));
        // No trace binds these fields.
        let others = Receipt { job: Job([3; 32]), prover: Prover([4; 32]), ..honest };
        assert_eq!(checker(trace).receipt(&others, &trace.header()), Ok(()));
    }
}

#[test]
fn the_header_is_checked_too() {
    let [encoder, classifier, ..] = traces();
    let receipt = encoder.receipt(JOB, PROVER);
    let refused = |header: &TraceHeader| checker(encoder).receipt(&receipt, header).unwrap_err();
    let error = checker(classifier).receipt(&receipt, &encoder.header()).unwrap_err();
    assert!(matches!(error, TraceError::Invalid(TraceInvalid::Program { .. })));
    let mut header = encoder.header();
    header.macs += 1;
    assert!(matches!(refused(&header), TraceError::Invalid(TraceInvalid::Macs { .. })));
    // Other records, or another run with the same number of MACs: another
    // trace.
    let mut header = encoder.header();
    header.records[0] ^= 1;
    let error = refused(&header);
    assert!(matches!(
        error,
        TraceError::Invalid(TraceInvalid::Receipt(ReceiptError::Trace { .. }))
    ));
    let mut header = encoder.header();
    header.run.batch = 65;
    let error = refused(&header);
    assert!(matches!(error, TraceError::Malformed(TraceMalformed::Limit { batch: 65, .. })));
    let program = encoder.network().program().clone();
    let other = Checker::new(program, TraceRules { step_samples: RULES.step_samples + 1, ..RULES });
    let error = other.receipt(&receipt, &encoder.header()).unwrap_err();
    assert!(matches!(
        error,
        TraceError::Invalid(TraceInvalid::Receipt(ReceiptError::Rules { .. }))
    ));
}

/// The numbers that the rules' digest in receipts stands for.
#[test]
fn the_default_rules_never_change() {
    let expected = TraceRules {
        batch_max: 65_536,
        sequence_max: 16_384,
        tile_memory_max: 268_435_456,
        product_samples: 40,
        step_samples: 128,
        output_tiles: 32,
    };
    assert_eq!(TraceRules::DEFAULT, expected);
}
