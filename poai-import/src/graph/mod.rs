//! The float network, independent of any file format: layers in order, each
//! naming the values that it reads.
//!
//! Value 0 is the input. Layer `i` makes value `i + 1`, and the last layer
//! makes the output. A value is stored channels-last, as a matrix of
//! (batch·height·width) rows × channels columns. A convolution is then a
//! product of unfolded rows with weights. A plain vector of features is an
//! image of one pixel.

mod error;

pub use error::GraphError;

use ndarray::Array2;
use std::fmt;

/// The most entries of one sample's value, and of one sample's unfolded
/// convolution: 2^28, 1 GiB of f32. Declared sizes are checked against it
/// before anything of that size is allocated.
pub const MAX_ENTRIES: usize = 1 << 28;

/// The shape of one sample's value: height × width pixels of `channels` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageExtent {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Entries of one pixel.
    pub channels: usize,
}

impl ImageExtent {
    /// A vector: one pixel of `features` channels.
    pub const fn features(features: usize) -> ImageExtent {
        ImageExtent { height: 1, width: 1, channels: features }
    }

    /// Rows of one sample: height·width, saturating.
    pub const fn rows(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Entries of one sample: height·width·channels, saturating.
    pub const fn entries(&self) -> usize {
        self.rows().saturating_mul(self.channels)
    }
}

impl fmt::Display for ImageExtent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.height, self.width, self.channels)
    }
}

/// How a kernel slides over an image. All counts are pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageWindow {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Pixels added around the image: top, left, bottom, right.
    pub pads: [usize; 4],
}

impl ImageWindow {
    /// Height and width of the output. `None` if the kernel does not fit, or if
    /// the kernel or the stride is zero.
    pub fn output(&self, input: ImageExtent) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.pads;
        let span = |size: usize, axis: usize, before: usize, after: usize| {
            let [kernel, stride] = [self.kernel[axis], self.stride[axis]];
            let padded = size.checked_add(before)?.checked_add(after)?;
            let room = padded.checked_sub(kernel).filter(|_| kernel > 0)?;
            Some(room.checked_div(stride)? + 1)
        };
        Some([span(input.height, 0, top, bottom)?, span(input.width, 1, left, right)?])
    }

    /// Pixels of the kernel, saturating.
    pub const fn area(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }
}

impl fmt::Display for ImageWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImageWindow { kernel: [h, w], stride: [down, right], pads } = self;
        write!(f, "kernel {h}×{w}, stride {down}×{right}, pads {pads:?}")
    }
}

/// What a layer computes. All but [`Kind::Add`] read one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `y = x·Wᵀ + b` of a vector.
    Gemm {
        /// W: outputs × inputs.
        weights: Array2<f32>,
        /// b: one entry per output.
        bias: Vec<f32>,
    },
    /// A convolution; pads are zeros.
    Conv {
        /// W: outputs × (kernel height · kernel width · input channels).
        /// Columns are in that order, with the channels running fastest.
        weights: Array2<f32>,
        /// b: one entry per output.
        bias: Vec<f32>,
        /// The kernel, its stride and its pads.
        window: ImageWindow,
    },
    /// `max(x, 0)` of every entry.
    Relu,
    /// The greatest entry under the window, channel by channel. Pads never win.
    MaxPool {
        /// The window; every pad is smaller than the kernel.
        window: ImageWindow,
    },
    /// The mean under the window, channel by channel.
    AveragePool {
        /// The window; every pad is smaller than the kernel.
        window: ImageWindow,
        /// Whether pads count as zeros. If not, the mean is over the image's
        /// pixels only.
        count_include_pad: bool,
    },
    /// The mean over all pixels, channel by channel. The output is one pixel.
    GlobalAveragePool,
    /// All pixels of a sample as one vector, in (height, width, channel) order.
    Flatten,
    /// The sum of two values of one shape.
    Add,
}

impl Kind {
    /// The number of values that the layer reads.
    pub const fn arity(&self) -> usize {
        if matches!(self, Kind::Add) { 2 } else { 1 }
    }

