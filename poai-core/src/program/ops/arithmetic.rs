//! Rounding and saturation (spec §12). All arithmetic is in 64 bits, and
//! additions saturate.

use crate::program::Clamp;

/// Rounds `x·2⁻ˢ` to the nearest integer, halves up.
#[inline(always)]
pub fn rsh(x: i64, shift: u8) -> i64 {
    match shift {
        0 => x,
        // The builder permits at most 62. A shift of 64 or more would overflow.
        1..=62 => x.saturating_add(1 << (shift - 1)) >> shift,
        _ => 0,
    }
}

/// Computes `rsh(a·b, s)` for a shift of at most 62.
///
/// The builder permits no longer shift. The product is at most 2^62 and half a
/// unit at most 2^61, so no sum saturates.
#[inline(always)]
pub fn rsh_product(a: i32, b: i32, shift: u8) -> i64 {
    let half = (1i64 << (shift & 63)) >> 1;
    (i64::from(a) * i64::from(b)).wrapping_add(half) >> (shift & 63)
}

/// Saturates to i32.
#[inline(always)]
pub fn sat32(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// Saturates to i16 and returns it as i32.
#[inline(always)]
pub fn sat16(x: i64) -> i32 {
    x.clamp(i16::MIN.into(), i16::MAX.into()) as i32
}

/// Saturates to a clamp's range.
#[inline(always)]
pub fn clamp(x: i64, clamp: &Clamp) -> i32 {
    x.max(clamp.min.into()).min(clamp.max.into()) as i32
}

/// Rounds `x/n` to the nearest integer, halves up, for n > 0.
#[inline(always)]
pub fn rdiv(x: i64, n: i64) -> i64 {
    x.saturating_add(n / 2).checked_div_euclid(n).unwrap_or(0)
}
