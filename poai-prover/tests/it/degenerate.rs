//! Degenerate verifying keys: the proofs that any party can forge under them,
//! and tests that no function which reads or makes a key returns one.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, Field};
use ark_groth16::{Proof, VerifyingKey as Points};
use ark_serialize::CanonicalSerialize;
use poai_core::ProgramId;
use poai_core::inference::{
    FieldElement, Groth16Proof, PointError, Signals, VerifyingKey, VerifyingKeyError, Visibility,
};
use poai_core::program::RunShape;
use poai_prover::internal::json::{JsonError, verifying_key_from_json, verifying_key_to_json};
use poai_prover::internal::{verifying_key, write_verifying_key};
use poai_prover::keys::{
    ConstraintDigest, KeyError, KeyIdentity, KeyOrigin, KeyOwner, KeyProblem, KeyPurpose,
    read_verifying_key,
};
use poai_testing::chain::verify;
use poai_testing::groth16::Setup;
use poai_verify::inference::InferenceVerifier;
use std::fs;
use std::sync::LazyLock;

/// A key of a setup of two signals, as arkworks has it.
static HONEST: LazyLock<Points<Bn254>> = LazyLock::new(|| {
    let key = Setup::new(2, 2).key;
    Points {
        alpha_g1: *key.alpha(),
        beta_g2: *key.beta(),
        gamma_g2: *key.gamma(),
        delta_g2: *key.delta(),
        gamma_abc_g1: key.ic().to_vec(),
    }
});

/// The signals that an attacker wants to prove.
const SIGNALS: [u64; 2] = [666, 667];

fn times<P: AffineRepr<ScalarField = Fr>>(point: P, factor: Fr) -> P {
    (point * factor).into_affine()
}

/// The signals' combination of the key's points.
fn combination(key: &Points<Bn254>) -> G1Affine {
    let signals = [Fr::ONE, Fr::from(SIGNALS[0]), Fr::from(SIGNALS[1])];
    let sum: ark_bn254::G1Projective =
        key.gamma_abc_g1.iter().zip(signals).map(|(point, signal)| *point * signal).sum();
    sum.into_affine()
}

/// Whether the equation holds, for any key.
fn equation_holds(key: &Points<Bn254>, (a, b, c): (G1Affine, G2Affine, G1Affine)) -> bool {
    // The points must be valid in a proof.
    Groth16Proof::new(a, b, c).unwrap();
    verify(key, &SIGNALS.map(Fr::from), &Proof { a, b, c })
}

/// The canonical bytes that the key would have.
fn encoded(key: &Points<Bn254>) -> Vec<u8> {
    let mut bytes = vec![];
    key.alpha_g1.serialize_compressed(&mut bytes).unwrap();
    for point in [key.beta_g2, key.gamma_g2, key.delta_g2] {
        point.serialize_compressed(&mut bytes).unwrap();
    }
    for point in &key.gamma_abc_g1 {
        point.serialize_compressed(&mut bytes).unwrap();
    }
    bytes
}

const PURPOSE: KeyPurpose = KeyPurpose {
    owner: KeyOwner::Program(ProgramId([7; 32])),
    visibility: Visibility::PUBLIC,
    run: RunShape::new(1, 1),
};

/// A key file with these points, made by hand with the right hash.
fn key_file(key: &Points<Bn254>, identity: &KeyIdentity) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("honest.key");
    write_verifying_key(&path, identity, KeyOrigin::SingleParty, &HONEST).unwrap();
    let honest = fs::read(&path).unwrap();
    let points = 64 * (1 + key.gamma_abc_g1.len()) + 128 * 3;
    let mut bytes = honest[..honest.len() - 32 - points].to_vec();
    // In Montgomery form. Infinity is all zeros.
    let g1 = |bytes: &mut Vec<u8>, point: &G1Affine| match point.xy() {
        None => bytes.extend([0; 64]),
        Some((x, y)) => [x, y].iter().for_each(|part| bytes.extend(part.0.to_bytes_le())),
    };
    g1(&mut bytes, &key.alpha_g1);
    for point in [key.beta_g2, key.gamma_g2, key.delta_g2] {
        let parts = [point.x.c0, point.x.c1, point.y.c0, point.y.c1];
        parts.iter().for_each(|part| bytes.extend(part.0.to_bytes_le()));
    }
    key.gamma_abc_g1.iter().for_each(|point| g1(&mut bytes, point));
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 key file");
    hasher.update(&bytes);
    let hash = *hasher.finalize().as_bytes();
    [bytes, hash.to_vec()].concat()
}

