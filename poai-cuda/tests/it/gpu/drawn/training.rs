//! Drawn steps of training: each kind follows what makes its inputs from one
//! value.

use super::Chain;
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Clamp, Dtype, Op, TrainingOp, ValueId};

/// The number of recipes of [`Chain::training`].
pub const RECIPES: u64 = 13;

/// What a program without tokens and training lacks.
#[derive(Clone, Copy, Default)]
pub struct Given {
    /// The lengths of items.
    pub lengths: Option<ValueId>,
    /// The seed and the iteration.
    pub random: Option<[ValueId; 2]>,
}

impl Chain<'_> {
    fn train(&mut self, op: TrainingOp, inputs: &[ValueId]) -> Option<ValueId> {
        self.step(Op::Training(op), inputs)
    }

    /// A value as an operand.
    fn operand(&mut self, x: ValueId) -> Option<ValueId> {
        if self.builder.form(x)?.dtype == Dtype::I8 {
            return Some(x);
        }
        let m = self.step(Op::RowScale, &[x])?;
        self.step(Op::Quantise, &[x, m])
    }

    /// A value in a type.
    fn typed(&mut self, x: ValueId, dtype: Dtype) -> Option<ValueId> {
        let multiplier = self.draw.within((-9, 99));
        let op = Op::Requantise { multiplier, shift: 1, clamp: Clamp::full(dtype) };
        self.step(op, &[x])
    }

    /// Row numbers of a value of `rows` rows, one for each row of x.
    fn ids(&mut self, x: ValueId, rows: u32) -> Option<ValueId> {
        let m = self.step(Op::RowScale, &[x])?;
        let clamp = Clamp { dtype: Dtype::I32, min: 0, max: i32::try_from(rows).ok()? - 1 };
        self.step(Op::Requantise { multiplier: 1, shift: 2, clamp }, &[m])
    }

    /// The exponent of a whole value, or the exponents of its rows.
    fn exponent(&mut self, x: ValueId) -> Option<ValueId> {
        let m = self.step(Op::RowScale, &[x])?;
        let per_row = self.draw.below(2) == 0;
        self.train(TrainingOp::Exponent { per_row }, &[m])
    }

    fn base(&mut self) -> i32 {
        let most = self.draw.of(&[4, 12, 62]);
        self.draw.within((-most, most))
    }

    /// The product of a value's transpose with itself: a shared operand, whose
    /// rows have the value's columns.
    fn shared(&mut self, x: ValueId) -> Option<ValueId> {
        let operand = self.operand(x)?;
        let turned = self.train(TrainingOp::TransposeTiles, &[operand])?;
        let base = self.draw.within((0, 14));
        let op = TrainingOp::ScaledProduct {
            shift: Shift::fixed(base),
            bias: false,
            bias_shift: 0,
            clamp: Clamp::full(Dtype::I8),
        };
        self.train(op, &[turned, turned])
    }

    /// The weights of a value's rows for each other, and the operand.
    fn weights(&mut self, x: ValueId) -> Option<[ValueId; 3]> {
        let heads = self.draw.of(&[1, 1, 2, 3]);
        let operand = self.operand(x)?;
        let clamp = self.clamp();
        let m = self.step(Op::RowScale, &[x])?;
        let exponent = self.train(TrainingOp::Exponent { per_row: false }, &[m])?;
        let shift = Shift::new(self.base(), &[Sign::Plus]);
        let (offset, multiplier) = (self.draw.within((0, 64)), self.draw.within((-9, 9)));
        let kind = BlockKind::Scores;
        let op = TrainingOp::Block { kind, heads, shift, offset, multiplier, clamp };
        let scores = self.train(op, &[operand, operand, exponent])?;
        let (table, shift) = (self.exponentials(), self.shift());
        let (causal, multiplier) = (self.draw.below(2) == 0, self.draw.within((0, 1 << 20)));
        let op = TrainingOp::Exponentials { table, causal, multiplier, shift };
        let weights = self.train(op, &[scores])?;
        Some([operand, scores, weights])
    }

    /// Adds one of the steps of training, and what it needs.
    pub fn training(&mut self, recipe: u64, x: ValueId, given: Given) -> Option<ValueId> {
        let (rows, columns) = (self.builder.form(x)?.rows, self.builder.form(x)?.columns);
        let (shift, clamp, base) = (self.shift(), self.clamp(), self.base());
        let multiplier = self.draw.within((i32::MIN, i32::MAX));
        match recipe {
            0 => {
                let exponent = self.exponent(x)?;
                let shift = Shift::new(base, &[self.draw.of(&[Sign::Minus, Sign::Plus])]);
                let op = TrainingOp::Rescale { shift, stream: None, multiplier, clamp };
                self.train(op, &[x, exponent])
            }
            1 => {
                let m = self.step(Op::RowScale, &[x])?;
                let exponent = self.train(TrainingOp::Exponent { per_row: false }, &[m])?;
                let next = self.train(TrainingOp::NextExponent, &[exponent, m])?;
                let [seed, t] = given.random?;
                let shift = Shift::new(base, &[Sign::Plus]);
                // Streams of a program are distinct.
                let stream = Some(self.steps as u32);
                let op = TrainingOp::Rescale { shift, stream, multiplier, clamp };
                self.train(op, &[x, next, seed, t])
            }
            2 => {
                let sums = self.train(TrainingOp::RowSum, &[x])?;
                let shared = self.shared(x)?;
                let operand = self.operand(x)?;
                let shift = Shift::new(base, &[Sign::Minus]);
                let bias = self.draw.below(2) == 0;
                let bias_shift = if bias { 3 } else { 0 };
                let op = TrainingOp::ScaledProduct { shift, bias, bias_shift, clamp };
                let mut inputs = vec![operand, shared];
                if bias {
                    inputs.push(self.train(TrainingOp::RowSum, &[shared])?);
                }
                inputs.push(sums);
                self.train(op, &inputs)
            }
            3 => {
                let relu = self.step(Op::Relu, &[x])?;
                let dtype = self.draw.of(&[Dtype::I8, Dtype::I16]);
                let (table, index_shift) = (self.constant(256, 1, dtype), self.shift());
                self.train(TrainingOp::Gate { table, index_shift, shift, clamp }, &[x, relu])
            }
            4 => {
                let labels = self.step(Op::RowScale, &[x])?;
                let (table, fraction) = (self.exponentials(), self.draw.below(31) as u8);
                let multiplier = multiplier.checked_abs()?;
                let op = TrainingOp::CrossEntropy { table, multiplier, shift, fraction };
                self.train(op, &[x, labels])
            }
            5 => {
                let (narrow, wide) = (self.typed(x, Dtype::I16)?, self.typed(x, Dtype::I32)?);
                let centre = multiplier % 2 == 0;
                self.train(TrainingOp::NormaliseGradient { centre, shift, clamp }, &[narrow, wide])
            }
            6 => {
                let height = 1 + self.draw.below(9) as u32;
                let ids = self.ids(x, height)?;
                let sums = self.train(TrainingOp::ScatterAdd { rows: height }, &[x, ids])?;
                self.train(TrainingOp::Gather { table: None }, &[sums, ids])
            }
            7 => {
                let window = self.window(rows.units);
                let operand = self.operand(x)?;
                let unfolded = self.step(Op::Unfold(window), &[operand])?;
                self.train(TrainingOp::UnfoldGradient(window), &[unfolded])
            }
            8 => {
                let window = self.window(rows.units);
                let pooled = self.step(Op::MaxPool(window), &[x])?;
                self.train(TrainingOp::MaxPoolGradient(window), &[x, pooled])
            }
            9 => {
                let [operand, _, weights] = self.weights(x)?;
                let heads = self.builder.form(weights)?.rows.units / rows.units;
                let kind = self.draw.of(&[BlockKind::Mix, BlockKind::MixBack]);
                let (by, offset) = (Shift::fixed(base), self.draw.within((0, 64)));
                let op = TrainingOp::Block { kind, heads, shift: by, offset, multiplier, clamp };
                let mixed = self.train(op, &[weights, operand])?;
                self.train(TrainingOp::DivideBySums { shift, clamp }, &[mixed, weights])
            }
            10 => {
                let [_, scores, weights] = self.weights(x)?;
                self.train(TrainingOp::SoftmaxGradient, &[weights, scores])
            }
            11 => {
                let (r, g) = (self.typed(x, Dtype::I32)?, self.typed(x, Dtype::I32)?);
                let root = TrainingOp::SecondMoment { shift: 1 + self.draw.below(30) as u8 };
                let r = self.train(root, &[r, g])?;
                let ratio = self.train(TrainingOp::Ratio { clamp }, &[g, r])?;
                let m = self.step(Op::RowScale, &[x])?;
                let rate = self.train(TrainingOp::Exponent { per_row: false }, &[m])?;
                let op = TrainingOp::Descend { shift: base, decay: shift, clamp };
                self.train(op, &[x, ratio, rate])
            }
            _ if self.draw.below(2) == 0 => {
                let [seed, t] = given.random?;
                let samples = 1 + self.draw.below(70) as u32;
                let places = self.train(TrainingOp::Draw { samples }, &[seed, t])?;
                let table = self.constant(samples, columns.units, Dtype::I8);
                let drawn = self.train(TrainingOp::Gather { table: Some(table) }, &[places])?;
                let op = TrainingOp::MeanPoolGradient { rows };
                let spread = self.train(op, &[drawn])?;
                let multipliers = [multiplier, 3];
                self.step(Op::Add { multipliers, shift, clamp }, &[x, spread])
            }
            _ => {
                let narrow = self.typed(x, Dtype::I16)?;
                let inputs = |x| [x].into_iter().chain(given.lengths).collect::<Vec<_>>();
                let mean = self.step(Op::MeanPool, &inputs(narrow))?;
                self.train(TrainingOp::MeanPoolGradient { rows }, &inputs(mean))
            }
        }
    }
}
