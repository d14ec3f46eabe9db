//! The arithmetic of whole rows (spec §12), as plain loops.
//!
//! The steps' files read rows and pass them to these functions.

use super::arithmetic::{clamp, rsh, rsh_product, sat16, sat32};
use crate::program::Clamp;
use crate::vectorise::vectorise;
use alloc::vec::Vec;

/// The offset that is subtracted from attention's weights when they are stored.
///
/// Weights are in 0..=127, and operands are in −64..=63.
pub(super) const OFFSET: i32 = 64;

/// A table of 256 entries.
pub(super) type Table = [i32; 256];

/// The numbers of a product's channels: the bias before, the multiplier, the
/// bias after.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) before: Vec<i32>,
    pub(super) multiplier: Vec<i32>,
    pub(super) after: Vec<i32>,
}

/// The parameters that requantise a product, the same for a whole row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requantise<'a> {
    pub(super) shifts: &'a [u8; 3],
    pub(super) clamp: &'a Clamp,
    /// The row's own scale, if the step has one.
    pub(super) scale: Option<i32>,
}

/// The parameters that turn sums into scores, the same for a whole row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores<'a> {
    pub(super) alpha: i32,
    pub(super) shift: u8,
    /// What is added to each score; empty if nothing is.
    pub(super) bias: &'a [i32],
}

