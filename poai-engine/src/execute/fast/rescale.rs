//! Rows scaled by powers of two, rounded to the nearest or by random bytes.

use super::entries::Entry;
use super::vectorise;
use poai_core::program::ops::arithmetic::clamp;
use poai_core::program::ops::training::{shift, shift_by};
use poai_core::program::{Clamp, Dtype};

/// What scales a row: `clamp(shift(x·multiplier, p))`.
pub(in crate::execute) struct Scaling<'a> {
    pub(in crate::execute) multiplier: i32,
    pub(in crate::execute) p: i64,
    pub(in crate::execute) clamp: &'a Clamp,
}

/// Scales a row of 32-bit entries, rounded to the nearest.
pub(super) fn near(to: &mut [u8], x: &[u8], how: &Scaling<'_>) {
    match how.clamp.dtype {
        Dtype::I8 => near_i8(to, x, how),
        Dtype::I16 => near_i16(to, x, how),
        Dtype::I32 => near_i32(to, x, how),
    }
}

/// Scales a row of 32-bit entries, rounded by a byte for each.
pub(super) fn by(to: &mut [u8], x: &[u8], bytes: &[u8], how: &Scaling<'_>) {
    match how.clamp.dtype {
        Dtype::I8 => by_i8(to, x, bytes, how),
        Dtype::I16 => by_i16(to, x, bytes, how),
        Dtype::I32 => by_i32(to, x, bytes, how),
    }
}

/// Scales a row of sums, rounded to the nearest.
pub(in crate::execute) fn sums(to: &mut [u8], sums: &[i32], how: &Scaling<'_>) {
    match how.clamp.dtype {
        Dtype::I8 => sums_i8(to, sums, how),
        Dtype::I16 => sums_i16(to, sums, how),
        Dtype::I32 => sums_i32(to, sums, how),
    }
}

#[inline(always)]
fn scale<E: Entry>(to: &mut [u8], x: impl Iterator<Item = i32>, how: &Scaling<'_>) {
    let Scaling { multiplier, p, clamp: range } = *how;
    let Clamp { min, max, .. } = *range;
    let entries = E::of_mut(to).iter_mut().zip(x);
    if multiplier == 1 && (2..=31).contains(&p) {
        for (to, x) in entries {
            *to = E::write((((x >> (p - 1)) + 1) >> 1).max(min).min(max));
        }
    } else if multiplier == 1 && (-31..=0).contains(&p) {
        let (least, most) = (i32::MIN >> -p, i32::MAX >> -p);
        for (to, x) in entries {
            // A number whose shift exceeds 32 bits exceeds the range, too.
            let shifted = (x << -p).max(min).min(max);
            let shifted = if x > most { max } else { shifted };
            *to = E::write(if x < least { min } else { shifted });
        }
    } else if (1..=62).contains(&p) {
        let half = 1i64 << (p - 1);
        for (to, x) in entries {
            // At most 2^62 + 2^61.
            let shifted = (i64::from(x) * i64::from(multiplier) + half) >> p;
            *to = E::write(clamp(shifted, range));
        }
    } else {
        for (to, x) in entries {
            *to = E::write(clamp(shift(i64::from(x) * i64::from(multiplier), p), range));
        }
    }
}

#[inline(always)]
fn scale_by<E: Entry>(to: &mut [u8], x: &[u8], bytes: &[u8], how: &Scaling<'_>) {
    let Scaling { multiplier, p, clamp: range } = *how;
    let Clamp { min, max, .. } = *range;
    let entries = E::of_mut(to).iter_mut().zip(i32::of(x).iter().zip(bytes));
    if multiplier == 1 && (10..=31).contains(&p) {
        let (mask, up) = ((1u32 << p) - 1, p - 9);
        for (to, (&x, &byte)) in entries {
            let x = i32::read(x);
            // Both terms of the sum are below 2^p.
            let rest = (x as u32 & mask) + ((2 * u32::from(byte) + 1) << up);
            *to = E::write(((x >> p) + (rest >> p) as i32).max(min).min(max));
        }
    } else if multiplier == 1 && (1..=9).contains(&p) {
        let (mask, down) = ((1u32 << p) - 1, 9 - p);
        for (to, (&x, &byte)) in entries {
            let x = i32::read(x);
            let rest = (x as u32 & mask) + ((2 * u32::from(byte) + 1) >> down);
            *to = E::write(((x >> p) + (rest >> p) as i32).max(min).min(max));
        }
    } else {
        for (to, (&x, &byte)) in entries {
            let product = i64::from(i32::read(x)) * i64::from(multiplier);
            *to = E::write(clamp(shift_by(product, p, byte), range));
        }
    }
}

vectorise! {
    fn near_i8(to: &mut [u8], x: &[u8], how: &Scaling<'_>) {
        scale::<i8>(to, i32::of(x).iter().map(|&x| i32::read(x)), how);
    }

    fn near_i16(to: &mut [u8], x: &[u8], how: &Scaling<'_>) {
        scale::<i16>(to, i32::of(x).iter().map(|&x| i32::read(x)), how);
    }

    fn near_i32(to: &mut [u8], x: &[u8], how: &Scaling<'_>) {
        scale::<i32>(to, i32::of(x).iter().map(|&x| i32::read(x)), how);
    }

    fn sums_i8(to: &mut [u8], sums: &[i32], how: &Scaling<'_>) {
        scale::<i8>(to, sums.iter().copied(), how);
    }

    fn sums_i16(to: &mut [u8], sums: &[i32], how: &Scaling<'_>) {
        scale::<i16>(to, sums.iter().copied(), how);
    }

    fn sums_i32(to: &mut [u8], sums: &[i32], how: &Scaling<'_>) {
        scale::<i32>(to, sums.iter().copied(), how);
    }

    fn by_i8(to: &mut [u8], x: &[u8], bytes: &[u8], how: &Scaling<'_>) {
        scale_by::<i8>(to, x, bytes, how);
    }

    fn by_i16(to: &mut [u8], x: &[u8], bytes: &[u8], how: &Scaling<'_>) {
        scale_by::<i16>(to, x, bytes, how);
    }

    fn by_i32(to: &mut [u8], x: &[u8], bytes: &[u8], how: &Scaling<'_>) {
        scale_by::<i32>(to, x, bytes, how);
    }
}
