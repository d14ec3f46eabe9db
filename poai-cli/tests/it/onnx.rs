//! Networks of ONNX files: inputs, dimensions, outputs, data beside the file,
//! and every kind of step through a traced run.

use crate::program::{object, path, poai, printed, refused};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder of `test_vectors/onnx`.
struct Fixture(PathBuf);

impl Fixture {
    fn new(name: &str) -> Fixture {
        Fixture(Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/onnx").join(name))
    }

    fn file(&self, name: &str) -> String {
        path(&self.0, name)
    }

    fn model(&self) -> String {
        self.file("model.onnx")
    }

    /// The numbers of a file of NumPy, one list a sample.
    fn rows(&self, name: &str) -> Vec<Vec<f64>> {
        let bytes = std::fs::read(self.file(name)).unwrap();
        let length = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        let (header, data) = bytes[10..].split_at(length);
        let header = String::from_utf8_lossy(header);
        let numbers: Vec<f64> = match header.split('\'').nth(3).unwrap() {
            "<f4" => {
                let number = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap()).into();
                data.chunks(4).map(number).collect()
            }
            "<i8" => {
                let number = |eight: &[u8]| i64::from_le_bytes(eight.try_into().unwrap()) as f64;
                data.chunks(8).map(number).collect()
            }
            "|u1" => data.iter().map(|&byte| byte.into()).collect(),
            other => panic!("numbers of {other}"),
        };
        // All fixtures have 8 samples.
        numbers.chunks(numbers.len() / 8).map(<[f64]>::to_vec).collect()
    }

    /// `poai run --json --onnx MODEL MORE`
    fn run(&self, more: &[&str]) -> Value {
        object(&poai(&[&["run", "--json", "--onnx", &self.model()], more].concat()))
    }

    /// Checks that a run of this fixture gives up with exit code 2.
    fn refused(&self, more: &[&str], why: &str) {
        refused(&poai(&[&["run", "--onnx", &self.model()], more].concat()), 2, why);
    }
}

/// The output's floats, one list a sample.
fn floats(said: &Value) -> Vec<Vec<f64>> {
    let all: Vec<f64> = serde_json::from_value(said["output_floats"].clone()).unwrap();
    let batch = said["batch"].as_u64().unwrap() as usize;
    all.chunks(all.len() / batch).map(<[f64]>::to_vec).collect()
}

/// Checks a run's floats against those of ONNX Runtime, by the error of all.
fn close(said: &Value, expected: &[Vec<f64>], most: f64) {
    let found = floats(said);
    let sizes = |rows: &[Vec<f64>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&found), sizes(expected));
    let pairs = || found.iter().flatten().zip(expected.iter().flatten());
    let apart: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    let all: f64 = pairs().map(|(_, b)| b.powi(2)).sum();
    assert!(apart <= most * most * all, "{} of {}", apart.sqrt(), all.sqrt());
}

fn csv(rows: &[Vec<f64>]) -> String {
    let line = |row: &Vec<f64>| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    rows.iter().map(|row| line(row) + "\n").collect()
}

fn written(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let file = path(folder, name);
    std::fs::write(&file, bytes).unwrap();
    file
}

fn png(folder: &Path, name: &str, size: [u32; 2], color: png::ColorType, pixels: &[u8]) -> String {
    let file = path(folder, name);
    let mut encoder = png::Encoder::new(std::fs::File::create(&file).unwrap(), size[0], size[1]);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}