    /// The shape of the layer's output for inputs of the shapes `inputs`.
    /// Errors name the layer `layer`.
    ///
    /// # Errors
    /// [`GraphError`] names the mismatch.
    pub fn output(&self, layer: &str, inputs: &[ImageExtent]) -> Result<ImageExtent, GraphError> {
        let named = || layer.to_owned();
        let (first, second) = match (self, inputs) {
            (Kind::Add, &[first, second]) => (first, second),
            (Kind::Add, _) | (_, [] | [_, _, ..]) => {
                let (expected, got) = (self.arity(), inputs.len());
                return Err(GraphError::Arity { layer: named(), expected, got });
            }
            (_, &[only]) => (only, only),
        };
        let size = |what, expected, got| match expected == got {
            true => Ok(()),
            false => Err(GraphError::Size { layer: layer.to_owned(), what, expected, got }),
        };
        let slid = |window: &ImageWindow| {
            let none =
                || GraphError::Window { layer: layer.to_owned(), window: *window, input: first };
            let [height, width] = window.output(first).ok_or_else(none)?;
            Ok(ImageExtent { height, width, channels: first.channels })
        };
        let pooled = |window: &ImageWindow| {
            let [top, left, bottom, right] = window.pads;
            let [height, width] = window.kernel;
            // Otherwise a window could lie wholly outside the image and would
            // have no mean.
            if top.max(bottom) >= height || left.max(right) >= width {
                let (layer, window) = (layer.to_owned(), *window);
                return Err(GraphError::Window { layer, window, input: first });
            }
            slid(window)
        };
        let output = match self {
            Kind::Gemm { weights, bias } => {
                let expected = ImageExtent::features(weights.ncols());
                if first != expected {
                    return Err(GraphError::Shape { layer: named(), expected, got: first });
                }
                size("bias", weights.nrows(), bias.len())?;
                ImageExtent::features(weights.nrows())
            }
            Kind::Conv { weights, bias, window } => {
                let columns = window.area().saturating_mul(first.channels);
                size("weight columns", columns, weights.ncols())?;
                size("bias", weights.nrows(), bias.len())?;
                let output = ImageExtent { channels: weights.nrows(), ..slid(window)? };
                if output.rows().saturating_mul(columns) > MAX_ENTRIES {
                    return Err(GraphError::TooLarge { layer: named() });
                }
                output
            }
            Kind::MaxPool { window } | Kind::AveragePool { window, .. } => pooled(window)?,
            Kind::GlobalAveragePool => ImageExtent::features(first.channels),
            Kind::Flatten => ImageExtent::features(first.entries()),
            Kind::Relu => first,
            Kind::Add if first == second => first,
            Kind::Add => {
                return Err(GraphError::Shape { layer: named(), expected: first, got: second });
            }
        };
        bounded(layer, output)
    }
}

/// One layer of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The name that errors and reports use.
    pub name: String,
    /// What the layer computes.
    pub kind: Kind,
    /// The values that the layer reads, each made before it.
    pub inputs: Vec<usize>,
}

/// A float network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The shape of value 0.
    pub input: ImageExtent,
    /// The layers in order; the last one makes the output.
    pub layers: Vec<Layer>,
}

impl Graph {
    /// The shape of every value, with the input first: one more than there are
    /// layers.
    ///
    /// # Errors
    /// [`GraphError`] names the first layer that does not fit its inputs.
    pub fn shapes(&self) -> Result<Vec<ImageExtent>, GraphError> {
        if self.layers.is_empty() {
            return Err(GraphError::NoLayers);
        }
        let mut shapes = vec![bounded("input", self.input)?];
        for Layer { name, kind, inputs } in &self.layers {
            let read = inputs
                .iter()
                .map(|&value| {
                    let missing = || GraphError::Value { layer: name.clone(), value };
                    shapes.get(value).copied().ok_or_else(missing)
                })
                .collect::<Result<Vec<_>, _>>()?;
            shapes.push(kind.output(name, &read)?);
        }
        Ok(shapes)
    }
}

/// Refuses a value without entries, or with too many.
pub(super) fn bounded(layer: &str, extent: ImageExtent) -> Result<ImageExtent, GraphError> {
    match extent.entries() {
        0 => Err(GraphError::Empty { layer: layer.to_owned(), extent }),
        entries if entries > MAX_ENTRIES => Err(GraphError::TooLarge { layer: layer.to_owned() }),
        _ => Ok(extent),
    }
}
