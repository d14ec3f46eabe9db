//! A statement with a proof, in the form that a script for a chain needs.
#![allow(dead_code, reason = "each user takes its own part")]

use super::groth16::Setup;
use poai_core::inference::{
    Address, Binding, Entries, FieldElement, InferenceProof, Layout, TensorVisibility, Visibility,
    WeightsVisibility, packing,
};
use poai_core::program::Dtype;
use poai_core::{Job, ProgramId};
use poai_verify::inference::{Deployment, InferenceVerifier};
use std::error::Error;

/// All parts of a deployment.
pub struct Parts {
    pub binding: Binding,
    pub layout: Layout,
    pub setup: Setup,
    pub proof: InferenceProof,
}

/// Four signals: a hashed input, committed weights and a public output.
pub const HASHED: Visibility = Visibility {
    input: TensorVisibility::Hashed,
    output: TensorVisibility::Public,
    weights: WeightsVisibility::Committed,
};

/// Three signals: a public input, a private output, fixed weights.
pub const PRIVATE: Visibility = Visibility {
    input: TensorVisibility::Public,
    output: TensorVisibility::Private,
    weights: WeightsVisibility::Fixed,
};

/// The committed fixtures: file, seed and visibility.
pub const FIXTURES: [(&str, u64, Visibility); 2] =
    [("proof.json", 4, HASHED), ("other.json", 104, PRIVATE)];

/// A statement about an input of 40 entries and an output of 10.
pub fn parts(seed: u64, visibility: Visibility) -> Result<Parts, Box<dyn Error>> {
    let entries = |count| Entries { dtype: Dtype::I8, count };
    let layout = Layout::new(visibility, entries(40), entries(10))?;
    let binding = Binding {
        program: ProgramId([seed as u8; 32]),
        job: Job([0x6a; 32]),
        prover: Address([0xa1; 20]),
        macs: 40 * 32 + 32 * 10,
    };
    let tensor = |visibility, entries: Vec<i32>, commitment: u64| match visibility {
        TensorVisibility::Public => packing::pack(Dtype::I8, &entries),
        TensorVisibility::Hashed => Ok(vec![FieldElement::from(commitment)]),
        TensorVisibility::Private => Ok(Vec::new()),
    };
    let input = tensor(visibility.input, (0..40).map(|i| i * 3 - 64).collect(), 41)?;
    let output = tensor(visibility.output, vec![-64, -7, -1, 0, 1, 2, 3, 12, 31, 63], 42)?;
    let weights = match visibility.weights {
        WeightsVisibility::Fixed => None,
        WeightsVisibility::Committed => Some(43.into()),
    };
    let signals = layout.assemble(&binding, &input, weights, &output)?;
    let setup = Setup::new(layout.count(), seed);
    let proof = setup.prove(&signals, seed);
    let proof = InferenceProof { proof, key: setup.key.digest(), signals };
    let verifier = InferenceVerifier::new(binding.program, binding.macs, setup.key.clone());
    verifier.verify_proof(binding.job, binding.prover, &proof)?;
    Ok(Parts { binding, layout, setup, proof })
}

/// The deployment of such a statement.
pub fn deployment(seed: u64, visibility: Visibility) -> Result<Deployment, Box<dyn Error>> {
    let Parts { binding, layout, setup, proof } = parts(seed, visibility)?;
    Ok(Deployment::new(&binding, &layout, &setup.key, &proof, &format!("Verifier{seed}"))?)
}
