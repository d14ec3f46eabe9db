//! Errors of building an iteration.

use poai_core::program::ProgramError;
use poai_engine::execute::{NetworkError, TensorError};

/// Why layers do not form an iteration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayersError {
    /// A layer does not fit what comes before it.
    #[error("layer {layer} ({kind}): expected {expected}, got {got}")]
    Layer {
        /// The layer's number, from 0.
        layer: usize,
        /// The layer's kind.
        kind: &'static str,
        /// What the layer takes.
        expected: &'static str,
        /// What it got.
        got: String,
    },
    /// The last layer does not give one row of logits for each label.
    #[error("expected layers that end in logits, one column a class, got {0}; add a linear layer")]
    Logits(String),
    /// There are no layers.
    #[error("expected at least 1 layer, got none; add one")]
    Empty,
    /// Layers are nested too deep.
    #[error("expected at most {0} layers within each other, got more; nest fewer")]
    Depth(usize),
    /// No layer has parameters that are trained.
    #[error("expected at least 1 layer that is trained, got none; add one or freeze fewer")]
    Frozen,
    /// A number of the options is not permitted.
    #[error("{what}: expected {expected}, got {got}")]
    Option {
        /// Which number.
        what: &'static str,
        /// What is permitted.
        expected: &'static str,
        /// The number.
        got: String,
    },
    /// Steps do not fit together.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A constant is not a tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Constants do not match the program.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// This is a defect of the library.
    #[error("expected the library to build {0}, but it did not; please report it")]
    Internal(&'static str),
}
