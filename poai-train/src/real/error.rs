//! Errors of real-valued readings.

use crate::error::LayersError;
use crate::run::TrainError;
use poai_core::program::RunShapeError;

/// Why a program has no real-valued reading, or cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealError {
    /// The real reading of a step of this kind is not known.
    #[error("step {step}: expected a kind with a real reading, got {kind}; run it in integers")]
    Kind {
        /// The step's name.
        step: String,
        /// The step's kind.
        kind: &'static str,
    },
    /// A step's table has no real reading.
    #[error("step {step}: expected a table of {expected}, got another; run it in integers")]
    Table {
        /// The step's name.
        step: String,
        /// What the step tabulates.
        expected: &'static str,
    },
    /// An entry that names a row or a length is out of range.
    #[error("step {step}: expected an entry in 0..{end}, got {got}; correct the input")]
    Index {
        /// The step's name.
        step: String,
        /// The number of rows that an entry can name.
        end: usize,
        /// The entry.
        got: i64,
    },
    /// The number of inputs is not the program's.
    #[error("expected {expected} inputs, got {got}; pass one for each input of the program")]
    Inputs {
        /// The program's number of inputs.
        expected: usize,
        /// The number of inputs.
        got: usize,
    },
    /// An input has another shape in this run.
    #[error("input {input}: expected {expected:?} rows and columns, got {got:?}; reshape it")]
    Shape {
        /// The input's number.
        input: usize,
        /// Rows and columns in the run.
        expected: (usize, usize),
        /// Rows and columns of the input.
        got: (usize, usize),
    },
    /// The program cannot run in this shape.
    #[error(transparent)]
    RunShape(#[from] RunShapeError),
    /// Layers do not fit together.
    #[error(transparent)]
    Layers(#[from] LayersError),
    /// Iteration, dataset and states do not fit together, or no iteration is left.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// This is a defect of the library.
    #[error("step {0}: expected inputs that the builder permits, got others; please report it")]
    Internal(String),
}
