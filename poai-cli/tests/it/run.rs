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

const FEW: [&str; 6] = ["--product-samples", "3", "--step-samples", "2", "--output-tiles", "1"];

#[test]
fn an_audit_travels_to_the_verifier() {
    let traced = traced(&[&["--beacon", OTHER][..], &FEW].concat());
    let root = traced.root().to_owned();
    let (receipt, audit) = (traced.path("receipt.bin"), traced.path("audit.bin"));
    let of = [&["--receipt", &receipt][..], &FEW].concat();
    let known = [&of[..], &["--trace-root", &root, "--beacon", OTHER]].concat();
    let text = printed(&traced.verify("audit", "audit.bin", &known));
    let tiles = &traced.said["tiles"];
    assert!(text.contains(&format!("{tiles} opened tiles are right")) && text.contains(&root));
    // The folder stands for its program.
    let folder = traced.out();
    let in_folder = ["verify", "audit", &audit, "--program", folder.to_str().unwrap()];
    printed(&poai(&[&in_folder[..], &known].concat()));

    // Of another trace, job or prover, drawn by another beacon, changed, cut off.
    for (flag, what) in [("--trace-root", "trace"), ("--job", "job"), ("--prover", "prover")] {
        let other = [&of[..], &["--beacon", OTHER, flag, OTHER]].concat();
        let why = format!("expected a receipt of {what} {OTHER}");
        refused(&traced.verify("audit", "audit.bin", &other), 1, &why);
    }
    let other = [&of[..], &["--beacon", JOB]].concat();
    refused(&traced.verify("audit", "audit.bin", &other), 1, "invalid: ");
    let length = std::fs::metadata(&audit).unwrap().len() as usize;
    changed(&audit, &traced.path("changed.bin"), length - 1);
    refused(&traced.verify("audit", "changed.bin", &known), 1, "invalid: ");
    let bytes = std::fs::read(&audit).unwrap();
    std::fs::write(traced.path("short.bin"), &bytes[..bytes.len() - 1]).unwrap();
    refused(&traced.verify("audit", "short.bin", &known), 2, "malformed: ");
    // A receipt under other rules, and no receipt.
    let rules = [&known[..], &["--batch-max", "64"]].concat();
    refused(&traced.verify("audit", "audit.bin", &rules), 1, "rules");
    let none = ["--receipt", &traced.path("audit.bin")];
    refused(&traced.verify("audit", "audit.bin", &none), 2, "expected 244 bytes");
    // An audit of no tile, and of more tiles than memory holds.
    let nothing = ["--product-samples", "0", "--step-samples", "0", "--output-tiles", "0"];
    let nothing = [&["--receipt", &receipt][..], &nothing].concat();
    refused(&traced.verify("audit", "audit.bin", &nothing), 2, "one tile at least");
    let many = ["--receipt", &receipt, "--step-samples", "4294967295"];
    refused(&traced.verify("audit", "audit.bin", &many), 2, "4294967295");
    // Another program.
    let cnn = tempfile::tempdir().unwrap();
    let out = path(cnn.path(), "out");
    printed(&poai(&["run", "--model", "cnn", "--batch", "1", "--out", &out]));
    let arguments = ["verify", "audit", &audit, "--program", &out];
    refused(&poai(&[&arguments[..], &known].concat()), 1, "the trace is of program");
}

/// A prover answers a demand. If the tile has a fault, the answer convicts the
/// trace.
#[test]
fn an_answer_opens_what_was_demanded() {
    let folder = traced(&["--demand", "1:0"]);
    let demand = folder.path("demand.bin");
    let receipt = folder.path("receipt.bin");
    let asked = ["--demand", &demand, "--receipt", &receipt];
    let text = printed(&folder.verify("answer", "answer.bin", &asked));
    assert!(text.contains("the demanded tile is right") && text.contains(folder.root()), "{text}");
    refused(&folder.verify("answer", "header.bin", &asked), 2, "header alone");
    refused(&folder.verify("answer", "receipt.bin", &asked), 2, "malformed");
    let fraud = object(&poai(&["inspect", "--json", &traced(&["--fault"]).path("fraud.bin")]));
    let place = format!("{}:{}", fraud["value"], fraud["tile"]);
    let faulty = traced(&["--demand", &place, "--fault"]);
    let demand = faulty.path("demand.bin");
    let own = faulty.path("receipt.bin");
    let convicts = ["--demand", &demand, "--receipt", &own];
    let convicts = faulty.verify("answer", "answer.bin", &convicts);
    refused(&convicts, 1, "the answer convicts");
    let fraud = faulty.verify("fraud", "answer.bin", &["--trace-root", faulty.root()]);
    assert!(printed(&fraud).contains("the trace is fraudulent"));
    // The prover of another receipt has to answer for itself.
    let other =
        faulty.verify("answer", "answer.bin", &["--demand", &demand, "--receipt", &receipt]);
    refused(&other, 1, "expected a demand about receipt");
    // The tile does not exist, and the place is malformed.
    let none = poai(&["run", "--batch", "1", "--trace", "--demand", "1:999"]);
    refused(&none, 2, "value 1 has no tile 999");
    refused(&poai(&["run", "--trace", "--demand", "1"]), 2, "expected VALUE:TILE");
}

