//! Keys of a single party, for tests.

use super::defect::Defect;
use super::keys::KeyError;
use super::matrices::{Matrices, canonical};
use super::reduction::CircomReduction;
use ark_bn254::{Bn254, Fr};
use ark_ff::AdditiveGroup;
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_std::rand::{CryptoRng, RngCore};

/// A key made by one party. **The party that ran this can forge proofs of
/// anything.**
///
/// The secrets that it draws from `rng` pass through the memory of this
/// process, and nothing shows that they were erased. It is for tests and
/// experiments. A key that others must trust comes from a ceremony
/// ([`read_zkey`](crate::internal::zkey::read_zkey)).
///
/// # Errors
/// [`KeyError::Matrices`] if the matrices can have no key, or if no
/// constraint uses a signal. The value of such a signal would state nothing.
/// Only the rows that the reduction adds would keep it from being exchanged in
/// a proof.
pub fn insecure_single_party_setup<R: RngCore + CryptoRng>(
    matrices: &Matrices,
    rng: &mut R,
) -> Result<ProvingKey<Bn254>, KeyError> {
    generate(matrices, rng)
}

/// As [`insecure_single_party_setup`], for any source of randomness. It is
/// compiled once in this crate, and not again for each caller.
fn generate(matrices: &Matrices, mut rng: &mut dyn RngCore) -> Result<ProvingKey<Bn254>, KeyError> {
    matrices.check()?;
    matrices.check_signals()?;
    Groth16::<Bn254, CircomReduction>::generate_random_parameters_with_reduction(
        Replay(matrices),
        &mut rng,
    )
    .map_err(|error| Defect::of("expected a key from the generator, got an error")(error).into())
}

/// Repeats the matrices to arkworks, constraint by constraint.
struct Replay<'a>(&'a Matrices);

impl Replay<'_> {
    fn combination(&self, row: &[(Fr, usize)]) -> LinearCombination<Fr> {
        let instances = self.0.signals + 1;
        let variable = |at: usize| match at.checked_sub(instances) {
            Some(witness) => Variable::witness(witness),
            None if at == 0 => Variable::One,
            None => Variable::instance(at),
        };
        LinearCombination(canonical(row).iter().map(|(by, at)| (*by, variable(*at))).collect())
    }
}

impl ConstraintSynthesizer<Fr> for Replay<'_> {
    fn generate_constraints(self, system: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        // The generator does not use the values.
        for _ in 0..self.0.signals {
            let _ = system.new_input_variable(|| Ok(Fr::ZERO))?;
        }
        for _ in 0..self.0.witnesses() {
            let _ = system.new_witness_variable(|| Ok(Fr::ZERO))?;
        }
        for ((a, b), c) in self.0.a.iter().zip(&self.0.b).zip(&self.0.c) {
            system.enforce_r1cs_constraint(
                || self.combination(a),
                || self.combination(b),
                || self.combination(c),
            )?;
        }
        Ok(())
    }
}
