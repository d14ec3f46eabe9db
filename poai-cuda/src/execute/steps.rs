//! The kernels of each step (`kernels/steps_*.cu`). Module `product` has the
//! products that the miner's kernels multiply, `training` the steps of training.

use super::ready::{Ready, bounds, group_window, signed, small, window};
use super::training;
use crate::error::CudaError;
use crate::gpu::Argument;
use poai_core::program::{Extent, Op};

const ROWS: &str = "steps_rows";
const NORMS: &str = "steps_norms";
const MOVE: &str = "steps_move";
const ATTENTION: &str = "steps_attention";
const PRODUCTS: &str = "steps_products";

/// Whether there are kernels for a step, here or in `product`.
pub(crate) fn has_kernels(op: &Op) -> bool {
    matches!(
        op,
        Op::Linear { .. }
            | Op::Unfold(_)
            | Op::Add { .. }
            | Op::Requantise { .. }
            | Op::ScaleColumns { .. }
            | Op::Relu
            | Op::Table { .. }
            | Op::MaxPool(_)
            | Op::AveragePool(_)
            | Op::Softmax { .. }
            | Op::Normalise { .. }
            | Op::Embed { .. }
            | Op::AddRows { .. }
            | Op::AttentionWeights { .. }
            | Op::AttentionContext { .. }
            | Op::Transpose
            | Op::Reshape { .. }
            | Op::RowScale
            | Op::Quantise
            | Op::MeanPool
            | Op::L2Normalise
            | Op::Mul { .. }
            | Op::Curve { .. }
            | Op::Arrange { .. }
            | Op::GroupUnfold(_)
            | Op::GroupLinear { .. }
            | Op::Product { .. }
            | Op::RelativeAttentionWeights { .. }
    ) || matches!(op, Op::Training(op) if training::has_kernels(op))
}

