//! `poai inspect` of every kind of file.

use crate::program::{object, path, poai, printed, refused};
use crate::proof_of_inference::{KEYS, WRITTEN};
use poai_testing::onnx as models;
use serde_json::Value;
#[cfg(unix)]
use std::io::Write;
use std::path::Path;
#[cfg(unix)]
use std::process::{Command, Output, Stdio};

fn inspect(file: &str) -> Value {
    object(&poai(&["inspect", "--json", file]))
}

/// Checks a file's kind and these fields.
fn is(file: &str, kind: &str, fields: &[(&str, &Value)]) {
    let found = inspect(file);
    assert_eq!(found["kind"], kind, "{file}");
    for (field, value) in fields {
        assert_eq!(&found[*field], *value, "{field} of {file}");
    }
    // The text has the kind in its first line, and a line for every field.
    let text = printed(&poai(&["inspect", file]));
    assert_eq!(text.lines().next(), Some(kind));
    assert!(text.lines().count() >= found.as_object().unwrap().len());
}

fn bundled(name: &str) -> String {
    path(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data")), name)
}

#[test]
fn a_mined_proof_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let proof = path(folder.path(), "win.proof");
    let random = ["--random", "64,96,1024", "--difficulty", "1"];
    let arguments = [&["mine", "--json", "--out", &proof], &random[..]].concat();
    let said = object(&poai(&arguments));
    let fields = [
        ("root_a", &said["root_a"]),
        ("root_b", &said["root_b"]),
        ("bytes", &said["proof_bytes"]),
        ("shape", &"64×96×1024".into()),
    ];
    is(&proof, "mined proof", &fields);
}

#[test]
fn what_a_run_writes_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let run = ["run", "--json", "--batch", "2", "--trace", "--fault", "--out", &out];
    let said = object(&poai(&run));
    let file = |name: &str| path(Path::new(&out), name);
    let (program, root) = (&said["program_id"], &said["trace_root"]);
    is(&file("program.poai"), "program", &[("program_id", program)]);
    is(&out, "program", &[("program_id", program)]);
    let of_trace = [("trace_root", root), ("program_id", program)];
    is(&file("header.bin"), "header of a trace", &of_trace);
    is(&file("audit.bin"), "audit of a trace", &of_trace);
    is(&file("receipt.bin"), "receipt", &of_trace);
    let value = 1.into();
    let fraud = [&of_trace[..], &[("value", &value)]].concat();
    is(&file("fraud.bin"), "fraud proof, or answer to a demand", &fraud);
    is(&file("constants.safetensors"), "safetensors file", &[]);
    refused(&poai(&["inspect", &file("input-0.csv")]), 2, "of another format");
}

/// Names are others' bytes: none reaches a terminal as it is.
#[test]
fn names_with_escapes_are_printed_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let traced = ["--trace", "--fault", "--out", &out];
    let said = object(&poai(&[&["run", "--json", "--batch", "2"], &traced[..]].concat()));
    let root = said["trace_root"].as_str().unwrap();
    // Names are no part of what is hashed, so that the program stays the same.
    let program = folder.path().join("out/program.poai");
    let mut bytes = std::fs::read(&program).unwrap();
    let (name, hostile) = (b"gemm1", b"\x1b[2J\n");
    while let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
        bytes[at..at + name.len()].copy_from_slice(hostile);
    }
    std::fs::write(&program, bytes).unwrap();
    let file = |name: &str| path(Path::new(&out), name);
    let stored = ["run", "--stored", &out, "--input", &file("input-0.csv"), "--trace", "--fault"];
    let fraud = ["verify", "fraud", &file("fraud.bin"), "--program", &out, "--trace-root", root];
    for arguments in [&["inspect", &out][..], &fraud, &stored] {
        let text = printed(&poai(arguments));
        assert!(text.contains(r"\u{1b}[2J\n") && !text.contains('\x1b'), "{arguments:?}: {text}");
    }
    let json = inspect(&out);
    assert!(json["steps"].to_string().contains(r"\u001b[2J\n"), "JSON has its own: {json}");

    // Of ONNX and safetensors files, and in errors.
    let onnx = path(folder.path(), "bad.onnx");
    let dense = |operator: &str| {
        let model = models::Model::new(&[-1, 2]).floats("w", &[2, 2], &[1.0; 4]);
        model.node(operator, &["x", "w"], "y\x1b[2J\n", &[]).bytes()
    };
    std::fs::write(&onnx, dense("MatMul")).unwrap();
    let text = printed(&poai(&["inspect", &onnx]));
    assert!(text.contains(r"\u{1b}[2J\n") && !text.contains('\x1b'), "{text}");
    std::fs::write(&onnx, dense("Mat\x1b[2J\nMul")).unwrap();
    let unknown = poai(&["run", "--onnx", &onnx]);
    refused(&unknown, 2, r"Mat\u{1b}[2J\nMul");
    assert!(!unknown.stderr.contains(&0x1b), "{unknown:?}");
    assert_eq!(unknown.stderr.iter().filter(|&&byte| byte == b'\n').count(), 1);
    let tensors = path(folder.path(), "tensors");
    let header = br#"{"a\u001b[2J":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0]].concat();
    std::fs::write(&tensors, bytes).unwrap();
    assert!(printed(&poai(&["inspect", &tensors])).contains(r"a\u{1b}[2J: I8 [1]"));
}

