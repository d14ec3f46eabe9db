//! Building of the program, layer by layer.

use super::super::graph::{self, Graph, Kind, Layer};
use super::order;
use super::ranges::Plan;
use super::{Granularity, NARROW, Numbers, QuantiseError, QuantiseOptions, WIDE, finite, integer};
use ndarray::{Array2, Axis};
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Form, Op, ValueId, Window, standard,
};
use poai_engine::execute::Network;
use poai_engine::execute::network::Constants;

/// A network, and the program's value for every value of the graph.
pub(super) struct Built {
    pub(super) network: Network,
    pub(super) values: Vec<ValueId>,
}

/// Largest magnitude of a weight.
const WEIGHT_MAX: i32 = 63;
/// Bound of multipliers and biases. Within it, a sum with an accumulator fits
/// i32, and a product with a multiplier fits i64.
const BOUND: i32 = (1 << 30) - 1;
/// A channel's scale is at least 2^−16 of the scale of the layer's largest
/// weight. All multipliers share one shift, so those of small channels have up
/// to this many bits less.
const CHANNEL_BITS: i32 = 16;
/// Longest name of a step, in bytes.
const NAME_MAX: usize = 255;

pub(super) fn build(
    graph: &Graph,
    shapes: &[graph::ImageExtent],
    plan: &Plan,
    options: &QuantiseOptions,
) -> Result<Built, QuantiseError> {
    let rows = dim("input", graph.input.rows())?;
    let columns = dim("input", graph.input.channels)?;
    let builder = Builder::new(&[Form::new(Dim::fixed(rows), Dim::fixed(columns), Dtype::I8)]);
    let values = vec![builder.input(0)];
    let constants = Constants::default();
    let mut build = Build { plan, shapes, options, builder, constants, values };
    for layer in &graph.layers {
        let value = build.layer(layer)?;
        build.values.push(value);
    }
    build.order(graph)?;
    let Build { builder, constants, values, .. } = build;
    let network = Network::new(builder.finish()?, constants.into_tensors())?;
    Ok(Built { network, values })
}

struct Build<'a> {
    plan: &'a Plan,
    shapes: &'a [graph::ImageExtent],
    options: &'a QuantiseOptions,
    builder: Builder,
    constants: Constants,
    /// The program's values for the graph's values so far.
    values: Vec<ValueId>,
}

