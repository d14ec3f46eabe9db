//! `poai mine`, and `poai verify` of its proofs.

use crate::program::{code, command, path, poai, text};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn run(name: &str, args: &[&str]) -> Output {
    poai(&[&[name], args].concat())
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object on stdout")
}

const CHALLENGE: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

#[test]
fn the_bundled_layer_is_mined_without_arguments() {
    let output = run("mine", &[]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    for expected in ["512×384×1536", "GMAC/s", "BLAKE3", "tile", "ticket", "proof", "verified"] {
        assert!(stdout.contains(expected), "{expected} in {stdout}");
    }
}

#[test]
fn a_proof_travels_to_the_verifier() {
    let directory = tempfile::tempdir().unwrap();
    let (proof, product) = (path(directory.path(), "out.proof"), path(directory.path(), "product"));
    let mine = run(
        "mine",
        &[
            "--json",
            "--challenge",
            CHALLENGE,
            "--difficulty",
            "2e7",
            "--out",
            &proof,
            "--product",
            &product,
        ],
    );
    assert_eq!(code(&mine), 0, "{}", text(&mine.stderr));
    let report = json(&mine);
    assert_eq!(report["shape"], serde_json::json!([512, 384, 1536]));
    let bytes = std::fs::read(&proof).unwrap();
    assert_eq!(report["proof_bytes"], bytes.len());
    let product = std::fs::read(&product).unwrap();
    assert_eq!(product.len(), 4 * 512 * 384);
    assert_eq!(report["product_blake3"], blake3::hash(&product).to_hex().as_str());
    for key in ["seconds", "macs_per_second", "verify_seconds"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}");
    }

    let verify = |proof: &str, challenge: &str, difficulty: &str| {
        run("verify", &[proof, "--challenge", challenge, "--difficulty", difficulty])
    };
    let accepted = verify(&proof, CHALLENGE, "20000000");
    assert_eq!(code(&accepted), 0, "{}", text(&accepted.stderr));
    let stdout = text(&accepted.stdout);
    assert!(stdout.contains("valid: block") && stdout.contains(report["ticket"].as_str().unwrap()));

    let other = CHALLENGE.replace("5a", "5b");
    for (challenge, difficulty) in [(other.as_str(), "2e7"), (CHALLENGE, "1e30")] {
        let refused = verify(&proof, challenge, difficulty);
        assert_eq!(code(&refused), 1, "{}", text(&refused.stderr));
        assert_eq!(text(&refused.stderr).lines().count(), 1);
        assert!(text(&refused.stderr).starts_with("invalid: "));
    }
    let forged = path(directory.path(), "forged.proof");
    for (change, expected) in [(1000, 1), (0, 2)] {
        let mut changed = bytes.clone();
        changed[change] ^= 1;
        std::fs::write(&forged, changed).unwrap();
        let refused = verify(&forged, CHALLENGE, "2e7");
        assert_eq!(code(&refused), expected, "{}", text(&refused.stderr));
        assert_eq!(text(&refused.stderr).lines().count(), 1);
    }
}

#[test]
fn verify_refuses_bad_files_and_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(directory.path(), "junk");
    for junk in [&b""[..], b"junk", &[0; 148], &[255; 4096]] {
        std::fs::write(&file, junk).unwrap();
        let refused = run("verify", &[&file, "--challenge", CHALLENGE, "--difficulty", "2e7"]);
        assert_eq!(code(&refused), 2);
        assert!(text(&refused.stderr).starts_with("malformed: "), "{}", text(&refused.stderr));
    }
    std::fs::File::create(&file).unwrap().set_len(1 << 32).unwrap();
    let huge = run("verify", &[&file, "--challenge", CHALLENGE, "--difficulty", "2e7"]);
    assert_eq!(code(&huge), 2);
    assert!(text(&huge.stderr).contains("bytes, got more"));
    let missing = path(directory.path(), "missing");
    for args in [
        &[missing.as_str(), "--challenge", CHALLENGE, "--difficulty", "2e7"][..],
        &[&file, "--challenge", "5a", "--difficulty", "2e7"],
        &[&file, "--challenge", CHALLENGE, "--difficulty", "0"],
        &[&file, "--challenge", CHALLENGE, "--difficulty", "1.5"],
        &[&file, "--challenge", CHALLENGE],
        &[],
    ] {
        let output = run("verify", args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
}

#[test]
fn no_winning_tile_is_exit_3_with_the_product_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (proof, product) = (path(directory.path(), "out.proof"), path(directory.path(), "product"));
    let args = [
        "--json",
        "--random",
        "33,1,1024",
        "--difficulty",
        "1e30",
        "--out",
        &proof,
        "--product",
        &product,
    ];
    let output = run("mine", &args);
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains("no tile won"));
    assert!(json(&output)["tile"].is_null());
    assert_eq!(std::fs::read(&product).unwrap().len(), 4 * 33);
    assert!(!Path::new(&proof).exists());
}

