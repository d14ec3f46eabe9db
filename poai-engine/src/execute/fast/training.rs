//! Steps of training with loops over bytes.

use super::super::error::RunError;
use super::super::task::Task;
use super::super::tensor::Tensor;
use super::{transpose, vectorise};
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

vectorise! {
    /// Adds offset·(sum of a row of b) to each row's sums, for b as rows of k
    /// entries, one a sum.
    pub(in crate::execute) fn add_offset(sums: &mut [i32], b: &[i8], k: usize, offset: i32) {
        let total = |b: &[i8]| offset * b.iter().map(|&b| i32::from(b)).sum::<i32>();
        let totals: Vec<i32> = b.chunks_exact(k).map(total).collect();
        for sums in sums.chunks_exact_mut(totals.len()) {
            for (sum, total) in sums.iter_mut().zip(&totals) {
                *sum += total;
            }
        }
    }
}
