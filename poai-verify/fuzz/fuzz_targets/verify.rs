//! Alters an honest proof anywhere. It verifies only unaltered, and the cheap
//! checks agree with all checks.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_core::{Challenge, Difficulty, Params};
use poai_verify::{Failures, Rules, Verifier, VerifyError};

const HONEST: &[u8] = include_bytes!("../../../test_vectors/proofs/v1/small.proof");
const CHALLENGE: [u8; 32] = *b"\x0b\x7a\x3d\xb9\x84\xe7\x2a\x86\x1f\xea\xde\x78\xed\x67\x8e\x12\
\x94\xfb\x37\x0a\xd3\x61\x95\x4e\x40\xd3\x02\x98\x4f\x71\x58\x47";

#[derive(Arbitrary, Debug)]
enum Change {
    /// A field of the statement, the tile or the transcript's words.
    Word {
        word: u8,
        value: u32,
    },
    /// Bits anywhere.
    Bits {
        at: u16,
        mask: u8,
    },
    /// Moves a stretch onto another, as if openings were exchanged.
    Copy {
        from: u16,
        to: u16,
        len: u16,
    },
    Cut(u16),
    Add(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    changes: Vec<Change>,
    challenge: Option<(u8, u8)>,
    /// At difficulty 1 almost every ticket wins, so the costly checks are
    /// reached.
    difficulty: Option<u128>,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Word { word, value } => {
            // m, n, k; then the roots are skipped; then tile and transcript.
            let at = match word % 21 {
                index @ 0..3 => 4 * usize::from(index),
                index => 76 + 4 * usize::from(index - 3),
            };
            if let Some(field) = bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&value.to_le_bytes());
            }
        }
        Change::Bits { at, mask } => {
            if let Some(byte) = bytes.get_mut(usize::from(*at)) {
                *byte ^= mask;
            }
        }
        Change::Copy { from, to, len } => {
            let (from, to, len) = (usize::from(*from), usize::from(*to), usize::from(*len));
            if from + len <= bytes.len() && to + len <= bytes.len() {
                bytes.copy_within(from..from + len, to);
            }
        }
        Change::Cut(len) => bytes.truncate(usize::from(*len)),
        Change::Add(more) => bytes.extend(more),
    }
}

fuzz_target!(|input: Input| {
    let mut bytes = HONEST.to_vec();
    input.changes.iter().for_each(|change| apply(&mut bytes, change));
    let mut challenge = CHALLENGE;
    if let Some((at, mask)) = input.challenge {
        challenge[usize::from(at % 32)] ^= mask;
    }
    let difficulty = input.difficulty.and_then(|macs| Difficulty::new(macs).ok());
    let rules = Rules::research(Params::new(32, 16).unwrap());
    let verifier = Verifier::new(rules, difficulty.unwrap_or(Difficulty::ONE)).unwrap();

    let whole = verifier.verify(&Challenge(challenge), &bytes);
    let cheap = verifier.preliminary_verify(&Challenge(challenge), &bytes);
    if whole.is_ok() {
        assert_eq!((bytes.as_slice(), challenge), (HONEST, CHALLENGE), "a forgery verifies");
    }
    match (cheap, whole) {
        (Err(cheap), whole) => assert_eq!(Err(cheap), whole.map(drop)),
        (Ok(()), Err(VerifyError::Known)) => panic!("no memory was asked"),
        (Ok(()), _) => {}
    }
    // A memory of failures changes no answer except for what it has seen.
    let mut failures = Failures::new(4);
    let first = failures.verify(&verifier, Some(b"peer"), &Challenge(challenge), &bytes);
    assert_eq!(first, whole);
    let again = failures.verify(&verifier, Some(b"peer"), &Challenge(challenge), &bytes);
    assert_eq!(again.is_ok(), whole.is_ok());
    if bytes != HONEST || challenge != CHALLENGE {
        let honest = failures.verify(&verifier, Some(b"other"), &Challenge(CHALLENGE), HONEST);
        assert_eq!(honest, verifier.verify(&Challenge(CHALLENGE), HONEST), "kept out");
    }
});
