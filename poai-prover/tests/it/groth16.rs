//! Inference proofs, checked natively.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::AffineRepr;
use ark_ff::AdditiveGroup;
use poai_core::inference::{
    Address, Binding, FieldElement, Groth16DecodeError, Groth16Proof, InferenceDecodeError,
    InferenceProof, PointError, Signals, SignalsError, VerifyingKey,
};
use poai_core::{Job, ProgramId};
use poai_testing::groth16::Setup;
use poai_verify::inference::{
    False, InferenceError, InferenceMalformed, InferenceVerified, InferenceVerifier, solidity,
};
use std::fs;
use std::ops::Neg;
use std::path::Path;
use std::time::Instant;

fn binding() -> Binding {
    Binding { program: ProgramId([1; 32]), job: Job([2; 32]), prover: Address([3; 20]), macs: 4 }
}

/// Signals: a binding, then small numbers.
fn signals(count: usize) -> Signals {
    let others = (1..count).map(|index| FieldElement::from(100 + index as u64));
    Signals::new([binding().signal()].into_iter().chain(others).collect()).unwrap()
}

/// A verifier of the binding's program.
fn verifier_of(key: &VerifyingKey) -> InferenceVerifier {
    InferenceVerifier::new(binding().program, binding().macs, key.clone())
}

/// The verdict on a proof for any binding.
fn verify(
    verifier: &InferenceVerifier,
    binding: &Binding,
    proof: &InferenceProof,
) -> Result<InferenceVerified, InferenceError> {
    let verifier = verifier.for_program(binding.program, binding.macs);
    verifier.verify_proof(binding.job, binding.prover, proof)
}

/// The verdict on bytes.
fn verify_bytes(
    verifier: &InferenceVerifier,
    bytes: &[u8],
) -> Result<InferenceVerified, InferenceError> {
    verifier.verify(binding().job, binding().prover, bytes)
}

/// A setup, its verifier, and a valid proof.
fn proven(count: usize) -> (Setup, InferenceVerifier, InferenceProof) {
    let setup = Setup::new(count, count as u64);
    let verifier = verifier_of(&setup.key);
    let signals = signals(count);
    let proof = setup.prove(&signals, 1);
    let proof = InferenceProof { proof, key: setup.key.digest(), signals };
    (setup, verifier, proof)
}

/// rustc 1.95 miscompiles some closures that negate points (SECURITY.md), and
/// the verifier negates two points of every key. It calls `neg`, whose sums
/// this test compares. The test prints whether closures give the same points.
#[test]
fn negated_points_sum_to_zero() {
    let (mut g1, mut g2) = (G1Affine::generator(), G2Affine::generator());
    let mut closures = true;
    for _ in 0..16 {
        assert_eq!(g1.neg() + g1, G1Projective::ZERO);
        assert_eq!(g2.neg() + g2, G2Projective::ZERO);
        let (first, second) = ([g1].map(|p| -p), [g2].map(|p| -p));
        closures &= first[0] + g1 == G1Projective::ZERO && second[0] + g2 == G2Projective::ZERO;
        (g1, g2) = ((g1 + g1).into(), (g2 + g2).into());
    }
    println!(
        "closures that negate points are compiled {}",
        if closures { "right" } else { "WRONG" }
    );
}

