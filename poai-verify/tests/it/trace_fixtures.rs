//! Audits, fraud proofs, answers, links and receipts made by earlier versions.
//! Today's and all later code accepts what they accept and refuses what they
//! refuse, for the same reason. Version 1 is refused as a whole.

use poai_core::program::Program;
use poai_core::trace::{Demand, Receipt, TraceDecodeError, TraceHeader};
use poai_core::{Beacon, ReceiptDigest};
use poai_core::{Challenge, Difficulty, TraceRoot};
use poai_testing::traces::CheckBytes;
use poai_verify::trace::{Answered, Checker, TraceError, TraceInvalid, TraceMalformed, TraceRules};
use poai_verify::{Rules, Verified, Verifier};
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Entry {
    kind: String,
    file: PathBuf,
    program: PathBuf,
    trace: TraceRoot,
    rules: TraceRules,
    expect: String,
    beacon: Option<Beacon>,
    receipt: Option<PathBuf>,
    demand: Option<PathBuf>,
    proof: Option<PathBuf>,
    challenge: Option<Challenge>,
    difficulty: Option<Difficulty>,
    header: Option<PathBuf>,
    digest: Option<ReceiptDigest>,
}

/// An entry with everything that its check needs, read once.
struct Case<'a> {
    entry: &'a Entry,
    checker: Checker,
    win: Option<Verified>,
    header: Option<TraceHeader>,
    receipt: Option<Receipt>,
    demand: Option<Demand>,
}

fn win(challenge: Challenge, difficulty: Difficulty, proof: &[u8]) -> Verified {
    Verifier::new(Rules::SHARE, difficulty).unwrap().verify(&challenge, proof).unwrap()
}

impl Case<'_> {
    fn new<'a>(directory: &Path, entry: &'a Entry) -> Case<'a> {
        let read = |file: &PathBuf| std::fs::read(directory.join(file)).unwrap();
        let bytes = read(&entry.program);
        let program = Program::from_bytes(&bytes).unwrap();
        assert_eq!(program.to_bytes(), bytes);
        let proof = entry.proof.as_ref().map(read);
        Case {
            entry,
            checker: Checker::new(program, entry.rules),
            win: proof
                .map(|proof| win(entry.challenge.unwrap(), entry.difficulty.unwrap(), &proof)),
            header: entry.header.as_ref().map(|file| TraceHeader::from_bytes(&read(file)).unwrap()),
            receipt: entry.receipt.as_ref().map(|file| Receipt::from_bytes(&read(file)).unwrap()),
            demand: entry.demand.as_ref().map(|file| Demand::from_bytes(&read(file)).unwrap()),
        }
    }

    /// The result of checking some bytes. `None` for a receipt with another
    /// digest, for which the checker has no error.
    fn check(&self, bytes: &[u8]) -> Option<Result<(), TraceError>> {
        let Case { entry, checker, .. } = self;
        let trace = &entry.trace;
        Some(match entry.kind.as_str() {
            "audit" => {
                let receipt = self.receipt.as_ref().unwrap();
                checker.check_audit(receipt, &entry.beacon.unwrap(), bytes).map(drop)
            }
            "fraud" => checker.check_fraud(trace, bytes).map(drop),
            "answer" => match checker.check_answer(
                self.receipt.as_ref().unwrap(),
                self.demand.as_ref().unwrap(),
                bytes,
            ) {
                // An answer that convicts is not a right one.
                Ok(Answered::Fraud(fraud)) => {
                    let (value, tile) = (fraud.value, self.demand.unwrap().tile);
                    Err(TraceInvalid::Entry { value, tile, row: 0, column: 1 }.into())
                }
                Ok(Answered::Right) => Ok(()),
                Err(error) => Err(error),
            },
            "demand" => match Demand::from_bytes(bytes) {
                Ok(demand) => {
                    assert_eq!(demand.to_bytes(), bytes);
                    let (receipt, header) = (self.receipt.as_ref(), self.header.as_ref());
                    checker.demand(receipt.unwrap(), header.unwrap(), &demand).map(drop)
                }
                Err(error) => Err(TraceMalformed::from(error).into()),
            },
            "link" => checker.check_link(trace, self.win.as_ref().unwrap(), bytes).map(drop),
            "receipt" => match Receipt::from_bytes(bytes) {
                Ok(receipt) => {
                    assert_eq!(receipt.to_bytes(), bytes);
                    if receipt.digest() != entry.digest.unwrap() {
                        return None;
                    }
                    checker.receipt(&receipt, self.header.as_ref().unwrap())
                }
                Err(error) => Err(TraceMalformed::from(error).into()),
            },
            kind => panic!("a fixture of kind {kind}"),
        })
    }
}

fn messages(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/messages").join(version)
}

fn entries<T: serde::de::DeserializeOwned>(directory: &Path) -> Vec<T> {
    let manifest = std::fs::read_to_string(directory.join("manifest.json")).unwrap();
    serde_json::from_str(&manifest).unwrap()
}

