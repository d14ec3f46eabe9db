//! Files of foreign formats: tensors and float networks.

use super::found::Found;
use poai::import::graph::Input;
use poai::import::onnx::ReadOptions;
use safetensors::SafeTensors;

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

/// An ONNX file whose network the library supports.
pub fn onnx(bytes: &[u8]) -> Option<Found> {
    let graph = ReadOptions::new().read(bytes).ok()?;
    let input = |input: &Input| format!("{}: {}", input.name, input.shape);
    let inputs: Vec<String> = graph.inputs.iter().map(input).collect();
    let layers: Vec<&str> = graph.layers.iter().map(|layer| layer.name.as_str()).collect();
    Some(
        Found::new("ONNX network")
            .with("bytes", bytes.len())
            .with("inputs", inputs)
            .with("layers", layers),
    )
}