impl Ready<'_> {
    /// Queues a step other than linear and scaled product. Returns `None` if
    /// this crate has no kernel for it.
    pub(super) fn queue(&self) -> Option<Result<(), CudaError>> {
        self.entries()
            .or_else(|| self.norms())
            .or_else(|| self.moves())
            .or_else(|| self.attention())
            .or_else(|| self.products())
            .or_else(|| self.training())
    }

    /// Steps on single rows, and look-ups.
    fn entries(&self) -> Option<Result<(), CudaError>> {
        let (out, out_dtype, rows, columns) =
            (self.out(), self.out_dtype(), self.rows(), self.columns());
        let (x, dtype) = (self.slot(0), self.dtype(0));
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match *self.local.op {
            Op::Add { multipliers, shift, ref clamp } => {
                let ([m0, m1], [least, most]) = (multipliers.map(signed), bounds(clamp));
                let (b, b_dtype, s) = (self.slot(1), self.dtype(1), small(shift));
                let inputs = [x, dtype, b, b_dtype];
                let rest = [out, out_dtype, rows, columns, m0, m1, s, least, most];
                ("step_add", [&inputs[..], &rest].concat())
            }
            Op::Mul { shift, ref clamp } => {
                let ([least, most], s) = (bounds(clamp), small(shift));
                let inputs = [x, dtype, self.slot(1), self.dtype(1)];
                let rest = [out, out_dtype, rows, columns, s, least, most];
                ("step_mul", [&inputs[..], &rest].concat())
            }
            Op::Requantise { multiplier, shift, ref clamp } => {
                let ([least, most], m) = (bounds(clamp), signed(multiplier));
                let rest = [out, out_dtype, rows, columns, m, small(shift), least, most];
                ("step_requantise", [&[x, dtype][..], &rest].concat())
            }
            Op::ScaleColumns { shift, ref clamp, .. } => {
                let [least, most] = bounds(clamp);
                let rest = [out, out_dtype, rows, columns, small(shift), least, most];
                ("step_scale_columns", [&[x, dtype, self.constant(0)][..], &rest].concat())
            }
            Op::Relu => ("step_relu", vec![x, out, out_dtype, rows, columns]),
            Op::Table { shift, pass_above, .. } => {
                let rest = [out, out_dtype, rows, columns, small(shift), small(pass_above)];
                ("step_table", [&[x, dtype, self.constant(0)][..], &rest].concat())
            }
            Op::Curve { shift, pass_above, .. } => {
                let rest = [out, rows, columns, small(shift), small(pass_above)];
                ("step_curve", [&[x, dtype, self.constant(0)][..], &rest].concat())
            }
            Op::RowScale => {
                let columns = Argument::U32(self.extent(0).columns);
                ("step_row_scale", vec![x, dtype, out, rows, columns])
            }
            Op::Quantise => ("step_quantise", vec![x, dtype, self.slot(1), out, rows, columns]),
            Op::AddRows { .. } => {
                let item_rows = self.item_rows(&self.local.output);
                ("step_add_rows", vec![x, self.constant(0), out, rows, columns, item_rows])
            }
            Op::Embed { shift, .. } => {
                let (table, scales) = (self.constant(0), self.constant(1));
                let table_rows = Argument::U32(self.extent(1).rows);
                let rest = [rows, columns, table_rows, small(shift), self.error()];
                ("step_embed", [&[x, table, scales, out][..], &rest].concat())
            }
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of steps_rows.cu.
        Some(unsafe { self.by_rows(ROWS, kernel, &arguments) })
    }

    /// Steps that scale a row by its own contents, and means over tokens.
    fn norms(&self) -> Option<Result<(), CudaError>> {
        let (out, rows, columns) = (self.out(), self.rows(), self.columns());
        let (x, dtype) = (self.slot(0), self.dtype(0));
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match *self.local.op {
            Op::Normalise { centre, shift, .. } => {
                let numbers = [rows, columns, small(centre), small(shift)];
                ("step_normalise", [&[x, self.constant(0), out][..], &numbers].concat())
            }
            Op::Softmax { multiplier, shift, one, ref clamp, .. } => {
                let [least, most] = bounds(clamp);
                let memory = [x, dtype, self.constant(0), out, self.out_dtype()];
                let numbers =
                    [rows, columns, signed(multiplier), small(shift), signed(one), least, most];
                ("step_softmax", [&memory[..], &numbers].concat())
            }
            Op::L2Normalise => ("step_l2_normalise", vec![x, dtype, out, rows, columns]),
            Op::MeanPool => {
                let (item_rows, sequence) =
                    (self.item_rows(&self.extent(0)), Argument::U32(self.local.run.sequence));
                let memory = [x, dtype, self.optional(1), out];
                let numbers = [rows, columns, item_rows, sequence, self.error()];
                let arguments = [&memory[..], &numbers].concat();
                // SAFETY: step_mean_pool's arguments, in order.
                return Some(unsafe { self.by_entries(NORMS, "step_mean_pool", &arguments) });
            }
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of steps_norms.cu.
        Some(unsafe { self.by_rows(NORMS, kernel, &arguments) })
    }

    /// Steps that move entries, and pools of pixels.
    fn moves(&self) -> Option<Result<(), CudaError>> {
        let (out, rows, columns) = (self.out(), self.rows(), self.columns());
        let (x, dtype) = (self.slot(0), self.dtype(0));
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match self.local.op {
            Op::Transpose => {
                let items = self.local.run.batch.max(1);
                return Some(self.transpose(self.local.output.rows / items));
            }
            Op::Reshape { .. } => {
                let in_columns = Argument::U32(self.extent(0).columns);
                ("step_reshape", vec![x, out, dtype, rows, columns, in_columns])
            }
            Op::Unfold(moved) => match window(moved) {
                Ok(numbers) => {
                    let channels = Argument::U32(self.extent(0).columns);
                    ("step_unfold", [&[x, out, rows, channels][..], &numbers].concat())
                }
                Err(error) => return Some(Err(error)),
            },
            Op::GroupUnfold(moved) => match group_window(moved, self.extent(0).columns) {
                Ok(numbers) => ("step_group_unfold", [&[x, out, rows][..], &numbers].concat()),
                Err(error) => return Some(Err(error)),
            },
            Op::Arrange { .. } => return Some(self.arrange()),
            Op::MaxPool(moved) | Op::AveragePool(moved) => match window(moved) {
                Ok(numbers) => {
                    let mean = small(matches!(self.local.op, Op::AveragePool(_)));
                    let head = [x, out, dtype, rows, columns, mean];
                    ("step_pool", [&head[..], &numbers].concat())
                }
                Err(error) => return Some(Err(error)),
            },
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of steps_move.cu.
        Some(unsafe { self.by_rows(MOVE, kernel, &arguments) })
    }

    /// Transposes every `item_rows` rows of the output by themselves.
    pub(super) fn transpose(&self, item_rows: u32) -> Result<(), CudaError> {
        let output = &self.local.output;
        let memory = [self.slot(0), self.out(), self.dtype(0)];
        let shape = [self.rows(), self.columns(), Argument::U32(item_rows)];
        let arguments = [memory, shape].concat();
        // At most 2^17 columns, so 2^12 blocks across.
        let grid = [output.padded_rows() / 32, output.padded_columns().div_ceil(32), 1];
        // SAFETY: step_transpose's arguments, in order; a block for each 32×32
        // padded entries.
        unsafe { self.launch(MOVE, "step_transpose", grid, &arguments) }
    }

    /// Moves entries of all inputs, one launch for each.
    fn arrange(&self) -> Result<(), CudaError> {
        let (out, rows, columns) = (self.out(), self.rows(), self.columns());
        let item_rows = self.item_rows(&self.local.output);
        let entries_of = |slot: usize| {
            let Extent { rows, columns, .. } = self.extent(slot);
            u64::from(rows / self.local.run.batch.max(1)) * u64::from(columns)
        };
        // The program's check guarantees fewer than 2^31.
        let number = |entries: u64| u32::try_from(entries).map_err(|_| CudaError::Bounds);
        let all = number((0..self.local.inputs).map(entries_of).sum())?;
        let mut first = 0;
        for slot in 0..self.local.inputs {
            let extent = self.extent(slot);
            let memory = [self.slot(slot), self.constant(0), out, self.out_dtype()];
            let of_input = [self.item_rows(&extent), Argument::U32(extent.columns)];
            let numbers = [Argument::U32(number(first)?), Argument::U32(all), self.error()];
            let shape = [rows, columns, item_rows];
            let arguments = [&memory[..], &shape, &of_input, &numbers].concat();
            // SAFETY: step_arrange's arguments, in order; launches run in the
            // order of the inputs.
            unsafe { self.by_rows(MOVE, "step_arrange", &arguments) }?;
            first += entries_of(slot);
        }
        Ok(())
    }

    /// The products of groups and of blocks, whose kernels compute their own
    /// sums.
    fn products(&self) -> Option<Result<(), CudaError>> {
        let (out, out_dtype, rows, columns) =
            (self.out(), self.out_dtype(), self.rows(), self.columns());
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match *self.local.op {
            Op::GroupLinear { groups, shifts, ref clamp, .. } => {
                let (x, weights, channels) = (self.slot(0), self.constant(0), self.constant(1));
                let memory = [x, weights, channels, self.optional(1), out, out_dtype];
                let k = Argument::U32(self.extent(self.local.inputs).columns);
                let ([s0, s1, s2], [least, most]) = (shifts.map(small), bounds(clamp));
                let numbers = [rows, columns, Argument::U32(groups), k, s0, s1, s2, least, most];
                ("step_group_linear", [&memory[..], &numbers].concat())
            }
            Op::Product { blocks, shift, ref clamp } => {
                let a = self.extent(0);
                let own_rows = a.rows / self.local.run.batch.saturating_mul(blocks).max(1);
                let ([least, most], k) = (bounds(clamp), Argument::U32(a.columns));
                let memory = [self.slot(0), self.slot(1), out, out_dtype];
                let numbers =
                    [rows, columns, Argument::U32(own_rows), k, small(shift), least, most];
                ("step_product", [&memory[..], &numbers].concat())
            }
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of
        // steps_products.cu.
        Some(unsafe { self.by_rows(PRODUCTS, kernel, &arguments) })
    }

    /// The products of attention, whose kernels compute their own sums.
    fn attention(&self) -> Option<Result<(), CudaError>> {
        let (batch, sequence) =
            (Argument::U32(self.local.run.batch), Argument::U32(self.local.run.sequence));
        let (out, a, b, own) = (self.out(), self.slot(0), self.slot(1), Argument::Null);
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match *self.local.op {
            Op::AttentionWeights { heads, shift, causal, .. }
            | Op::RelativeAttentionWeights { heads, shift, causal, .. } => {
                let columns = Argument::U32(self.extent(0).columns);
                let (alpha, table) = (self.constant(0), self.constant(1));
                let memory = [a, b, alpha, table, self.optional(2), own, Argument::U32(0), out];
                let heads = Argument::U32(heads);
                let numbers =
                    [batch, sequence, heads, columns, small(shift), small(causal), self.error()];
                let arguments = [&memory[..], &numbers].concat();
                match self.local.op {
                    Op::RelativeAttentionWeights { .. } => {
                        let distances = self.extent(self.local.inputs + 2).columns;
                        let bias = [self.constant(2), Argument::U32(distances)];
                        ("step_relative_attention_weights", [&arguments[..], &bias].concat())
                    }
                    _ => ("step_attention_weights", arguments),
                }
            }
            Op::AttentionContext { heads, shifts, .. } => {
                let memory = [a, b, self.constant(0), own, Argument::U32(0), own, out];
                let [shift0, shift1] = shifts.map(small);
                let (heads, columns) = (Argument::U32(heads), self.columns());
                let numbers = [batch, sequence, heads, columns, shift0, shift1];
                ("step_attention_context", [&memory[..], &numbers].concat())
            }
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of
        // steps_attention.cu.
        Some(unsafe { self.by_rows(ATTENTION, kernel, &arguments) })
    }

    /// Rows of each item of the batch.
    pub(super) fn item_rows(&self, extent: &Extent) -> Argument<'static> {
        Argument::U32(extent.rows / self.local.run.batch.max(1))
    }
}
