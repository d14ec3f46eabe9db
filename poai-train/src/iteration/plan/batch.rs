//! The batch of an iteration: its forms, and the steps that find it.

use super::Plan;
use super::shape::Shape;
use crate::error::LayersError;
use crate::iteration::Source;
use crate::layers::{SampleKind, TrainLoss};
use crate::numbers::{FRACTION_MAX, PIXEL};
use crate::tape::{Operand, Tape};
use poai_core::program::{Clamp, Dim, Dtype, Form, Op, TrainingOp, ValueId};

/// The most iterations of a run whose rates a table holds.
const RATES_MAX: usize = 1 << 24;

/// A batch in the program.
pub(in crate::iteration) struct Batch {
    pub(in crate::iteration) samples: Samples,
    pub(in crate::iteration) labels: ValueId,
    pub(in crate::iteration) rate: ValueId,
}

/// A batch's samples.
#[derive(Clone, Copy)]
pub(in crate::iteration) enum Samples {
    /// Rows of features, or pixels.
    Dense(Operand),
    /// Ids of tokens, and the place of each in its sample.
    Ids { ids: ValueId, places: ValueId },
}

impl Plan {
    /// Rows and columns of an item's labels.
    fn labels(&self) -> [u32; 2] {
        let [rows, columns] = self.output.size();
        match self.loss {
            TrainLoss::CrossEntropy => [rows, 1],
            TrainLoss::MeanSquares => [rows, columns],
        }
    }

    fn dtype(&self) -> Dtype {
        match self.sample {
            SampleKind::Tokens { .. } => Dtype::I32,
            _ => Dtype::I8,
        }
    }

    /// The forms of the inputs after seed and t.
    pub(in crate::iteration) fn source_forms(&self, source: &Source) -> Vec<Form> {
        let fixed = Dim::fixed;
        let (samples, labels) = (Shape::of(self.sample).size(), self.labels());
        let sizes = [(samples, self.dtype()), (labels, Dtype::I32)];
        match source {
            Source::Drawn { samples, .. } => {
                let form = |([rows, columns], dtype): ([u32; 2], Dtype)| {
                    // Sizes beyond a tensor's are refused with the form.
                    Form::shared(fixed(*samples), fixed(rows.saturating_mul(columns)), dtype)
                };
                sizes.map(form).into()
            }
            Source::Given => {
                let form = |([rows, columns], dtype): ([u32; 2], Dtype)| {
                    Form::new(fixed(rows), fixed(columns), dtype)
                };
                let rate = Form::shared(fixed(1), fixed(1), Dtype::I32);
                sizes.map(form).into_iter().chain([rate]).collect()
            }
        }
    }

    /// Adds the steps that find the batch and the rate.
    pub(in crate::iteration) fn batch(
        &self,
        tape: &mut Tape,
        source: &Source,
        first: ValueId,
    ) -> Result<Batch, LayersError> {
        let input = |offset: u32| ValueId(first.0 + offset);
        let (mut samples, mut labels) = (input(0), input(1));
        let rate = match source {
            Source::Given => input(2),
            Source::Drawn { samples: count, rates } => {
                if !(1..=RATES_MAX).contains(&rates.len()) {
                    let (what, expected) = ("rates", "1 to 2^24, one an iteration");
                    let got = rates.len().to_string();
                    return Err(LayersError::Option { what, expected, got });
                }
                let (seed, t) = tape.random();
                let drawn = tape.train(TrainingOp::Draw { samples: *count }, &[seed, t])?;
                for value in [&mut samples, &mut labels] {
                    *value = tape.train(TrainingOp::Gather { table: None }, &[*value, drawn])?;
                }
                let item = Shape::of(self.sample).size();
                if !matches!(self.sample, SampleKind::Features { .. }) {
                    samples = reshape(tape, samples, item)?;
                }
                if self.labels()[0] > 1 {
                    labels = reshape(tape, labels, self.labels())?;
                }
                let table = tape.table("rates", Dtype::I32, rates)?;
                tape.train(TrainingOp::Gather { table: Some(table) }, &[t])?
            }
        };
        let samples = self.samples(tape, samples)?;
        Ok(Batch { samples, labels, rate })
    }

    /// The samples of a batch, from their value.
    pub(in crate::iteration) fn samples(
        &self,
        tape: &mut Tape,
        value: ValueId,
    ) -> Result<Samples, LayersError> {
        let operand = |fraction| Samples::Dense(Operand { value, fraction, exponent: None });
        Ok(match self.sample {
            SampleKind::Tokens { length, .. } => {
                Samples::Ids { ids: value, places: places(tape, value, length)? }
            }
            SampleKind::Sequence { fraction, .. } | SampleKind::Image { fraction, .. }
                if fraction > FRACTION_MAX =>
            {
                let (what, expected) = ("fraction of samples", "0 to 10 bits");
                let got = fraction.to_string();
                return Err(LayersError::Option { what, expected, got });
            }
            SampleKind::Sequence { fraction, .. } | SampleKind::Image { fraction, .. } => {
                operand(fraction.into())
            }
            SampleKind::Features { .. } => operand(PIXEL),
        })
    }
}

fn reshape(
    tape: &mut Tape,
    value: ValueId,
    [rows, columns]: [u32; 2],
) -> Result<ValueId, LayersError> {
    let (rows, columns) = (Dim::fixed(rows), Dim::fixed(columns));
    tape.step(Op::Reshape { rows, columns }, &[value])
}

/// The place of each token in its sample: a row of places added to nothing.
fn places(tape: &mut Tape, ids: ValueId, length: u32) -> Result<ValueId, LayersError> {
    let narrow = Clamp::full(Dtype::I16);
    let none = Op::Requantise { multiplier: 0, shift: 0, clamp: narrow };
    let none = tape.step(none, &[ids])?;
    let entries: Vec<i32> = (0..length).map(|place| place as i32).collect();
    let table = tape.table("places", Dtype::I16, &entries)?;
    let places = tape.step(Op::AddRows { table }, &[none])?;
    let wide = Op::Requantise { multiplier: 1, shift: 0, clamp: Clamp::full(Dtype::I32) };
    tape.step(wide, &[places])
}
