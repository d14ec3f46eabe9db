//! Curves of 257 points, with straight lines between them.
//!
//! With t = x + 128·2ˢ, one decomposition of t gives the segment j and the
//! position f within it. The result is ⌊(T[j]·2ˢ + (T[j+1] − T[j])·f + half)·2⁻ˢ⌋.
//! It lies between two points, so its bits are those of the table's range.
//!
//! With points that are constants, a segment takes two selections from sums
//! that are linear in the selectors of j's low bits. That is 52 constraints for
//! 256 segments. Committed points take a product for each point.

use super::super::system::System;
use super::CircuitError;
use super::bits::{decompose, floor, weigh, width};
use super::gadgets::{I16, floored};
use super::number::{Bit, Number, is_zero};
use super::table::{look_up, selectors};

/// The number of segments.
const SEGMENTS: i128 = 256;
/// Bits of a segment's number.
const SEGMENT_BITS: usize = 8;

/// The curve at x.
pub(super) fn curve(
    system: &mut System,
    x: &Number,
    points: &[Number],
    shift: u8,
    pass_above: bool,
) -> Result<Number, CircuitError> {
    let shift = usize::from(shift);
    let point = |at: i128| points.get(at as usize).ok_or(CircuitError::Layout);
    let t = x.plus((SEGMENTS / 2) << shift);
    let ((least, most), end) = (t.bounds(), SEGMENTS << shift);
    if most <= 0 {
        return Ok(point(0)?.clone());
    }
    let is_below = least < 0;
    let beyond = match pass_above {
        _ if most < end => None,
        // Every x above the curve is at least this.
        true if end >> 1 >= I16.1 => Some(Number::constant(I16.1)),
        true => Some(floored(system, x, 0, (x.bounds().0, I16.1))),
        false => Some(point(SEGMENTS)?.clone()),
    };
    if let (Some(beyond), true) = (&beyond, least >= end) {
        return Ok(beyond.clone());
    }
    if least == most {
        let (j, f) = (t.value() >> shift, Number::constant(t.value() & ((1 << shift) - 1)));
        let line = Line { from: point(j)?.clone(), step: point(j + 1)?.minus(point(j)?) };
        return Ok(line.at(system, &f, shift, range(&points[j as usize..=j as usize + 1])));
    }
    if !is_below && beyond.is_none() {
        let (first, last) = (least >> shift, most >> shift);
        let bits = shift + width(last - first);
        let bits = decompose(system, &t, first << shift, bits).bits;
        let points = points.get(first as usize..=last as usize + 1);
        return segment(system, &bits, points.ok_or(CircuitError::Layout)?, shift);
    }
    // The bits of t, and above them whether t is not negative.
    let size = width(most).max(width(-1 - least.min(-1))).max(shift);
    let offset = if is_below { -(1 << size) } else { 0 };
    let bits = decompose(system, &t, offset, size + usize::from(is_below)).bits;
    let (bits, sign) = bits.split_at(size);
    let inside = bits.len().min(shift + SEGMENT_BITS);
    let (inside, over) = bits.split_at(inside);
    let last = 1 << (inside.len() - shift);
    let points_inside = points.get(..=last).ok_or(CircuitError::Layout)?;
    let mut result = segment(system, inside, points_inside, shift)?;
    let (mut ends, mut all) = (result.bounds(), range(points));
    if let Some(beyond) = beyond {
        // Passed entries that are chosen lie above the curve, and in i16.
        all = if pass_above { (all.0, I16.1) } else { all };
        ends = (ends.0.min(all.0), ends.1.max(all.1));
        let fits = match over {
            [] => Bit::constant(true),
            [one] => one.not(),
            over => {
                let ones: Vec<_> = over.iter().map(|bit| (1, bit.number())).collect();
                is_zero(system, &Number::sum(ones.iter().copied(), 0))
            }
        };
        result = fits.choose(system, &result, &beyond);
    }
    if let [sign] = sign {
        let below = point(0)?;
        ends = (ends.0.min(below.bounds().0), ends.1.max(below.bounds().1));
        result = sign.choose(system, &result, below);
    }
    Ok(Number::bounded(result.lc().clone(), result.value(), ends))
}

/// The least and the largest bound of points.
fn range(points: &[Number]) -> (i128, i128) {
    let bounds = points.iter().map(Number::bounds);
    bounds.fold((i128::MAX, i128::MIN), |(least, most), (a, b)| (least.min(a), most.max(b)))
}

