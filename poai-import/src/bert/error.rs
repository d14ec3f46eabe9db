//! Errors of reading and quantising an encoder.

use poai_core::control::Cancelled;
use poai_core::program::ProgramError;
use poai_engine::execute::{NetworkError, RunError, TensorError};
use std::path::PathBuf;

/// Why an encoder was not read or not quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BertError {
    /// `config.json` is not valid.
    #[error("config.json: {0}; save the model again with `save_pretrained`")]
    Config(String),
    /// A field of `config.json` has a value that is not supported.
    #[error("config.json: expected {field} to be {supported}, got {value}; choose another model")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The supported values.
        supported: &'static str,
    },
    /// A size in `config.json` is 0 or too large.
    #[error("config.json: expected {field} in 1..={limit}, got {value}; choose another model")]
    Limit {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The largest permitted value.
        limit: u64,
    },
    /// `config.json` states another type of network than those that are
    /// supported.
    #[error(
        "config.json: expected model_type to be {supported}, got {got}; use an encoder of one of \
         these types"
    )]
    ModelType {
        /// The type that the file states.
        got: String,
        /// The supported types.
        supported: &'static str,
    },
    /// A file of the model's directory cannot be read.
    #[error("{}: {source}; check the path and who may use it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The weights are pickled, and reading them would run their code.
    #[error(
        "expected model.safetensors, got only {}; convert it with `{convert}`",
        path.display()
    )]
    Pickled {
        /// The file with pickled weights.
        path: PathBuf,
        /// The Python expression that converts the model in a directory DIR.
        convert: &'static str,
    },
    /// A file that says how the model is put together is malformed.
    #[error("{file}: {why}")]
    Layout {
        /// The file, relative to the model's directory.
        file: String,
        /// The problem.
        why: String,
    },
    /// A module after the encoder is not supported, or one of its settings.
    #[error("{file}: expected {supported}, got {value}; choose another model")]
    Module {
        /// The file, relative to the model's directory.
        file: String,
        /// The supported modules or values.
        supported: &'static str,
        /// What the file has.
        value: String,
    },
    /// The bytes are not a safetensors file, or are truncated.
    #[error("expected a whole safetensors file, got another ({0}); copy or save the weights again")]
    File(String),
    /// A tensor is missing.
    #[error(
        "expected tensor {tensor}, got none; save the whole model, without a task's head alone"
    )]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor's entries are not floats of 16, 32 or 64 bits.
    #[error("tensor {tensor}: expected type F16, BF16, F32 or F64, got {got}; convert it to F32")]
    Dtype {
        /// Its name.
        tensor: String,
        /// Its type.
        got: String,
    },
    /// A tensor has another shape than `config.json` implies.
    #[error(
        "tensor {tensor}: expected shape {expected:?}, got {got:?}; take the config.json of these \
         weights"
    )]
    Shape {
        /// Its name.
        tensor: String,
        /// The shape that `config.json` implies.
        expected: Vec<usize>,
        /// Its shape.
        got: Vec<usize>,
    },
    /// A weight is infinite or NaN.
    #[error(
        "tensor {tensor}: expected finite entries, got {value} at entry {entry}; correct the weights"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The entry's index, row-major.
        entry: usize,
        /// The entry's value.
        value: f32,
    },
    /// The caller passed no sequences.
    #[error("expected at least one sequence, got none; pass a text")]
    NoSequences,
    /// A sequence is empty or too long.
    #[error("sequence {sequence}: expected 1 to {limit} tokens, got {tokens}; split the text")]
    Sequence {
        /// The sequence's index.
        sequence: usize,
        /// Its number of tokens.
        tokens: usize,
        /// The most tokens.
        limit: usize,
    },
    /// A token is not in the vocabulary.
    #[error(
        "sequence {sequence}: expected tokens below {vocabulary}, got {id}; use the model's own \
         tokeniser"
    )]
    Token {
        /// The sequence's index.
        sequence: usize,
        /// The token.
        id: u32,
        /// Number of tokens in the vocabulary.
        vocabulary: usize,
    },
    /// A sequence holds the token of padding.
    #[error("sequence {sequence}: expected no token of padding, got {id}; remove it from the text")]
    Padding {
        /// The sequence's index.
        sequence: usize,
        /// The token.
        id: u32,
    },
    /// A percentile is not above 0 and at most 100, or an exponent is outside
    /// 0..=1.
    #[error("option {option}: expected {permitted}, got {value}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The permitted values.
        permitted: &'static str,
    },
    /// Activations of the float model exceed the range of f32.
    #[error("layer {layer}: the activations are infinite or NaN; check the weights")]
    Activations {
        /// The layer.
        layer: usize,
    },
    /// Values of the modules after the encoder exceed the range of f32.
    #[error("the sentence head: the activations are infinite or NaN; check the weights")]
    Head,
    /// Weights are too large for the integers of a step.
    #[error("{step}: expected weights that its multipliers hold, got larger ones; scale them down")]
    Scale {
        /// The step.
        step: String,
    },
    /// A constant is not a valid tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The steps do not fit together.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The constants do not fit the program.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The integer network failed to run in the comparison.
    #[error(transparent)]
    Run(RunError),
    /// The caller cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<RunError> for BertError {
    fn from(error: RunError) -> BertError {
        match error {
            RunError::Cancelled { .. } => BertError::Cancelled(Cancelled),
            error => BertError::Run(error),
        }
    }
}
