//! Errors of executing a program and of reading a value of its trace.

use super::options::MinedStep;
use crate::backend::{BackendError, ChooseError};
use crate::miner::MineError;
use crate::operand::OperandError;
use poai_core::control::Cancelled;
use poai_core::program::ops::StepError;
use poai_core::program::{Extent, RunShapeError, ValueId};
use std::sync::Arc;

/// Why a program was not executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The run's shape has empty tensors, or tensors that are too large.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// The number of inputs is not the program's.
    #[error("expected {expected} inputs, got {got}; pass one tensor per input of the program")]
    Inputs {
        /// The program's number of inputs.
        expected: usize,
        /// The number of inputs that the caller passed.
        got: usize,
    },
    /// An input has the wrong extent for this run.
    #[error("input {input}: expected {expected} for this run, got {got}")]
    Input {
        /// The input's index.
        input: usize,
        /// The extent that the run expects.
        expected: Extent,
        /// The extent that the caller passed.
        got: Extent,
    },
    /// A step's entries have no result: an id or a length is out of range.
    #[error("step {name}: {source}")]
    Step {
        /// The step's name.
        name: String,
        /// The problem.
        source: StepError,
    },
    /// No backend was chosen.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Mining failed.
    #[error(transparent)]
    Mine(#[from] MineError),
    /// The caller cancelled the run. What was mined until then is kept.
    #[error("cancelled by the caller; {} products were mined", mined.len())]
    Cancelled {
        /// The mining results so far, one per product. Their proofs are as valid
        /// as any others. The last product may have tiles without tickets.
        mined: Vec<MinedStep>,
    },
    /// A tensor is not a valid operand.
    #[error(transparent)]
    Operand(#[from] OperandError),
    /// A single step failed. Callers see it as [`RunError::Step`], with the
    /// step's name.
    #[error(transparent)]
    Local(#[from] StepError),
    /// A traced tensor cannot be read.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A tensor's bytes do not have its extent's layout. This is a defect of
    /// the library.
    #[error("a tensor's bytes do not match the layout of its extent; report this as a bug")]
    Layout,
}

impl RunError {
    /// The same error. If the run was cancelled, it holds these mining results.
    /// Every executor of programs calls it.
    pub fn with_mined(self, mined: Vec<MinedStep>) -> RunError {
        match self {
            RunError::Cancelled { .. } => RunError::Cancelled { mined },
            other => other,
        }
    }
}

impl From<Cancelled> for RunError {
    fn from(_: Cancelled) -> RunError {
        RunError::Cancelled { mined: vec![] }
    }
}

/// Why a value of a trace cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value does not exist.
    #[error("value {} does not exist in the program", .0.0)]
    None(ValueId),
    /// The device that keeps the value failed.
    #[error("value {} is still on its device: {source}", value.0)]
    Fetch {
        /// The value.
        value: ValueId,
        /// The device's error.
        source: Arc<BackendError>,
    },
}
