//! What hostile bytes cost: the cheap checks stop what is drawn at random. The
//! time they take is in the benchmarks; `poai-testing/src/bin/hostile.rs` searches for the
//! dearest bytes.

use poai_core::{Challenge, Difficulty, Params};
use poai_verify::{Rules, Verifier, VerifyError};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

const PROOF: &[u8] = include_bytes!("../../../test_vectors/proofs/v1/block.proof");
const CHALLENGE: &str = "0b7a3db984e72a861feade78ed678e1294fb370ad361954e40d302984f715847";
/// Statement, tile and transcript.
const CLAIMED: usize = 148;
const TRIES: u32 = 20_000;

/// At the difficulty that this proof wins at, as a chain's would be: the part
/// that passes is what wins by chance, `t²·k / difficulty`.
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
            // Never 0: something changes.
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
