//! Pools of pixels.

use super::conv::{SLIDING, Sliding, no_image};
use super::{Read, one};
use crate::graph::expression::{Function, Operation};
use crate::graph::moves::Index;
use crate::graph::{Expression, ImageWindow, Kind, Reduction};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn pool(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let how = match operator {
            "GlobalAveragePool" => Reduction::Mean,
            "GlobalMaxPool" => Reduction::Max,
            "MaxPool" | "AveragePool" => return self.sliding(operator == "AveragePool").map(Some),
            "LpPool" | "GlobalLpPool" => return self.powers(operator == "LpPool").map(Some),
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
        let counts = average && self.node.integer("count_include_pad", 0) != 0;
        self.pooled(x, average, counts)
    }

    /// A mean whose pads are zeros that count.
    fn slid_counting(&mut self, x: &Operand) -> Result<Operand, OnnxError> {
        self.pooled(x, true, true)
    }

    fn pooled(&mut self, x: &Operand, average: bool, counts: bool) -> Result<Operand, OnnxError> {
        let node = self.node;
        let (mut x, line) = self.image(x)?;
        let shape = self.builder.shape(&x);
        let Some([_, height, width]) = shape.image() else {
            return Err(no_image(node, &shape));
        };
        let Sliding { mut window } = Sliding::read(node, [height, width], None, line)?;
        let covered = window.covered();
        // Windows start in the image or its first pad.
        let starts = [height.saturating_add(window.pads[0]), width.saturating_add(window.pads[1])];
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
                let (kernel, stride) = (covered[axis], window.stride[axis]);
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
        if window.dilation != [1, 1] {
            let pooled = self.with_gaps(&x, &window, average)?;
            return self.unimage(&pooled, line);
        }
        let kind = if average { Kind::AveragePool { window } } else { Kind::MaxPool { window } };
        let pooled = self.builder.layer(node, kind, &[x])?;
        self.unimage(&pooled, line)
    }
    /// A pool whose kernel has gaps: a pool without gaps over the pixels that
    /// each place of the kernel sees, one after another.
    fn with_gaps(
        &mut self,
        x: &Operand,
        window: &ImageWindow,
        average: bool,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let Some([_, height, width]) = self.builder.shape(x).image() else {
            return Err(node.unsupported("expected images"));
        };
        let sizes = [height, width];
        let to = window.output(height, width).ok_or_else(|| {
            let (layer, window) = (node.name.clone(), Box::new(*window));
            let input = self.builder.shape(x);
            crate::graph::GraphError::Window { layer, window, input }
        })?;
        let (mut spread, mut counts) = (x.clone(), vec![]);
        for axis in 0..2 {
            let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
            let (gap, before, size) = (window.dilation[axis], window.pads[axis], sizes[axis]);
            self.builder.bounded(node, to[axis].saturating_mul(kernel))?;
            let (mut indices, mut own): (Vec<Index>, _) = (vec![], vec![]);
            for at in 0..to[axis] {
                let place = |tap: usize| {
                    let place = (at * stride + tap * gap).checked_sub(before);
                    place.filter(|&place| place < size)
                };
                let seen: Vec<usize> = (0..kernel).filter_map(place).collect();
                let Some(&any) = seen.first() else {
                    return Err(node.unsupported("a window lies outside the image"));
                };
                // Pads never win, and a pixel that is there twice changes nothing.
                let outside = if average { None } else { Some(any) };
                indices.extend((0..kernel).map(|tap| place(tap).or(outside)));
                own.push(kernel as f64 / seen.len() as f64);
            }
            spread = self.builder.take(node, &spread, axis + 2, indices)?;
            counts.push(own);
        }
        let plain = ImageWindow { stride: window.kernel, ..ImageWindow::of(window.kernel) };
        if !average {
            return self.builder.layer(node, Kind::MaxPool { window: plain }, &[spread]);
        }
        let mut mean = self.builder.layer(node, Kind::AveragePool { window: plain }, &[spread])?;
        // The mean is over the pixels of the image alone.
        for (axis, entries) in counts.into_iter().enumerate() {
            let mut shape = vec![1; 4];
            shape[axis + 2] = entries.len();
            mean =
                self.builder.scale(node, &mean, &Host { shape, number: Number::Real, entries })?;
        }
        Ok(mean)
    }

    /// The root of the sum of powers under a window, or of all pixels.
    fn powers(&mut self, window: bool) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        let attributes = [&SLIDING[..], &["ceil_mode", "p"]].concat();
        node.only(if window { &attributes } else { &["p"] })?;
        node.fixed("ceil_mode", 0)?;
        let p = f64::from(i32::try_from(node.integer("p", 2)).unwrap_or(0));
        if p < 1.0 {
            return Err(node.attribute("p"));
        }
        let x = self.first()?;
        let power = match p {
            1.0 => Expression::call(Function::Abs),
            2.0 => Expression::X.with(Operation::Mul, Expression::X),
            _ => Expression::call(Function::Abs).by(Operation::Pow, p),
        };
        let powers = self.builder.apply(node, &x, power)?;
        let (mean, count) = if window {
            let area = node.sizes("kernel_shape")?.unwrap_or_default();
            let area = area.iter().fold(1usize, |area, &size| area.saturating_mul(size));
            (self.slid_counting(&powers)?, area)
        } else {
            let shape = self.builder.shape(&x);
            let axes: Vec<usize> = (2..shape.rank()).collect();
            let count = axes.iter().map(|&axis| shape.0[axis]).product();
            (self.builder.reduce(node, &powers, &axes, Reduction::Mean)?, count)
        };
        let sum = Expression::X.by(Operation::Mul, count as f64);
        let root = match p {
            1.0 => sum,
            2.0 => sum.then(Function::Sqrt),
            _ => sum.by(Operation::Pow, 1.0 / p),
        };
        Ok(vec![self.builder.apply(node, &mean, root)?])
    }
}
