//! The cost of hostile bytes: the cheap checks stop random changes.
//!
//! The benchmarks measure their time. `poai-testing/src/bin/hostile.rs` searches for the bytes that
//! cost the most.

use poai_core::{Challenge, Difficulty, Params};
use poai_verify::{Rules, Verifier, VerifyError};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

const PROOF: &[u8] = include_bytes!("../../../test_vectors/proofs/v1/block.proof");
const CHALLENGE: &str = "0b7a3db984e72a861feade78ed678e1294fb370ad361954e40d302984f715847";
/// Length of the statement, the tile and the transcript.
const CLAIMED: usize = 148;
const TRIES: u32 = 20_000;

/// The difficulty is one at which this proof wins, as on a chain. The share of
/// changes that passes is the chance of a win, `t²·k / difficulty`.
#[test]
fn the_cheap_checks_stop_random_changes_of_what_is_claimed() {
    let challenge: Challenge = CHALLENGE.parse().unwrap();
    let share = Verifier::new(Rules::SHARE, Difficulty::ONE).unwrap();
    let verified = share.verify(&challenge, PROOF).unwrap();
    let won = Difficulty::largest_won(&Params::CONSENSUS, 1024, &verified.ticket).unwrap();
    let verifier = Verifier::block(won).unwrap();
    assert_eq!(verifier.preliminary_verify(&challenge, PROOF), Ok(()));

    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut counts = [0u32; 3]; // malformed, invalid, passed
    for _ in 0..TRIES {
        let mut bytes = PROOF.to_vec();
        for _ in 0..=rng.next_u32() % 4 {
            let at = rng.next_u32() as usize % CLAIMED;
            // The mask is never 0, so the byte changes.
            bytes[at] ^= (rng.next_u32() % 255 + 1) as u8;
        }
        if bytes == PROOF {
            continue; // two changes of one byte may undo each other
        }
        let index = match verifier.preliminary_verify(&challenge, &bytes) {
            Err(VerifyError::Malformed(_)) => 0,
            Err(_) => 1,
            Ok(()) => {
                assert!(verifier.verify(&challenge, &bytes).is_err(), "a forgery");
                2
            }
        };
        counts[index] += 1;
    }
    let [malformed, invalid, passed] = counts;
    println!("malformed {malformed}, invalid {invalid}, passed {passed} of {TRIES}");
    assert!(malformed > 0 && invalid > 0);
    assert!(passed * 100 <= TRIES, "{passed} of {TRIES} deserve the costly checks");
}