/// A segment's first point, and the distance to the next one.
struct Line {
    from: Number,
    step: Number,
}

impl Line {
    /// The rounded value at position f, which lies between the two points.
    ///
    /// `ends` are bounds of both points.
    fn at(&self, system: &mut System, f: &Number, shift: usize, ends: (i128, i128)) -> Number {
        if shift == 0 {
            return self.from.clone();
        }
        let rise = Number::product(system, &self.step, f);
        let half = 1 << (shift - 1);
        let sum = Number::sum([(1 << shift, &self.from), (1, &rise)], half);
        let bounds = ((ends.0 << shift) + half, (ends.1 << shift) + half);
        let sum = Number::bounded(sum.lc().clone(), sum.value(), bounds);
        if sum.is_constant() {
            return Number::constant(sum.value() >> shift);
        }
        floor(system, &sum, shift as u32, ends.0).quotient
    }
}

/// The curve at a t with these bits, the lowest first. `points` begin with the
/// first point of segment 0.
///
/// The bits never give a segment beyond the last point.
fn segment(
    system: &mut System,
    bits: &[Bit],
    points: &[Number],
    shift: usize,
) -> Result<Number, CircuitError> {
    let (f, j) = bits.split_at(shift);
    let starts = points.split_last().ok_or(CircuitError::Layout)?.1;
    if shift == 0 {
        return Ok(look_up(system, j, starts));
    }
    let line = match points.iter().all(Number::is_constant) {
        true => fixed(system, j, points),
        false => committed(system, j, points),
    };
    Ok(line.at(system, &weigh(f, 0), shift, range(points)))
}

/// The line of a segment between constants.
fn fixed(system: &mut System, j: &[Bit], points: &[Number]) -> Line {
    // Each selector of the high bits takes two products, so there are fewer.
    let (low, high) = j.split_at(j.len().div_ceil(2) + usize::from(j.len() > 4));
    let (low, high) = (selectors(system, low), selectors(system, high));
    let pairs: Vec<(i128, i128)> = points
        .windows(2)
        .map(|pair| (pair[0].value(), pair[1].value() - pair[0].value()))
        .collect();
    let mut line = [vec![], vec![]];
    for (block, high) in pairs.chunks(low.len()).zip(&high) {
        let firsts: Vec<_> = block.iter().map(|pair| pair.0).zip(&low).collect();
        let steps: Vec<_> = block.iter().map(|pair| pair.1).zip(&low).collect();
        for (picked, parts) in line.iter_mut().zip([firsts, steps]) {
            // One selector is 1, and all others are 0.
            let ends = parts.iter().fold((0, 0), |(a, b), part| (a.min(part.0), b.max(part.0)));
            let inner = Number::sum(parts.iter().copied(), 0);
            let inner = Number::bounded(inner.lc().clone(), inner.value(), ends);
            picked.push(Number::product(system, high, &inner));
        }
    }
    let [from, step] = line.map(|picked| total(&picked));
    let ends = |of: fn(&(i128, i128)) -> i128| {
        let all = pairs.iter().map(of);
        all.fold((i128::MAX, i128::MIN), |(least, most), one| (least.min(one), most.max(one)))
    };
    Line { from: within(&from, ends(|pair| pair.0)), step: within(&step, ends(|pair| pair.1)) }
}

/// The line of a segment between committed points.
fn committed(system: &mut System, j: &[Bit], points: &[Number]) -> Line {
    let (low, high) = j.split_at(j.len().div_ceil(2));
    let (low, high) = (selectors(system, low), selectors(system, high));
    let ends = range(points);
    // The points of the block that the high bits select, and the one after it.
    let block: Vec<Number> = (0..=low.len())
        .map(|at| {
            let column = points.iter().skip(at).step_by(low.len());
            let parts: Vec<Number> = high
                .iter()
                .zip(column)
                .map(|(high, point)| Number::product(system, high, point))
                .collect();
            within(&total(&parts), (ends.0.min(0), ends.1.max(0)))
        })
        .collect();
    let mut pick = |of: &dyn Fn(usize) -> Number| {
        let parts: Vec<Number> =
            low.iter().enumerate().map(|(at, low)| Number::product(system, low, &of(at))).collect();
        total(&parts)
    };
    let from = within(&pick(&|at| block[at].clone()), ends);
    let step = pick(&|at| block[at + 1].minus(&block[at]));
    Line { from, step: within(&step, (ends.0 - ends.1, ends.1 - ends.0)) }
}

