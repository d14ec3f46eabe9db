//! The object with which scripts send a proof to the contracts.

use poai_core::Job;
use poai_core::inference::{Binding, Entries, InferenceProof, Layout, SignalsError, Visibility};
use poai_core::program::Dtype;
use poai_testing::groth16::Setup;
use poai_testing::statement;
use poai_testing::statement::{FIXTURES, HASHED, PRIVATE, Parts};
use poai_verify::inference::{Deployment, DeploymentError, solidity};
use std::path::PathBuf;

#[test]
fn committed_fixtures_are_current() {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../poai-verify/contracts/fixtures");
    for (file, seed, visibility) in FIXTURES {
        let committed = std::fs::read(directory.join(file)).unwrap();
        let committed: serde_json::Value = serde_json::from_slice(&committed).unwrap();
        let made = serde_json::to_value(statement::deployment(seed, visibility).unwrap()).unwrap();
        assert!(committed == made, "run make-contract-fixtures of poai-testing");
    }
}

#[test]
fn the_object_is_hex_and_numbers() {
    let Parts { binding, setup, proof, .. } = statement::parts(4, HASHED).unwrap();
    let json = serde_json::to_value(statement::deployment(4, HASHED).unwrap()).unwrap();
    assert_eq!(json["macs"], binding.macs.to_string());
    assert_eq!(json["verifying_key"], setup.key.digest().to_string());
    assert_eq!(json["program_id"], "04".repeat(32));
    assert_eq!(json["prover"], "a1".repeat(20));
    assert_eq!(json["verifier"]["source"], solidity(&setup.key, "Verifier4").unwrap());
    assert_eq!((&json["input_signals"], &json["output_signals"]), (&1.into(), &1.into()));
    assert_eq!(json["weights"], format!("{:064x}", 43));
    let words = proof.proof.words().map(hex::encode);
    assert_eq!(json["proof"], serde_json::json!(words));
    let signals: Vec<String> = proof.signals.words().iter().map(hex::encode).collect();
    assert_eq!(json["signals"], serde_json::json!(signals));
    let calldata = json["calldata"].as_str().unwrap();
    assert!(calldata.starts_with("2391b6dc") && calldata.ends_with(&signals[3]));

    let json = serde_json::to_value(statement::deployment(104, PRIVATE).unwrap()).unwrap();
    assert_eq!((&json["input_signals"], &json["output_signals"]), (&2.into(), &0.into()));
    assert!(json["weights"].is_null());
}

#[test]
fn parts_of_something_else_are_refused() {
    let Parts { binding, layout, setup, proof } = statement::parts(4, HASHED).unwrap();
    let new = |binding: &Binding, layout: &Layout, setup: &Setup, proof: &InferenceProof, name| {
        Deployment::new(binding, layout, &setup.key, proof, name).unwrap_err()
    };
    let error = new(&binding, &layout, &setup, &proof, "a name");
    assert!(matches!(error, DeploymentError::Name(_)));
    let other = Setup::new(4, 5);
    let error = new(&binding, &layout, &other, &proof, "Name");
    assert_eq!(error, DeploymentError::Key(setup.key.digest()));
    let other = Binding { job: Job([9; 32]), ..binding };
    assert_eq!(new(&other, &layout, &setup, &proof, "Name"), DeploymentError::Binding);
    let few = Entries { dtype: Dtype::I8, count: 10 };
    let other = Layout::new(Visibility::PUBLIC, few, few).unwrap();
    let part = SignalsError::Part { part: "whole", expected: 3, got: 4 };
    let error = new(&binding, &other, &setup, &proof, "Name");
    assert_eq!(error, DeploymentError::Signals(part));
}
