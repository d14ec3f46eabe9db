//! Writes the verifiers of the test keys, from which `compile.js` makes the
//! artefacts of the tests, and a proof for `scripts/evm-e2e.sh`:
//!
//! `cargo run -p poai-verify --features snark,serde --example make-snark-fixtures`
//!
//! Setups and proofs are of seeds that everybody knows, so that the files come
//! out alike each time, and anybody can forge proofs of these keys.

#[path = "../tests/common/groth16.rs"]
mod groth16;

use groth16::Setup;
use poai_core::ProgramId;
use poai_core::inference::{
    Address, Binding, Entries, InferenceProof, Job, Layout, TensorVisibility, Visibility,
    WeightsVisibility, packing,
};
use poai_core::program::Dtype;
use poai_verify::snark::{Deployment, Verifier, solidity};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contracts/fixtures");
    std::fs::create_dir_all(&directory)?;
    for signals in 1..=6 {
        let name = format!("TestVerifier{signals}");
        let source = solidity(&Setup::new(signals, signals as u64).key, &name)?;
        std::fs::write(directory.join(name + ".sol"), source)?;
    }
    for (file, seed) in [("proof.json", 4), ("other.json", 104)] {
        let json = serde_json::to_string_pretty(&deployment(seed)?)?;
        std::fs::write(directory.join(file), json + "\n")?;
    }
    Ok(())
}

/// A proof of a statement with four signals: a hashed input, committed weights
/// and a public output.
fn deployment(seed: u64) -> Result<Deployment, Box<dyn Error>> {
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
    Ok(Deployment::new(&binding, &layout, &setup.key, &proof, &format!("Verifier{seed}"))?)
}
