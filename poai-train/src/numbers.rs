//! The numbers of training: what an entry stands for (docs/training.md).
//!
//! An entry x of a *carrier* stands for x·2^−f, and f is its *fraction*. An
//! entry of an *operand*, i8 in −63..=63, stands for x·2^(e − f), and e is an
//! exponent that the run computes.

use poai_core::program::{Clamp, Dtype};

/// The fraction of activations and logits.
pub const ACTIVATION: i32 = 16;
/// The fraction of weights, which are states.
pub const WEIGHT: i32 = 24;
/// The fraction of gradients of activations. They are sums over the batch.
pub const GRADIENT: i32 = 24;
/// The fraction of gradients of weights, and of moments, up to 1024 rows.
pub const WEIGHT_GRADIENT: i32 = 20;
/// The fraction of a residual stream, in i16.
pub const RESIDUAL: i32 = 10;
/// The fraction of normalised operands.
pub const NORMALISED: i32 = 4;
/// The fraction of pixels: 64 stands for 1.
pub const PIXEL: i32 = 6;
/// The largest fraction of samples.
pub const FRACTION_MAX: u8 = 10;

/// The rows above which gradients of weights have a smaller fraction.
const ROWS: u64 = 1024;
/// The same with Adam, whose second moment clips a gradient of fraction 20 at 4.
const ROWS_ADAM: u64 = 64;

/// The whole of i32.
pub(crate) const FULL: Clamp = Clamp::full(Dtype::I32);
/// The whole of i16.
pub(crate) const NARROW: Clamp = Clamp::full(Dtype::I16);
/// The entries of an operand.
pub(crate) const OPERAND: Clamp = Clamp::SYMMETRIC;

/// The fraction of gradients of weights that sum over this many rows.
///
/// More rows have larger sums: each doubling above 1024 takes one bit. With Adam
/// two doublings above 64 take three bits, so that few gradients are clipped.
pub fn weight_gradient(rows: u64, adam: bool) -> i32 {
    let most = if adam { ROWS_ADAM } else { ROWS };
    // Exact: at most 64.
    let doublings = rows.div_ceil(most).max(1).next_power_of_two().trailing_zeros() as i32;
    let bits = if adam { doublings * 3 / 2 } else { doublings };
    // Of more rows than memory holds, a gradient is no whole number.
    WEIGHT_GRADIENT - bits.min(WEIGHT_GRADIENT)
}

/// Entry i is 32767·e^(−i/32), rounded down to an i16; the last is 0.
///
/// It is the table of cross entropy.
pub fn exponentials_15() -> [i32; 256] {
    exponentials(32767.0, 32.0)
}

/// Entry i is 127·e^(−i/16), rounded; the last is 0.
///
/// It is the table of attention weights.
pub fn exponentials_7() -> [i32; 256] {
    exponentials(127.0, 16.0)
}

fn exponentials(one: f64, steps: f64) -> [i32; 256] {
    core::array::from_fn(|i| match i {
        255 => 0,
        // Exact: at most 32767.
        _ => libm::round(one * libm::exp(-(i as f64) / steps)) as i32,
    })
}