#[test]
fn two_inputs_are_two_files_or_one() {
    let fixture = Fixture::new("input-two-inputs");
    let [left, right] = ["input-0.npy", "input-1.npy"].map(|name| fixture.file(name));
    let two = ["--calibration", &left, "--calibration", &right];
    let said = fixture.run(&two);
    close(&said, &fixture.rows("expected.npy"), 0.05);
    let inputs = said["inputs"].as_array().unwrap();
    let named = |field: &str| inputs.iter().map(|input| input[field].clone()).collect::<Vec<_>>();
    assert_eq!(named("name"), ["left", "right"]);
    assert_eq!(named("shape"), [json!([1, 8]), json!([1, 4])]);
    assert!(named("ids").iter().all(Value::is_null));
    assert!(said["input_scale"].is_null(), "two inputs have no single scale");
    assert_eq!(said["output_shape"], json!([1, 3]));

    // One row with the entries of both, and the input apart from the calibration.
    let folder = tempfile::tempdir().unwrap();
    let rows = |name: &str| fixture.rows(name);
    let both: Vec<Vec<f64>> = rows("input-0.npy")
        .into_iter()
        .zip(rows("input-1.npy"))
        .map(|(left, right)| [left, right].concat())
        .collect();
    let one = written(folder.path(), "both.csv", csv(&both));
    let same = |other: &Value| {
        for field in ["program_id", "output", "output_root", "inputs"] {
            assert_eq!(said[field], other[field], "{field}");
        }
    };
    same(&fixture.run(&["--samples", &one]));
    let apart = [&two[..], &["--input", &left, "--input", &right]].concat();
    same(&fixture.run(&apart));
    let third = fixture.run(&[&apart[..], &["--image", "3", "--batch", "1"]].concat());
    assert_eq!(floats(&third)[0], floats(&said)[3]);

    // A stored network takes its inputs alike.
    let kept = path(folder.path(), "kept");
    let quantise = ["quantise", &fixture.model(), "--out", &kept];
    printed(&poai(&[&quantise[..], &two].concat()));
    let stored = ["run", "--json", "--quantised", &kept, "--input", &left, "--input", &right];
    same(&object(&poai(&stored)));
    same(&object(&poai(&["run", "--json", "--quantised", &kept, "--input", &one])));

    let three = [&two[..], &["--calibration", &left]].concat();
    fixture.refused(&three, "expected one file, or one for each of the inputs left, right, got 3");
    let half = ["--calibration", &left];
    fixture.refused(&half, "expected numbers of shape samples × 12, got 8×8");
    let turned = ["--calibration", &right, "--calibration", &left];
    fixture.refused(&turned, "expected numbers of shape samples × 8, got 8×4");
}

#[test]
fn an_output_is_chosen_by_its_name() {
    let fixture = Fixture::new("input-two-outputs");
    let samples = fixture.file("input.npy");
    let samples = ["--samples", samples.as_str()];
    let run = |name: &str| fixture.run(&[&samples[..], &["--output", name]].concat());
    close(&run("y"), &fixture.rows("expected-0.npy"), 0.05);
    close(&run("h"), &fixture.rows("expected-1.npy"), 0.05);
    fixture.refused(&samples, "expected one output, got 2: y, h; choose one by its name with");
    let none = [&samples[..], &["--output", "z"]].concat();
    fixture.refused(&none, "expected the name of a value as the output, got z; choose one of y, h");
    let input = [&samples[..], &["--output", "x"]].concat();
    fixture.refused(&input, "output x: expected a value that a node makes of the input");
    let classify = ["classify", &fixture.model(), "--json", "--output", "h"];
    assert_eq!(object(&poai(&[&classify[..], &samples].concat()))["classes"], run("h")["classes"]);

    // A network that is cut before its second input has one.
    let fixture = Fixture::new("input-two-inputs");
    let cut = fixture.run(&["--samples", &fixture.file("input-0.npy"), "--output", "v1_0"]);
    assert_eq!(cut["inputs"].as_array().unwrap().len(), 1);
    assert_eq!(cut["inputs"][0]["name"], "left");
    assert!(floats(&cut).iter().flatten().all(|float| *float >= 0.0), "behind a Relu");
}

