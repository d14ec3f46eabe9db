//! Proves that a network gave its output, and verifies the proof.
//!
//! `cargo run --release --features import,inference --example prove`

use poai::Job;
use poai::import::Model;
use poai::inference::Address;
use poai::ndarray::{Array2, s};
use poai::prover::{Circuit, Fixed, Hashed, Public};

/// A classifier of handwritten digits: 64 features, 10 classes.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/poai-cli/data/digits/mlp.onnx");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Typical inputs: one row per sample.
    let samples = Array2::from_shape_fn((256, 64), |(i, j)| ((i * 7 + j * 3) % 17) as f32);
    let model = Model::load(FILE, &samples)?;
    let circuit =
        Circuit::new(model.network()).input(Hashed).output(Public).weights(Fixed).build()?;
    println!("circuit     {} constraints", circuit.estimate().constraints);

    // For tests only: the maker of this key can forge proofs. Others come from a
    // ceremony: `circuit.ceremony_key("c.zkey")`.
    let key = circuit.insecure_single_party_key()?;
    let (job, prover) = (Job([1; 32]), Address([2; 20]));
    let input = model.input(&samples.slice(s![..1, ..]).to_owned())?;
    let proof = key.prove(&input, job, prover)?.to_bytes();

    // A verifier gets its key from the key's registrar, never with a proof.
    let verified = key.verifier().verify(job, prover, &proof)?;
    println!("verified    {} bytes, {} signals", proof.len(), verified.signals.elements().len());
    Ok(())
}
