//! Errors of reading an ONNX file.

use crate::graph::GraphError;

/// Why an ONNX file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file cannot be read.
    #[error("cannot read the file: {source}; check its path")]
    File {
        /// The operating system's error.
        #[from]
        source: std::io::Error,
    },
    /// The file is larger than the caller allows.
    #[error("expected a file of at most {limit} bytes, got {bytes}; raise the limit to read it")]
    FileSize {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not a protobuf message, or are truncated.
    #[error(
        "expected a whole ONNX file, got a message that is broken or cut off at byte {offset}; copy \
         or export the file again"
    )]
    Frame {
        /// The offset at which the broken field starts.
        offset: usize,
    },
    /// A count exceeds its limit.
    #[error(
        "expected at most {limit} {what}, got more; make the network smaller, or raise the limit"
    )]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The protobuf message is not an ONNX model.
    #[error("expected an ONNX model, got another message ({0}); export the network to ONNX")]
    Message(String),
    /// The model has no graph.
    #[error("expected a model with a graph, got none; export the network to ONNX")]
    NoGraph,
    /// The operator set is missing or older than 7, at which operators changed.
    #[error(
        "expected operator set 7 or later, got {}; export the model again",
        .0.map_or_else(|| "none".to_owned(), |version| version.to_string())
    )]
    OperatorSet(Option<i64>),
    /// An input has a type other than numbers.
    #[error("input {name}: expected numbers, got {got}; export the model with inputs of numbers")]
    InputType {
        /// The input's name.
        name: String,
        /// Its type.
        got: String,
    },
    /// An input has no shape, more than 8 dimensions, or a dimension of 0.
    #[error(
        "input {name}: expected 1 to 8 positive dimensions and at most 2^28 entries, got {got}; \
         export or fix other sizes"
    )]
    InputShape {
        /// The input's name.
        name: String,
        /// Its dimensions.
        got: String,
    },
    /// Dimensions of an input are symbolic, and the caller fixed none.
    #[error(
        "input {name}: expected fixed dimensions, got symbolic {}; fix {} with {}",
        .symbols.join(" and "),
        if .symbols.len() > 1 { "them" } else { "it" },
        .symbols.iter().map(|symbol| format!("{symbol}=SIZE")).collect::<Vec<_>>().join(" and ")
    )]
    Symbolic {
        /// The input's name.
        name: String,
        /// The names of the dimensions.
        symbols: Vec<String>,
    },
    /// The first dimension is symbolic, as a batch is, and nodes mix its
    /// samples. With a batch of 1 the network would be another function.
    #[error(
        "node {node}: operator {operator} mixes the samples of {}; fix {} to read one row as one \
         sample, or {} to read SIZE rows as one sample",
        .symbols.join(" and "),
        .symbols.iter().map(|symbol| format!("{symbol}=1")).collect::<Vec<_>>().join(" and "),
        .symbols.iter().map(|symbol| format!("{symbol}=SIZE")).collect::<Vec<_>>().join(" and ")
    )]
    Batch {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The names of the dimensions.
        symbols: Vec<String>,
    },
    /// The caller fixed a dimension that no input has.
    #[error("expected a symbolic dimension of an input, got {0}; {1}")]
    Dimension(String, String),
    /// The model has no input.
    #[error("expected at least one input, got none; export the model with its inputs open")]
    NoInput,
    /// The model has several outputs, and the caller chose none.
    #[error("expected one output, got {}: {}; choose one by its name", .names.len(), listed(names))]
    Outputs {
        /// Their names.
        names: Vec<String>,
    },
    /// The model has no output, or its output is not made by a layer.
    #[error(
        "output {name}: expected a value that a node makes of the input, got {got}; choose another \
         output by its name"
    )]
    Output {
        /// The output's name.
        name: String,
        /// What it is, in words.
        got: &'static str,
    },
    /// The caller chose an output that does not exist.
    #[error(
        "expected the name of a value as the output, got {name}; choose one of {}",
        listed(names)
    )]
    UnknownOutput {
        /// The name that the caller chose.
        name: String,
        /// The names of all values that nodes make, the file's outputs first.
        names: Vec<String>,
    },
    /// A network cannot be cut at a value.
    #[error(
        "expected a value at which the network can be cut, got {value}: {because}; name a value on \
         which alone all layers behind it depend"
    )]
    Cut {
        /// The name that the caller chose.
        value: String,
        /// The reason.
        because: String,
    },
    /// An operator is not supported, or not supported in this place.
    #[error("node {node}: operator {operator} is not supported{}{because}{}",
        if because.is_empty() { "" } else { ": " },
        match before {
            Some(value) => format!("; cut the network before it, at {value}"),
            None if because.contains("; ") => String::new(),
            None => "; export the network without it".to_owned(),
        }
    )]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The reason; empty if the operator itself is not supported.
        because: String,
        /// The value that the node reads, which may become the output.
        before: Option<String>,
    },
    /// An attribute, or its value, is not supported.
    #[error(
        "node {node}: attribute {attribute} of {operator} or its value is not supported; export the \
         network without it"
    )]
    Attribute {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The attribute.
        attribute: String,
    },
    /// A node names a value that no earlier node makes.
    #[error(
        "node {node}: expected value {value} of an earlier node, got none; export the model again"
    )]
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

/// Names that an error lists.
const LISTED: usize = 12;

/// The first names, and how many there are besides.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(LISTED) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

/// Why a stored tensor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxTensorError {
    /// The entries have another type.
    #[error("expected entries of numbers, got {0}; store the tensor as numbers")]
    Type(String),
    /// The dimensions do not fit the place.
    #[error("expected dimensions {expected}, got {got:?}; export the model again")]
    Dimensions {
        /// The expected dimensions, in words.
        expected: &'static str,
        /// The tensor's dimensions.
        got: Vec<i64>,
    },
    /// The data does not fill the dimensions.
    #[error(
        "expected data that fills dimensions {dims:?}, got {bytes} bytes; export the model again"
    )]
    Length {
        /// The tensor's dimensions.
        dims: Vec<i64>,
        /// The size of its data, in bytes.
        bytes: usize,
    },
    /// An entry is infinite or NaN, in the file or after folding.
    #[error("expected finite entries, got infinity or NaN at entry {index}; correct the weights")]
    NotFinite {
        /// The first such entry, in row-major order.
        index: usize,
    },
    /// The data is in another file, and the reader does not know the folder.
    #[error("expected data in this file, got a reference to {0}; read the model by its path")]
    NoFolder(String),
    /// The path of the data leaves the model's folder.
    #[error("expected data in a file beside the model, got the path {0:?}; move the file there")]
    Path(String),
    /// The file of the data cannot be read.
    #[error("{path}: {why}; keep the model's data beside it, as it was exported")]
    Data {
        /// The file.
        path: String,
        /// The problem.
        why: String,
    },
}
