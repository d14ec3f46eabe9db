//! A challenger that received a trace proves its first lie of any kind, and
//! finds no lie in an honest trace.

use poai_core::Root;
use poai_core::program::{Dtype, Op, RunShape, ValueId};
use poai_core::trace::{Record, RecordBytes, TraceHeader, record};
use poai_engine::execute::{Published, ReceivedError, TensorBytes, Trace};
use poai_testing::forge::Forged;
use poai_testing::traces::{checker, traces};
use poai_verify::trace::{Fraud, TraceInvalid, Wrong};
use proptest::prelude::*;
use std::sync::Arc;

fn published(trace: &Trace, forged: &Forged) -> Result<Published, ReceivedError> {
    let network = Arc::new(trace.network().clone());
    Published::new(network, forged.header, records(forged))
}

fn received(trace: &Trace, forged: &Forged) -> Result<Trace, ReceivedError> {
    published(trace, forged)?.with_tensors(forged.values.iter().cloned().map(TensorBytes).collect())
}

fn records(forged: &Forged) -> Vec<RecordBytes> {
    forged.records.iter().map(|record| RecordBytes(record.to_bytes())).collect()
}

fn found(trace: &Trace, forged: &Forged) -> Option<Fraud> {
    let proof = match received(trace, forged) {
        Err(ReceivedError::Fraud(proof)) => *proof,
        received => {
            let received = received.unwrap();
            assert_eq!(received.root(), forged.root());
            received.find_fraud().unwrap()?
        }
    };
    Some(checker(trace).fraud(&forged.root(), &proof).unwrap())
}

fn honest(trace: &Trace) -> Forged {
    let value = ValueId(0);
    Forged::new(trace, value, trace.value(value).unwrap().bytes().to_vec())
}

#[test]
fn an_honest_trace_has_no_fraud() {
    for trace in traces() {
        assert_eq!(trace.find_fraud().unwrap(), None);
        assert_eq!(found(trace, &honest(trace)), None);
    }
}

#[test]
fn lies_in_records_and_header_are_proven() {
    for trace in traces() {
        let program = trace.network().program();
        let inputs = program.inputs().len() as u32;
        for value in 0..program.values() as u32 {
            let index = value as usize;
            let macs = honest(trace).with_records(|records| records[index].macs ^= 1);
            let rows = honest(trace).with_records(|records| records[index].extent.rows += 1);
            for forged in [macs, rows] {
                let fraud = found(trace, &forged).unwrap();
                assert!(matches!(fraud.wrong, Wrong::Record(_)), "{value}: {fraud:?}");
            }
            if value >= inputs {
                let wiring =
                    honest(trace).with_records(|records| records[index].inputs[0].0[0] ^= 1);
                let fraud = found(trace, &wiring).unwrap();
                assert!(matches!(fraud.wrong, Wrong::Record(_)), "{value}: {fraud:?}");
                assert_eq!(fraud.value, ValueId(value));
            }
        }
        let mut input = honest(trace);
        input.header.input = Root([1; 32]);
        let fraud = found(trace, &input).unwrap();
        assert_eq!(fraud.wrong, Wrong::Header(TraceInvalid::Input));
        let mut output = honest(trace);
        output.header.output = Root([1; 32]);
        let fraud = found(trace, &output).unwrap();
        assert_eq!(fraud.wrong, Wrong::Record(TraceInvalid::Output));
        let mut macs = honest(trace);
        macs.header.macs += 1;
        let fraud = found(trace, &macs).unwrap();
        assert!(matches!(fraud.wrong, Wrong::Header(TraceInvalid::Macs { .. })));
    }
}

fn root_of(record: &[u8]) -> Root {
    Root(record[Record::ROOT].try_into().unwrap())
}

/// Records that do not decode, or have other lengths. The challenger convicts
/// them if an audit could hold them, and refuses them otherwise.
#[test]
fn records_that_are_none_are_proven_or_refused() {
    for trace in traces() {
        let mut all: Vec<RecordBytes> = trace.records().to_vec();
        let header_of = |all: &[RecordBytes]| {
            let leaves: Vec<_> = all.iter().map(|record| Record::leaf(&record.0)).collect();
            TraceHeader { records: record::records_root(&leaves), ..trace.header() }
        };
        let network = Arc::new(trace.network().clone());
        // A type that does not exist.
        all[3].0[44] = 3;
        let header = header_of(&all);
        let received = Published::new(network.clone(), header, all.clone()).unwrap_err();
        let ReceivedError::Fraud(proof) = received else { panic!("{received}") };
        let fraud = checker(trace).fraud(&header.root(), &proof).unwrap();
        assert!(matches!(fraud.wrong, Wrong::Record(TraceInvalid::Record(_))), "{fraud:?}");
        // One input more, and one less.
        for (value, cut) in [(2, 0), (3, 32)] {
            let mut all = trace.records().to_vec();
            match cut {
                0 => all[value].0.extend([3; 32]),
                cut => drop(all[value].0.drain(54 - cut..54)),
            }
            let received = Published::new(network.clone(), header_of(&all), all);
            let value = ValueId(value as u32);
            assert_eq!(received.map(drop), Err(ReceivedError::Record { value }));
        }
    }
}

