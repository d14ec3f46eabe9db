//! The integer steps of an encoder's head.

use super::BertError;
use super::head::{HeadActivation, HeadStep, Pooling};
use super::numbers::{BUS, round32};
use super::quantise::Assembly;
use super::weights::Dense;
use poai_core::program::{Clamp, Dtype, Op, ValueId};

/// The number that represents 1 in pooled rows, beyond that of hidden states.
const POOLED: f64 = 256.0;
/// The number that represents 1 in normalised rows.
const NORMALISED: f64 = 16384.0;
/// The largest magnitude that calibrated values take: half of i16, so that
/// values of twice the range do not saturate.
const CALIBRATED: f64 = 16384.0;
/// The number that represents 1 before and after tanh: the range is ±4.
const TANH: f64 = 4096.0;
/// The shift of tanh's table, which covers ±4.
const TANH_SHIFT: u8 = 7;

/// A value, and the number that represents 1 in it.
#[derive(Clone, Copy)]
struct Scaled {
    value: ValueId,
    unit: f64,
    dtype: Dtype,
}

impl Assembly<'_> {
    /// Adds the head's steps. `ranges` are the largest magnitudes of its
    /// stages. Returns the number that represents 1 in the embeddings.
    pub(super) fn head(&mut self, states: ValueId, ranges: &[f32]) -> Result<f64, BertError> {
        let encoder = self.encoder;
        let mut ranges = ranges.iter().map(|&x| f64::from(x));
        let value = self.pool(encoder.head.pooling, states)?;
        let mut row = Scaled { value, unit: BUS * POOLED, dtype: Dtype::I32 };
        let mut largest = ranges.next().unwrap_or_default();
        for (index, step) in encoder.head.steps.iter().enumerate() {
            match step {
                HeadStep::Normalise => {
                    let value = self.builder.step("embedding", Op::L2Normalise, &[row.value])?;
                    row = Scaled { value, unit: NORMALISED, dtype: Dtype::I16 };
                    largest = ranges.next().unwrap_or_default();
                }
                HeadStep::Dense(dense, activation) => {
                    let name = format!("head {index}");
                    let narrow = self.narrow(&name, row, largest)?;
                    let sums = ranges.next().unwrap_or_default();
                    row = self.dense(&name, (dense, *activation), narrow, sums)?;
                    largest = ranges.next().unwrap_or_default();
                }
            }
        }
        Ok(row.unit)
    }

    fn pool(&mut self, pooling: Pooling, states: ValueId) -> Result<ValueId, BertError> {
        let lengths = self.builder.input(1);
        let (name, lengths) = match pooling {
            Pooling::Mean => ("mean", lengths),
            Pooling::FirstToken => {
                // The mean of one token is the token: every length becomes 1.
                let clamp = Clamp { dtype: Dtype::I32, min: 1, max: 1 };
                let op = Op::Requantise { multiplier: 1, shift: 0, clamp };
                ("first token", self.builder.step("one token", op, &[lengths])?)
            }
        };
        Ok(self.builder.step(name, Op::MeanPool, &[states, lengths])?)
    }

    /// Makes a row that an operand can be made of: one of i16.
    fn narrow(&mut self, name: &str, row: Scaled, largest: f64) -> Result<Scaled, BertError> {
        if row.dtype == Dtype::I16 {
            return Ok(row);
        }
        // Exact: at most the 31 bits of the pooled row.
        let bits = (largest * row.unit / CALIBRATED).log2().ceil().clamp(0.0, 31.0);
        let clamp = Clamp::full(Dtype::I16);
        let op = Op::Requantise { multiplier: 1, shift: bits as u8, clamp };
        let value = self.builder.step(&format!("{name} / input"), op, &[row.value])?;
        Ok(Scaled { value, unit: row.unit / bits.exp2(), dtype: Dtype::I16 })
    }

    /// Adds a product and its activation. `sums` is the largest magnitude of
    /// the product's outputs.
    fn dense(
        &mut self,
        name: &str,
        (dense, activation): (&Dense, HeadActivation),
        row: Scaled,
        sums: f64,
    ) -> Result<Scaled, BertError> {
        let wide = Clamp::full(Dtype::I16);
        let (unit, clamp) = match activation {
            // Tanh of larger sums is 1 but for a thousandth.
            HeadActivation::Tanh => {
                let most = (4.0 * TANH) as i32;
                (TANH, Clamp { min: -most, max: most, ..wide })
            }
            HeadActivation::Identity | HeadActivation::Relu => {
                let exponent = (CALIBRATED / sums.max(f64::MIN_POSITIVE)).log2().floor();
                (exponent.clamp(-24.0, 24.0).exp2(), wide)
            }
        };
        let operand = self.operand(name, row.value)?;
        let units = (row.unit, |_| unit);
        let product = self.scaled_product(name, dense, None, units, clamp, operand)?;
        let value = match activation {
            HeadActivation::Identity => product,
            HeadActivation::Relu => {
                self.builder.step(&format!("{name} / relu"), Op::Relu, &[product])?
            }
            HeadActivation::Tanh => {
                // The table has tanh(x) − x, which is flat near 0: small
                // entries keep all their bits.
                let table =
                    self.constant(&format!("{name} / tanh"), 1, Dtype::I16, &tanh_table())?;
                let op = Op::Table { table, shift: TANH_SHIFT, pass_above: false };
                let change = self.builder.step(&format!("{name} / tanh change"), op, &[product])?;
                let add = Op::Add { multipliers: [1, 1], shift: 0, clamp: wide };
                self.builder.step(&format!("{name} / tanh"), add, &[product, change])?
            }
        };
        Ok(Scaled { value, unit, dtype: Dtype::I16 })
    }
}

/// The table of tanh(x) − x, at the middle of the inputs that share an entry.
fn tanh_table() -> Vec<i32> {
    let middle = |i: i32| (f64::from((i - 128) << TANH_SHIFT) + 63.5) / TANH;
    (0..256).map(|i| round32((libm::tanh(middle(i)) - middle(i)) * TANH)).collect()
}
