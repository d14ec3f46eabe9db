//! Why a network is not quantised.

use super::super::graph::GraphError;
use poai_core::program::ProgramError;
use poai_engine::execute::{ExecuteError, NetworkError, TensorError};

/// Why a network is not quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// The network does not fit together, or samples do not fit it.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// No sample to measure ranges on.
    #[error("there are no samples to calibrate with")]
    NoCalibration,
    /// An infinity, or no number.
    #[error("{layer}: entry {index} of {what} is not finite")]
    NotFinite {
        /// The layer, or the input.
        layer: String,
        /// Which entries.
        what: &'static str,
        /// The first such entry, row-major.
        index: usize,
    },
    /// A percentile that is not above 0 and at most 100.
    #[error("a percentile of {0} is not above 0 and at most 100")]
    Percentile(f64),
    /// A layer that no step computes.
    #[error("{layer}: {what} is not supported")]
    Unsupported {
        /// The layer.
        layer: String,
        /// What it asks for.
        what: &'static str,
    },
    /// A size beyond 32 bits.
    #[error("{layer}: a size beyond 32 bits")]
    TooLarge {
        /// The layer.
        layer: String,
    },
    /// A layer whose scales are too far apart for the standard form.
    #[error(
        "{layer}: a multiplier of {ratio:.1}, the standard form has less than {limit}: the range \
         of its output is very small beside that of its input. Calibrate with more samples, or \
         take fitted numbers and a key of this network's own"
    )]
    Standard {
        /// The layer.
        layer: String,
        /// What it multiplies by.
        ratio: f64,
        /// What the form's shift leaves room for.
        limit: f64,
    },
    /// Weights, or samples, are no tensor.
    #[error("{layer}: {source}")]
    Tensor {
        /// The layer, or the input.
        layer: String,
        /// What is wrong.
        source: TensorError,
    },
    /// The program refuses a step: it names the layer.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The constants are not the program's: a defect of the library.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The program does not run on the calibration data.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}
