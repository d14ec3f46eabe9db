//! Steps that scale a row by a measure of its own entries.
//!
//! A quotient or a root is a hint: the prover supplies it, and constraints on
//! the remainder leave only one integer that it can be.

use super::super::system::System;
use super::CircuitError;
use super::bits::{decompose, max, width};
use super::gadgets::{I16, Step, entry_from, floored, quotient, shifted};
use super::number::{Number, is_zero};
use poai_core::program::Clamp;

/// The numerators of softmax.
const NUMERATORS: (i128, i128) = (0, 127);

impl Step<'_> {
    /// The softmax of each row, by table.
    pub(super) fn softmax(
        &self,
        system: &mut System,
        multiplier: i32,
        shift: u8,
        one: i32,
        clamp: &Clamp,
    ) -> Result<Vec<Number>, CircuitError> {
        let (x, table) = (self.slot(0)?, self.constant(0)?);
        let clamp = self.clamp(clamp);
        // A table may hold entries that are not weights. Those are clipped.
        let table: Vec<Number> =
            table.entries.iter().map(|entry| floored(system, entry, 0, NUMERATORS)).collect();
        let first = table.first().ok_or(CircuitError::Layout)?.bounds().0;
        let mut entries = Vec::with_capacity(x.entries.len());
        for row in x.rows() {
            let largest = largest(system, row).ok_or(CircuitError::Layout)?;
            let mut numerators = Vec::with_capacity(row.len());
            for x in row {
                let distance = largest.minus(x);
                // No entry is above the largest.
                let bounds = (0, distance.bounds().1.max(0));
                let distance = bounded(&distance, bounds).times(multiplier.into());
                let index = shifted(system, &distance, shift, (0, 255));
                numerators.push(entry_from(system, &index, 0, &table)?);
            }
            let parts: Vec<_> = numerators.iter().map(|numerator| (1, numerator)).collect();
            let sum = Number::sum(parts.iter().copied(), 0);
            // The distance of the largest is 0, so the sum has the first entry.
            let sum = bounded(&sum, (first.max(sum.bounds().0), sum.bounds().1));
            let sum = floored(system, &sum, 0, (1, sum.bounds().1.max(1)));
            let sum = pinned(system, &sum);
            let (least, most) = sum.bounds();
            let half = floored(system, &sum, 1, (least >> 1, most >> 1));
            for numerator in &numerators {
                let dividend = Number::sum([(one.into(), numerator), (1, &half)], 0);
                // No numerator is above the sum.
                let quotient = divide(system, &dividend, &sum, one.into());
                entries.push(floored(system, &quotient, 0, clamp));
            }
        }
        Ok(entries)
    }

    /// LayerNorm with `centre`, and RMSNorm without it.
    pub(super) fn normalise(
        &self,
        system: &mut System,
        centre: bool,
        shift: u8,
    ) -> Result<Vec<Number>, CircuitError> {
        let (x, affine) = (self.slot(0)?, self.constant(0)?);
        let n = i128::from(x.extent.columns);
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        let mut entries = Vec::with_capacity(x.entries.len());
        for row in x.rows() {
            let mean = match centre {
                true => {
                    let mean = mean_of(system, row, n);
                    pinned(system, &mean)
                }
                false => Number::constant(0),
            };
            let distances: Vec<Number> = row.iter().map(|x| x.minus(&mean)).collect();
            let squares: Vec<Number> =
                distances.iter().map(|distance| square(system, distance)).collect();
            let variance = mean_of(system, &squares, n);
            let inverse = inverse(system, &variance);
            for (distance, of_column) in distances.iter().zip(affine.rows()) {
                let [gamma, beta] = of_column else { return Err(CircuitError::Layout) };
                let scaled = Number::product(system, distance, &inverse);
                let scaled = bounded(&scaled, meet(scaled.bounds(), most_scaled(n)));
                // Within its bounds, z does not saturate.
                let (least, most) = scaled.bounds();
                let z = floored(system, &scaled, 8, (least >> 8, most >> 8));
                let product = Number::product(system, &z, gamma);
                let sum = Number::sum([(1, &product), (1 << shift, beta)], half);
                entries.push(floored(system, &sum, shift.into(), I16));
            }
        }
        Ok(entries)
    }
}

fn bounded(number: &Number, bounds: (i128, i128)) -> Number {
    Number::bounded(number.lc().clone(), number.value(), bounds)
}

fn meet(one: (i128, i128), other: (i128, i128)) -> (i128, i128) {
    (one.0.max(other.0), one.1.min(other.1))
}

/// A number as one variable, for rows that would repeat all its terms.
fn pinned(system: &mut System, number: &Number) -> Number {
    if number.is_constant() || number.lc().terms().len() == 1 {
        return number.clone();
    }
    let pin = Number::witness(system, number.value(), number.bounds());
    system.enforce_zero(pin.minus(number).lc().clone());
    pin
}

/// The largest of a row, by a tree, so that no number has many terms.
fn largest(system: &mut System, row: &[Number]) -> Option<Number> {
    let mut left = row.to_vec();
    while left.len() > 1 {
        let pair = |pair: &[Number]| match pair {
            [a, b] => max(system, a, b),
            rest => rest[0].clone(),
        };
        left = left.chunks(2).map(pair).collect();
    }
    left.pop()
}

