//! Products of the steps of training: of two values, and of the blocks of
//! attention.

use super::error::RunError;
use super::fast::{self, Scaling};
use super::task::{Scratch, Task, columns, scatter};
use super::tensor::{Tensor, rows_operand};
use core::ops::Range;
use poai_core::params::K_END;
use poai_core::program::TrainingOp;
use poai_core::program::ops::training::row_shift;
use poai_core::program::tensor::Rows;
use poai_core::program::training::BlockKind;
use poai_core::puzzle::statement::Side;
use rayon::prelude::*;

impl Task<'_> {
    /// Computes a step of training.
    pub(super) fn training(&self, op: &TrainingOp, output: &mut Tensor) -> Result<(), RunError> {
        match op {
            // The last few widths have a padded k that no operand has.
            TrainingOp::ScaledProduct { .. } if self.local.slot(0).padded_columns() < K_END => {
                let b = self.slots.0.get(1).ok_or(RunError::Layout)?;
                let b = rows_operand(Side::B, b.bytes, b.extent.row_bytes())?;
                let b = self.host.device.pack_operand(b)?;
                fast::scaled_product(self, &b, output)
            }
            TrainingOp::Block { .. } => self.block_product(op, output),
            _ if fast::training_rows(self, op, output)? => Ok(()),
            _ => self.plain(output),
        }
    }

    /// Multiplies values head by head, an item at a time.
    fn block_product(&self, op: &TrainingOp, output: &mut Tensor) -> Result<(), RunError> {
        let TrainingOp::Block { kind, heads, ref shift, offset, multiplier, ref clamp } = *op
        else {
            return Err(RunError::Layout);
        };
        let heads = heads as usize;
        let [a, b] = self.pair()?;
        let rows = self.local.item_rows(1) as usize;
        let all = b.extent.columns as usize;
        let width = all / heads;
        let device = &*self.host.device;
        // Adds offset·(sum of b's entries) to each sum, for b as n rows of k.
        let product = |a: &[i8], b: &[i8], k: usize, sums: &mut [i32]| {
            device.product_small(a, b, k, sums)?;
            if offset != 0 {
                fast::add_offset(sums, b, k, offset);
            }
            Ok::<_, RunError>(())
        };
        let extent = self.local.output;
        let (row_bytes, width_out) = (extent.row_bytes(), extent.columns as usize);
        let used = width_out * extent.dtype.size();
        let bytes = &mut output.bytes_mut()[..extent.rows as usize * row_bytes];
        let blocks = bytes.par_chunks_mut(rows * row_bytes).enumerate();
        blocks.try_for_each_init(Scratch::default, |scratch, (index, bytes)| {
            let first = index * rows;
            let Scratch { sums, own, a: left, b: right, .. } = scratch;
            match kind {
                BlockKind::Scores => {
                    let block = first / rows;
                    let (item, head) = (block / heads, block % heads);
                    columns(a, item * rows, rows, head * width, width, left);
                    columns(b, item * rows, rows, head * width, width, right);
                    // Scores add the offset to a: the sums of b's rows again.
                    sums.resize(rows * rows, 0);
                    product(left, right, width, sums)?;
                }
                BlockKind::Mix | BlockKind::MixBack => {
                    let item = first / rows;
                    sums.resize(rows * all, 0);
                    own.resize(rows * width, 0);
                    for head in 0..heads {
                        let first = (item * heads + head) * rows;
                        match kind {
                            BlockKind::MixBack => turned(a, first, rows, 0..rows, left),
                            _ => columns(a, first, rows, 0, rows, left),
                        }
                        turned(b, item * rows, rows, head * width..(head + 1) * width, right);
                        product(left, right, rows, own)?;
                        scatter(own, width, sums, all, head * width);
                    }
                }
            }
            let each = bytes.chunks_exact_mut(row_bytes).zip(sums.chunks_exact(width_out));
            for (row, (bytes, sums)) in (first..).zip(each) {
                // Exact: a tensor's rows are numbered by u32.
                let p = row_shift(&self.slots, &self.local, shift, 2, row as u32);
                let how = Scaling { multiplier, p: p.map_err(RunError::Local)?, clamp };
                fast::scale_sums(&mut bytes[..used], sums, &how);
            }
            Ok(())
        })
    }
}

/// Some columns of some rows of an i8 tensor as dense rows.
fn turned(from: &Rows<'_>, row: usize, rows: usize, columns: Range<usize>, to: &mut Vec<i8>) {
    let row_bytes = from.extent.row_bytes();
    to.resize(rows * columns.len(), 0);
    let from = &from.bytes[row * row_bytes..][..rows * row_bytes];
    fast::columns_to_rows(from, row_bytes, columns, bytemuck::cast_slice_mut(to), rows);
}