/// Asserts that every way to make a key rejects these points.
///
/// The ways are coordinates, bytes, serde, snarkjs' JSON, arkworks' points, a key file that is
/// written, and a key file that is read. (The tests of `.zkey` files cover that format.) A
/// verifier, a contract and a deployment need a `VerifyingKey`, which then does not exist.
#[track_caller]
fn no_verifier_is_made(key: &Points<Bn254>, expected: VerifyingKeyError) {
    let ic = key.gamma_abc_g1.clone();
    let made = VerifyingKey::new(key.alpha_g1, key.beta_g2, key.gamma_g2, key.delta_g2, ic);
    assert_eq!(made, Err(expected));
    let bytes = encoded(key);
    let point = matches!(expected, VerifyingKeyError::Point { .. });
    assert_eq!(VerifyingKey::from_bytes(&bytes), Err(expected));
    let json = format!("\"{}\"", hex::encode(&bytes));
    assert!(serde_json::from_str::<VerifyingKey>(&json).is_err());
    match verifying_key_from_json(&verifying_key_to_json(key)) {
        Err(JsonError::VerifyingKey(got)) => assert_eq!(got, expected),
        Err(JsonError::Point { why: PointError::Infinity, .. }) if point => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(verifying_key(key), Err(expected));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verifying.key");
    let constraints = ConstraintDigest([1; 32]);
    let identity =
        KeyIdentity { purpose: PURPOSE, constraints, signals: 2, variables: 9, domain: 8 };
    let refused = |error| match error {
        KeyError::File { source: KeyProblem::VerifyingKey(got), .. } => assert_eq!(got, expected),
        KeyError::File { source: KeyProblem::Point { why: PointError::Infinity, .. }, .. }
            if point => {}
        other => panic!("{other:?}"),
    };
    let origin = KeyOrigin::SingleParty;
    refused(write_verifying_key(&path, &identity, origin, key).unwrap_err());
    assert!(!path.exists());
    // With the file made by hand, an honest key is read and this one is not.
    fs::write(&path, key_file(&HONEST, &identity)).unwrap();
    assert_eq!(read_verifying_key(&path, &PURPOSE).unwrap().1, verifying_key(&HONEST).unwrap());
    fs::write(&path, key_file(key, &identity)).unwrap();
    refused(read_verifying_key(&path, &PURPOSE).unwrap_err());
}

fn related(first: &'static str, second: &'static str, opposite: bool) -> VerifyingKeyError {
    VerifyingKeyError::Related { first, second, opposite }
}

/// δ = γ, which snarkjs writes without a contribution: C absorbs any signals.
#[test]
fn a_key_without_contribution_makes_no_verifier() {
    for opposite in [false, true] {
        let sign = if opposite { -Fr::ONE } else { Fr::ONE };
        let mut key = HONEST.clone();
        key.delta_g2 = times(key.gamma_g2, sign);
        // e(L, γ) · e(C, ±γ) = 1.
        let c = times(combination(&key), -sign);
        assert!(equation_holds(&key, (key.alpha_g1, key.beta_g2, c)));
        assert!(!equation_holds(&HONEST, (key.alpha_g1, key.beta_g2, c)));
        no_verifier_is_made(&key, related("gamma", "delta", opposite));
    }
}

/// γ = ±β: A absorbs any signals. A multiple of δ keeps every point away from infinity.
#[test]
fn a_key_whose_gamma_is_beta_makes_no_verifier() {
    for opposite in [false, true] {
        let sign = if opposite { -Fr::ONE } else { Fr::ONE };
        let mut key = HONEST.clone();
        key.gamma_g2 = times(key.beta_g2, sign);
        let (t, l) = (Fr::from(3u64), combination(&key));
        let a = (key.alpha_g1 + times(l, sign)).into_affine();
        let b = (key.beta_g2 + times(key.delta_g2, t)).into_affine();
        assert!(equation_holds(&key, (a, b, times(a, t))));
        no_verifier_is_made(&key, related("beta", "gamma", opposite));
    }
}

/// δ = ±β: C cancels e(α, β), and A and B follow from the signals.
#[test]
fn a_key_whose_delta_is_beta_makes_no_verifier() {
    for opposite in [false, true] {
        let sign = if opposite { -Fr::ONE } else { Fr::ONE };
        let mut key = HONEST.clone();
        key.delta_g2 = times(key.beta_g2, sign);
        let c = times(key.alpha_g1, -sign);
        assert!(equation_holds(&key, (combination(&key), key.gamma_g2, c)));
        no_verifier_is_made(&key, related("beta", "delta", opposite));
    }
}

/// With α at infinity, e(α, β) is one, and A, B and C depend on L only.
#[test]
fn a_key_whose_alpha_is_infinity_makes_no_verifier() {
    let mut key = HONEST.clone();
    key.alpha_g1 = G1Affine::zero();
    let (t, l) = (Fr::from(3u64), combination(&key));
    let b = (key.gamma_g2 + times(key.delta_g2, t)).into_affine();
    assert!(equation_holds(&key, (l, b, times(l, t))));
    let source = PointError::Infinity;
    let infinity = VerifyingKeyError::Point { point: "alpha", index: None, source };
    no_verifier_is_made(&key, infinity);
}

/// A signal whose point is at infinity may have any value.
#[test]
fn a_key_that_binds_a_signal_by_nothing_makes_no_verifier() {
    let mut key = HONEST.clone();
    key.gamma_abc_g1[2] = G1Affine::zero();
    let proof = simulated(&mut key);
    for other in [0u64, 1, 668] {
        assert!(verify(&key, &[SIGNALS[0].into(), other.into()], &proof));
    }
    let (point, index, source) = ("ic", Some(2), PointError::Infinity);
    no_verifier_is_made(&key, VerifyingKeyError::Point { point, index, source });
}

/// If two signals have equal points, a proof binds only their sum; with opposite points, only their
/// difference. A proof for one binding is then valid for every other.
#[test]
fn a_key_that_binds_two_signals_by_one_point_makes_no_verifier() {
    for opposite in [false, true] {
        let sign = if opposite { -Fr::ONE } else { Fr::ONE };
        let mut key = HONEST.clone();
        key.gamma_abc_g1[2] = times(key.gamma_abc_g1[1], sign);
        let proof = simulated(&mut key);
        for by in [1u64, 1 << 40].map(Fr::from) {
            let moved = [Fr::from(SIGNALS[0]) + by, Fr::from(SIGNALS[1]) - by * sign];
            assert!(verify(&key, &moved, &proof));
        }
        let (first, second) = (1, 2);
        let expected = VerifyingKeyError::Interchangeable { first, second, opposite };
        no_verifier_is_made(&key, expected);
    }
}

/// A proof of the signals by the party that made the setup and kept its secrets. It replaces α, β,
/// γ and δ of the key with known multiples of the generators.
fn simulated(key: &mut Points<Bn254>) -> Proof<Bn254> {
    let [alpha, beta, gamma, delta, x, y] = [11u64, 12, 13, 14, 15, 16].map(Fr::from);
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    key.alpha_g1 = times(g1, alpha);
    [key.beta_g2, key.gamma_g2, key.delta_g2] = [beta, gamma, delta].map(|by| times(g2, by));
    // x·y = α·β + L·γ + C·δ.
    let rest = times(g1, x * y - alpha * beta) - times(combination(key), gamma);
    let c = times(rest.into_affine(), delta.inverse().unwrap());
    let proof = Proof { a: times(g1, x), b: times(g2, y), c };
    assert!(equation_holds(key, (proof.a, proof.b, proof.c)));
    proof
}

/// The points of the honest key make a key in every pairing, and its verifier
/// rejects the forgeries above.
#[test]
fn an_honest_keys_verifier_refuses_the_forgeries() {
    let key = &*HONEST;
    let verifier = VerifyingKey::from_bytes(&encoded(key)).unwrap();
    let verifier = InferenceVerifier::new(ProgramId([7; 32]), 1, verifier);
    let signals = Signals::new(SIGNALS.map(FieldElement::from).to_vec()).unwrap();
    let (l, alpha) = (combination(key), key.alpha_g1);
    let t = Fr::from(3u64);
    let sum = |a: G2Affine, b: G2Affine| (a + times(b, t)).into_affine();
    for sign in [Fr::ONE, -Fr::ONE] {
        let a = (alpha + times(l, sign)).into_affine();
        for (a, b, c) in [
            (alpha, key.beta_g2, times(l, -sign)),
            (a, sum(key.beta_g2, key.delta_g2), times(a, t)),
            (l, key.gamma_g2, times(alpha, -sign)),
            (l, sum(key.gamma_g2, key.delta_g2), times(l, t)),
        ] {
            let proof = Groth16Proof::new(a, b, c).unwrap();
            assert!(verifier.verify_signals(&proof, &signals).is_err());
        }
    }
}
