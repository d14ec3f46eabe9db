//! Checkpoints: a run that goes on is the run that never stopped.

use crate::runs::{finish, run, states};
use poai_train::Optimiser;
use poai_train::run::CheckpointError;
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
        }
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "one file and no other");
    }
}

#[test]
fn what_is_no_checkpoint_of_the_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint");
    let mut saved = run(Optimiser::SGD, 5, 1, 1);
    saved.step().unwrap();
    saved.save(folder.path()).unwrap();
    let whole = fs::read(&file).unwrap();
    let resume = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let mut fresh = run(Optimiser::SGD, 5, 1, 1);
        let before = states(&fresh);
        let refused = fresh.resume(folder.path()).unwrap_err();
        assert_eq!((states(&fresh), fresh.done()), (before, 0), "the run stays as it was");
        assert_eq!(fs::read(&file).unwrap(), bytes, "the file stays as it was");
        refused
    };
    let corrupt = |bytes: &[u8]| matches!(resume(bytes), CheckpointError::Corrupt { .. });
    // Cut short anywhere, longer, or changed where no check precedes the hash's.
    for len in [0, 15, 16, 119, 120, whole.len() / 2, whole.len() - 1] {
        assert!(corrupt(&whole[..len]), "{len} bytes");
    }
    assert!(corrupt(&[&whole[..], &[0]].concat()));
    for at in [0, 120, 130, 200, whole.len() - 40, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(corrupt(&changed), "byte {at}");
    }
    // Program, dataset, seed, and the number of iterations.
    for (at, expected) in [(16, "program"), (48, "dataset"), (80, "seed"), (116, "iterations")] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        match resume(&changed) {
            CheckpointError::Foreign { what, .. } => assert_eq!(what, expected),
            other => panic!("byte {at}: {other}"),
        }
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
