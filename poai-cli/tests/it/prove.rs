//! `poai prove` as a user calls it.

use crate::program::{object, path, poai, refused};
use crate::proof_of_inference::{KEYS, PROVER, WRITTEN};
use poai::execute::Tensor;
use poai::inference::{
    Address, Entries, FieldElement, InferenceProof, Layout, TensorVisibility, VerifyingKey,
    Visibility, WeightsVisibility,
};
use poai::program::Dtype;
use poai::prover::internal::json::{proof_from_json, signals_from_json};
use poai::prover::{Salt, commit};
use poai::verify::inference::{InferenceError, InferenceVerifier};
use poai::{Job, ProgramId};
use poai_testing::onnx as models;
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// The bundled perceptron's multiply-accumulates: 64·128 + 128·64 + 64·10.
const MACS: u64 = 17024;

fn prove(arguments: &[&str]) -> Output {
    poai(&[&["prove"], arguments].concat())
}

fn number(object: &Value, field: &str) -> f64 {
    object[field].as_f64().unwrap_or_else(|| panic!("{field} is {}", object[field]))
}

#[test]
fn the_object_has_its_fields_and_keys_are_kept() {
    let made = &KEYS.said;
    let read = &object(&prove(&["--json", "--keys", KEYS.folder.to_str().unwrap()]));
    for object in [made, read] {
        for field in ["prove_seconds", "verify_seconds"] {
            let seconds = number(object, field);
            assert!(seconds > 0.0 && seconds < 600.0, "{field} {seconds}");
        }
        assert_eq!(object["proof_bytes"], 128);
        assert_eq!(object["object_bytes"], 128 + 32 + 3 * 32);
        assert_eq!(object["calldata_bytes"], 4 + 32 * (3 + 8 + 1 + 1 + 3));
        assert_eq!(object["macs"], MACS);
        assert_eq!(object["signals"], 3);
        assert!(number(object, "constraints") > 1000.0);
        assert_eq!(object["constraints"], object["estimate"]["constraints"]);
        assert!((150_000.0..=235_000.0).contains(&number(object, "gas")));
        assert_eq!(object["output"].as_array().unwrap().len(), 10);
        assert!(object.get("revealed").is_none());
        if cfg!(target_os = "linux") {
            // More than the key, less than a machine's memory.
            let peak = number(object, "peak_memory_bytes");
            assert!(peak > number(&object["estimate"], "proving_key_bytes"), "{peak}");
            assert!(peak < 2e10, "{peak}");
            // The estimates should be upper bounds.
            let part = if object["peak_memory_has_setup"] == true { "setup" } else { "peak" };
            let estimated = number(&object["estimate"], &format!("{part}_memory_bytes"));
            assert!(peak <= estimated, "{peak} of {estimated}");
        }
    }
    assert!(number(made, "setup_seconds") > 0.0);
    assert!(made["load_seconds"].is_null());
    assert_eq!(made["key"], "single-party");
    assert!(read["setup_seconds"].is_null());
    assert!(number(read, "load_seconds") > 0.0);
    assert_eq!(read["key"], "single-party file");
    assert_eq!(made["verifying_key"], read["verifying_key"]);
    // Each proof has another salt and another blinding.
    assert_ne!(made["proof"], read["proof"]);
}

#[test]
fn a_key_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = path(folder.path(), "keys");
    let before = KEYS.read("proving.key");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(folder.path().join("keys/proving.key"), &before).unwrap();
    refused(
        &prove(&["--model", "cnn", "--keys", &keys]),
        2,
        "a key for something else: expected owner",
    );
    // The same model with another statement is refused, too.
    let other = prove(&["--visibility", "output=hashed", "--keys", &keys]);
    let why = "expected visibility input=hashed,output=hashed,weights=fixed, got \
               input=hashed,output=public,weights=fixed";
    refused(&other, 2, why);
    // Another batch has other constraints, and the file names its batch.
    let other = prove(&["--batch", "2", "--keys", &keys]);
    refused(&other, 2, "expected run batch 2, sequence 1, got batch 1, sequence 1");
    assert_eq!(before, std::fs::read(folder.path().join("keys/proving.key")).unwrap());
    std::fs::write(folder.path().join("keys/proving.key"), &before[..before.len() - 1]).unwrap();
    refused(&prove(&["--keys", &keys]), 2, "its header implies");
}

