//! `poai run`, and `poai verify` of what it writes.

use crate::program::{object, path, poai, printed, refused};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const JOB: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const OTHER: &str = "0808080808080808080808080808080808080808080808080808080808080808";

/// A traced run with its files.
struct Traced {
    folder: TempDir,
    said: Value,
}

fn traced(more: &[&str]) -> Traced {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let arguments = ["run", "--json", "--batch", "3", "--trace", "--job", JOB, "--out", &out];
    let said = object(&poai(&[&arguments[..], more].concat()));
    Traced { folder, said }
}

impl Traced {
    fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }

    fn path(&self, name: &str) -> String {
        path(&self.out(), name)
    }

    fn root(&self) -> &str {
        self.said["trace_root"].as_str().unwrap()
    }

    /// `poai verify KIND FILE --program … MORE`
    fn verify(&self, kind: &str, file: &str, more: &[&str]) -> std::process::Output {
        let (file, program) = (self.path(file), self.path("program.poai"));
        poai(&[&["verify", kind, &file, "--program", &program], more].concat())
    }
}

fn changed(from: &str, to: &str, at: usize) {
    let mut bytes = std::fs::read(from).unwrap();
    bytes[at] ^= 1;
    std::fs::write(to, bytes).unwrap();
}

#[test]
fn an_audit_travels_to_the_verifier() {
    let traced = traced(&["--beacon", OTHER, "--tiles", "5"]);
    let root = traced.root().to_owned();
    let known = ["--trace-root", &root, "--beacon", OTHER, "--tiles", "5"];
    let text = printed(&traced.verify("audit", "audit.bin", &known));
    assert!(text.contains("5 sampled tiles are right") && text.contains(&root), "{text}");
    // The folder stands for the program in it.
    let folder = traced.out();
    let audit = traced.path("audit.bin");
    let in_folder = ["verify", "audit", &audit, "--program", folder.to_str().unwrap()];
    printed(&poai(&[&in_folder[..], &known].concat()));

    // A number of tiles that shows nothing, and one that no memory holds.
    for tiles in ["0", "65537", "4294967295"] {
        let known = ["--trace-root", &root, "--beacon", OTHER, "--tiles", tiles];
        refused(&traced.verify("audit", "audit.bin", &known), 2, "--tiles");
        refused(&poai(&["run", "--trace", "--tiles", tiles]), 2, "--tiles");
    }
    // Of another trace, drawn by another beacon, changed, cut off.
    let other = ["--trace-root", OTHER, "--beacon", OTHER, "--tiles", "5"];
    refused(&traced.verify("audit", "audit.bin", &other), 1, "invalid: ");
    let other = ["--trace-root", &root, "--beacon", JOB, "--tiles", "5"];
    refused(&traced.verify("audit", "audit.bin", &other), 1, "invalid: ");
    let length = std::fs::metadata(&audit).unwrap().len() as usize;
    changed(&audit, &traced.path("changed.bin"), length - 1);
    refused(&traced.verify("audit", "changed.bin", &known), 1, "invalid: ");
    let bytes = std::fs::read(&audit).unwrap();
    std::fs::write(traced.path("short.bin"), &bytes[..bytes.len() - 1]).unwrap();
    refused(&traced.verify("audit", "short.bin", &known), 2, "malformed: ");
    // Another program.
    let cnn = tempfile::tempdir().unwrap();
    let out = path(cnn.path(), "out");
    printed(&poai(&["run", "--model", "cnn", "--batch", "1", "--out", &out]));
    let arguments = ["verify", "audit", &audit, "--program", &out];
    refused(&poai(&[&arguments[..], &known].concat()), 1, "the trace is of program");
}

#[test]
fn a_fraud_proof_convicts_a_fault_and_no_honest_trace() {
    let faulty = traced(&["--fault"]);
    let root = faulty.root().to_owned();
    assert!(faulty.said["fault"].as_str().unwrap().contains("committed as"));
    let text = printed(&faulty.verify("fraud", "fraud.bin", &["--trace-root", &root]));
    assert!(text.contains("the trace is fraudulent") && text.contains("gemm1"), "{text}");
    // Against another trace it says nothing, and bytes of no message are malformed.
    let honest = traced(&[]);
    let own = honest.root().to_owned();
    assert_ne!(own, root);
    refused(&faulty.verify("fraud", "fraud.bin", &["--trace-root", &own]), 1, "invalid: ");
    let header = faulty.verify("fraud", "header.bin", &["--trace-root", &root]);
    refused(&header, 1, "there is no fraud");
    refused(&faulty.verify("fraud", "program.poai", &["--trace-root", &root]), 1, "invalid: ");
    std::fs::write(faulty.path("short.bin"), [0; 100]).unwrap();
    refused(&faulty.verify("fraud", "short.bin", &["--trace-root", &root]), 2, "malformed: ");
}

