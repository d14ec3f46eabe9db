//! The arithmetic of the steps of training (spec §12, steps of training).
//!
//! - `arithmetic`: shifts of either sign, and random bytes.
//! - `scale`: operands and products.
//! - `blocks`: attention's products, its weights and their gradients.
//! - `loops`: whole rows, as plain loops.
//! - `gradients`: gradients of a row from the same row.
//! - `windows`: gradients of steps that look through windows.
//! - `rows`: steps that move rows.
//! - `update`: optimisers.

mod arithmetic;
mod blocks;
mod gradients;
mod loops;
mod reads;
mod rows;
mod scale;
mod update;
mod windows;

pub use arithmetic::{Random, row_shift, shift, shift_by};
pub(super) use reads::{further_reads, reads};
pub use rows::sample_at;

use super::{Local, Region, RowSource, StepError};
use crate::program::TrainingOp;

/// Computes a region of a training step.
pub(super) fn compute(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    match op {
        TrainingOp::ScaledProduct { .. } => scale::product(local, op, source, region, sums, out),
        TrainingOp::Rescale { .. } => scale::rescale(local, op, source, region, out),
        TrainingOp::Exponent { per_row } => scale::exponent(local, *per_row, source, region, out),
        TrainingOp::NextExponent => scale::next_exponent(local, source, out),
        TrainingOp::RowSum => scale::row_sum(local, source, region, out),
        TrainingOp::TransposeTiles => rows::transpose(local, source, region, out),
        TrainingOp::Gather { .. } => rows::gather(local, source, region, out),
        TrainingOp::ScatterAdd { .. } => rows::scatter_add(local, source, region, out),
        TrainingOp::Draw { samples } => rows::draw(local, *samples, source, region, out),
        TrainingOp::Gate { .. } => gradients::gate(local, op, source, region, out),
        TrainingOp::CrossEntropy { .. } => gradients::cross_entropy(local, op, source, region, out),
        TrainingOp::NormaliseGradient { .. } => {
            gradients::normalise(local, op, source, region, out)
        }
        TrainingOp::MeanPoolGradient { .. } => gradients::mean_pool(local, source, region, out),
        TrainingOp::UnfoldGradient(window) => windows::unfold(local, window, source, region, out),
        TrainingOp::MaxPoolGradient(window) => {
            windows::max_pool(local, window, source, region, out)
        }
        TrainingOp::Block { .. } => blocks::product(local, op, source, region, sums, out),
        TrainingOp::Exponentials { .. } => blocks::exponentials(local, op, source, region, out),
        TrainingOp::DivideBySums { .. } => blocks::divide(local, op, source, region, out),
        TrainingOp::SoftmaxGradient => blocks::softmax_gradient(local, source, region, out),
        TrainingOp::Descend { .. } | TrainingOp::SecondMoment { .. } | TrainingOp::Ratio { .. } => {
            update::compute(local, op, source, region, out)
        }
    }
}
