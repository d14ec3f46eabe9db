//! The kernels of the steps of training (`kernels/steps_training.cu`,
//! `steps_random.cu`, `steps_gradients.cu`, `steps_blocks.cu`). Module `product`
//! has the scaled product.

use super::ready::{Ready, bounds, signed, small, window};
use crate::error::CudaError;
use crate::gpu::Argument;
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Clamp, Op, TrainingOp, Window};

pub(super) const TRAINING: &str = "steps_training";
const RANDOM: &str = "steps_random";
const GRADIENTS: &str = "steps_gradients";
const BLOCKS: &str = "steps_blocks";

/// Whether there are kernels for a step of training, here or in `product`.
pub(super) fn has_kernels(op: &TrainingOp) -> bool {
    matches!(
        op,
        TrainingOp::ScaledProduct { .. }
            | TrainingOp::TransposeTiles
            | TrainingOp::Exponent { .. }
            | TrainingOp::Rescale { .. }
            | TrainingOp::RowSum
            | TrainingOp::Gate { .. }
            | TrainingOp::CrossEntropy { .. }
            | TrainingOp::NormaliseGradient { .. }
            | TrainingOp::Gather { .. }
            | TrainingOp::ScatterAdd { .. }
            | TrainingOp::UnfoldGradient(_)
            | TrainingOp::MaxPoolGradient(_)
            | TrainingOp::Block { .. }
            | TrainingOp::Exponentials { .. }
            | TrainingOp::DivideBySums { .. }
            | TrainingOp::SoftmaxGradient
            | TrainingOp::Descend { .. }
            | TrainingOp::SecondMoment { .. }
            | TrainingOp::Ratio { .. }
            | TrainingOp::MeanPoolGradient { .. }
            | TrainingOp::Draw { .. }
            | TrainingOp::NextExponent
    )
}

/// The slots of a gather's table and of its ids.
pub(super) fn gather_slots(inputs: usize) -> (usize, usize) {
    // A constant follows the inputs.
    if inputs == 1 { (1, 0) } else { (0, 1) }
}

