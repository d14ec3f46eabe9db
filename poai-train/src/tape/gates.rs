//! Functions of one number by table, and dropout.

use super::{Carrier, Note, Tape};
use crate::error::LayersError;
use crate::numbers::FULL;
use poai_core::program::training::Shift;
use poai_core::program::{Clamp, Dtype, Op, TrainingOp, ValueId};

/// The bits of a table's entries: 2^14 stands for 1.
const TABLE_BITS: u8 = 14;
/// The bits of an index of a table: 16 indices stand for 1, and 256 for ±8.
const INDEX_BITS: i32 = 4;
/// The bits of dropout's factors.
const FACTOR_BITS: u8 = 13;
/// The bits of a random byte.
const BYTE_BITS: i32 = 8;

/// A function x·p(x), for a p between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// p is Φ, the standard normal distribution.
    Gelu,
    /// p is the logistic function.
    Silu,
}

impl Activation {
    /// The names of both tables.
    fn names(self) -> [&'static str; 2] {
        match self {
            Activation::Gelu => ["gelu", "gelu derivative"],
            Activation::Silu => ["silu", "silu derivative"],
        }
    }

    /// p(x) and the derivative of x·p(x).
    fn at(self, x: f64) -> [f64; 2] {
        match self {
            Activation::Gelu => {
                let p = 0.5 * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2);
                let root = libm::sqrt(2.0 * core::f64::consts::PI);
                let density = libm::exp(-x * x / 2.0) / root;
                [p, p + x * density]
            }
            Activation::Silu => {
                let p = 1.0 / (1.0 + libm::exp(-x));
                [p, p + x * p * (1.0 - p)]
            }
        }
    }

    /// Tables of p and of the derivative. An entry is that of its interval's
    /// middle. The first and the last are the limits.
    fn tables(self) -> [[i32; 256]; 2] {
        let table = |which: usize| {
            core::array::from_fn(|i| match i {
                0 => 0,
                255 => 1 << TABLE_BITS,
                _ => {
                    let x = (i as f64 - 127.5) / f64::from(1 << INDEX_BITS);
                    // Exact: below 2^15.
                    libm::round(self.at(x)[which] * f64::from(1 << TABLE_BITS)) as i32
                }
            })
        };
        [table(0), table(1)]
    }
}

impl Tape {
    /// An activation of a carrier: the carrier times a table of itself.
    pub(crate) fn activation(
        &mut self,
        x: Carrier,
        activation: Activation,
    ) -> Result<Carrier, LayersError> {
        let ([p, _], [name, _]) = (activation.tables(), activation.names());
        let table = self.table(name, Dtype::I16, &p)?;
        let index_shift = u8::try_from(x.fraction - INDEX_BITS)
            .map_err(|_| LayersError::Internal("an activation of enough bits"))?;
        let clamp = Clamp::full(self.form(x.value)?.dtype);
        let op = TrainingOp::Gate { table, index_shift, shift: TABLE_BITS, clamp };
        let y = self.train(op, &[x.value, x.value])?;
        self.notes.push(Note::Gate { activation, index_shift, x: x.value, y });
        self.follow(x.value, y);
        Ok(Carrier { value: y, ..x })
    }

    pub(super) fn gate_rule(
        &mut self,
        activation: Activation,
        index_shift: u8,
        [x, y]: [ValueId; 2],
    ) -> Result<(), LayersError> {
        let Some(&g) = self.needed(x, y) else { return Ok(()) };
        // A program without this gradient must not have its table.
        let ([_, derivative], [_, name]) = (activation.tables(), activation.names());
        let table = self.table(name, Dtype::I16, &derivative)?;
        let op = TrainingOp::Gate { table, index_shift, shift: TABLE_BITS, clamp: FULL };
        let dx = self.train(op, &[g, x])?;
        self.accumulate(x, dx)
    }

    /// Dropout of a part of a carrier's entries: `part` of 256.
    ///
    /// A constant of 256 − part, rounded stochastically to whole 256s, is 1 in
    /// as many places.
    pub(crate) fn dropout(&mut self, x: Carrier, part: u8) -> Result<Carrier, LayersError> {
        let kept = 256 - i32::from(part);
        let same = self.table(&format!("kept {kept}"), Dtype::I16, &[kept; 256])?;
        let op = Op::Table { table: same, shift: 0, pass_above: false };
        let constant = self.step(op, &[x.value])?;
        let stream = self.streams.next();
        let stream = Some(stream.ok_or(LayersError::Internal("a step without a stream"))?);
        let clamp = Clamp { dtype: Dtype::I8, min: 0, max: 1 };
        let shift = Shift::fixed(BYTE_BITS);
        let op = TrainingOp::Rescale { shift, stream, multiplier: 1, clamp };
        let mask = self.train(op, &[constant, self.random.0, self.random.1])?;
        let factor = f64::from(256 << FACTOR_BITS) / f64::from(kept);
        // Exact: at least 64 of 256 entries are kept, so that it is at most 2^15.
        let factor = (factor.round() as i32).min(i32::from(i16::MAX));
        let factors: [i32; 256] = core::array::from_fn(|i| if i > 128 { factor } else { 0 });
        let table = self.table(&format!("factors {kept}"), Dtype::I16, &factors)?;
        let clamp = Clamp::full(self.form(x.value)?.dtype);
        let op = TrainingOp::Gate { table, index_shift: 0, shift: FACTOR_BITS, clamp };
        let y = self.train(op, &[x.value, mask])?;
        self.notes.push(Note::Dropout { table, mask, x: x.value, y });
        self.follow(x.value, y);
        Ok(Carrier { value: y, ..x })
    }

    pub(super) fn dropout_rule(
        &mut self,
        table: poai_core::program::ConstantId,
        [mask, x, y]: [ValueId; 3],
    ) -> Result<(), LayersError> {
        let Some(&g) = self.needed(x, y) else { return Ok(()) };
        let op = TrainingOp::Gate { table, index_shift: 0, shift: FACTOR_BITS, clamp: FULL };
        let dx = self.train(op, &[g, mask])?;
        self.accumulate(x, dx)
    }
}
