//! The steps of training (spec §12, steps of training).
//!
//! Forward passes with state, backward passes, losses and optimisers need them.
//! [`crate::program::ops`] implements their arithmetic.

mod check;
mod encoding;

pub(super) use encoding::{blank, fields, tag};

use super::op::{Clamp, ConstantId, Window};
use super::tensor::Dim;
use alloc::vec::Vec;

/// The most exponents of a step.
pub const EXPONENTS_MAX: usize = 4;
/// The largest magnitude of a shift with exponents.
pub const EXPONENT_SHIFT_MAX: i32 = 62;

/// The sign with which a step adds an exponent to its shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Sign {
    /// The exponent makes the shift smaller.
    Minus,
    /// The exponent makes the shift larger.
    Plus,
}

/// A shift of `base` and of exponents that the run computes: base + Σ ±e.
///
/// The exponents are the step's last inputs, except seed and t: i32, 1×1 and
/// shared, or one for each row of the output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Shift {
    /// The base, in −62..=62.
    pub base: i32,
    /// The sign of each exponent, at most 4.
    pub signs: Vec<Sign>,
}

impl Shift {
    /// A shift without exponents.
    pub const fn fixed(base: i32) -> Shift {
        Shift { base, signs: Vec::new() }
    }

    /// A shift with an exponent for each sign.
    pub fn new(base: i32, signs: &[Sign]) -> Shift {
        Shift { base, signs: signs.to_vec() }
    }
}

/// Which product of blocks a [`TrainingOp::Block`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BlockKind {
    /// Row i of a with row j of b, over the columns of each head.
    Scores,
    /// For each head, a·b: the rows of b, weighted by a row of a.
    Mix,
    /// For each head, aᵀ·b: the rows of b, weighted by a column of a.
    MixBack,
}

