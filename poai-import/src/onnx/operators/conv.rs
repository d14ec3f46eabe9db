//! Convolutions.

use super::{Read, one};
use crate::graph::moves::Index;
use crate::graph::{ImageWindow, Kind, ValueShape};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::node::Node;
use crate::onnx::tensor::Host;
use ndarray::Array2;
use std::rc::Rc;

/// The attributes of windows.
pub(super) const SLIDING: [&str; 5] = ["auto_pad", "dilations", "kernel_shape", "pads", "strides"];

/// Numbers of a window along one or two axes.
pub(super) struct Sliding {
    pub(super) window: ImageWindow,
}

impl Sliding {
    /// Reads a window over an image. A convolution's weights give its kernel; a
    /// pool has an attribute for it.
    pub(super) fn read(
        node: &Node<'_>,
        image: [usize; 2],
        weights: Option<&[usize]>,
        line: bool,
    ) -> Result<Sliding, OnnxError> {
        let axes = if line { 1 } else { 2 };
        let list = |name: &str, count: usize| -> Result<Option<Vec<usize>>, OnnxError> {
            match node.sizes(name)? {
                Some(list) if list.len() == count => Ok(Some(list)),
                None => Ok(None),
                Some(_) => Err(node.attribute(name)),
            }
        };
        // One axis of pixels is an image of height 1.
        let pair = |list: &[usize]| if line { [1, list[0]] } else { [list[0], list[1]] };
        let kernel = match (weights, list("kernel_shape", axes)?) {
            (Some(kernel), None) => pair(kernel),
            (None, Some(kernel)) => pair(&kernel),
            (Some(kernel), Some(named)) if kernel == named => pair(kernel),
            _ => return Err(node.attribute("kernel_shape")),
        };
        let dilation = list("dilations", axes)?.map_or([1, 1], |list| pair(&list));
        let stride = list("strides", axes)?.map_or([1, 1], |list| pair(&list));
        if stride.contains(&0) {
            return Err(node.attribute("strides"));
        }
        if dilation.contains(&0) {
            return Err(node.attribute("dilations"));
        }
        if kernel.contains(&0) {
            let named = node.has("kernel_shape");
            return Err(match named {
                true => node.attribute("kernel_shape"),
                false => node.unsupported("its kernel is empty"),
            });
        }
        let mut window = ImageWindow { kernel, stride, pads: [0; 4], dilation };
        let given = list("pads", 2 * axes)?;
        let given = given.map(|pads| match line {
            true => [0, pads[0], 0, pads[1]],
            false => [pads[0], pads[1], pads[2], pads[3]],
        });
        let covered = window.covered();
        window.pads = match (node.string("auto_pad").unwrap_or("NOTSET"), given) {
            ("" | "NOTSET", pads) => pads.unwrap_or([0; 4]),
            ("VALID", None | Some([0, 0, 0, 0])) => [0; 4],
            (mode @ ("SAME_UPPER" | "SAME_LOWER"), None | Some([0, 0, 0, 0])) => {
                let [top, bottom] = same(image[0], covered[0], stride[0], mode);
                let [left, right] = same(image[1], covered[1], stride[1], mode);
                [top, left, bottom, right]
            }
            _ => return Err(node.attribute("auto_pad")),
        };
        Ok(Sliding { window })
    }
}

/// Pads with which ⌈size / stride⌉ windows fit. An odd pad goes to the end, or
/// to the start for `SAME_LOWER`.
fn same(size: usize, kernel: usize, stride: usize, mode: &str) -> [usize; 2] {
    let last = (size.div_ceil(stride).saturating_sub(1)).saturating_mul(stride);
    let total = last.saturating_add(kernel).saturating_sub(size);
    let small = total / 2;
    if mode == "SAME_UPPER" { [small, total - small] } else { [total - small, small] }
}

/// Weights of a convolution: outputs × channels × kernel.
struct Weights {
    outputs: usize,
    channels: usize,
    kernel: [usize; 2],
    entries: Vec<f32>,
}