/// The same bytes, claimed to be of fewer items: the input root differs.
#[test]
fn another_run_is_another_input_root() {
    let trace = &traces()[0];
    let run = *trace.run();
    let roots: Vec<Root> = trace.records()[..2].iter().map(|record| root_of(&record.0)).collect();
    let root = |run: &RunShape| poai_core::trace::header::input_root(run, &roots);
    assert_eq!(root(&run), trace.header().input);
    assert_ne!(root(&RunShape::new(run.sequence, run.batch)), root(&run));
    assert_ne!(root(&RunShape { batch: run.batch - 1, ..run }), root(&run));
}

/// Ids and lengths that no run accepts: the steps that read them are wrong.
#[test]
fn entries_that_name_nothing_are_proven() {
    let trace = &traces()[0];
    for (input, entry) in [(0, -1i32), (0, 300), (0, i32::MAX), (1, 0), (1, -1), (1, 41)] {
        let value = ValueId(input);
        let mut bytes = trace.value(value).unwrap().bytes().to_vec();
        bytes[..4].copy_from_slice(&entry.to_le_bytes());
        let fraud = found(trace, &Forged::new(trace, value, bytes)).unwrap();
        let Wrong::Tile(TraceInvalid::Step { .. }) = fraud.wrong else {
            panic!("{input}, {entry}: {fraud:?}");
        };
        let op = &trace.network().program().step_of(fraud.value).unwrap().op;
        assert!(matches!(op, Op::Embed { .. } | Op::AttentionWeights { .. }), "{op:?}");
    }
}

#[test]
fn what_is_not_the_traces_is_refused() {
    let trace = &traces()[1];
    let of = |change: fn(&mut Forged)| {
        let mut forged = honest(trace);
        change(&mut forged);
        received(trace, &forged).map(drop)
    };
    assert_eq!(of(|_| ()), Ok(()));
    assert_eq!(of(|forged| forged.header.program.0[0] ^= 1), Err(ReceivedError::Program));
    assert_eq!(of(|forged| forged.header.records[0] ^= 1), Err(ReceivedError::Records));
    let value = ValueId(3);
    assert_eq!(of(|forged| forged.values[3][0] ^= 1), Err(ReceivedError::Root { value }));
    assert!(matches!(
        of(|forged| forged.values[3].truncate(1)),
        Err(ReceivedError::Length { value: ValueId(3), .. })
    ));
    assert!(matches!(
        of(|forged| drop(forged.values.pop())),
        Err(ReceivedError::Count { what: "tensors", .. })
    ));
    assert!(matches!(
        of(|forged| drop(forged.records.pop())),
        Err(ReceivedError::Count { what: "records", .. })
    ));
    assert!(matches!(of(|forged| forged.header.run.batch = 0), Err(ReceivedError::Run(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any byte of any value. A wrong byte of a step is that step's lie. A
    /// wrong byte of an input is the lie of a step that reads it, or of the
    /// party that committed to it.
    #[test]
    fn any_wrong_byte_is_proven(
        which in 0..4usize, value in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        mask in 1..=255u8,
    ) {
        let trace = &traces()[which];
        let value = ValueId(value.index(trace.network().program().values()) as u32);
        let tensor = trace.value(value).unwrap();
        let mut bytes = tensor.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        let forged = Forged::new(trace, value, bytes);
        match found(trace, &forged) {
            Some(fraud) => prop_assert!(fraud.value >= value),
            // Another input that is also honest: the step that reads it has the
            // same result.
            None => {
                let clean = tensor.extent().is_clean(0, &forged.values[value.0 as usize]);
                let input = (value.0 as usize) < trace.network().program().inputs().len();
                prop_assert!(input && clean && tensor.extent().dtype == Dtype::I8);
            }
        }
    }
}