#[test]
fn symbolic_dimensions_are_fixed_by_name() {
    let fixture = Fixture::new("input-symbolic-image");
    let samples = fixture.file("input.npy");
    let with = |more: &[&'static str]| [&["--samples", &samples], more].concat();
    let said = fixture.run(&with(&["--dimension", "height=8", "--dimension", "width=8"]));
    close(&said, &fixture.rows("expected.npy"), 0.05);
    assert_eq!(said["inputs"][0]["shape"], json!([1, 3, 8, 8]));
    let alias = fixture.run(&with(&["--variables", "height=8", "--variables", "width=8"]));
    assert_eq!(alias["output_root"], said["output_root"]);
    fixture.refused(&with(&[]), "--dimension height=SIZE --dimension width=SIZE");
    let one = with(&["--dimension", "height=8"]);
    fixture.refused(&one, "got symbolic width; fix it with width=SIZE: --dimension width=SIZE");
    let more = with(&["--dimension", "height=8", "--dimension", "depth=3"]);
    fixture.refused(&more, "got depth; choose one of batch, height, width");
    for wrong in ["height", "height=0", "height=many", "height=-1"] {
        let why = format!("expected NAME=SIZE with a size above 0, got {wrong}");
        fixture.refused(&["--samples", &samples, "--dimension", wrong], &why);
    }
    let large = ["--dimension", "height=99999999", "--dimension", "width=99999999"];
    fixture.refused(&with(&large), "1×3×99999999×99999999");
    let other = with(&["--dimension", "height=4", "--dimension", "width=4"]);
    fixture.refused(&other, "expected numbers of shape samples × 3×4×4");
    let stored = ["run", "--quantised", "folder", "--input", &samples, "--dimension", "height=8"];
    refused(&poai(&stored), 2, "error: ");
}

#[test]
fn data_lies_beside_the_file() {
    let fixture = Fixture::new("external-data-mlp");
    let samples = fixture.file("input.npy");
    let said = fixture.run(&["--samples", &samples]);
    close(&said, &fixture.rows("expected.npy"), 0.05);
    let found = object(&poai(&["inspect", "--json", &fixture.model()]));
    assert_eq!(found["kind"], "ONNX network");

    // The data is missing, or it is another file's.
    let folder = tempfile::tempdir().unwrap();
    let alone = path(folder.path(), "model.onnx");
    std::fs::copy(fixture.model(), &alone).unwrap();
    for arguments in [&["run", "--samples", &samples, "--onnx", &alone][..], &["inspect", &alone]] {
        refused(&poai(arguments), 2, "model.onnx.data: ");
    }
    std::fs::copy(fixture.file("model.onnx.data"), folder.path().join("model.onnx.data")).unwrap();
    let moved = object(&poai(&["run", "--json", "--samples", &samples, "--onnx", &alone]));
    assert_eq!(moved["output_root"], said["output_root"]);
    written(folder.path(), "model.onnx.data", [0; 16]);
    let short = poai(&["run", "--samples", &samples, "--onnx", &alone]);
    refused(&short, 2, "got a file of 16 bytes");
}

#[test]
fn bytes_are_pixels_of_an_image() {
    let fixture = Fixture::new("input-uint8");
    let known = fixture.file("input.npy");
    let all = fixture.run(&["--samples", &known]);
    close(&all, &fixture.rows("expected.npy"), 0.05);
    // The pixels of an image are the numbers 0 to 255 of the input.
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = fixture.rows("input.npy")[3].iter().map(|&byte| byte as u8).collect();
    let image = png(folder.path(), "bytes.png", [4, 2], png::ColorType::Grayscale, &bytes);
    let of = |scale| ["--calibration", &known, "--input", &image, "--pixel-scale", scale];
    assert_eq!(floats(&fixture.run(&of("1")))[0], floats(&all)[3]);
    // Another scale leaves no whole numbers.
    fixture.refused(&of("0.5"), "input x: expected whole numbers from 0 to 255");
}

#[test]
fn channels_last_are_read_from_images_and_tables() {
    let fixture = Fixture::new("keras-cnn-rgb");
    let known = fixture.file("input.npy");
    let all = fixture.run(&["--samples", &known]);
    close(&all, &fixture.rows("expected.npy"), 0.05);
    assert_eq!(all["inputs"][0]["channels_last"], true);
    assert_eq!(all["inputs"][0]["shape"], json!([1, 8, 8, 3]));
    assert!(all["input_scale"].is_number());

    // One image as a picture, as a table and as an array with channels first.
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..8 * 8 * 3).map(|at| (at * 37 % 251) as u8).collect();
    let image = png(folder.path(), "image.png", [8, 8], png::ColorType::Rgb, &pixels);
    let scaled: Vec<f64> = pixels.iter().map(|&pixel| f64::from(pixel) / 255.0).collect();
    let table = written(folder.path(), "image.csv", csv(std::slice::from_ref(&scaled)));
    let channel = |channel: usize| -> Vec<Vec<f64>> {
        let pixel = |at: usize| scaled[at * 3 + channel];
        (0..8).map(|y| (0..8).map(|x| pixel(y * 8 + x)).collect()).collect()
    };
    let first = json!([[channel(0), channel(1), channel(2)]]).to_string();
    let first = written(folder.path(), "first.json", first);
    let run = |input: &str| fixture.run(&["--calibration", &known, "--input", input]);
    let expected = run(&image);
    assert_eq!(run(&table)["output"], expected["output"]);
    assert_eq!(run(&first)["output"], expected["output"]);
    // The same numbers are another image if they are read channel by channel.
    let alone = |more: &[&str]| fixture.run(&[&["--samples", &table], more].concat());
    assert_eq!(alone(&["--layout", "nhwc"])["output"], alone(&[])["output"]);
    assert_ne!(alone(&["--layout", "nchw"])["output"], alone(&[])["output"]);
}

