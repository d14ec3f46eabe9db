//! Constraints, the quotient, and keys of a single party.
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, FftField, Field, UniformRand};
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::univariate::DensePolynomial;
use ark_poly::{DenseUVPolynomial, EvaluationDomain, GeneralEvaluationDomain, Polynomial};
use ark_relations::gr1cs::SynthesisError;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_prover::KeyError;
use poai_prover::internal::{CircomReduction, Matrices, insecure_single_party_setup};
use poai_prover::keys::{ConstraintDigest, MatricesError};
use poai_testing::chain::{Chain, chain, verify};

type Domain = GeneralEvaluationDomain<Fr>;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn proofs_of_true_assignments_alone_pass() {
    // 5 constraints, two signals and the one fill a domain; 6 constraints need
    // the next.
    for rows in [2, 5, 6, 40] {
        let chain = chain(rows, 3, 11);
        assert!(chain.satisfied());
        let key = insecure_single_party_setup(&chain.matrices, &mut rng()).unwrap();
        assert_eq!(key.h_query.len(), (rows + 3).next_power_of_two());
        let proof = chain.prove(&key, &mut rng());
        assert!(verify(&key.vk, chain.signals(), &proof));
        for signal in 0..chain.signals().len() {
            let mut signals = chain.signals().to_vec();
            signals[signal] += Fr::ONE;
            assert!(!verify(&key.vk, &signals, &proof), "{rows} rows, signal {signal}");
        }
    }
}

#[test]
fn a_false_variable_fails() {
    let true_chain = chain(6, 3, 11);
    let key = insecure_single_party_setup(&true_chain.matrices, &mut rng()).unwrap();
    for variable in 0..true_chain.matrices.variables {
        let mut false_chain = Chain {
            matrices: true_chain.matrices.clone(),
            assignment: true_chain.assignment.clone(),
        };
        false_chain.assignment[variable] += Fr::ONE;
        assert!(!false_chain.satisfied(), "variable {variable} is free");
        let proof = false_chain.prove(&key, &mut rng());
        assert!(!verify(&key.vk, false_chain.signals(), &proof), "variable {variable}");
        assert!(!verify(&key.vk, true_chain.signals(), &proof), "variable {variable}");
    }
}

#[test]
fn proofs_of_one_assignment_share_nothing() {
    let chain = chain(6, 3, 11);
    let key = insecure_single_party_setup(&chain.matrices, &mut rng()).unwrap();
    let mut rng = rng();
    let (first, second) = (chain.prove(&key, &mut rng), chain.prove(&key, &mut rng));
    assert!(verify(&key.vk, chain.signals(), &first) && verify(&key.vk, chain.signals(), &second));
    assert!(first.a != second.a && first.b != second.b && first.c != second.c);
}

#[test]
fn the_quotient_is_libsnarks_on_the_odd_coset() {
    for rows in [2, 5, 6, 40] {
        let Chain { matrices, assignment } = chain(rows, 3, 11);
        let (instances, n) = (matrices.signals + 1, matrices.domain().unwrap());
        let got = CircomReduction::quotient::<Fr, Domain>(
            &matrices.a,
            &matrices.b,
            instances,
            &assignment,
        )
        .unwrap();
        // Coefficients of Q. Our values are those of Q·Z, with Z = −2.
        let quotient = LibsnarkReduction::witness_map_from_matrices::<Fr, Domain>(
            &[matrices.a, matrices.b, matrices.c],
            instances,
            rows,
            &assignment,
        )
        .unwrap();
        let quotient = DensePolynomial::from_coefficients_vec(quotient);
        let omega = Fr::get_root_of_unity(2 * n as u64).unwrap();
        assert_eq!(got.len(), n);
        for (i, got) in got.iter().enumerate() {
            let at = quotient.evaluate(&omega.pow([2 * i as u64 + 1]));
            assert_eq!(*got, -at.double(), "{rows} rows, point {i}");
        }
    }
}

#[test]
fn the_keys_scalars_are_lagranges_of_the_double_domain() {
    let mut rng = rng();
    for n in [2usize, 8, 64] {
        let (t, delta_inverse) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        let zt = t.pow([n as u64]) - Fr::ONE;
        let got = CircomReduction::h_query_scalars::<Fr, Domain>(n - 1, t, zt, delta_inverse);
        let double = Domain::new(2 * n).unwrap().evaluate_all_lagrange_coefficients(t);
        let expected: Vec<Fr> = double
            .into_iter()
            .skip(1)
            .step_by(2)
            .map(|lagrange| lagrange * delta_inverse)
            .collect();
        assert_eq!(got.unwrap(), expected);
    }
}