/// A registrar needs the verifying key that it registered: no other takes its place.
#[test]
fn a_verifying_key_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let keys = path(folder.path(), "keys");
    std::fs::create_dir(&keys).unwrap();
    let file = |name: &str| folder.path().join("keys").join(name);
    let [proving, verifying] = ["proving.key", "verifying.key"].map(|name| KEYS.read(name));
    let stays = |expected: &[u8]| {
        assert!(std::fs::read(file("verifying.key")).unwrap() == expected, "it was replaced");
    };

    // Alone it is refused, before any work.
    std::fs::write(file("verifying.key"), &verifying).unwrap();
    let alone = prove(&["--keys", &keys, "--onnx", "missing.onnx"]);
    refused(&alone, 2, "expected proving.key beside it, got a verifying key alone; put its");
    stays(&verifying);
    assert!(!file("proving.key").exists());

    // One that is damaged, or of another setup, is refused.
    std::fs::write(file("proving.key"), &proving).unwrap();
    let mut damaged = verifying.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(file("verifying.key"), &damaged).unwrap();
    refused(&prove(&["--keys", &keys]), 2, "verifying.key: expected the hash");
    stays(&damaged);
    let again = path(folder.path(), "again");
    object(&prove(&["--json", "--keys", &again]));
    let other = std::fs::read(folder.path().join("again/verifying.key")).unwrap();
    std::fs::write(file("verifying.key"), &other).unwrap();
    let expected = KEYS.said["verifying_key"].as_str().unwrap();
    let why = format!("verifying.key: expected the key {expected} of proving.key beside it, got ");
    refused(&prove(&["--keys", &keys]), 2, &why);
    stays(&other);

    // A missing one is written again.
    std::fs::remove_file(file("verifying.key")).unwrap();
    object(&prove(&["--json", "--keys", &keys]));
    stays(&verifying);
}

/// A model of one dense layer with these outputs and inputs, and two samples.
fn dense(folder: &Path, outputs: usize, inputs: usize) -> [String; 2] {
    let (model, samples) = (path(folder, "dense.onnx"), path(folder, "dense.csv"));
    let bytes = models::Model::new(&[-1, inputs as i64])
        .floats("w", &[outputs as i64, inputs as i64], &models::numbers(5, outputs * inputs))
        .floats("b", &[outputs as i64], &models::numbers(6, outputs))
        .node("Gemm", &["x", "w", "b"], "y", &[models::int("transB", 1)])
        .bytes();
    std::fs::write(&model, bytes).unwrap();
    let line = |seed| {
        let entries: Vec<_> = models::numbers(seed, inputs).iter().map(f32::to_string).collect();
        entries.join(",")
    };
    std::fs::write(&samples, format!("{}\n{}\n", line(7), line(8))).unwrap();
    [model, samples]
}

/// A dense layer has as many weights as terms. Its setup and proof stay within
/// their estimates, too.
#[test]
fn estimates_are_enough_for_dense_layers() {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: no peak of memory on this system");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [model, samples] = dense(folder.path(), 256, 4096);
    let keys = path(folder.path(), "keys");
    for part in ["setup", "peak"] {
        let arguments = ["--json", "--no-timing", "--visibility", "output=hashed"];
        let files = ["--onnx", &model, "--samples", &samples, "--keys", &keys];
        let said = object(&prove(&[&arguments[..], &files].concat()));
        let peak = number(&said, "peak_memory_bytes");
        let estimated = number(&said["estimate"], &format!("{part}_memory_bytes"));
        assert!(peak <= estimated, "{part}: {peak} of {estimated}");
        assert!(2.5 * peak > estimated, "{part}: {peak} of {estimated}");
    }
}

