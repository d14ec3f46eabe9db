//! Files of foreign formats: tensors and float networks.

use super::found::Found;
use crate::failure::Failure;
use crate::fidelity;
use crate::network::hinted;
use poai::import::graph::{Graph, Input, ValueShape};
use poai::import::onnx::{OnnxError, ReadOptions};
use poai::import::quantise::{LayerReport, QuantisedInput};
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::path::Path;

/// A safetensors file: operands, constants or weights.
pub fn safetensors(bytes: &[u8]) -> Option<Found> {
    let file = SafeTensors::deserialize(bytes).ok()?;
    let mut tensors: Vec<String> = file
        .iter()
        .map(|(name, view)| format!("{name}: {:?} {:?}", view.dtype(), view.shape()))
        .collect();
    tensors.sort();
    Some(Found::new("safetensors file").with("bytes", bytes.len()).with("tensors", tensors))
}

/// The bytes of an ONNX file whose network the library reads as it is.
pub fn onnx(bytes: &[u8]) -> Option<Found> {
    let graph = ReadOptions::new().read(bytes).ok()?;
    Some(of_graph(&graph, bytes.len()))
}

/// An ONNX file with the data beside it; an error says why it is not read.
pub fn onnx_file(path: &Path, bytes: usize) -> Result<Found, Failure> {
    let graph = ReadOptions::new().read_file(path);
    let graph = graph.map_err(|why| {
        let hint = match &why {
            OnnxError::Symbolic { .. } | OnnxError::Batch { .. } | OnnxError::Outputs { .. } => {
                ", which `poai run` and `poai quantise` take"
            }
            _ => "",
        };
        Failure::in_file(path)(&format!("{}{hint}", hinted(&why)))
    })?;
    Ok(of_graph(&graph, bytes))
}

fn of_graph(graph: &Graph, bytes: usize) -> Found {
    let input = |input: &Input| format!("{}: {}", input.name, input.shape);
    let inputs: Vec<String> = graph.inputs.iter().map(input).collect();
    let layers: Vec<&str> = graph.layers.iter().map(|layer| layer.name.as_str()).collect();
    let shapes = graph.shapes().unwrap_or_default();
    let output = shapes.last().map(ValueShape::to_string);
    Found::new("ONNX network")
        .with("bytes", bytes)
        .with("inputs", inputs)
        .with("output", output)
        .with("tail", graph.tail.clone())
        .with("layers", layers)
}

/// The scales of a quantised network: the file beside its program.
pub fn scales(bytes: &[u8]) -> Option<Found> {
    let fields: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let field = |name: &str| fields.get(name).cloned();
    let inputs: Vec<QuantisedInput> = serde_json::from_value(field("inputs")?).ok()?;
    let layers: Vec<LayerReport> = serde_json::from_value(field("layers")?).ok()?;
    let output: ValueShape = serde_json::from_value(field("output")?).ok()?;
    let (version, output_scale) = (field("version")?, field("output_scale")?);
    let inputs: Vec<String> = inputs.iter().map(fidelity::input).collect();
    let layers: Vec<String> = layers.iter().map(fidelity::layer).collect();
    Some(
        Found::new("scales of a quantised network")
            .with("version", version)
            .with("inputs", inputs)
            .text_of("output", output)
            .with("output_scale", output_scale)
            .with("tail", field("tail"))
            .with("layers", layers),
    )
}