/// A step of training with its numbers (spec §12, steps of training).
///
/// In this text, `shift(x, p)` is x·2^−p rounded to the nearest integer, halves
/// up, for p of either sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TrainingOp {
    /// Product of two values: `clamp(shift(Σ a·b, p) + rsh(bias[j], s))`.
    ///
    /// Inputs: a (i8, m×k), b (i8, n×k), optionally a bias (i32, n×1), exponents.
    /// Output: m×n. Under a challenge the product draws tickets.
    ScaledProduct {
        /// The shift p.
        shift: Shift,
        /// Whether there is a bias.
        bias: bool,
        /// The bias's shift s, and 0 without a bias.
        bias_shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The transpose of a whole value, all items together.
    TransposeTiles,
    /// The exponent of an operand: the least e ≥ 0 with every m below 2^(e + 6).
    ///
    /// Input: m, the row scales of a value (i32, rows×1).
    Exponent {
        /// Whether each row has its own exponent, or all rows share one, 1×1.
        per_row: bool,
    },
    /// `clamp(shift(x·multiplier, p))`.
    ///
    /// Inputs: x, exponents, and if the step is stochastic seed (i32, 8×1) and t
    /// (i32, 1×1).
    Rescale {
        /// The shift p.
        shift: Shift,
        /// The stream of random bytes that round stochastically, distinct
        /// within a program. `None` rounds to the nearest.
        stream: Option<u32>,
        /// The multiplier.
        multiplier: i32,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The sum of each row, saturated to i32.
    RowSum,
    /// An activation's gradient by table: `clamp(rsh(g·T[i], shift))`.
    ///
    /// i is `⌊x·2^−index_shift⌋ + 128`, clipped to 0..=255. Inputs: g and x of
    /// the same shape.
    Gate {
        /// 256×1 i8 or i16.
        table: ConstantId,
        /// The shift of x.
        index_shift: u8,
        /// The shift of the product.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The gradient of cross entropy: softmax, less 1 at the label.
    ///
    /// With `e = T[min(rsh((max − x)·multiplier, shift), 255)]`, the output is
    /// `sat(rdiv(e·2^fraction, Σe) − [j = label]·2^fraction)`, i32. A row whose
    /// label is no column is 0. Inputs: x, labels (i32, rows×1).
    CrossEntropy {
        /// 256×1 i16.
        table: ConstantId,
        /// The multiplier, not negative.
        multiplier: i32,
        /// The shift.
        shift: u8,
        /// The output has 2^fraction for 1, at most 30.
        fraction: u8,
    },
    /// The gradient of LayerNorm's input, or of RMSNorm's without `centre`.
    ///
    /// Inputs: x (i16, the input of normalise), dz (i32, the gradient of z).
    NormaliseGradient {
        /// Whether normalise subtracts the mean.
        centre: bool,
        /// The power of two by which gradients are multiplied before the
        /// division by the deviation.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The rows of a table that ids name: `T[id]`.
    ///
    /// Inputs: the table, unless it is a constant, and ids (i32, rows×1).
    Gather {
        /// The table, if it is a constant.
        table: Option<ConstantId>,
    },
    /// For each row of the output, the saturated sum of the rows of x whose id
    /// it is. The output is i32 and shared.
    ///
    /// Inputs: x, ids (i32, rows×1).
    ScatterAdd {
        /// The rows of the output.
        rows: u32,
    },
    /// The gradient of unfold's input, i32. Input: the gradient of its output.
    UnfoldGradient(Window),
    /// The gradient of max pool's input, i32: each window's gradient goes to its
    /// first largest pixel.
    ///
    /// Inputs: x, the input of max pool; the gradient of its output.
    MaxPoolGradient(Window),
    /// Product of two values, item by item and head by head:
    /// `clamp(shift(multiplier·Σ (a + offset)·b, p))`.
    ///
    /// Inputs: a and b (i8), exponents. For l rows of an item, scores have
    /// heads·l rows an item and l columns.
    Block {
        /// Which product.
        kind: BlockKind,
        /// The number of heads.
        heads: u32,
        /// The shift p.
        shift: Shift,
        /// What is added to the entries of a, in 0..=64.
        offset: i32,
        /// The multiplier.
        multiplier: i32,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// Attention weights of scores, as i8 entries 64 below the weight.
    ///
    /// `T[min(rsh((max − x)·multiplier, shift), 255)] − 64` over the seen
    /// columns, −64 elsewhere. Input: scores of [`TrainingOp::Block`].
    Exponentials {
        /// 256×1 i16.
        table: ConstantId,
        /// Whether column j of a block's row i is seen for j ≤ i only.
        causal: bool,
        /// The multiplier, not negative.
        multiplier: i32,
        /// The shift.
        shift: u8,
    },
    /// `clamp(rdiv(x·2^shift, Σ (w + 64)))` over the weights of the entry's row
    /// and head.
    ///
    /// Inputs: x, w of [`TrainingOp::Exponentials`].
    DivideBySums {
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The gradient of softmax's input, i32, from weights and gradients of its
    /// output.
    ///
    /// Inputs: w of [`TrainingOp::Exponentials`], d of the same shape.
    SoftmaxGradient,
    /// A step downhill: `clamp(w + shift(−d·λ, shift) − rsh(w·λ, decay))`.
    ///
    /// Inputs: w and d of the same shape, λ (i32, 1×1, shared).
    Descend {
        /// The shift, in −62..=62.
        shift: i32,
        /// The shift of weight decay, or 0 for none.
        decay: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The root of a running mean of squares, i32.
    ///
    /// With `g' = clip(g·2^8, ±2^30)` it is
    /// `sat(isqrt(r² − ⌊r²/2^k⌋ + ⌊g'²/2^k⌋))`. Inputs: r and g (i32).
    SecondMoment {
        /// k, in 1..=30.
        shift: u8,
    },
    /// `clamp(rdiv(a·2^24, max(0, r) + 256))`. Inputs: a and r (i32).
    Ratio {
        /// The output's type and range.
        clamp: Clamp,
    },
    /// The gradient of mean pool's input, i32: each live row of an item takes
    /// the rounded quotient of dy and the item's length.
    ///
    /// Inputs: dy (one row an item), optionally lengths (i32, one row an item).
    MeanPoolGradient {
        /// The rows of an item of the output.
        rows: Dim,
    },
    /// The numbers of the batch's samples in iteration t, i32, one row an item.
    ///
    /// Inputs: seed (i32, 8×1, shared), t (i32, 1×1, shared).
    Draw {
        /// The number of samples in the dataset, in 1..=2^31.
        samples: u32,
    },
    /// The exponent for the next iteration, from this iteration's operand.
    ///
    /// Inputs: e (i32, 1×1, shared), m (the row scales of the operand).
    NextExponent,
}

impl TrainingOp {
    /// The name of the step's kind in errors and records.
    pub fn name(&self) -> &'static str {
        match self {
            TrainingOp::ScaledProduct { .. } => "scaled product",
            TrainingOp::TransposeTiles => "transpose by tiles",
            TrainingOp::Exponent { .. } => "exponent",
            TrainingOp::Rescale { .. } => "rescale",
            TrainingOp::RowSum => "row sum",
            TrainingOp::Gate { .. } => "gate",
            TrainingOp::CrossEntropy { .. } => "cross entropy",
            TrainingOp::NormaliseGradient { .. } => "normalise gradient",
            TrainingOp::Gather { .. } => "gather",
            TrainingOp::ScatterAdd { .. } => "scatter add",
            TrainingOp::UnfoldGradient(_) => "unfold gradient",
            TrainingOp::MaxPoolGradient(_) => "max pool gradient",
            TrainingOp::Block { kind: BlockKind::Scores, .. } => "block scores",
            TrainingOp::Block { kind: BlockKind::Mix, .. } => "block mix",
            TrainingOp::Block { kind: BlockKind::MixBack, .. } => "block mix back",
            TrainingOp::Exponentials { .. } => "exponentials",
            TrainingOp::DivideBySums { .. } => "divide by sums",
            TrainingOp::SoftmaxGradient => "softmax gradient",
            TrainingOp::Descend { .. } => "descend",
            TrainingOp::SecondMoment { .. } => "second moment",
            TrainingOp::Ratio { .. } => "ratio",
            TrainingOp::MeanPoolGradient { .. } => "mean pool gradient",
            TrainingOp::Draw { .. } => "draw",
            TrainingOp::NextExponent => "next exponent",
        }
    }

    /// The constant that the step reads, if it reads one.
    pub fn constant(&self) -> Option<ConstantId> {
        match *self {
            TrainingOp::Gate { table, .. }
            | TrainingOp::CrossEntropy { table, .. }
            | TrainingOp::Exponentials { table, .. } => Some(table),
            TrainingOp::Gather { table } => table,
            _ => None,
        }
    }

    /// Whether the step is a product of two operands.
    pub fn is_product(&self) -> bool {
        matches!(self, TrainingOp::ScaledProduct { .. } | TrainingOp::Block { .. })
    }

    /// The shift with exponents, if the step has one.
    pub fn shift(&self) -> Option<&Shift> {
        match self {
            TrainingOp::ScaledProduct { shift, .. }
            | TrainingOp::Rescale { shift, .. }
            | TrainingOp::Block { shift, .. } => Some(shift),
            _ => None,
        }
    }

    /// The stream of random bytes of a stochastic step.
    pub fn stream(&self) -> Option<u32> {
        match self {
            TrainingOp::Rescale { stream, .. } => *stream,
            _ => None,
        }
    }
}
