//! Keys without a ceremony, for tests.

use super::matrices::{Matrices, MatricesError, canonical};
use super::reduction::CircomReduction;
use ark_bn254::{Bn254, Fr};
use ark_ff::AdditiveGroup;
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_std::rand::{CryptoRng, RngCore};

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The matrices are no system that can have a key.
    #[error(transparent)]
    Matrices(#[from] MatricesError),
    /// The generator of keys refuses.
    #[error("no key: {0}")]
    Synthesis(SynthesisError),
}

/// A key made by one party. **Whoever ran this can forge proofs of anything**:
/// the secrets that it draws from `rng` pass through this process' memory, and
/// nothing shows that they are gone. It is for tests and for trying things out.
/// A key that others are to trust comes from a ceremony ([`super::iden3`]).
///
/// # Errors
/// [`SetupError::Matrices`] where the matrices have no key, or where a signal
/// is used by no constraint: its value would say nothing, and only the rows
/// that the reduction adds would keep it from being exchanged in a proof.
pub fn insecure_single_party_setup<R: RngCore + CryptoRng>(
    matrices: &Matrices,
    rng: &mut R,
) -> Result<ProvingKey<Bn254>, SetupError> {
    generate(matrices, rng)
}

/// For whatever source: compiled here, once, and not again by all who call it.
fn generate(
    matrices: &Matrices,
    mut rng: &mut dyn RngCore,
) -> Result<ProvingKey<Bn254>, SetupError> {
    matrices.check()?;
    matrices.check_signals()?;
    Groth16::<Bn254, CircomReduction>::generate_random_parameters_with_reduction(
        Replay(matrices),
        &mut rng,
    )
    .map_err(SetupError::Synthesis)
}

/// Tells the matrices to arkworks again, constraint by constraint.
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
        // The generator asks for no values.
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
