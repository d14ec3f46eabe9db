//! Forward calls.

use super::exponents::Role;
use super::{Attention, Carrier, Linear, Note, Operand, ParameterId, SCORE_BITS, Tape, shift_to};
use crate::error::LayersError;
use crate::numbers::{ACTIVATION, FULL, NARROW, RESIDUAL, WEIGHT, exponentials_7};
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Clamp, Dim, Dtype, Op, TrainingOp, ValueId, Window};

/// The shift of attention's means before they become activations.
const MEAN_BITS: u8 = 8;

impl Tape {
    /// Marks a value as one that depends on a parameter if another does.
    pub(super) fn follow(&mut self, x: ValueId, y: ValueId) {
        if self.live.contains(&x) {
            self.live.insert(y);
        }
    }

    /// The operand of a carrier, made once.
    pub(crate) fn operand(&mut self, x: Carrier) -> Result<Operand, LayersError> {
        if let Some(operand) = self.of_carrier.get(&x.value) {
            return Ok(*operand);
        }
        let operand = self.quantise(x, Role::Activation)?;
        self.of_carrier.insert(x.value, operand);
        self.notes.push(Note::Quantise { x: x.value, y: operand.value });
        self.follow(x.value, operand.value);
        Ok(operand)
    }

    /// A product with each of some parameters, as activations.
    pub(crate) fn linear(
        &mut self,
        x: Operand,
        parameters: &[(ParameterId, Option<ParameterId>)],
    ) -> Result<Vec<Carrier>, LayersError> {
        self.products(x, parameters, ACTIVATION, FULL)
    }

    /// A product with a parameter, as a residual stream.
    pub(crate) fn linear_residual(
        &mut self,
        x: Operand,
        weight: ParameterId,
        bias: Option<ParameterId>,
    ) -> Result<Carrier, LayersError> {
        let all = self.products(x, &[(weight, bias)], RESIDUAL, NARROW)?;
        all.first().copied().ok_or(LayersError::Internal("a product"))
    }

    /// Products with some parameters, each as an operand. Only the fused profile
    /// has them.
    pub(crate) fn linear_operands(
        &mut self,
        x: Operand,
        parameters: &[(ParameterId, Option<ParameterId>)],
    ) -> Result<Vec<Operand>, LayersError> {
        let (mut notes, mut all) = (vec![], vec![]);
        for &(weight, bias) in parameters {
            let y = self.product_operand(x, weight, bias)?;
            notes.push(Linear { x, weight, bias, y: y.value });
            self.follow_product(x, weight, bias, y.value);
            all.push(y);
        }
        self.notes.push(Note::Linear(notes));
        Ok(all)
    }

    fn follow_product(
        &mut self,
        x: Operand,
        weight: ParameterId,
        bias: Option<ParameterId>,
        y: ValueId,
    ) {
        let trained = |id: ParameterId| self.parameter(id).trained;
        if trained(weight) || bias.is_some_and(trained) || self.live.contains(&x.value) {
            self.live.insert(y);
        }
    }

    fn products(
        &mut self,
        x: Operand,
        parameters: &[(ParameterId, Option<ParameterId>)],
        fraction: i32,
        clamp: Clamp,
    ) -> Result<Vec<Carrier>, LayersError> {
        let mut notes = vec![];
        for &(weight, bias) in parameters {
            let w = self.weight(weight)?;
            let state = bias.map(|bias| self.parameter(bias).state);
            let y = self.product(x, w, state, fraction, clamp)?;
            notes.push(Linear { x, weight, bias, y });
            self.follow_product(x, weight, bias, y);
        }
        let all = notes.iter().map(|note| Carrier { value: note.y, fraction }).collect();
        self.notes.push(Note::Linear(notes));
        Ok(all)
    }

    pub(crate) fn relu(&mut self, x: Carrier) -> Result<Carrier, LayersError> {
        Ok(Carrier { value: self.relu_of(x.value)?, ..x })
    }

    pub(crate) fn relu_operand(&mut self, x: Operand) -> Result<Operand, LayersError> {
        Ok(Operand { value: self.relu_of(x.value)?, ..x })
    }

    fn relu_of(&mut self, x: ValueId) -> Result<ValueId, LayersError> {
        let y = self.step(Op::Relu, &[x])?;
        self.notes.push(Note::Relu { x, y });
        self.follow(x, y);
        Ok(y)
    }

    pub(crate) fn unfold(&mut self, x: Operand, window: Window) -> Result<Operand, LayersError> {
        let y = self.step(Op::Unfold(window), &[x.value])?;
        self.notes.push(Note::Unfold { window, x: x.value, y });
        self.follow(x.value, y);
        Ok(Operand { value: y, ..x })
    }

    /// All entries of an item in one row.
    pub(crate) fn flatten(&mut self, x: Operand) -> Result<Operand, LayersError> {
        let form = self.form(x.value)?;
        let columns = form.rows.units.checked_mul(form.columns.units);
        let columns = columns.map(Dim::fixed).ok_or(LayersError::Internal("a flat row"))?;
        let y = self.step(Op::Reshape { rows: Dim::fixed(1), columns }, &[x.value])?;
        self.notes.push(Note::Reshape { x: x.value, y });
        self.follow(x.value, y);
        Ok(Operand { value: y, ..x })
    }