impl Weights {
    fn of(host: &Host, turned: bool, groups: usize, node: &Node<'_>) -> Result<Weights, OnnxError> {
        let entries = host.floats();
        let (first, second, kernel) = match *host.shape.as_slice() {
            [first, second, width] => (first, second, [1, width]),
            [first, second, height, width] => (first, second, [height, width]),
            _ => return Err(node.unsupported("expected weights of 3 or 4 dimensions")),
        };
        if !turned {
            return Ok(Weights { outputs: first, channels: second, kernel, entries });
        }
        // A transposed convolution stores channels × outputs of a group.
        let area = kernel[0] * kernel[1];
        let (own, outputs) = (first / groups.max(1), second.saturating_mul(groups));
        let mut weights = vec![0.0; entries.len()];
        for (at, entry) in entries.into_iter().enumerate() {
            let (channel, output, pixel) = (at / area / second, at / area % second, at % area);
            let (group, channel) = (channel / own.max(1), channel % own.max(1));
            let output = group * second + output;
            // The kernel is turned by half a circle.
            let to = (output * own + channel) * area + (area - 1 - pixel);
            weights[to] = entry;
        }
        Ok(Weights { outputs, channels: own, kernel, entries: weights })
    }

    /// Columns in (kernel row, kernel column, channel) order.
    fn matrix(&self) -> Array2<f32> {
        let [height, width] = self.kernel;
        Array2::from_shape_fn((self.outputs, height * width * self.channels), |(output, column)| {
            let (pixel, channel) = (column / self.channels, column % self.channels);
            self.entries[(output * self.channels + channel) * height * width + pixel]
        })
    }
}

impl Read<'_, '_> {
    pub(super) fn conv(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let extra: &[&str] = match operator {
            "Conv" => &["group"],
            "ConvTranspose" => &["group", "output_padding", "output_shape"],
            _ => return Ok(None),
        };
        node.only(&[&SLIDING, extra].concat())?;
        let x = self.first()?;
        let weights = self.builder.host(node, 1)?;
        let bias = self.builder.optional_host(node, 2)?;
        one(self.convolution(&x, &weights, bias, operator == "ConvTranspose")?)
    }

    /// A convolution with known weights.
    pub(super) fn convolution(
        &mut self,
        x: &Operand,
        weights: &Host,
        bias: Option<Rc<Host>>,
        turned: bool,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let groups = usize::try_from(node.integer("group", 1)).ok().filter(|&groups| groups > 0);
        let groups = groups.ok_or_else(|| node.attribute("group"))?;
        let (x, line) = self.image(x)?;
        let shape = self.builder.shape(&x);
        let Some([channels, height, width]) = shape.image() else {
            return Err(no_image(node, &shape));
        };
        if weights.entries.is_empty() {
            return Err(node.unsupported("its weights are empty"));
        }
        let kernel = weights.shape.get(2..).unwrap_or_default();
        if kernel.len() != if line { 1 } else { 2 } {
            return Err(node.unsupported("its weights do not fit the image"));
        }
        let Sliding { mut window } = Sliding::read(node, [height, width], Some(kernel), line)?;
        let weights = Weights::of(weights, turned, groups, node)?;
        let fits = weights.channels.saturating_mul(groups) == channels
            && weights.outputs.is_multiple_of(groups);
        if !fits {
            return Err(node.unsupported(format!("its weights do not fit {channels} channels")));
        }
        let bias = match bias {
            Some(bias) if bias.entries.len() == weights.outputs => bias.floats(),
            None => vec![0.0; weights.outputs],
            Some(_) => return Err(node.unsupported("expected one bias for each output")),
        };
        crate::onnx::tensor::finite(&node.name, &weights.entries)?;
        crate::onnx::tensor::finite(&node.name, &bias)?;
        let mut padded = x;
        let covered = window.covered();
        if turned {
            padded = self.spread(&padded, &window, [height, width], line)?;
            window = ImageWindow { stride: [1, 1], pads: [0; 4], ..window };
        } else if window.pads[0].max(window.pads[2]) >= covered[0]
            || window.pads[1].max(window.pads[3]) >= covered[1]
        {
            // A window must see a pixel, so that larger pads become zeros.
            let [top, left, bottom, right] = window.pads;
            let range = |size: usize, before: usize, after: usize| -> Vec<Index> {
                let inside = (0..size).map(Some);
                let zeros = |count| std::iter::repeat_n(None, count);
                zeros(before).chain(inside).chain(zeros(after)).collect()
            };
            self.builder.bounded(node, top.saturating_add(bottom).saturating_add(height))?;
            self.builder.bounded(node, left.saturating_add(right).saturating_add(width))?;
            padded = self.builder.take(node, &padded, 2, range(height, top, bottom))?;
            padded = self.builder.take(node, &padded, 3, range(width, left, right))?;
            window.pads = [0; 4];
        }
        self.builder.spend(weights.entries.len())?;
        let matrix = weights.matrix();
        let kind = Kind::Conv { weights: matrix.into(), bias, window, groups };
        let convolved = self.builder.layer(node, kind, &[padded])?;
        self.unimage(&convolved, line)
    }

