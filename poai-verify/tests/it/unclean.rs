//! Traces with committed tensors that no honest run has: padding other than
//! zero, i8 entries out of range.
//!
//! The tests forge them from bytes, because honest code makes no such tensor.

use poai_core::Beacon;
use poai_core::program::{Dtype, Extent, RunShape, ValueId};
use poai_core::trace::RecordBytes;
use poai_core::trace::unclean::accuse_input;
use poai_engine::execute::Trace;
use poai_testing::forge::Forged;
use poai_testing::traces::{CheckBytes, JOB, PROVER, checker, run, steps, tiles, traces};
use poai_testing::zoo;
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Checker, Data, Method, TraceError, TraceInvalid, TraceMalformed, Wrong};
use std::collections::BTreeSet;

/// Changes to a tensor: a name, the index of the byte, and its new value.
///
/// All changes but those of padding rows are in a row that the step makes, so
/// that others read it.
fn stains(extent: &Extent) -> Vec<(&'static str, usize, u8)> {
    let row = extent.row_bytes();
    let mut stains = vec![];
    if extent.dtype == Dtype::I8 {
        stains.extend([("above 63", 0, 64), ("below −64", 0, 0xbf)]);
        if extent.columns < extent.padded_columns() {
            stains.push(("padding column", extent.columns as usize, 1));
            stains.push(("last padding column", row - 1, 0x80));
        }
    }
    if extent.rows < extent.padded_rows() {
        stains.push(("padding row", extent.rows as usize * row, 1));
        stains.push(("last padding row", extent.bytes() as usize - 1, 1));
    }
    stains
}

fn stained(trace: &Trace, value: ValueId, at: usize, byte: u8) -> Forged {
    let mut bytes = trace.value(value).unwrap().bytes().to_vec();
    assert_ne!(bytes[at], byte);
    bytes[at] = byte;
    Forged::new(trace, value, bytes)
}

fn encoded(forged: &Forged) -> Vec<RecordBytes> {
    forged.records.iter().map(|record| RecordBytes(record.to_bytes())).collect()
}

fn full(checker: &Checker, forged: &Forged, trace: &Trace) -> Result<(), TraceError> {
    let values: Vec<&[u8]> = forged.values.iter().map(Vec::as_slice).collect();
    let constants: Vec<&[u8]> = forged.constants.iter().map(Vec::as_slice).collect();
    let sums: Vec<Option<&[i32]>> =
        (0..values.len() as u32).map(|value| trace.sums(ValueId(value))).collect();
    let data = Data { values: &values, constants: &constants, sums: &sums };
    let method = Method::new(Seed32([1; 32]), 1);
    checker.full(&forged.root(), &forged.header, &data, &method).map(drop)
}

/// All tiles that a fraud proof convicts, and the errors.
fn convicted(
    checker: &Checker,
    forged: &Forged,
    trace: &Trace,
) -> Vec<(ValueId, u64, TraceInvalid)> {
    let mut found = vec![];
    for value in steps(trace) {
        for tile in 0..tiles(trace, value) {
            match checker.check_fraud(&forged.root(), &forged.fraud_proof(value, tile)) {
                Ok(fraud) => match fraud.wrong {
                    Wrong::Tile(why) => found.push((value, tile, why)),
                    other => panic!("{other:?}"),
                },
                Err(error) => {
                    let right = TraceInvalid::NoFraud { value, tile };
                    assert_eq!(error, right.into());
                }
            }
        }
    }
    found
}

#[test]
fn what_is_forged_of_honest_bytes_is_the_honest_trace() {
    for trace in traces() {
        let value = ValueId(0);
        let forged = Forged::new(trace, value, trace.value(value).unwrap().bytes().to_vec());
        assert_eq!(forged.root(), trace.root());
        assert_eq!(
            forged.audit(&forged.receipt(JOB, PROVER), &Beacon([3; 32])),
            trace.audit(&trace.receipt(JOB, PROVER), &Beacon([3; 32])).unwrap().to_bytes()
        );
        assert_eq!(convicted(&checker(trace), &forged, trace), []);
        assert_eq!(full(&checker(trace), &forged, trace), Ok(()));
    }
}