#[test]
fn a_receipt_is_checked_against_an_audit() {
    let traced = traced(&["--prover", OTHER]);
    let audit = traced.path("audit.bin");
    let root = traced.root().to_owned();
    let all = ["--audit", &audit, "--job", JOB, "--prover", OTHER, "--trace-root", &root];
    let text = printed(&traced.verify("receipt", "receipt.bin", &all));
    for expected in [JOB, OTHER, &root, "51072 with weights"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    printed(&traced.verify("receipt", "receipt.bin", &["--audit", &audit]));
    for (flag, other, what) in
        [("--job", OTHER, "job"), ("--prover", JOB, "prover"), ("--trace-root", JOB, "trace")]
    {
        let output = traced.verify("receipt", "receipt.bin", &["--audit", &audit, flag, other]);
        refused(&output, 1, &format!("expected a receipt of {what} {other}"));
    }
    // Other rules, other MACs, and no receipt.
    let rules = ["--audit", &audit, "--batch-max", "64"];
    refused(&traced.verify("receipt", "receipt.bin", &rules), 1, "rules");
    changed(&traced.path("receipt.bin"), &traced.path("changed.bin"), 128);
    let output = traced.verify("receipt", "changed.bin", &["--audit", &audit]);
    refused(&output, 1, "MACs with weights");
    let output = traced.verify("receipt", "audit.bin", &["--audit", &audit]);
    refused(&output, 2, "expected a receipt of 240 bytes");
}

/// What `--out` writes is enough to run the same again: outputs and trace roots
/// are the same, on every backend.
#[test]
fn a_stored_network_runs_again() {
    let first = traced(&[]);
    let (out, input) = (first.out(), first.path("input-0.csv"));
    let stored = ["run", "--json", "--stored", out.to_str().unwrap(), "--input", &input, "--trace"];
    for backend in ["cpu-scalar", "reference"] {
        let again = object(&poai(&[&stored[..], &["--backend", backend]].concat()));
        for field in ["output", "output_root", "trace_root", "macs", "batch", "program_id"] {
            assert_eq!(first.said[field], again[field], "{field}");
        }
    }
    let csv = std::fs::read_to_string(first.path("output.csv")).unwrap();
    let entries: Vec<i64> =
        csv.lines().flat_map(|line| line.split(',')).map(|field| field.parse().unwrap()).collect();
    assert_eq!(first.said["output"], Value::from(entries));

    let bad = first.path("bad.csv");
    let arguments = ["run", "--stored", out.to_str().unwrap(), "--input", &bad];
    for (text, why) in [
        ("1,2,3,x\n", "line 1: expected integers"),
        ("1,2\n3\n", "line 2: expected 2 integers as in line 1, got 1"),
        // As many in all as a table of two columns has.
        ("1\n2,3,4\n", "line 2: expected 1 integers as in line 1, got 3"),
        ("1,200\n", "200"),
        ("1,2\n", "input"),
        ("", ""),
    ] {
        std::fs::write(&bad, text).unwrap();
        refused(&poai(&arguments), 2, why);
    }
    let two = [&arguments[..], &["--input", &input]].concat();
    refused(&poai(&two), 2, "expected 1 inputs of the program, got 2");
    refused(&poai(&["run", "--stored", "missing", "--input", &input]), 2, "missing");
}

#[test]
fn a_run_without_a_trace_commits_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "out");
    let said = object(&poai(&["run", "--json", "--model", "product", "--out", &out]));
    assert!(said["trace_root"].is_null() && said["receipt"].is_null());
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = ["constants.safetensors", "input-0.csv", "output.csv", "program.poai"];
    assert_eq!(names, expected);
    // Digits by default, all that no network was trained with.
    let text = printed(&poai(&["run"]));
    assert!(text.contains("batch 500") && text.contains("and 496 rows more"), "{text}");
}

/// Found before the work: a model that is missing, too, would be named otherwise.
#[test]
fn a_bad_place_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = path(folder.path(), "no/such/out");
    let missing = path(folder.path(), "missing.onnx");
    let taken = path(folder.path(), "taken");
    std::fs::create_dir(&taken).unwrap();
    for task in ["run", "prove"] {
        for (place, why) in [(&nowhere, "cannot write"), (&taken, "it is there already")] {
            refused(&poai(&[task, "--onnx", &missing, "--out", place]), 2, why);
        }
        refused(&poai(&[task, "--onnx", &missing]), 2, "missing.onnx");
    }
    let prove = |more: &[&str]| poai(&[&["prove", "--onnx", &missing], more].concat());
    refused(&prove(&["--export-r1cs", &nowhere]), 2, "cannot write");
    let file = path(folder.path(), "file");
    std::fs::write(&file, "").unwrap();
    refused(&prove(&["--keys", &path(Path::new(&file), "keys")]), 2, "cannot write");
    #[cfg(unix)]
    {
        let link = path(folder.path(), "link");
        std::os::unix::fs::symlink("no/such/folder", &link).unwrap();
        for keys in [&link, &path(Path::new(&link), "keys")] {
            refused(&prove(&["--keys", keys]), 2, "link is a link to nothing");
        }
        std::fs::remove_file(&link).unwrap();
    }
    for (flag, place) in [("--out", &nowhere), ("--product", &taken)] {
        refused(&poai(&["mine", "--operands", &missing, flag, place]), 2, "cannot write");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
}
