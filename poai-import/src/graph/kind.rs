//! What a layer computes.

use super::Expression;
use super::moves::Index;
use ndarray::{ArcArray2, Array2};
use std::fmt;

/// How a kernel slides over an image. All counts are pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageWindow {
    /// Height and width of the kernel, without the gaps of a dilation.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Pixels added around the image: top, left, bottom, right.
    pub pads: [usize; 4],
    /// The distance between neighbours of the kernel, down and right.
    pub dilation: [usize; 2],
}

impl ImageWindow {
    /// A window without pads, strides and gaps.
    pub const fn of(kernel: [usize; 2]) -> ImageWindow {
        ImageWindow { kernel, stride: [1, 1], pads: [0; 4], dilation: [1, 1] }
    }

    /// The height and width that the kernel covers, gaps included, saturating.
    pub const fn covered(&self) -> [usize; 2] {
        [
            self.kernel[0].saturating_sub(1).saturating_mul(self.dilation[0]).saturating_add(1),
            self.kernel[1].saturating_sub(1).saturating_mul(self.dilation[1]).saturating_add(1),
        ]
    }

    /// Height and width of the output. `None` if the kernel does not fit, or if
    /// the kernel, the stride or the dilation is zero.
    pub fn output(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.pads;
        let covered = self.covered();
        let span = |size: usize, axis: usize, before: usize, after: usize| {
            let positive = self.kernel[axis] > 0 && self.dilation[axis] > 0;
            let padded = size.checked_add(before)?.checked_add(after)?;
            let room = padded.checked_sub(covered[axis]).filter(|_| positive)?;
            Some(room.checked_div(self.stride[axis])? + 1)
        };
        Some([span(height, 0, top, bottom)?, span(width, 1, left, right)?])
    }

    /// Pixels of the kernel, saturating.
    pub const fn area(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// Whether the window is one pixel that moves by one.
    pub fn is_pixel(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pads == [0; 4]
    }
}

impl fmt::Display for ImageWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImageWindow { kernel: [h, w], stride: [down, right], pads, dilation } = self;
        write!(f, "kernel {h}×{w}, stride {down}×{right}, pads {pads:?}")?;
        if *dilation != [1, 1] { write!(f, ", dilation {dilation:?}") } else { Ok(()) }
    }
}

/// A constant tensor that broadcasts over a value: the ranks are equal, and
/// each dimension is 1 or that of the value.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphConstant {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its entries, row-major.
    pub entries: Vec<f32>,
}

impl GraphConstant {
    /// One number for values of the given rank.
    pub fn scalar(number: f32, rank: usize) -> GraphConstant {
        GraphConstant { shape: vec![1; rank], entries: vec![number] }
    }

    /// The number, if all entries are equal.
    pub fn uniform(&self) -> Option<f32> {
        let (&first, rest) = self.entries.split_first()?;
        rest.iter().all(|&entry| entry == first).then_some(first)
    }

    /// The entries along the axis, if the constant varies along it alone.
    /// `size` is the value's size there.
    pub fn along(&self, axis: usize, size: usize) -> Option<Vec<f32>> {
        if let Some(only) = self.uniform() {
            return Some(vec![only; size]);
        }
        let alone = self.shape.iter().enumerate().all(|(at, &dim)| at == axis || dim == 1);
        (alone && self.entries.len() == size).then(|| self.entries.clone())
    }
}

/// What is computed of several entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The mean.
    Mean,
    /// The largest.
    Max,
}

/// What a layer computes. All but [`Kind::Add`], [`Kind::Mul`],
/// [`Kind::MatMul`] and [`Kind::Concat`] read one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `y = x·Wᵀ + b` along the last axis.
    Linear {
        /// W: outputs × inputs. Layers of a network that is written out in time
        /// share them.
        weights: ArcArray2<f32>,
        /// b: one entry per output.
        bias: Vec<f32>,
    },
    /// A convolution of an image 1×C×H×W; pads are zeros.
    Conv {
        /// W: outputs × (kernel height · kernel width · channels of a group).
        /// Columns are in that order, with the channels running fastest.
        weights: ArcArray2<f32>,
        /// b: one entry per output.
        bias: Vec<f32>,
        /// The kernel, its stride, pads and dilation.
        window: ImageWindow,
        /// The groups, which divide channels and outputs.
        groups: usize,
    },
    /// `x·c`.
    Scale {
        /// c, which broadcasts.
        by: GraphConstant,
    },
    /// `x + c`.
    Offset {
        /// c, which broadcasts.
        by: GraphConstant,
    },
    /// A function of every entry.
    Pointwise(Expression),
    /// `a·f0 + b·f1` of two values of one shape.
    Add {
        /// f0, f1.
        factors: [f32; 2],
    },
    /// `a·b` of two values of one shape, entry by entry.
    Mul,
    /// The product of matrices: …×M×K and …×K×N, with equal leading sizes.
    MatMul,
    /// The greatest entry under the window, channel by channel, of an image
    /// 1×C×H×W. Pads never win.
    MaxPool {
        /// The window; every pad is smaller than the kernel.
        window: ImageWindow,
    },
    /// The mean under the window, channel by channel, of an image 1×C×H×W.
    AveragePool {
        /// The window; every pad is smaller than the kernel.
        window: ImageWindow,
    },
    /// One entry for all entries along some axes, which stay with size 1.
    Reduce {
        /// The axes, ascending.
        axes: Vec<usize>,
        /// What is computed.
        how: Reduction,
    },
    /// `exp(x)/Σ exp(x)` along the last axis.
    Softmax,
    /// `(x − mean)/√(variance + ε)·γ + β` along the last axis, or
    /// `x/√(mean x² + ε)·γ + β` without `centre`.
    Normalise {
        /// Whether the mean is subtracted.
        centre: bool,
        /// ε.
        epsilon: f32,
        /// γ.
        gamma: Vec<f32>,
        /// β.
        beta: Vec<f32>,
    },
    /// Row `id` of a table for every id.
    Lookup {
        /// The table: ids × columns.
        table: Array2<f32>,
    },
    /// The same entries in the same order, in another shape.
    Reshape {
        /// The shape.
        shape: Vec<usize>,
    },
    /// Axes in another order.
    Transpose {
        /// For each axis of the output, the axis of the input.
        permutation: Vec<usize>,
    },
    /// Entries along an axis by their index, or 0 for `None`.
    Take {
        /// The axis.
        axis: usize,
        /// An index for each place of the output.
        indices: Vec<Index>,
    },
    /// Several values, one after another along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
}

impl Kind {
    /// The number of values that the layer reads; `None` for any positive
    /// number.
    pub const fn arity(&self) -> Option<usize> {
        match self {
            Kind::Add { .. } | Kind::Mul | Kind::MatMul => Some(2),
            Kind::Concat { .. } => None,
            _ => Some(1),
        }
    }

    /// The weights of a product or a convolution.
    pub(crate) const fn weights(&self) -> Option<&ArcArray2<f32>> {
        match self {
            Kind::Linear { weights, .. } | Kind::Conv { weights, .. } => Some(weights),
            _ => None,
        }
    }

    /// Whether the layer moves entries without changing them.
    pub const fn is_move(&self) -> bool {
        matches!(
            self,
            Kind::Reshape { .. } | Kind::Transpose { .. } | Kind::Take { .. } | Kind::Concat { .. }
        )
    }
}
