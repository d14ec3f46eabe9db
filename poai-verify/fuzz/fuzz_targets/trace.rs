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
        include_bytes!(concat!("../../../test_vectors/messages/", $name))
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
    /// Messages about a program that lists its outputs.
    OutputsAudit,
    OutputsAnswer,
    OutputsOrder,
    OutputsRecord,
    OutputsTile,
    /// Messages about a run with answers.
    AnswersAudit,
    AnswersAnswer,
    AnswersTail,
    AnswersSample,
    /// Checks the fuzzer's own bytes against one of the honest traces.
    Bytes(Vec<u8>, u8),
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
    TraceHeader::from_bytes(&message[..TraceHeader::len_at(message)]).unwrap()
}

/// An honest trace: its program, receipt, audit, and a demand with its answer.
struct Honest {
    program: &'static [u8],
    receipt: &'static [u8],
    audit: &'static [u8],
    demand: &'static [u8],
    answer: &'static [u8],
}

const ENCODER: Honest = Honest {
    program: fixture!("v2/encoder.program"),
    receipt: fixture!("v2/encoder.receipt"),
    audit: fixture!("v2/honest.audit"),
    demand: fixture!("v2/tile.demand"),
    answer: fixture!("v2/tile.answer"),
};

const TRAINING: Honest = Honest {
    program: fixture!("v2-outputs/training.program"),
    receipt: fixture!("v2-outputs/training.receipt"),
    audit: fixture!("v2-outputs/training.audit"),
    demand: fixture!("v2-outputs/outputs.demand"),
    answer: fixture!("v2-outputs/outputs.answer"),
};

const ANSWERING: Honest = Honest {
    program: fixture!("v2-answers/answering.program"),
    receipt: fixture!("v2-answers/answering.receipt"),
    audit: fixture!("v2-answers/answering.audit"),
    demand: fixture!("v2-answers/tail.demand"),
    answer: fixture!("v2-answers/tail.answer"),
};

impl Message {
    /// The honest trace that the message is checked against, or of whose program
    /// it convicts another.
    fn honest(&self) -> &'static Honest {
        match self {
            Message::OutputsAudit
            | Message::OutputsAnswer
            | Message::OutputsOrder
            | Message::OutputsRecord
            | Message::OutputsTile
            | Message::Bytes(_, 1) => &TRAINING,
            Message::AnswersAudit
            | Message::AnswersAnswer
            | Message::AnswersTail
            | Message::AnswersSample
            | Message::Bytes(_, 2) => &ANSWERING,
            _ => &ENCODER,
        }
    }
}

fuzz_target!(|input: Input| {
    let of = input.message.honest();
    let checker = Checker::new(Program::from_bytes(of.program).unwrap(), RULES);
    let receipt = Receipt::from_bytes(of.receipt).unwrap();
    let honest = header(of.audit);
    let bytes: &[u8] = match &input.message {
        Message::Audit | Message::OutputsAudit | Message::AnswersAudit => of.audit,
        Message::Answer | Message::OutputsAnswer | Message::AnswersAnswer => of.answer,
        Message::Convicting => fixture!("v2/convicting.answer"),
        Message::Linear => fixture!("v2/linear-tile.fraud"),
        Message::Embed => fixture!("v2/embed-tile.fraud"),
        Message::Input => fixture!("v2/header-input.fraud"),
        Message::Record => fixture!("v2/record-wiring.fraud"),
        Message::OutputsOrder => fixture!("v2-outputs/wrong-order.fraud"),
        Message::OutputsRecord => fixture!("v2-outputs/output-record.fraud"),
        Message::OutputsTile => fixture!("v2-outputs/descend-tile.fraud"),
        Message::AnswersTail => fixture!("v2-answers/tail-tile.fraud"),
        Message::AnswersSample => fixture!("v2-answers/sample-tile.fraud"),
        Message::Bytes(bytes, _) => bytes,
    };
    let trace = match input.message {
        Message::Bytes(..) => honest.root(),
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
    let same = altered == bytes && !matches!(input.message, Message::Bytes(..));

    let beacon = Beacon([0x51; 32]);
    let audit = checker.check_audit(&receipt, &beacon, &altered);
    let fraud = checker.check_fraud(&trace, &altered);
    let (asked, demanded): (&[u8], &[u8]) = match &input.message {
        Message::Convicting => (fixture!("v2/faulty.receipt"), fixture!("v2/faulty.demand")),
        _ => (of.receipt, of.demand),
    };
    let asked = Receipt::from_bytes(asked).unwrap();
    let demanded = Demand::from_bytes(demanded).unwrap();
    let answer = checker.check_answer(&asked, &demanded, &altered);
    let right = answer == Ok(Answered::Right);
    let convicted = matches!(answer, Ok(Answered::Fraud(_)));
    match input.message {
        Message::Audit | Message::OutputsAudit | Message::AnswersAudit => {
            assert_eq!((audit.is_ok(), fraud.is_ok(), answer.is_ok()), (same, false, false));
        }
        Message::Answer | Message::OutputsAnswer | Message::AnswersAnswer => {
            assert_eq!((fraud.is_ok(), right, convicted), (false, same, false));
        }
        Message::Convicting => assert_eq!((fraud.is_ok(), right, convicted), (same, false, same)),
        Message::Bytes(bytes, _) if altered == of.answer => drop(bytes),
        Message::Bytes(..) => {
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
