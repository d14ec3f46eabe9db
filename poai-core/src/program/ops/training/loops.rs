//! The arithmetic of whole rows of training steps, as plain loops.
//!
//! Divisions by a number of the row go through f64 and are corrected to the
//! exact quotient, because processors divide no vectors of integers.

use super::arithmetic::{shift, shift_by};
use crate::program::Clamp;
use crate::program::ops::arithmetic::{clamp, rsh, rsh_product};
use crate::vectorise::vectorise;

/// The magnitudes below which f64 holds an integer, and its quotients are off by
/// less than a half.
const EXACT: i64 = 1 << 51;

/// The floor of x/n, for |x| below 2^51 and n in 1..2^40. `inverse` is 1/n.
#[inline(always)]
fn floor_div(x: i64, n: i64, inverse: f64) -> i64 {
    // The sum's last digit is 1, so adding this rounds to an integer, which is then
    // in the low bits. Casts of f64 to integers take several times as long.
    const TO_BITS: f64 = 6_755_399_441_055_744.0;
    let nearest = x as f64 * inverse + TO_BITS;
    let nearest = nearest.to_bits().wrapping_sub(TO_BITS.to_bits()) as i64;
    // The product is off by less than a half, so the nearest integer is off by less
    // than one: it is the floor, or one above.
    let rest = x.wrapping_sub(nearest.wrapping_mul(n));
    nearest.wrapping_sub(i64::from(rest < 0))
}

/// The floor of a number, without a call of a library.
#[inline(always)]
fn floor(x: f64) -> i64 {
    let whole = x as i64;
    whole.wrapping_sub(i64::from((whole as f64) > x))
}

/// The numbers of a row whose gradients are
/// `rdiv((dz − mean − rsh(z·along, 14))·2^bits, deviation)`, clamped.
#[derive(Clone, Copy)]
pub(super) struct Normed<'a> {
    pub(super) mean: i64,
    pub(super) along: i32,
    pub(super) bits: u8,
    pub(super) deviation: i64,
    pub(super) to: &'a Clamp,
}

