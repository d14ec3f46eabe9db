//! Steps of training whose entries come from the same row.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use poai_core::program::TrainingOp;

/// Computes a step of training, if there is a loop for it and for the types of
/// its values. Otherwise it returns `false`.
pub(in crate::execute) fn training_rows(
    _task: &Task<'_>,
    _op: &TrainingOp,
    _output: &mut Tensor,
) -> Result<bool, RunError> {
    Ok(false)
}