    /// The rows of a parameter that ids name, as a residual stream with the
    /// rows of another.
    pub(crate) fn embed(
        &mut self,
        tables: [(ParameterId, ValueId); 2],
    ) -> Result<Carrier, LayersError> {
        let mut rows = [ValueId(0); 2];
        for (row, (table, ids)) in rows.iter_mut().zip(tables) {
            let state = self.parameter(table).state;
            *row = self.train(TrainingOp::Gather { table: None }, &[state, ids])?;
            self.notes.push(Note::Gather { table, ids, y: *row });
            if self.parameter(table).trained {
                self.live.insert(*row);
            }
        }
        let [a, b] = rows;
        // Exact: 14 bits.
        let shift = (WEIGHT - RESIDUAL) as u8;
        let y = self.step(Op::Add { multipliers: [1, 1], shift, clamp: NARROW }, &[a, b])?;
        self.notes.push(Note::Add { a, b, y });
        self.follow(a, y);
        self.follow(b, y);
        Ok(Carrier { value: y, fraction: RESIDUAL })
    }

    /// The sum of two carriers. One of a residual stream is one.
    pub(crate) fn residual(&mut self, a: Carrier, b: Carrier) -> Result<Carrier, LayersError> {
        let stream = a.fraction == RESIDUAL;
        let (b, clamp) = if stream { (self.narrow(b)?, NARROW) } else { (b, FULL) };
        let op = Op::Add { multipliers: [1, 1], shift: 0, clamp };
        let y = self.step(op, &[a.value, b.value])?;
        self.notes.push(Note::Add { a: a.value, b: b.value, y });
        self.follow(a.value, y);
        self.follow(b.value, y);
        Ok(Carrier { value: y, ..a })
    }

    /// Attention of queries, keys and values, as activations.
    pub(crate) fn attention(
        &mut self,
        [q, k, v]: [Carrier; 3],
        heads: u32,
        causal: bool,
    ) -> Result<Carrier, LayersError> {
        let operands = [self.operand(q)?, self.operand(k)?, self.operand(v)?];
        self.attention_of(operands, [q.value, k.value, v.value], heads, causal)
    }

    /// As [`Tape::attention`], of operands that products gave.
    pub(crate) fn attention_operands(
        &mut self,
        operands: [Operand; 3],
        heads: u32,
        causal: bool,
    ) -> Result<Carrier, LayersError> {
        self.attention_of(operands, operands.map(|operand| operand.value), heads, causal)
    }

    fn attention_of(
        &mut self,
        operands: [Operand; 3],
        sources: [ValueId; 3],
        heads: u32,
        causal: bool,
    ) -> Result<Carrier, LayersError> {
        let width = self.form(operands[0].value)?.columns.units / heads.max(1);
        let multiplier = (f64::from(1 << SCORE_BITS) / f64::from(width.max(1)).sqrt()).round();
        // Exact: at most 2^12.
        let multiplier = multiplier as i32;
        let (mut shift, exponents) = shift_to(&operands[..2], ACTIVATION);
        shift.base += SCORE_BITS;
        let block = |kind, offset, multiplier, shift, clamp| TrainingOp::Block {
            kind,
            heads,
            shift,
            offset,
            multiplier,
            clamp,
        };
        let inputs: Vec<ValueId> =
            [operands[0].value, operands[1].value].into_iter().chain(exponents).collect();
        let scores = self.train(block(BlockKind::Scores, 0, multiplier, shift, FULL), &inputs)?;
        let table = self.table("exponentials 7", Dtype::I16, &exponentials_7())?;
        // An index of the table is a sixteenth.
        let shift = (ACTIVATION - 4) as u8;
        let op = TrainingOp::Exponentials { table, causal, multiplier: 1, shift };
        let weights = self.train(op, &[scores])?;
        let op = block(BlockKind::Mix, 64, 1, Shift::fixed(0), FULL);
        let sums = self.train(op, &[weights, operands[2].value])?;
        let op = TrainingOp::DivideBySums { shift: MEAN_BITS, clamp: FULL };
        let means = self.train(op, &[sums, weights])?;
        let value = operands[2];
        let shift = Shift::new(
            value.fraction + i32::from(MEAN_BITS) - ACTIVATION,
            &value.exponent.map(|_| Sign::Minus).into_iter().collect::<Vec<_>>(),
        );
        let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: FULL };
        let inputs: Vec<ValueId> = [means].into_iter().chain(value.exponent).collect();
        let y = self.train(op, &inputs)?;
        self.notes.push(Note::Attention(Attention {
            operands,
            sources,
            weights,
            heads,
            multiplier,
            y,
        }));
        sources.iter().for_each(|&source| self.follow(source, y));
        Ok(Carrier { value: y, fraction: ACTIVATION })
    }
}
