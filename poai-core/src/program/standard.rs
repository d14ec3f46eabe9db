//! The standard form of a quantised network (spec §16).
//!
//! It fixes the shifts, and the ranges of all numbers other than weights. Both
//! depend only on the architecture.
//!
//! Numbers that are fitted to a network's weights identify the network. A
//! circuit that has them as constants belongs to that network alone. In the
//! standard form, all networks of one architecture share a circuit of committed
//! weights, and therefore a key.
//!
//! Rounding a multiplier to the form's shift moves an i8 entry before its own
//! rounding. The bound is (63²·k + 2^24)·2^-25 for k weights and a bias, which
//! is less than 1.5 for k below 8 000. An i16 entry moves by at most 16 times
//! as many of its units, which are much finer. Later layers propagate these
//! differences.

use super::tensor::Dtype;

/// The bits of a channel's multiplier in a product.
///
/// The multiplier is at least 0 and below 2 to this power.
pub const CHANNEL_BITS: u8 = 26;
/// The bits of a multiplier of add and requantise.
///
/// The multiplier is at least 0 and below 2 to this power.
pub const MULTIPLIER_BITS: u8 = 30;
/// The bits of a bias of a product. Its magnitude is below 2 to this power.
pub const BIAS_BITS: u8 = 24;

/// The shift of steps with the given output type.
///
/// Wider outputs have larger multipliers.
pub const fn shift(output: Dtype) -> u8 {
    match output {
        Dtype::I8 => 24,
        Dtype::I16 | Dtype::I32 => 20,
    }
}