impl Ready<'_> {
    /// Queues a step of training other than a scaled product. Returns `None` if
    /// this crate has no kernel for it.
    pub(super) fn training(&self) -> Option<Result<(), CudaError>> {
        let Op::Training(op) = self.local.op else { return None };
        self.operands(op).or_else(|| self.gradients(op)).or_else(|| self.blocks(op))
    }

    /// A shift's exponents from `slot` on, with what says how each is taken, and
    /// its base. Exponents of rows begin at the row `first`.
    pub(super) fn shift<'a>(&'a self, shift: &Shift, slot: usize, first: u32) -> [Argument<'a>; 6] {
        let mut modes = 0;
        let mut exponents = [Argument::Null; 4];
        // The program's check guarantees at most four.
        for (index, (sign, exponent)) in shift.signs.iter().zip(&mut exponents).enumerate() {
            let of_rows = self.extent(slot + index).rows > 1;
            let offset = if of_rows { 4 * u64::from(first) } else { 0 };
            let plus = matches!(sign, Sign::Plus);
            modes |= (u32::from(of_rows) | u32::from(plus) << 1) << (2 * index);
            if let Some(memory) = self.slots.get(slot + index) {
                *exponent = Argument::At(memory, offset);
            }
        }
        let [e0, e1, e2, e3] = exponents;
        [e0, e1, e2, e3, Argument::U32(modes), signed(shift.base)]
    }

    /// Steps on operands and states, and rows that ids name.
    fn operands(&self, op: &TrainingOp) -> Option<Result<(), CudaError>> {
        let (out, out_dtype, rows, columns) =
            (self.out(), self.out_dtype(), self.rows(), self.columns());
        let (x, dtype) = (self.slot(0), self.dtype(0));
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match *op {
            // All items together are one.
            TrainingOp::TransposeTiles => return Some(self.transpose(self.local.output.rows)),
            TrainingOp::Exponent { per_row: false } => {
                return Some(self.exponent(0, Argument::Null));
            }
            TrainingOp::NextExponent => return Some(self.exponent(1, self.slot(0))),
            TrainingOp::Exponent { per_row: true } => {
                let arguments = [x, out, rows];
                // SAFETY: step_row_exponents' arguments, in order.
                return Some(unsafe {
                    self.by_entries(TRAINING, "step_row_exponents", &arguments)
                });
            }
            TrainingOp::Draw { samples } => {
                let arguments = [x, self.slot(1), out, rows, Argument::U32(samples), self.error()];
                // SAFETY: step_draw's arguments, in order.
                return Some(unsafe { self.by_entries(RANDOM, "step_draw", &arguments) });
            }
            TrainingOp::Rescale { ref shift, stream, multiplier, ref clamp } => {
                return Some(self.rescale(shift, stream, multiplier, clamp));
            }
            TrainingOp::RowSum => {
                let columns = Argument::U32(self.extent(0).columns);
                ("step_row_sum", vec![x, dtype, out, rows, columns])
            }
            TrainingOp::Gather { .. } => {
                let (table, ids) = gather_slots(self.local.inputs);
                let memory = [self.slot(ids), self.slot(table), out, out_dtype];
                let table_rows = Argument::U32(self.extent(table).rows);
                let numbers = [rows, columns, table_rows, self.error()];
                ("step_gather", [&memory[..], &numbers].concat())
            }
            TrainingOp::ScatterAdd { .. } => {
                let count = Argument::U32(self.extent(0).rows);
                let memory = [x, dtype, self.slot(1), out];
                let numbers = [rows, columns, count, self.error()];
                ("step_scatter_add", [&memory[..], &numbers].concat())
            }
            TrainingOp::Descend { shift, decay, ref clamp } => {
                let [least, most] = bounds(clamp);
                let inputs = [x, dtype, self.slot(1), self.dtype(1), self.slot(2)];
                let numbers = [rows, columns, signed(shift), small(decay), least, most];
                ("step_descend", [&inputs[..], &[out, out_dtype], &numbers].concat())
            }
            TrainingOp::SecondMoment { shift } => {
                ("step_second_moment", vec![x, self.slot(1), out, rows, columns, small(shift)])
            }
            TrainingOp::Ratio { ref clamp } => {
                let memory = [x, self.slot(1), out, out_dtype];
                ("step_ratio", [&memory[..], &[rows, columns], &bounds(clamp)].concat())
            }
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of
        // steps_training.cu.
        Some(unsafe { self.by_rows(TRAINING, kernel, &arguments) })
    }

    /// One exponent, of the row scales in a slot.
    fn exponent(&self, slot: usize, before: Argument<'_>) -> Result<(), CudaError> {
        let rows = Argument::U32(self.extent(slot).rows);
        let arguments = [self.slot(slot), rows, before, self.out()];
        // SAFETY: step_exponent's arguments, in order; one block.
        unsafe { self.launch(TRAINING, "step_exponent", [1, 1, 1], &arguments) }
    }

    fn rescale(
        &self,
        shift: &Shift,
        stream: Option<u32>,
        multiplier: i32,
        clamp: &Clamp,
    ) -> Result<(), CudaError> {
        let first = [self.slot(0), self.dtype(0)];
        let exponents = self.shift(shift, 1, 0);
        let output = [self.out(), self.out_dtype(), self.rows(), self.columns()];
        let [least, most] = bounds(clamp);
        let numbers = [signed(multiplier), least, most];
        let Some(stream) = stream else {
            let arguments = [&first[..], &exponents, &output, &numbers].concat();
            // SAFETY: step_rescale's arguments, in order.
            return unsafe { self.by_rows(TRAINING, "step_rescale", &arguments) };
        };
        let seed = 1 + shift.signs.len();
        let random = [self.slot(seed), self.slot(seed + 1), Argument::U32(stream)];
        let arguments =
            [&first[..], &exponents, &random, &output, &numbers, &[self.error()]].concat();
        // SAFETY: step_rescale_random's arguments, in order.
        unsafe { self.by_rows(RANDOM, "step_rescale_random", &arguments) }
    }

    /// Gradients of steps that are no products, and attention's weights.
    fn gradients(&self, op: &TrainingOp) -> Option<Result<(), CudaError>> {
        let (out, out_dtype, rows, columns) =
            (self.out(), self.out_dtype(), self.rows(), self.columns());
        let (x, dtype) = (self.slot(0), self.dtype(0));
        let (second, second_dtype) = (self.slot(1), self.dtype(1));
        let (kernel, arguments): (_, Vec<Argument<'_>>) = match *op {
            TrainingOp::Gate { index_shift, shift, ref clamp, .. } => {
                let [least, most] = bounds(clamp);
                let table = [self.constant(0), self.dtype(self.local.inputs)];
                let inputs = [x, dtype, second, second_dtype];
                let numbers = [rows, columns, small(index_shift), small(shift), least, most];
                ("step_gate", [&inputs[..], &table, &[out, out_dtype], &numbers].concat())
            }
            TrainingOp::CrossEntropy { multiplier, shift, fraction, .. } => {
                let memory = [x, dtype, second, self.constant(0), out];
                let numbers = [rows, columns, signed(multiplier), small(shift), small(fraction)];
                ("step_cross_entropy", [&memory[..], &numbers].concat())
            }
            TrainingOp::NormaliseGradient { centre, shift, ref clamp } => {
                let [least, most] = bounds(clamp);
                let memory = [x, second, out, out_dtype];
                let numbers = [rows, columns, small(centre), small(shift), least, most];
                ("step_normalise_gradient", [&memory[..], &numbers].concat())
            }
            TrainingOp::MeanPoolGradient { .. } => {
                let item_rows = self.item_rows(&self.local.output);
                let memory = [x, dtype, self.optional(1), out];
                let numbers = [rows, columns, item_rows, self.error()];
                ("step_mean_pool_gradient", [&memory[..], &numbers].concat())
            }
            TrainingOp::UnfoldGradient(ref moved) => {
                return Some(self.by_window("step_unfold_gradient", &[x, dtype], moved));
            }
            TrainingOp::MaxPoolGradient(ref moved) => {
                let inputs = [x, dtype, second, second_dtype];
                return Some(self.by_window("step_max_pool_gradient", &inputs, moved));
            }
            TrainingOp::Exponentials { causal, multiplier, shift, .. } => {
                let memory = [x, dtype, self.constant(0), out];
                let numbers = [rows, columns, small(causal), signed(multiplier), small(shift)];
                ("step_exponentials", [&memory[..], &numbers].concat())
            }
            TrainingOp::DivideBySums { shift, ref clamp } => {
                let [least, most] = bounds(clamp);
                let (values, weights) = (self.extent(0), self.extent(1));
                let heads = Argument::U32(weights.rows / values.rows.max(1));
                let item_rows = self.item_rows(&values);
                let memory = [x, dtype, second, out, out_dtype];
                let numbers = [rows, columns, item_rows, heads, small(shift), least, most];
                ("step_divide_by_sums", [&memory[..], &numbers].concat())
            }
            TrainingOp::SoftmaxGradient => {
                ("step_softmax_gradient", vec![x, second, second_dtype, out, rows, columns])
            }
            _ => return None,
        };
        // SAFETY: each kernel's own arguments, in the order of
        // steps_gradients.cu.
        Some(unsafe { self.by_rows(GRADIENTS, kernel, &arguments) })
    }

    /// A gradient of a step that looks through windows.
    fn by_window(
        &self,
        kernel: &'static str,
        inputs: &[Argument<'_>],
        moved: &Window,
    ) -> Result<(), CudaError> {
        let output = [self.out(), self.rows(), self.columns()];
        let arguments = [inputs, &output, &window(moved)?].concat();
        // SAFETY: the kernel's arguments, in the order of steps_gradients.cu.
        unsafe { self.by_rows(GRADIENTS, kernel, &arguments) }
    }

    /// Products of blocks, whose kernels compute their own sums.
    fn blocks(&self, op: &TrainingOp) -> Option<Result<(), CudaError>> {
        let TrainingOp::Block { kind, heads, ref shift, offset, multiplier, ref clamp } = *op
        else {
            return None;
        };
        let values = self.extent(1);
        let [least, most] = bounds(clamp);
        let memory = [self.slot(0), self.slot(1)];
        let output = [self.out(), self.out_dtype(), self.rows(), self.columns()];
        let heads = Argument::U32(heads);
        let (kernel, shape) = match kind {
            BlockKind::Scores => ("step_block_scores", vec![heads, Argument::U32(values.columns)]),
            BlockKind::Mix | BlockKind::MixBack => {
                let back = small(matches!(kind, BlockKind::MixBack));
                ("step_block_mix", vec![self.item_rows(&values), heads, back])
            }
        };
        let numbers = [signed(offset), signed(multiplier), least, most];
        let exponents = self.shift(shift, 2, 0);
        let arguments = [&memory[..], &exponents, &output, &shape, &numbers].concat();
        // SAFETY: the kernel's arguments, in the order of steps_blocks.cu.
        Some(unsafe { self.by_rows(BLOCKS, kernel, &arguments) })
    }
}
