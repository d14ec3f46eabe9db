//! Messages about traces, altered anywhere: audits hold as they were alone, and
//! nobody is convicted by an altered fraud proof.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_core::trace::{Receipt, TraceHeader};
use poai_core::{Program, TraceRoot};
use poai_verify::trace::{Checker, TraceRules};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../test_vectors/messages/v1/", $name))
    };
}

#[derive(Arbitrary, Debug)]
enum Message {
    Audit,
    Linear,
    Embed,
    Input,
    Record,
    /// Against the honest trace, bytes of the fuzzer's own.
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    message: Message,
    bits: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
}

fn root(text: &str) -> TraceRoot {
    text.parse().unwrap()
}

fuzz_target!(|input: Input| {
    let rules = TraceRules { batch_max: 64, sequence_max: 64, samples: 3 };
    let program = Program::decode(fixture!("encoder.program")).unwrap();
    let checker = Checker::new(program, rules);
    let honest = root("483b152689b4331c3627b00d192eb8ced7625765d7e31f74422788b19bcabc25");
    let (bytes, trace): (&[u8], _) = match &input.message {
        Message::Audit => (fixture!("honest.audit"), honest),
        Message::Linear => (
            fixture!("linear-tile.fraud"),
            root("25f89738d1bd16046111d544a188c4f773abc1034c9b3de12b45a4d47a919580"),
        ),
        Message::Embed => (
            fixture!("embed-tile.fraud"),
            root("74281978cc4832d7962ed04cb581fa4e8379a5dde71e0eb313e9e64b2ba56124"),
        ),
        Message::Input => (
            fixture!("header-input.fraud"),
            root("dd3e4cc715b2a2979e8ff24e152d91339bc6c74f4191306d31b746ff94a9b0dd"),
        ),
        Message::Record => (
            fixture!("record-wiring.fraud"),
            root("4d2d581465191637a03a062e69a4f9c1ad422aaf7be2027f9a4d429ec34723b8"),
        ),
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
    let same = altered == bytes && !matches!(input.message, Message::Bytes(_));

    let audit = checker.audit(&trace, &[0x51; 32], &altered);
    let fraud = checker.fraud(&trace, &altered);
    match input.message {
        Message::Audit => assert_eq!((audit.is_ok(), fraud.is_ok()), (same, false)),
        Message::Bytes(_) => assert!(audit.is_err() && fraud.is_err(), "an honest trace convicted"),
        _ => assert_eq!((audit.is_ok(), fraud.is_ok()), (false, same)),
    }
    if let Some(header) = TraceHeader::decode(&altered) {
        assert_eq!(header.encode().as_slice(), altered);
    }
    if let Some(receipt) = Receipt::decode(&altered) {
        assert_eq!(receipt.encode().as_slice(), altered);
    }
});
