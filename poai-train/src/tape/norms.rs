//! Norms of rows, with and without γ and β.

use super::{Affine, Carrier, Note, Operand, ParameterId, Tape};
use crate::error::LayersError;
use crate::numbers::{ACTIVATION, FULL, GRADIENT, NORMALISED, OPERAND, WEIGHT};
use poai_core::program::training::Shift;
use poai_core::program::{Dtype, Op, TrainingOp, ValueId};

/// The fraction of z within the step.
const Z: i32 = 14;
/// The fraction of z where γ multiplies it: ±8 fits i16.
const BEFORE_GAMMA: i32 = 12;

impl Tape {
    /// A residual stream, normalised, as an operand.
    pub(crate) fn normalise(&mut self, x: Carrier, centre: bool) -> Result<Operand, LayersError> {
        let x = self.narrow(x)?;
        let z = self.normalised(x, centre, NORMALISED)?;
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

    /// A residual stream, normalised, times γ, plus β, as activations.
    pub(crate) fn normalise_affine(
        &mut self,
        x: Carrier,
        centre: bool,
        [gamma, beta]: [ParameterId; 2],
    ) -> Result<Carrier, LayersError> {
        let x = self.narrow(x)?;
        let z = self.normalised(x, centre, BEFORE_GAMMA)?;
        self.notes.push(Note::Normalise { centre, x: x.value, y: z });
        self.follow(x.value, z);
        let zeros = self.zeros(z)?;
        let row = |tape: &mut Tape, parameter| {
            let state = tape.parameter(parameter).state;
            tape.train(TrainingOp::Gather { table: None }, &[state, zeros])
        };
        let (gammas, betas) = (row(self, gamma)?, row(self, beta)?);
        // Exact: 20 bits, and 8.
        let shift = (BEFORE_GAMMA + WEIGHT - ACTIVATION) as u8;
        let scaled = self.step(Op::Mul { shift, clamp: FULL }, &[z, gammas])?;
        let shift = (WEIGHT - ACTIVATION) as u8;
        let op = Op::Add { multipliers: [1 << shift, 1], shift, clamp: FULL };
        let y = self.step(op, &[scaled, betas])?;
        let fraction = BEFORE_GAMMA;
        self.notes.push(Note::Affine(Affine { x: z, fraction, gamma, gammas, beta, zeros, y }));
        let trained = [gamma, beta].iter().any(|&id| self.parameter(id).trained);
        if trained || self.live.contains(&z) {
            self.live.insert(y);
        }
        Ok(Carrier { value: y, fraction: ACTIVATION })
    }

    /// z of a residual stream, in i16, with a fraction.
    fn normalised(
        &mut self,
        x: Carrier,
        centre: bool,
        fraction: i32,
    ) -> Result<ValueId, LayersError> {
        let columns = self.form(x.value)?.columns.units;
        let ones: Vec<i32> = (0..columns).flat_map(|_| [1, 0]).collect();
        let size = (columns as usize, 2);
        let affine = self.sized(&format!("affine {columns}"), size, Dtype::I32, &ones)?;
        // Exact: at most 14.
        let shift = (Z - fraction) as u8;
        self.step(Op::Normalise { affine, centre, shift }, &[x.value])
    }

    /// A 0 for each row of a value.
    fn zeros(&mut self, x: ValueId) -> Result<ValueId, LayersError> {
        let rows = self.form(x)?.rows.units;
        if let Some(zeros) = self.zeros.get(&rows) {
            return Ok(*zeros);
        }
        let sums = self.train(TrainingOp::RowSum, &[x])?;
        let op = Op::Requantise { multiplier: 0, shift: 0, clamp: FULL };
        let zeros = self.step(op, &[sums])?;
        self.zeros.insert(rows, zeros);
        Ok(zeros)
    }

    pub(super) fn normalise_rule(
        &mut self,
        centre: bool,
        [x, y]: [ValueId; 2],
    ) -> Result<(), LayersError> {
        let Some(&g) = self.needed(x, y) else { return Ok(()) };
        // A deviation in x's units has 4 bits more, and x has 10.
        let op = TrainingOp::NormaliseGradient { centre, shift: 14, clamp: FULL };
        let dx = self.train(op, &[x, g])?;
        self.accumulate(x, dx)
    }

    /// Gradients of z, γ and β. Those of γ and β are sums over all rows.
    pub(super) fn affine_rule(&mut self, affine: &Affine) -> Result<(), LayersError> {
        let Affine { x, fraction, gamma, gammas, beta, zeros, y } = *affine;
        let Some(&g) = self.gradients.get(&y) else { return Ok(()) };
        if self.parameter(gamma).trained {
            let to = self.parameter(gamma).gradient_fraction;
            // Exact: between 0 and 62, as fractions are.
            let shift = (fraction + GRADIENT - to) as u8;
            let products = self.step(Op::Mul { shift, clamp: FULL }, &[g, x])?;
            let sums = self.train(TrainingOp::ScatterAdd { rows: 1 }, &[products, zeros])?;
            self.accumulate_weight(gamma, sums)?;
        }
        if self.parameter(beta).trained {
            let shift = Shift::fixed(GRADIENT - self.parameter(beta).gradient_fraction);
            let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: FULL };
            let rescaled = self.train(op, &[g])?;
            let sums = self.train(TrainingOp::ScatterAdd { rows: 1 }, &[rescaled, zeros])?;
            self.accumulate_weight(beta, sums)?;
        }
        if self.live.contains(&x) {
            // Exact: 24 bits.
            let op = Op::Mul { shift: WEIGHT as u8, clamp: FULL };
            let dx = self.step(op, &[g, gammas])?;
            self.accumulate(x, dx)?;
        }
        Ok(())
    }
}
