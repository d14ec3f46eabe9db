//! Tests that every public data type survives serde, human-readable and binary.
use poai_core::puzzle::commitment::Opening;
use poai_core::puzzle::seeds::Seeds;
use poai_core::*;
use poai_engine::backend::Winner;
use poai_engine::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> Value {
    let text = serde_json::to_value(value).unwrap();
    assert_eq!(&serde_json::from_value::<T>(text.clone()).unwrap(), value, "JSON");
    let bytes = postcard::to_allocvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value, "postcard");
    text
}

fn proof() -> Proof {
    Proof {
        statement: Statement {
            shape: Shape { m: 64, n: 32, k: 1024 },
            root_a: Root([0xab; 32]),
            root_b: Root([1; 32]),
        },
        tile: Tile { row: 1, column: 0 },
        transcript: Transcript([7; 16]),
        opening_a: Opening { bytes: vec![0, 255, 16], siblings: vec![[2; 32], [3; 32]] },
        opening_b: Opening { bytes: vec![], siblings: vec![] },
    }
}

#[test]
fn bytes_are_hex_for_people_and_bytes_for_machines() {
    let text = round_trip(&proof());
    assert_eq!(text["statement"]["root_a"], "ab".repeat(32));
    assert_eq!(text["opening_a"]["bytes"], "00ff10");
    assert_eq!(text["opening_a"]["siblings"][1], "03".repeat(32));
    assert_eq!(text["tile"], json!({ "row": 1, "column": 0 }));
    let binary = postcard::to_allocvec(&Root([0xab; 32])).unwrap();
    assert!(binary.len() <= 33, "32 bytes and at most a length");
}

#[test]
fn all_data_types() {
    round_trip(&Challenge([1; 32]));
    round_trip(&RulesDigest([8; 32]));
    round_trip(&proof().view().header());
    round_trip(&Ticket([2; 32]));
    round_trip(&Seeds { a: Seed([3; 32]), b: Seed([4; 32]) });
    round_trip(&Params::CONSENSUS);
    round_trip(&Side::A);
    round_trip(&poai_core::puzzle::statement::Dimension::K);
    round_trip(&Difficulty::BLOCK_MIN.target(&Params::CONSENSUS, 4096));
    let winner = Winner {
        tile: Tile { row: 3, column: 4 },
        transcript: Transcript([5; 16]),
        ticket: Ticket([6; 32]),
    };
    round_trip(&winner);
    round_trip(&Keep::UpTo(3));
    let (send, progress) = std::sync::mpsc::channel();
    Control::new().progress(move |progress| send.send(progress).unwrap()).report(1, 2);
    round_trip(&progress.recv().unwrap());
    let large = Difficulty::new(u128::MAX).unwrap();
    assert_eq!(round_trip(&large), json!(u128::MAX.to_string()));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |value: Value| serde_json::from_value::<Params>(value).unwrap_err().to_string();
    assert!(refused(json!({ "rank": 100, "tile": 32 })).contains("got rank 100"));
    assert!(serde_json::from_value::<Difficulty>(json!("0")).is_err());
    let good = "ab".repeat(32);
    assert_eq!(serde_json::from_value::<Root>(json!(good)).unwrap(), Root([0xab; 32]));
    for bad in ["", "ab", &good[2..], &good[1..], &format!("{good}ab"), &"zz".repeat(32)] {
        assert!(serde_json::from_value::<Root>(json!(bad)).is_err(), "{bad:?}");
        assert!(bad.parse::<Root>().is_err(), "{bad:?}");
    }
    assert!(
        serde_json::from_value::<Difficulty>(json!(5)).is_err(),
        "a number may have lost digits"
    );
}

/// Operands are checked again when they are deserialised.
#[test]
fn operands_and_their_helpers() {
    use poai_engine::operand::{Padded, Split, pseudorandom};
    let p = Params::CONSENSUS;
    let (a, bt) = (pseudorandom(b"a", 64, 256), pseudorandom(b"b", 32, 256));
    let operands = Operands::new(&p, a, bt).unwrap();
    round_trip(operands.a());
    let mut text = round_trip(&operands);
    round_trip(&Padded::new(&p, pseudorandom(b"a", 5, 200), pseudorandom(b"b", 3, 200)).unwrap());
    round_trip(
        &Split::new(&p, pseudorandom(b"a", 2, 20_000), pseudorandom(b"b", 3, 20_000)).unwrap(),
    );
    round_trip(&backend::Completion::Stopped);

    let refused =
        |text: &Value| serde_json::from_value::<Operands>(text.clone()).unwrap_err().to_string();
    let good = text.clone();
    text["a"]["entries"] = json!("7f".repeat(64 * 256));
    assert!(refused(&text).contains("got 127 at [0, 0]"), "{}", refused(&text));
    text = good.clone();
    text["a"]["rows"] = json!(65);
    assert!(!refused(&text).is_empty());
    text = good.clone();
    text["a"]["side"] = json!("B");
    assert!(refused(&text).contains("sides A and B"));
    text = good.clone();
    text["bt"] = good["a"].clone();
    assert!(refused(&text).contains("sides A and B"));
}
