//! Optimisers and schedules.

use crate::error::LayersError;
use crate::numbers::FULL;
use crate::tape::{ParameterId, Tape};
use poai_core::program::{Clamp, Dtype, Op, TrainingOp, ValueId};

/// The bits of a decay rate of moments.
const BITS: u8 = 15;
/// 1 as a decay rate.
const ONE: i32 = 1 << BITS;
/// The largest magnitude of Adam's ratio: 16, with 16 bits after the point.
const RATIO: Clamp = Clamp { dtype: Dtype::I32, min: -(1 << 20), max: 1 << 20 };

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimiser {
    /// SGD with momentum: m = β·m + g, w = w − λ·m.
    Sgd {
        /// β, in 0..1.
        momentum: f64,
    },
    /// Lion: w = w − λ·sign(β₁·m + (1 − β₁)·g), m = β₂·m + (1 − β₂)·g.
    Lion {
        /// β₁ and β₂, in 0..1.
        betas: [f64; 2],
    },
    /// Adam: m = β·m + (1 − β)·g, v = (1 − 2^−k)·v + 2^−k·g²,
    /// w = w − λ·m/(√v + ε).
    Adam {
        /// β, in 0..1.
        beta: f64,
        /// k, in 1..=30.
        second: u8,
    },
}

impl Optimiser {
    /// SGD with a momentum of 0.9.
    pub const SGD: Optimiser = Optimiser::Sgd { momentum: 0.9 };
    /// Lion with betas of 0.9 and 0.99.
    pub const LION: Optimiser = Optimiser::Lion { betas: [0.9, 0.99] };
    /// Adam with betas of 0.9 and 1 − 2^−7.
    pub const ADAM: Optimiser = Optimiser::Adam { beta: 0.9, second: 7 };

    /// Refuses decay rates outside their range.
    pub(crate) fn check(&self) -> Result<(), LayersError> {
        let wrong = |what, expected, got: f64| {
            Err(LayersError::Option { what, expected, got: got.to_string() })
        };
        let unit = |what, rates: &[f64]| match rates.iter().find(|rate| !(0.0..1.0).contains(*rate))
        {
            Some(&rate) => wrong(what, "at least 0 and below 1", rate),
            None => Ok(()),
        };
        match *self {
            Optimiser::Sgd { momentum } => unit("momentum", &[momentum]),
            Optimiser::Lion { betas } => unit("betas", &betas),
            Optimiser::Adam { second, .. } if !(1..=30).contains(&second) => {
                wrong("second moment", "a shift of 1 to 30", second.into())
            }
            Optimiser::Adam { beta, .. } => unit("beta", &[beta]),
        }
    }

    /// The names of the moments that each parameter has.
    pub fn moments(&self) -> &'static [&'static str] {
        match self {
            Optimiser::Sgd { .. } | Optimiser::Lion { .. } => &["momentum"],
            Optimiser::Adam { .. } => &["first moment", "second moment"],
        }
    }

    /// The entry of a rate: λ as the program's table of rates holds it.
    ///
    /// `rate` is the learning rate for mean gradients, `t` the iteration from 0.
    /// SGD divides by the batch, and Adam corrects the moments' bias.
    pub fn rate(&self, rate: f64, t: u64, batch: u32) -> i32 {
        let entry = match self {
            Optimiser::Sgd { .. } => rate / f64::from(batch) * f64::from(1 << 28),
            Optimiser::Lion { .. } => rate * f64::from(1 << 24),
            Optimiser::Adam { beta, second } => {
                // Exact: runs have fewer than 2^31 iterations.
                let n = t as f64 + 1.0;
                let kept = 1.0 - libm::exp2(-f64::from(*second));
                let second = libm::sqrt(1.0 - libm::pow(kept, n));
                rate * f64::from(1 << 24) * second / (1.0 - libm::pow(*beta, n))
            }
        };
        // A rate beyond i32 saturates.
        libm::round(entry) as i32
    }

    /// The shift of weight decay by this coefficient, or 0 for none.
    ///
    /// It is the nearest power of two: the weight loses rate·decay of itself in
    /// each iteration.
    pub(crate) fn decay_shift(&self, decay: f64, batch: u32) -> Result<u8, LayersError> {
        if decay == 0.0 {
            return Ok(0);
        }
        let own = match self {
            Optimiser::Sgd { .. } => 28.0 - libm::log2(f64::from(batch)),
            Optimiser::Lion { .. } | Optimiser::Adam { .. } => 24.0,
        };
        let shift = libm::round(own - libm::log2(decay));
        if decay > 0.0 && (1.0..=62.0).contains(&shift) {
            // Exact: at most 62.
            return Ok(shift as u8);
        }
        let (what, expected) = ("weight decay", "0, or a coefficient in 2^−30..1");
        Err(LayersError::Option { what, expected, got: decay.to_string() })
    }

    /// Adds the steps that update a parameter: its new state and moments.
    pub(crate) fn update(
        &self,
        tape: &mut Tape,
        parameter: ParameterId,
        moments: &[ValueId],
        rate: ValueId,
        decay: u8,
    ) -> Result<Vec<ValueId>, LayersError> {
        let (state, fraction) = {
            let parameter = tape.parameter(parameter);
            (parameter.state, parameter.gradient_fraction)
        };
        let g = tape.weight_gradients.get(&parameter).copied();
        let g = g.ok_or(LayersError::Internal("a parameter's gradient"))?;
        let missing = LayersError::Internal("a parameter's moments");
        let mean = |tape: &mut Tape, m, kept: f64, new: i32| {
            let kept = (kept * f64::from(ONE)).round() as i32;
            let op = Op::Add { multipliers: [kept, new], shift: BITS, clamp: FULL };
            tape.step(op, &[m, g])
        };
        let rest = |kept: f64| ((1.0 - kept) * f64::from(ONE)).round() as i32;
        let descend = |tape: &mut Tape, d, shift| {
            let op = TrainingOp::Descend { shift, decay, clamp: FULL };
            tape.train(op, &[state, d, rate])
        };
        match (*self, moments) {
            (Optimiser::Sgd { momentum }, &[m]) => {
                let m = mean(tape, m, momentum, ONE)?;
                // A gradient with fewer bits moves a weight as far.
                let fewer = crate::numbers::WEIGHT_GRADIENT - fraction;
                Ok(vec![descend(tape, m, 24 - fewer)?, m])
            }
            (Optimiser::Lion { betas: [first, second] }, &[m]) => {
                let direction = mean(tape, m, first, rest(first))?;
                let signs: Vec<i32> = (0..256).map(|i: i32| (i - 128).signum()).collect();
                let table = tape.table("signs", Dtype::I8, &signs)?;
                let op = Op::Table { table, shift: 0, pass_above: false };
                let sign = tape.step(op, &[direction])?;
                let w = descend(tape, sign, 0)?;
                Ok(vec![w, mean(tape, m, second, rest(second))?])
            }
            (Optimiser::Adam { beta, second }, &[m, r]) => {
                let m = mean(tape, m, beta, rest(beta))?;
                let r = tape.train(TrainingOp::SecondMoment { shift: second }, &[r, g])?;
                let ratio = tape.train(TrainingOp::Ratio { clamp: RATIO }, &[m, r])?;
                Ok(vec![descend(tape, ratio, 16)?, m, r])
            }
            _ => Err(missing),
        }
    }
}
