//! `poai verify inference` of the files that `poai prove` writes.

use crate::program::{path, poai, printed, refused};
use crate::proof_of_inference::{JOB, KEYS, PROVER, WRITTEN};
use serde_json::Value;
use std::process::Output;

const MACS: &str = "17024";

fn verify(file: &str, more: &[&str]) -> Output {
    poai(&[&["verify", "inference", file], more].concat())
}

#[test]
fn a_proof_of_inference_is_verified_with_either_key_file() {
    let (proof, deployment) = (WRITTEN.path("proof.bin"), WRITTEN.path("deployment.json"));
    let program = WRITTEN.said["program_id"].as_str().unwrap();
    let statement = ["--program-id", program, "--job", JOB, "--prover", PROVER, "--macs", MACS];
    for key in [WRITTEN.path("verifying-key.bin"), KEYS.path("verifying.key")] {
        let text = printed(&verify(&proof, &[&["--key", &key], &statement[..]].concat()));
        assert!(text.contains("valid: ") && text.contains(program), "{text}");
        printed(&verify(&proof, &["--key", &key, "--deployment", &deployment]));
        printed(&verify(&deployment, &["--key", &key]));
        // A key says what kind of proof it is.
        let short = ["verify", &proof[..], "--key", &key, "--deployment", &deployment];
        assert!(printed(&poai(&short)).contains("valid: "));
    }
    let beside = printed(&verify(&deployment, &[]));
    assert!(beside.contains("read beside the deployment"), "{beside}");
}

#[test]
fn a_proof_of_something_else_is_refused() {
    let proof = WRITTEN.path("proof.bin");
    let key = WRITTEN.path("verifying-key.bin");
    let deployment = WRITTEN.path("deployment.json");
    // Bound to other values than the verifier expects.
    let other = "0x00000000000000000000000000000000000000bb";
    refused(&verify(&deployment, &["--prover", other]), 1, "got another binding");
    refused(&verify(&deployment, &["--macs", "1"]), 1, "got another binding");
    // A proof of another key is as false as any other mismatch.
    let folder = tempfile::tempdir().unwrap();
    let keys = path(folder.path(), "keys");
    printed(&poai(&["prove", "--keys", &keys]));
    let others = path(folder.path(), "keys/verifying.key");
    let got = WRITTEN.said["verifying_key"].as_str().unwrap();
    let bound = ["--key", &others, "--deployment", &deployment];
    for output in [verify(&proof, &bound), verify(&deployment, &["--key", &others])] {
        refused(&output, 1, "false: expected a proof of the key ");
        refused(&output, 1, &format!("got one of {got}"));
    }
    // Missing files, and files that are not a key or a proof.
    refused(&verify(&proof, &["--key", &key]), 2, "--program-id");
    refused(&verify(&proof, &["--deployment", &deployment]), 2, "--key");
    let proving = KEYS.path("proving.key");
    refused(&verify(&deployment, &["--key", &proving]), 2, "got a proving key");
    refused(&verify(&deployment, &["--key", &proof]), 2, "proof.bin");
    refused(&verify(&key, &["--key", &key, "--deployment", &deployment]), 2, "malformed: ");
    refused(&verify(&proving, &[]), 2, "expected the JSON of a deployment");

    let folder = tempfile::tempdir().unwrap();
    let changed = path(folder.path(), "changed");
    let bound = ["--key", &key, "--deployment", &deployment];
    let mut bytes = WRITTEN.read("proof.bin");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&changed, &bytes).unwrap();
    refused(&verify(&changed, &bound), 1, "the pairing equation does not hold");
    std::fs::write(&changed, &bytes[..last]).unwrap();
    refused(&verify(&changed, &bound), 2, "malformed: ");

    // A deployment whose parts do not belong together.
    let whole: Value = serde_json::from_slice(&WRITTEN.read("deployment.json")).unwrap();
    for (field, value, code, why) in [
        ("calldata", Value::from("00"), 1, "expected the calldata of the deployment's proof"),
        ("macs", Value::from("many"), 2, "`macs`"),
        ("proof", Value::Null, 2, "`proof`"),
    ] {
        let mut object = whole.clone();
        object[field] = value;
        std::fs::write(&changed, object.to_string()).unwrap();
        refused(&verify(&changed, &["--key", &key]), code, why);
    }
    let mut object = whole;
    object["verifier"]["source"] = "contract Verifier {}".into();
    std::fs::write(&changed, object.to_string() + &" ".repeat(352)).unwrap();
    refused(&verify(&changed, &["--key", &key]), 1, "contract is not of the key");
}
