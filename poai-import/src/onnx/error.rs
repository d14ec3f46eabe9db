//! Errors of reading an ONNX file.

use crate::graph::GraphError;

/// Why an ONNX file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file is larger than the caller allows.
    #[error("expected a file of at most {limit} bytes, got {bytes}; raise the limit to read it")]
    FileSize {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not a protobuf message, or are truncated.
    #[error("not a complete protobuf message: broken or truncated at byte {offset}")]
    Frame {
        /// The offset at which the broken field starts.
        offset: usize,
    },
    /// A count exceeds its limit.
    #[error("expected at most {limit} {what}, got more")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The protobuf message is not an ONNX model.
    #[error("not an ONNX model: {0}")]
    Message(String),
    /// The model has no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// The operator set is missing or older than 7, at which operators changed.
    #[error("expected operator set 7 or later, got {0:?}; export the model again")]
    OperatorSet(Option<i64>),
    /// The graph does not have exactly one float input N×C×H×W or N×F. All
    /// sizes must be fixed except N.
    #[error("input {name}: expected one float input N×C×H×W or N×F, with fixed sizes except N")]
    Input {
        /// The input's name, or all names.
        name: String,
    },
    /// The graph does not have exactly one output that a layer makes.
    #[error("output {name}: expected one output, made by a node")]
    Output {
        /// The output's name, or all names.
        name: String,
    },
    /// An operator is not supported, or not supported in this place.
    #[error("node {node}: operator {operator} is not supported{}{because}", if because.is_empty() { "" } else { ": " })]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The reason; empty if the operator itself is not supported.
        because: &'static str,
    },
    /// An attribute, or its value, is not supported.
    #[error("node {node}: attribute {attribute} of {operator} or its value is not supported")]
    Attribute {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The attribute.
        attribute: String,
    },
    /// A node names a value that no earlier node makes, that is not an
    /// activation, or that has since been folded into another value.
    #[error("node {node}: value {value} is missing, not an activation here, or was folded")]
    Value {
        /// The node, or the output.
        node: String,
        /// The value.
        value: String,
    },
    /// Two values have the same name.
    #[error("node {node}: value {value} already exists; give it another name")]
    Redefined {
        /// The later node.
        node: String,
        /// The value.
        value: String,
    },
    /// A stored tensor cannot be used.
    #[error("tensor {tensor}: {source}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// The problem.
        source: OnnxTensorError,
    },
    /// The layers do not fit together.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Why a stored tensor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxTensorError {
    /// The name is not a constant of the file.
    #[error("expected a constant of the file, got none")]
    Missing,
    /// The data is in another file.
    #[error("expected data in this file, got a reference to another; embed the data")]
    External,
    /// The entries have another type.
    #[error("expected entries of type {expected}, got {got}")]
    Type {
        /// The supported type.
        expected: &'static str,
        /// The tensor's type.
        got: String,
    },
    /// The dimensions do not fit the place.
    #[error("expected dimensions {expected}, got {got:?}")]
    Dimensions {
        /// The expected dimensions, in words.
        expected: &'static str,
        /// The tensor's dimensions.
        got: Vec<i64>,
    },
    /// The data does not fill the dimensions.
    #[error("expected data that fills dimensions {dims:?}, got {bytes} bytes")]
    Length {
        /// The tensor's dimensions.
        dims: Vec<i64>,
        /// The size of its data, in bytes.
        bytes: usize,
    },
    /// An entry is infinite or NaN, in the file or after folding.
    #[error("expected finite entries, got infinity or NaN at entry {index}")]
    NotFinite {
        /// The first such entry, in row-major order.
        index: usize,
    },
}
