//! Exponents of operands.
//!
//! An operand's exponent comes from its own carrier, or in the fused profile
//! from the same operand of the iteration before (delayed scaling, Micikevicius
//! et al. 2022). Then a product can give an operand at once, and the carrier is
//! never there.

use super::{Carrier, Operand, ParameterId, Tape, shift_to};
use crate::error::LayersError;
use crate::numbers::{ACTIVATION, FULL, OPERAND, WEIGHT};
use poai_core::program::training::{Shift, Sign};
use poai_core::program::{Op, TrainingOp, ValueId};

/// What an operand is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A weight.
    Weight,
    /// A value of the forward pass.
    Activation,
    /// A gradient, which is rounded stochastically.
    Gradient,
}

impl Role {
    /// The exponent before the first iteration. It is rather too large: an
    /// exponent falls to its place at once, and rises by 1 an iteration.
    fn first(self) -> i32 {
        match self {
            Role::Weight => WEIGHT - 6,
            Role::Activation => ACTIVATION - 3,
            Role::Gradient => 20,
        }
    }
}

/// Where exponents come from.
#[derive(Clone, Debug)]
pub(crate) enum Exponents {
    /// From the operand's own carrier.
    Own,
    /// From states that the iteration before continued.
    Before {
        /// The states, in the order in which operands are made. With too few, t
        /// takes their place: such a program only counts them.
        states: Vec<ValueId>,
        /// The exponents for the next iteration, each with the first of all.
        next: Vec<(ValueId, i32)>,
    },
}

impl Tape {
    /// Whether products may give operands.
    pub(crate) fn is_fused(&self) -> bool {
        matches!(self.exponents, Exponents::Before { .. })
    }

    /// The next operand's exponent, if it is a state.
    fn state_exponent(&self) -> Option<ValueId> {
        match &self.exponents {
            Exponents::Own => None,
            Exponents::Before { states, next } => {
                Some(states.get(next.len()).copied().unwrap_or(self.random.1))
            }
        }
    }

    /// Adds the exponent for the next iteration, from an operand.
    fn continue_exponent(
        &mut self,
        operand: ValueId,
        exponent: ValueId,
        role: Role,
    ) -> Result<(), LayersError> {
        let scales = self.step(Op::RowScale, &[operand])?;
        let value = self.train(TrainingOp::NextExponent, &[exponent, scales])?;
        if let Exponents::Before { next, .. } = &mut self.exponents {
            next.push((value, role.first()));
        }
        Ok(())
    }

    /// An operand of a carrier with one exponent for all its entries.
    ///
    /// Gradients are rounded stochastically, everything else to the nearest.
    pub(super) fn quantise(&mut self, x: Carrier, role: Role) -> Result<Operand, LayersError> {
        let state = self.state_exponent();
        let exponent = match state {
            Some(state) => state,
            None => {
                let scales = self.step(Op::RowScale, &[x.value])?;
                self.train(TrainingOp::Exponent { per_row: false }, &[scales])?
            }
        };
        let (stream, inputs) = if role == Role::Gradient {
            let next = self.streams.next();
            let stream = next.ok_or(LayersError::Internal("a step without a stream"))?;
            (Some(stream), vec![x.value, exponent, self.random.0, self.random.1])
        } else {
            (None, vec![x.value, exponent])
        };
        let shift = Shift::new(0, &[Sign::Plus]);
        let op = TrainingOp::Rescale { shift, stream, multiplier: 1, clamp: OPERAND };
        let value = self.train(op, &inputs)?;
        if state.is_some() {
            self.continue_exponent(value, exponent, role)?;
        }
        Ok(Operand { value, fraction: x.fraction, exponent: Some(exponent) })
    }

    /// A product with a parameter, as an operand of activations. Only the fused
    /// profile has one.
    pub(super) fn product_operand(
        &mut self,
        x: Operand,
        weight: ParameterId,
        bias: Option<ParameterId>,
    ) -> Result<Operand, LayersError> {
        let w = self.weight(weight)?;
        let none = LayersError::Internal("an exponent that is a state");
        let exponent = self.state_exponent().ok_or(none)?;
        // A bias takes on the operand's exponent before it is added.
        let bias = match bias {
            Some(bias) => {
                let shift = Shift::new(WEIGHT - ACTIVATION, &[Sign::Plus]);
                let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: FULL };
                let state = self.parameter(bias).state;
                Some((self.train(op, &[state, exponent])?, WEIGHT))
            }
            None => None,
        };
        let (mut shift, mut exponents) = shift_to(&[x, w], ACTIVATION);
        shift.signs.push(Sign::Plus);
        exponents.push(exponent);
        let value = self.scaled(x, w, bias, shift, &exponents, OPERAND)?;
        self.continue_exponent(value, exponent, Role::Activation)?;
        Ok(Operand { value, fraction: ACTIVATION, exponent: Some(exponent) })
    }
}
