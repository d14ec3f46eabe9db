//! Layers of a graph as layers that are trained.

use super::LastLayersError;
use poai_import::graph::expression::Expression;
use poai_import::graph::{ImageWindow, Kind, Layer, Reduction, ValueShape};
use poai_import::onnx::CutGraph;
use poai_train::Layers;
use poai_train::layers::{SampleKind, TrainLayer};

/// The largest difference of a function of a file and the function of a layer, such as
/// that of GELU and its form with tanh.
const SAME: f64 = 1e-3;
/// The largest ε of a norm. The layer's own ε is smaller.
const EPSILON_MAX: f32 = 1e-3;

/// What a layer reads, as the layers so far have it.
#[derive(Clone, Debug)]
enum Now {
    /// Rows of features.
    Rows { length: usize, columns: usize },
    /// An image, whose channels a file has first.
    Image([usize; 3]),
    /// One row. Its entry i is entry `order[i]` in the file.
    Flat(Vec<usize>),
}

/// Layers under construction.
pub(super) struct Converter<'a> {
    cut: &'a CutGraph,
    sample: SampleKind,
    now: Now,
    layers: Vec<TrainLayer>,
    /// The numbers of each parameter, in the order of the layers.
    numbers: Vec<Vec<f32>>,
}

/// Why a layer is not trained.
type Because = &'static str;