/// No library code has a closure that negates its argument.
#[test]
fn no_closure_negates_its_argument() {
    fn search(folder: &Path, found: &mut Vec<String>, files: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                search(&path, found, files);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            *files += 1;
            for line in text.lines() {
                // Finds `|name| -name`, also with a reference on either side.
                let mut parts = line.split('|').skip(1);
                while let (Some(name), Some(body)) = (parts.next(), parts.clone().next()) {
                    let name = name.trim().trim_start_matches('&');
                    let body = body.trim_start();
                    let negated = body.strip_prefix('-').map(|rest| rest.trim_start_matches('*'));
                    let word =
                        |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
                    if word(name) && negated.is_some_and(|rest| rest.starts_with(name)) {
                        found.push(format!("{}: {line}", path.display()));
                    }
                }
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut found, mut files) = (vec![], 0);
    for library in ["poai-core", "poai-prover", "poai-verify"] {
        search(&root.join(library).join("src"), &mut found, &mut files);
    }
    assert!(files > 100, "{files} files were read");
    assert!(found.is_empty(), "expected `neg` in place of a closure, got {found:#?}");
}

const FALSE: InferenceError = InferenceError::False(False::Pairing);

#[test]
fn proofs_hold_for_one_to_six_signals() {
    for count in 1..=6 {
        let (setup, verifier, proof) = proven(count);
        let verified = verify(&verifier, &binding(), &proof).unwrap();
        assert_eq!((&verified.signals, verified.key), (&proof.signals, setup.key.digest()));
        let bytes = proof.to_bytes();
        assert_eq!(bytes.len(), 128 + 32 + 32 * count);
        assert_eq!(verify_bytes(&verifier, &bytes), Ok(verified));
        // The decoded key is the same key.
        let other = verifier_of(&VerifyingKey::from_bytes(&setup.key.to_bytes()).unwrap());
        verify(&other, &binding(), &proof).unwrap();
    }
}

#[test]
fn verifiers_are_shared_by_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let (_, verifier, proof) = proven(2);
    shared(&verifier);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| verify(&verifier.clone(), &binding(), &proof).unwrap());
        }
    });
}

#[test]
fn another_binding_is_refused() {
    let (_, verifier, proof) = proven(4);
    let others = [
        Binding { program: ProgramId([9; 32]), ..binding() },
        Binding { job: Job([9; 32]), ..binding() },
        Binding { prover: Address([9; 20]), ..binding() },
        Binding { macs: 5, ..binding() },
    ];
    for other in others {
        assert_eq!(verify(&verifier, &other, &proof), Err(False::Binding.into()));
        // Replacing the binding in the signals does not help either.
        let mut elements = proof.signals.elements().to_vec();
        elements[0] = other.signal();
        let signals = Signals::new(elements).unwrap();
        let proof = InferenceProof { signals, ..proof.clone() };
        assert_eq!(verify(&verifier, &other, &proof), Err(FALSE));
    }
}

#[test]
fn other_signals_are_refused() {
    let (_, verifier, proof) = proven(4);
    let elements: Vec<Fr> = proof.signals.elements().iter().copied().map(Fr::from).collect();
    let refuse = |elements: Vec<Fr>| {
        let elements = elements.into_iter().map(FieldElement::from).collect();
        let signals = Signals::new(elements).unwrap();
        assert_eq!(verifier.verify_signals(&proof.proof, &signals), Err(FALSE), "{signals:?}");
    };
    for index in 0..4 {
        for changed in [elements[index] + Fr::from(1), -elements[index], Fr::from(0)] {
            let mut other = elements.to_vec();
            other[index] = changed;
            refuse(other);
        }
        for second in 0..index {
            let mut other = elements.to_vec();
            other.swap(index, second);
            refuse(other);
        }
    }
    for count in [1, 3, 5, 6] {
        let other = InferenceProof { signals: signals(count), ..proof.clone() };
        let error = InferenceMalformed::Signals { expected: 4, got: count };
        assert_eq!(verify(&verifier, &binding(), &other), Err(error.into()));
    }
}

#[test]
fn other_points_are_refused() {
    let (_, verifier, proof) = proven(4);
    let refuse = |a: G1Affine, b: G2Affine, c: G1Affine| {
        let proof = Groth16Proof::new(a, b, c).unwrap();
        assert_eq!(verifier.verify_signals(&proof, &signals(4)), Err(FALSE));
    };
    let (a, b, c) = (*proof.proof.a(), *proof.proof.b(), *proof.proof.c());
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    refuse((a + g1).into(), b, c);
    refuse(a, (b + g2).into(), c);
    refuse(a, b, (c + g1).into());
    refuse(a.neg(), b, c);
    refuse(a, b.neg(), c);
    refuse(a, b, c.neg());
    refuse(c, b, a);
    // With A and B both negated, the product is the same: this is another proof
    // of the same statement, and so is a rerandomised proof.
    let both = Groth16Proof::new(a.neg(), b.neg(), c).unwrap();
    verifier.verify_signals(&both, &signals(4)).unwrap();
    let setup = Setup::new(4, 4);
    let other = setup.rerandomised(&proof.proof, 5);
    assert_ne!(other, proof.proof);
    verifier.verify_signals(&other, &signals(4)).unwrap();
    // Neither of them proves another statement.
    assert_eq!(setup.rerandomised(&both, 6).to_bytes().len(), 128);
    let mut elements = signals(4).elements().to_vec();
    elements.swap(2, 3);
    let swapped = Signals::new(elements).unwrap();
    assert_eq!(verifier.verify_signals(&other, &swapped), Err(FALSE));
}