/// The bounds of a distance times the inverse deviation, in a row of n entries.
///
/// Let d be a distance and v the variance.
///
/// - If v = 0, the squares sum to less than ⌈n/2⌉, so d² < n. The inverse is 2²⁶.
/// - Else d² ≤ n·(v + ½) + ½ ≤ 2·n·v. The deviation is at least 16·√v − 1, which is
///   at least 15·√v, so the inverse is at most 2²⁶/(15·√v).
///
/// In both cases the product is at most √n·2²⁶, and z at most 2²⁶ for 2¹⁶
/// columns.
fn most_scaled(n: i128) -> (i128, i128) {
    let most = (n.isqrt() + 1) << 26;
    (-most, most)
}

/// The rounded mean of n numbers.
fn mean_of(system: &mut System, numbers: &[Number], n: i128) -> Number {
    let parts: Vec<_> = numbers.iter().map(|number| (1, number)).collect();
    quotient(system, &Number::sum(parts.iter().copied(), n / 2), n)
}

fn square(system: &mut System, number: &Number) -> Number {
    let square = Number::product(system, number, number);
    if square.is_constant() {
        return square;
    }
    let (least, most) = number.bounds();
    bounded(&square, (0, (least * least).max(most * most)))
}

/// ⌊2²⁶/σ⌋ with σ = max(1, ⌊√(v·2⁸)⌋).
fn inverse(system: &mut System, variance: &Number) -> Number {
    let radicand = variance.times(1 << 8);
    let root = root(system, &radicand);
    let is_zero = is_zero(system, &root);
    let sum = Number::sum([(1, &root), (1, is_zero.number())], 0);
    let deviation = bounded(&sum, (1, root.bounds().1.max(1)));
    divide(system, &Number::constant(1 << 26), &deviation, 1 << 26)
}

/// The floor of the square root of a number from 0.
fn root(system: &mut System, x: &Number) -> Number {
    let root = x.value().max(0).isqrt();
    if x.is_constant() {
        return Number::constant(root);
    }
    hinted_root(system, x, root)
}

/// A hint r, and constraints that it is the floor of a square root: the only
/// integer from 0 with 0 ≤ x − r² ≤ 2·r.
fn hinted_root(system: &mut System, x: &Number, hint: i128) -> Number {
    let most = x.bounds().1.max(0).isqrt();
    let root = Number::witness(system, hint, (0, most));
    decompose(system, &root, 0, width(most));
    let rest = x.minus(&square(system, &root));
    decompose(system, &rest, 0, width(2 * most));
    let room = Number::sum([(2, &root), (-1, &rest)], 0);
    decompose(system, &room, 0, width(2 * most));
    root
}

/// ⌊x/n⌋ for x from 0 and n from 1, which is at most `most` for every x and n
/// that the caller's constraints permit.
fn divide(system: &mut System, x: &Number, n: &Number, most: i128) -> Number {
    if n.is_constant() {
        return quotient(system, x, n.value());
    }
    hinted_quotient(system, x, n, most, x.value().div_euclid(n.value().max(1)))
}

/// A hint q, and constraints that it is ⌊x/n⌋: the only integer with
/// 0 ≤ x − q·n ≤ n − 1.
fn hinted_quotient(system: &mut System, x: &Number, n: &Number, most: i128, hint: i128) -> Number {
    let quotient = Number::witness(system, hint, (0, most));
    decompose(system, &quotient, 0, width(most));
    let product = Number::product(system, &quotient, n);
    let rest = x.minus(&product);
    let bits = width(n.bounds().1 - 1);
    decompose(system, &rest, 0, bits);
    let room = Number::sum([(1, n), (-1, &rest)], -1);
    decompose(system, &room, 0, bits);
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system of two numbers with bounds.
    fn system(x: i128, n: i128, most: i128) -> (System, Number, Number) {
        let mut system = System::new(0, true);
        let x = Number::witness(&mut system, x, (0, most));
        let n = Number::witness(&mut system, n, (1, 200));
        (system, x, n)
    }

    fn holds(system: &System) -> bool {
        system.first_unsatisfied(system.assignment()).is_none()
    }

    #[test]
    fn roots_and_quotients_are_floors() {
        let end = 1i128 << 40;
        for value in (0..300).chain([end - (1 << 20), end - 1, end]) {
            for divisor in [1, 2, 3, 7, 128, 200] {
                let (mut system, x, n) = system(value, divisor, end);
                assert_eq!(root(&mut system, &x).value(), value.isqrt());
                assert_eq!(divide(&mut system, &x, &n, end).value(), value / divisor);
                assert!(holds(&system), "{value}, {divisor}");
            }
        }
    }

    /// A forger supplies another root or quotient, and the bits and products
    /// that follow from it.
    #[test]
    fn no_other_root_or_quotient_holds() {
        for value in [0, 1, 2, 24, 25, 26, 99, 100] {
            for hint in -3..=40 {
                let (mut system, x, _) = system(value, 1, 100);
                hinted_root(&mut system, &x, hint);
                assert_eq!(holds(&system), hint == value.isqrt(), "√{value} = {hint}");
            }
            for (divisor, hint) in
                [1, 2, 7, 100, 200].iter().flat_map(|&n| (-3..=130).map(move |q| (n, q)))
            {
                let (mut system, x, n) = system(value, divisor, 100);
                hinted_quotient(&mut system, &x, &n, 100, hint);
                assert_eq!(holds(&system), hint == value / divisor, "{value}/{divisor} = {hint}");
            }
        }
    }
}
