//! The rules of differentiation, one for each kind of note.

use super::exponents::Role;
use super::{Attention, Carrier, Linear, Note, Operand, SCORE_BITS, Tape, shift_to};
use crate::error::LayersError;
use crate::numbers::{ACTIVATION, FULL, GRADIENT};
use poai_core::program::training::{BlockKind, Shift};
use poai_core::program::{Dtype, Form, Op, TrainingOp, ValueId};

/// The bits that a gradient keeps beyond the sums of weights that divide it.
const SUM_BITS: u8 = 7;

impl Tape {
    /// Differentiates from a value whose gradient is given, and returns when
    /// every parameter's gradient is known.
    pub(crate) fn backward(&mut self, from: ValueId, gradient: ValueId) -> Result<(), LayersError> {
        self.gradients.insert(from, gradient);
        let notes = core::mem::take(&mut self.notes);
        self.carriers_read = notes.iter().flat_map(Note::carriers).collect();
        for note in notes.iter().rev() {
            self.rule(note)?;
        }
        self.notes = notes;
        Ok(())
    }

    fn rule(&mut self, note: &Note) -> Result<(), LayersError> {
        match note {
            Note::Linear(products) => {
                // Gradients of the common operand are added in order.
                for product in products {
                    let Some(&g) = self.gradients.get(&product.y) else { continue };
                    if let Some(dx) = self.linear_rule(product, g)? {
                        self.accumulate(product.x.value, dx)?;
                    }
                }
                Ok(())
            }
            // Rounding passes gradients as they are.
            Note::Quantise { x, y } | Note::Same { x, y } => self.pass(*y, *x),
            Note::Relu { x, y } => {
                let Some(&g) = self.needed(*x, *y) else { return Ok(()) };
                // With gates of operands, the gradient passes where those that read
                // y saw more than 0.
                let gated = self.operand_gates && !self.carriers_read.contains(y);
                let operand = self.of_carrier.get(y).filter(|_| gated);
                let seen = operand.map_or(*y, |operand| operand.value);
                let table: Vec<i32> = (0..256).map(|i| i32::from(i > 128)).collect();
                let table = self.table("step", Dtype::I16, &table)?;
                let op = TrainingOp::Gate { table, index_shift: 0, shift: 0, clamp: FULL };
                let dx = self.train(op, &[g, seen])?;
                self.accumulate(*x, dx)
            }
            Note::Unfold { window, x, y } => {
                let Some(&g) = self.needed(*x, *y) else { return Ok(()) };
                let dx = self.train(TrainingOp::UnfoldGradient(*window), &[g])?;
                self.accumulate(*x, dx)
            }
            Note::MaxPool { window, x, y } => {
                let Some(&g) = self.needed(*x, *y) else { return Ok(()) };
                let dx = self.train(TrainingOp::MaxPoolGradient(*window), &[*x, g])?;
                self.accumulate(*x, dx)
            }
            Note::Reshape { x, y } => {
                let Some(&g) = self.needed(*x, *y) else { return Ok(()) };
                let Form { rows, columns, .. } = self.form(*x)?;
                let dx = self.step(Op::Reshape { rows, columns }, &[g])?;
                self.accumulate(*x, dx)
            }
            Note::AveragePool { window, x, y } => self.average_pool_rule(*window, [*x, *y]),
            Note::MeanPool { x, y } => self.mean_pool_rule(*x, *y),
            Note::Gate { activation, index_shift, x, y } => {
                self.gate_rule(*activation, *index_shift, [*x, *y])
            }
            Note::Dropout { table, mask, x, y } => self.dropout_rule(*table, [*mask, *x, *y]),
            Note::Normalise { centre, x, y } => self.normalise_rule(*centre, [*x, *y]),
            Note::Affine(affine) => self.affine_rule(affine),
            Note::Split { x, parts } => self.split_rule(*x, parts),
            Note::Add { a, b, y } => {
                self.pass(*y, *a)?;
                self.pass(*y, *b)
            }
            Note::Attention(attention) => self.attention_rule(attention),
            Note::Gather { table, ids, y } => {
                let Some(&g) = self.needed(*y, *y) else { return Ok(()) };
                let rows = self.form(self.parameter(*table).state)?.rows.units;
                let sums = self.train(TrainingOp::ScatterAdd { rows }, &[g, *ids])?;
                let to = self.parameter(*table).gradient_fraction;
                let op = TrainingOp::Rescale {
                    shift: Shift::fixed(GRADIENT - to),
                    stream: None,
                    multiplier: 1,
                    clamp: FULL,
                };
                let dw = self.train(op, &[sums])?;
                self.accumulate_weight(*table, dw)
            }
        }
    }

