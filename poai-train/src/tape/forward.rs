//! Forward calls.

use super::{Attention, Carrier, Linear, Note, Operand, ParameterId, Tape, shift_to};
use crate::error::LayersError;
use crate::numbers::{
    ACTIVATION, FULL, NARROW, NORMALISED, OPERAND, RESIDUAL, WEIGHT, exponentials_7,
};
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Clamp, Dim, Dtype, Op, TrainingOp, ValueId, Window};

/// The bits by which scores are multiplied before their shift.
const SCORE_BITS: i32 = 12;
/// The shift of attention's means before they become activations.
const MEAN_BITS: u8 = 8;

impl Tape {
    /// Marks a value as one that depends on a parameter if another does.
    fn follow(&mut self, x: ValueId, y: ValueId) {
        if self.live.contains(&x) {
            self.live.insert(y);
        }
    }

    /// The operand of a carrier, made once.
    pub(crate) fn operand(&mut self, x: Carrier) -> Result<Operand, LayersError> {
        if let Some(operand) = self.of_carrier.get(&x.value) {
            return Ok(*operand);
        }
        let operand = self.quantise(x, false)?;
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
            self.live.insert(y);
        }
        let all = notes.iter().map(|note| Carrier { value: note.y, fraction }).collect();
        self.notes.push(Note::Linear(notes));
        Ok(all)
    }

    pub(crate) fn relu(&mut self, x: Carrier) -> Result<Carrier, LayersError> {
        let y = self.step(Op::Relu, &[x.value])?;
        self.notes.push(Note::Relu { x: x.value, y });
        self.follow(x.value, y);
        Ok(Carrier { value: y, ..x })
    }

    pub(crate) fn unfold(&mut self, x: Operand, window: Window) -> Result<Operand, LayersError> {
        let y = self.step(Op::Unfold(window), &[x.value])?;
        self.notes.push(Note::Unfold { window, x: x.value, y });
        self.follow(x.value, y);
        Ok(Operand { value: y, ..x })
    }

    pub(crate) fn max_pool(&mut self, x: Operand, window: Window) -> Result<Operand, LayersError> {
        let y = self.step(Op::MaxPool(window), &[x.value])?;
        self.notes.push(Note::MaxPool { window, x: x.value, y });
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
            self.live.insert(*row);
        }
        let [a, b] = rows;
        // Exact: 14 bits.
        let shift = (WEIGHT - RESIDUAL) as u8;
        let y = self.step(Op::Add { multipliers: [1, 1], shift, clamp: NARROW }, &[a, b])?;
        self.notes.push(Note::Add { a, b, y });
        self.live.insert(y);
        Ok(Carrier { value: y, fraction: RESIDUAL })
    }

    /// The sum of two residual streams.
    pub(crate) fn residual(&mut self, a: Carrier, b: Carrier) -> Result<Carrier, LayersError> {
        let op = Op::Add { multipliers: [1, 1], shift: 0, clamp: NARROW };
        let y = self.step(op, &[a.value, b.value])?;
        self.notes.push(Note::Add { a: a.value, b: b.value, y });
        self.follow(a.value, y);
        self.follow(b.value, y);
        Ok(Carrier { value: y, fraction: RESIDUAL })
    }

    /// A residual stream, normalised, as an operand.
    pub(crate) fn normalise(&mut self, x: Carrier, centre: bool) -> Result<Operand, LayersError> {
        let columns = self.form(x.value)?.columns.units;
        // z has 2^14 for 1; the shift takes it to the operand's fraction.
        let ones: Vec<i32> = (0..columns).flat_map(|_| [1, 0]).collect();
        let affine = self.constant_of(columns, &ones)?;
        let shift = (14 - NORMALISED) as u8;
        let z = self.step(Op::Normalise { affine, centre, shift }, &[x.value])?;
        let op = TrainingOp::Rescale {
            shift: Shift::fixed(0),
            stream: None,
            multiplier: 1,
            clamp: OPERAND,
        };
        let y = self.train(op, &[z])?;
        self.notes.push(Note::Normalise { centre, x: x.value, y });
        self.follow(x.value, y);
        Ok(Operand { value: y, fraction: NORMALISED, exponent: None })
    }

    /// The constant (1, 0) for each column, added once a number of columns.
    fn constant_of(
        &mut self,
        columns: u32,
        entries: &[i32],
    ) -> Result<poai_core::program::ConstantId, LayersError> {
        if let Some(id) = self.affine.get(&columns) {
            return Ok(*id);
        }
        let size = (columns as usize, 2);
        let name = format!("affine {columns}");
        let id = self.constants.add(&mut self.builder, &name, size, Dtype::I32, entries)?;
        self.affine.insert(columns, id);
        Ok(id)
    }

    /// Attention, as activations.
    pub(crate) fn attention(
        &mut self,
        [q, k, v]: [Carrier; 3],
        heads: u32,
        causal: bool,
    ) -> Result<Carrier, LayersError> {
        let operands = [self.operand(q)?, self.operand(k)?, self.operand(v)?];
        let width = self.form(q.value)?.columns.units / heads.max(1);
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
        let carriers = [q.value, k.value, v.value];
        self.notes.push(Note::Attention(Attention {
            operands,
            carriers,
            weights,
            heads,
            multiplier,
            y,
        }));
        self.live.insert(y);
        Ok(Carrier { value: y, fraction: ACTIVATION })
    }
}
