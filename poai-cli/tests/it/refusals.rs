//! What users get wrong: each run ends with one line that gives a reason and a
//! remedy, and leaves nothing behind.

use crate::program::{code, path, poai, printed, text};
use poai_testing::vectors;
use std::path::Path;

fn fixture(name: &str, file: &str) -> String {
    vectors("onnx").join(name).join(file).to_str().unwrap().to_owned()
}

/// All files below a folder, with their sizes.
fn content(folder: &Path) -> Vec<(String, u64)> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        found.push((entry.path().display().to_string(), entry.metadata().unwrap().len()));
        if entry.path().is_dir() {
            found.extend(content(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn mistakes_end_with_a_reason_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| path(folder.path(), name);
    let (net, input) = (fixture("op-gather", "model.onnx"), fixture("op-gather", "input.npy"));
    let [image, pixels] =
        ["model.onnx", "input.npy"].map(|file| fixture("output-order-image", file));
    let mixed = fixture("batch-mixed-rows", "model.onnx");
    let bytes = std::fs::read(&net).unwrap();
    std::fs::write(at("cut.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("short.csv"), "1,2,3\n").unwrap();
    std::fs::write(at("cut.json"), "[[1,2").unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let [cut, empty, short, json] = ["cut.onnx", "empty", "short.csv", "cut.json"].map(at);
    let [dir, none, kept] = ["folder", "none", "kept"].map(at);
    printed(&poai(&["quantise", &net, "--calibration", &input, "--out", &kept]));
    let program = path(Path::new(&kept), "program.poai");
    let before = content(folder.path());
    let run = |more: &[&str]| -> Vec<String> {
        [&["run", &net, "--samples", &input][..], more].concat().iter().map(|&a| a.into()).collect()
    };
    let plain = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    };
    for (arguments, why) in [
        (plain(&["run", &none, "--samples", &input]), "; check its path"),
        (plain(&["run", &dir, "--samples", &input]), "got a folder; name the file"),
        (plain(&["run", &empty, "--samples", &input]), "; export the network to ONNX"),
        (plain(&["run", &cut, "--samples", &input]), "; copy or export the file again"),
        (plain(&["run", &kept, "--samples", &input]), "; name its folder with --quantised"),
        (plain(&["run", &program, "--samples", &input]), "; name its folder with --quantised"),
        (plain(&["run", &net, "--samples", &none]), "; check the path"),
        (plain(&["run", &net, "--samples", &dir]), "; name a file, or put .png files there"),
        (plain(&["run", &net, "--samples", &short]), "line 1: expected 8 numbers"),
        (plain(&["run", &net, "--samples", &json]), "line 1, column 5: expected JSON"),
        (plain(&["run", &net, "--samples", &net]), "; name a file of samples"),
        (plain(&["run", &net]), "; name a file of samples with --samples"),
        (plain(&["run", &net, "--input", &input]), "; name a file with --calibration"),
        (plain(&["run", "--quantised", &net, "--input", &input]), "without --quantised"),
        (plain(&["run", "--quantised", &dir, "--input", &input]), "make one with `poai quantise`"),
        (plain(&["run", "--quantised", &kept]), "; name a file with --input"),
        (plain(&["run", "--stored", &net, "--input", &input]), "without --stored"),
        (plain(&["run", "--stored", &kept, "--input", &input]), "with --quantised"),
        (plain(&["run", &mixed, "--samples", &input]), "--dimension s55=1 or --dimension s55=SIZE"),
        (plain(&["inspect", &mixed]), "which `poai run` and `poai quantise` take"),
        (run(&["--image", "99"]), "; lower --image or --batch"),
        (run(&["--batch", "99"]), "; lower --image or --batch"),
        (run(&["--out", &dir]), "; name another with --out, or move it"),
        (run(&["--out", &empty]), "; name another with --out, or move it"),
        (run(&["--out", &path(Path::new(&none), "out")]), "; choose another place"),
        (run(&["--dimension", "n=99999999999"]), "; export or fix other sizes"),
        (run(&["--dimension", "q=3"]), "; choose one of n"),
        (run(&["--output", "nope"]), "; choose one of y, v0_0 with --output NAME"),
        (run(&["--trace", "--demand", "9:9"]), "; choose a value of the program"),
        (plain(&["quantise", &net, "--calibration", &none, "--out", &at("new")]), "check the path"),
        (plain(&["quantise", &net, "--calibration", &short, "--out", &at("new")]), "line 1: "),
        (plain(&["classify", &image, "--samples", &pixels]), "; use poai run"),
        (
            plain(&["prove", &image, "--samples", &pixels, "--visibility", "input=public"]),
            "--visibility input=hashed,output=hashed",
        ),
        (plain(&["prove", &net, "--samples", &input, "--keys", &empty]), "choose another place"),
        (plain(&["verify", &net, "--key", &net]), "; name proof.bin or deployment.json"),
        (plain(&["inspect", &none]), "; check the path"),
        (plain(&["mine", "--operands", &empty]), "; save the tensors a and bt in one"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = poai(&arguments);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said:?} does not say {why:?}");
        assert_eq!(content(folder.path()), before, "{arguments:?}");
    }
}
