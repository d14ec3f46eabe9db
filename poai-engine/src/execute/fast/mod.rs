//! Steps with loops of their own.
//!
//! [`Local::compute`](poai_core::program::ops::Local::compute) defines every
//! step, and reads and writes whole rows as 32-bit entries. The functions here
//! compute the same entries straight from bytes to bytes, which takes a
//! fraction of the time. Tests compare the two on every edge.
//!
//! - `linear`: products with weights; `scaled`: scaled products of values;
//! - `attention`: the two products of attention;
//! - `pointwise`: steps whose entries come from the same row;
//! - `training`: steps of training whose entries come from the same row, and steps
//!   of 32-bit entries; `rescale`: rows scaled by powers of two;
//! - `transpose`: transposes of 8-bit entries;
//! - `entries`: entries as they are stored.

mod attention;
mod entries;
mod linear;
mod pointwise;
mod rescale;
mod scaled;
mod training;
mod transpose;

pub(super) use attention::{context, weights};
pub(super) use linear::linear;
pub(super) use rescale::{Scaling, sums as scale_sums};
pub(super) use scaled::scaled_product;
pub(super) use training::{add_offset, training_rows};
pub(super) use transpose::columns_to_rows;

use super::error::RunError;
use super::task::Task;
use super::tensor::Tensor;
use poai_core::program::{Dtype, Op};

/// Marks functions over slices whose loops the compiler should vectorise, for
/// the instruction sets that make them faster.
macro_rules! vectorise {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($arguments:tt)*) $(-> $output:ty)?
        $body:block)*) =>
    {$(
        $(#[$attribute])*
        #[multiversion::multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512dq+avx512vl",
            "x86_64+avx2",
        ))]
        $visibility fn $name($($arguments)*) $(-> $output)? $body
    )*};
}
use vectorise;

/// Computes a step without a product, if there is a loop for it and for the
/// types of its values. Otherwise it returns `false`.
pub(super) fn rows(task: &Task<'_>, output: &mut Tensor) -> Result<bool, RunError> {
    let dtypes = |count: usize, dtype| {
        task.slots.0.iter().take(count).all(|slot| slot.extent.dtype == dtype)
    };
    let to = task.local.output.dtype;
    match *task.local.op {
        Op::Transpose if to == Dtype::I8 => transpose::transpose(task, output)?,
        Op::Add { .. } if dtypes(2, Dtype::I16) && to == Dtype::I16 => {
            pointwise::rows(task, output)?
        }
        Op::ScaleColumns { .. } | Op::Table { .. } | Op::Normalise { .. }
            if dtypes(1, Dtype::I16) && to == Dtype::I16 =>
        {
            pointwise::rows(task, output)?;
        }
        Op::Add { .. } if dtypes(2, Dtype::I32) && to == Dtype::I32 => {
            training::wide_rows(task, output)?;
        }
        Op::RowScale | Op::Relu if dtypes(1, Dtype::I32) => training::wide_rows(task, output)?,
        Op::RowScale | Op::Quantise if dtypes(1, Dtype::I16) => pointwise::rows(task, output)?,
        _ => return Ok(false),
    }
    Ok(true)
}