fn total(parts: &[Number]) -> Number {
    let parts: Vec<_> = parts.iter().map(|part| (1, part)).collect();
    Number::sum(parts.iter().copied(), 0)
}

/// The number with bounds that the selectors enforce.
fn within(number: &Number, bounds: (i128, i128)) -> Number {
    Number::bounded(number.lc().clone(), number.value(), bounds)
}

#[cfg(test)]
mod tests {
    use super::super::number::field;
    use super::*;
    use poai_core::program::ops::arithmetic::{rsh, sat16};

    /// Spec §12's formula.
    fn expected(x: i64, points: &[i128], shift: u8, pass_above: bool) -> i128 {
        let end = 128i64 << shift;
        let t = (x + end).max(0);
        if x >= end {
            return if pass_above { sat16(x).into() } else { points[256] };
        }
        let (j, f) = ((t >> shift) as usize, t & ((1 << shift) - 1));
        points[j] + i128::from(rsh((points[j + 1] - points[j]) as i64 * f, shift))
    }

    #[test]
    fn curves_are_the_executors_at_every_end() {
        let points: Vec<i128> =
            (0..257).map(|i| (i * i * 517 + i * 91) % 65_536 - 32_768).collect();
        let extreme: Vec<i128> =
            (0..257).map(|i| if i % 2 == 0 { -32_768 } else { 32_767 }).collect();
        let bounds = [
            (-32_768, 32_767),
            (-64, 63),
            (i128::from(i32::MIN), i128::from(i32::MAX)),
            (-40, 700),
            (-200, 5),
            (0, 127),
            (-32_768, -200),
            (130, 40_000),
            (i128::from(i32::MIN), 900),
        ];
        for (points, shift) in
            [(&points, 0u8), (&points, 1), (&extreme, 7), (&points, 8), (&extreme, 23)]
        {
            let end = 128i128 << shift;
            let near = [-end - 1, -end, -end + 1, -1, 0, 1, end / 2 + 3, end - 1, end, end + 1];
            for (bounds, pass_above) in bounds.iter().flat_map(|&b| [(b, false), (b, true)]) {
                let inside = |x: &i128| (bounds.0..=bounds.1).contains(x);
                let values: Vec<i128> =
                    near.iter().chain([&bounds.0, &bounds.1]).copied().filter(inside).collect();
                for (x, is_fixed) in values.iter().flat_map(|&x| [(x, true), (x, false)]) {
                    let mut system = System::new(0, true);
                    let number = Number::witness(&mut system, x, bounds);
                    let points: Vec<Number> = points
                        .iter()
                        .map(|&point| match is_fixed {
                            true => Number::constant(point),
                            false => Number::witness(&mut system, point, I16),
                        })
                        .collect();
                    let got = curve(&mut system, &number, &points, shift, pass_above).unwrap();
                    let values: Vec<i128> = points.iter().map(Number::value).collect();
                    let expected = expected(x as i64, &values, shift, pass_above);
                    let about = format!("{x} in {bounds:?}, shift {shift}, {pass_above}");
                    assert_eq!(got.value(), expected, "{about}");
                    assert_eq!(got.lc().evaluate(system.assignment()), field(expected), "{about}");
                    assert!((got.bounds().0..=got.bounds().1).contains(&expected), "{about}");
                    assert_eq!(system.first_unsatisfied(system.assignment()), None, "{about}");
                }
            }
        }
    }

    /// A curve whose range covers its input takes no saturation.
    #[test]
    fn curves_of_i16_take_few_constraints() {
        let cost = |bounds, is_fixed| {
            let mut system = System::new(0, false);
            let x = Number::witness(&mut system, 0, bounds);
            let point = |system: &mut System, at: i128| match is_fixed {
                true => Number::constant(at * at / 3),
                false => Number::witness(system, at, I16),
            };
            let points: Vec<Number> = (0..257).map(|at| point(&mut system, at)).collect();
            curve(&mut system, &x, &points, 8, false).unwrap();
            system.constraints()
        };
        // The bits of t, the selectors, two selections, a product, and the bits
        // of the result.
        assert_eq!(cost(I16, true), 17 + 30 + 6 + 16 + 1 + 8 + 15 + 1);
        assert_eq!(cost(I16, false), 375);
        assert!(cost((-64, 63), true) < 32);
        assert!(cost((-100_000, 100_000), true) < cost(I16, true) + 8);
    }
}
