//! The cost of every certificate after the first.
//!
//! A proof is valid for one binding, and a party that has the witness can make
//! it valid for any other. So receipts state what is true, and measure no work
//! (spec §16).

use crate::shared::{HASHED, MLP, SALTS, circuit};
use ark_bn254::{Bn254, Fr, G1Projective, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use ark_groth16::Proof;
use light_poseidon::{Poseidon, PoseidonHasher};
use poai_core::Job;
use poai_core::inference::{
    Address, Binding, FieldElement, Groth16Proof, InferenceProof, Signals, TensorVisibility,
    Visibility, WeightsVisibility,
};
use poai_core::program::Dtype;
use poai_engine::execute::Tensor;
use poai_prover::internal::{Built, Witness, points, synthesise};
use poai_testing::chain::Chain;
use poai_testing::layers::{input, mlp, wide};
use std::time::Instant;

/// Replaces the binding and its square: the first signal, and the first
/// witness.
fn rebound(honest: &Chain, binding: Fr) -> Chain {
    let mut assignment = honest.assignment.clone();
    assignment[1] = binding;
    assignment[1 + honest.matrices.signals] = binding.square();
    let chain = Chain { matrices: honest.matrices.clone(), assignment };
    assert!(chain.satisfied());
    chain
}

/// The attack, on a circuit of fixed weights, in which only the square uses the binding.
///
/// Three proofs of one witness, made once, give the proof for any binding at four multiplications
/// of points. Two more multiplications rerandomise it. The cost does not depend on the circuit's
/// size.
#[test]
fn a_second_certificate_costs_six_multiplications_where_nothing_ties_it() {
    let (circuit, key) = (MLP.key.circuit(), points(&MLP.key));
    let first = MLP.proven.binding;
    let x = input(&mlp(3), 8);
    let witness = Witness { input: x, binding: first.signal().into(), salts: SALTS };
    let (matrices, assignment) = synthesise(circuit, Some(&witness)).unwrap().system.into_parts();
    let honest = Chain { matrices, assignment };
    // A and B are linear in the binding, and C is a polynomial of degree 2. Its
    // values at −1, 0 and 1 determine it.
    let [below, at, above] = [-Fr::ONE, Fr::ZERO, Fr::ONE].map(|by| {
        let proof =
            rebound(&honest, Fr::from(first.signal()) + by).prove_masked(key, [Fr::ZERO; 2]);
        (G1Projective::from(proof.a), G2Projective::from(proof.b), G1Projective::from(proof.c))
    });
    let half = Fr::from(2u64).inverse().unwrap();
    let (a, b) = (above.0 - at.0, above.1 - at.1);
    let [linear, square] = [(above.2 - below.2) * half, (above.2 + below.2) * half - at.2];

    let verifier = MLP.key.verifier();
    let (mut took, jobs) = (0.0, 20);
    for job in 1..=jobs {
        // Other jobs, and other provers.
        let binding = Binding { job: Job([job; 32]), prover: Address([job % 3; 20]), ..first };
        let start = Instant::now();
        let by = Fr::from(binding.signal()) - Fr::from(first.signal());
        let proof = Proof::<Bn254> {
            a: (at.0 + a * by).into_affine(),
            b: (at.1 + b * by).into_affine(),
            c: (at.2 + linear * by + square * by.square()).into_affine(),
        };
        took += start.elapsed().as_secs_f64();
        let mut signals = honest.signals().to_vec();
        signals[0] = binding.signal().into();
        let proof = Groth16Proof::new(proof.a, proof.b, proof.c).unwrap();
        let signals = signals.into_iter().map(FieldElement::from).collect();
        let signals = Signals::new(signals).unwrap();
        let proof = InferenceProof { proof, key: verifier.digest(), signals };
        verifier.verify_proof(binding.job, binding.prover, &proof).unwrap();
    }
    println!("{jobs} more certificates took {:.2} ms each", took * 1e3 / f64::from(jobs));
    // A payer that does not require its own input cannot detect this: input and
    // output are those of the first certificate.
    assert_eq!(circuit.layout().visibility(), HASHED);
}

/// A run of `wide` with a binding.
fn tied(binding: u64) -> (Chain, Tensor) {
    let network = wide();
    let visibility = Visibility {
        weights: WeightsVisibility::Committed,
        output: TensorVisibility::Hashed,
        ..HASHED
    };
    let circuit = circuit(&network, visibility);
    let x = input(&network, 8);
    let witness = Witness { input: x.clone(), binding: Fr::from(binding), salts: SALTS };
    let Built { system, .. } = synthesise(&circuit, Some(&witness)).unwrap();
    let (matrices, assignment) = system.into_parts();
    (Chain { matrices, assignment }, x)
}

/// If a challenge checks sums, the challenge is a hash of the binding. The same attack gives
/// assignments that satisfy nothing. The attacker must compute the witnesses that follow from the
/// challenge again, and multiply them by the key's points.
#[test]
fn a_second_certificate_costs_the_challenges_part_where_they_tie_it() {
    let [(below, _), (at, _), (above, _)] = [76, 77, 78].map(tied);
    let all = at.assignment.len();
    let changed = (0..all).filter(|&i| at.assignment[i] != above.assignment[i]).count();
    println!(
        "{} constraints; another binding changes {changed} of {all} variables, {:.1} %",
        at.matrices.rows(),
        changed as f64 * 100.0 / all as f64
    );
    assert!(changed * 20 > all, "{changed} of {all}");
    // In the untied circuit, these are the binding and its square.
    let mut moved = Chain { matrices: at.matrices.clone(), assignment: at.assignment.clone() };
    let to = Fr::from(79u64);
    moved.assignment[1] = to;
    moved.assignment[1 + at.matrices.signals] = to.square();
    assert!(!moved.satisfied());
    // The variables are not polynomials of degree 2 of the binding either.
    let (half, by) = (Fr::from(2u64).inverse().unwrap(), Fr::from(2u64));
    for (i, variable) in moved.assignment.iter_mut().enumerate() {
        let [below, at, above] = [&below, &at, &above].map(|chain| chain.assignment[i]);
        let (linear, square) = ((above - below) * half, (above + below) * half - at);
        *variable = at + linear * by + square * by.square();
    }
    assert_eq!(moved.assignment[1], to);
    assert!(!moved.satisfied());
    assert!(tied(79).0.satisfied());
}

/// ⌊248/b⌋ entries for each element, starting at −2^(b−1), the first as the
/// lowest digit.
fn packed(bits: u32, entries: &[i64]) -> Vec<Fr> {
    let element = |entries: &[i64]| {
        let base = Fr::from(2u64).pow([bits.into()]);
        let digit = |&entry: &i64| Fr::from((entry + (1 << (bits - 1))) as u64);
        entries.iter().rev().fold(Fr::ZERO, |sum, entry| sum * base + digit(entry))
    };
    entries.chunks((248 / bits) as usize).map(element).collect()
}

/// The circuit contains ρ, computed by hand from the text of spec §16.
#[test]
fn the_challenge_is_the_specifications() {
    let (chain, x) = tied(77);
    let network = wide();
    let wide = |tensor: &Tensor| tensor.entries().iter().map(|&entry| entry.into()).collect();
    let x: Vec<i64> = wide(&x);
    let held = &network.constants()[0].tensor;
    assert_eq!(held.extent().dtype, Dtype::I8);
    let w: Vec<i64> = wide(held);
    let k = 48;
    let sums: Vec<i64> = x
        .chunks(k)
        .flat_map(|row| {
            let dot = move |w: &[i64]| row.iter().zip(w).map(|(x, w)| x * w).sum();
            w.chunks(k).map(dot)
        })
        .collect();
    // i8 entries are −64 to 63: 7 bits for 64 and one for the sign. Sums are
    // below 48·64² in magnitude, which has 18 bits.
    let mut elements = vec![Fr::from_le_bytes_mod_order(b"poai:freivalds"), Fr::from(77u64)];
    elements.extend(packed(8, &x));
    elements.extend(packed(8, &w));
    elements.extend(packed(19, &sums));
    let (first, rest) = elements.split_at(12);
    let hash = |inputs: &[Fr]| Poseidon::<Fr>::new_circom(inputs.len()).unwrap().hash(inputs);
    let rho = rest
        .chunks(11)
        .fold(hash(first).unwrap(), |hashed, part| hash(&[&[hashed], part].concat()).unwrap());
    // ρ is not a variable, but each row's sums are multiplied by it: the last sum of a row times ρ
    // is the first product of its Horner's rule.
    for row in sums.chunks(k) {
        let product = Fr::from(*row.last().unwrap()) * rho;
        assert!(chain.assignment.contains(&product));
    }
    let other = rho + Fr::ONE;
    assert!(!chain.assignment.contains(&(Fr::from(sums[k - 1]) * other)));
}
