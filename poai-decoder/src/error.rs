//! Errors of reading and running a decoder.

use crate::gguf::GgufError;
use poai_import::tensors::FloatTensorError;
use std::path::PathBuf;

/// Why a decoder was not read or not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecoderError {
    /// A file cannot be read.
    #[error("{}: {source}; check the path and who may use it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file is malformed.
    #[error("{file}: {why}")]
    Layout {
        /// The file, relative to the model's directory.
        file: String,
        /// The problem.
        why: String,
    },
    /// The model states a family that is not supported.
    #[error("expected a model of type {supported}, got {got}; use a decoder of one of these types")]
    Family {
        /// The type that the model states.
        got: String,
        /// The supported types.
        supported: &'static str,
    },
    /// A field has no value, and the family has no default.
    #[error("the model's settings: expected a field {field}, got none; save the model again")]
    Field {
        /// The field.
        field: String,
    },
    /// The reader does not know a field, so that it may change the model.
    #[error("the model's settings: expected no field {field}; use a model without it")]
    Unknown {
        /// The field.
        field: String,
    },
    /// A field has a value that is not supported.
    #[error(
        "the model's settings: expected {field} to be {supported}, got {value}; choose another model"
    )]
    Unsupported {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// The supported values.
        supported: String,
    },
    /// The file has a tensor that the model's settings do not explain.
    #[error("expected no tensor {tensor}; use a model of a supported family")]
    Extra {
        /// Its name.
        tensor: String,
    },
    /// A tensor of safetensors files is missing or wrong.
    #[error(transparent)]
    Tensor(#[from] FloatTensorError),
    /// A GGUF file is malformed.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The tokeniser is malformed or not supported.
    #[error("the tokeniser: {0}")]
    Tokens(String),
    /// A prompt is empty or too long.
    #[error("expected 1 to {limit} tokens, got {tokens}; shorten the text")]
    Length {
        /// The prompt's tokens.
        tokens: usize,
        /// The most tokens.
        limit: usize,
    },
    /// A token is not in the vocabulary.
    #[error("expected tokens below {vocabulary}, got {id}; use the model's own tokeniser")]
    Token {
        /// The token.
        id: u32,
        /// Number of tokens in the vocabulary.
        vocabulary: usize,
    },
    /// Activations exceed the range of f32.
    #[error("layer {layer}: the activations are infinite or NaN; check the weights")]
    Activations {
        /// The layer. The number of layers stands for the logits.
        layer: usize,
    },
}