    /// The gradient of y, if x depends on a parameter.
    pub(super) fn needed(&self, x: ValueId, y: ValueId) -> Option<&ValueId> {
        self.gradients.get(&y).filter(|_| self.live.contains(&x))
    }

    fn pass(&mut self, y: ValueId, x: ValueId) -> Result<(), LayersError> {
        match self.needed(x, y).copied() {
            Some(g) => self.accumulate(x, g),
            None => Ok(()),
        }
    }

    /// Adds a gradient to a value's.
    pub(super) fn accumulate(&mut self, x: ValueId, dx: ValueId) -> Result<(), LayersError> {
        let sum = match self.gradients.get(&x).copied() {
            Some(other) => self.add(other, dx)?,
            None => dx,
        };
        self.gradients.insert(x, sum);
        Ok(())
    }

    /// Adds a gradient to a parameter's.
    pub(super) fn accumulate_weight(
        &mut self,
        parameter: super::ParameterId,
        dw: ValueId,
    ) -> Result<(), LayersError> {
        let sum = match self.weight_gradients.get(&parameter).copied() {
            Some(other) => self.add(other, dw)?,
            None => dw,
        };
        self.weight_gradients.insert(parameter, sum);
        Ok(())
    }

    /// Gradients of a product's parameters, and of its operand if that depends
    /// on a parameter.
    fn linear_rule(
        &mut self,
        product: &Linear,
        g: ValueId,
    ) -> Result<Option<ValueId>, LayersError> {
        let Linear { x, weight, bias, y } = *product;
        if !self.live.contains(&y) {
            return Ok(None);
        }
        let bias = bias.filter(|&bias| self.parameter(bias).trained);
        let g = self.quantise(Carrier { value: g, fraction: GRADIENT }, Role::Gradient)?;
        if self.parameter(weight).trained {
            let transposed = Operand { value: self.transpose(g.value)?, ..g };
            let inputs = Operand { value: self.transpose(x.value)?, ..x };
            let fraction = self.parameter(weight).gradient_fraction;
            let dw = self.product(transposed, inputs, None, fraction, FULL)?;
            self.accumulate_weight(weight, dw)?;
        }
        let dx = if self.live.contains(&x.value) {
            let w = self.weight(weight)?;
            let w = Operand { value: self.transpose(w.value)?, ..w };
            Some(self.product(g, w, None, GRADIENT, FULL)?)
        } else {
            None
        };
        if let Some(bias) = bias {
            let transposed = self.transpose(g.value)?;
            let sums = self.train(TrainingOp::RowSum, &[transposed])?;
            let to = self.parameter(bias).gradient_fraction;
            let (shift, exponents) = shift_to(&[g], to);
            let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: FULL };
            let inputs: Vec<ValueId> = [sums].into_iter().chain(exponents).collect();
            let db = self.train(op, &inputs)?;
            self.accumulate_weight(bias, db)?;
        }
        Ok(dx)
    }

    fn attention_rule(&mut self, attention: &Attention) -> Result<(), LayersError> {
        let Attention { operands: [q, k, v], sources, weights, heads, multiplier, y } = *attention;
        let Some(&g) = self.needed(y, y) else { return Ok(()) };
        let g = self.quantise(Carrier { value: g, fraction: GRADIENT }, Role::Gradient)?;
        // The gradient over the sums of weights, for the values.
        let op = TrainingOp::DivideBySums { shift: SUM_BITS, clamp: FULL };
        let carrier = self.gradients.get(&y).copied().unwrap_or(g.value);
        let divided = self.train(op, &[carrier, weights])?;
        let fraction = GRADIENT + i32::from(SUM_BITS);
        let divided = self.quantise(Carrier { value: divided, fraction }, Role::Gradient)?;
        // Gradients of weights, then of scores.
        let (shift, exponents) = shift_to(&[g, v], GRADIENT);
        let op = block(BlockKind::Scores, heads, shift, 0, 1);
        let inputs: Vec<ValueId> = [g.value, v.value].into_iter().chain(exponents).collect();
        let dp = self.train(op, &inputs)?;
        let ds = self.train(TrainingOp::SoftmaxGradient, &[weights, dp])?;
        let ds = self.quantise(Carrier { value: ds, fraction: GRADIENT }, Role::Gradient)?;
        let mut by = |kind, a: Operand, b: Operand, offset, multiplier, bits| {
            let (mut shift, exponents) = shift_to(&[a, b], GRADIENT);
            shift.base += bits;
            let inputs: Vec<ValueId> = [a.value, b.value].into_iter().chain(exponents).collect();
            self.train(block(kind, heads, shift, offset, multiplier), &inputs)
        };
        let dq = by(BlockKind::Mix, ds, k, 0, multiplier, SCORE_BITS)?;
        let dk = by(BlockKind::MixBack, ds, q, 0, multiplier, SCORE_BITS)?;
        // Weights are numbers themselves, with no fraction.
        let w = Operand { value: weights, fraction: 0, exponent: None };
        let dv = by(BlockKind::MixBack, w, divided, 64, 1, 0)?;
        for (source, gradient) in sources.into_iter().zip([dq, dk, dv]) {
            if self.live.contains(&source) {
                self.accumulate(source, gradient)?;
            }
        }
        Ok(())
    }

    /// The gradient of half the squared difference from targets, which have the
    /// outputs' fraction.
    pub(crate) fn mean_squares(
        &mut self,
        outputs: Carrier,
        targets: ValueId,
    ) -> Result<ValueId, LayersError> {
        let one = 1 << (GRADIENT - ACTIVATION);
        let op = Op::Add { multipliers: [one, -one], shift: 0, clamp: FULL };
        self.step(op, &[outputs.value, targets])
    }

    /// The steps that end a forward pass: the loss's gradient of logits.
    pub(crate) fn cross_entropy(
        &mut self,
        logits: Carrier,
        labels: ValueId,
    ) -> Result<ValueId, LayersError> {
        let table =
            self.table("exponentials 15", Dtype::I16, &crate::numbers::exponentials_15())?;
        // An index of the table is a thirty-second.
        let op = TrainingOp::CrossEntropy {
            table,
            multiplier: 1,
            shift: (ACTIVATION - 5) as u8,
            fraction: GRADIENT as u8,
        };
        self.train(op, &[logits.value, labels])
    }
}

impl Note {
    /// The carriers that it reads as such, and not as operands.
    fn carriers(&self) -> Vec<ValueId> {
        match self {
            Note::Linear(_) | Note::Quantise { .. } | Note::Attention(_) | Note::Gather { .. } => {
                vec![]
            }
            Note::Unfold { .. } | Note::MaxPool { .. } | Note::Reshape { .. } => vec![],
            Note::Affine(affine) => vec![affine.x],
            Note::Add { a, b, .. } => vec![*a, *b],
            Note::Relu { x, .. }
            | Note::Gate { x, .. }
            | Note::Dropout { x, .. }
            | Note::AveragePool { x, .. }
            | Note::MeanPool { x, .. }
            | Note::Normalise { x, .. }
            | Note::Split { x, .. }
            | Note::Same { x, .. } => vec![*x],
        }
    }
}

fn block(kind: BlockKind, heads: u32, shift: Shift, offset: i32, multiplier: i32) -> TrainingOp {
    TrainingOp::Block { kind, heads, shift, offset, multiplier, clamp: FULL }
}
