//! The reduction of constraints to polynomials, with the quotient as snarkjs' keys need it.
//!
//! Let H be the domain of n points, ω^0, ω^2, …, ω^(2n-2), where ω has order 2n. Let A, B and C be
//! the polynomials of degree below n whose values on H are the factors and products of the
//! constraints. The prover shows that P = A·B − C vanishes on H, that is, that P = Q·Z with Z = X^n
//! − 1. It puts Q(τ)·Z(τ)/δ = P(τ)/δ into its proof, in the group.
//!
//! P has degree at most 2n − 2, so its values on all 2n powers of ω determine it: P = Σ_j
//! P(ω^j)·L_j, with L_j the Lagrange polynomials of the domain of 2n points. On the even powers,
//! which are H, P is zero. The rest is
//!
//! P(τ)/δ = Σ_i P(ω^(2i+1)) · L_(2i+1)(τ)/δ.
//!
//! A key therefore holds the n points L_(2i+1)(τ)/δ in place of τ^i·Z(τ)/δ. The prover needs P on
//! the odd coset only: it does not divide by Z, and it does not transform back. If the assignment
//! breaks a constraint, P is not zero on H, the sum above is not P(τ)/δ, and the proof fails.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, SynthesisError};
use rayon::prelude::*;

/// The reduction of every key in this crate.
///
/// Keys of ceremonies and keys of
/// [`insecure_single_party_setup`](super::setup::insecure_single_party_setup)
/// both use it.
#[derive(Clone, Copy, Debug)]
pub struct CircomReduction;

impl CircomReduction {
    /// The values of A·B − C on the odd coset, one for each point of the
    /// domain.
    ///
    /// They are the scalars of a key's points for the quotient. `a` and `b`
    /// hold the constraints' factors, `instances` is the number of signals and
    /// the one, and `assignment` gives every variable a value.
    ///
    /// # Errors
    /// - `AssignmentMissing` if a row names a variable without a value.
    /// - `ArityMismatch` if the matrices differ in rows.
    /// - `PolynomialDegreeTooLarge` if the field has no domain of this size.
    pub fn quotient<F: PrimeField, D: EvaluationDomain<F>>(
        a: &Matrix<F>,
        b: &Matrix<F>,
        instances: usize,
        assignment: &[F],
    ) -> Result<Vec<F>, SynthesisError> {
        if a.len() != b.len() {
            return Err(SynthesisError::ArityMismatch);
        }
        let too_large = || SynthesisError::PolynomialDegreeTooLarge;
        let domain = a.len().checked_add(instances).and_then(D::new).ok_or_else(too_large)?;
        let coset = odd_coset(&domain).ok_or_else(too_large)?;
        // The rows after the constraints' rows hold the one and the signals in
        // A and nothing in B. They make the polynomials of different signals
        // independent, so that no proof passes for other signals.
        let signals = assignment.get(..instances).ok_or(SynthesisError::AssignmentMissing)?;
        let mut a = values(a, signals, assignment, domain.size())?;
        let mut b = values(b, &[], assignment, domain.size())?;
        // C's values on the domain are the products that the constraints
        // require. They are computed from A and B, not from the rows of C. This
        // lets no false proof pass, because the key's points for witnesses hold
        // the rows of C.
        let mut c: Vec<F> = a.par_iter().zip(&b).map(|(a, b)| *a * b).collect();
        for values in [&mut a, &mut b, &mut c] {
            domain.ifft_in_place(values);
            coset.fft_in_place(values);
        }
        a.par_iter_mut().zip(b).zip(c).for_each(|((a, b), c)| {
            *a *= b;
            *a -= c;
        });
        Ok(a)
    }
}

impl R1CSToQAP for CircomReduction {
    /// The polynomials of the variables at `t`.
    ///
    /// They are libsnark's: only the basis of the quotient differs.
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        system: ConstraintSystemRef<F>,
        t: &F,
    ) -> Result<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize), SynthesisError> {
        LibsnarkReduction::instance_map_with_evaluation::<F, D>(system, t)
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        instances: usize,
        constraints: usize,
        assignment: &[F],
    ) -> Result<Vec<F>, SynthesisError> {
        match matrices {
            [a, b, _] if a.len() == constraints => {
                Self::quotient::<F, D>(a, b, instances, assignment)
            }
            _ => Err(SynthesisError::ArityMismatch),
        }
    }

    /// L_(2i+1)(t)/δ for each point of the domain.
    ///
    /// Let ℓ_i be the Lagrange polynomials of the odd coset alone, which has n
    /// points. Then L_(2i+1) = ℓ_i·Z/(−2). The product has degree 2n − 1. It
    /// vanishes on H with Z, and on the other odd points with ℓ_i. It is one at
    /// ω^(2i+1), because Z = ω^n − 1 = −2 on the whole coset.
    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        zt: F,
        delta_inverse: F,
    ) -> Result<Vec<F>, SynthesisError> {
        let too_large = || SynthesisError::PolynomialDegreeTooLarge;
        // The generator passes the size of the domain minus one.
        let domain = max_power.checked_add(1).and_then(D::new).ok_or_else(too_large)?;
        let coset = odd_coset(&domain).ok_or_else(too_large)?;
        let mut scalars = coset.evaluate_all_lagrange_coefficients(t);
        let half = F::from(2u64).inverse().ok_or(SynthesisError::DivisionByZero)?;
        let factor = -(zt * half * delta_inverse);
        scalars.par_iter_mut().for_each(|scalar| *scalar *= factor);
        Ok(scalars)
    }
}

/// The odd powers of ω, whose square generates the domain.
fn odd_coset<F: PrimeField, D: EvaluationDomain<F>>(domain: &D) -> Option<D> {
    let omega = F::get_root_of_unity((domain.size() as u64).checked_mul(2)?)?;
    debug_assert_eq!(omega.square(), domain.group_gen());
    domain.get_coset(omega)
}

/// One matrix's values on the domain: those of its rows, then `more`, then
/// zeros.
fn values<F: PrimeField>(
    rows: &Matrix<F>,
    more: &[F],
    assignment: &[F],
    points: usize,
) -> Result<Vec<F>, SynthesisError> {
    let mut values = vec![F::zero(); points];
    values
        .par_iter_mut()
        .zip(rows)
        .try_for_each(|(value, row)| {
            *value = evaluate(row, assignment)?;
            Some(())
        })
        .ok_or(SynthesisError::AssignmentMissing)?;
    for (value, more) in values.iter_mut().skip(rows.len()).zip(more) {
        *value = *more;
    }
    Ok(values)
}

/// The value of a linear combination, or `None` if a variable has no value.
fn evaluate<F: PrimeField>(row: &[(F, usize)], assignment: &[F]) -> Option<F> {
    row.iter().try_fold(F::zero(), |sum, (coefficient, variable)| {
        let value = *assignment.get(*variable)?;
        // Most coefficients are one.
        Some(sum + if coefficient.is_one() { value } else { value * coefficient })
    })
}
