//! Audits, fraud proofs, links and receipts made by earlier versions: today's
//! and every later code accepts what they accept and refuses what they refuse,
//! for the same reason.

use poai_core::program::Program;
use poai_core::trace::{Receipt, TraceHeader};
use poai_core::{Challenge, Difficulty, Root, TraceRoot};
use poai_verify::trace::{Checker, TraceError, TraceRules};
use poai_verify::{Rules, Verified, Verifier};
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Entry {
    kind: String,
    file: PathBuf,
    program: PathBuf,
    trace: TraceRoot,
    /// Batch, sequence, samples, a tile's memory.
    rules: (u32, u32, u32),
    expect: String,
    beacon: Option<Root>,
    proof: Option<PathBuf>,
    challenge: Option<Challenge>,
    difficulty: Option<Difficulty>,
    header: Option<PathBuf>,
    digest: Option<Root>,
}

/// An entry with what its check needs, read once.
struct Case<'a> {
    entry: &'a Entry,
    checker: Checker,
    win: Option<Verified>,
    header: Option<TraceHeader>,
}

impl Case<'_> {
    fn new<'a>(directory: &Path, entry: &'a Entry) -> Case<'a> {
        let read = |file: &PathBuf| std::fs::read(directory.join(file)).unwrap();
        let bytes = read(&entry.program);
        let program = Program::decode(&bytes).unwrap();
        assert_eq!(program.encode(), bytes);
        let (batch_max, sequence_max, samples) = entry.rules;
        let rules = TraceRules { batch_max, sequence_max, samples };
        let win = entry.proof.as_ref().map(|proof| {
            let verifier = Verifier::new(Rules::SHARE, entry.difficulty.unwrap()).unwrap();
            verifier.verify(&entry.challenge.unwrap(), &read(proof)).unwrap()
        });
        let header = entry.header.as_ref().map(|file| TraceHeader::decode(&read(file)).unwrap());
        Case { entry, checker: Checker::new(program, rules), win, header }
    }

    /// What the check says of some bytes; `None` for a receipt of another
    /// length or digest, which has no error of the checker's.
    fn check(&self, bytes: &[u8]) -> Option<Result<(), TraceError>> {
        let Case { entry, checker, .. } = self;
        let trace = &entry.trace;
        Some(match entry.kind.as_str() {
            "audit" => checker.audit(trace, &entry.beacon.unwrap().0, bytes).map(drop),
            "fraud" => checker.fraud(trace, bytes).map(drop),
            "link" => checker.link(trace, self.win.as_ref().unwrap(), bytes).map(drop),
            "receipt" => {
                let receipt = Receipt::decode(bytes)?;
                assert_eq!(receipt.encode(), bytes);
                if receipt.digest() != entry.digest.unwrap().0 {
                    return None;
                }
                checker.receipt(&receipt, self.header.as_ref().unwrap())
            }
            kind => panic!("a fixture of kind {kind}"),
        })
    }
}

#[test]
fn every_version_of_trace_fixtures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/messages");
    let mut versions = 0;
    for version in std::fs::read_dir(root).unwrap() {
        let directory = version.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        let manifest = std::fs::read_to_string(directory.join("manifest.json")).unwrap();
        let entries: Vec<Entry> = serde_json::from_str(&manifest).unwrap();
        for kind in ["audit", "fraud", "link", "receipt"] {
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
        versions += 1;
    }
    assert!(versions >= 1, "version 1 is never removed");
}

/// One byte of each message that is valid, flipped, cut off or added.
#[test]
fn no_altered_trace_fixture_is_valid() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/messages/v1");
    let manifest = std::fs::read_to_string(directory.join("manifest.json")).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&manifest).unwrap();
    for entry in entries.iter().filter(|entry| entry.expect == "valid") {
        let case = Case::new(&directory, entry);
        let mut bytes = std::fs::read(directory.join(&entry.file)).unwrap();
        let valid = |bytes: &[u8]| case.check(bytes).is_some_and(|result| result.is_ok());
        assert!(valid(&bytes));
        // Every byte of the short ones and of the first records, then some.
        let rest = (2048..bytes.len()).step_by(101);
        for at in (0..bytes.len().min(2048)).chain(rest).chain([bytes.len() - 1]) {
            bytes[at] ^= 0x10;
            assert!(!valid(&bytes), "{:?} byte {at}", entry.file);
            bytes[at] ^= 0x10;
        }
        let cuts = [0, 1, 143, 144, bytes.len() / 2, bytes.len() - 1];
        for cut in cuts.into_iter().filter(|&cut| cut < bytes.len()) {
            assert!(!valid(&bytes[..cut]), "{:?} cut {cut}", entry.file);
        }
        bytes.push(0);
        assert!(!valid(&bytes), "{:?} with a byte more", entry.file);
    }
}
