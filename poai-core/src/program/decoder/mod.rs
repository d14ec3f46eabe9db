//! The steps of decoders (spec §12, steps of decoders).
//!
//! Language models that continue a text need them. Steps that such models share
//! with other networks are kinds of [`Op`](super::Op) itself: curve and mul among
//! them. [`crate::program::ops`] implements the arithmetic.
//!
//! [`Program::causality`](super::Program::causality) shows which programs compute
//! the values of a token from this token and earlier ones.

mod causal;
mod check;
mod encoding;

pub use causal::{CausalityError, Uncausal};
pub(super) use encoding::{blank, fields, tag};

use super::op::{Clamp, ConstantId};

/// The columns of a request: start, multiplier, number kept, 8 words of seed.
pub const REQUEST_COLUMNS: u32 = 11;

/// A step of decoders with its numbers (spec §12, steps of decoders).
///
/// In this text, `rsh(x, s)` is x·2⁻ˢ rounded to the nearest integer, halves
/// up. `sat` saturates to i32, and `sat16` to i16.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DecoderOp {
    /// RMSNorm of each row of i16 or i32, in fixed point and exact.
    ///
    /// With `v = rdiv(Σx², n) + epsilon`, `inverse = ⌊2⁵⁰/max(1, isqrt(v·2⁸))⌋`
    /// and `z = sat(⌊x·inverse·2⁻³²⌋)`, the output is `sat16(rsh(z·γ, shift) +
    /// β)`.
    RmsNorm {
        /// columns×2 i32: γ, β.
        affine: ConstantId,
        /// What is added to the mean square, not negative.
        epsilon: i32,
        /// The shift of z·γ.
        shift: u8,
    },
    /// Rotary position embedding: pairs of columns, turned by the token's place.
    ///
    /// T has r columns. In the row of head h and place i, two columns c and
    /// c + r/2 of the head hold a and b. With `C = T[i][c]` and `S = T[i][c +
    /// r/2]`, they become `sat16(rsh(a·C − b·S, shift))` and `sat16(rsh(b·C +
    /// a·S, shift))`. Columns from r on stay. Input: x (i16, tokens × heads·d).
    /// Output: rows (head, i) of an item, d columns, i16.
    Rotary {
        /// places×r i16: cosines, then sines. r is even and at most d.
        turns: ConstantId,
        /// The number of heads.
        heads: u32,
        /// The shift.
        shift: u8,
    },
    /// A Hadamard transform of blocks of columns, then a scale for each column.
    ///
    /// Column i of a block becomes `y = Σ_j (−1)^popcount(i AND j)·x_j`, and
    /// `rsh(sat(y)·scale[column], shift)`, clamped. For x of several heads, whose
    /// rows are (head, i), each head may have scales of its own: then column c
    /// takes `scale[head·columns + c]`.
    Mix {
        /// columns×1 or (heads·columns)×1 i32.
        scale: ConstantId,
        /// The columns of a block, a power of two that divides the columns.
        block: u32,
        /// The shift.
        shift: u8,
        /// The output's type and range.
        clamp: Clamp,
    },
    /// Causal attention whose heads share keys and values in groups.
    ///
    /// Query head h reads key head g = `⌊h·key_heads/heads⌋`. Token i sees the
    /// tokens j ≤ i below the length that are above i − window. Over them, with
    /// shifts s0 to s3:
    ///
    /// 1. `a_j = sat(rsh(Σ q·k_j · mk_j, s0))` and `c = sat(rsh(mq·alpha[h],
    ///    s1))`;
    /// 2. `D_j = max(0, rsh((max a − a_j)·c, s2))` and `e_j = rsh(table[D_j mod
    ///    256], min(⌊D_j/256⌋, 62))`;
    /// 3. `sat16(rsh(sat(rdiv(2¹⁶·Σ e_j·v_j, max(1, Σ e_j)))·scale[column],
    ///    s3))`.
    ///
    /// A token that sees none has a row of 0. Inputs: q (i8, heads·tokens × d,
    /// rows (head, i)), mq (i32, one for each row of q), k (i8,
    /// key_heads·tokens × d), mk (i32, one for each row of k), v transposed (i8,
    /// key_heads·d × tokens), optionally lengths (i32, 1 row per item). Output:
    /// tokens × heads·d, i16.
    Attention {
        /// The number of query heads.
        heads: u32,
        /// The number of heads of keys and of values, at most `heads`.
        key_heads: u32,
        /// How many tokens each token sees at most, or 0 for no such limit.
        window: u32,
        /// heads×1 i32.
        alpha: ConstantId,
        /// 256×1 i16: one octave of falling weights in 0..=16256. The first is
        /// positive.
        table: ConstantId,
        /// (heads·d)×1 i32.
        scale: ConstantId,
        /// s0, s1, s2, s3.
        shifts: [u8; 4],
    },
    /// As many rows of an item as the run has answers, from a start on.
    ///
    /// Row a is x's row `min(start + a, sequence − 1)`. Inputs: x (one row a
    /// token), starts (i32, 1 row per item, not negative).
    Tail,
    /// The word that each row of logits chooses, i32, one column.
    ///
    /// The request of an item has start, m, k and 8 words of seed. The k largest
    /// entries of the row are kept, and of equal entries those of lower index;
    /// all are kept if k is not in 1..=columns. `D = max(0, rsh((max − x)·m,
    /// shift))` and `e = rsh(table[D mod 256], min(⌊D/256⌋, 62))`. The choice is
    /// the least kept index whose running sum of e is above `⌊r·Σe·2⁻⁶⁴⌋`. r is
    /// a hash of the seed and of the place, start + the row within its item.
    /// Inputs: logits, the request (i32, 1 row per item, 11 columns).
    Sample {
        /// 256×1 i32: one octave of falling weights in 0..=2³⁰. The first is
        /// positive.
        table: ConstantId,
        /// The shift.
        shift: u8,
    },
    /// One of the two limbs of a row as an operand of 14 bits, by its scale m.
    ///
    /// With `w = clip(rsh(clip(x, ±m)·⌊(8127·2⁴⁰ + ⌊m/2⌋)/m⌋, 40), ±8127)`, the
    /// high limb is `⌊(w + 64)/128⌋` and the low one `w − 128·high`. Inputs: x,
    /// m (i32, rows×1).
    Limb {
        /// Whether the output is the low limb.
        low: bool,
    },
}

