//! iden3's files, compared with a ceremony that snarkjs made.
use crate::{PEAK, alone};
use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::inference::{PointError, VerifyingKeyError};
use poai_prover::ExportError;
use poai_prover::internal::Matrices;
use poai_prover::internal::json::{
    JsonError, proof_from_json, proof_to_json, signals_from_json, signals_to_json,
    verifying_key_from_json, verifying_key_to_json,
};
use poai_prover::internal::r1cs::write_r1cs;
use poai_prover::internal::wtns::write_wtns;
use poai_prover::internal::zkey::{Zkey, read_zkey};
use poai_prover::keys::{ContainerError, MatricesError, ZkeyError};
use poai_testing::chain::{Chain, chain, verify};

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use rayon::prelude::*;
use std::io::Cursor;

const ZKEY: &[u8] = include_bytes!("../../../test_vectors/ceremony/final.zkey");
const R1CS: &[u8] = include_bytes!("../../../test_vectors/ceremony/system.r1cs");
const WTNS: &[u8] = include_bytes!("../../../test_vectors/ceremony/witness.wtns");
const PROOF: &str = include_str!("../../../test_vectors/ceremony/snarkjs-proof.json");
const PUBLIC: &str = include_str!("../../../test_vectors/ceremony/snarkjs-public.json");
const KEY: &str = include_str!("../../../test_vectors/ceremony/snarkjs-key.json");

const ALPHA: usize = 12 + 2 * 36;
const BETA_G1: usize = ALPHA + 64;
const BETA_G2: usize = BETA_G1 + 64;
const GAMMA: usize = BETA_G2 + 128;
const DELTA_G1: usize = GAMMA + 128;
const DELTA_G2: usize = DELTA_G1 + 64;

fn ceremony() -> Chain {
    chain(5, 7, 1234)
}

fn read(bytes: &[u8]) -> Result<Zkey, ZkeyError> {
    read_zkey(Cursor::new(bytes), &ceremony().matrices)
}