vectorise! {
    /// Requantises a row of sums.
    pub(super) fn requantise_sums(
        out: &mut [i32],
        sums: &[i32],
        channels: &Channels,
        how: &Requantise<'_>,
    ) {
        let Channels { before, multiplier, after } = channels;
        let &[first, second, third] = how.shifts;
        let channels = before.iter().zip(multiplier);
        for ((v, &sum), (&before, &multiplier)) in out.iter_mut().zip(sums).zip(channels) {
            *v = sat32(rsh_product(sum.saturating_add(before), multiplier, first));
        }
        if let Some(scale) = how.scale {
            for v in out.iter_mut() {
                *v = sat32(rsh_product(*v, scale, second));
            }
        }
        for (v, &after) in out.iter_mut().zip(after) {
            *v = clamp(rsh_product(v.saturating_add(after), 1, third), how.clamp);
        }
    }

    /// Turns sums into stored weights, by their distance from the largest.
    pub(super) fn exponentials(
        out: &mut [i32],
        sums: &[i32],
        scores: &Scores<'_>,
        table: &Table,
    ) {
        for (score, &sum) in out.iter_mut().zip(sums) {
            *score = sat32(rsh_product(sum, scores.alpha, scores.shift));
        }
        for (score, &bias) in out.iter_mut().zip(scores.bias) {
            *score = score.saturating_add(bias);
        }
        let max = out.iter().copied().fold(i32::MIN, i32::max);
        for score in out {
            // Exact: no score is above the largest.
            let distance = max.wrapping_sub(*score) as u32;
            // A table may hold entries that are not weights. Those are clipped.
            *score = table[distance.min(255) as usize].clamp(0, 127) - OFFSET;
        }
    }

    /// Turns one head's sums of weights with values into means.
    pub(super) fn context(
        out: &mut [i32],
        sums: &[i32],
        totals: &[i64],
        scales: &[i32],
        reciprocal: i64,
        shifts: &[u8; 2],
    ) {
        let columns = sums.iter().zip(totals).zip(scales);
        for (out, ((&sum, &total), &scale)) in out.iter_mut().zip(columns) {
            let sum = i64::from(sum) + i64::from(OFFSET) * total;
            let mean = sat32(rsh(sum * reciprocal, shifts[0]));
            *out = sat16(rsh_product(mean, scale, shifts[1]));
        }
    }

    /// Sums a row.
    pub(super) fn total(row: &[i32]) -> i64 {
        row.iter().map(|&x| i64::from(x)).sum()
    }

    /// The largest magnitude of a row. |−2³¹| does not fit i32 and saturates.
    pub(super) fn magnitude(row: &[i32]) -> i32 {
        row.iter().fold(0, |max, x| max.max(x.saturating_abs()))
    }

    /// Computes `rsh(a·m0 + b·m1, shift)`, clamped.
    pub(super) fn add(out: &mut [i32], a: &[i32], b: &[i32], multipliers: [i32; 2], shift: u8, to: &Clamp) {
        let [m0, m1] = multipliers.map(i64::from);
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            let sum = (i64::from(a) * m0).saturating_add(i64::from(b) * m1);
            *out = clamp(rsh(sum, shift), to);
        }
    }

    /// Computes `rsh(x·multiplier, shift)`, clamped.
    pub(super) fn requantise(out: &mut [i32], x: &[i32], multiplier: i32, shift: u8, to: &Clamp) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = clamp(rsh_product(x, multiplier, shift), to);
        }
    }

    /// Computes `rsh(x·scale[column], shift)`, clamped.
    pub(super) fn scale_columns(out: &mut [i32], x: &[i32], scales: &[i32], shift: u8, to: &Clamp) {
        for ((out, &x), &scale) in out.iter_mut().zip(x).zip(scales) {
            *out = clamp(rsh_product(x, scale, shift), to);
        }
    }

    /// Computes `rsh(a·b, shift)`, clamped.
    pub(super) fn mul(out: &mut [i32], a: &[i32], b: &[i32], shift: u8, to: &Clamp) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = clamp(rsh_product(a, b, shift), to);
        }
    }

    /// Computes a curve of 257 points, with straight lines between them.
    pub(super) fn curve(out: &mut [i32], x: &[i32], points: &[i32], shift: u8, pass: bool) {
        let end = 128i64 << shift;
        let last = points.last().copied().unwrap_or(0);
        for (out, &x) in out.iter_mut().zip(x) {
            let t = (i64::from(x) + end).max(0);
            let (j, rest) = ((t >> shift) as usize, t & ((1 << shift) - 1));
            *out = match points.get(j..j.saturating_add(2)) {
                Some(&[from, to]) => from + rsh((i64::from(to) - i64::from(from)) * rest, shift) as i32,
                _ if pass => sat16(x.into()),
                _ => last,
            };
        }
    }

    /// Computes `max(x, 0)`.
    pub(super) fn relu(out: &mut [i32], x: &[i32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x.max(0);
        }
    }

    /// Computes `table[(x >> shift) + 128]`.
    ///
    /// Indices outside the table take its first or last entry. With `pass`, an
    /// x above the table passes, clamped.
    pub(super) fn look_up(out: &mut [i32], x: &[i32], table: &Table, shift: u8, pass: bool, to: &Clamp) {
        // A shift by more than 31 also leaves only the sign.
        let shift = shift.min(31);
        for (out, &x) in out.iter_mut().zip(x) {
            let index = (x >> shift).saturating_add(128);
            let found = table[index.clamp(0, 255) as usize];
            *out = if pass && index > 255 { clamp(x.into(), to) } else { found };
        }
    }

    /// Computes softmax's numerators in place, and returns their sum.
    pub(super) fn numerators(row: &mut [i32], multiplier: i32, shift: u8, table: &Table) -> i64 {
        let max = row.iter().copied().max().unwrap_or(0);
        let mut sum = 0;
        for x in row {
            let distance = i64::from(max) - i64::from(*x);
            let index = rsh(distance * i64::from(multiplier), shift).clamp(0, 255);
            *x = table[index as usize].clamp(0, 127);
            sum += i64::from(*x);
        }
        sum
    }

    /// Sums the squared distances from a mean.
    pub(super) fn squares(row: &[i32], mean: i64) -> i64 {
        row.iter().map(|&x| (i64::from(x) - mean).pow(2)).sum()
    }

    /// Replaces a row by z: its distances from a mean times the inverse
    /// deviation.
    pub(super) fn centred(row: &mut [i32], mean: i64, inverse: i64) {
        for x in row {
            *x = sat32(((i64::from(*x) - mean) * inverse) >> 8);
        }
    }

    /// Computes `z·γ + β`, where z is the distance from the mean times the
    /// inverse deviation.
    pub(super) fn normalise(
        out: &mut [i32],
        x: &[i32],
        affine: &[[i32; 2]],
        mean: i64,
        inverse: i64,
        shift: u8,
    ) {
        for ((out, &x), &[gamma, beta]) in out.iter_mut().zip(x).zip(affine) {
            let z = sat32(((i64::from(x) - mean) * inverse) >> 8);
            *out = sat16(rsh_product(z, gamma, shift).saturating_add(beta.into()));
        }
    }
}

/// The mean of a row of i16, or 0 without `centre`, and its deviation (spec
/// §12, normalise).
pub(super) fn moments(row: &[i32], centre: bool) -> (i64, i64) {
    // Exact: at most 2^20 entries.
    let n = row.len().max(1) as i64;
    let mean = if centre { super::arithmetic::rdiv(total(row), n) } else { 0 };
    let variance = super::arithmetic::rdiv(squares(row, mean), n);
    // Exact: a variance of 17-bit numbers is below 2^34.
    let deviation = ((variance as u64) << 8).isqrt().max(1) as i64;
    (mean, deviation)
}