#[test]
fn unclean_values_are_convicted_by_their_makers_and_readers() {
    let small = [
        run(zoo::encoder(), RunShape::new(2, 9), zoo::tokens(&RunShape::new(2, 9))),
        run(zoo::classifier(), RunShape::new(1, 1), zoo::images(&RunShape::new(1, 1))),
        run(zoo::gates(), RunShape::new(1, 1), zoo::small_images(&RunShape::new(1, 1))),
        run(zoo::relative(), RunShape::new(2, 9), zoo::states(&RunShape::new(2, 9))),
    ];
    let mut seen = BTreeSet::new();
    for trace in &small {
        let checker = checker(trace);
        let program = trace.network().program();
        for value in steps(trace) {
            let extent = *trace.value(value).unwrap().extent();
            for (stain, at, byte) in stains(&extent) {
                let forged = stained(trace, value, at, byte);
                seen.insert((extent.dtype as usize, stain));
                let convicted = convicted(&checker, &forged, trace);
                let name = program.step_of(value).unwrap().op.name();
                let case = format!("{} {name}: {stain}", value.0);
                // The tile that holds the entry, for any entry.
                let entry = |(own, _, why): &&(ValueId, u64, TraceInvalid)| {
                    *own == value && matches!(why, TraceInvalid::Entry { .. })
                };
                assert_eq!(convicted.iter().filter(entry).count(), 1, "{case}");
                // The steps that read the row are convicted, and no others.
                let readers: BTreeSet<ValueId> = steps(trace)
                    .filter(|&step| program.step_of(step).unwrap().inputs.contains(&value))
                    .collect();
                let others = convicted.iter().filter(|(own, ..)| *own != value);
                let by: BTreeSet<ValueId> = others.clone().map(|(own, ..)| *own).collect();
                if stain.ends_with("padding row") {
                    assert!(by.is_empty(), "{case}: no step reads padding rows");
                } else {
                    assert_eq!(by, readers, "{case}");
                    for (own, _, why) in others {
                        let unclean = matches!(
                            why, TraceInvalid::Unclean { value, .. } if value == own
                        );
                        assert!(unclean, "{case}: {why}");
                    }
                }
                // An audit rejects the trace if and only if it samples such a
                // tile.
                let tiles: BTreeSet<(ValueId, u64)> =
                    convicted.iter().map(|&(value, tile, _)| (value, tile)).collect();
                for beacon in 0..4 {
                    let beacon = Beacon([beacon; 32]);
                    let sampled = forged.samples(&forged.receipt(JOB, PROVER), &beacon).into_iter();
                    let hit = sampled
                        .map(|sample| (sample.value, sample.tile))
                        .any(|tile| tiles.contains(&tile));
                    let audit = forged.audit(&forged.receipt(JOB, PROVER), &beacon);
                    let result = checker.check_audit(&forged.receipt(JOB, PROVER), &beacon, &audit);
                    assert_eq!(result.is_err(), hit, "{case}");
                }
                let tensor = value.0 as usize;
                let refused = Err(TraceInvalid::UncleanTensor { tensor }.into());
                assert_eq!(full(&checker, &forged, trace), refused, "{case}");
            }
        }
    }
    // Every change to i8, and padding rows of both wider types.
    assert_eq!(seen.len(), 6 + 2 + 2, "{seen:?}");
}

