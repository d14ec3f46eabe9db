//! From constraints to polynomials, with the quotient as snarkjs' keys want it.
//!
//! Let H be the domain of n points, ω^0, ω^2, …, ω^(2n-2), where ω has order
//! 2n, and let A, B and C be the polynomials of degree below n whose values on
//! H are the factors and products of the constraints. The prover shows that
//! P = A·B − C vanishes on H, that is, that P = Q·Z with Z = X^n − 1, and puts
//! Q(τ)·Z(τ)/δ = P(τ)/δ into its proof, in the group.
//!
//! P has degree at most 2n − 2, so its values on all 2n powers of ω determine
//! it: P = Σ_j P(ω^j)·L_j, with L_j the Lagrange polynomials of the domain of 2n
//! points. On the even powers, which are H, P is zero. What is left is
//!
//! P(τ)/δ = Σ_i P(ω^(2i+1)) · L_(2i+1)(τ)/δ.
//!
//! So a key holds the n points L_(2i+1)(τ)/δ in place of τ^i·Z(τ)/δ, and the
//! prover needs P on the odd coset only: no division by Z, and no transform
//! back. Where the assignment breaks a constraint, P is not zero on H, the sum
//! above is not P(τ)/δ, and the proof fails.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, SynthesisError};
use rayon::prelude::*;

/// The reduction of every key here: those of ceremonies and those of
/// [`insecure_single_party_setup`](super::setup::insecure_single_party_setup).
#[derive(Clone, Copy, Debug)]
pub struct CircomReduction;

impl CircomReduction {
    /// The values of A·B − C on the odd coset, one a point of the domain: the
    /// scalars of a key's points for the quotient.
    ///
    /// `a` and `b` hold the constraints' factors, `instances` is the number of
    /// signals and the one, and `assignment` gives every variable a value.
    ///
    /// # Errors
    /// `AssignmentMissing` where a row names a variable without a value,
    /// `ArityMismatch` where the matrices differ in rows, and
    /// `PolynomialDegreeTooLarge` where the field has no domain so large.
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
        // The rows after the constraints' hold the one and the signals in A
        // and nothing in B. They make the polynomials of different signals
        // independent, so that no proof passes for other signals.
        let signals = assignment.get(..instances).ok_or(SynthesisError::AssignmentMissing)?;
        let mut a = values(a, signals, assignment, domain.size())?;
        let mut b = values(b, &[], assignment, domain.size())?;
        // C's values on the domain are the products that the constraints
        // demand. Taking them from A and B rather than from the rows of C
        // makes no false proof pass: the key's points for witnesses hold the
        // rows of C.
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
    /// The polynomials of the variables at `t`. They are libsnark's: only the
    /// basis of the quotient differs.
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
    /// With ℓ_i the Lagrange polynomials of the odd coset alone, which has n
    /// points, L_(2i+1) = ℓ_i·Z/(−2): the product has degree 2n − 1, vanishes
    /// on H with Z and on the other odd points with ℓ_i, and is one at
    /// ω^(2i+1), because Z = ω^n − 1 = −2 on the whole coset.
    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        zt: F,
        delta_inverse: F,
    ) -> Result<Vec<F>, SynthesisError> {
        let too_large = || SynthesisError::PolynomialDegreeTooLarge;
        // The generator passes the domain's size less one.
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

/// One matrix' values on the domain: its rows', then `more`, then zeros.
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

/// A linear combination's value, or nothing where a variable has none.
fn evaluate<F: PrimeField>(row: &[(F, usize)], assignment: &[F]) -> Option<F> {
    row.iter().try_fold(F::zero(), |sum, (coefficient, variable)| {
        let value = *assignment.get(*variable)?;
        // Most coefficients are one.
        Some(sum + if coefficient.is_one() { value } else { value * coefficient })
    })
}