    /// The image between whose pixels a transposed convolution puts zeros, with
    /// its pads.
    fn spread(
        &mut self,
        x: &Operand,
        window: &ImageWindow,
        size: [usize; 2],
        line: bool,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let list = |name: &str| -> Result<Option<[usize; 2]>, OnnxError> {
            match (node.sizes(name)?.as_deref(), line) {
                (None, _) => Ok(None),
                (Some(&[width]), true) => Ok(Some([0, width])),
                (Some(&[height, width]), false) => Ok(Some([height, width])),
                _ => Err(node.attribute(name)),
            }
        };
        let more = list("output_padding")?.unwrap_or([0, 0]);
        let wanted = list("output_shape")?;
        let mut spread = x.clone();
        for axis in 0..2 {
            let (covered, stride) = (window.covered()[axis], window.stride[axis]);
            let reached = (size[axis] - 1).saturating_mul(stride).saturating_add(1);
            let all = reached.saturating_add(covered - 1).saturating_add(more[axis]);
            let (mut before, mut after) = (window.pads[axis], window.pads[axis + 2]);
            let same = matches!(node.string("auto_pad"), Some("SAME_UPPER" | "SAME_LOWER"));
            let wanted = match wanted {
                Some(wanted) if !(line && axis == 0) => Some(wanted[axis]),
                _ if same => Some(size[axis].saturating_mul(stride)),
                _ => None,
            };
            if let Some(wanted) = wanted {
                let total = all.saturating_sub(wanted);
                let small = total / 2;
                let upper = node.string("auto_pad") == Some("SAME_UPPER");
                before = if upper { small } else { total - small };
                after = total - before;
            }
            // A larger output ends in places that no pixel reaches.
            let all = all.max(wanted.unwrap_or(0));
            self.builder.bounded(node, all.saturating_add(covered))?;
            let length = all.checked_sub(before.saturating_add(after)).filter(|&length| length > 0);
            let length = length.ok_or_else(|| node.attribute("pads"))?;
            // Place `at` of the output sees `covered` places from here on.
            let index = |at: usize| -> Index {
                let place = (at + before).checked_sub(covered - 1)?;
                (place < reached && place.is_multiple_of(stride)).then_some(place / stride)
            };
            let indices = (0..length + covered - 1).map(index).collect();
            spread = self.builder.take(node, &spread, axis + 2, indices)?;
        }
        Ok(spread)
    }

    /// A value as images 1×C×H×W, and whether it had one axis of pixels.
    pub(super) fn image(&mut self, x: &Operand) -> Result<(Operand, bool), OnnxError> {
        let shape = self.builder.shape(x);
        match *shape.0.as_slice() {
            [1, channels, width] => {
                let image = self.builder.reshape(self.node, x, vec![1, channels, 1, width])?;
                Ok((image, true))
            }
            _ => Ok((x.clone(), false)),
        }
    }

    /// The reverse of [`Read::image`].
    pub(super) fn unimage(&mut self, x: &Operand, line: bool) -> Result<Operand, OnnxError> {
        match (line, self.builder.shape(x).image()) {
            (true, Some([channels, _, width])) => {
                self.builder.reshape(self.node, x, vec![1, channels, width])
            }
            _ => Ok(x.clone()),
        }
    }
}

/// Why a value is no image of one sample.
pub(super) fn no_image(node: &Node<'_>, shape: &ValueShape) -> OnnxError {
    match shape.0.first() {
        Some(batch) if *batch > 1 && shape.rank() > 2 => {
            let got = format!("expected one sample, got a batch of {batch}");
            let remedy = "export the file with a batch of 1 or an open one";
            node.unsupported(format!("{got}; {remedy}"))
        }
        _ => node.unsupported("expected images of one or two axes"),
    }
}
