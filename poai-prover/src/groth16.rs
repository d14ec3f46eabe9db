//! The points of a Groth16 proof.
//!
//! They are arkworks' `create_proof_with_reduction_and_matrices`, point for
//! point, which a test compares. This module takes rows that a circuit shares,
//! and it can stop between the sums of points. A single sum cannot be stopped.

use super::defect::Defect;
use super::matrices::Matrices;
use super::reduction::CircomReduction;
use ark_bn254::{Bn254, Fr, G1Projective};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{AdditiveGroup, PrimeField};
use ark_groth16::{Proof, ProvingKey};
use ark_poly::GeneralEvaluationDomain;
use poai_core::Cancelled;
use rayon::prelude::*;

/// Number of times that [`prove`] calls `stage`.
pub(crate) const STAGES: u64 = 6;

/// Why no points were made.
pub(crate) enum Stopped {
    Cancelled(Cancelled),
    Defect(Defect),
}

impl From<Cancelled> for Stopped {
    fn from(cancelled: Cancelled) -> Stopped {
        Stopped::Cancelled(cancelled)
    }
}

type BigInt = <Fr as PrimeField>::BigInt;

/// The points of a proof, with `[r, s]`, which hide the assignment. It calls
/// `stage` after the quotient and after each sum.
pub(crate) fn prove(
    key: &ProvingKey<Bn254>,
    matrices: &Matrices,
    assignment: &[Fr],
    [r, s]: [Fr; 2],
    stage: &mut dyn FnMut() -> Result<(), Cancelled>,
) -> Result<Proof<Bn254>, Stopped> {
    let quotient = CircomReduction::quotient::<Fr, GeneralEvaluationDomain<Fr>>(
        &matrices.a,
        &matrices.b,
        matrices.signals + 1,
        assignment,
    );
    let what = "expected a quotient of the circuit's rows, got an error";
    let quotient = quotient.map_err(|error| Stopped::Defect(Defect::of(what)(error)))?;
    stage()?;
    let sum = G1Projective::msm_bigint(&key.h_query, &integers(&quotient));
    drop(quotient);
    stage()?;
    // All variables but the one, whose value is known.
    let variables = integers(assignment.get(1..).unwrap_or_default());
    let witnesses = variables.get(matrices.signals..).unwrap_or_default();
    let sum = sum + G1Projective::msm_bigint(&key.l_query, witnesses);
    stage()?;
    let a = combination(&key.a_query, key.vk.alpha_g1, &variables) + key.delta_g1 * r;
    stage()?;
    let b_g1 = combination(&key.b_g1_query, key.beta_g1, &variables) + key.delta_g1 * s;
    stage()?;
    let b = combination(&key.b_g2_query, key.vk.beta_g2, &variables) + key.vk.delta_g2 * s;
    stage()?;
    let c = sum + a * s + b_g1 * r - key.delta_g1 * (r * s);
    Ok(Proof { a: a.into_affine(), b: b.into_affine(), c: c.into_affine() })
}

fn integers(values: &[Fr]) -> Vec<BigInt> {
    values.par_iter().map(|value| value.into_bigint()).collect()
}

/// The combination of a query's points with all variables' values, plus a point
/// of the verifying key.
fn combination<C: SWCurveConfig<ScalarField = Fr>>(
    query: &[Affine<C>],
    point: Affine<C>,
    variables: &[BigInt],
) -> Projective<C> {
    let Some((one, query)) = query.split_first() else {
        return Projective::ZERO;
    };
    Projective::<C>::msm_bigint(query, variables) + one + point
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::insecure_single_party_setup;
    use ark_ff::{Field, UniformRand};
    use ark_groth16::Groth16;
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    /// x·y = s for a signal s, and rows without a meaning: a proof's points do
    /// not depend on whether the rows hold.
    fn rows(count: usize) -> Matrices {
        let mut matrices = Matrices { signals: 2, variables: 8, ..Matrices::default() };
        for row in 0..count {
            let term = |at: usize| (Fr::from((row * 7 + at) as u64), (row * 3 + at) % 8);
            matrices.a.push(vec![term(1), (Fr::ONE, 2)]);
            matrices.b.push(vec![term(2)]);
            matrices.c.push(vec![term(4), (Fr::ONE, 1)]);
        }
        matrices
    }

    #[test]
    fn the_points_are_arkworks() {
        let mut rng = StdRng::seed_from_u64(3);
        for count in [4, 9] {
            let matrices = rows(count);
            let key = insecure_single_party_setup(&matrices, &mut rng).unwrap();
            let mut assignment: Vec<Fr> = (0..8).map(|_| Fr::rand(&mut rng)).collect();
            assignment[0] = Fr::ONE;
            let random = [Fr::rand(&mut rng), Fr::rand(&mut rng)];
            for masks in [random, [Fr::ZERO; 2], [Fr::ZERO, Fr::ONE], [Fr::ONE, Fr::ZERO]] {
                let mut stages = 0;
                let mut stage = || {
                    stages += 1;
                    Ok(())
                };
                let Ok(got) = prove(&key, &matrices, &assignment, masks, &mut stage) else {
                    panic!("{masks:?}")
                };
                assert_eq!(stages, STAGES);
                let Matrices { a, b, c, .. } = matrices.clone();
                let expected =
                    Groth16::<Bn254, CircomReduction>::create_proof_with_reduction_and_matrices(
                        &key,
                        masks[0],
                        masks[1],
                        &[a, b, c],
                        3,
                        count,
                        &assignment,
                    );
                assert_eq!(got, expected.unwrap(), "{masks:?}");
            }
            // Each stage can be the last.
            for last in 1..=STAGES {
                let mut stages = 0;
                let mut stage = || {
                    stages += 1;
                    if stages == last { Err(Cancelled) } else { Ok(()) }
                };
                let stopped = prove(&key, &matrices, &assignment, random, &mut stage);
                assert!(matches!(stopped, Err(Stopped::Cancelled(Cancelled))));
                assert_eq!(stages, last);
            }
        }
    }
}
