//! Products of the steps of training: of two values, and of the blocks of
//! attention.

use super::error::RunError;
use super::fast;
use super::task::{Scratch, Task, columns, scatter};
use super::tensor::{Tensor, rows_operand};
use poai_core::params::K_END;
use poai_core::program::TrainingOp;
use poai_core::program::training::BlockKind;
use poai_core::puzzle::statement::Side;

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
            TrainingOp::Block { kind, heads, offset, .. } => {
                self.block_product(*kind, *heads as usize, *offset, output)
            }
            _ if fast::training_rows(self, op, output)? => Ok(()),
            _ => self.plain(output),
        }
    }

    /// Multiplies values head by head, an item at a time.
    fn block_product(
        &self,
        kind: BlockKind,
        heads: usize,
        offset: i32,
        output: &mut Tensor,
    ) -> Result<(), RunError> {
        let [a, b] = self.pair()?;
        let rows = self.local.item_rows(1) as usize;
        let all = b.extent.columns as usize;
        let width = all / heads;
        let device = &*self.host.device;
        // Adds offset·(sum of b's entries) to each sum, for b as n rows of k.
        let product = |a: &[i8], b: &[i8], k: usize, sums: &mut [i32]| {
            device.product_small(a, b, k, sums)?;
            if offset != 0 {
                let totals = b.chunks_exact(k).map(|b| b.iter().map(|&b| i32::from(b)).sum());
                let totals: Vec<i32> = totals.collect();
                for sums in sums.chunks_exact_mut(totals.len()) {
                    for (sum, total) in sums.iter_mut().zip(&totals) {
                        *sum += offset * total;
                    }
                }
            }
            Ok::<_, RunError>(())
        };
        self.blocks(rows, output, |first, scratch| {
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
                    let (mut weights, mut values) = (vec![], vec![]);
                    for head in 0..heads {
                        columns(a, (item * heads + head) * rows, rows, 0, rows, &mut weights);
                        columns(b, item * rows, rows, head * width, width, &mut values);
                        match kind {
                            BlockKind::MixBack => transposed(&weights, rows, left),
                            _ => left.clone_from(&weights),
                        }
                        transposed(&values, width, right);
                        product(left, right, rows, own)?;
                        scatter(own, width, sums, all, head * width);
                    }
                }
            }
            Ok(true)
        })
    }
}

/// The transpose of a dense matrix with `columns` columns.
fn transposed(from: &[i8], columns: usize, to: &mut Vec<i8>) {
    let rows = from.len() / columns;
    to.resize(from.len(), 0);
    for (row, from) in from.chunks_exact(columns).enumerate() {
        for (to, &entry) in to.iter_mut().skip(row).step_by(rows).zip(from) {
            *to = entry;
        }
    }
}
