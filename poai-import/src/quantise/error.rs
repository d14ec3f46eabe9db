//! Errors of quantising a network.

use super::super::graph::GraphError;
use poai_core::control::Cancelled;
use poai_core::program::ProgramError;
use poai_engine::execute::{NetworkError, RunError, TensorError};

/// Why a network is not quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// The caller cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The network does not fit together, or samples do not fit it.
    #[error(transparent)]
    Graph(GraphError),
    /// The caller passed no calibration samples.
    #[error("expected at least one calibration sample, got none; pass samples of usual inputs")]
    NoCalibration,
    /// An entry is infinite or NaN.
    #[error(
        "{layer}: expected finite values, got infinity or NaN at entry {index} of {what}; correct \
         the samples or the weights"
    )]
    NotFinite {
        /// The layer, or the input.
        layer: String,
        /// The entries that were checked.
        what: &'static str,
        /// The first such entry, row-major.
        index: usize,
    },
    /// A percentile that is not above 0 and at most 100.
    #[error("expected a percentile above 0 and at most 100, got {0}; 99.9 is a usual one")]
    Percentile(f64),
    /// No step computes the layer.
    #[error(
        "{layer}: {what} is not supported; end the network before this layer, or replace the layer"
    )]
    Unsupported {
        /// The layer.
        layer: String,
        /// The unsupported feature.
        what: &'static str,
    },
    /// A size exceeds 32 bits.
    #[error("{layer}: expected sizes below 2^32, got a larger one; make the layer smaller")]
    TooLarge {
        /// The layer.
        layer: String,
    },
    /// A layer's scales are too far apart for the standard form.
    #[error(
        "{layer}: expected a multiplier below {limit} in standard form, got {ratio:.1}: the \
         output's range is very small beside the input's; calibrate with more samples, or use \
         fitted numbers and this network's own key"
    )]
    Standard {
        /// The layer.
        layer: String,
        /// The layer's multiplier.
        ratio: f64,
        /// The bound that the form's shift sets.
        limit: f64,
    },
    /// A layer has no standard form, because its constants depend on the
    /// ranges of its values.
    #[error(
        "{layer}: expected a product, a sum, a pool or a relu in standard form, got another \
         layer; use fitted numbers and this network's own key"
    )]
    NotStandard {
        /// The layer.
        layer: String,
    },
    /// Weights or samples do not form a tensor.
    #[error("{layer}: {source}")]
    Tensor {
        /// The layer, or the input.
        layer: String,
        /// The problem.
        source: TensorError,
    },
    /// The parts of a network in integers do not fit together.
    #[error("{field}: expected {expected}, got {got}; take the parts of this program")]
    Part {
        /// Which part.
        field: &'static str,
        /// What fits the program.
        expected: String,
        /// The part.
        got: String,
    },
    /// The program refuses a step; the error names the layer.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The constants do not match the program. This is a defect of the library.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The program does not run on the calibration data.
    #[error(transparent)]
    Run(RunError),
}

impl From<GraphError> for QuantiseError {
    fn from(error: GraphError) -> QuantiseError {
        match error {
            GraphError::Cancelled(cancelled) => QuantiseError::Cancelled(cancelled),
            error => QuantiseError::Graph(error),
        }
    }
}

impl From<RunError> for QuantiseError {
    fn from(error: RunError) -> QuantiseError {
        match error {
            RunError::Cancelled { .. } => QuantiseError::Cancelled(Cancelled),
            error => QuantiseError::Run(error),
        }
    }
}
