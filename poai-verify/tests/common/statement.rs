//! A statement with a proof, as a script that speaks to a chain wants it.

use super::groth16::Setup;
use poai_core::ProgramId;
use poai_core::inference::{
    Address, Binding, Entries, InferenceProof, Job, Layout, TensorVisibility, Visibility,
    WeightsVisibility, packing,
};
use poai_core::program::Dtype;
use poai_verify::snark::{Deployment, Verifier};
use std::error::Error;

/// All parts of a deployment.
pub struct Parts {
    pub binding: Binding,
    pub layout: Layout,
    pub setup: Setup,
    pub proof: InferenceProof,
}

/// A hashed input, committed weights and a public output: four signals.
pub fn parts(seed: u64) -> Result<Parts, Box<dyn Error>> {
    let visibility = Visibility {
        input: TensorVisibility::Hashed,
        output: TensorVisibility::Public,
        weights: WeightsVisibility::Committed,
    };
    let entries = |count| Entries { dtype: Dtype::I8, count };
    let layout = Layout::new(visibility, entries(64), entries(10))?;
    let binding = Binding {
        program: ProgramId([seed as u8; 32]),
        job: Job([0x6a; 32]),
        prover: Address([0xa1; 20]),
        macs: 64 * 32 + 32 * 10,
    };
    let output = packing::pack(Dtype::I8, &[-64, -7, -1, 0, 1, 2, 3, 12, 31, 63])?;
    let signals = layout.assemble(&binding, &[41.into()], Some(43.into()), &output)?;
    let setup = Setup::new(layout.count(), seed);
    let proof = setup.prove(&signals, seed);
    let proof = InferenceProof { proof, key: setup.key.digest(), signals };
    Verifier::new(setup.key.clone()).verify(&binding, &proof)?;
    Ok(Parts { binding, layout, setup, proof })
}

/// The deployment of it.
pub fn deployment(seed: u64) -> Result<Deployment, Box<dyn Error>> {
    let Parts { binding, layout, setup, proof } = parts(seed)?;
    Ok(Deployment::new(&binding, &layout, &setup.key, &proof, &format!("Verifier{seed}"))?)
}
