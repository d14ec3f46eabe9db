//! Why a file is no network that can be read.

use crate::graph::GraphError;

/// Why an ONNX file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The file is larger than the caller allows.
    #[error("the file has {bytes} bytes, more than the limit of {limit}")]
    FileSize {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are no protobuf message, or are cut off.
    #[error("no whole protobuf message: broken or truncated at byte {offset}")]
    Frame {
        /// Where the field starts that is broken.
        offset: usize,
    },
    /// More of something than the limit.
    #[error("more {what} than the limit of {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The protobuf message is no ONNX model.
    #[error("no ONNX model: {0}")]
    Message(String),
    /// The model holds no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// The operator set is missing, or older than 7, where operators changed.
    #[error("operator set {0:?} of the model is missing or older than 7")]
    OperatorSet(Option<i64>),
    /// The graph does not have one float input N×C×H×W or N×F of fixed sizes
    /// but for N.
    #[error("input {name}: expected one float input N×C×H×W or N×F, its sizes fixed but for N")]
    Input {
        /// The input, or all of them.
        name: String,
    },
    /// The graph does not have one output that a layer makes.
    #[error("output {name}: expected one output, made by a node")]
    Output {
        /// The output, or all of them.
        name: String,
    },
    /// An operator that is not read, or not where it stands.
    #[error("node {node}: operator {operator} is not supported{}{because}", if because.is_empty() { "" } else { ": " })]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What about it; empty where it is the operator itself.
        because: &'static str,
    },
    /// An attribute that is not read, or has a value that is not.
    #[error("node {node}: attribute {attribute} of {operator} is not supported, or not this value")]
    Attribute {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The attribute.
        attribute: String,
    },
    /// A node names a value that no earlier node makes, or that was folded
    /// into another since.
    #[error("node {node}: value {value} is missing, no activation here, or was folded")]
    Value {
        /// The node, or the output.
        node: String,
        /// The value.
        value: String,
    },
    /// Two values have one name.
    #[error("node {node}: value {value} is there already")]
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
        /// What is wrong with it.
        source: OnnxTensorError,
    },
    /// The layers do not fit together.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Why a stored tensor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxTensorError {
    /// It is no constant of the file.
    #[error("expected a constant of the file")]
    Missing,
    /// Its data lies in another file.
    #[error("its data is in another file")]
    External,
    /// Its entries have another type.
    #[error("expected entries of type {expected}, got {got}")]
    Type {
        /// The type that is read here.
        expected: &'static str,
        /// Its type.
        got: String,
    },
    /// Its dimensions are not what is wanted there.
    #[error("expected dimensions {expected}, got {got:?}")]
    Dimensions {
        /// In words.
        expected: &'static str,
        /// Its dimensions.
        got: Vec<i64>,
    },
    /// Its data does not fill its dimensions.
    #[error("dimensions {dims:?} do not match {bytes} bytes of data")]
    Length {
        /// Its dimensions.
        dims: Vec<i64>,
        /// Its data's size.
        bytes: usize,
    },
    /// An entry is infinite or no number; also after folding into it.
    #[error("entry {index} is infinite or no number")]
    NotFinite {
        /// The first such entry, in row-major order.
        index: usize,
    },
}