impl DecoderOp {
    /// The name of the step's kind in errors and records.
    pub fn name(&self) -> &'static str {
        match self {
            DecoderOp::RmsNorm { .. } => "wide rms norm",
            DecoderOp::Rotary { .. } => "rotary",
            DecoderOp::Mix { .. } => "mix",
            DecoderOp::Attention { .. } => "grouped attention",
            DecoderOp::Tail => "tail",
            DecoderOp::Sample { .. } => "sample",
            DecoderOp::Limb { .. } => "limb",
        }
    }

    /// The constants that the step reads, in the order of its slots.
    ///
    /// Returns an array and the number of its entries that are such constants.
    pub fn constants(&self) -> ([ConstantId; 3], usize) {
        const NONE: ConstantId = ConstantId(0);
        match *self {
            DecoderOp::RmsNorm { affine: one, .. }
            | DecoderOp::Rotary { turns: one, .. }
            | DecoderOp::Mix { scale: one, .. }
            | DecoderOp::Sample { table: one, .. } => ([one, NONE, NONE], 1),
            DecoderOp::Attention { alpha, table, scale, .. } => ([alpha, table, scale], 3),
            DecoderOp::Tail | DecoderOp::Limb { .. } => ([NONE; 3], 0),
        }
    }

    /// Whether the step is a product of two operands.
    pub fn is_product(&self) -> bool {
        matches!(self, DecoderOp::Attention { .. })
    }
}