vectorise! {
    /// Computes `shift(x·multiplier, p)`, clamped, in place.
    pub(super) fn scale(row: &mut [i32], multiplier: i32, p: i64, to: &Clamp) {
        if multiplier == 1 && (2..=31).contains(&p) {
            for x in row {
                *x = (((*x >> (p - 1)) + 1) >> 1).max(to.min).min(to.max);
            }
        } else if multiplier == 1 && (-31..=0).contains(&p) {
            let (least, most) = (i32::MIN >> -p, i32::MAX >> -p);
            for x in row {
                // A number whose shift exceeds 32 bits exceeds the range, too.
                let shifted = (*x << -p).max(to.min).min(to.max);
                let shifted = if *x > most { to.max } else { shifted };
                *x = if *x < least { to.min } else { shifted };
            }
        } else if (1..=62).contains(&p) {
            for x in row {
                *x = clamp(rsh_product(*x, multiplier, p as u8), to);
            }
        } else {
            for x in row {
                *x = clamp(shift(i64::from(*x) * i64::from(multiplier), p), to);
            }
        }
    }

    /// Computes `shift(x·multiplier, p, u)`, clamped, in place.
    pub(super) fn scale_randomly(
        row: &mut [i32],
        multiplier: i32,
        p: i64,
        bytes: &[u8],
        to: &Clamp,
    ) {
        if multiplier == 1 && (10..=31).contains(&p) {
            let (mask, up) = ((1u32 << p) - 1, p - 9);
            for (x, &byte) in row.iter_mut().zip(bytes) {
                // Both terms of the sum are below 2^p.
                let rest = (*x as u32 & mask) + ((2 * u32::from(byte) + 1) << up);
                *x = ((*x >> p) + (rest >> p) as i32).max(to.min).min(to.max);
            }
        } else if multiplier == 1 && (1..=9).contains(&p) {
            let (mask, down) = ((1u32 << p) - 1, 9 - p);
            for (x, &byte) in row.iter_mut().zip(bytes) {
                let rest = (*x as u32 & mask) + ((2 * u32::from(byte) + 1) >> down);
                *x = ((*x >> p) + (rest >> p) as i32).max(to.min).min(to.max);
            }
        } else {
            for (x, &byte) in row.iter_mut().zip(bytes) {
                *x = clamp(shift_by(i64::from(*x) * i64::from(multiplier), p, byte), to);
            }
        }
    }

    /// Computes `w + shift(−d·λ, p) − rsh(w·λ, decay)`, clamped, in place.
    pub(super) fn descend(row: &mut [i32], d: &[i32], rate: i32, p: i64, decay: u8, to: &Clamp) {
        let rate = i64::from(rate);
        if decay == 0 && (1..=62).contains(&p) {
            let half = 1i64 << (p - 1);
            for (w, &d) in row.iter_mut().zip(d) {
                // Below 2^62 + 2^61.
                let down = (half - i64::from(d) * rate) >> p;
                *w = clamp(i64::from(*w) + down, to);
            }
            return;
        }
        for (w, &d) in row.iter_mut().zip(d) {
            let down = shift(-(i64::from(d) * rate), p);
            let lost = if decay == 0 { 0 } else { rsh(i64::from(*w) * rate, decay) };
            *w = clamp(down.saturating_add(i64::from(*w) - lost), to);
        }
    }

    /// Computes `sat(isqrt(r² − ⌊r²/2^k⌋ + ⌊g'²/2^k⌋))` in place.
    pub(super) fn second_moment(row: &mut [i32], g: &[i32], k: u8) {
        const MAX: i64 = 1 << 30;
        for (r, &g) in row.iter_mut().zip(g) {
            let g = (i64::from(g) << 8).clamp(-MAX, MAX);
            let square = i64::from(*r) * i64::from(*r);
            let mean = square - (square >> k) + ((g * g) >> k);
            // The root of f64 is off by less than one: correct it.
            let root = root(mean as f64) as i64;
            let root = root - i64::from(root * root > mean);
            let root = root + i64::from((root + 1) * (root + 1) <= mean);
            *r = root.min(i32::MAX.into()) as i32;
        }
    }

    /// Computes `rdiv(a·2^24, max(0, r) + 256)`, clamped, in place.
    pub(super) fn ratio(row: &mut [i32], r: &[i32], to: &Clamp) {
        for (a, &r) in row.iter_mut().zip(r) {
            let n = i64::from(r.max(0)) + 256;
            let x = (i64::from(*a) << 24) + n / 2;
            // At most 2^48, and off by less than one.
            let quotient = floor(x as f64 / n as f64);
            let rest = x - quotient * n;
            let quotient = quotient + i64::from(rest >= n) - i64::from(rest < 0);
            *a = clamp(quotient, to);
        }
    }

    /// Computes `rdiv(x·2^bits, n)`, clamped, in place, for |x|·2^bits + n/2
    /// below 2^51.
    pub(super) fn divide(row: &mut [i32], bits: u8, n: i64, to: &Clamp) {
        let inverse = 1.0 / n as f64;
        for x in row {
            let half = (i64::from(*x) << bits) + n / 2;
            *x = clamp(floor_div(half, n, inverse), to);
        }
    }

    /// The sum of E·d, for weights E below 2^7.
    pub(super) fn along(e: &[i32], d: &[i32]) -> i64 {
        e.iter().zip(d).map(|(&e, &d)| i64::from(e) * i64::from(d)).sum()
    }

    /// Computes `rdiv(E·(d − M), S)` into `out`, saturated.
    pub(super) fn softmax_gradient(out: &mut [i32], e: &[i32], d: &[i32], mean: i64, sum: i64) {
        let inverse = 1.0 / sum as f64;
        for ((out, &e), &d) in out.iter_mut().zip(e).zip(d) {
            // Below 2^7·2^33.
            let half = i64::from(e) * (i64::from(d) - mean) + sum / 2;
            let quotient = floor_div(half, sum, inverse);
            *out = quotient.max(i32::MIN.into()).min(i32::MAX.into()) as i32;
        }
    }

    /// The sum of z·dz, or `None` if 64 bits might not hold it.
    pub(super) fn along_narrow(z: &[i32], dz: &[i32]) -> Option<i64> {
        let (mut largest, mut sum) = (0u32, 0i64);
        for (&z, &dz) in z.iter().zip(dz) {
            largest = largest.max(z.unsigned_abs());
            sum = sum.wrapping_add(i64::from(z) * i64::from(dz));
        }
        // Fewer than 2^17 terms of 2^31 times the largest z.
        (largest < 1 << 15 || z.len() as u64 * u64::from(largest) < 1 << 32).then_some(sum)
    }

    /// Computes the gradients of a row ([`Normed`]) into `out`. Returns `false`, and nothing useful, if f64 might
    /// not hold a number.
    pub(super) fn normalise_gradient(
        out: &mut [i32],
        z: &[i32],
        dz: &[i32],
        how: &Normed<'_>,
    ) -> bool {
        let Normed { mean, along, bits, deviation, to } = *how;
        let (inverse, half, bits) = (1.0 / deviation as f64, deviation / 2, bits.min(62));
        let (mut least, mut most) = (0i64, 0i64);
        for ((out, &z), &dz) in out.iter_mut().zip(z).zip(dz) {
            let own = i64::from(dz) - mean - rsh_product(z, along, 14);
            least = least.min(own);
            most = most.max(own);
            *out = clamp(floor_div((own << bits).wrapping_add(half), deviation, inverse), to);
        }
        // Deviations are below 2^22, and so is half of one.
        most < (EXACT >> 1) >> bits && least > -((EXACT >> 1) >> bits)
    }

    /// Computes `g·T[index of x]`, shifted and clamped, in place.
    pub(super) fn gate(
        row: &mut [i32],
        x: &[i32],
        table: &[i32; 256],
        index_shift: u8,
        bits: u8,
        to: &Clamp,
    ) {
        // A shift by more than 31 also leaves only the sign.
        let index_shift = index_shift.min(31);
        for (g, &x) in row.iter_mut().zip(x) {
            let index = (x >> index_shift).saturating_add(128).clamp(0, 255);
            *g = clamp(rsh_product(*g, table[index as usize], bits), to);
        }
    }
}

