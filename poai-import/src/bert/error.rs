//! Why a model was not read or not quantised.

use poai_core::program::ProgramError;
use poai_engine::execute::{ExecuteError, NetworkError, TensorError};

/// Why an encoder was not read or not quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BertError {
    /// `config.json` is no such file.
    #[error("config.json: {0}")]
    Config(String),
    /// A field of `config.json` has a value that is not supported.
    #[error("config.json: {field} is {value}, supported is {supported}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is supported.
        supported: &'static str,
    },
    /// A size in `config.json` is 0 or too large.
    #[error("config.json: {field} is {value}, permitted is 1..={limit}")]
    Limit {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The largest permitted.
        limit: u64,
    },
    /// The bytes are no safetensors file, or are cut off.
    #[error("no whole safetensors file: {0}")]
    File(String),
    /// A tensor is missing.
    #[error("tensor {tensor} is missing")]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor has another type than f32.
    #[error("tensor {tensor} is of type {got}, expected F32")]
    Dtype {
        /// Its name.
        tensor: String,
        /// Its type.
        got: String,
    },
    /// A tensor has another shape than `config.json` implies.
    #[error("tensor {tensor} has shape {got:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// What `config.json` implies.
        expected: Vec<usize>,
        /// Its shape.
        got: Vec<usize>,
    },
    /// A weight is infinite or no number.
    #[error("tensor {tensor} holds {value} at entry {entry}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Which entry, row-major.
        entry: usize,
        /// What it holds.
        value: f32,
    },
    /// No sequences were given.
    #[error("no sequences were given")]
    NoSequences,
    /// A sequence is empty or too long.
    #[error("sequence {sequence} has {tokens} tokens, permitted is 1..={limit}")]
    Sequence {
        /// Which sequence.
        sequence: usize,
        /// Its tokens.
        tokens: usize,
        /// Most tokens.
        limit: usize,
    },
    /// A token is not in the vocabulary.
    #[error("sequence {sequence} holds token {id}, the vocabulary has {vocabulary}")]
    Token {
        /// Which sequence.
        sequence: usize,
        /// The token.
        id: u32,
        /// Tokens that there are.
        vocabulary: usize,
    },
    /// A percentile outside 0..=100, or an exponent outside 0..=1.
    #[error("option {option} is {value}, permitted is {permitted}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What is permitted.
        permitted: &'static str,
    },
    /// The float model leaves the numbers that f32 has.
    #[error("activations of layer {layer} are infinite or no numbers")]
    Activations {
        /// The layer.
        layer: usize,
    },
    /// Weights too large for the integers of a step.
    #[error("{step}: weights are too large for its multipliers")]
    Scale {
        /// The step.
        step: String,
    },
    /// A constant is no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The steps do not fit one another.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The constants do not fit the program.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The integer network did not run, to compare it.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}
