//! Hostile bytes never cause a panic, an accepted variant, or large
//! allocations.

use crate::PEAK;
use crate::common::{CHALLENGE, Puzzle, verifier};
use poai_core::puzzle::proof::{DecodeError, HEADER_LEN};
use poai_core::*;
use poai_engine::*;
use poai_verify::{Invalid, Malformed, Rules, Verifier, VerifyError};

/// The memory that one verification may allocate: the row factors, one noised
/// step of both strips, plain and packed, and the sums of a tile. Nothing grows
/// with the proof.
const BUDGET: usize = 6 * 32 * 128 + 4 * 32 * 32 + 4 * 32;

/// Verifies, and returns the peak of allocated memory. It is the median of
/// three runs, because the test harness has a thread that allocates when tests
/// end.
fn measured(verifier: &Verifier, bytes: &[u8]) -> (Result<(), VerifyError>, usize) {
    let once = || {
        PEAK.reset_peak_usage();
        let before = PEAK.current_usage();
        let result = verifier.verify(&CHALLENGE, bytes).map(drop);
        (result, PEAK.peak_usage().saturating_sub(before))
    };
    let mut taken = [once(), once(), once()];
    assert!(taken.iter().all(|(result, _)| *result == taken[0].0), "the same each time");
    taken.sort_by_key(|(_, used)| *used);
    taken[1]
}

/// Deterministic random bytes.
struct Random(blake3::OutputReader);

impl Random {
    fn new(seed: &[u8]) -> Random {
        Random(blake3::Hasher::new().update(seed).finalize_xof())
    }

    fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

#[test]
fn every_truncation_and_extension_is_malformed() {
    let _alone = crate::alone();
    let bytes = Puzzle::random(96, 64).bytes(2, 1);
    verifier().verify(&CHALLENGE, &bytes).unwrap();
    for len in 0..bytes.len() {
        let got = verifier().verify(&CHALLENGE, &bytes[..len]).unwrap_err();
        let expected = match len {
            0..HEADER_LEN => DecodeError::Header { got: len as u64 },
            _ => DecodeError::Length { expected: bytes.len() as u64, got: len as u64 },
        };
        assert_eq!(got, VerifyError::Malformed(expected.into()), "{len} bytes");
    }
    let mut longer = bytes.clone();
    for extra in 1..=2048 {
        longer.push(extra as u8);
        let got = verifier().verify(&CHALLENGE, &longer);
        assert!(matches!(
            got,
            Err(VerifyError::Malformed(Malformed::Encoding(DecodeError::Length { .. })))
        ));
    }
}

/// Applies one random change, or several.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const INTERESTING: [u32; 8] = [0, 1, 31, 32, 1 << 24, (1 << 31) - 1, 1 << 31, u32::MAX];
    match random.below(8) {
        // Most changes hit the header, although it is a small part of the
        // bytes.
        0..=2 => {
            let at = random.below(HEADER_LEN);
            bytes[at] ^= 1 << random.below(8);
        }
        3 => {
            let field = [0, 4, 8, 76, 80][random.below(5)];
            let value = INTERESTING[random.below(INTERESTING.len())];
            bytes[field..field + 4].copy_from_slice(&value.to_le_bytes());
        }
        4 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        5 => {
            let (from, to) = (random.below(bytes.len() - 32), random.below(bytes.len() - 32));
            bytes.copy_within(from..from + 32, to);
        }
        6 => bytes.truncate(random.below(bytes.len())),
        _ => {
            let at = random.below(bytes.len());
            bytes.insert(at, random.next() as u8);
        }
    }
}

#[test]
fn a_hundred_thousand_mutations_are_refused_in_bounded_memory() {
    let _alone = crate::alone();
    let puzzle = Puzzle::random(96, 64);
    let valid = [puzzle.bytes(0, 0), puzzle.bytes(2, 1)];
    let mut random = Random::new(b"mutations");
    let (mut malformed, mut invalid, mut unchanged, mut peak) = (0, 0, 0, 0);
    for _ in 0..100_000 {
        let original = &valid[random.below(2)];
        let mut bytes = original.clone();
        let changes = 1 + random.below(3);
        for _ in 0..changes {
            if bytes.len() > HEADER_LEN {
                mutate(&mut bytes, &mut random);
            }
        }
        let (result, used) = measured(&verifier(), &bytes);
        peak = peak.max(used);
        match result {
            // Changes may cancel each other. Any other change must not pass.
            Ok(()) => {
                assert!(valid.contains(&bytes), "an altered proof was accepted");
                unchanged += 1;
            }
            Err(VerifyError::Malformed(_)) => malformed += 1,
            Err(VerifyError::Invalid(_)) => invalid += 1,
            Err(other) => panic!("a verifier has no memory: {other}"),
        }
    }
    println!("{malformed} malformed, {invalid} invalid, {unchanged} unchanged, peak {peak} bytes");
    assert!(malformed > 10_000 && invalid > 10_000, "both kinds were exercised");
    assert!(peak > 0 && peak <= BUDGET, "{peak} bytes allocated");
}