#[test]
fn a_fraud_proof_convicts_a_fault_and_no_honest_trace() {
    let faulty = traced(&["--fault"]);
    let root = faulty.root().to_owned();
    assert!(faulty.said["fault"].as_str().unwrap().contains("committed as"));
    let text = printed(&faulty.verify("fraud", "fraud.bin", &["--trace-root", &root]));
    assert!(text.contains("the trace is fraudulent") && text.contains("gemm1"), "{text}");
    // Against another trace the fraud proof is invalid. Other bytes are malformed.
    let honest = traced(&[]);
    let own = honest.root().to_owned();
    assert_ne!(own, root);
    refused(&faulty.verify("fraud", "fraud.bin", &["--trace-root", &own]), 1, "invalid: ");
    let header = faulty.verify("fraud", "header.bin", &["--trace-root", &root]);
    refused(&header, 1, "there is no fraud");
    let program = faulty.verify("fraud", "program.poai", &["--trace-root", &root]);
    refused(&program, 2, "expected version 2");
    std::fs::write(faulty.path("short.bin"), [&[2, 0, 0, 0][..], &[0; 100]].concat()).unwrap();
    refused(&faulty.verify("fraud", "short.bin", &["--trace-root", &root]), 2, "malformed: ");
}

#[test]
fn a_receipt_is_admitted_with_its_header() {
    let traced = traced(&["--prover", OTHER]);
    let header = traced.path("header.bin");
    let root = traced.root().to_owned();
    let all = ["--header", &header, "--job", JOB, "--prover", OTHER, "--trace-root", &root];
    let text = printed(&traced.verify("receipt", "receipt.bin", &all));
    for expected in [JOB, OTHER, &root, "51072 with weights"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    printed(&traced.verify("receipt", "receipt.bin", &["--header", &header]));
    for (flag, other, what) in
        [("--job", OTHER, "job"), ("--prover", JOB, "prover"), ("--trace-root", JOB, "trace")]
    {
        let output = traced.verify("receipt", "receipt.bin", &["--header", &header, flag, other]);
        refused(&output, 1, &format!("expected a receipt of {what} {other}"));
    }
    // Other rules, runs that these do not permit, other MACs, and no receipt.
    let rules = ["--header", &header, "--batch-max", "64"];
    refused(&traced.verify("receipt", "receipt.bin", &rules), 1, "rules");
    let small = ["--header", &header, "--tile-memory-max", "64"];
    refused(&traced.verify("receipt", "receipt.bin", &small), 2, "the rules permit 64");
    changed(&traced.path("receipt.bin"), &traced.path("changed.bin"), 132);
    let output = traced.verify("receipt", "changed.bin", &["--header", &header]);
    refused(&output, 1, "MACs with weights");
    let output = traced.verify("receipt", "audit.bin", &["--header", &header]);
    refused(&output, 2, "expected 244 bytes");
}

/// The files of `--out` are enough to run the network again, on every backend,
/// with the same output and trace root.
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
        // The same number of entries as a table of two columns.
        ("1\n2,3,4\n", "line 2: expected 1 integers as in line 1, got 3"),
        ("1,200\n", "200"),
        ("1,2\n", "input"),
        ("", ""),
    ] {
        std::fs::write(&bad, text).unwrap();
        refused(&poai(&arguments), 2, why);
    }
    std::fs::write(&bad, "x".repeat(1 << 20)).unwrap();
    let long = poai(&arguments);
    refused(&long, 2, &format!("got \"{}\"…", "x".repeat(40)));
    assert!(long.stderr.len() < 1000);
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
    // By default all digits that no network was trained with.
    let text = printed(&poai(&["run"]));
    assert!(text.contains("batch 500") && text.contains("and 496 rows more"), "{text}");
}

/// The error occurs before the work; otherwise the missing model would be named.
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