/// An ArgMax is left out, and the class is the largest entry.
#[test]
fn classes_stand_in_for_an_argmax() {
    let fixture = Fixture::new("op-argmax-end");
    let samples = fixture.file("input.npy");
    let said = fixture.run(&["--samples", &samples]);
    let classes: Vec<usize> = serde_json::from_value(said["classes"].clone()).unwrap();
    let largest = |row: &Vec<f64>, class: usize| row.iter().all(|entry| *entry <= row[class]);
    assert!(floats(&said).iter().zip(&classes).all(|(row, &class)| largest(row, class)));
    // Two entries of one sample are so close that rounding exchanges them.
    let expected = fixture.rows("expected.npy");
    let same = expected.iter().zip(&classes).filter(|(row, class)| row[0] == **class as f64);
    assert_eq!(same.count(), 7);
    assert_eq!(said["tail"], "ArgMax");
    let classified =
        object(&poai(&["classify", &fixture.model(), "--samples", &samples, "--json"]));
    assert_eq!((&classified["classes"], &classified["tail"]), (&said["classes"], &said["tail"]));
    let text = printed(&poai(&["run", "--onnx", &fixture.model(), "--samples", &samples]));
    assert!(text.contains("the file ends with ArgMax"), "{text}");

    // A stored network keeps its tail, and so does the label of a classifier.
    let folder = tempfile::tempdir().unwrap();
    let kept = path(folder.path(), "kept");
    printed(&poai(&["quantise", &fixture.model(), "--calibration", &samples, "--out", &kept]));
    let stored = object(&poai(&["run", "--json", "--quantised", &kept, "--input", &samples]));
    assert_eq!((&stored["classes"], &stored["tail"]), (&said["classes"], &said["tail"]));
    let fixture = Fixture::new("ml-linear-classifier");
    let said = fixture.run(&["--samples", &fixture.file("input.npy")]);
    let labels: Vec<u64> = fixture.rows("expected-0.npy").iter().map(|row| row[0] as u64).collect();
    assert_eq!(said["classes"], json!(labels));
    // An output of one number, or of rows, has no class.
    for name in ["regression-scale", "output-order-image"] {
        let fixture = Fixture::new(name);
        let said = fixture.run(&["--samples", &fixture.file("input.npy")]);
        assert!(said["classes"].is_null(), "{name}");
    }
}

