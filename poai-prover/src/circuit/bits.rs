//! Decompositions into bits, and results that are read from them: floors of
//! quotients, signs, saturation.
//!
//! A value is decomposed once, and all results share its bits.

use super::super::system::System;
use super::number::{Bit, Number, is_zero};

/// `number − offset` in bits, the lowest first.
///
/// If honest assignments keep the number within bounds, there are exactly as
/// many bits as these bounds need. The decomposition itself then enforces the
/// bounds `offset` to `offset + 2^bits − 1`.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    pub(super) bits: Vec<Bit>,
    pub(super) offset: i128,
}

/// Number of bits that hold every number from 0 to `most`.
pub(super) fn width(most: i128) -> usize {
    (i128::BITS - most.leading_zeros()) as usize
}

/// Decomposes `number − offset`, which lies in 0..2^width. It takes one constraint for each bit and
/// one for the sum.
pub(super) fn decompose(system: &mut System, number: &Number, offset: i128, width: usize) -> Bits {
    let above = number.value() - offset;
    let bits: Vec<Bit> =
        (0..width).map(|bit| Bit::witness(system, above >> bit & 1 == 1)).collect();
    let sum = weigh(&bits, 0).plus(offset);
    let difference = sum.minus(number);
    system.enforce_zero(difference.lc().clone());
    Bits { bits, offset }
}

/// Σ bit·2^(place + i).
pub(super) fn weigh(bits: &[Bit], place: u32) -> Number {
    let parts: Vec<_> =
        bits.iter().zip(place..).map(|(bit, place)| (1 << place, bit.number())).collect();
    Number::sum(parts.iter().copied(), 0)
}

/// Constrains a witness to its bounds, if it is committed or comes from
/// outside.
///
/// If the number of values is not a power of two, it takes a second
/// decomposition.
pub(super) fn hold(system: &mut System, number: &Number) {
    let (least, most) = number.bounds();
    let width = width(most - least);
    decompose(system, number, least, width);
    if most - least + 1 != 1 << width {
        let room = number.times(-1).plus(most);
        decompose(system, &room, 0, width);
    }
}

/// ⌊number·2⁻ˢ⌋ with its own bits, from which [`Floor::clamp`] starts.
#[derive(Clone, Debug)]
pub(super) struct Floor {
    /// The quotient.
    pub(super) quotient: Number,
    /// Bits of `quotient − offset`.
    bits: Bits,
}

/// ⌊number·2⁻ˢ⌋ by one decomposition, whose low bits are the remainder.
///
/// The quotient's bits are those of quotient − pivot in two's complement, so
/// that the highest bit states whether the quotient is at least the pivot.
pub(super) fn floor(system: &mut System, number: &Number, shift: u32, pivot: i128) -> Floor {
    let (least, most) = number.bounds();
    let (least, most) = (least >> shift, most >> shift);
    // The distance from the pivot on either side, at least enough for a sign.
    let below = (pivot - least).max(0);
    let above = (most - pivot).max(0);
    let half = width(above).max(width((below - 1).max(0)));
    // If all values are on one side of the pivot, there is no sign to find.
    let (offset, bits) = match (below, most < pivot) {
        (0, _) => (pivot, width(above)),
        (_, true) => (least, width(most - least)),
        _ => (pivot - (1 << half), half + 1),
    };
    let all = decompose(system, number, offset << shift, bits + shift as usize);
    let high = Bits { bits: all.bits[shift as usize..].to_vec(), offset };
    let quotient = weigh(&high.bits, 0).plus(offset);
    let bounds = (least.max(quotient.bounds().0), most.min(quotient.bounds().1));
    let quotient = Number::bounded(quotient.lc().clone(), quotient.value(), bounds);
    Floor { quotient, bits: high }
}

impl Floor {
    /// Whether the quotient is at least the pivot that it was made with.
    pub(super) fn at_least(&self, pivot: i128) -> Option<Bit> {
        let (least, most) = self.quotient.bounds();
        if least >= pivot {
            return Some(Bit::constant(true));
        }
        if most < pivot {
            return Some(Bit::constant(false));
        }
        let half = 1i128 << (self.bits.bits.len() - 1);
        let top = self.bits.bits.last()?;
        (self.bits.offset == pivot - half).then(|| top.clone())
    }