impl Build<'_> {
    fn layer(&mut self, layer: &Layer) -> Result<ValueId, QuantiseError> {
        let (name, read) = (&layer.name, layer.inputs[0]);
        let x = self.values[read];
        match &layer.kind {
            Kind::Gemm { weights, bias } => self.linear(layer, x, weights, bias),
            Kind::Conv { weights, bias, window } => {
                let x = self.unfold(layer, x, window)?;
                self.linear(layer, x, weights, bias)
            }
            Kind::Relu => self.step(name, Op::Relu, &[x]),
            Kind::MaxPool { window } => {
                let op = Op::MaxPool(self.window(layer, window)?);
                self.step(name, op, &[x])
            }
            Kind::AveragePool { window, count_include_pad } => {
                if *count_include_pad && window.pads != [0; 4] {
                    let what = "a mean that counts pads";
                    return Err(QuantiseError::Unsupported { layer: name.clone(), what });
                }
                self.mean(layer, x, window)
            }
            Kind::GlobalAveragePool => {
                let graph::ImageExtent { height, width, .. } = self.shapes[read];
                let all =
                    graph::ImageWindow { kernel: [height, width], stride: [1, 1], pads: [0; 4] };
                self.mean(layer, x, &all)
            }
            Kind::Flatten => {
                let columns = Dim::fixed(dim(name, self.shapes[read].entries())?);
                self.step(name, Op::Reshape { rows: Dim::fixed(1), columns }, &[x])
            }
            Kind::Add => {
                let ratios = [0, 1].map(|input| self.ratio(layer.inputs[input]));
                let bits = standard::MULTIPLIER_BITS;
                let (multipliers, shift) = self.fixed_point(layer, &ratios, bits)?;
                let multipliers = [multipliers[0], multipliers[1]];
                let op = Op::Add { multipliers, shift, clamp: self.clamp() };
                self.step(name, op, &[x, self.values[layer.inputs[1]]])
            }
        }
    }

    /// Brings the output's entries into the file's order, one row a sample.
    fn order(&mut self, graph: &Graph) -> Result<(), QuantiseError> {
        let Some(layer) = graph.layers.last() else { return Ok(()) };
        let (name, last) = (&layer.name, graph.layers.len());
        let Some(image) = order::image(graph, self.shapes) else { return Ok(()) };
        let mut x = self.values[last];
        let [pixels, channels, all] = [image.rows(), image.channels, image.entries()];
        let [pixels, channels, all] = [dim(name, pixels)?, dim(name, channels)?, dim(name, all)?];
        let shaped = |rows, columns| {
            let [rows, columns] = [rows, columns].map(Dim::fixed);
            Op::Reshape { rows, columns }
        };
        if channels > 1 {
            if self.shapes[last].rows() == 1 {
                x = self.step(&suffixed(name, ".pixels"), shaped(pixels, channels), &[x])?;
            }
            x = self.step(&suffixed(name, ".channels"), Op::Transpose, &[x])?;
        } else if self.shapes[last].rows() == 1 {
            return Ok(());
        }
        self.step(&suffixed(name, ".row"), shaped(1, all), &[x])?;
        Ok(())
    }

    /// The value of 1 of an input, in the layer's own scale.
    fn ratio(&self, value: usize) -> f64 {
        self.plan.values[value].scale / self.plan.values[self.values.len()].scale
    }

    /// The range of the layer's own output.
    fn clamp(&self) -> Clamp {
        if self.plan.values[self.values.len()].wide { WIDE } else { NARROW }
    }

    fn step(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, QuantiseError> {
        Ok(self.builder.step(short(name, NAME_MAX), op, inputs)?)
    }

    fn constant(
        &mut self,
        layer: &Layer,
        suffix: &str,
        size: (usize, usize),
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ConstantId, QuantiseError> {
        let name = format!("{}{suffix}", short(&layer.name, NAME_MAX - suffix.len()));
        let named = |source| QuantiseError::Tensor { layer: layer.name.clone(), source };
        self.constants.add(&mut self.builder, &name, size, dtype, entries).map_err(named)
    }

    /// The program's window over the layer's input.
    fn window(&self, layer: &Layer, window: &graph::ImageWindow) -> Result<Window, QuantiseError> {
        let of = |size: usize| dim(&layer.name, size);
        let graph::ImageExtent { height, width, .. } = self.shapes[layer.inputs[0]];
        let graph::ImageWindow { kernel, stride, pads } = *window;
        Ok(Window {
            height: of(height)?,
            width: of(width)?,
            kernel: [of(kernel[0])?, of(kernel[1])?],
            stride: [of(stride[0])?, of(stride[1])?],
            pads: [of(pads[0])?, of(pads[1])?, of(pads[2])?, of(pads[3])?],
        })
    }

    /// Unfolds a convolution's rows. Windows of single pixels need no step.
    fn unfold(
        &mut self,
        layer: &Layer,
        x: ValueId,
        window: &graph::ImageWindow,
    ) -> Result<ValueId, QuantiseError> {
        let pixel = graph::ImageWindow { kernel: [1, 1], stride: [1, 1], pads: [0; 4] };
        if *window == pixel {
            return Ok(x);
        }
        let op = Op::Unfold(self.window(layer, window)?);
        self.step(&suffixed(&layer.name, ".unfold"), op, &[x])
    }

    /// `x·Wᵀ + b`, with the bias in the accumulator's scale, one multiplier per
    /// channel, and one shift.
    fn linear(
        &mut self,
        layer: &Layer,
        x: ValueId,
        weights: &Array2<f32>,
        bias: &[f32],
    ) -> Result<ValueId, QuantiseError> {
        finite(&layer.name, "its weights", weights.iter())?;
        finite(&layer.name, "its bias", bias.iter())?;
        let scale_x = self.plan.values[layer.inputs[0]].scale;
        let bound = match self.options.numbers {
            Numbers::Fitted => BOUND,
            Numbers::Standard => (1 << standard::BIAS_BITS) - 1,
        };
        let scales = weight_scales(weights, bias, scale_x, bound, self.options.weights);
        let channels = weights.outer_iter().zip(&scales);
        let integers: Vec<i32> = channels
            .flat_map(|(row, &scale)| {
                let row: Vec<i32> =
                    row.iter().map(|&w| integer(f64::from(w) / scale, WEIGHT_MAX)).collect();
                row
            })
            .collect();
        let ratio = self.ratio(layer.inputs[0]);
        let ratios: Vec<f64> = scales.iter().map(|scale| ratio * scale).collect();
        let (multipliers, shift) = self.fixed_point(layer, &ratios, standard::CHANNEL_BITS)?;
        let requantise: Vec<i32> = bias
            .iter()
            .zip(scales.iter().zip(&multipliers))
            .flat_map(|(&bias, (scale, &multiplier))| {
                [integer(f64::from(bias) / (scale_x * scale), bound), multiplier, 0]
            })
            .collect();
        let weights = self.constant(layer, ".weights", weights.dim(), Dtype::I8, &integers)?;
        let size = (bias.len(), 3);
        let requantise = self.constant(layer, ".requantise", size, Dtype::I32, &requantise)?;
        let op = Op::Linear { weights, requantise, shifts: [shift, 0, 0], clamp: self.clamp() };
        self.step(&layer.name, op, &[x])
    }

    /// Positive numbers as multipliers with one shift. In standard form it is
    /// the shift of the layer's own type, and the multipliers must be below
    /// 2^bits.
    fn fixed_point(
        &self,
        layer: &Layer,
        numbers: &[f64],
        bits: u8,
    ) -> Result<(Vec<i32>, u8), QuantiseError> {
        if self.options.numbers == Numbers::Fitted {
            return Ok(fitted(numbers));
        }
        let shift = standard::shift(self.clamp().dtype);
        let (most, scale) = ((1 << bits) - 1, 2f64.powi(shift.into()));
        match numbers.iter().find(|&&number| (number * scale).round() > f64::from(most)) {
            Some(&ratio) => {
                let limit = f64::from(1 << bits) / scale;
                Err(QuantiseError::Standard { layer: layer.name.clone(), ratio, limit })
            }
            None => Ok((numbers.iter().map(|&one| integer(one * scale, most)).collect(), shift)),
        }
    }

    /// A mean in i16, eight bits finer than its input, and then in its own
    /// scale. The extra bits are needed because means have smaller ranges.
    fn mean(
        &mut self,
        layer: &Layer,
        x: ValueId,
        window: &graph::ImageWindow,
    ) -> Result<ValueId, QuantiseError> {
        const FINER: i32 = 1 << 8;
        let widen = Op::Requantise { multiplier: FINER, shift: 0, clamp: WIDE };
        let x = self.step(&suffixed(&layer.name, ".widen"), widen, &[x])?;
        let op = Op::AveragePool(self.window(layer, window)?);
        let x = self.step(&suffixed(&layer.name, ".mean"), op, &[x])?;
        let ratio = self.ratio(layer.inputs[0]) / f64::from(FINER);
        let (multipliers, shift) = self.fixed_point(layer, &[ratio], standard::MULTIPLIER_BITS)?;
        let op = Op::Requantise { multiplier: multipliers[0], shift, clamp: self.clamp() };
        self.step(&layer.name, op, &[x])
    }
}

/// One scale per output channel; none is zero.
fn weight_scales(
    weights: &Array2<f32>,
    bias: &[f32],
    scale_x: f64,
    bound: i32,
    granularity: Granularity,
) -> Vec<f64> {
    let largest = |entries: &mut dyn Iterator<Item = &f32>| {
        f64::from(entries.fold(0.0, |largest: f32, entry| largest.max(entry.abs())))
    };
    let max = f64::from(WEIGHT_MAX);
    // A lower bound of each scale, so that the bias fits its integer.
    let room = |bias: f64| bias / scale_x / f64::from(bound);
    let largest_bias = largest(&mut bias.iter());
    let tensor = match largest(&mut weights.iter()) / max {
        // Without weights, only the bias determines the scale, and a coarse
        // scale is enough.
        0.0 if largest_bias > 0.0 => largest_bias / scale_x / f64::from(1 << 15),
        0.0 => 1.0,
        scale => scale.max(room(largest_bias)),
    };
    let channel = |(row, &bias): (ndarray::ArrayView1<'_, f32>, &f32)| {
        let own = largest(&mut row.iter()) / max;
        // Zeros are exact in any scale.
        let own = if own > 0.0 { own } else { tensor };
        own.max(tensor * 0.5f64.powi(CHANNEL_BITS)).max(room(f64::from(bias).abs()))
    };
    match granularity {
        Granularity::PerTensor => vec![tensor; bias.len()],
        Granularity::PerChannel => weights.axis_iter(Axis(0)).zip(bias).map(channel).collect(),
    }
}

/// Positive numbers as multipliers below 2^30 with one shift, which is as large
/// as possible. A number that is still too large becomes the largest
/// multiplier, because its product is clipped anyway.
fn fitted(numbers: &[f64]) -> (Vec<i32>, u8) {
    let largest = numbers.iter().copied().fold(0.0, f64::max);
    let scaled = |number: f64, shift: u8| (number * 2f64.powi(shift.into())).round();
    let fits = |&shift: &u8| scaled(largest, shift) <= f64::from(BOUND);
    let shift = (0..=poai_core::program::SHIFT_MAX).rev().find(fits).unwrap_or(0);
    let multipliers = numbers.iter().map(|&number| integer(scaled(number, shift), BOUND));
    (multipliers.collect(), shift)
}

fn dim(layer: &str, size: usize) -> Result<u32, QuantiseError> {
    u32::try_from(size).map_err(|_| QuantiseError::TooLarge { layer: layer.to_owned() })
}

fn suffixed(name: &str, suffix: &str) -> String {
    format!("{}{suffix}", short(name, NAME_MAX - suffix.len()))
}

/// The longest prefix of a name with at most `bytes` bytes.
fn short(name: &str, bytes: usize) -> &str {
    &name[..name.floor_char_boundary(bytes)]
}
