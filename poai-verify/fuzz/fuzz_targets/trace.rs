//! Alters messages about traces anywhere. Audits and answers hold only
//! unaltered, and an altered fraud proof convicts no trace.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_core::trace::{Demand, Receipt, TraceHeader, TraceRules};
use poai_core::{Beacon, Program};
use poai_testing::traces::CheckBytes;
use poai_verify::trace::{Answered, Checker};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../test_vectors/messages/v2/", $name))
    };
}

#[derive(Arbitrary, Debug)]
enum Message {
    Audit,
    Answer,
    Convicting,
    Linear,
    Embed,
    Input,
    Record,
    /// Checks the fuzzer's own bytes against the honest trace.
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    message: Message,
    bits: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
    /// The fuzzer's own demand about the honest trace.
    demand: (u32, u64),
}

/// The rules of the fixtures.
const RULES: TraceRules = TraceRules {
    batch_max: 64,
    sequence_max: 64,
    product_samples: 2,
    step_samples: 2,
    output_tiles: 1,
    ..TraceRules::DEFAULT
};

fn header(message: &[u8]) -> TraceHeader {
    TraceHeader::from_bytes(&message[..TraceHeader::LEN]).unwrap()
}

fuzz_target!(|input: Input| {
    let checker = Checker::new(Program::from_bytes(fixture!("encoder.program")).unwrap(), RULES);
    let receipt = Receipt::from_bytes(fixture!("encoder.receipt")).unwrap();
    let honest = header(fixture!("honest.audit"));
    let bytes: &[u8] = match &input.message {
        Message::Audit => fixture!("honest.audit"),
        Message::Answer => fixture!("tile.answer"),
        Message::Convicting => fixture!("convicting.answer"),
        Message::Linear => fixture!("linear-tile.fraud"),
        Message::Embed => fixture!("embed-tile.fraud"),
        Message::Input => fixture!("header-input.fraud"),
        Message::Record => fixture!("record-wiring.fraud"),
        Message::Bytes(bytes) => bytes,
    };
    let trace = match input.message {
        Message::Bytes(_) => honest.root(),
        _ => header(bytes).root(),
    };
    let mut altered = bytes.to_vec();
    for (at, mask) in &input.bits {
        if let Some(byte) = altered.get_mut(usize::from(*at)) {
            *byte ^= mask;
        }
    }
    altered.truncate(input.cut.map_or(altered.len(), usize::from));
    altered.extend(&input.add);
    let same = altered == bytes && !matches!(input.message, Message::Bytes(_));

    let beacon = Beacon([0x51; 32]);
    let audit = checker.check_audit(&receipt, &beacon, &altered);
    let fraud = checker.check_fraud(&trace, &altered);
    let (of, demanded): (&[u8], &[u8]) = match &input.message {
        Message::Convicting => (fixture!("faulty.receipt"), fixture!("faulty.demand")),
        _ => (fixture!("encoder.receipt"), fixture!("tile.demand")),
    };
    let (of, demanded) = (Receipt::from_bytes(of).unwrap(), Demand::from_bytes(demanded).unwrap());
    let answer = checker.check_answer(&of, &demanded, &altered);
    let right = answer == Ok(Answered::Right);
    let convicted = matches!(answer, Ok(Answered::Fraud(_)));
    match input.message {
        Message::Audit => {
            assert_eq!((audit.is_ok(), fraud.is_ok(), answer.is_ok()), (same, false, false));
        }
        Message::Answer => assert_eq!((fraud.is_ok(), right, convicted), (false, same, false)),
        Message::Convicting => assert_eq!((fraud.is_ok(), right, convicted), (same, false, same)),
        Message::Bytes(bytes) if altered == fixture!("tile.answer") => drop(bytes),
        Message::Bytes(_) => {
            assert!(audit.is_err() && fraud.is_err(), "an honest trace convicted");
            assert!(answer.is_err(), "an answer out of nothing");
        }
        _ => assert_eq!((audit.is_ok(), fraud.is_ok()), (false, same)),
    }
    // For every demanded tile the answer has a bound, or the tile does not
    // exist.
    let (value, tile) = input.demand;
    let value = poai_core::program::ValueId(value);
    let demand = Demand { receipt: receipt.digest(), value, tile };
    let _ = checker.demand(&receipt, &honest, &demand);
    if let Ok(header) = TraceHeader::from_bytes(&altered) {
        assert_eq!(header.to_bytes().as_slice(), altered);
    }
    if let Ok(receipt) = Receipt::from_bytes(&altered) {
        assert_eq!(receipt.to_bytes().as_slice(), altered);
    }
    if let Ok(demand) = Demand::from_bytes(&altered) {
        assert_eq!(demand.to_bytes().as_slice(), altered);
    }
});
