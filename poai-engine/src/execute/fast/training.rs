//! Steps of training with loops over bytes.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::transpose;
use poai_core::program::{Dtype, TrainingOp};

/// Computes a step of training, if there is a loop for it and for the types of
/// its values. Otherwise it returns `false`.
pub(in crate::execute) fn training_rows(
    task: &Task<'_>,
    op: &TrainingOp,
    output: &mut Tensor,
) -> Result<bool, RunError> {
    match op {
        TrainingOp::TransposeTiles if task.local.output.dtype == Dtype::I8 => {
            transpose::transpose(task, output)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