#[test]
fn another_key_is_refused() {
    let (setup, verifier, proof) = proven(4);
    let other = Setup::new(4, 104);
    let others = verifier_of(&other.key);
    let error = False::Key { expected: others.digest(), got: setup.key.digest() };
    assert_eq!(verify(&others, &binding(), &proof), Err(error.into()));
    // Naming the other key does not help either.
    let named = InferenceProof { key: others.digest(), ..proof.clone() };
    assert_eq!(verify(&others, &binding(), &named), Err(FALSE));
    let theirs = InferenceProof { proof: other.prove(&proof.signals, 1), ..proof };
    assert_eq!(verify(&verifier, &binding(), &theirs), Err(FALSE));
}

/// No bit of a proof's bytes can be flipped.
#[test]
fn flipped_bits_are_refused() {
    let (_, verifier, proof) = proven(2);
    let bytes = proof.to_bytes();
    let (mut malformed, mut false_) = (0, 0);
    for bit in 0..8 * bytes.len() {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        match verify_bytes(&verifier, &other) {
            Err(InferenceError::Malformed(_)) => malformed += 1,
            Err(InferenceError::False(_)) => false_ += 1,
            other => panic!("bit {bit} flipped: {other:?}"),
        }
    }
    // A flip in the x of a G1 point, or in a sign, leaves a point in about half
    // of the cases.
    assert!(malformed > 500 && false_ > 500, "{malformed} malformed, {false_} false");
}

#[test]
fn other_encodings_are_refused() {
    let (_, verifier, proof) = proven(2);
    let bytes = proof.to_bytes();
    let verify = |bytes: &[u8]| verify_bytes(&verifier, bytes);
    let malformed = |error: InferenceDecodeError| Err(InferenceMalformed::Encoding(error).into());
    let length = |length| malformed(InferenceDecodeError::Length(length));
    assert_eq!(verify(&[]), length(0));
    assert_eq!(verify(&bytes[..223]), length(223));
    assert_eq!(verify(&[&bytes[..], &[0]].concat()), length(225));
    assert_eq!(verify(&vec![0; 1 << 20]), length(1 << 20));
    // Signal 1 is 101. With the modulus added, it is still a word.
    let mut other = bytes.clone();
    let modulus = hex::decode("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001");
    other[192..].copy_from_slice(&modulus.unwrap());
    other[223] += 101;
    let element = SignalsError::Element { index: 1 };
    assert_eq!(verify(&other), malformed(element.into()));
    let mut other = bytes.clone();
    other[..32].fill(0);
    other[31] = 0x40;
    let infinity = Groth16DecodeError::Point { point: 'A', source: PointError::Infinity };
    assert_eq!(verify(&other), malformed(infinity.into()));
}

#[test]
fn contracts_need_a_name() {
    let key = Setup::new(1, 1).key;
    for name in ["", "1a", "a b", "a-b", "ä", "a;", &"a".repeat(65)] {
        assert!(solidity(&key, name).is_err(), "{name}");
    }
    let text = solidity(&key, "_Name1").unwrap();
    assert!(text.contains("contract _Name1 {") && !text.contains("{{"), "{text}");
    assert!(text.contains(&format!("0x{}", key.digest())));
}

#[test]
fn how_long_it_takes() {
    let (_, verifier, proof) = proven(6);
    let bytes = proof.to_bytes();
    let took = (0..20).map(|_| {
        let start = Instant::now();
        verify_bytes(&verifier, &bytes).unwrap();
        start.elapsed()
    });
    let least = took.min().unwrap();
    println!("checking a proof of six signals takes {least:?} (least of 20)");
    // The limit is far above the time of an optimised build, and far below that of a schoolbook
    // pairing.
    assert!(least.as_millis() < 100);
}
