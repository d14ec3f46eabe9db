//! Sealed headers: one verifier for every difficulty, and batches.

use crate::common::{CHALLENGE, Puzzle};
use poai_core::*;
use poai_verify::{Malformed, Rules, RulesError, Seal, Verifier, VerifyError};

/// The verifier can be sent between threads, and copies are cheap.
const _: () = {
    const fn embeds<T: Send + Sync + Clone + Copy + 'static>() {}
    embeds::<Verifier>();
};

fn shares() -> Verifier {
    Verifier::new(Rules::SHARE, Difficulty::ONE).unwrap()
}

#[test]
fn a_seal_is_held_against_its_own_challenge_and_difficulty() {
    let puzzle = Puzzle::random(32, 64);
    let bytes = puzzle.bytes(0, 1);
    let ticket = shares().verify(&CHALLENGE, &bytes).unwrap().ticket;
    let won = Difficulty::largest_won(&puzzle.params, 1024, &ticket).unwrap();
    let lost = Difficulty::new(won.macs() + 1).unwrap();
    let seal = Seal { challenge: CHALLENGE, difficulty: won, proof: &bytes };

    let verified = shares().verify_seal(&seal).unwrap();
    assert_eq!((verified.ticket, verified.difficulty), (ticket, won));
    assert_eq!(shares().preliminary_verify_seal(&seal), Ok(()));
    for wrong in [
        Seal { difficulty: lost, ..seal },
        Seal { challenge: Challenge([1; 32]), ..seal },
        Seal { proof: &bytes[1..], ..seal },
    ] {
        // A wrong challenge may win by chance, but it never verifies.
        assert!(shares().verify_seal(&wrong).is_err());
        let apart = shares().at(wrong.difficulty).unwrap();
        assert_eq!(shares().verify_seal(&wrong), apart.verify(&wrong.challenge, wrong.proof));
        assert_eq!(
            shares().preliminary_verify_seal(&wrong),
            apart.preliminary_verify(&wrong.challenge, wrong.proof)
        );
    }
}

#[test]
fn a_seal_below_the_least_difficulty_is_malformed() {
    let verifier = Verifier::block(Difficulty::BLOCK_MIN).unwrap();
    let (difficulty, min) = (Difficulty::new((1 << 24) - 1).unwrap(), Difficulty::BLOCK_MIN);
    let seal = Seal { challenge: CHALLENGE, difficulty, proof: &[] };
    let expected = VerifyError::Malformed(Malformed::Difficulty { difficulty, min });
    assert_eq!(verifier.verify_seal(&seal), Err(expected));
    assert_eq!(verifier.preliminary_verify_seal(&seal), Err(expected));
    assert_eq!(verifier.at(difficulty).unwrap_err(), RulesError::Difficulty { difficulty, min });
    assert_eq!(verifier.at(min).unwrap().difficulty(), min);
}

#[test]
fn a_batch_answers_each_in_order() {
    let puzzle = Puzzle::random(64, 64);
    let good: Vec<_> = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(r, c)| puzzle.bytes(r, c)).into();
    let mut proofs = good.clone();
    proofs[1].pop(); // malformed
    let last = proofs[2].len() - 1;
    proofs[2][last] ^= 1; // invalid: a sibling, or an entry
    let one = Difficulty::ONE;
    let mut seals: Vec<_> =
        proofs.iter().map(|proof| Seal { challenge: CHALLENGE, difficulty: one, proof }).collect();
    seals.push(Seal { difficulty: Difficulty::new(u128::MAX).unwrap(), ..seals[0] });

    let answers = shares().verify_batch(&seals);
    let apart: Vec<_> = seals.iter().map(|seal| shares().verify_seal(seal)).collect();
    assert_eq!(answers, apart);
    let holds: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(holds, [true, false, false, true, false]);
    assert!(matches!(answers[1], Err(VerifyError::Malformed(_))));
    assert_eq!(shares().verify_batch(&[]), []);
}
