//! Pools of pixels.

use super::conv::{SLIDING, Sliding};
use super::{Read, one};
use crate::graph::moves::Index;
use crate::graph::{Kind, Reduction};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;

impl Read<'_, '_> {
    pub(super) fn pool(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let how = match operator {
            "GlobalAveragePool" => Reduction::Mean,
            "GlobalMaxPool" => Reduction::Max,
            "MaxPool" | "AveragePool" => return self.sliding(operator == "AveragePool").map(Some),
            _ => return Ok(None),
        };
        node.only(&[])?;
        let x = self.first()?;
        let axes: Vec<usize> = (2..self.builder.shape(&x).rank()).collect();
        one(self.builder.reduce(node, &x, &axes, how)?)
    }

    fn sliding(&mut self, average: bool) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        let own = if average { "count_include_pad" } else { "storage_order" };
        node.only(&[&SLIDING[..], &["ceil_mode", own]].concat())?;
        if !average && node.outputs().len() > 1 && !node.outputs()[1].is_empty() {
            return Err(node.unsupported("its places of the largest entries"));
        }
        let x = self.first()?;
        self.slid(&x, average).map(|pooled| vec![pooled])
    }

    /// A pool over a value.
    pub(super) fn slid(&mut self, x: &Operand, average: bool) -> Result<Operand, OnnxError> {
        let node = self.node;
        let (mut x, line) = self.image(x)?;
        let shape = self.builder.shape(&x);
        let Some([_, height, width]) = shape.image() else {
            return Err(node.unsupported("expected images of one or two axes, and a batch of 1"));
        };
        let Sliding { mut window } = Sliding::read(node, [height, width], None, line)?;
        if window.dilation != [1, 1] {
            return Err(node.attribute("dilations"));
        }
        // Windows start in the image or its first pad.
        let starts = [height.saturating_add(window.pads[0]), width.saturating_add(window.pads[1])];
        let counts = average && node.integer("count_include_pad", 0) != 0;
        if counts && window.pads != [0; 4] {
            let [top, left, bottom, right] = window.pads;
            for (axis, size, before, after) in [(2, height, top, bottom), (3, width, left, right)] {
                self.builder.bounded(node, before.saturating_add(after).saturating_add(size))?;
                let zeros = |count| std::iter::repeat_n(None, count);
                let indices: Vec<Index> =
                    zeros(before).chain((0..size).map(Some)).chain(zeros(after)).collect();
                x = self.builder.take(node, &x, axis, indices)?;
            }
            window.pads = [0; 4];
        }
        if node.integer("ceil_mode", 0) != 0 {
            let padded = self.builder.shape(&x);
            for (axis, start) in starts.into_iter().enumerate() {
                let size = padded.0[axis + 2];
                let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
                let (before, after) = (window.pads[axis], window.pads[axis + 2]);
                let all = size.saturating_add(before).saturating_add(after);
                let Some(room) = all.checked_sub(kernel) else { continue };
                let mut steps = room.div_ceil(stride);
                if steps.saturating_mul(stride) >= start {
                    steps = steps.saturating_sub(1);
                }
                let reached = steps.saturating_mul(stride).saturating_add(kernel);
                window.pads[axis + 2] = after.saturating_add(reached.saturating_sub(all));
            }
        }
        let kind = if average { Kind::AveragePool { window } } else { Kind::MaxPool { window } };
        let pooled = self.builder.layer(node, kind, &[x])?;
        self.unimage(&pooled, line)
    }
}
