//! Checkpoints: a run that goes on is the run that never stopped.

use crate::runs::{finish, run, states};
use poai_train::Optimiser;
use poai_train::run::{CheckpointError, RunLock};
use std::fs;
use std::path::Path;

#[test]
fn a_resumed_run_is_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new");
    for optimiser in [Optimiser::SGD, Optimiser::ADAM] {
        let mut unbroken = run(optimiser, 9, 1, 1);
        finish(&mut unbroken);
        for stop in [0, 1, 8, 9] {
            let mut first = run(optimiser, 9, 1, 2);
            (0..stop).for_each(|_| drop(first.step().unwrap()));
            first.save(&place).unwrap();
            let mut second = run(optimiser, 9, 1, 1);
            second.resume(&place).unwrap();
            assert_eq!(second.done(), stop);
            finish(&mut second);
            assert_eq!(states(&unbroken), states(&second), "stopped after {stop}");
            assert_eq!(unbroken.history(), second.history());
            // Nothing is mined here, but every iteration takes time.
            assert!(second.totals().seconds >= first.totals().seconds);
            assert!(stop == 0 || first.totals().seconds > 0.0);
        }
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "one file and no other");
    }
}

#[test]
fn what_is_no_checkpoint_of_the_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint");
    let bound = || {
        let mut run = run(Optimiser::SGD, 5, 1, 1);
        run.bind("segment", 100).unwrap();
        run
    };
    let mut saved = bound();
    saved.step().unwrap();
    saved.save(folder.path()).unwrap();
    let whole = fs::read(&file).unwrap();
    let resume = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let mut fresh = bound();
        let before = states(&fresh);
        let refused = fresh.resume(folder.path()).unwrap_err();
        assert_eq!((states(&fresh), fresh.done()), (before, 0), "the run stays as it was");
        assert_eq!(fs::read(&file).unwrap(), bytes, "the file stays as it was");
        refused
    };
    // The bytes with the hash that fits them: another run's, not a damaged file.
    let rehashed = |bytes: &[u8]| {
        let body = &bytes[..bytes.len() - 32];
        [body, blake3::hash(body).as_bytes()].concat()
    };
    assert_eq!(rehashed(&whole), whole);
    let corrupt = |bytes: &[u8]| matches!(resume(bytes), CheckpointError::Corrupt { .. });
    // Cut short anywhere, longer, or changed where no check precedes the hash's.
    for len in [0, 15, 16, 119, 120, whole.len() / 2, whole.len() - 1] {
        assert!(corrupt(&whole[..len]), "{len} bytes");
    }
    assert!(corrupt(&[&whole[..], &[0]].concat()));
    for at in [0, 15, 16, 20, 120, 130, 200, whole.len() - 40, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(corrupt(&changed), "byte {at}");
    }
    // Settings begin at byte 16: one, named "segment".
    let foreign = |at: usize, mask: u8| {
        let mut changed = whole.clone();
        changed[at] ^= mask;
        resume(&rehashed(&changed))
    };
    let head = 16 + 4 + 2 + 7 + 2 + 3;
    match foreign(head - 1, 1) {
        CheckpointError::Setting { name, expected, got, .. } => {
            assert_eq!((&*name, &*expected, &*got), ("segment", "101", "100"));
        }
        other => panic!("{other}"),
    }
    // Program, dataset, seed, batch, and the number of iterations.
    let places =
        [(0, "program"), (32, "dataset"), (64, "seed"), (96, "batch"), (104, "iterations")];
    for (at, expected) in places {
        match foreign(head + at, 1) {
            CheckpointError::Foreign { what, .. } => assert_eq!(what, expected),
            other => panic!("byte {at}: {other}"),
        }
    }
    // Heads that only a forger writes: they are refused before memory is taken for them.
    for (at, mask) in [(16, 2), (18, 1), (21, 0x80), (22, 0x80), (head + 100, 2)] {
        let refused = foreign(at, mask);
        assert!(matches!(refused, CheckpointError::Corrupt { .. }), "byte {at}: {refused}");
    }
    // The format before this one.
    match foreign(14, b'1' ^ b'2') {
        CheckpointError::Version { got, .. } => assert_eq!(got, '1'),
        other => panic!("{other}"),
    }
    let missing = |folder: &Path| run(Optimiser::SGD, 5, 1, 1).resume(folder).unwrap_err();
    assert!(matches!(missing(&folder.path().join("none")), CheckpointError::Io { .. }));
}

/// A folder that cannot be written keeps its last checkpoint.
#[test]
fn a_failed_save_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, b"kept").unwrap();
    let refused = run(Optimiser::SGD, 5, 1, 1).save(&blocked).unwrap_err();
    assert!(matches!(refused, CheckpointError::Io { .. }), "{refused}");
    assert_eq!(fs::read(&blocked).unwrap(), b"kept");
}

#[test]
fn settings_are_limited_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let with = |settings: &[(&str, &str)]| {
        let mut run = run(Optimiser::SGD, 5, 1, 1);
        settings.iter().for_each(|(name, value)| run.bind(name, value).unwrap());
        run
    };
    let resume = |settings: &[(&str, &str)]| with(settings).resume(folder.path());
    with(&[("a", "1"), ("b", "2"), ("a", "3")]).save(folder.path()).unwrap();
    resume(&[("b", "2"), ("a", "3")]).unwrap();
    for (settings, expected) in [
        (&[("a", "1"), ("b", "2")][..], "expected a 3, with which this run began, got 1"),
        (&[("a", "3")], "expected b 2, with which this run began, got none"),
        (
            &[("a", "3"), ("b", "2"), ("c", "4")],
            "expected c none, with which this run began, got 4",
        ),
    ] {
        let said = resume(settings).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
    let mut run = run(Optimiser::SGD, 5, 1, 1);
    assert!(run.bind("long", "x".repeat(1025)).is_err());
    assert!(run.bind(&"x".repeat(1025), 1).is_err());
    (0..64).for_each(|name| run.bind(&name.to_string(), "x".repeat(1024)).unwrap());
    assert!(run.bind("64", 1).is_err());
    run.bind("63", 1).unwrap();
}

/// Another process is another holder; so is another handle of this one.
#[test]
fn a_folder_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new");
    assert!(RunLock::existing(&place).unwrap().is_none());
    assert!(!place.exists(), "the question changes nothing");
    let lock = RunLock::acquire(&place).unwrap();
    for refused in [RunLock::acquire(&place).map(Some), RunLock::existing(&place)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, CheckpointError::Locked { .. }), "{refused}");
        assert!(refused.to_string().contains("got a folder that another process writes"));
    }
    drop(lock);
    assert!(RunLock::existing(&place).unwrap().is_some());
}
