//! A model from a file: it gives what its parts give, and every wrong file,
//! shape or sample is an error that names it.

use ndarray::{Array, Array2, Array4};
use poai_core::control::{Cancel, Control};
use poai_core::digest::{Beacon, Job, Prover};
use poai_engine::execute::{RunError, RunOptions, Session};
use poai_import::onnx::{self, Limits};
use poai_import::quantise::{QuantiseError, QuantiseOptions, quantise};
use poai_import::{Model, ModelError};
use poai_testing::onnx as models;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A file with these bytes, in a folder that is removed with the handle.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Images of 2 channels of 4×4, as ONNX orders them.
fn images(count: usize) -> Array4<f32> {
    Array::from_shape_fn((count, 2, 4, 4), |(i, c, y, x)| {
        ((i * 37 + c * 11 + y * 5 + x * 3) % 17) as f32 / 8.0 - 1.0
    })
}

/// The same images, one a row.
fn flat(images: &Array4<f32>) -> Array2<f32> {
    poai_testing::channels_first::rows(images)
}

#[test]
fn a_model_gives_what_its_parts_give() {
    let (_folder, path) = file(&models::small());
    let (known, new) = (images(30), images(7));
    let model = Model::load(&path, &known).unwrap();
    let graph = onnx::read(&models::small(), &Limits::default()).unwrap();
    let parts = quantise(&graph, flat(&known).view(), &QuantiseOptions::default()).unwrap();
    assert_eq!(model.network().program().program_id(), parts.network.program().program_id());
    let [input] = <[_; 1]>::try_from(parts.quantise_input(flat(&new).view()).unwrap()).unwrap();
    assert_eq!(model.input(&new).unwrap(), input);
    // The same entries in rows are the same samples.
    assert_eq!(model.input(&flat(&new)).unwrap(), input);
    let reference = poai_engine::choose::by_name("reference").unwrap();
    let run = Session::new(parts.network.clone(), reference.clone())
        .unwrap()
        .trace(input.clone())
        .unwrap();
    let expected = parts.dequantise_output(&run.output);
    assert_eq!(expected.dim(), (7, 2));
    assert_eq!(model.run(&new).unwrap(), expected);
    // Another device gives the same, and a traced run commits to it.
    let traced = model.on(reference).trace(&new).unwrap();
    assert_eq!((traced.output, traced.trace.root()), (expected, run.trace.root()));
    let (job, prover, beacon) = (Job([1; 32]), Prover([2; 32]), Beacon([3; 32]));
    let receipt = run.receipt(job, prover);
    let traced = Model::load(&path, &known).unwrap().trace(&new).unwrap();
    assert_eq!(traced.receipt(job, prover), receipt);
    assert_eq!(traced.audit(&receipt, &beacon).unwrap(), run.audit(&receipt, &beacon).unwrap());
}

#[test]
fn vectors_have_one_row_a_sample() {
    let bytes = models::Model::new(&[-1, 3])
        .floats("w", &[3, 2], &[0.5, -0.25, 1.0, 0.0, 0.75, -1.0])
        .node("MatMul", &["x", "w"], "y", &[])
        .bytes();
    let (_folder, path) = file(&bytes);
    let samples = Array::from_shape_fn((20, 3), |(i, j)| ((i * 7 + j * 5) % 13) as f32 / 6.0 - 1.0);
    let model = Model::load(&path, &samples).unwrap();
    let output = model.run(&samples).unwrap();
    for (row, out) in samples.outer_iter().zip(output.outer_iter()) {
        let expected = 0.5 * row[0] + row[1] + 0.75 * row[2];
        assert!((out[0] - expected).abs() < 0.05, "{} {expected}", out[0]);
    }
}

#[test]
fn wrong_files_shapes_and_samples_are_named() {
    let (folder, path) = file(&models::small());
    let missing = folder.path().join("none.onnx");
    let error = Model::load(&missing, &images(3)).unwrap_err();
    assert!(matches!(&error, ModelError::Onnx { path, .. } if *path == missing), "{error}");
    assert!(error.to_string().contains("none.onnx: "), "{error}");
    let (_other, garbage) = file(b"no network");
    let error = Model::load(&garbage, &images(3)).unwrap_err();
    assert!(matches!(error, ModelError::Onnx { .. }), "{error}");
    let pixels = Array::zeros((48, 2));
    let error = Model::load(&path, &pixels).unwrap_err();
    let text =
        "expected samples of 32 numbers each, got [48, 2]; put the samples along the first axis";
    assert_eq!(error.to_string(), text);
    let error = Model::load(&path, &images(0)).unwrap_err();
    assert!(matches!(error, ModelError::Shape { expected: 32, .. }), "{error}");
    let graph = onnx::read(&models::small(), &Limits::default()).unwrap();
    let error = quantise(&graph, Array2::zeros((0, 32)).view(), &QuantiseOptions::default());
    let error = error.unwrap_err();
    assert!(matches!(error, QuantiseError::NoCalibration), "{error}");
    let model = Model::load(&path, &images(3)).unwrap();
    let error = model.run(&Array::zeros((1, 2, 4, 5))).unwrap_err();
    assert!(matches!(error, ModelError::Shape { .. }), "{error}");
    let mut wrong = images(2);
    wrong[[1, 0, 2, 3]] = f32::NAN;
    let error = model.run(&wrong).unwrap_err();
    let infinite = matches!(error, ModelError::Quantise(QuantiseError::NotFinite { .. }));
    assert!(infinite, "{error}");
    let error = model.run(&images(0)).unwrap_err();
    assert!(matches!(error, ModelError::Shape { .. }), "{error}");
}

#[test]
fn loading_and_running_report_and_stop() {
    let (_folder, path) = file(&models::small());
    let cancel = Cancel::new();
    let (seen, stop) = (Arc::new(Mutex::new(vec![])), cancel.clone());
    let to = seen.clone();
    let control = Control::new().cancel(&cancel).progress(move |progress| {
        to.lock().unwrap().push(progress.done);
        if progress.done == 2 {
            stop.cancel();
        }
    });
    let options = QuantiseOptions::default();
    let error = Model::load_with(&path, &images(3), &options, &control).unwrap_err();
    assert!(matches!(error, ModelError::Cancelled(_)), "{error}");
    assert_eq!(*seen.lock().unwrap(), [1, 2]);

    let model = Model::load(&path, &images(3)).unwrap();
    let (steps, count) = (model.network().program().steps().len() as u64, Arc::default());
    let to: Arc<AtomicU64> = Arc::clone(&count);
    let options = RunOptions::new().progress(move |progress| {
        assert_eq!(progress.total, steps);
        to.fetch_add(1, Ordering::Relaxed);
    });
    model.trace_with(&images(2), &options).unwrap();
    assert_eq!(count.load(Ordering::Relaxed), steps);
    let error = model.trace_with(&images(2), &options.cancel(&cancel)).unwrap_err();
    assert!(matches!(error, ModelError::Run(RunError::Cancelled { .. })), "{error}");
    assert_eq!(count.load(Ordering::Relaxed), steps);
}