/// Odd shapes are padded, deep ones split. Every backend and number of threads
/// gives the same bytes.
#[test]
fn any_shape_on_any_backend() {
    let directory = tempfile::tempdir().unwrap();
    for shape in ["70,40,1100", "3,5,17000"] {
        let mut outcomes = Vec::new();
        for extra in [
            &["--backend", "reference"][..],
            &["--backend", "cpu-scalar"],
            &["--backend", "auto"],
            &["--backend", "auto", "--threads", "2"],
            &["--threads", "1"],
            &["--threads", "3"],
        ] {
            let proof = path(directory.path(), "out.proof");
            let args = ["--json", "--random", shape, "--difficulty", "1", "--out", &proof];
            let output = run("mine", &[&args[..], extra].concat());
            assert_eq!(code(&output), 0, "{}", text(&output.stderr));
            let report = json(&output);
            outcomes.push((
                report["product_blake3"].clone(),
                report["ticket"].clone(),
                std::fs::read(&proof).unwrap(),
            ));
        }
        assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{shape}");
    }
}

#[test]
fn mine_refuses_bad_arguments_and_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(directory.path(), "operands");
    let usage = |args: &[&str], expected: &str| {
        let output = run("mine", args);
        assert_eq!(code(&output), 2, "{args:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{args:?}: {stderr}");
    };
    usage(&["--random", "64,64"], "three sizes");
    usage(&["--random", "64,0,64"], "at least 1");
    usage(&["--random", "64,64,99999999999999999999"], "expected a size");
    if cfg!(target_os = "linux") {
        usage(&["--random", "4000000000,64,4000000000"], "MiB of free memory");
        usage(&["--random", "1000000,1000000,1024"], "MiB of free memory");
        usage(&["--random", "2000000000,1,1"], "MiB of free memory");
        usage(&["--operands", "/dev/zero"], "not a regular file");
    }
    usage(&["--random", "64,64,128"], "after padding, as a block's statement needs, got 128");
    usage(&["--random", "1,1,600000"], "2^19");
    usage(&["--backend", "unheard-of"], "cpu-scalar");
    // The GPUs' names if they are built in, or else how to build them in.
    let advice = if cfg!(feature = "cuda") { ":0,2" } else { "--features cuda" };
    usage(&["--backend", "cuda-foo"], advice);
    usage(&["--threads", "0"], "0");
    usage(&["--backend", "reference", "--threads", "2"], "expected no --threads");
    usage(&["--challenge", "xyz"], "64 hexadecimal digits");
    usage(&["--difficulty", "-1"], "");
    usage(&["--operands", &path(directory.path(), "missing")], "cannot read");
    std::fs::write(&file, b"no safetensors at all").unwrap();
    usage(&["--operands", &file], "expected a safetensors file");
    write_operands(&file, &[("a", &[32, 1024], 0), ("c", &[32, 1024], 0)]);
    usage(&["--operands", &file], "expected a tensor `bt`");
    write_operands(&file, &[("a", &[32, 1024], 0), ("bt", &[32, 2048], 0)]);
    usage(&["--operands", &file], "pass matrices of one k");
    write_operands(&file, &[("a", &[32 * 1024], 0), ("bt", &[32, 1024], 0)]);
    usage(&["--operands", &file], "expected two dimensions");
    write_operands(&file, &[("a", &[32, 1024], 0), ("bt", &[32, 1024], 64)]);
    usage(&["--operands", &file], "operand B: expected entries in -64..=63, got 64 at [0, 0]");
    usage(&["--out", directory.path().to_str().unwrap()], "it is a folder");
    usage(&["--out", &file, "--product", &file], "the same file");
    usage(&["--threads", "30000"], "30000");
    let nowhere = path(directory.path(), "no/such/folder/out");
    usage(&["--random", "32,32,1024", "--difficulty", "1", "--out", &nowhere], "cannot write");
}

