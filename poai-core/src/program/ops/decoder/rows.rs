//! Steps that compute each row from the same row.

use crate::program::Clamp;
use crate::program::ops::arithmetic::{clamp, rsh, rsh_product, sat16, sat32};
use crate::program::ops::{Local, Region, RowSource, StepError, read_rows};
use crate::vectorise::vectorise;
use alloc::vec;

/// Binary logarithm of the numerator of a norm's inverse deviation.
const INVERSE_BITS: u32 = 50;
/// The bits by which a distance times the inverse deviation is shifted.
const UNIT_BITS: u32 = 32;
/// The largest magnitude of an operand of two limbs.
const LIMBS_MAX: i64 = 8127;
/// Binary logarithm of the scale of a limb's reciprocal.
const LIMBS_BITS: u8 = 40;

/// Computes RMSNorm of i16 or i32.
pub(super) fn rms_norm(
    local: &Local<'_>,
    (epsilon, shift): (i32, u8),
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let affine = read_rows(source, local.inputs, region.columns.clone(), 2)?;
    let mut x = vec![0; local.output.columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        let inverse = inverse_deviation(&x, epsilon);
        let x = &x[region.columns.start as usize..];
        scale_row(out, x, affine.as_chunks::<2>().0, inverse, shift);
    }
    Ok(())
}

/// Computes ⌊2^50/max(1, isqrt(v·2^8))⌋ with v = rdiv(Σx², n) + epsilon.
fn inverse_deviation(x: &[i32], epsilon: i32) -> i64 {
    let [high, low] = squares(x);
    let n = x.len().max(1) as u128;
    let sum = (u128::from(high) << 32) + u128::from(low);
    // The check permits no negative epsilon.
    let v = (sum + n / 2) / n + u128::from(epsilon.max(0).unsigned_abs());
    // Exact: v is below 2^63.
    let deviation = (v << 8).isqrt().max(1) as i64;
    (1 << INVERSE_BITS) / deviation
}

vectorise! {
    /// Sums the upper and the lower 32 bits of squares.
    ///
    /// Each sum of at most 2^20 numbers fits 64 bits.
    fn squares(row: &[i32]) -> [u64; 2] {
        let (mut high, mut low) = (0u64, 0u64);
        for &x in row {
            let square = u64::from(x.unsigned_abs()) * u64::from(x.unsigned_abs());
            high += square >> 32;
            low += square & 0xffff_ffff;
        }
        [high, low]
    }

    /// Computes `sat16(rsh(z·γ, shift) + β)`, z being x times the inverse
    /// deviation.
    ///
    /// The product of x and the inverse fits 64 bits. Of n ≤ 2^20 entries, |x|
    /// is at most √(n·(v + ½)). If v is 0, it is below 2^10, and the inverse is
    /// 2^50. Otherwise the deviation is at least 15·√v, so the product is at
    /// most 2^60.
    fn scale_row(
        out: &mut [i32],
        x: &[i32],
        affine: &[[i32; 2]],
        inverse: i64,
        shift: u8,
    ) {
        for ((out, &x), &[gamma, beta]) in out.iter_mut().zip(x).zip(affine) {
            let z = sat32(i64::from(x).wrapping_mul(inverse) >> UNIT_BITS);
            *out = sat16(rsh_product(z, gamma, shift).saturating_add(beta.into()));
        }
    }
}

/// Mixes blocks of columns, and scales each column.
pub(super) fn mix(
    local: &Local<'_>,
    block: u32,
    (shift, to): (u8, &Clamp),
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (block, sequence) = (block.max(1), local.run.sequence.max(1));
    // A scale for each column, or for each column of each head.
    let (rows, columns) = (local.slot(local.inputs).rows, local.output.columns.max(1));
    let heads = (rows / columns).max(1);
    let scales = read_rows(source, local.inputs, 0..rows, 1)?;
    // Whole blocks around the region's columns.
    let first = region.columns.start / block * block;
    let end = region.columns.end.next_multiple_of(block).min(local.slot(0).columns);
    let mut x = vec![0; (end - first) as usize];
    let mut sums = vec![0i64; block as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read_from(0, row, first, &mut x)?;
        for x in x.chunks_exact_mut(sums.len()) {
            for (sum, &x) in sums.iter_mut().zip(&*x) {
                *sum = x.into();
            }
            hadamard(&mut sums);
            for (x, &sum) in x.iter_mut().zip(&sums) {
                *x = sat32(sum);
            }
        }
        let own = &x[(region.columns.start - first) as usize..];
        let scale = row / sequence % heads * columns + region.columns.start;
        let scales = scales.get(scale as usize..).unwrap_or_default();
        for ((out, &y), &scale) in out.iter_mut().zip(own).zip(scales) {
            *out = clamp(rsh_product(y, scale, shift), to);
        }
    }
    Ok(())
}

vectorise! {
    /// Replaces x by `Σ_j (−1)^popcount(i AND j)·x_j` for each i.
    ///
    /// The length is a power of two. Exact: at most 2^20 entries of 32 bits.
    fn hadamard(x: &mut [i64]) {
        let mut half = 1;
        while half < x.len() {
            for pair in x.chunks_exact_mut(2 * half) {
                let (left, right) = pair.split_at_mut(half);
                for (a, b) in left.iter_mut().zip(right) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
    }
}

/// Computes one limb of a row as an operand of 14 bits.
pub(super) fn limb(
    low: bool,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let mut m = [0];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(1, row, &mut m)?;
        source.read_from(0, row, region.columns.start, out)?;
        let m = i64::from(m[0]).max(1);
        let reciprocal = ((LIMBS_MAX << LIMBS_BITS) + m / 2) / m;
        for x in out {
            // Exact: |x| is at most m, so the product is below 2^54.
            let w = rsh(i64::from(*x).clamp(-m, m) * reciprocal, LIMBS_BITS);
            let w = w.clamp(-LIMBS_MAX, LIMBS_MAX) as i32;
            let high = (w + 64) >> 7;
            *x = if low { w - 128 * high } else { high };
        }
    }
    Ok(())
}
