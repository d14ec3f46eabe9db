//! The node's rules: what they permit and reject, and their digest.

use crate::common;
use crate::common::{CHALLENGE, Puzzle};
use poai_core::*;
use poai_verify::{
    Invalid, Malformed, Rules, RulesError, Verified, Verifier, VerifyError, proof_hash,
};

#[test]
fn contradictory_rules_are_refused() {
    let check = |rules: Rules| rules.check().unwrap_err();
    assert!(matches!(
        check(Rules { k_min: 2048, k_max: 1024, ..Rules::CONSENSUS }),
        RulesError::EmptyRange { .. }
    ));
    // No multiple of 128 is in the range.
    assert!(matches!(
        check(Rules { k_min: 129, k_max: 255, ..Rules::CONSENSUS }),
        RulesError::EmptyRange { .. }
    ));
    assert!(matches!(
        check(Rules { rows_max: 31, ..Rules::CONSENSUS }),
        RulesError::EmptyRange { .. }
    ));
    assert!(matches!(check(Rules { k_max: 1 << 17, ..Rules::CONSENSUS }), RulesError::Deep { .. }));
    // One size is a valid range.
    assert_eq!(Rules { k_min: 1024, k_max: 1024, ..Rules::CONSENSUS }.check(), Ok(()));
    assert_eq!(Rules { rows_max: 32, ..Rules::CONSENSUS }.check(), Ok(()));
    let none = Rules { rows_max: 31, ..Rules::SHARE };
    assert!(matches!(Verifier::new(none, Difficulty::ONE), Err(RulesError::EmptyRange { .. })));
    for rules in [Rules::CONSENSUS, Rules::SHARE, Rules::research(Params::CONSENSUS)] {
        assert_eq!(rules.check(), Ok(()));
    }
}

#[test]
fn a_block_has_its_least_difficulty() {
    assert_eq!(Difficulty::BLOCK_MIN.macs(), 32 * 32 * 16384);
    assert!(Verifier::block(Difficulty::BLOCK_MIN).is_ok());
    let below = Difficulty::new((1 << 24) - 1).unwrap();
    let expected = RulesError::Difficulty { difficulty: below, min: Difficulty::BLOCK_MIN };
    assert_eq!(Verifier::block(below).unwrap_err(), expected);
    assert!(Verifier::new(Rules::SHARE, below).is_ok());
    assert_eq!(Rules { difficulty_min: Difficulty::BLOCK_MIN, ..Rules::SHARE }, Rules::CONSENSUS);
}

#[test]
fn every_rule_changes_the_digest() {
    let block = Rules::CONSENSUS;
    let digests = [
        block,
        Rules { params: Params::new(64, 32).unwrap(), ..block },
        Rules { params: Params::new(128, 16).unwrap(), ..block },
        Rules { k_min: 1152, ..block },
        Rules { k_max: 8192, ..block },
        Rules { rows_max: 1 << 20, ..block },
        Rules { difficulty_min: Difficulty::ONE, ..block },
    ]
    .map(|rules| rules.digest());
    let different: std::collections::HashSet<_> = digests.into_iter().collect();
    assert_eq!(different.len(), digests.len());
    // Receipts contain this digest, so it never changes.
    assert_eq!(
        digests[0].to_string(),
        "d87889c6ef904a06ff9383fed0b77a4fb1ab64c8a3ef5ca3ae5ba81e23e4b83e"
    );
}

#[test]
fn limits_are_the_nodes_own() {
    let puzzle = Puzzle::random(96, 64);
    let bytes = puzzle.bytes(0, 0);
    let refused = |rules: Rules| {
        let verifier =
            Verifier::new(Rules { difficulty_min: Difficulty::ONE, ..rules }, Difficulty::ONE);
        verifier.unwrap().verify(&CHALLENGE, &bytes).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Rules { rows_max: 64, ..Rules::CONSENSUS }),
        "malformed: expected m in 1..=64, got 96"
    );
    assert_eq!(
        refused(Rules { k_min: 1025, ..Rules::CONSENSUS }),
        "malformed: expected k in 1025..=16384, got 1024"
    );
    assert_eq!(
        refused(Rules { k_min: 1, k_max: 1023, ..Rules::CONSENSUS }),
        "malformed: expected k in 1..=1023, got 1024"
    );
}