/// The sections of a file, in its order.
fn sections(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut rest = &bytes[12..];
    let mut sections = vec![];
    while !rest.is_empty() {
        let id = u32::from_le_bytes(rest[..4].try_into().unwrap());
        let length = u64::from_le_bytes(rest[4..12].try_into().unwrap()) as usize;
        sections.push((id, rest[12..12 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    sections
}

fn file(sections: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = ZKEY[..8].to_vec();
    bytes.extend((sections.len() as u32).to_le_bytes());
    for (id, content) in sections {
        bytes.extend(id.to_le_bytes());
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
    }
    bytes
}

/// The ceremony's file with one section changed.
fn changed(id: u32, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut sections = sections(ZKEY);
    change(&mut sections.iter_mut().find(|section| section.0 == id).unwrap().1);
    file(&sections)
}

fn refusal(id: u32, change: impl FnOnce(&mut Vec<u8>)) -> ZkeyError {
    read(&changed(id, change)).unwrap_err()
}

#[test]
fn a_ceremonys_key_proves() {
    let _alone = alone();
    let ceremony = ceremony();
    let zkey = read(ZKEY).unwrap();
    assert_eq!(zkey.contributions.get(), 3);
    assert!(ceremony.satisfied());
    let proof = ceremony.prove(&zkey.key, &mut StdRng::seed_from_u64(2));
    assert!(verify(&zkey.key.vk, ceremony.signals(), &proof));
    for signal in 0..2 {
        let mut signals = ceremony.signals().to_vec();
        signals[signal] += Fr::ONE;
        assert!(!verify(&zkey.key.vk, &signals, &proof));
    }
    for variable in 1..ceremony.matrices.variables {
        let mut wrong = self::ceremony();
        wrong.assignment[variable] += Fr::ONE;
        let proof = wrong.prove(&zkey.key, &mut StdRng::seed_from_u64(2));
        assert!(!verify(&zkey.key.vk, wrong.signals(), &proof), "variable {variable}");
    }
}

#[test]
fn snarkjs_own_proof_passes() {
    let _alone = alone();
    let key = read(ZKEY).unwrap().key.vk;
    let (proof, signals) = (proof_from_json(PROOF).unwrap(), signals_from_json(PUBLIC).unwrap());
    assert_eq!(signals, ceremony().signals());
    assert!(verify(&key, &signals, &proof));
    assert!(!verify(&key, &[signals[0] + Fr::ONE, signals[1]], &proof));
    assert!(!verify(&key, &[signals[1], signals[0]], &proof));
}

#[test]
fn exports_are_what_snarkjs_took_and_makes() {
    let _alone = alone();
    let ceremony = ceremony();
    let (mut r1cs, mut wtns) = (vec![], vec![]);
    write_r1cs(&ceremony.matrices, &mut r1cs).unwrap();
    write_wtns(&ceremony.assignment, &mut wtns).unwrap();
    assert_eq!(r1cs, R1CS);
    assert_eq!(wtns, WTNS);
    let key = read(ZKEY).unwrap().key.vk;
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&verifying_key_to_json(&key)), json(KEY));
    assert_eq!(json(&signals_to_json(ceremony.signals())), json(PUBLIC));
    let proof = proof_from_json(PROOF).unwrap();
    assert_eq!(json(&proof_to_json(&proof)), json(PROOF));
    assert_eq!(verifying_key_from_json(KEY).unwrap(), key);
}

#[test]
fn rows_in_any_writing_are_one_system() {
    let _alone = alone();
    let mut ceremony = ceremony();
    ceremony.matrices.a[1].reverse();
    ceremony.matrices.b[0].extend([(Fr::ONE, 4), (-Fr::ONE, 4), (Fr::ZERO, 1)]);
    let mut r1cs = vec![];
    write_r1cs(&ceremony.matrices, &mut r1cs).unwrap();
    assert_eq!(r1cs, R1CS);
    assert_eq!(read_zkey(Cursor::new(ZKEY), &ceremony.matrices).unwrap(), read(ZKEY).unwrap());
}

#[test]
fn a_system_without_a_key_is_not_exported() {
    let _alone = alone();
    let mut matrices = ceremony().matrices;
    matrices.signals += 1;
    // Witness 0 is now a signal, and used.
    write_r1cs(&matrices, &mut vec![]).unwrap();
    matrices.variables += 1;
    matrices.signals = 8;
    let refused = write_r1cs(&matrices, &mut vec![]);
    let unused = MatricesError::UnusedSignal { signal: 7 };
    assert!(matches!(refused, Err(ExportError::Matrices(why)) if why == unused), "{refused:?}");
}

#[test]
fn sections_come_in_any_order() {
    let _alone = alone();
    let whole = read(ZKEY).unwrap();
    let mut sections = sections(ZKEY);
    sections.reverse();
    assert_eq!(read(&file(&sections)).unwrap(), whole);
    sections.sort();
    assert_eq!(read(&file(&sections)).unwrap(), whole);
}

#[test]
fn another_systems_key_is_named_so() {
    let _alone = alone();
    let size = |change: &dyn Fn(&mut Matrices)| {
        let mut matrices = ceremony().matrices;
        change(&mut matrices);
        read_zkey(Cursor::new(ZKEY), &matrices).unwrap_err()
    };
    let variables = size(&|matrices| matrices.variables += 1);
    assert!(matches!(variables, ZkeyError::Size { what: "variables", expected: 9, got: 8 }));
    let signals = size(&|matrices| matrices.signals -= 1);
    assert!(matches!(signals, ZkeyError::Size { what: "signals", expected: 1, got: 2 }));
    let domain = size(&|matrices| {
        let Matrices { a, b, c, .. } = matrices;
        [a, b, c].into_iter().for_each(|rows| rows.push(vec![]));
    });
    assert!(matches!(domain, ZkeyError::Size { what: "points of the domain", expected: 16, .. }));
    let terms = size(&|matrices| matrices.a[0].push((Fr::ONE, 7)));
    assert!(matches!(terms, ZkeyError::Size { what: "coefficients", .. }), "{terms}");
    // Each coefficient, and each variable, of A and B.
    let mut index = 0;
    for row in 0..5 {
        for matrix in 0..2 {
            let Matrices { a, b, .. } = ceremony().matrices;
            for term in 0..[a, b][matrix][row].len() {
                let value = size(&|matrices| {
                    let Matrices { a, b, .. } = matrices;
                    [a, b][matrix][row][term].0.double_in_place();
                });
                assert!(
                    matches!(value, ZkeyError::Coefficient { index: got } if got == index),
                    "row {row}, matrix {matrix}, term {term}: {value}"
                );
                index += 1;
            }
        }
    }
    assert!(index > 15);
    let invalid = size(&|matrices| drop(matrices.b.pop()));
    assert!(matches!(invalid, ZkeyError::Matrices(MatricesError::Rows { .. })));
}

#[test]
fn a_broken_frame_is_refused() {
    let _alone = alone();
    let container = |bytes: &[u8]| match read(bytes) {
        Err(ZkeyError::Container(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(container(&[]), ContainerError::Io(_)));
    let magic = container(R1CS);
    assert!(matches!(magic, ContainerError::Magic { expected: "zkey" }));
    let mut version = ZKEY.to_vec();
    version[4] = 2;
    assert!(matches!(container(&version), ContainerError::Version { expected: 1, got: 2 }));
    let whole = sections(ZKEY);
    for at in 0..whole.len() {
        let mut missing = whole.clone();
        let (id, content) = missing.remove(at);
        let error = container(&file(&missing));
        assert!(matches!(error, ContainerError::MissingSection { id: got } if got == id));
        let mut twice = whole.clone();
        twice.push((id, content.clone()));
        let error = container(&file(&twice));
        assert!(matches!(error, ContainerError::RepeatedSection { id: got } if got == id));
        // The length of the contributions is not known in advance.
        if id != 10 {
            let error = container(&changed(id, |content| content.push(0)));
            assert!(matches!(error, ContainerError::SectionLength { id: got, .. } if got == id));
        }
    }
    let mut unknown = whole;
    unknown.push((11, vec![]));
    let error = container(&file(&unknown));
    assert!(matches!(error, ContainerError::UnknownSection { id: 11 }));
    let trailing = [ZKEY, &[0; 3]].concat();
    assert!(matches!(container(&trailing), ContainerError::Trailing { bytes: 3 }));
    for length in 0..ZKEY.len() {
        container(&ZKEY[..length]);
    }
}

#[test]
fn foreign_protocols_and_curves_are_refused() {
    let _alone = alone();
    let protocol = refusal(1, |content| content[0] = 2);
    assert!(matches!(protocol, ZkeyError::Protocol { got: 2 }));
    for (at, name) in [(0, "base"), (4, "base"), (36, "scalar"), (71, "scalar")] {
        let error = refusal(2, |content| content[at] ^= 1);
        assert!(matches!(error, ZkeyError::Curve { field } if field == name), "{at}: {error}");
    }
}

#[test]
fn claims_of_size_allocate_nothing() {
    let _alone = alone();
    PEAK.reset_peak_usage();
    let before = PEAK.current_usage();
    for at in (72..84).step_by(4) {
        let error = refusal(2, |content| content[at..at + 4].fill(0xff));
        assert!(matches!(error, ZkeyError::Size { got: 0xffff_ffff, .. }), "{at}: {error}");
    }
    let coefficients = refusal(4, |content| content[..4].fill(0xff));
    assert!(matches!(coefficients, ZkeyError::Size { what: "coefficients", .. }));
    // Every section's length, and the number of sections.
    let mut at = 12;
    for (id, content) in sections(ZKEY) {
        for claim in [u64::MAX, u64::MAX - at as u64 - 12, 1 << 40] {
            let mut bytes = ZKEY.to_vec();
            bytes[at + 4..at + 12].copy_from_slice(&claim.to_le_bytes());
            let error = read(&bytes).unwrap_err();
            let truncated = ContainerError::Truncated { id, length: claim };
            assert_eq!(error.to_string(), ZkeyError::Container(truncated).to_string());
        }
        at += 12 + content.len();
    }
    let mut bytes = ZKEY.to_vec();
    bytes[8..12].fill(0xff);
    assert!(matches!(read(&bytes), Err(ZkeyError::Container(ContainerError::Io(_)))));
    let most = PEAK.peak_usage() - before;
    assert!(most < 1 << 20, "{most} bytes");
}

/// Negates a point of G2 in the header.
fn negate(content: &mut [u8], at: usize) {
    for y in [at + 64, at + 96] {
        let mut limbs = [0u64; 4];
        for (limb, bytes) in limbs.iter_mut().zip(content[y..y + 32].chunks(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        let mut negative = Fq::MODULUS;
        assert!(!negative.sub_with_borrow(&ark_ff::BigInt(limbs)));
        // Zero is its own negative.
        if limbs != [0; 4] {
            content[y..y + 32].copy_from_slice(&negative.to_bytes_le());
        }
    }
}

/// δ is γ, which snarkjs writes without a contribution, or its negative; or the
/// file lists no contribution. The module `degenerate` of `it` has forgeries
/// under such keys.
#[test]
fn a_key_that_nobody_contributed_to_is_refused() {
    let _alone = alone();
    let equal = refusal(2, |content| content.copy_within(GAMMA..GAMMA + 128, DELTA_G2));
    let opposite = refusal(2, |content| {
        content.copy_within(GAMMA..GAMMA + 128, DELTA_G2);
        negate(content, DELTA_G2);
    });
    let unlisted = refusal(10, |content| content[64..68].fill(0));
    for error in [equal, opposite, unlisted] {
        assert!(matches!(error, ZkeyError::NoContribution), "{error}");
    }
}

/// Other degenerate keys: β is ±γ or ±δ, two signals have one point, γ is not
/// the generator.
#[test]
fn degenerate_keys_are_refused() {
    let _alone = alone();
    let related = |error| match error {
        ZkeyError::VerifyingKey(VerifyingKeyError::Related { first, second, opposite }) => {
            (first, second, opposite)
        }
        other => panic!("{other}"),
    };
    let generator = G1Affine::generator();
    let generator: Vec<u8> =
        [generator.x, generator.y].iter().flat_map(|element| element.0.to_bytes_le()).collect();
    let delta = refusal(2, |content| {
        content.copy_within(DELTA_G1..DELTA_G1 + 64, BETA_G1);
        content.copy_within(DELTA_G2..DELTA_G2 + 128, BETA_G2);
    });
    assert_eq!(related(delta), ("beta", "delta", false));
    // γ is the generator, so β in G1 must be the generator too.
    let gamma = refusal(2, |content| {
        content[BETA_G1..BETA_G1 + 64].copy_from_slice(&generator);
        content.copy_within(GAMMA..GAMMA + 128, BETA_G2);
    });
    assert_eq!(related(gamma), ("beta", "gamma", false));
    for (first, second) in [(1, 2), (2, 1)] {
        let error = refusal(3, |content| {
            content.copy_within(64 * first..64 * (first + 1), 64 * second);
        });
        let ZkeyError::VerifyingKey(VerifyingKeyError::Interchangeable { opposite, .. }) = error
        else {
            panic!("{error}")
        };
        assert!(!opposite);
    }
    let gamma = refusal(2, |content| content.copy_within(BETA_G2..BETA_G2 + 128, GAMMA));
    assert!(matches!(gamma, ZkeyError::Gamma), "{gamma}");
}

#[test]
fn numbers_agree_between_the_groups() {
    let _alone = alone();
    // The G1 point of one element in the place of the other's.
    let beta = refusal(2, |content| content.copy_within(DELTA_G1..DELTA_G1 + 64, BETA_G1));
    assert!(matches!(beta, ZkeyError::Unequal { name: "β" }), "{beta}");
    let delta = refusal(2, |content| content.copy_within(BETA_G1..BETA_G1 + 64, DELTA_G1));
    assert!(matches!(delta, ZkeyError::Unequal { name: "δ" }), "{delta}");
}

#[test]
fn points_that_are_none_are_refused() {
    let _alone = alone();
    let points =
        [(ALPHA, 64), (BETA_G1, 64), (BETA_G2, 128), (GAMMA, 128), (DELTA_G1, 64), (DELTA_G2, 128)];
    for (expected, (at, length)) in points.into_iter().enumerate() {
        let error = refusal(2, |content| content[at..at + length].fill(0));
        assert!(matches!(
            error,
            ZkeyError::Point { section: 2, index, why: PointError::Infinity } if index == expected
        ));
    }
    for signal in 0..3 {
        let error = refusal(3, |content| content[signal * 64..][..64].fill(0));
        assert!(matches!(
            error,
            ZkeyError::Point { section: 3, index, why: PointError::Infinity } if index == signal
        ));
    }
    for section in [3, 5, 6, 7, 8, 9] {
        let last = |content: &[u8]| content.len() - if section == 7 { 128 } else { 64 };
        let off = refusal(section, |content| {
            let at = last(content);
            content[at..].fill(1);
        });
        assert!(
            matches!(off, ZkeyError::Point { section: got, why: PointError::Curve, .. } if got == section),
            "{off}"
        );
        // A coordinate with the order added.
        let large = refusal(section, |content| {
            let at = last(content);
            let mut limbs = [0u64; 4];
            for (limb, bytes) in limbs.iter_mut().zip(content[at..at + 32].chunks(8)) {
                *limb = u64::from_le_bytes(bytes.try_into().unwrap());
            }
            let mut value = ark_ff::BigInt(limbs);
            assert!(!value.add_with_carry(&Fq::MODULUS));
            content[at..at + 32].copy_from_slice(&value.to_bytes_le());
        });
        assert!(
            matches!(large, ZkeyError::Point { section: got, why: PointError::Encoding, .. } if got == section),
            "{large}"
        );
    }
}

#[test]
fn points_outside_the_subgroup_are_refused() {
    let _alone = alone();
    let outside = (1u64..)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .unwrap();
    let coordinates = [outside.x.c0, outside.x.c1, outside.y.c0, outside.y.c1];
    let bytes: Vec<u8> = coordinates.iter().flat_map(|element| element.0.to_bytes_le()).collect();
    for (section, at) in [(7, 0), (7, 128 * 7), (2, BETA_G2), (2, GAMMA), (2, DELTA_G2)] {
        let error = refusal(section, |content| content[at..at + 128].copy_from_slice(&bytes));
        assert!(
            matches!(error, ZkeyError::Point { why: PointError::Subgroup, .. }),
            "{section}, {at}: {error}"
        );
    }
}

#[test]
fn no_byte_can_change_the_key() {
    let _alone = alone();
    let whole = read(ZKEY).unwrap().key;
    let contributions = ZKEY.len() - sections(ZKEY).iter().find(|s| s.0 == 10).unwrap().1.len();
    let last = sections(ZKEY).last().unwrap().0;
    assert_eq!(last, 10, "the contributions end the file");
    let flipped = |at: usize| {
        let mut bytes = ZKEY.to_vec();
        bytes[at] ^= 1 << (at % 8);
        read(&bytes)
    };
    (0..contributions).into_par_iter().for_each(|at| {
        assert!(flipped(at).is_err(), "byte {at}");
    });
    // The record of contributions is not part of the key.
    (contributions..ZKEY.len()).into_par_iter().step_by(16).for_each(|at| {
        assert_eq!(flipped(at).unwrap().key, whole, "byte {at}");
    });
}

proptest! {
    #[test]
    fn damage_is_an_error_or_the_same_key(
        at in 0..ZKEY.len(),
        bytes in vec(any::<u8>(), 0..80),
        cut in 0..160usize,
    ) {
        let _alone = alone();
        let end = (at + cut).min(ZKEY.len());
        let mut damaged = ZKEY.to_vec();
        damaged.splice(at..end, bytes);
        if let Ok(zkey) = read(&damaged) {
            prop_assert_eq!(zkey.key, read(ZKEY).unwrap().key);
        }
    }
}

#[test]
fn json_has_one_spelling() {
    let _alone = alone();
    let refused = |text: &str| proof_from_json(text).unwrap_err();
    let whole: serde_json::Value = serde_json::from_str(PROOF).unwrap();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = whole.clone();
        change(&mut value);
        refused(&value.to_string())
    };
    let x = whole["pi_a"][0].as_str().unwrap().to_owned();
    let order = Fq::MODULUS.to_string();
    let larger = {
        let mut sum = Fq::MODULUS;
        let x: Fq = x.parse().unwrap();
        assert!(!sum.add_with_carry(&x.into_bigint()));
        sum.to_string()
    };
    for spelling in [format!("0{x}"), format!("+{x}"), format!("-{x}"), larger, order] {
        let error = with(&|value| value["pi_a"][0] = spelling.as_str().into());
        assert!(matches!(error, JsonError::Number { field: "pi_a" }), "{spelling}: {error}");
    }
    for spelling in ["", " 1", "0x1", "1e3", &"9".repeat(100_000)] {
        let error = with(&|value| value["pi_b"][1][0] = spelling.into());
        assert!(matches!(error, JsonError::Number { field: "pi_b" }));
    }
    let off = with(&|value| value["pi_c"][1] = "1".into());
    assert!(matches!(off, JsonError::Point { field: "pi_c", why: PointError::Curve }));
    let infinity = with(&|value| value["pi_a"][2] = "0".into());
    assert!(matches!(infinity, JsonError::Point { why: PointError::Infinity, .. }));
    let curve = with(&|value| value["curve"] = "bls12381".into());
    assert!(matches!(curve, JsonError::Foreign { field: "curve", .. }));
    let protocol = with(&|value| value["protocol"] = "plonk".into());
    assert!(matches!(protocol, JsonError::Foreign { field: "protocol", .. }));
    assert!(matches!(refused("[]"), JsonError::Json(_)));
    assert!(matches!(refused(&PROOF[..PROOF.len() - 2]), JsonError::Json(_)));
    let signal = signals_from_json(&format!("[\"{}\"]", Fr::MODULUS));
    assert!(matches!(signal, Err(JsonError::Number { .. })));
    let key = KEY.replace("\"nPublic\": 2", "\"nPublic\": 3");
    let error = verifying_key_from_json(&key).unwrap_err();
    assert!(matches!(error, JsonError::Signals { points: 3, signals: 3 }), "{error}");
}