#[test]
fn every_version_of_trace_fixtures() {
    let mut versions = vec![];
    for version in std::fs::read_dir(messages("")).unwrap() {
        let directory = version.unwrap().path();
        if !directory.is_dir() || directory.ends_with("v1") {
            continue;
        }
        let entries: Vec<Entry> = entries(&directory);
        for kind in ["audit", "fraud", "demand", "answer", "link", "receipt"] {
            for valid in [true, false] {
                let is = |entry: &Entry| entry.kind == kind && (entry.expect == "valid") == valid;
                assert!(entries.iter().any(is), "{kind} {valid}");
            }
        }
        for entry in &entries {
            let bytes = std::fs::read(directory.join(&entry.file)).unwrap();
            match Case::new(&directory, entry).check(&bytes).unwrap() {
                Ok(()) => assert_eq!(entry.expect, "valid", "{:?}", entry.file),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.starts_with(&entry.expect), "{:?}: {text}", entry.file);
                }
            }
        }
        println!("{}: {} fixtures", directory.display(), entries.len());
        versions.push(directory);
    }
    for kept in ["v2", "v2-outputs", "v2-answers"] {
        assert!(versions.contains(&messages(kept)), "{kept} is never removed");
    }
}

/// An entry of version 1, with only the fields that the test reads.
#[derive(serde::Deserialize)]
struct First {
    kind: String,
    file: PathBuf,
    program: PathBuf,
    trace: TraceRoot,
    proof: Option<PathBuf>,
    challenge: Option<Challenge>,
    difficulty: Option<Difficulty>,
}

/// Version 1 had no version in its bytes. All of its messages, valid or not,
/// are now of an unsupported version.
#[test]
fn every_message_of_version_1_is_of_an_unsupported_version() {
    let directory = messages("v1");
    let read = |file: &PathBuf| std::fs::read(directory.join(file)).unwrap();
    let all: Vec<First> = entries(&directory);
    let mut kinds = std::collections::BTreeSet::new();
    for entry in &all {
        let program = Program::from_bytes(&read(&entry.program)).unwrap();
        let checker = Checker::new(program, TraceRules::DEFAULT);
        let bytes = read(&entry.file);
        let error = match entry.kind.as_str() {
            "audit" => {
                let receipt = Receipt { trace: entry.trace, ..any_receipt() };
                checker.check_audit(&receipt, &Beacon([0; 32]), &bytes).map(drop).unwrap_err()
            }
            "fraud" => checker.check_fraud(&entry.trace, &bytes).map(drop).unwrap_err(),
            "link" => {
                let proof = read(entry.proof.as_ref().unwrap());
                let win = win(entry.challenge.unwrap(), entry.difficulty.unwrap(), &proof);
                checker.check_link(&entry.trace, &win, &bytes).map(drop).unwrap_err()
            }
            "receipt" => TraceMalformed::from(Receipt::from_bytes(&bytes).unwrap_err()).into(),
            kind => panic!("a fixture of kind {kind}"),
        };
        let TraceError::Malformed(TraceMalformed::Decode(TraceDecodeError::UnsupportedVersion {
            expected: 2,
            got,
        })) = error
        else {
            panic!("{:?}: {error}", entry.file);
        };
        assert_eq!(bytes[..4], got.to_le_bytes());
        kinds.insert(&entry.kind);
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    // The same holds for a header by itself.
    let error = TraceHeader::from_bytes(&read(&"deep.header".into())).unwrap_err();
    assert!(matches!(error, TraceDecodeError::UnsupportedVersion { .. }), "{error}");
}

fn any_receipt() -> Receipt {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    bytes.resize(Receipt::LEN, 0);
    Receipt::from_bytes(&bytes).unwrap()
}

#[test]
fn no_altered_trace_fixture_is_valid() {
    for version in ["v2", "v2-outputs", "v2-answers"] {
        let directory = messages(version);
        for entry in entries::<Entry>(&directory) {
            if entry.expect == "valid" {
                no_altered_bytes_are_valid(&directory, &entry);
            }
        }
    }
}

/// Flips, cuts off or adds one byte of a valid message.
fn no_altered_bytes_are_valid(directory: &Path, entry: &Entry) {
    let case = Case::new(directory, entry);
    let mut bytes = std::fs::read(directory.join(&entry.file)).unwrap();
    let valid = |bytes: &[u8]| case.check(bytes).is_some_and(|result| result.is_ok());
    assert!(valid(&bytes));
    // A demand for another existing tile would be another valid demand.
    let last = if entry.kind == "demand" { Demand::LEN - 12 } else { bytes.len() };
    // Every byte of short messages and of the first records, then some of
    // the others.
    let rest = (2048..last).step_by(101);
    for at in (0..last.min(2048)).chain(rest).chain([last - 1]) {
        bytes[at] ^= 0x10;
        assert!(!valid(&bytes), "{:?} byte {at}", entry.file);
        bytes[at] ^= 0x10;
    }
    let header = TraceHeader::LEN;
    let cuts = [0, 1, header - 1, header, bytes.len() / 2, bytes.len() - 1];
    for cut in cuts.into_iter().filter(|&cut| cut < bytes.len()) {
        assert!(!valid(&bytes[..cut]), "{:?} cut {cut}", entry.file);
    }
    bytes.push(0);
    assert!(!valid(&bytes), "{:?} with a byte more", entry.file);
}
