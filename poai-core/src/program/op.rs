//! The steps of a program.
//!
//! Spec §12 defines their arithmetic, and [`crate::program::ops`] implements it
//! once.

use super::decoder::DecoderOp;
use super::tensor::{Dim, Dtype};
use super::training::TrainingOp;

/// The number of a constant of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConstantId(pub u32);

/// The number of a value of a program.
///
/// Inputs come first, then one value for every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ValueId(pub u32);

/// The type of a step's output, and the range that saturates it.
///
/// The range lies within the type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Clamp {
    /// The type.
    pub dtype: Dtype,
    /// The least entry.
    pub min: i32,
    /// The largest entry.
    pub max: i32,
}

impl Clamp {
    /// The whole range of a type.
    pub const fn full(dtype: Dtype) -> Clamp {
        let (min, max) = dtype.range();
        Clamp { dtype, min, max }
    }

    /// The range −63..=63 in i8, for symmetric operands.
    pub const SYMMETRIC: Clamp = Clamp { dtype: Dtype::I8, min: -63, max: 63 };
}

/// A window that moves over an image of `height`×`width` pixels.
///
/// The pixels are the rows of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Window {
    /// Rows of pixels.
    pub height: u32,
    /// Pixels in a row.
    pub width: u32,
    /// The window's height and width.
    pub kernel: [u32; 2],
    /// The pixels by which it moves, down and right.
    pub stride: [u32; 2],
    /// Pixels added at the top, left, bottom and right.
    pub pads: [u32; 4],
}

impl Window {
    /// The height and width of the output, or `None` if the window does not
    /// fit.
    pub fn output(&self) -> Option<[u32; 2]> {
        let side = |size: u32, kernel: u32, stride: u32, before: u32, after: u32| {
            let room = size.checked_add(before)?.checked_add(after)?.checked_sub(kernel)?;
            // A window that lies only in the padding would cover no pixels,
            // like an empty one.
            let fits = before < kernel && after < kernel;
            fits.then(|| room.checked_div(stride))?.map(|steps| steps + 1)
        };
        let [top, left, bottom, right] = self.pads;
        let height = side(self.height, self.kernel[0], self.stride[0], top, bottom)?;
        let width = side(self.width, self.kernel[1], self.stride[1], left, right)?;
        (self.height > 0 && self.width > 0).then_some([height, width])
    }
}

/// A [`Window`] whose kernel has gaps, and whose channels form groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupWindow {
    /// The image, the kernel's height and width without gaps, the strides and
    /// the pads.
    pub window: Window,
    /// The distance between neighbours of the kernel, down and right.
    pub dilation: [u32; 2],
    /// The number of groups, which divides the channels.
    pub groups: u32,
    /// The entry of pixels outside the image, in −64..=63.
    ///
    /// If entries have an offset, the entry that stands for 0 need not be 0.
    pub fill: i32,
}

impl GroupWindow {
    /// The window that the kernel covers, gaps included, or `None` if a number
    /// is 0 or does not fit.
    pub fn covered(&self) -> Option<Window> {
        let cover = |axis: usize| {
            let gaps = self.window.kernel[axis].checked_sub(1)?;
            let distance = self.dilation[axis];
            (distance > 0).then(|| gaps.checked_mul(distance)?.checked_add(1))?
        };
        Some(Window { kernel: [cover(0)?, cover(1)?], ..self.window })
    }
}

