//! Pools of pixels and of rows.

use super::{Carrier, Note, Operand, Tape};
use crate::error::LayersError;
use crate::numbers::{ACTIVATION, FULL, RESIDUAL};
use poai_core::program::training::Shift;
use poai_core::program::{Dim, Dtype, Op, TrainingOp, ValueId, Window};

/// The bits that mean pool adds.
const MEAN_BITS: i32 = 8;
/// The bits of a quotient by a square's pixels.
const QUOTIENT_BITS: u8 = 16;

impl Tape {
    pub(crate) fn max_pool(&mut self, x: Operand, window: Window) -> Result<Operand, LayersError> {
        let y = self.step(Op::MaxPool(window), &[x.value])?;
        self.notes.push(Note::MaxPool { window, x: x.value, y });
        self.follow(x.value, y);
        Ok(Operand { value: y, ..x })
    }

    /// The means of squares that cover the image.
    pub(crate) fn average_pool(
        &mut self,
        x: Carrier,
        window: Window,
    ) -> Result<Carrier, LayersError> {
        let y = self.step(Op::AveragePool(window), &[x.value])?;
        self.notes.push(Note::AveragePool { window, x: x.value, y });
        self.follow(x.value, y);
        Ok(Carrier { value: y, ..x })
    }

    /// Each pixel takes its square's gradient, divided by the square's pixels.
    pub(super) fn average_pool_rule(
        &mut self,
        window: Window,
        [x, y]: [ValueId; 2],
    ) -> Result<(), LayersError> {
        let Some(&g) = self.needed(x, y) else { return Ok(()) };
        let channels = self.form(x)?.columns.units;
        let none = LayersError::Internal("a window that fits the image");
        let [_, across] = window.output().ok_or(none)?;
        let [down, right] = window.stride;
        let number = |row: u32, channel: u32| {
            let place = row / window.width / down * across + row % window.width / right;
            i64::from(place) * i64::from(channels) + i64::from(channel)
        };
        let pixels = window.height * window.width;
        let all = (0..pixels).flat_map(|row| (0..channels).map(move |channel| (row, channel)));
        let numbers: Result<Vec<i32>, _> =
            all.map(|(row, channel)| i32::try_from(number(row, channel))).collect();
        let too_large = LayersError::Internal("an image of fewer than 2^31 entries");
        let numbers = numbers.map_err(|_| too_large)?;
        let name = format!("squares {}×{}×{channels} of {down}", window.height, window.width);
        let size = (pixels as usize, channels as usize);
        let index = self.sized(&name, size, Dtype::I32, &numbers)?;
        let spread = self.step(Op::Arrange { index }, &[g])?;
        let area = f64::from(down) * f64::from(right);
        // Exact: at most 2^16.
        let multiplier = (f64::from(1u32 << QUOTIENT_BITS) / area).round() as i32;
        let op = Op::Requantise { multiplier, shift: QUOTIENT_BITS, clamp: FULL };
        let dx = self.step(op, &[spread])?;
        self.accumulate(x, dx)
    }

    /// The mean of an item's rows, as activations.
    pub(crate) fn mean_pool(&mut self, x: Carrier) -> Result<Carrier, LayersError> {
        let x = self.narrow(x)?;
        let mean = self.step(Op::MeanPool, &[x.value])?;
        self.notes.push(Note::MeanPool { x: x.value, y: mean });
        self.follow(x.value, mean);
        let shift = Shift::fixed(RESIDUAL + MEAN_BITS - ACTIVATION);
        let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: FULL };
        let y = self.train(op, &[mean])?;
        self.same(mean, y);
        Ok(Carrier { value: y, fraction: ACTIVATION })
    }

    pub(super) fn mean_pool_rule(&mut self, x: ValueId, y: ValueId) -> Result<(), LayersError> {
        let Some(&g) = self.needed(x, y) else { return Ok(()) };
        let rows: Dim = self.form(x)?.rows;
        let dx = self.train(TrainingOp::MeanPoolGradient { rows }, &[g])?;
        self.accumulate(x, dx)
    }
}