/// Every kind of step commits to the same values that the checker computes.
#[test]
fn audits_hold_for_every_kind_of_step() {
    for (name, most) in [
        ("op-attention", 0.05),
        ("op-concat", 0.05),
        ("op-conv-depthwise", 0.08),
        ("op-conv-dilated", 0.05),
        ("op-conv-group2", 0.05),
        ("op-conv-transpose", 0.05),
        ("op-gelu-erf", 0.05),
        ("op-gru", 0.05),
        ("op-keras-nhwc", 0.05),
        ("op-layer-norm", 0.05),
        ("op-lstm", 0.05),
        ("op-qlinear-matmul", 0.05),
        ("op-resize-linear", 0.05),
        ("op-squeeze-excite", 0.05),
        ("op-where", 0.05),
    ] {
        let fixture = Fixture::new(name);
        let folder = tempfile::tempdir().unwrap();
        let (out, samples) = (path(folder.path(), "out"), fixture.file("input.npy"));
        let said = fixture.run(&["--samples", &samples, "--trace", "--out", &out]);
        assert_eq!(said["audit_holds"], true, "{name}");
        close(&said, &fixture.rows("expected.npy"), most);
        let file = |name: &str| path(Path::new(&out), name);
        let root = said["trace_root"].as_str().unwrap();
        let (audit, receipt) = (file("audit.bin"), file("receipt.bin"));
        let verify = ["verify", "audit", &audit, "--program", &out, "--receipt", &receipt];
        let beacon = said["beacon"].as_str().unwrap();
        let known = [&verify[..], &["--trace-root", root, "--beacon", beacon]].concat();
        assert!(printed(&poai(&known)).contains("opened tiles are right"), "{name}");
        // The integers that were written run again to the same trace.
        let stored =
            ["run", "--json", "--stored", &out, "--input", &file("input-0.csv"), "--trace"];
        assert_eq!(object(&poai(&stored))["trace_root"], said["trace_root"], "{name}");
    }
}

#[test]
fn the_file_is_an_argument_or_an_option() {
    let fixture = Fixture::new("op-gather");
    let (model, samples) = (fixture.model(), fixture.file("input.npy"));
    let option = fixture.run(&["--samples", &samples]);
    let argument = object(&poai(&["run", "--json", &model, "--samples", &samples]));
    assert_eq!(argument["output_root"], option["output_root"]);
    assert_eq!(argument["model"], option["model"]);
    for more in [&["--onnx", &model][..], &["--model", "mlp"], &["--quantised", "folder"]] {
        refused(&poai(&[&["run", &model, "--samples", &samples], more].concat()), 2, "error: ");
    }
}

/// What is not supported is refused by name, with the place before it.
#[test]
fn an_unknown_operator_names_the_value_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = poai_testing::onnx::Model::new(&[-1, 4])
        .floats("w", &[4, 4], &poai_testing::onnx::numbers(1, 16))
        .node("MatMul", &["x", "w"], "h", &[])
        .node("NonZero", &["h"], "y", &[]);
    let net = written(folder.path(), "net.onnx", model.bytes());
    let samples = written(folder.path(), "samples.csv", "1,2,3,4\n4,3,2,1\n");
    let run = ["run", "--json", "--onnx", &net, "--samples", &samples];
    let whole = poai(&run);
    refused(&whole, 2, "operator NonZero is not supported");
    refused(&whole, 2, "cut the network before it, at h with --output h");
    refused(&poai(&["inspect", &net]), 2, "operator NonZero is not supported");
    let cut = object(&poai(&[&run[..], &["--output", "h"]].concat()));
    assert_eq!(cut["output_shape"], json!([1, 4]));
}