/// Two trainings of one architecture, the second with larger weights, are
/// proven with the first one's key. Their commitments distinguish them.
#[test]
fn committed_weights_of_an_architecture_have_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = path(folder.path(), "keys");
    let samples = path(folder.path(), "samples.csv");
    std::fs::write(&samples, "0.5,-1,0.25,1\n1,0.75,-0.5,0\n").unwrap();
    let said = [(1, 1.0), (40, 7.0)].map(|(seed, size)| {
        let entries = |seed, count| -> Vec<f32> {
            models::numbers(seed, count).iter().map(|entry| entry * size).collect()
        };
        let transposed = [models::int("transB", 1)];
        let model = models::Model::new(&[-1, 4])
            .floats("w", &[6, 4], &entries(seed, 24))
            .floats("b", &[6], &entries(seed + 1, 6))
            .floats("v", &[3, 6], &entries(seed + 2, 18))
            .floats("c", &[3], &entries(seed + 3, 3))
            .node("Gemm", &["x", "w", "b"], "h", &transposed)
            .node("Relu", &["h"], "r", &[])
            .node("Gemm", &["r", "v", "c"], "y", &transposed);
        let file = path(folder.path(), &format!("{seed}.onnx"));
        std::fs::write(&file, model.bytes()).unwrap();
        let seen = ["--visibility", "weights=committed", "--keys", &keys];
        let arguments = ["--json", "--onnx", &file, "--samples", &samples];
        object(&prove(&[&arguments[..], &seen].concat()))
    });
    assert_eq!(said[0]["key"], "single-party");
    assert_eq!(said[1]["key"], "single-party file");
    assert_eq!(said[0]["architecture_id"], said[1]["architecture_id"]);
    assert_ne!(said[0]["program_id"], said[1]["program_id"]);
    assert_eq!(said[0]["verifying_key"], said[1]["verifying_key"]);
}

#[test]
fn a_written_proof_is_accepted_and_opens_as_revealed() {
    let said = &WRITTEN.said;
    let read = |name: &str| WRITTEN.read(name);

    let key = VerifyingKey::from_bytes(&read("verifying-key.bin")).unwrap();
    let program = ProgramId(hex_of(&said["program_id"]));
    let verifier = InferenceVerifier::new(program, MACS, key);
    let (job, proof) = (Job([0xab; 32]), read("proof.bin"));
    let verified = verifier.verify(job, PROVER.parse().unwrap(), &proof).unwrap();
    // The proof is invalid for another sender.
    let other = verifier.verify(job, Address([0xbb; 20]), &proof);
    assert!(matches!(other, Err(InferenceError::False(_))));

    let deployment: Value = serde_json::from_slice(&read("deployment.json")).unwrap();
    let calldata = String::from_utf8(read("calldata.hex")).unwrap();
    assert_eq!(format!("0x{}\n", deployment["calldata"].as_str().unwrap()), calldata);
    assert_eq!(deployment["macs"], MACS.to_string());
    assert!(deployment["verifier"]["source"].as_str().unwrap().contains("contract Verifier"));

    // The files for snarkjs hold the same proof.
    let signals = String::from_utf8(read("snarkjs-public.json")).unwrap();
    let signals: Vec<FieldElement> =
        signals_from_json(&signals).unwrap().into_iter().map(Into::into).collect();
    assert_eq!(signals, verified.signals.elements());
    let points =
        proof_from_json(std::str::from_utf8(&read("snarkjs-proof.json")).unwrap()).unwrap();
    let decoded = InferenceProof::from_bytes(&proof).unwrap().proof;
    assert_eq!((points.a, points.b, points.c), (*decoded.a(), *decoded.b(), *decoded.c()));

    // The revealed values open the input's commitment.
    let revealed: Value = serde_json::from_slice(&read("private.json")).unwrap();
    assert_eq!(revealed, said["revealed"]);
    let entries: Vec<i32> = serde_json::from_value(revealed["input"].clone()).unwrap();
    let input = Tensor::new(1, 64, Dtype::I8, &entries).unwrap();
    let visibility = Visibility {
        input: TensorVisibility::Hashed,
        output: TensorVisibility::Public,
        weights: WeightsVisibility::Fixed,
    };
    let entries = |dtype, count| Entries { dtype, count };
    let layout = Layout::new(visibility, entries(Dtype::I8, 64), entries(Dtype::I16, 10)).unwrap();
    let parts = layout.split(&verified.signals).unwrap();
    let salt = Salt(hex_of(&revealed["salts"]["input"]));
    assert_eq!(parts.input, [commit(&input, &salt).unwrap()]);
}

fn hex_of<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