    /// min(max(quotient, least), most), for a quotient made with the pivot
    /// `least`.
    pub(super) fn clamp(&self, system: &mut System, least: i128, most: i128) -> Number {
        let (from, to) = self.quotient.bounds();
        if least <= from && to <= most {
            return self.quotient.clone();
        }
        if to <= least {
            return Number::constant(least);
        }
        if from >= most {
            return Number::constant(most);
        }
        // A value above `least` is `least` plus the bits below the sign.
        let sign = self.at_least(least);
        let bits = match from < least {
            true => &self.bits.bits[..self.bits.bits.len() - 1],
            false => &self.bits.bits[..],
        };
        let range = most - least;
        let fit = width(range);
        let (low, high) = bits.split_at(fit.min(bits.len()));
        let low = weigh(low, 0);
        let mut kept = low.clone();
        if to > most {
            // A value is too large if a high bit is set, or if the low bits
            // exceed the range.
            let mut fits = match high.is_empty() {
                true => Bit::constant(true),
                false => is_zero(system, &Number::sum(ones(high).iter().copied(), 0)),
            };
            if low.bounds().1 > range {
                let within = at_most(system, &low, range);
                fits = Bit::of(Number::product(system, fits.number(), within.number()));
            }
            kept = fits.choose(system, &low, &Number::constant(range));
            kept = Number::bounded(kept.lc().clone(), kept.value(), (0, range));
        }
        let result = match sign {
            Some(sign) => Number::product(system, sign.number(), &kept).plus(least),
            None => kept.plus(least),
        };
        Number::bounded(result.lc().clone(), result.value(), (least.max(from).min(most), most))
    }
}

fn ones(bits: &[Bit]) -> Vec<(i128, &Number)> {
    bits.iter().map(|bit| (1, bit.number())).collect()
}

/// Whether a number from 0 to 2^n − 1 is at most a constant below 2^n − 1.
fn at_most(system: &mut System, number: &Number, most: i128) -> Bit {
    let (_, end) = number.bounds();
    if end == most + 1 {
        // Only one value is too large.
        return is_zero(system, &number.plus(-end)).not();
    }
    // most − number + 2^n has bit n set if and only if most − number is not
    // negative.
    let width = width(end);
    let room = number.times(-1).plus(most + (1 << width));
    let bits = decompose(system, &room, 0, width + 1);
    bits.bits.last().cloned().unwrap_or_else(|| Bit::constant(true))
}

/// The larger of two numbers.
pub(super) fn max(system: &mut System, a: &Number, b: &Number) -> Number {
    let difference = a.minus(b);
    let (least, most) = difference.bounds();
    if least >= 0 {
        return a.clone();
    }
    if most <= 0 {
        return b.clone();
    }
    let larger = floor(system, &difference, 0, 0).at_least(0);
    let larger = larger.unwrap_or_else(|| Bit::constant(true));
    let chosen = larger.choose(system, a, b);
    let bounds = (a.bounds().0.max(b.bounds().0), a.bounds().1.max(b.bounds().1));
    Number::bounded(chosen.lc().clone(), chosen.value(), bounds)
}

/// ⌊number/n⌋ for a constant n > 0 that is not a power of two. Constraints keep
/// the quotient and the remainder within bounds.
pub(super) fn divide(system: &mut System, number: &Number, n: i128) -> Number {
    let (least, most) = number.bounds();
    let bounds = (least.div_euclid(n), most.div_euclid(n));
    let quotient = Number::witness(system, number.value().div_euclid(n), bounds);
    hold(system, &quotient);
    let remainder = Number::sum([(1, number), (-n, &quotient)], 0);
    let remainder = Number::bounded(remainder.lc().clone(), remainder.value(), (0, n - 1));
    hold(system, &remainder);
    quotient
}
