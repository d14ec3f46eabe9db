//! Shifts of either sign, exponents and random bytes.

use crate::digest::derive;
use crate::program::ops::{Local, RowSource, StepError};
use crate::program::training::{Shift, Sign};
use alloc::vec::Vec;

/// The largest magnitude of a shift.
const SHIFT_MAX: i64 = crate::program::training::EXPONENT_SHIFT_MAX as i64;

/// Computes `shift(x, p)`: x·2^−p, rounded to the nearest, halves up.
///
/// |x| is at most 2^62 and |p| at most 62. A result beyond 64 bits saturates.
#[inline(always)]
pub fn shift(x: i64, p: i64) -> i64 {
    if p > 0 { round(x, p, 1 << (p - 1)) } else { left(x, -p) }
}

/// Computes `shift(x, p, u)`: x·2^−p, rounded by a random byte.
#[inline(always)]
pub fn shift_by(x: i64, p: i64, byte: u8) -> i64 {
    if p <= 0 {
        return left(x, -p);
    }
    let odd = 2 * i64::from(byte) + 1;
    round(x, p, if p > 9 { odd << (p - 9) } else { odd >> (9 - p) })
}

/// A sum of at most 2^62 + 2^62 − 1 fits 64 bits.
#[inline(always)]
fn round(x: i64, p: i64, addend: i64) -> i64 {
    x.saturating_add(addend) >> p
}

/// Computes x·2^p, saturated, for p in 0..=62.
#[inline(always)]
fn left(x: i64, p: i64) -> i64 {
    if x > i64::MAX >> p {
        i64::MAX
    } else if x < i64::MIN >> p {
        i64::MIN
    } else {
        x << p
    }
}

/// Rounds `x/n` to the nearest integer, halves up, for n > 0.
pub(super) fn rdiv(x: i128, n: i128) -> i128 {
    let n = n.max(1);
    (x + n / 2).div_euclid(n)
}

/// Saturates to i32.
pub(super) fn sat(x: i128) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// The shift p of an output row: the base and the row's exponents, in −62..=62.
///
/// The exponents are the slots from `first` on.
///
/// # Errors
/// [`StepError::Missing`] if the source lacks an exponent.
pub fn row_shift(
    source: &dyn RowSource,
    local: &Local<'_>,
    shift: &Shift,
    first: usize,
    row: u32,
) -> Result<i64, StepError> {
    let mut p = i64::from(shift.base);
    for (slot, sign) in (first..).zip(&shift.signs) {
        let mut e = [0];
        source.read(slot, exponent_row(local, slot, row), &mut e)?;
        match sign {
            Sign::Minus => p -= i64::from(e[0]),
            Sign::Plus => p += i64::from(e[0]),
        }
    }
    Ok(p.clamp(-SHIFT_MAX, SHIFT_MAX))
}

/// The row of an exponent's slot that belongs to a row of the output.
///
/// A slot of one row is one exponent for all rows, or that of the only row.
pub(super) fn exponent_row(local: &Local<'_>, slot: usize, row: u32) -> u32 {
    if local.slot(slot).rows == 1 { 0 } else { row }
}

/// A seed's bytes.
pub(super) fn seed(source: &dyn RowSource, slot: usize) -> Result<[u8; 32], StepError> {
    let mut words = [0; 8];
    source.read_rows(slot, 0..8, 1, &mut words)?;
    let mut seed = [0; 32];
    for (bytes, word) in seed.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    Ok(seed)
}

/// The iteration, which is not negative.
pub(super) fn iteration(source: &dyn RowSource, slot: usize) -> Result<u64, StepError> {
    let mut t = [0];
    source.read(slot, 0, &mut t)?;
    let max = i32::MAX as u32;
    u64::try_from(t[0]).map_err(|_| StepError::Index { slot, row: 0, value: t[0], min: 0, max })
}

/// The random bytes of a stochastic step (spec §12, steps of training).
pub struct Random {
    key: [u8; 32],
    bytes: Vec<u8>,
}

impl Random {
    /// The bytes of a stream in iteration t, for rows of `columns`.
    pub fn new(seed: &[u8; 32], t: u64, stream: u32, columns: usize) -> Random {
        let key = derive!("rounding", seed, &t.to_le_bytes(), &stream.to_le_bytes());
        Random { key, bytes: alloc::vec![0; columns] }
    }

    /// The bytes of a row.
    pub fn row(&mut self, row: u32) -> &[u8] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&row.to_le_bytes());
        hasher.finalize_xof().fill(&mut self.bytes);
        &self.bytes
    }
}