#[test]
fn nothing_private_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let visibility = "input=hashed,output=hashed,weights=committed";
    let said = object(&prove(&["--json", "--out", &out, "--visibility", visibility]));
    assert_eq!(said["signals"], 4);
    for field in ["output", "classes", "revealed"] {
        assert!(said.get(field).is_none(), "{field}");
    }
    let files = std::fs::read_dir(folder.path().join("out")).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = [
        "calldata.hex",
        "deployment.json",
        "proof.bin",
        "snarkjs-proof.json",
        "snarkjs-public.json",
        "snarkjs-verification-key.json",
        "verifying-key.bin",
    ];
    assert_eq!(names, expected);

    // An existing folder stays as it is.
    refused(&prove(&["--out", &out]), 2, "it is there already");
    assert_eq!(std::fs::read_dir(folder.path().join("out")).unwrap().count(), 7);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn too_many_public_inputs_are_refused() {
    // 64 i8 are 3 elements, so 192 are 7; 30 i16 are 2; and the binding is 1.
    let output = prove(&["--visibility", "input=public", "--batch", "3"]);
    let why =
        "expected at most 6 public inputs, got 10, of them 7 for the input and 2 for the output";
    refused(&output, 2, why);
    refused(&output, 2, "let large tensors be hashed");
}

#[test]
fn bad_arguments_and_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        &prove(&["--visibility", "weights=hashed"]),
        2,
        "expected weights to be fixed or committed",
    );
    refused(&prove(&["--prover", "0x12"]), 2, "--prover");
    refused(&prove(&["--job", "xyz"]), 2, "--job");
    refused(&prove(&["--image", "500"]), 2, "got 500 samples; lower --image");
    let missing = path(folder.path(), "missing.onnx");
    refused(&prove(&["--onnx", &missing]), 2, "missing.onnx");
    let bad = path(folder.path(), "bad.onnx");
    std::fs::write(&bad, "no network").unwrap();
    refused(&prove(&["--onnx", &bad]), 2, "bad.onnx");
    let mlp = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/mlp.onnx");
    let samples = path(folder.path(), "samples.csv");
    let line = ["0.5"; 64].join(",");
    std::fs::write(&samples, format!("{line}\n0.5,0.5\n")).unwrap();
    refused(
        &prove(&["--onnx", mlp, "--samples", &samples]),
        2,
        "line 2: expected 64 numbers separated by ',', got 2",
    );
    std::fs::write(&samples, line.replacen("0.5", "nan", 1)).unwrap();
    refused(
        &prove(&["--onnx", mlp, "--samples", &samples]),
        2,
        "line 1, field 1: expected a finite number, got \"nan\"",
    );
    let zkey = path(folder.path(), "bad.zkey");
    std::fs::write(&zkey, "no key").unwrap();
    refused(&prove(&["--zkey", &zkey]), 2, "bad.zkey");
}

#[test]
fn a_file_of_samples_measures_and_is_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let mlp = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/mlp.onnx");
    let samples = path(folder.path(), "samples.csv");
    let line = |first: usize| {
        (0..64)
            .map(|at| format!("{:.3}", ((first + at * 7) % 16) as f32 / 16.0))
            .collect::<Vec<_>>()
    };
    std::fs::write(&samples, format!("{}\n{}\n", line(0).join(","), line(5).join(","))).unwrap();
    let arguments = ["--json", "--onnx", mlp, "--samples", &samples, "--image", "1", "--reveal"];
    let said = object(&prove(&arguments));
    let entries: Vec<i32> = serde_json::from_value(said["revealed"]["input"].clone()).unwrap();
    // The largest of all, 15/16, is 63.
    let expected = |at: usize| (((5 + at * 7) % 16) as f64 * 63.0 / 15.0).round() as i32;
    for (at, entry) in entries.iter().enumerate() {
        assert!((entry - expected(at)).abs() <= 1, "entry {at} is {entry}, not {}", expected(at));
    }
}

#[test]
fn constraints_are_estimated_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let estimated = object(&prove(&["--json", "--estimate-only"]));
    assert!(number(&estimated["estimate"], "prove_seconds") > 0.0);
    let sizes = object(&prove(&["--json", "--estimate-only", "--no-timing"]));
    assert!(sizes["estimate"]["prove_seconds"].is_null());
    for field in ["constraints", "terms", "peak_memory_bytes", "setup_memory_bytes"] {
        assert_eq!(sizes["estimate"][field], estimated["estimate"][field]);
    }
    let r1cs = path(folder.path(), "mlp.r1cs");
    let exported = object(&prove(&["--json", "--export-r1cs", &r1cs]));
    assert_eq!(exported["constraints"], estimated["constraints"]);
    let bytes = std::fs::read(&r1cs).unwrap();
    assert_eq!(&bytes[..4], b"r1cs");
    let points = 2f64.powf(number(&exported, "power"));
    assert!(points >= number(&exported, "constraints"));
}
