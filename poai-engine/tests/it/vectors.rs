//! Checks every value of the vector file on every backend that supports the
//! case.
//!
//! An independent implementation made the file. To check another
//! implementation, set `POAI_VECTORS` to the path of its file.

use poai_core::puzzle::proof::strip;
use poai_core::puzzle::seeds::Seeds;
use poai_core::*;
use poai_engine::backend::Backend;
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_engine::operand::{pseudorandom, test_challenge};
use poai_engine::*;
use poai_testing::tester::{Case, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn hex32<T: From<[u8; 32]>>(value: &Value) -> T {
    let mut bytes = [0; 32];
    hex::decode_to_slice(value.as_str().expect("hex text"), &mut bytes).expect("64 hex digits");
    T::from(bytes)
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().expect("a number")).expect("32 bits")
}

fn ints_digest(entries: &[i32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    entries.iter().for_each(|entry| _ = hasher.update(&entry.to_le_bytes()));
    *hasher.finalize().as_bytes()
}

fn bytes_digest(entries: &[i8]) -> [u8; 32] {
    let bytes: Vec<u8> = entries.iter().map(|&entry| entry as u8).collect();
    *blake3::hash(&bytes).as_bytes()
}

/// The puzzle of one case, built from its tag.
struct Puzzle {
    name: String,
    case: Case,
    statement: Statement,
}

impl Puzzle {
    fn new(value: &Value) -> Puzzle {
        let name = value["tag"].as_str().expect("a tag").to_owned();
        let tag = hex::decode(&name).expect("hex");
        let params =
            Params::new(number(&value["rank"]) as u16, number(&value["tile"]) as u16).unwrap();
        let [m, n, k] = ["m", "n", "k"].map(|key| number(&value[key]));
        let operand =
            |suffix: &[u8], rows| pseudorandom(&[&tag, suffix].concat(), rows as usize, k as usize);
        let statement = Statement {
            shape: Shape { m, n, k },
            root_a: hex32(&value["root_a"]),
            root_b: hex32(&value["root_b"]),
        };
        let (a, bt) = (operand(b"/a", m), operand(b"/b", n));
        let case = Case { params, a, bt, challenge: test_challenge(&tag) };
        Puzzle { name, case, statement }
    }
}

/// Checks commitments, seeds and the openings behind the proof bytes, by the
/// fast path and the reference.
fn check_protocol(value: &Value, puzzle: &Puzzle) {
    let Puzzle { name, case, statement } = puzzle;
    let params = &case.params;
    assert_eq!(case.challenge, hex32(&value["challenge"]), "challenge of {name}");
    let operands = Operands::new(params, case.a.clone(), case.bt.clone()).unwrap();
    assert_eq!(operands.shape(), statement.shape);
    for (operand, root) in [(operands.a(), &statement.root_a), (operands.bt(), &statement.root_b)] {
        assert_eq!(
            poai_core::puzzle::commitment::Tree::new(operand.as_bytes()).root(),
            root,
            "root of {name}"
        );
        assert_eq!(reference::root(&PlainMatrix::of(operand)), *root);
        if operand.as_bytes().len() > 1024 {
            assert_eq!(reference::root_from_chunks(&PlainMatrix::of(operand)), *root);
        }
    }
    let seeds = Seeds::derive(params, &case.challenge, statement);
    assert_eq!(
        (seeds.a, seeds.b),
        (hex32(&value["seed_a"]), hex32(&value["seed_b"])),
        "seeds of {name}"
    );
    assert_eq!(reference::seeds(params, &case.challenge, statement), (seeds.b, seeds.a));
}

/// Checks everything that a backend computes.
fn check_backend(value: &Value, puzzle: &Puzzle, backend: &dyn Backend) {
    let context = format!("{} on {}", puzzle.name, backend.name());
    let result = run(backend, &puzzle.case);
    assert_eq!(bytes_digest(&result.noised_a), hex32::<[u8; 32]>(&value["noised_a"]), "{context}");
    assert_eq!(
        bytes_digest(&result.noised_bt),
        hex32::<[u8; 32]>(&value["noised_bt"]),
        "{context}"
    );
    assert_eq!(
        ints_digest(&result.noised_product),
        hex32::<[u8; 32]>(&value["noised_product"]),
        "{context}"
    );
    assert_eq!(ints_digest(&result.product), hex32::<[u8; 32]>(&value["product"]), "{context}");
    let rows = value["tickets"].as_array().expect("rows of tickets").iter();
    let rows =
        rows.map(|row| row.as_array().expect("a row of tickets").iter().map(hex32).collect());
    let expected: Vec<Vec<Ticket>> = rows.collect();
    let (_, columns) = puzzle.statement.shape.tiles(&puzzle.case.params);
    let got: Vec<Vec<Ticket>> = result
        .tickets
        .chunks(columns as usize)
        .map(|row| row.iter().map(|winner| winner.ticket).collect())
        .collect();
    assert_eq!(got, expected, "tickets of {context}");
}

/// Checks the best ticket that a miner finds, and its proof.
fn check_best(value: &Value, puzzle: &Puzzle, backend: std::sync::Arc<dyn Backend>) {
    let Puzzle { name, case, statement } = puzzle;
    let params = &case.params;
    let best = &value["best"];
    let operands = Operands::new(params, case.a.clone(), case.bt.clone()).unwrap();
    let miner = Miner::with_params(*params, backend).unwrap();
    let bt = miner.prepare(operands.bt().clone()).unwrap();
    let a = miner.prepare(operands.a().clone()).unwrap();
    let round = miner.round(&case.challenge, &bt).unwrap();

    let edge: Difficulty = best["largest_winning_difficulty"].as_str().unwrap().parse().unwrap();
    let mined = round.mine(&a, edge).unwrap();
    let winner = *mined.found.best().expect("the best ticket wins at its own difficulty");
    let tile = Tile { row: number(&best["tile"][0]), column: number(&best["tile"][1]) };
    let transcript: Vec<u32> = best["transcript"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(winner.tile, tile, "{name}");
    assert_eq!(winner.ticket, hex32(&best["ticket"]), "{name}");
    assert_eq!(winner.transcript.0[..], transcript[..], "{name}");

    let one_more = Difficulty::new(edge.macs() + 1).unwrap();
    assert!(round.mine(&a, one_more).unwrap().found.best().is_none(), "{name}");
    check_edge(params, statement.shape.k, edge, &winner.ticket);

    let proof = mined.found.proof().expect("a winner has a proof");
    let bytes = proof.to_bytes();
    assert_eq!(bytes.len() as u64, best["proof_bytes"].as_u64().unwrap(), "{name}");
    assert_eq!(
        *blake3::hash(&bytes).as_bytes(),
        hex32::<[u8; 32]>(&best["proof_blake3"]),
        "{name}"
    );
    assert_eq!(Proof::from_bytes(params, &bytes).unwrap(), proof);
    check_openings(puzzle, &operands, &proof, &bytes);
}

fn check_edge(params: &Params, k: u32, edge: Difficulty, ticket: &Ticket) {
    assert_eq!(Difficulty::largest_won(params, k, ticket), Some(edge));
    for (macs, wins) in [(edge.macs(), true), (edge.macs() + 1, false)] {
        let difficulty = Difficulty::new(macs).unwrap();
        assert_eq!(difficulty.wins(params, k, ticket), wins);
        assert_eq!(difficulty.target(params, k).is_met_by(ticket), wins);
        assert_eq!(reference::wins(params, k, macs, ticket), wins);
    }
}

fn check_openings(puzzle: &Puzzle, operands: &Operands, proof: &Proof, bytes: &[u8]) {
    let Puzzle { case, statement, .. } = puzzle;
    let (a, bt) = (PlainMatrix::of(operands.a()), PlainMatrix::of(operands.bt()));
    let params = &case.params;
    let expected =
        reference::proof_bytes(params, statement, proof.tile, &proof.transcript, &a, &bt);
    assert_eq!(bytes, expected);
    let mut own = Vec::new();
    for side in [Side::A, Side::B] {
        let strip = strip(params, &statement.shape, proof.tile, side).unwrap();
        let view = proof.view();
        view.opening(side).check(&strip, statement.root(side)).unwrap();
        own.push(view.opening(side).bytes[strip.own()].to_vec());
    }
    let seeds = Seeds::derive(params, &case.challenge, statement);
    let k = statement.shape.k;
    let transcript =
        recompute::transcript(params, &seeds, proof.tile, k, &own[0], &own[1]).unwrap();
    assert_eq!(transcript, proof.transcript);
}

/// Checks that every field is known: an unchecked field would be a value that
/// is not reproduced.
fn check_fields(value: &Value) {
    let known = [
        "tag",
        "challenge",
        "m",
        "n",
        "k",
        "rank",
        "tile",
        "root_a",
        "root_b",
        "seed_a",
        "seed_b",
        "noised_a",
        "noised_bt",
        "noised_product",
        "product",
        "tickets",
        "best",
    ];
    let best = [
        "tile",
        "ticket",
        "transcript",
        "proof_bytes",
        "proof_blake3",
        "largest_winning_difficulty",
    ];
    for (value, known) in [(value, &known[..]), (&value["best"], &best)] {
        let fields: BTreeSet<_> =
            value.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(fields, known.iter().copied().collect(), "the fields of {}", value);
    }
}

#[test]
fn every_field_on_every_backend() {
    let text = match std::env::var_os("POAI_VECTORS") {
        Some(path) => {
            // Tests run in the package's folder. A relative path refers to the
            // folder of the command, which is usually the parent.
            let above = Path::new("..").join(&path);
            let path = if Path::new(&path).exists() { path.into() } else { above };
            std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        }
        None => include_str!("../../../test_vectors/puzzle.json").to_owned(),
    };
    let file: Value = serde_json::from_str(&text).expect("the vector file is JSON");
    assert_eq!(file["protocol"], "poai-1");
    let cases = file["cases"].as_array().expect("a list of cases");
    assert!(!cases.is_empty());
    for value in cases {
        check_fields(value);
        let puzzle = Puzzle::new(value);
        check_protocol(value, &puzzle);
        let mut backends = 0;
        for backend in poai_engine::choose::present() {
            if backend.supports(&puzzle.case.params).is_ok() {
                check_backend(value, &puzzle, &*backend);
                check_best(value, &puzzle, backend);
                backends += 1;
            }
        }
        assert!(backends > 0, "the reference supports every case");
        println!("case {}: {backends} backends agree", puzzle.name);
    }
}