#[test]
fn preliminary_checks_are_the_cheap_ones_alone() {
    let puzzle = Puzzle::random(64, 64);
    let verifier = common::verifier();
    let mut bytes = puzzle.bytes(1, 1);
    assert_eq!(verifier.preliminary_verify(&CHALLENGE, &bytes), Ok(()));
    assert!(matches!(
        verifier.preliminary_verify(&CHALLENGE, &bytes[1..]),
        Err(VerifyError::Malformed(_))
    ));
    let strict = Verifier::block(Difficulty::new(u128::MAX).unwrap()).unwrap();
    let lost = strict.preliminary_verify(&CHALLENGE, &bytes);
    assert!(matches!(lost, Err(VerifyError::Invalid(Invalid::Target { .. }))));
    // It does not check openings.
    bytes[148] = 64;
    assert_eq!(verifier.preliminary_verify(&CHALLENGE, &bytes), Ok(()));
    let entry = Malformed::Entry { side: Side::A, offset: 0, value: 64 };
    assert_eq!(verifier.verify(&CHALLENGE, &bytes), Err(entry.into()));
}

#[test]
fn what_was_verified_is_said_whole() {
    let puzzle = Puzzle::random(64, 96);
    let bytes = puzzle.bytes(1, 2);
    let verified: Verified = common::verifier().verify(&CHALLENGE, &bytes).unwrap();
    let winner = puzzle.mined.found.winners().iter().find(|w| w.tile == verified.tile).unwrap();
    assert_eq!(verified.tile, Tile { row: 1, column: 2 });
    assert_eq!(verified.ticket, winner.ticket);
    assert_eq!(&verified.statement, puzzle.mined.found.statement());
    assert_eq!(verified.rules, Rules::SHARE.digest());
    assert_eq!(verified.difficulty, Difficulty::ONE);
    assert_eq!(proof_hash(&bytes), *blake3::hash(&bytes).as_bytes());
    let harder = Difficulty::largest_won(&puzzle.params, 1024, &winner.ticket).unwrap();
    let verified = Verifier::new(Rules::SHARE, harder).unwrap().verify(&CHALLENGE, &bytes).unwrap();
    assert!(harder > Difficulty::ONE && verified.difficulty == harder);
}

/// Nodes reject longer messages without reading them. No permitted proof may be
/// longer, and the bound must be close.
#[test]
fn no_permitted_proof_is_longer_than_the_rules_say() {
    use poai_core::puzzle::proof::ProofHeader;
    let roots = Root([0; 32]);
    for rules in [
        Rules::CONSENSUS,
        Rules { rows_max: 32, k_max: 1024, ..Rules::CONSENSUS },
        Rules { rows_max: 416, ..Rules::CONSENSUS },
        Rules::research(Params::new(32, 16).unwrap()),
        Rules::research(Params::new(256, 64).unwrap()),
    ] {
        let (rank, tile) = (rules.params.rank() as u32, rules.params.tile() as u32);
        let k = rules.k_max / rank * rank;
        let rows = rules.rows_max / tile * tile;
        let strips = rows / tile;
        let mut longest = 0;
        for index in (0..strips)
            .step_by((strips / 4096).max(1) as usize)
            .chain(strips.saturating_sub(64)..strips)
        {
            let shape = Shape { m: rows, n: rows, k };
            let header = ProofHeader {
                statement: Statement { shape, root_a: roots, root_b: roots },
                tile: Tile { row: index, column: index },
                transcript: Transcript::default(),
            };
            longest = longest.max(header.proof_len(&rules.params).unwrap());
        }
        let max = rules.proof_bytes_max();
        assert!(longest <= max, "{longest} of {max} bytes");
        assert!(max - longest < 2 * (1023 * 2 + 32 * 64), "{longest} of {max} bytes is far off");
    }
}

/// The exact numbers, from which nodes set limits for their peers.
#[test]
fn the_longest_proofs_are_so_long() {
    for (rules, bytes) in [
        (Rules::CONSENSUS, 1_056_528),
        (Rules { rows_max: 1 << 16, k_max: 1024, ..Rules::CONSENSUS }, 71_952),
        (Rules::research(Params::new(32, 16).unwrap()), 4_202_512),
    ] {
        assert_eq!(rules.proof_bytes_max(), bytes);
    }
}

/// The edge of a ticket's difficulty, through the verifier.
#[test]
fn a_ticket_wins_up_to_its_difficulty_and_no_further() {
    let puzzle = Puzzle::random(64, 64);
    let best = *puzzle.mined.found.best().unwrap();
    let bytes = puzzle.mined.found.proof().unwrap().to_bytes();
    let edge = Difficulty::largest_won(&puzzle.params, 1024, &best.ticket).unwrap();
    let verify = |macs: u128| {
        let verifier = Verifier::new(Rules::SHARE, Difficulty::new(macs).unwrap()).unwrap();
        verifier.verify(&CHALLENGE, &bytes)
    };
    assert!(verify(edge.macs()).is_ok());
    assert!(matches!(verify(edge.macs() + 1), Err(VerifyError::Invalid(Invalid::Target { .. }))));
}
