//! Reading of ONNX files into the float network [`Graph`].
//!
//! The reader supports these operators:
//! - Gemm, MatMul by a constant, Add (of a bias or of a second value);
//! - Conv (one group, no dilation), BatchNormalization (folded into the layer
//!   before);
//! - Relu, MaxPool, AveragePool, GlobalAveragePool, Flatten;
//! - Reshape if it flattens or keeps its input, Identity, Dropout (as in
//!   inference), Constant.
//!
//! Any other operator is an error that names the node and the operator.
//!
//! ONNX stores images channels-first, and the graph stores them channels-last.
//! The reader therefore permutes the columns of a convolution's weights. It
//! does the same for the first Gemm or MatMul after a Flatten. An output that
//! is a flattened image keeps the graph's order (height, width, channel).
//!
//! - `frame`: bounds the cost of decoding the bytes before they are decoded.
//! - `tensor`, `node`: stored tensors and nodes, checked where they are used.
//! - `build`: names, values and folding; `operators`: one function per
//!   operator.

mod build;
mod error;
mod frame;
mod node;
mod operators;
mod tensor;

pub use error::{OnnxError, OnnxTensorError};

use super::graph::{Graph, ImageExtent};
use build::{Builder, Value};
use rten_onnx::onnx::{DataType, GraphProto, ModelProto};
use std::collections::HashSet;

/// Limits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Nodes, including those inside attributes.
    pub nodes: usize,
    /// f32 entries of all weights as the layers hold them, 4 bytes each. A
    /// tensor that two nodes use counts twice.
    pub weights: usize,
}

impl Default for Limits {
    /// 1 GiB of file, 2^16 nodes, 2^28 weights.
    fn default() -> Limits {
        Limits { bytes: 1 << 30, nodes: 1 << 16, weights: 1 << 28 }
    }
}

/// Reads an ONNX file. It never panics, whatever the bytes are, and needs
/// memory for about three times the weights.
///
/// # Errors
/// [`OnnxError`] names the node, tensor or attribute that is broken or not
/// supported, or the limit that was exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Graph, OnnxError> {
    if bytes.len() > limits.bytes {
        return Err(OnnxError::FileSize { bytes: bytes.len(), limit: limits.bytes });
    }
    frame::check(bytes, limits.nodes)?;
    let model =
        ModelProto::parse_buf(bytes).map_err(|error| OnnxError::Message(error.to_string()))?;
    let graph = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
    let ours = |domain: Option<&str>| matches!(domain, None | Some("" | "ai.onnx"));
    let set = model.opset_import.iter().find(|set| ours(set.domain.as_deref()));
    let version = set.map(|set| set.version.unwrap_or(0));
    if version.is_none_or(|version| version < 7) {
        return Err(OnnxError::OperatorSet(version));
    }

    let (name, value, batch) = input(graph)?;
    let mut builder = Builder::new(graph, name, value, batch, limits.weights)?;
    for (index, proto) in graph.node.iter().enumerate() {
        operators::read(&mut builder, &node::Node::new(proto, index))?;
    }
    let output = |name: &str| OnnxError::Output { name: name.to_owned() };
    let [only] = graph.output.as_slice() else { return Err(output("list")) };
    builder.finish(only.name.as_deref().ok_or_else(|| output(""))?)
}

/// The one input that is not an initialiser: its name, its value, and its batch
/// if that is fixed.
fn input(graph: &GraphProto) -> Result<(&str, Value, Option<usize>), OnnxError> {
    // Old files list their initialisers among the inputs.
    let stored: HashSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
    let mut inputs = graph.input.iter().filter(|info| !stored.contains(&info.name));
    let list = || OnnxError::Input { name: "list".to_owned() };
    let (Some(info), None) = (inputs.next(), inputs.next()) else { return Err(list()) };
    let name = info.name.as_deref().unwrap_or_default();
    let wrong = || OnnxError::Input { name: name.to_owned() };
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.filter(|tensor| tensor.elem_type == Some(DataType::FLOAT));
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref()).ok_or_else(wrong)?;
    let sizes: Vec<Option<usize>> = shape
        .dim
        .iter()
        .map(|dim| dim.dim_value.and_then(|size| usize::try_from(size).ok()).filter(|&s| s > 0))
        .collect();
    let (extent, flat, batch) = match *sizes.as_slice() {
        [batch, Some(features)] => (ImageExtent::features(features), true, batch),
        [batch, Some(channels), Some(height), Some(width)] => {
            (ImageExtent { height, width, channels }, false, batch)
        }
        _ => return Err(wrong()),
    };
    Ok((name, Value { index: 0, extent, flat, flattened: None }, batch))
}
