//! The memory of failures rejects replays, and cannot be turned against an
//! honest proof.

use crate::common::{CHALLENGE, Puzzle, verifier};
use ndarray::Array2;
use poai_core::{Difficulty, Params, Proof, Transcript};
use poai_engine::Operand;
use poai_engine::operand::pseudorandom;
use poai_verify::{Failures, Invalid, Rules, Verifier, VerifyError};

#[test]
fn altered_openings_of_one_transcript_are_refused_from_their_sender() {
    let puzzle = Puzzle::random(64, 64);
    let mut failures = Failures::new(100);
    let honest = puzzle.bytes(0, 1);
    for at in 0..20 {
        let mut altered = honest.clone();
        altered[148 + at] ^= 1;
        let got = failures.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &altered);
        if at == 0 {
            assert!(matches!(got, Err(VerifyError::Invalid(Invalid::Opening { .. }))), "{got:?}");
        } else {
            assert_eq!(got, Err(VerifyError::Known));
        }
    }
    assert_eq!(failures.len(), 1);
}

/// The attack on such a memory: broken copies that arrive before an honest
/// proof must not make a node reject the honest one.
#[test]
fn a_broken_copy_does_not_blacklist_the_honest_proof() {
    let puzzle = Puzzle::random(64, 64);
    let mut failures = Failures::new(100);
    let honest = puzzle.bytes(0, 1);
    let mut broken_opening = honest.clone();
    broken_opening[200] ^= 1;
    // Operands may be public, and then an attacker has the openings of another
    // tile.
    let mut another_tile = puzzle.proof(1, 0);
    another_tile.transcript = puzzle.proof(0, 1).transcript;
    let another_tile = another_tile.to_bytes();
    let [same_row, same_column] = [(0, 0), (1, 1)].map(|(row, column)| {
        let forged =
            Proof { transcript: puzzle.proof(0, 1).transcript, ..puzzle.proof(row, column) };
        forged.to_bytes()
    });
    for (sender, broken) in [
        ("mallory", &broken_opening),
        ("trudy", &another_tile),
        ("eve", &same_row),
        ("oscar", &same_column),
    ] {
        let refused = failures.verify(&verifier(), Some(sender.as_bytes()), &CHALLENGE, broken);
        assert!(matches!(refused, Err(VerifyError::Invalid(_))), "{refused:?}");
    }
    failures.verify(&verifier(), Some(b"alice"), &CHALLENGE, &honest).unwrap();
}

/// A transcript that failed in one tile is not checked again in another tile,
/// from the same sender.
#[test]
fn one_transcript_is_not_tried_on_tile_after_tile() {
    let puzzle = Puzzle::random(64, 64);
    let mut failures = Failures::new(100);
    let ground = Transcript([1; 16]);
    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let forged = Proof { transcript: ground, ..puzzle.proof(row, column) }.to_bytes();
        let got = failures.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &forged);
        match (row, column) {
            (0, 0) => assert!(matches!(got, Err(VerifyError::Invalid(Invalid::Transcript { .. })))),
            _ => assert_eq!(got, Err(VerifyError::Known)),
        }
    }
}

/// A failure for one statement, or under other rules, does not affect the same
/// transcript elsewhere.
#[test]
fn a_failure_is_held_against_its_statement_and_rules_alone() {
    let operand = |name: &[u8], rows, k| pseudorandom(name, rows, k);
    let puzzle = |a, bt| Puzzle::new(Params::CONSENSUS, CHALLENGE, a, bt);
    let honest = puzzle(operand(b"a", 64, 1024), operand(b"b", 64, 1024));
    let flat =
        |side: &Operand| Array2::from_shape_vec((32, 2048), side.as_slice().to_vec()).unwrap();
    let others = [
        puzzle(operand(b"other", 64, 1024), operand(b"b", 64, 1024)),
        puzzle(operand(b"a", 64, 1024), operand(b"other", 64, 1024)),
        // The same bytes, and so the same roots, in another shape.
        puzzle(flat(honest.operands.a()), flat(honest.operands.bt())),
    ];
    let mut failures = Failures::new(100);
    let proof = honest.proof(0, 0);
    for other in &others {
        let forged = Proof { transcript: proof.transcript, ..other.proof(0, 0) };
        let bytes = forged.to_bytes();
        let refused = failures.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &bytes);
        assert!(
            matches!(refused, Err(VerifyError::Invalid(Invalid::Transcript { .. }))),
            "{refused:?}"
        );
    }
    failures.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &honest.bytes(0, 0)).unwrap();

    // One byte string that is well-formed under two ranks, and valid under one.
    let [wide, narrow] = [64, 32].map(|rank| Params::new(rank, 16).unwrap());
    let honest = Puzzle::new(wide, CHALLENGE, operand(b"a", 32, 128), operand(b"b", 32, 128));
    let under = |params| Verifier::new(Rules::research(params), Difficulty::ONE).unwrap();
    let refused = failures.verify(&under(narrow), Some(b"alice"), &CHALLENGE, &honest.bytes(0, 0));
    assert!(matches!(refused, Err(VerifyError::Invalid(Invalid::Transcript { .. }))));
    failures.verify(&under(wide), Some(b"alice"), &CHALLENGE, &honest.bytes(0, 0)).unwrap();
}