/// A kind of step with its numbers.
///
/// Below, `rsh(x, s)` is x·2⁻ˢ rounded to the nearest integer, halves up. `sat`
/// saturates to i32.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Op {
    /// Product with weights, `x·Wᵀ`, then requantisation per output channel.
    ///
    /// Each channel has `(b0, M, b1)` of `requantise`:
    ///
    /// 1. `v = sat(rsh(sat(acc + b0)·M, s0))`;
    /// 2. if there is a second input, the row scale m, `v = sat(rsh(v·m, s1))`;
    /// 3. `rsh(sat(v + b1), s2)`, clamped.
    ///
    /// Inputs: x (i8, rows×k), optionally m (i32, rows×1).
    Linear {
        /// W, n×k i8.
        weights: ConstantId,
        /// n×3 i32: b0, M, b1.
        requantise: ConstantId,
        /// s0, s1, s2.
        shifts: [u8; 3],
        /// The output's type and range.
        clamp: Clamp,
    },
    /// Every position of a window as a row, in the order kernel height, width,
    /// channel.
    ///
    /// Pixels outside the image are 0. A convolution is an `Unfold` and a
    /// `Linear`.
    Unfold(Window),
    /// `rsh(a·m0 + b·m1, shift)`, clamped. Inputs: a and b of the same shape.
    Add {
        /// m0, m1.
        multipliers: [i32; 2],
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// `rsh(x·multiplier, shift)`, clamped.
    Requantise {
        /// The multiplier.
        multiplier: i32,
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// `rsh(x·scale[column], shift)`, clamped.
    ScaleColumns {
        /// columns×1 i32.
        scale: ConstantId,
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// `max(x, 0)`.
    Relu,
    /// An activation by table: entry `⌊x·2⁻ˢ⌋ + 128` of 256.
    ///
    /// An index below the table takes the first entry. An index above it takes
    /// the last entry, or x itself.
    Table {
        /// 256×1 entries of the output's type.
        table: ConstantId,
        /// The shift s.
        shift: u8,
        /// Whether x above the table passes, saturated, instead of the last
        /// entry.
        pass_above: bool,
    },
    /// The largest pixel under the window, channel by channel.
    MaxPool(Window),
    /// The rounded mean of the pixels under the window, without padding.
    AveragePool(Window),
    /// Softmax of each row.
    ///
    /// First `e = table[min(rsh((max − x)·multiplier, shift), 255)]`, then
    /// `(e·one + S/2)/S`, clamped. S is the row's sum of e.
    Softmax {
        /// 256×1 i16 in 0..=127. The first is positive.
        table: ConstantId,
        /// The multiplier, not negative.
        multiplier: i32,
        /// The shift.
        shift: u8,
        /// The output that stands for 1.
        one: i32,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// LayerNorm of each row, or RMSNorm without `centre`, in fixed point (spec
    /// §12).
    ///
    /// Each column has `(γ, β)`. Input and output are i16.
    Normalise {
        /// columns×2 i32: γ, β.
        affine: ConstantId,
        /// Whether the step subtracts the mean.
        centre: bool,
        /// The shift of z·γ.
        shift: u8,
    },
    /// Row `id` of an i8 table times its scale.
    ///
    /// The output is `rsh(table[id]·scale[id], shift)`, saturated to i16.
    /// Input: ids, i32, rows×1.
    Embed {
        /// vocabulary×columns i8.
        table: ConstantId,
        /// vocabulary×1 i32.
        scales: ConstantId,
        /// The shift.
        shift: u8,
    },
    /// The sum of row i of an i16 table and row i of every item, saturated to
    /// i16.
    AddRows {
        /// length×columns i16. The length is at least an item's rows.
        table: ConstantId,
    },
    /// Scaled scores of queries with keys, and their exponentials.
    ///
    /// In row (item, head, i) and column j, `s = sat(rsh(q·k·alpha[head],
    /// shift))`. The entry is `table[min(max s − s, 255)] − 64`, and −64 in
    /// masked columns. Inputs: q, k (i8, tokens×(heads·d)), optionally lengths
    /// (i32, 1 row per item).
    AttentionWeights {
        /// The number of heads.
        heads: u32,
        /// heads×1 i32, not negative.
        alpha: ConstantId,
        /// The shift.
        shift: u8,
        /// 256×1 i16 in 0..=127, stored without the −64. The first is positive.
        table: ConstantId,
        /// Whether later tokens are masked for each token.
        causal: bool,
    },
    /// Weighted means of values.
    ///
    /// With `acc = Σ (w + 64)·v` and S = Σ (w + 64), the output is
    /// `rsh(sat(rsh(acc·⌊(2²² + S/2)/S⌋, s0))·scale[column], s1)`, i16. Inputs:
    /// weights of `AttentionWeights` or `RelativeAttentionWeights`, values
    /// transposed (i8, columns×tokens).
    AttentionContext {
        /// The number of heads.
        heads: u32,
        /// columns×1 i32.
        scale: ConstantId,
        /// s0, s1.
        shifts: [u8; 2],
    },
    /// The transpose of every item.
    Transpose,
    /// The entries of every item, in the same order, in another shape.
    Reshape {
        /// Rows of an item.
        rows: Dim,
        /// Columns.
        columns: Dim,
    },
    /// The largest magnitude of each row, at least 1. The output is i32,
    /// rows×1.
    RowScale,
    /// A row as an operand, by its scale m.
    ///
    /// The output is `rsh(x·⌊(63·2²⁰ + m/2)/m⌋, 20)` in −64..=63. Inputs: x, m
    /// (i32, rows×1).
    Quantise,
    /// The mean of an item's tokens times 2⁸, rounded.
    ///
    /// The output is i32, one row per item. Inputs: x (i8 or i16), optionally
    /// lengths.
    MeanPool,
    /// Each row divided by its Euclidean length, in i16. 2¹⁴ stands for 1.
    L2Normalise,
    /// `rsh(a·b, shift)`, clamped. Inputs: a and b of the same shape.
    Mul {
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// An activation by a table of 257 points, with straight lines between
    /// them.
    ///
    /// With `t = max(x + 128·2ˢ, 0)`, `j = ⌊t·2⁻ˢ⌋` and `f = t mod 2ˢ`, the
    /// output is `T[j] + rsh((T[j+1] − T[j])·f, s)`, i16. An x at or above
    /// 128·2ˢ takes the last entry, or x itself, saturated.
    Curve {
        /// 257×1 i16.
        table: ConstantId,
        /// The shift s, at most 23.
        shift: u8,
        /// Whether x above the table passes, saturated, instead of the last
        /// entry.
        pass_above: bool,
    },
    /// Entries of an item's inputs in another order, repeated or left out.
    ///
    /// Entry (i, j) of an item is the entry number `index[i][j]` of the item's
    /// inputs, one input after another, row by row. It is 0 if the number is
    /// −1, and any other number that names no entry has no output. Inputs: 1 to
    /// 16 values of one type, whose rows and columns do not grow with the
    /// sequence.
    Arrange {
        /// rows×columns i32: a number for each entry of an item of the output.
        index: ConstantId,
    },
    /// Every position of a window with gaps as a row, in the order group,
    /// kernel height, width, channel of the group.
    ///
    /// Pixels outside the image are the window's fill. A grouped or dilated
    /// convolution is a `GroupUnfold` and a `GroupLinear`.
    GroupUnfold(GroupWindow),
    /// Product of groups of columns with weights, then requantisation as in
    /// `Linear`.
    ///
    /// W has n rows and k columns, and x has groups·k columns. Output channel
    /// j reads the k columns of group `⌊j·groups/n⌋`.
    GroupLinear {
        /// W, n×k i8.
        weights: ConstantId,
        /// n×3 i32: b0, M, b1.
        requantise: ConstantId,
        /// The number of groups, which divides n.
        groups: u32,
        /// s0, s1, s2.
        shifts: [u8; 3],
        /// The output's type and range.
        clamp: Clamp,
    },
    /// Product of two values, block by block: `rsh(Σ a·b, shift)`, clamped.
    ///
    /// The rows of each item form blocks. Row i of a block of a meets every row
    /// j of the same block of b. Inputs: a (i8, blocks·m rows × k), b (i8,
    /// blocks·n rows × k). Output: blocks·m rows × n.
    Product {
        /// The number of blocks of an item, which divides the rows of a and b.
        blocks: u32,
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// A step of training (spec §12, steps of training).
    Training(TrainingOp),
    /// `AttentionWeights` whose scores have a bias by the distance of both
    /// tokens.
    ///
    /// In row (item, head, i) and column j, the score is `s = sat(sat(rsh(q·k·
    /// alpha[head], shift)) + bias[head][clip(j − i, 1 − L, L − 1) + L − 1])`.
    /// Everything else, inputs included, is as for `AttentionWeights`. MPNet
    /// and T5 learn such biases, and ALiBi has fixed ones.
    RelativeAttentionWeights {
        /// The number of heads.
        heads: u32,
        /// heads×1 i32, not negative.
        alpha: ConstantId,
        /// The shift.
        shift: u8,
        /// 256×1 i16 in 0..=127, stored without the −64. The first is positive.
        table: ConstantId,
        /// Whether later tokens are masked for each token.
        causal: bool,
        /// heads×(2·L − 1) i32, one column a distance, from 1 − L to L − 1.
        /// Farther tokens have the bias of the first or of the last column.
        bias: ConstantId,
    },
    /// A step of decoders (spec §12, steps of decoders).
    Decoder(DecoderOp),
}

impl Op {
    /// The name of the step's kind in errors and records.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Linear { .. } => "linear",
            Op::Unfold(_) => "unfold",
            Op::Add { .. } => "add",
            Op::Requantise { .. } => "requantise",
            Op::ScaleColumns { .. } => "scale columns",
            Op::Relu => "relu",
            Op::Table { .. } => "table",
            Op::MaxPool(_) => "max pool",
            Op::AveragePool(_) => "average pool",
            Op::Softmax { .. } => "softmax",
            Op::Normalise { centre: true, .. } => "layer norm",
            Op::Normalise { centre: false, .. } => "rms norm",
            Op::Embed { .. } => "embed",
            Op::AddRows { .. } => "add rows",
            Op::AttentionWeights { .. } => "attention weights",
            Op::AttentionContext { .. } => "attention context",
            Op::Transpose => "transpose",
            Op::Reshape { .. } => "reshape",
            Op::RowScale => "row scale",
            Op::Quantise => "quantise",
            Op::MeanPool => "mean pool",
            Op::L2Normalise => "l2 normalise",
            Op::Mul { .. } => "mul",
            Op::Curve { .. } => "curve",
            Op::Arrange { .. } => "arrange",
            Op::GroupUnfold(_) => "group unfold",
            Op::GroupLinear { .. } => "group linear",
            Op::Product { .. } => "product",
            Op::Training(op) => op.name(),
            Op::RelativeAttentionWeights { .. } => "relative attention weights",
            Op::Decoder(op) => op.name(),
        }
    }

    /// The constants that the step reads, in the order of its slots.
    ///
    /// Returns an array and the number of its entries that are such constants.
    pub fn constants(&self) -> ([ConstantId; 3], usize) {
        const NONE: ConstantId = ConstantId(0);
        match *self {
            Op::Linear { weights, requantise, .. }
            | Op::GroupLinear { weights, requantise, .. } => ([weights, requantise, NONE], 2),
            Op::Arrange { index } => ([index, NONE, NONE], 1),
            Op::Embed { table, scales, .. } => ([table, scales, NONE], 2),
            Op::AttentionWeights { alpha, table, .. } => ([alpha, table, NONE], 2),
            Op::RelativeAttentionWeights { alpha, table, bias, .. } => ([alpha, table, bias], 3),
            Op::Table { table, .. }
            | Op::Curve { table, .. }
            | Op::Softmax { table, .. }
            | Op::AddRows { table } => ([table, NONE, NONE], 1),
            Op::Normalise { affine, .. } => ([affine, NONE, NONE], 1),
            Op::AttentionContext { scale, .. } | Op::ScaleColumns { scale, .. } => {
                ([scale, NONE, NONE], 1)
            }
            Op::Decoder(ref op) => op.constants(),
            Op::Training(ref op) => {
                op.constant().map_or(([NONE; 3], 0), |id| ([id, NONE, NONE], 1))
            }
            _ => ([NONE; 3], 0),
        }
    }

    /// Whether the step is a product of two operands.
    pub fn is_product(&self) -> bool {
        match self {
            Op::Linear { .. }
            | Op::AttentionWeights { .. }
            | Op::AttentionContext { .. }
            | Op::GroupLinear { .. }
            | Op::Product { .. }
            | Op::RelativeAttentionWeights { .. } => true,
            Op::Training(op) => op.is_product(),
            Op::Decoder(op) => op.is_product(),
            _ => false,
        }
    }
}