/// Help is not an error, and lists the flag of backends.
#[test]
fn help_is_printed() {
    for name in ["mine", "verify"] {
        let output = run(name, &["--help"]);
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("--difficulty"));
    }
    let list = run("mine", &["--backend", "list"]);
    assert_eq!(code(&list), 0);
    assert!(
        text(&list.stdout)
            .lines()
            .any(|line| line.starts_with("cpu-scalar") && line.contains("present"))
    );
    // Every program prints the list in this form.
    let lines: String = poai::choose::list().iter().map(|listed| format!("{listed}\n")).collect();
    assert_eq!(text(&list.stdout), lines);
}

/// A closed pipe causes no panic and no other exit code.
#[cfg(unix)]
#[test]
fn a_closed_stdout_changes_nothing() {
    use std::process::Stdio;
    let directory = tempfile::tempdir().unwrap();
    let proof = path(directory.path(), "out.proof");
    let args =
        ["--random", "64,64,1024", "--difficulty", "1", "--challenge", CHALLENGE, "--out", &proof];
    let closed = |name: &str, args: &[&str]| {
        let mut child = command()
            .arg(name)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    };
    let mined = closed("mine", &args);
    assert_eq!((code(&mined), text(&mined.stderr)), (0, String::new()));
    let verified = closed("verify", &[&proof, "--challenge", CHALLENGE, "--difficulty", "1"]);
    assert_eq!((code(&verified), text(&verified.stderr)), (0, String::new()));
}

/// Outputs replace files, keep their permissions, follow links, and write into
/// pipes instead of replacing them.
#[cfg(unix)]
#[test]
fn outputs_respect_what_is_there() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let mine = |product: &str| {
        run("mine", &["--random", "32,32,1024", "--difficulty", "1", "--product", product])
    };
    let (file, link, pipe) = (
        path(directory.path(), "file"),
        path(directory.path(), "link"),
        path(directory.path(), "pipe"),
    );
    std::fs::write(&file, b"old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&file, &link).unwrap();
    assert_eq!(code(&mine(&link)), 0);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let written = std::fs::metadata(&file).unwrap();
    assert_eq!((written.len(), written.permissions().mode() & 0o777), (4096, 0o640));

    let (dangling, target) = (path(directory.path(), "dangling"), path(directory.path(), "target"));
    symlink("target", &dangling).unwrap();
    assert_eq!(code(&mine(&dangling)), 0);
    assert_eq!(std::fs::metadata(&target).unwrap().len(), 4096);
    assert!(std::fs::symlink_metadata(&dangling).unwrap().is_symlink());
    let both = run("mine", &["--random", "32,32,1024", "--out", &file, "--product", &link]);
    assert_eq!(code(&both), 2);
    assert!(text(&both.stderr).contains("the same file"));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
    let refused = mine(&file);
    assert_eq!(code(&refused), 2);
    assert!(text(&refused.stderr).contains("read-only"));

    if Path::new("/dev/stdout").exists() {
        let stdout = mine("/dev/stdout");
        assert_eq!(code(&stdout), 2);
        let said = text(&stdout.stderr);
        assert!(said.contains("/dev/stdout: expected a regular file's path"), "{said}");
    }

    if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: no mkfifo to make a pipe with");
        return;
    }
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    assert_eq!(code(&mine(&pipe)), 0);
    assert_eq!(reader.join().unwrap().len(), 4096);
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

/// A safetensors file of constant tensors.
fn write_operands(file: &str, tensors: &[(&str, &[usize], u8)]) {
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape, fill)| vec![*fill; shape.iter().product()]).collect();
    let views = tensors.iter().zip(&data).map(|((name, shape, _), data)| {
        (*name, TensorView::new(Dtype::I8, shape.to_vec(), data).unwrap())
    });
    serialize_to_file(views, None, Path::new(file)).unwrap();
}
