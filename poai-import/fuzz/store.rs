//! Reads a quantised network's three files after arbitrary changes. A network
//! that is read has the constants that its program names, and is written as the
//! same bytes. Scales that are read are positive, and are read again as the same.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use poai_import::graph::{Expression, Graph, Input, Kind, Layer};
use poai_import::quantise::{QuantiseOptions, quantise};
use poai_import::store::{
    CONSTANTS_FILE, PROGRAM_FILE, QUANTISED_FILE, load, load_quantised, save, save_quantised,
};
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

struct Files {
    /// Folders of the altered files, and of the files written again.
    altered: TempDir,
    again: TempDir,
    /// The honest program, constants and scales.
    honest: [Vec<u8>; 3],
}

const NAMES: [&str; 3] = [PROGRAM_FILE, CONSTANTS_FILE, QUANTISED_FILE];

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let weights = Array2::from_shape_fn((2, 3), |(row, column)| (row * 3 + column) as f32 - 2.0);
    let linear = Kind::Linear { weights: weights.into(), bias: vec![0.5, -0.5] };
    let relu = Kind::Pointwise(Expression::relu());
    let layer =
        |name: &str, kind, input| Layer { name: name.to_owned(), kind, inputs: vec![input] };
    let layers = vec![layer("product", linear, 0), layer("positive", relu, 1)];
    let graph = Graph::new(vec![Input::new("input", [1, 3])], layers);
    let samples = Array2::from_shape_fn((4, 3), |(row, column)| (row + column) as f32 - 2.0);
    let quantised = quantise(&graph, samples.view(), &QuantiseOptions::default()).unwrap();
    save_quantised(&quantised, directory.path()).unwrap();
    let honest = NAMES.map(|name| fs::read(directory.path().join(name)).unwrap());
    Files { altered: directory, again: TempDir::new().unwrap(), honest }
});

#[derive(Arbitrary, Debug, Default)]
struct Change {
    bits: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
}

impl Change {
    fn of(&self, honest: &[u8]) -> Vec<u8> {
        let mut bytes = honest.to_vec();
        for (at, mask) in &self.bits {
            let at = usize::from(*at) % bytes.len();
            bytes[at] ^= mask;
        }
        bytes.truncate(self.cut.map_or(bytes.len(), usize::from));
        bytes.extend(&self.add);
        bytes
    }
}

fuzz_target!(|changes: [Change; 3]| {
    let Files { altered, again, honest } = &*FILES;
    for (name, (change, honest)) in NAMES.iter().zip(changes.iter().zip(honest)) {
        fs::write(altered.path().join(name), change.of(honest)).unwrap();
    }
    let Ok(network) = load(altered.path()) else { return };
    for (held, constant) in network.constants().iter().zip(network.program().constants()) {
        assert_eq!(held.tensor.root(), constant.root);
    }
    save(&network, again.path()).unwrap();
    let program = |directory: &TempDir| fs::read(directory.path().join(PROGRAM_FILE)).unwrap();
    assert_eq!(program(altered), program(again));
    assert_eq!(load(again.path()).unwrap().program(), network.program());
    let Ok(quantised) = load_quantised(altered.path()) else { return };
    let scales = quantised.inputs.iter().map(|input| input.scale);
    assert!(scales.chain([quantised.output_scale]).all(|scale| scale > 0.0));
    save_quantised(&quantised, again.path()).unwrap();
    let read = load_quantised(again.path()).unwrap();
    assert_eq!((&read.inputs, &read.output), (&quantised.inputs, &quantised.output));
    assert_eq!(read.network.program(), quantised.network.program());
});
