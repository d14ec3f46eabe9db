//! Alters messages about training runs anywhere. Audits and answers hold only
//! unaltered, and an altered fraud proof convicts no segment.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_core::Beacon;
use poai_core::Program;
use poai_core::program::ValueId;
use poai_core::training_run::Demanded;
use poai_testing::training_runs::{BEACON, RULES};
use poai_verify::trace::Checker;
use poai_verify::train::{
    DatasetRoots, Export, IterationClaim, RunChecker, RunParameters, Segment, TrainedRun,
    TrainingAnswer, TrainingAnswered, TrainingAudit, TrainingDemand, TrainingFraud,
    TrainingReceipt,
};
use std::sync::OnceLock;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../test_vectors/runs/v1/", $name))
    };
}

#[derive(Arbitrary, Debug)]
enum Message {
    Audit,
    Records,
    Tile,
    Number,
    Link,
    Header,
    Inputs,
    Outputs,
    Order,
    Update,
    /// Checks the fuzzer's own bytes against the honest segment.
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    message: Message,
    bits: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
    /// The fuzzer's own demand about the honest segment.
    demand: (u64, u32, u64),
}

/// The checker of the fixtures' run.
fn checker() -> &'static RunChecker {
    static CHECKER: OnceLock<RunChecker> = OnceLock::new();
    CHECKER.get_or_init(|| {
        let program = Program::from_bytes(fixture!("iteration.program")).unwrap();
        let parameters = RunParameters::from_bytes(fixture!("job.parameters")).unwrap();
        let manifest: serde_json::Value =
            serde_json::from_slice(fixture!("manifest.json")).unwrap();
        let dataset: DatasetRoots = serde_json::from_value(manifest[0]["dataset"].clone()).unwrap();
        let checker = Checker::new(program, RULES.trace);
        RunChecker::new(checker, parameters, dataset, &BEACON, 1).unwrap()
    })
}

fn segment(bytes: &[u8]) -> Segment {
    Segment::from_bytes(bytes).unwrap()
}

/// What a message of one length reads is what it was read from.
macro_rules! round_trip {
    ($bytes:expr, $($name:ident),+) => {
        $(if let Ok(read) = $name::from_bytes($bytes) {
            assert_eq!(read.to_bytes().as_slice(), $bytes);
        })+
    };
}

fuzz_target!(|input: Input| {
    let checker = checker();
    let honest = segment(fixture!("first.segment"));
    let (bytes, of): (&[u8], Segment) = match &input.message {
        Message::Audit => (fixture!("honest.audit"), honest),
        Message::Records => (fixture!("records.answer"), honest),
        Message::Tile => (fixture!("tile.answer"), honest),
        Message::Number => (fixture!("number.fraud"), segment(fixture!("swapped.segment"))),
        Message::Link => (fixture!("link.fraud"), segment(fixture!("links.segment"))),
        Message::Header => (fixture!("header.fraud"), segment(fixture!("more-macs.segment"))),
        Message::Inputs => (fixture!("inputs.fraud"), segment(fixture!("copied.segment"))),
        Message::Outputs => (fixture!("outputs.fraud"), segment(fixture!("other-state.segment"))),
        Message::Order => (fixture!("order.fraud"), segment(fixture!("order.segment"))),
        Message::Update => (fixture!("update.fraud"), segment(fixture!("update.segment"))),
        Message::Bytes(bytes) => (bytes, honest),
    };
    let mut altered = bytes.to_vec();
    for (at, mask) in &input.bits {
        if let Some(byte) = altered.get_mut(usize::from(*at)) {
            *byte ^= mask;
        }
    }
    altered.truncate(input.cut.map_or(altered.len(), usize::from));
    altered.extend(&input.add);
    let same = altered == bytes;

    let audit = TrainingAudit::from_bytes(&altered)
        .is_ok_and(|audit| checker.audit(&of, &Beacon([0x51; 32]), &audit).is_ok());
    let fraud =
        TrainingFraud::from_bytes(&altered).is_ok_and(|proof| checker.fraud(&of, &proof).is_ok());
    let answered = |demand: &[u8]| {
        let demand = TrainingDemand::from_bytes(demand).unwrap();
        let answer = TrainingAnswer::from_bytes(&altered).ok()?;
        checker.answer(&honest, &demand, &answer).ok()
    };
    let records = answered(fixture!("records.demand"));
    let tile = answered(fixture!("tile.demand"));
    assert!(!matches!(records, Some(TrainingAnswered::Convicted(_))), "an honest run convicted");
    assert!(!matches!(tile, Some(TrainingAnswered::Convicted(_))), "an honest run convicted");
    let found = (audit, records.is_some(), tile.is_some(), fraud);
    match input.message {
        Message::Audit => assert_eq!(found, (same, false, false, false)),
        Message::Records => assert_eq!(found, (false, same, false, false)),
        Message::Tile => assert_eq!(found, (false, false, same, false)),
        Message::Bytes(_) => assert!(!fraud, "an honest run convicted"),
        _ => assert_eq!(found, (false, false, false, same)),
    }
    // For everything demanded the answer has a bound, or it does not exist.
    let (place, value, tile) = input.demand;
    let root = honest.root(checker.parameters());
    for what in [Demanded::Records, Demanded::Tile { value: ValueId(value), tile }] {
        let _ = checker.demand(&honest, &TrainingDemand { segment: root, place, what });
    }
    let altered = altered.as_slice();
    round_trip!(
        altered,
        RunParameters,
        Segment,
        TrainedRun,
        TrainingReceipt,
        Export,
        TrainingDemand,
        TrainingAudit,
        TrainingFraud,
        TrainingAnswer
    );
    if let Ok(claims) = IterationClaim::list_from_bytes(altered) {
        assert_eq!(IterationClaim::list_to_bytes(&claims), altered);
        assert_eq!(checker.claims(&honest, &claims).is_ok(), altered == fixture!("first.claims"));
    }
});
