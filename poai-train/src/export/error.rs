//! Errors of exports.

use crate::error::LayersError;
use poai_core::program::ProgramError;
use poai_engine::execute::{NetworkError, RunError, TensorError};

/// Why a trained state has no frozen network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingExportError {
    /// The layers form no network.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// A step of the forward pass has no counterpart without state.
    #[error(
        "step {step} ({kind}): expected {expected}, got {got}; export layers that need no such \
         step"
    )]
    Step {
        /// The step's name.
        step: String,
        /// The kind of step.
        kind: &'static str,
        /// What an export takes there.
        expected: &'static str,
        /// What the step has.
        got: String,
    },
    /// The states are not those of the layers.
    #[error("expected {expected}, got {got}; take states of an iteration of these layers")]
    States {
        /// What the layers have.
        expected: String,
        /// The states.
        got: String,
    },
    /// There are no samples to measure with.
    #[error("expected at least 1 calibration sample, got none; take some of the dataset")]
    NoSamples,
    /// The layers have another number of exponents.
    #[error("expected {expected} exponents of operands, got {got}; measure them with these layers")]
    Exponents {
        /// The exponents of the layers.
        expected: usize,
        /// The number of exponents.
        got: usize,
    },
    /// An exponent is outside its range.
    #[error("exponent {index}: expected a number in 0..=31, got {got}; measure the exponents")]
    Exponent {
        /// The exponent's number; that of the logits comes last.
        index: usize,
        /// The exponent.
        got: i32,
    },
    /// The network needs another number of trained constants.
    #[error("expected {expected} trained constants, got {got}; take the outputs of the exporter")]
    Constants {
        /// The outputs of the exporter.
        expected: usize,
        /// The number of constants.
        got: usize,
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
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// This is a defect of the library.
    #[error("expected the library to build {0}, but it did not; please report it")]
    Internal(&'static str),
}
