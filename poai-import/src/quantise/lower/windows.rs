//! Pools of images.

use super::{Lower, Value};
use crate::graph::ImageWindow;
use crate::quantise::QuantiseError;
use poai_core::program::Op;

impl Lower<'_> {
    /// The largest pixel under a window, or the mean. Both keep the scale.
    pub(super) fn pool(
        &mut self,
        input: usize,
        window: &ImageWindow,
        mean: bool,
    ) -> Result<Value, QuantiseError> {
        let x = if mean { self.widened(input)? } else { self.values[input].clone() };
        let x = self.image(&x, &self.shapes[input].clone())?;
        let moved = self.window(input, window)?;
        let op = if mean { Op::AveragePool(moved) } else { Op::MaxPool(moved) };
        let Some([channels, height, width]) = self.shapes[self.made()].image() else {
            return Err(self.unsupported("a value that is no image"));
        };
        let id = self.step("", op, &[x.id])?;
        let map = super::layout::channels_last(channels, height * width);
        Ok(Value { id, rows: height * width, columns: channels, map, ..x })
    }
}