impl<'a> Converter<'a> {
    pub(super) fn new(cut: &'a CutGraph, sample: SampleKind) -> Converter<'a> {
        let now = match sample {
            SampleKind::Image { height, width, channels, .. } => {
                Now::Image([channels, height, width].map(|size| size as usize))
            }
            SampleKind::Sequence { length, columns, .. } => {
                Now::Rows { length: length as usize, columns: columns as usize }
            }
            // No other kind is made of a cut.
            _ => Now::Flat(vec![]),
        };
        Converter { cut, sample, now, layers: vec![], numbers: vec![] }
    }

    /// Adds layer `at` of the part behind the cut. `shapes` are those of its values.
    pub(super) fn layer(
        &mut self,
        at: usize,
        layer: &Layer,
        shapes: &[ValueShape],
    ) -> Result<(), LastLayersError> {
        let last = at + 1 == self.cut.after.layers.len();
        let shape = |value: usize| shapes.get(value).cloned().unwrap_or_default();
        let done = match layer.inputs.as_slice() {
            // The value before layer i is value i, as there is one input.
            &[only] if only == at => self.kind(&layer.kind, &shape(at), &shape(at + 1), last),
            _ => Err("it reads another value than that of the layer before it"),
        };
        done.map_err(|because| {
            let node = self.cut.node(&layer.name);
            let operator = node.map_or(name(&layer.kind), |(operator, _)| operator).to_owned();
            let behind = node.filter(|_| !last).map(|(_, output)| output.to_owned());
            LastLayersError::Layer { node: layer.name.clone(), operator, because, behind }
        })
    }

    /// The layers and the numbers of their parameters.
    pub(super) fn finish(self) -> Result<(Layers, Vec<Vec<f32>>), LastLayersError> {
        match (self.layers.last(), &self.now) {
            (Some(TrainLayer::Linear { .. }), Now::Rows { length: 1, .. }) => {}
            (Some(TrainLayer::Linear { .. }), Now::Rows { length, .. }) => {
                return Err(LastLayersError::Logits(format!("a product of {length} rows")));
            }
            (last, _) => {
                let last = last.map_or("no layer", TrainLayer::kind);
                return Err(LastLayersError::Logits(last.to_owned()));
            }
        }
        let layers = Layers::of(self.sample);
        Ok((self.layers.into_iter().fold(layers, Layers::layer), self.numbers))
    }

    fn kind(
        &mut self,
        kind: &Kind,
        from: &ValueShape,
        to: &ValueShape,
        last: bool,
    ) -> Result<(), Because> {
        match kind {
            Kind::Linear { weights, bias } => {
                // Exact: a constant has at most 2^28 entries.
                let (outputs, has) = (weights.nrows() as u32, bias.iter().any(|&b| b != 0.0));
                self.columns(from)?;
                let numbers = match &self.now {
                    Now::Image(_) | Now::Rows { .. } => weights.iter().copied().collect(),
                    Now::Flat(order) => weights
                        .outer_iter()
                        .flat_map(|row| order.iter().map(move |&at| row[at]))
                        .collect(),
                };
                self.numbers.push(numbers);
                if has {
                    self.numbers.push(bias.clone());
                }
                self.layers.push(TrainLayer::Linear { outputs, bias: has });
                let length = if let Now::Rows { length, .. } = self.now { length } else { 1 };
                self.now = Now::Rows { length, columns: weights.nrows() };
            }
            Kind::Conv { weights, bias, window, groups } => {
                let kernel = self.kernel(window, *groups)?;
                let Now::Image([_, height, width]) = self.now else {
                    return Err("a convolution of no image");
                };
                self.numbers.push(weights.iter().copied().collect());
                self.numbers.push(bias.clone());
                // Exact: as for products.
                let outputs = weights.nrows() as u32;
                self.layers.push(TrainLayer::Conv { outputs, kernel });
                self.now = Now::Image([weights.nrows(), height, width]);
            }
            Kind::Pointwise(function) => self.layers.push(activation(function)?),
            Kind::MaxPool { window } => {
                let size = self.square(window)?;
                self.layers.push(TrainLayer::MaxPool { size });
            }
            Kind::AveragePool { window } => {
                let size = self.square(window)?;
                self.layers.push(TrainLayer::AveragePool { size });
            }
            Kind::Reduce { axes, how: Reduction::Mean } => {
                let columns = match self.now {
                    Now::Image([channels, ..]) if axes.as_slice() == [2, 3] => channels,
                    Now::Rows { length, columns }
                        if axes.as_slice() == [1] && from.0 == [1, length, columns] =>
                    {
                        columns
                    }
                    _ => return Err("a mean of other numbers than all pixels or all rows"),
                };
                self.layers.push(TrainLayer::MeanPool);
                self.now = Now::Rows { length: 1, columns };
            }
            Kind::Normalise { centre, epsilon, gamma, beta } => {
                if *epsilon > EPSILON_MAX {
                    return Err("a norm of an epsilon above 0.001");
                }
                self.columns(from)?;
                let ordered = |numbers: &[f32]| match &self.now {
                    Now::Flat(order) => order.iter().map(|&at| numbers[at]).collect(),
                    _ => numbers.to_vec(),
                };
                let both = [ordered(gamma), ordered(beta)];
                self.numbers.extend(both);
                self.layers.push(TrainLayer::Norm { centre: *centre, affine: true });
            }
            Kind::Reshape { .. } => self.reshape(from, to)?,
            Kind::Softmax if last => {}
            Kind::Softmax => return Err("only a last Softmax is part of the loss"),
            Kind::Add { .. } | Kind::Mul | Kind::MatMul | Kind::Concat { .. } => {
                return Err("layers are a chain, in which each one reads one value");
            }
            Kind::Scale { .. } | Kind::Offset { .. } => {
                return Err("a constant that no product behind or before it takes in");
            }
            _ => return Err("there is no such layer"),
        }
        Ok(())
    }

    /// The size of a kernel that keeps the image's size.
    fn kernel(&self, window: &ImageWindow, groups: usize) -> Result<u32, Because> {
        let [height, width] = window.kernel;
        let around = window.pads == [height / 2; 4] && window.stride == [1, 1];
        if groups != 1 {
            return Err("a convolution of several groups");
        }
        if height != width || height % 2 == 0 || !around || window.dilation != [1, 1] {
            return Err(
                "a convolution whose kernel is no square of odd size, or that changes the size of \
                 the image",
            );
        }
        u32::try_from(height).map_err(|_| "a kernel of 2^32 pixels")
    }

    /// The size of the squares of a pool. They cover the image.
    fn square(&mut self, window: &ImageWindow) -> Result<u32, Because> {
        let Now::Image([channels, height, width]) = self.now else {
            return Err("a pool of no image");
        };
        let size = window.kernel[0];
        let squares = window.kernel == [size; 2]
            && window.stride == [size; 2]
            && window.pads == [0; 4]
            && window.dilation == [1, 1];
        if !squares || height.checked_rem(size) != Some(0) || width.checked_rem(size) != Some(0) {
            return Err("a pool whose windows are no squares side by side that cover the image");
        }
        self.now = Now::Image([channels, height / size, width / size]);
        u32::try_from(size).map_err(|_| "a window of 2^32 pixels")
    }

    /// The same entries in another shape: all in one row, or as they are.
    fn reshape(&mut self, from: &ValueShape, to: &ValueShape) -> Result<(), Because> {
        let row = to.last() == to.entries();
        match &self.now {
            Now::Image(image) if row => self.now = Now::Flat(channels_last(*image)),
            Now::Rows { length: 2.., .. } if row => {
                self.now = Now::Flat((0..from.entries()).collect());
            }
            // A mean of pixels is one row already.
            Now::Rows { length: 1, .. } | Now::Flat(_) if row => return Ok(()),
            Now::Rows { length: 2.., columns } if to.last() == *columns => return Ok(()),
            _ => return Err("only flattening of all entries into one row is a layer"),
        }
        self.layers.push(TrainLayer::Flatten);
        Ok(())
    }

    /// Refuses a layer along another axis than that of the columns.
    fn columns(&self, from: &ValueShape) -> Result<(), Because> {
        let columns = match &self.now {
            Now::Rows { columns, .. } => *columns,
            Now::Flat(order) => order.len(),
            Now::Image(_) => return Err("a product or a norm of the rows of an image"),
        };
        let rows = from.last() == columns;
        if rows { Ok(()) } else { Err("a product or a norm along another axis than the columns") }
    }
}

/// The activation that a function is.
fn activation(function: &Expression) -> Result<TrainLayer, Because> {
    if function.is_relu() {
        return Ok(TrainLayer::Relu);
    }
    let is = |own: &dyn Fn(f64) -> f64| {
        // ±8 in steps of a sixteenth, as the layer's table has.
        (-128..=128).map(|i| f64::from(i) / 16.0).all(|x| (function.at(x) - own(x)).abs() < SAME)
    };
    if is(&gelu) {
        Ok(TrainLayer::Gelu)
    } else if is(&|x| x / (1.0 + (-x).exp())) {
        Ok(TrainLayer::Silu)
    } else {
        Err("a function of a number that is neither Relu, GELU nor SiLU")
    }
}

/// GELU, by the form with tanh, which differs by less than half of [`SAME`].
fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

/// Where the entries of an image with its channels last are in one that has them first.
pub(super) fn channels_last([channels, height, width]: [usize; 3]) -> Vec<usize> {
    let pixels = height * width;
    (0..pixels).flat_map(|pixel| (0..channels).map(move |at| at * pixels + pixel)).collect()
}

/// A kind's name, for layers that a file does not name.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Linear { .. } | Kind::MatMul => "MatMul",
        Kind::Conv { .. } => "Conv",
        Kind::Scale { .. } | Kind::Mul => "Mul",
        Kind::Offset { .. } | Kind::Add { .. } => "Add",
        Kind::Pointwise(_) => "function of a number",
        Kind::MaxPool { .. } => "MaxPool",
        Kind::AveragePool { .. } => "AveragePool",
        Kind::Reduce { how: Reduction::Mean, .. } => "ReduceMean",
        Kind::Reduce { how: Reduction::Max, .. } => "ReduceMax",
        Kind::Softmax => "Softmax",
        Kind::Normalise { .. } => "LayerNormalization",
        Kind::Lookup { .. } => "Gather",
        Kind::Reshape { .. } => "Reshape",
        Kind::Transpose { .. } => "Transpose",
        Kind::Take { .. } => "Slice",
        Kind::Concat { .. } => "Concat",
    }
}
