//! Reads arbitrary bytes as an ONNX file, within small limits, with an output
//! and a dimension that the first bytes choose. A small graph that is read runs,
//! and is quantised or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use poai_import::float;
use poai_import::graph::ValueShape;
use poai_import::onnx::{Limits, ReadOptions};
use poai_import::quantise::{QuantiseOptions, memory_bytes, quantise};

/// Names of values and of dimensions, as files have them.
const NAMES: [&str; 8] = ["", "x", "y", "N", "batch", "height", "x.0", "output"];

fuzz_target!(|bytes: &[u8]| {
    let Some((&[output, name, size], bytes)) = bytes.split_first_chunk() else { return };
    let mut limits = Limits::default();
    (limits.bytes, limits.nodes) = (1 << 20, 1 << 10);
    (limits.weights, limits.layers) = (1 << 20, 1 << 12);
    let mut options = ReadOptions::new().limits(limits);
    // Half of the inputs take the file as it is.
    if output & 1 == 1 {
        options = options.output(NAMES[usize::from(output >> 1) % NAMES.len()]);
    }
    if name & 1 == 1 {
        options = options.dimension(NAMES[usize::from(name >> 1) % NAMES.len()], size.into());
    }
    let Ok(graph) = options.read(bytes) else { return };
    let shapes = graph.shapes().unwrap();
    let entries = shapes.iter().map(ValueShape::entries).fold(0, usize::saturating_add);
    if entries > 1 << 12 || graph.layers.len() > 64 {
        return;
    }
    let ids = graph.inputs.iter().any(|input| input.ids.is_some());
    let entry = |(row, column): (usize, usize)| if ids { 0.0 } else { (row + column) as f32 };
    let samples = Array2::from_shape_fn((2, graph.sample_entries()), entry);
    let values = float::run(&graph, samples.view()).unwrap();
    assert_eq!(values.len(), shapes.len());
    // Either may refuse a layer that no step computes.
    let _ = memory_bytes(&graph, 2);
    let Ok(quantised) = quantise(&graph, samples.view(), &QuantiseOptions::default()) else {
        return;
    };
    assert_eq!(Some(&quantised.output), shapes.last());
});