#[test]
fn unclean_inputs_are_convicted_by_their_rows() {
    let mut count = 0;
    for trace in traces() {
        let checker = checker(trace);
        let program = trace.network().program();
        for input in (0..program.inputs().len() as u32).map(ValueId) {
            let extent = *trace.value(input).unwrap().extent();
            for (stain, at, byte) in stains(&extent) {
                let forged = stained(trace, input, at, byte);
                let bytes = &forged.values[input.0 as usize];
                let accuse = |bytes: &[u8]| {
                    accuse_input(program, &forged.header, &encoded(&forged), input, bytes)
                };
                let proof = accuse(bytes).unwrap().to_bytes();
                // Bytes of another length are not this input's.
                assert_eq!(accuse(&[&bytes[..], &[1]].concat()), None);
                assert_eq!(accuse(&bytes[..bytes.len() - 1]), None);
                let row = (at / extent.row_bytes()) as u32;
                let root = forged.root();
                let fraud = checker.check_fraud(&root, &proof).unwrap();
                let wrong = Wrong::Input(TraceInvalid::UncleanInput { value: input, row });
                assert_eq!((fraud.trace, fraud.value, fraud.wrong), (root, input, wrong));
                assert_eq!(proof, forged.input_strip(input, row / 32), "{stain}");
                let max = checker.fraud_bytes_max(trace.run()).unwrap();
                assert!(proof.len() as u64 <= max);
                // The fraud proof binds this trace, and every byte counts.
                let other = checker.check_fraud(&trace.root(), &proof).unwrap_err();
                assert!(matches!(other, TraceError::Invalid(TraceInvalid::Trace { .. })));
                for at in (0..proof.len()).step_by(41) {
                    let mut altered = proof.clone();
                    altered[at] ^= 1;
                    assert!(checker.check_fraud(&root, &altered).is_err(), "{at}");
                    assert!(checker.check_fraud(&root, &proof[..at]).is_err(), "{at}");
                }
                let longer = [&proof[..], &[0]].concat();
                assert!(matches!(
                    checker.check_fraud(&root, &longer),
                    Err(TraceError::Malformed(
                        TraceMalformed::Long(1) | TraceMalformed::Size { .. }
                    ))
                ));
                // Clean bytes convict no one, nor do bytes of another length.
                assert_eq!(accuse(trace.value(input).unwrap().bytes()), None);
                assert_eq!(accuse(&bytes[1..]), None);
                // Audits pass a row that no step reads. The full check rejects
                // it.
                if stain.ends_with("padding row") {
                    let audit = forged.audit(&forged.receipt(JOB, PROVER), &Beacon([5; 32]));
                    assert!(
                        checker
                            .check_audit(&forged.receipt(JOB, PROVER), &Beacon([5; 32]), &audit)
                            .is_ok()
                    );
                }
                let tensor = input.0 as usize;
                let refused = Err(TraceInvalid::UncleanTensor { tensor }.into());
                assert_eq!(full(&checker, &forged, trace), refused);
                count += 1;
            }
        }
    }
    assert_eq!(count, 4 + 6 + 6 + 8, "ids and lengths, two kinds of images, states and lengths");
}

#[test]
fn no_clean_input_is_convicted() {
    for trace in traces() {
        let checker = checker(trace);
        let program = trace.network().program();
        let own = trace.value(ValueId(0)).unwrap().bytes().to_vec();
        let honest = Forged::new(trace, ValueId(0), own);
        for input in (0..program.inputs().len() as u32).map(ValueId) {
            let strips = trace.value(input).unwrap().extent().padded_rows() / 32;
            for strip in 0..strips {
                let proof = honest.input_strip(input, strip);
                let tile = u64::from(strip) + 1;
                let right = TraceInvalid::NoFraud { value: input, tile };
                assert_eq!(checker.check_fraud(&trace.root(), &proof), Err(right.into()));
            }
            // Strips beyond the last, up to the largest number.
            for tile in [u64::from(strips) + 1, 1 << 27, 1 << 32, u64::MAX] {
                let mut proof = honest.input_strip(input, 0);
                let at = poai_core::trace::TraceHeader::LEN + 4;
                proof[at..at + 8].copy_from_slice(&tile.to_le_bytes());
                let none = TraceMalformed::Tile { value: input, tile };
                assert_eq!(checker.check_fraud(&trace.root(), &proof), Err(none.into()));
            }
        }
    }
}

#[test]
fn a_record_that_lies_is_no_unclean_input() {
    let trace = &traces()[1];
    let input = ValueId(0);
    let mut bytes = trace.value(input).unwrap().bytes().to_vec();
    *bytes.last_mut().unwrap() = 1;
    let strip = trace.value(input).unwrap().extent().padded_rows() / 32 - 1;
    // An input has no MACs. MACs there are a fraud that another message shows.
    let forged = Forged::new(trace, input, bytes).with_records(|records| records[0].macs = 1);
    let error = checker(trace).check_fraud(&forged.root(), &forged.input_strip(input, strip));
    assert!(matches!(error, Err(TraceError::Invalid(TraceInvalid::Record(_)))), "{error:?}");
    let fraud = checker(trace).check_fraud(&forged.root(), &forged.input_proof(input)).unwrap();
    assert!(matches!(fraud.wrong, Wrong::Record(TraceInvalid::Record(_))), "{fraud:?}");
}