#[test]
fn what_does_not_fit_has_no_quotient() {
    let Chain { matrices, assignment } = chain(5, 3, 11);
    let quotient = |a: &Vec<_>, instances, assignment: &[Fr]| {
        CircomReduction::quotient::<Fr, Domain>(a, &matrices.b, instances, assignment)
    };
    let short = quotient(&matrices.a, 3, &assignment[..7]);
    assert_eq!(short, Err(SynthesisError::AssignmentMissing));
    assert_eq!(quotient(&matrices.a, 99, &assignment), Err(SynthesisError::AssignmentMissing));
    let rows = quotient(&matrices.a[1..].to_vec(), 3, &assignment);
    assert_eq!(rows, Err(SynthesisError::ArityMismatch));
    let huge = quotient(&matrices.a, usize::MAX, &assignment);
    assert_eq!(huge, Err(SynthesisError::PolynomialDegreeTooLarge));
}

#[test]
fn what_can_have_no_key_is_refused() {
    let whole = chain(5, 3, 11).matrices;
    let refusal = |change: &dyn Fn(&mut Matrices)| {
        let mut matrices = whole.clone();
        change(&mut matrices);
        match insecure_single_party_setup(&matrices, &mut rng()) {
            Err(KeyError::Matrices(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let rows = refusal(&|matrices| drop(matrices.b.pop()));
    assert_eq!(rows, MatricesError::Rows { a: 5, b: 4, c: 5 });
    let variable = refusal(&|matrices| matrices.c[3].push((Fr::ONE, 8)));
    assert_eq!(
        variable,
        MatricesError::Variable { matrix: 'C', row: 3, variable: 8, variables: 8 }
    );
    let signals = refusal(&|matrices| matrices.signals = 8);
    assert_eq!(signals, MatricesError::Signals { signals: 8, variables: 8 });
    // A zero coefficient, or two that cancel, do not use a signal.
    let unused = refusal(&|matrices| {
        for row in &mut matrices.a {
            row.iter_mut().filter(|(_, at)| *at == 2).for_each(|(by, _)| *by = Fr::ZERO);
        }
        matrices.b[0].extend([(Fr::ONE, 2), (-Fr::ONE, 2)]);
    });
    assert_eq!(unused, MatricesError::UnusedSignal { signal: 1 });
}

#[test]
fn systems_too_large_for_the_field_are_refused() {
    let matrices = Matrices { signals: (1 << 27) - 1, ..Matrices::default() };
    assert_eq!(matrices.domain(), Ok(1 << 27));
    for signals in [1 << 27, usize::MAX] {
        let matrices = Matrices { signals, ..Matrices::default() };
        let too_large = MatricesError::TooLarge { rows: 0, signals, log_max: 27 };
        assert_eq!(matrices.domain(), Err(too_large));
    }
}

#[test]
fn the_digest_is_of_what_constraints_mean() {
    let whole = chain(5, 3, 11).matrices;
    let digest = whole.digest();
    assert_eq!(
        digest.to_string(),
        "50530fa0ba667cf1acf49cfbbf46dbd9831d81c9bae8e4f65bd216ab743b3255"
    );
    // The same constraints in another spelling.
    let mut same = whole.clone();
    same.a[1].reverse();
    same.b[0].push((Fr::ZERO, 7));
    let (half, at) = (same.c[0][0].0 / Fr::from(2u64), same.c[0][0].1);
    same.c[0] = vec![(half, at), (Fr::ONE, 0), (half, at), (-Fr::ONE, 0)];
    assert_eq!(same.digest(), digest);
    // Any other change gives another digest.
    let mut seen = vec![digest];
    let mut differs = |change: &dyn Fn(&mut Matrices)| {
        let mut matrices = whole.clone();
        change(&mut matrices);
        let digest: ConstraintDigest = matrices.digest();
        assert!(!seen.contains(&digest));
        seen.push(digest);
    };
    differs(&|matrices| matrices.signals += 1);
    differs(&|matrices| matrices.variables += 1);
    differs(&|matrices| matrices.a.swap(0, 1));
    differs(&|matrices| std::mem::swap(&mut matrices.a, &mut matrices.b));
    differs(&|matrices| drop(matrices.c.pop()));
    // A term that is moved to the next row.
    differs(&|matrices| {
        let term = matrices.a[1].pop().unwrap();
        matrices.a[2].push(term);
    });
    for row in 0..whole.rows() {
        differs(&|matrices| matrices.a[row][0].0 += Fr::ONE);
        differs(&|matrices| matrices.b[row][0].1 += 1);
        differs(&|matrices| matrices.c[row].push((Fr::from(9u64), 7)));
    }
}

#[test]
fn keys_hold_rows_in_any_writing() {
    let mut chain = chain(5, 3, 11);
    let plain = insecure_single_party_setup(&chain.matrices, &mut rng()).unwrap();
    chain.matrices.a[1].reverse();
    chain.matrices.a[1].extend([(Fr::from(4u64), 5), (-Fr::from(4u64), 5)]);
    chain.matrices.b[0].push((Fr::ZERO, 4));
    assert_eq!(insecure_single_party_setup(&chain.matrices, &mut rng()).unwrap(), plain);
}
