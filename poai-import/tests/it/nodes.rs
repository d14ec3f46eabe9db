//! ONNX's own tests of operators, which `scripts/fetch-onnx-node-tests.py`
//! fetches. A file may be refused, but one that is read gives the right numbers.

use ndarray::Array2;
use poai_import::float;
use poai_import::onnx::ReadOptions;
use poai_testing::npy;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of the tests.
const FOLDER: &str = "POAI_ONNX_NODE_TESTS";

/// What became of one test.
enum Outcome {
    Passed,
    /// The file was refused, for this reason.
    Refused(String),
    /// The numbers are wrong.
    Failed(String),
}

/// Runs one test. The graph of a file with several samples takes them one by
/// one.
fn outcome(folder: &Path) -> Outcome {
    let graph = match ReadOptions::new().read_file(&folder.join("model.onnx")) {
        Ok(graph) => graph,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let input = npy::read(&folder.join("input.npy")).entries;
    let expected = npy::read(&folder.join("expected.npy")).entries;
    let own = graph.sample_entries();
    if own == 0 || !input.len().is_multiple_of(own) {
        return Outcome::Failed(format!("{} entries, samples of {own}", input.len()));
    }
    let samples = Array2::from_shape_vec((input.len() / own, own), input).unwrap();
    let values = match float::run(&graph, samples.view()) {
        Ok(values) => values,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let got: Vec<f32> = values.last().unwrap().iter().copied().collect();
    if got.len() != expected.len() {
        return Outcome::Failed(format!("expected {} entries, got {}", expected.len(), got.len()));
    }
    let close = |got: f32, expected: f32| {
        let same = got == expected || got.is_nan() && expected.is_nan();
        same || (got - expected).abs() <= 1e-4 * (1.0 + expected.abs())
    };
    let mut pairs = got.iter().zip(&expected).enumerate();
    match pairs.find(|(_, (got, expected))| !close(**got, **expected)) {
        Some((at, (got, expected))) => {
            Outcome::Failed(format!("expected {expected} at entry {at}, got {got}"))
        }
        None => Outcome::Passed,
    }
}

/// An error without the names and numbers of its file.
fn reason(error: &str) -> String {
    let text = error.split_once(": ").map_or(error, |(_, text)| text);
    text.split_once("; cut").map_or(text, |(text, _)| text).to_owned()
}

#[test]
fn files_of_onnx_pass_or_are_refused() {
    let Ok(folder) = std::env::var(FOLDER) else {
        println!("SKIPPED: {FOLDER} names no folder of scripts/fetch-onnx-node-tests.py");
        return;
    };
    let folder = PathBuf::from(folder);
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    let tests: Vec<String> = index
        .lines()
        .skip(1)
        .map(|line| line.split('\t').take(2).collect::<Vec<_>>().join("/"))
        .collect();
    let outcomes: Vec<Outcome> = tests.par_iter().map(|test| outcome(&folder.join(test))).collect();
    let (mut refused, mut failed): (BTreeMap<String, Vec<&str>>, _) = (BTreeMap::new(), vec![]);
    for (test, outcome) in tests.iter().zip(&outcomes) {
        match outcome {
            Outcome::Passed => {}
            Outcome::Refused(error) => refused.entry(reason(error)).or_default().push(test),
            Outcome::Failed(why) => failed.push(format!("{test}: {why}")),
        }
    }
    let count = refused.values().map(Vec::len).sum::<usize>();
    let passed = tests.len() - count - failed.len();
    println!("{passed} passed, {count} refused, {} failed", failed.len());
    for (reason, tests) in &refused {
        println!("refused, {reason}: {}", tests.join(" "));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Fewer are a change for the worse.
    assert!(passed >= 600, "{passed}");
}
