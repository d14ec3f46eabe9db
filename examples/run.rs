//! Loads a network from an ONNX file, traces a run of it, and audits the run as
//! a checker does.
//!
//! `cargo run --release --features import --example run`

use poai::import::Model;
use poai::ndarray::Array2;
use poai::verify::trace::{Checker, TraceRules};
use poai::{Beacon, Job, Prover, backend};

/// A classifier of handwritten digits: 64 features, 10 classes.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/poai-cli/data/digits/mlp.onnx");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Typical inputs: one row per sample.
    let samples = Array2::from_shape_fn((256, 64), |(i, j)| ((i * 7 + j * 3) % 17) as f32);
    let model = Model::load(FILE, &samples)?.on(backend("auto")?);
    let run = model.trace(&samples)?;

    // The prover publishes its receipt before the beacon is known.
    let receipt = run.receipt(Job([1; 32]), Prover([2; 32]));
    let beacon = Beacon([7; 32]);
    let audit = run.audit(&receipt, &beacon)?;

    // A checker has the program and its rules, and neither weights nor inputs.
    let checker = Checker::new(model.network().program().clone(), TraceRules::DEFAULT);
    let audited = checker.audit(&receipt, &beacon, &audit)?;
    println!("output      {:?}, trace {}", run.output.dim(), audited.trace);
    println!("audited     {} tiles from {} bytes", audited.tiles, audit.as_bytes().len());
    Ok(())
}