/// Headers that claim the largest sizes, under rules that permit every header.
#[test]
fn oversized_or_hostile_encodings() {
    let _alone = crate::alone();
    let header = Puzzle::random(32, 32).bytes(0, 0)[..HEADER_LEN].to_vec();
    let mut verifiers = vec![verifier()];
    for (rank, tile) in [(32, 16), (128, 32), (256, 64)] {
        let rules = Rules::research(Params::new(rank, tile).unwrap());
        verifiers.push(Verifier::new(rules, Difficulty::ONE).unwrap());
    }
    let values = [0, 1, 16, 64, 1024, 1 << 17, 1 << 24, u32::MAX - 63, u32::MAX - 31, u32::MAX];
    for m in values {
        for n in values {
            for k in values {
                for tile in [0, 1, u32::MAX] {
                    let mut bytes = header.clone();
                    for (at, value) in [(0, m), (4, n), (8, k), (76, tile), (80, tile)] {
                        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                    }
                    bytes.resize(HEADER_LEN + 512, 0);
                    for verifier in &verifiers {
                        let (result, used) = measured(verifier, &bytes);
                        assert!(matches!(result, Err(VerifyError::Malformed(_))), "{result:?}");
                        assert_eq!(used, 0, "a refused header allocates nothing");
                    }
                }
            }
        }
    }
}

/// A peer can make the longest proof that the rules permit. Memory stays the
/// same, and the declared maximum is right.
#[test]
fn the_longest_proof_takes_no_more_memory() {
    let _alone = crate::alone();
    let operand = |name: &[u8]| operand::pseudorandom(name, 96, 16384);
    let puzzle = Puzzle::new(Params::CONSENSUS, CHALLENGE, operand(b"a"), operand(b"b"));
    let bytes = puzzle.bytes(1, 1);
    assert!(bytes.len() as u64 <= Rules::CONSENSUS.proof_bytes_max());
    assert!(Rules::CONSENSUS.proof_bytes_max() < 1_100_000, "spec §7: under 1.1 MB");
    let (result, used) = measured(&verifier(), &bytes);
    result.unwrap();
    println!("{} bytes of proof, {used} bytes allocated", bytes.len());
    assert!(used > 0 && used <= BUDGET);
}

/// The largest rank and tile, for the documented bound of any parameters.
#[test]
fn the_largest_parameters_stay_in_their_bound() {
    let _alone = crate::alone();
    let params = Params::new(256, 64).unwrap();
    let operand = |name: &[u8]| operand::pseudorandom(name, 64, 1024);
    let puzzle = Puzzle::new(params, CHALLENGE, operand(b"a"), operand(b"b"));
    let verifier = Verifier::new(Rules::research(params), Difficulty::ONE).unwrap();
    let (result, used) = measured(&verifier, &puzzle.bytes(0, 0));
    result.unwrap();
    assert!(used <= 6 * 64 * 256 + 4 * 64 * 64 + 4 * 64, "{used} bytes allocated");
}

/// Entries out of range are malformed, including a neighbour's. They are found
/// only after the target check, because checking the range is not free.
#[test]
fn entries_out_of_range() {
    let _alone = crate::alone();
    let params = Params::new(32, 16).unwrap();
    let operand = |name: &[u8]| operand::pseudorandom(name, 32, 32);
    let puzzle = Puzzle::new(params, CHALLENGE, operand(b"a"), operand(b"b"));
    // Two strips share the only chunk, and byte 600 is the neighbour's.
    let honest = puzzle.bytes(0, 0);
    let rules = Rules::research(params);
    for (side, start) in [(Side::A, HEADER_LEN), (Side::B, HEADER_LEN + 1024)] {
        for offset in [0, 511, 512, 600, 1023] {
            for value in [64u8, 127, 128, 191] {
                let mut forged = honest.clone();
                forged[start + offset] = value;
                let lenient = Verifier::new(rules, Difficulty::ONE).unwrap();
                let expected = Malformed::Entry { side, offset, value: value as i8 };
                assert_eq!(lenient.verify(&CHALLENGE, &forged), Err(expected.into()));
                let strict = Verifier::new(rules, Difficulty::new(u128::MAX).unwrap()).unwrap();
                let got = strict.verify(&CHALLENGE, &forged);
                assert!(matches!(got, Err(VerifyError::Invalid(Invalid::Target { .. }))));
            }
        }
        // The error names the first of several, for any number of them.
        for offsets in [&[3, 700][..], &[3, 4, 5], &[3, 9, 10, 1023]] {
            let mut forged = honest.clone();
            offsets.iter().for_each(|offset| forged[start + offset] = 64);
            let lenient = Verifier::new(rules, Difficulty::ONE).unwrap();
            let expected = Malformed::Entry { side, offset: 3, value: 64 };
            assert_eq!(lenient.verify(&CHALLENGE, &forged), Err(expected.into()));
        }
    }
}
