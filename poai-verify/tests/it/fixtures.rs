//! Proofs made by earlier versions.
//!
//! All later code must accept the proofs that they accept, and reject those
//! that they reject, for the same reason.

use poai_core::{Challenge, Difficulty, Params, Proof};
use poai_verify::{Rules, Verifier};
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Entry {
    file: PathBuf,
    rank: u16,
    tile: u16,
    challenge: Challenge,
    difficulty: Difficulty,
    expect: String,
}

fn check(directory: &Path, entry: &Entry) {
    let bytes = std::fs::read(directory.join(&entry.file)).unwrap();
    let params = Params::new(entry.rank, entry.tile).unwrap();
    if cfg!(miri) && params == Params::CONSENSUS {
        println!("SKIPPED: {:?} takes minutes in an interpreter", entry.file);
        return;
    }
    let verifier = match params {
        Params::CONSENSUS => Verifier::block(entry.difficulty).unwrap(),
        _ => Verifier::new(Rules::research(params), entry.difficulty).unwrap(),
    };
    match verifier.verify(&entry.challenge, &bytes) {
        Ok(_) => {
            assert_eq!(entry.expect, "valid", "{:?}", entry.file);
            assert_eq!(Proof::from_bytes(&params, &bytes).unwrap().to_bytes(), bytes);
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with(&entry.expect), "{:?}: {text}", entry.file);
        }
    }
}

#[test]
fn every_version_of_fixtures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/proofs");
    let mut versions = 0;
    for version in std::fs::read_dir(root).unwrap() {
        let directory = version.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        let manifest = std::fs::read_to_string(directory.join("manifest.json")).unwrap();
        let entries: Vec<Entry> = serde_json::from_str(&manifest).unwrap();
        assert!(entries.iter().any(|entry| entry.expect == "valid"));
        assert!(entries.iter().any(|entry| entry.expect.starts_with("malformed")));
        entries.iter().for_each(|entry| check(&directory, entry));
        println!("{}: {} fixtures", directory.display(), entries.len());
        versions += 1;
    }
    assert!(versions >= 1, "version 1 is never removed");
}