/// The square root of a number of at least 0, within one.
///
/// libm's is exact and slow; the standard library's is the processor's.
#[inline(always)]
fn root(x: f64) -> f64 {
    #[cfg(feature = "std")]
    {
        x.sqrt()
    }
    #[cfg(not(feature = "std"))]
    {
        // Exact enough: the integer root of the truncated number.
        (x as u64).isqrt() as f64
    }
}

#[cfg(test)]
mod tests {
    //! Each loop is compared with its definition in 128 bits, at extremes and
    //! at random.

    use super::super::arithmetic::rdiv;
    use super::*;
    use crate::program::Dtype;
    use alloc::vec::Vec;

    const FULL: Clamp = Clamp::full(Dtype::I32);

    /// Numbers at the ends of their ranges and of every size between.
    fn numbers() -> Vec<i32> {
        let mut all = alloc::vec![0, 1, -1, i32::MAX, i32::MIN, i32::MAX - 1, i32::MIN + 1];
        let mut state = 1u64;
        for bits in 0..32 {
            for near in [-1, 0, 1] {
                let power = (1i64 << bits) + near;
                all.extend(
                    [power, -power].map(|x| x.clamp(i32::MIN.into(), i32::MAX.into()) as i32),
                );
            }
            for _ in 0..4 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                all.push((state >> 32) as i32 >> bits);
            }
        }
        all
    }

    fn exact_shift(x: i128, p: i64, addend: i128) -> i128 {
        if p > 0 { (x + addend) >> p } else { x << -p }
    }

    fn sat(x: i128) -> i32 {
        x.clamp(FULL.min.into(), FULL.max.into()) as i32
    }

    #[test]
    fn scales() {
        let all = numbers();
        let bytes: Vec<u8> = (0..all.len()).map(|i| (i * 37) as u8).collect();
        for p in -62..=62i64 {
            for multiplier in [1, -3, i32::MAX, i32::MIN] {
                let (mut near, mut random) = (all.clone(), all.clone());
                scale(&mut near, multiplier, p, &FULL);
                scale_randomly(&mut random, multiplier, p, &bytes, &FULL);
                for (((&x, &byte), near), random) in all.iter().zip(&bytes).zip(near).zip(random) {
                    let product = i128::from(x) * i128::from(multiplier);
                    let half = if p > 0 { 1i128 << (p - 1) } else { 0 };
                    assert_eq!(near, sat(exact_shift(product, p, half)), "{x}, {p}");
                    let odd = 2 * i128::from(byte) + 1;
                    let addend = if p > 0 { (odd << p) >> 9 } else { 0 };
                    assert_eq!(random, sat(exact_shift(product, p, addend)), "{x}, {p}, {byte}");
                }
            }
        }
    }

    #[test]
    fn updates() {
        let all = numbers();
        for (turn, &other) in all.iter().enumerate() {
            let others: Vec<i32> = all.iter().cycle().skip(turn).take(all.len()).copied().collect();
            for p in [-62, -1, 0, 1, 16, 24, 62] {
                for decay in [0, 1, 20, 62] {
                    let mut row = all.clone();
                    descend(&mut row, &others, other, p, decay, &FULL);
                    for ((&w, &d), got) in all.iter().zip(&others).zip(row) {
                        let (w, d, rate) = (i128::from(w), i128::from(d), i128::from(other));
                        let half = if p > 0 { 1i128 << (p - 1) } else { 0 };
                        let lost = match decay {
                            0 => 0,
                            _ => (w * rate + (1i128 << (decay - 1))) >> decay,
                        };
                        let expected = w + exact_shift(-d * rate, p, half) - lost;
                        assert_eq!(got, sat(expected), "{w}, {d}, {rate}, {p}, {decay}");
                    }
                }
            }
            let mut row = all.clone();
            ratio(&mut row, &others, &FULL);
            for ((&a, &r), got) in all.iter().zip(&others).zip(row) {
                let expected = rdiv(i128::from(a) << 24, i128::from(r.max(0)) + 256);
                assert_eq!(got, sat(expected), "{a}, {r}");
            }
            for k in [1, 7, 30] {
                let mut row = all.clone();
                second_moment(&mut row, &others, k);
                for ((&r, &g), got) in all.iter().zip(&others).zip(row) {
                    let g = (i128::from(g) << 8).clamp(-(1 << 30), 1 << 30);
                    let square = i128::from(r) * i128::from(r);
                    let mean = square - (square >> k) + ((g * g) >> k);
                    assert_eq!(got, sat((mean as u128).isqrt() as i128), "{r}, {g}, {k}");
                }
            }
        }
    }

    #[test]
    fn divisions() {
        let all = numbers();
        for n in [1, 2, 3, 64, 127, 8191, 127 << 16] {
            for bits in [0, 7, 8, 19] {
                let mut row = all.clone();
                divide(&mut row, bits, n, &FULL);
                for (&x, got) in all.iter().zip(row) {
                    assert_eq!(got, sat(rdiv(i128::from(x) << bits, n.into())), "{x}, {n}");
                }
            }
            for mean in [0i64, i32::MIN.into(), i32::MAX.into()] {
                let e: Vec<i32> = (0..all.len()).map(|i| (i % 128) as i32).collect();
                let mut out = alloc::vec![0; all.len()];
                softmax_gradient(&mut out, &e, &all, mean, n);
                for ((&e, &d), got) in e.iter().zip(&all).zip(out) {
                    let product = i128::from(e) * (i128::from(d) - i128::from(mean));
                    assert_eq!(got, sat(rdiv(product, n.into())), "{e}, {d}, {n}");
                }
            }
        }
        for deviation in [1, 16, 12345, (1 << 21) - 1] {
            for (along, small) in [(0, 0), (5, 8), (i32::MAX, 0), (i32::MIN, 20)] {
                let z: Vec<i32> = all.iter().rev().map(|z| z >> 10).collect();
                let dz: Vec<i32> = all.iter().map(|dz| dz >> small).collect();
                let mut out = alloc::vec![0; all.len()];
                let how = Normed { mean: 7, along, bits: 14, deviation, to: &FULL };
                if !normalise_gradient(&mut out, &z, &dz, &how) {
                    continue;
                }
                for ((&z, &dz), got) in z.iter().zip(&dz).zip(out) {
                    let turned = (i128::from(z) * i128::from(along) + (1 << 13)) >> 14;
                    let own = i128::from(dz) - 7 - turned;
                    assert_eq!(got, sat(rdiv(own << 14, deviation.into())), "{z}, {dz}");
                }
            }
        }
    }
}