#[test]
fn a_proven_failure_is_refused_from_everybody() {
    let puzzle = Puzzle::random(64, 64);
    let mut failures = Failures::new(100);
    let mut forged = puzzle.proof(0, 0);
    forged.transcript.0[3] ^= 1;
    let forged = forged.to_bytes();
    let first = failures.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &forged);
    assert!(matches!(first, Err(VerifyError::Invalid(Invalid::Transcript { word: 3, .. }))));
    let second = failures.verify(&verifier(), Some(b"eve"), &CHALLENGE, &forged);
    assert_eq!(second, Err(VerifyError::Known));
    // Under another challenge, it is another claim.
    let elsewhere =
        failures.verify(&verifier(), Some(b"eve"), &poai_core::Challenge([1; 32]), &forged);
    assert!(matches!(elsewhere, Err(VerifyError::Invalid(_))));
}

#[test]
fn it_stays_within_its_bound_and_forgets_the_oldest() {
    let puzzle = Puzzle::random(64, 32);
    let mut failures = Failures::new(8);
    let forge = |word: u32| {
        let mut forged = puzzle.proof(0, 0);
        forged.transcript.0[0] ^= word;
        forged.to_bytes()
    };
    for word in 1..=20 {
        assert!(failures.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &forge(word)).is_err());
        // Each failure adds two keys: its sender's and the one for all senders.
        assert_eq!(failures.len(), 8.min(2 * word as usize));
        assert!(!failures.is_empty());
    }
    assert_eq!(
        failures.verify(&verifier(), Some(b"eve"), &CHALLENGE, &forge(20)),
        Err(VerifyError::Known)
    );
    let forgotten = failures.verify(&verifier(), Some(b"eve"), &CHALLENGE, &forge(1));
    assert!(matches!(forgotten, Err(VerifyError::Invalid(_))));

    let mut none = Failures::new(0);
    for _ in 0..2 {
        let got = none.verify(&verifier(), Some(b"mallory"), &CHALLENGE, &forge(1));
        assert!(matches!(got, Err(VerifyError::Invalid(_))));
    }
    assert!(none.is_empty());
}

/// Junk that does not meet the target is cheap and adds nothing.
#[test]
fn malformed_and_losing_proofs_are_not_remembered() {
    let puzzle = Puzzle::random(32, 32);
    let mut failures = Failures::new(100);
    let strict =
        poai_verify::Verifier::block(poai_core::Difficulty::new(u128::MAX).unwrap()).unwrap();
    let bytes = puzzle.bytes(0, 0);
    assert!(failures.verify(&strict, Some(b"x"), &CHALLENGE, &bytes).is_err());
    assert!(failures.verify(&strict, Some(b"x"), &CHALLENGE, &bytes[1..]).is_err());
    assert!(failures.is_empty());
}

/// Without a sender's identity, only proven failures are remembered.
#[test]
fn an_unknown_sender_cannot_poison_the_memory() {
    let puzzle = Puzzle::random(64, 64);
    let mut failures = Failures::new(100);
    let honest = puzzle.bytes(0, 1);
    let mut broken = honest.clone();
    broken[200] ^= 1;
    assert!(failures.verify(&verifier(), None, &CHALLENGE, &broken).is_err());
    assert!(failures.is_empty());
    failures.verify(&verifier(), None, &CHALLENGE, &honest).unwrap();
    let forged = Proof { transcript: Transcript([9; 16]), ..puzzle.proof(0, 1) }.to_bytes();
    assert!(failures.verify(&verifier(), None, &CHALLENGE, &forged).is_err());
    assert_eq!(failures.verify(&verifier(), None, &CHALLENGE, &forged), Err(VerifyError::Known));
}

/// The two separate calls do what the combined call does.
#[test]
fn asking_and_recording_are_the_same_as_verifying() {
    let puzzle = Puzzle::random(64, 64);
    let mut broken = puzzle.bytes(0, 1);
    broken[200] ^= 1;
    let forged = Proof { transcript: Transcript([9; 16]), ..puzzle.proof(1, 0) }.to_bytes();
    let honest = puzzle.bytes(1, 1);
    let (mut whole, mut halves) = (Failures::new(100), Failures::new(100));
    let sources = [Some(&b"mallory"[..]), None, Some(&b"alice"[..])];
    for proof in [&broken, &forged, &honest, &forged, &broken, &honest[1..].to_vec()] {
        for source in sources {
            let expected = whole.verify(&verifier(), source, &CHALLENGE, proof);
            let got = halves.refuses(&verifier(), source, &CHALLENGE, proof).and_then(|()| {
                verifier().verify(&CHALLENGE, proof).inspect_err(|error| {
                    halves.record(&verifier(), source, &CHALLENGE, proof, error);
                })
            });
            assert_eq!(got, expected);
            assert_eq!(halves.len(), whole.len());
        }
    }
}
