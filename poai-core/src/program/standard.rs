//! The standard form of a quantised network (spec §16): shifts, and ranges of
//! the numbers beside weights, that follow from the architecture alone.
//!
//! Numbers that are fitted to a network's weights say which network it is: a
//! circuit that has them as constants is of that network. In the standard form
//! all networks of one architecture share a circuit of committed weights, and
//! so a key.
//!
//! Rounding a multiplier to the form's shift moves an i8 entry, before it is
//! rounded itself, by at most (63²·k + 2^24)·2^-25 for k weights and a bias:
//! less than 1.5 below k = 8 000. An i16 entry moves by at most 16 times as many
//! of its units, which are finer by far. Later layers pass that on.

use super::tensor::Dtype;

/// Multipliers of a product's channels lie from 0 to below 2 to this.
pub const CHANNEL_BITS: u8 = 26;
/// Multipliers of add and requantise do.
pub const MULTIPLIER_BITS: u8 = 30;
/// Magnitudes of a product's biases lie below 2 to this.
pub const BIAS_BITS: u8 = 24;

/// The shift of steps that end in a type. Wider outputs have larger multipliers.
pub const fn shift(output: Dtype) -> u8 {
    match output {
        Dtype::I8 => 24,
        Dtype::I16 | Dtype::I32 => 20,
    }
}