#[test]
fn what_a_proof_of_inference_writes_is_known() {
    let key = &WRITTEN.said["verifying_key"];
    let of_key = [("verifying_key", key)];
    is(&WRITTEN.path("proof.bin"), "proof of inference", &of_key);
    is(&WRITTEN.path("verifying-key.bin"), "verifying key", &of_key);
    let program = &WRITTEN.said["program_id"];
    let bound = [("verifying_key", key), ("program_id", program), ("macs", &17024.into())];
    is(&WRITTEN.path("deployment.json"), "deployment", &bound);
    let owner = format!("program {}", program.as_str().unwrap()).into();
    let (one, shown) = (1.into(), "input=hashed,output=public,weights=fixed".into());
    let maker = "a single party".into();
    let of_file = [
        ("verifying_key", key),
        ("owner", &owner),
        ("visibility", &shown),
        ("batch", &one),
        ("sequence", &one),
        ("made_by", &maker),
    ];
    for (file, half) in [("proving.key", "proving"), ("verifying.key", "verifying")] {
        let half = half.into();
        is(&KEYS.path(file), "key file", &[&of_file[..], &[("half", &half)]].concat());
    }
}

#[test]
fn files_of_other_formats_are_known_or_refused() {
    let layers = inspect(&bundled("digits/cnn.onnx"));
    assert_eq!(layers["kind"], "ONNX network");
    assert_eq!(layers["layers"].as_array().unwrap().len(), 8);
    assert_eq!((&layers["output"], &layers["tail"]), (&"1×10".into(), &Value::Null));
    let operands = inspect(&bundled("operands/minilm-ffn.safetensors"));
    assert_eq!(operands["tensors"][0], "a: I8 [512, 1536]");
    refused(&poai(&["inspect", &bundled("digits/README.md")]), 2, "of another format");
    refused(&poai(&["inspect", &bundled("missing")]), 2, "missing");
    refused(&poai(&["inspect", &bundled("digits")]), 2, "program.poai");
    let folder = tempfile::tempdir().unwrap();
    let empty = path(folder.path(), "empty");
    std::fs::write(&empty, "").unwrap();
    refused(&poai(&["inspect", &empty]), 2, "got 0 bytes");
    // A key file that is cut off is refused.
    std::fs::write(&empty, &KEYS.read("proving.key")[..200]).unwrap();
    refused(&poai(&["inspect", &empty]), 2, "its header implies");
}

#[test]
fn a_quantised_network_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let net = bundled("../../test_vectors/onnx/op-argmax-end");
    let (model, samples) =
        (path(Path::new(&net), "model.onnx"), path(Path::new(&net), "input.npy"));
    let kept = path(folder.path(), "kept");
    let quantise = ["quantise", &model, "--calibration", &samples, "--out", &kept, "--json"];
    let said = object(&poai(&quantise));
    is(&kept, "program", &[("program_id", &said["program_id"])]);
    let scales = path(Path::new(&kept), "quantised.json");
    let (version, tail) = (2.into(), "ArgMax".into());
    let fields = [
        ("version", &version),
        ("output", &"1×6".into()),
        ("output_scale", &said["output_scale"]),
        ("tail", &tail),
    ];
    is(&scales, "scales of a quantised network", &fields);
    let found = inspect(&scales);
    assert!(found["inputs"][0].as_str().unwrap().starts_with("x: 1×8, 1 is "), "{found}");
    let layers = said["layers"].as_array().unwrap();
    assert_eq!(found["layers"].as_array().unwrap().len(), layers.len());
    let is_of_layer = |at: usize, layer: &Value| {
        found["layers"][at].as_str().unwrap().starts_with(layer["name"].as_str().unwrap())
    };
    assert!(layers.iter().enumerate().all(|(at, layer)| is_of_layer(at, layer)));
    let network = inspect(&model);
    assert_eq!((&network["tail"], &network["inputs"][0]), (&tail, &"x: 1×8".into()));

    // Scales of another version are refused by it.
    let text = std::fs::read_to_string(&scales).unwrap();
    std::fs::write(&scales, text.replace("\"version\": 2", "\"version\": 1, \"input\": 3"))
        .unwrap();
    let old = poai(&["run", "--quantised", &kept, "--input", &samples]);
    refused(&old, 2, "version: expected 2, got 1; quantise the network again");
}

/// A pipe's bytes can be read only once, so it is opened once.
#[cfg(unix)]
#[test]
fn a_pipe_is_known_unless_it_has_a_key() {
    let from_pipe = |bytes: &[u8]| -> Output {
        let mut inspect = Command::new(env!("CARGO_BIN_EXE_poai"));
        inspect.args(["inspect", "/dev/stdin"]).stdin(Stdio::piped());
        let mut inspect = inspect.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that refuses early breaks the pipe.
        inspect.stdin.take().unwrap().write_all(bytes).ok();
        inspect.wait_with_output().unwrap()
    };
    let proof = from_pipe(&WRITTEN.read("proof.bin"));
    assert!(printed(&proof).starts_with("proof of inference\n"));
    refused(&from_pipe(&KEYS.read("verifying.key")), 2, "it is not a regular file");
}
