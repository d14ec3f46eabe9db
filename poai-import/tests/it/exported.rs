//! Files as exporters write them, with the outputs of ONNX Runtime:
//! `test_vectors/onnx/README.md` lists them. The floats equal those outputs, and
//! the integers of the quantised networks are close to them.

use ndarray::{Array2, ArrayView2};
use poai_core::control::Control;
use poai_core::digest::{Beacon, Job, Prover};
use poai_core::trace::Audit;
use poai_import::Model;
use poai_import::float;
use poai_import::graph::Graph;
use poai_import::onnx::{OnnxError, ReadOptions};
use poai_import::quantise::{QuantiseOptions, quantise_auto};
use poai_testing::{npy, vectors};
use poai_verify::trace::Checker;
use poai_verify::trace::TraceRules;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Files that round inside. The graph holds the real numbers.
const ROUNDED: [&str; 4] =
    ["op-qdq", "op-qlinear-matmul", "op-dynamic-quantize", "ms-dynamic-quantize-matmul"];
/// Files whose output is a class. The graph ends before the choice.
const CLASSES: [&str; 2] = ["op-argmax-end", "op-argmin-end"];

/// The folders of the files.
pub(crate) fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(vectors("onnx")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

pub(crate) fn name(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

/// An array with one row a sample.
fn array(path: &Path) -> Array2<f32> {
    let npy::Array { shape, entries } = npy::read(path);
    Array2::from_shape_vec((shape[0], entries.len() / shape[0]), entries).unwrap()
}

/// The samples of a folder: the entries of all inputs, one input after another.
pub(crate) fn samples(folder: &Path) -> Array2<f32> {
    let only = folder.join("input.npy");
    if only.exists() {
        return array(&only);
    }
    let parts = (0..).map(|index| folder.join(format!("input-{index}.npy")));
    let parts: Vec<_> = parts.take_while(|path| path.exists()).map(|path| array(&path)).collect();
    let views: Vec<ArrayView2<'_, f32>> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(ndarray::Axis(1), &views).unwrap()
}

/// Reads a file with what it leaves open.
pub(crate) fn read(folder: &Path) -> Result<Graph, OnnxError> {
    let options = match name(folder) {
        "input-two-outputs" => ReadOptions::new().output(&second_output(folder)),
        "batch-mixed-rows" => ReadOptions::new().dimension("s55", 3),
        "input-symbolic-image" => ReadOptions::new().dimension("height", 8).dimension("width", 8),
        _ => ReadOptions::new(),
    };
    options.read_file(&folder.join("model.onnx"))
}

/// The name of the second output, as the error of a plain reading gives it.
fn second_output(folder: &Path) -> String {
    match ReadOptions::new().read_file(&folder.join("model.onnx")).unwrap_err() {
        OnnxError::Outputs { names } => names[1].clone(),
        error => panic!("{error}"),
    }
}

/// The largest difference, as a part of the largest number.
fn difference(got: &Array2<f32>, expected: &Array2<f32>) -> f32 {
    assert_eq!(got.dim(), expected.dim());
    let largest = expected.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let pairs = got.iter().zip(expected);
    pairs.fold(0f32, |most, (got, expected)| most.max((got - expected).abs())) / largest
}

/// The place of the largest entry of each row.
fn classes(rows: &Array2<f32>) -> Vec<usize> {
    let largest = |row: ndarray::ArrayView1<'_, f32>| {
        (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
    };
    rows.outer_iter().map(largest).collect()
}

/// Compares the floats and the integers of one file. Returns the integers'
/// median error.
fn check(folder: &Path) -> Result<f64, String> {
    let name = name(folder);
    let graph = read(folder).map_err(|error| format!("{name}: {error}"))?;
    let samples = samples(folder);
    let floats = float::run(&graph, samples.view()).map_err(|error| format!("{name}: {error}"))?;
    let got = floats.last().unwrap();
    let only = folder.join("expected.npy");
    let path = if only.exists() { only } else { folder.join("expected-1.npy") };
    let expected = array(&path);
    if CLASSES.contains(&name) {
        assert!(graph.tail.is_some(), "{name}");
        let expected: Vec<usize> = expected.iter().map(|&class| class as usize).collect();
        assert_eq!(classes(got), expected, "{name}");
    } else {
        let most = if ROUNDED.contains(&name) { 0.02 } else { 1e-5 };
        let difference = difference(got, &expected);
        if difference.is_nan() || difference > most {
            return Err(format!("{name}: expected a difference below {most}, got {difference}"));
        }
    }
    let (options, control) = (QuantiseOptions::default(), Control::new());
    let quantised = quantise_auto(&graph, samples.view(), &options, &control)
        .map_err(|error| format!("{name}: {error}"))?;
    let median = quantised.samples.median;
    if median.is_nan() || median > 0.1 {
        return Err(format!("{name}: expected a median error below 10 %, got {median}"));
    }
    // A traced run gives the same as a plain one, and one row a sample.
    let model = Model::from(quantised);
    let output = model.run(&samples).map_err(|error| format!("{name}: {error}"))?;
    let traced = model.trace(&samples).map_err(|error| format!("{name}: {error}"))?;
    assert_eq!(output, traced.output, "{name}");
    assert_eq!(output.dim(), got.dim(), "{name}");
    Ok(median)
}

#[test]
fn exported_files_compute_what_their_runtime_computes() {
    let folders = folders();
    assert!(folders.len() > 80, "{}", folders.len());
    let results: Vec<_> = folders.par_iter().map(|folder| check(folder)).collect();
    let wrong: Vec<String> = results.iter().filter_map(|result| result.clone().err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let worst = results.iter().flatten().copied().fold(0.0, f64::max);
    println!("{} files; the largest median error is {worst:.4}", folders.len());
}

#[test]
fn what_a_file_leaves_open_is_named() {
    let read = |name: &str| {
        let path = vectors("onnx").join(name).join("model.onnx");
        ReadOptions::new().read_file(&path).unwrap_err()
    };
    let error = read("input-two-outputs");
    assert!(matches!(&error, OnnxError::Outputs { names } if names.len() == 2), "{error}");
    assert!(error.to_string().contains("choose one by its name"), "{error}");
    let error = read("input-symbolic-image");
    let OnnxError::Symbolic { symbols, .. } = &error else { panic!("{error}") };
    assert_eq!(symbols, &["height", "width"]);
    assert!(error.to_string().ends_with("fix them with height=SIZE and width=SIZE"), "{error}");
    // Names that the file does not have.
    let path = vectors("onnx/input-symbolic-image/model.onnx");
    let error = ReadOptions::new().dimension("depth", 8).read_file(&path).unwrap_err();
    assert!(matches!(error, OnnxError::Dimension(..)), "{error}");
    let error = ReadOptions::new().dimension("height", 8).dimension("width", 8).output("none");
    let error = error.read_file(&path).unwrap_err();
    let OnnxError::UnknownOutput { names, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(&format!("choose one of {}", names[0])), "{error}");
}

#[test]
fn an_imported_network_passes_an_audit() {
    let folder = vectors("onnx/op-attention");
    let (graph, samples) = (read(&folder).unwrap(), samples(&folder));
    let options = QuantiseOptions::default();
    let quantised = quantise_auto(&graph, samples.view(), &options, &Control::new()).unwrap();
    let program = quantised.network.program().clone();
    let traced = Model::from(quantised).trace(&samples).unwrap();
    let (job, prover, beacon) = (Job([1; 32]), Prover([2; 32]), Beacon([3; 32]));
    let receipt = traced.receipt(job, prover);
    let audit = traced.audit(&receipt, &beacon).unwrap().to_bytes();
    let checker = Checker::new(program, TraceRules::DEFAULT);
    checker.audit(&receipt, &beacon, &Audit::from_bytes(&audit).unwrap()).unwrap();
}
