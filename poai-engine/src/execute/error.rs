//! Why a program was not executed, or a value of its trace cannot be read.

use crate::backend::BackendError;
use crate::miner::MineError;
use crate::operand::OperandError;
use poai_core::program::ops::StepError;
use poai_core::program::{Extent, RunShapeError, ValueId};
use std::sync::Arc;

/// Why a program was not executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The run has no tensors, or too large ones.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// Another number of inputs than the program has.
    #[error("{got} inputs, the program has {expected}")]
    Inputs {
        /// The program's.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// An input of another extent.
    #[error("input {input} is {got}, this run takes {expected}")]
    Input {
        /// Which input.
        input: usize,
        /// What the run takes.
        expected: Extent,
        /// What was given.
        got: Extent,
    },
    /// A step's entries have no result: an id or a length is out of range.
    #[error("step {name}: {source}")]
    Step {
        /// The step's name.
        name: String,
        /// What is wrong.
        source: StepError,
    },
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Mining failed or was cancelled.
    #[error(transparent)]
    Mine(#[from] MineError),
    /// A tensor is no operand.
    #[error(transparent)]
    Operand(#[from] OperandError),
    /// A step alone failed; named by [`ExecuteError::Step`] to callers.
    #[error(transparent)]
    Local(#[from] StepError),
    /// A traced tensor cannot be read.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A tensor's bytes do not have its extent's layout: a defect of the
    /// library.
    #[error("a tensor's bytes do not have its extent's layout")]
    Layout,
}

/// A value of a trace cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// There is no such value.
    #[error("the program has no value {}", .0.0)]
    None(ValueId),
    /// The device that keeps it failed.
    #[error("value {} is still on its device: {source}", value.0)]
    Fetch {
        /// The value.
        value: ValueId,
        /// What the device says.
        source: Arc<BackendError>,
    },
}
