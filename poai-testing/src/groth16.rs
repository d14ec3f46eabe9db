//! Keys and proofs of small circuits. The seeds are public, so anyone can forge
//! proofs for these keys.
#![allow(dead_code, reason = "each user takes its own part")]

use ark_bn254::{Bn254, Fr};
use ark_groth16::{Groth16, ProvingKey};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::inference::{Groth16Proof, Signals, VerifyingKey};

/// A circuit that accepts any signals: each signal times a witness is another
/// witness.
struct Circuit {
    /// Known only to the prover.
    signals: Option<Vec<Fr>>,
    count: usize,
}

impl ConstraintSynthesizer<Fr> for Circuit {
    fn generate_constraints(self, system: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let signal = |index: usize| {
            let signals = self.signals.as_ref().ok_or(SynthesisError::AssignmentMissing)?;
            signals.get(index).copied().ok_or(SynthesisError::AssignmentMissing)
        };
        let variables: Vec<Variable> = (0..self.count)
            .map(|index| system.new_input_variable(|| signal(index)))
            .collect::<Result<_, _>>()?;
        for (index, &variable) in variables.iter().enumerate() {
            let secret = Fr::from(index as u64 + 3);
            let factor = system.new_witness_variable(|| signal(index).map(|_| secret))?;
            let product = system.new_witness_variable(|| Ok(signal(index)? * secret))?;
            let of = |variable| move || LinearCombination::from(variable);
            system.enforce_r1cs_constraint(of(variable), of(factor), of(product))?;
        }
        Ok(())
    }
}

/// A key of a circuit with `signals` signals, and its proving key.
pub struct Setup {
    pub key: VerifyingKey,
    proving: ProvingKey<Bn254>,
}

impl Setup {
    pub fn new(count: usize, seed: u64) -> Setup {
        let mut random = StdRng::seed_from_u64(seed);
        let circuit = Circuit { signals: None, count };
        let proving =
            Groth16::<Bn254>::generate_random_parameters_with_reduction(circuit, &mut random)
                .unwrap();
        let vk = proving.vk.clone();
        let key =
            VerifyingKey::new(vk.alpha_g1, vk.beta_g2, vk.gamma_g2, vk.delta_g2, vk.gamma_abc_g1)
                .unwrap();
        Setup { key, proving }
    }

    pub fn prove(&self, signals: &Signals, seed: u64) -> Groth16Proof {
        let mut random = StdRng::seed_from_u64(seed);
        let signals: Vec<Fr> = signals.elements().iter().map(|&element| element.into()).collect();
        let circuit = Circuit { count: signals.len(), signals: Some(signals) };
        let proof = Groth16::<Bn254>::create_random_proof_with_reduction(
            circuit,
            &self.proving,
            &mut random,
        )
        .unwrap();
        Groth16Proof::new(proof.a, proof.b, proof.c).unwrap()
    }

    /// Rerandomises a proof, without knowledge of the witness.
    pub fn rerandomised(&self, proof: &Groth16Proof, seed: u64) -> Groth16Proof {
        let mut random = StdRng::seed_from_u64(seed);
        let proof = ark_groth16::Proof { a: *proof.a(), b: *proof.b(), c: *proof.c() };
        let other = Groth16::<Bn254>::rerandomize_proof(&self.proving.vk, &proof, &mut random);
        Groth16Proof::new(other.a, other.b, other.c).unwrap()
    }
}
