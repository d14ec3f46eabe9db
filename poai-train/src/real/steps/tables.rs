//! Functions of one number that a table holds.

use super::Reading;
use crate::real::error::RealError;
use crate::real::value::Real;

/// The functions that activations and their derivatives tabulate.
const KNOWN: [fn(f64) -> f64; 4] = [
    normal,
    // The derivative of x·Φ(x).
    |x| {
        let root = libm::sqrt(2.0 * core::f64::consts::PI);
        normal(x) + x * libm::exp(-x * x / 2.0) / root
    },
    logistic,
    // The derivative of x·p(x), p being the logistic function.
    |x| logistic(x) + x * logistic(x) * (1.0 - logistic(x)),
];

/// Φ, the standard normal distribution.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2)
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// What a table of 256 entries says of a number.
pub(super) enum Tabled<F> {
    /// A function of the number's sign: below 0, at 0, and above.
    Sign([F; 3]),
    /// A known function of x·scale, times what stands for 1.
    Known { function: fn(f64) -> f64, scale: F, one: F },
    /// The values at the middle of each interval of 2^shift. Between them the
    /// function is a straight line, and beyond the ends it is constant.
    Points { points: Vec<F>, middle: F, scale: F },
}

impl<F: Real> Tabled<F> {
    /// The function that entries tabulate, entry i over (i − 128)·2^shift.
    fn new(entries: &[F], shift: u8) -> Tabled<F> {
        let (below, rest) = entries.split_at(entries.len().min(128));
        let (zero, above) = rest.split_at(rest.len().min(1));
        let constant = |part: &[F]| {
            let first = part.first().copied()?;
            part.iter().all(|&entry| entry == first).then_some(first)
        };
        match (constant(below), zero, constant(above)) {
            (Some(below), &[zero], Some(above)) => Tabled::Sign([below, zero, above]),
            _ => known(entries, shift).unwrap_or_else(|| {
                // The mean of an interval's integers.
                let middle = F::of((libm::exp2(f64::from(shift)) - 1.0) / 2.0);
                let (points, scale) = (entries.to_vec(), F::power(-i64::from(shift)));
                Tabled::Points { points, middle, scale }
            }),
        }
    }

    pub(super) fn at(&self, x: F) -> F {
        match self {
            Tabled::Sign([below, zero, above]) => {
                if x > F::zero() {
                    *above
                } else if x < F::zero() {
                    *below
                } else {
                    *zero
                }
            }
            Tabled::Known { function, scale, one } => F::of(function((x * *scale).wide())) * *one,
            Tabled::Points { points, middle, scale } => {
                line(points, (x - *middle) * *scale + F::of(128.0))
            }
        }
    }
}

/// The known function that entries tabulate at the middle of intervals of a power of
/// two. The first and the last entry are its limits.
fn known<F: Real>(entries: &[F], shift: u8) -> Option<Tabled<F>> {
    let one = entries.last().copied()?;
    let inner = || entries.iter().enumerate().skip(1).take(254);
    let fits = |function: fn(f64) -> f64, width: f64| {
        inner().all(|(index, entry)| {
            let exact = function((index as f64 - 127.5) * width) * one.wide();
            (exact - entry.wide()).abs() <= 1.0
        })
    };
    // A table of less than 8 bits could be another function's.
    let mut functions = KNOWN.into_iter().filter(|_| one.wide() >= 256.0);
    functions.find_map(|function| {
        let power = (0..8).find(|&power| fits(function, libm::exp2(f64::from(-power))))?;
        let scale = F::power(-i64::from(shift) - i64::from(power));
        Some(Tabled::Known { function, scale, one })
    })
}

/// The value of straight lines between points at 0, 1, 2 and so on.
pub(super) fn line<F: Real>(points: &[F], at: F) -> F {
    let last = points.len().saturating_sub(1);
    let at = at.max(F::zero()).min(F::of(last as f64));
    let first = at.floor();
    // Exact: at most 256. NaN becomes 0.
    let index = first.wide() as usize;
    match points.get(index..) {
        Some(&[from, to, ..]) => from + (to - from) * (at - first),
        Some(&[from]) => from,
        _ => F::nan(),
    }
}

impl<F: Real> Reading<'_, F> {
    /// The function of the step's table.
    pub(super) fn tabled(&self, shift: u8) -> Result<Tabled<F>, RealError> {
        let entries: Vec<F> = self.constant(0)?.reals.iter().copied().collect();
        Ok(Tabled::new(&entries, shift))
    }

    /// The exponential of the step's table: its first entry, and the intervals in
    /// which it falls to the e-th part.
    ///
    /// The entries are one·e^(−i/width), rounded, for a power of two as the width.
    /// The last may be 0.
    pub(super) fn exponential(&self) -> Result<(F, F), RealError> {
        let table = &self.constant(0)?.integers;
        let one = f64::from(table.first().copied().unwrap_or(0));
        let fits = |width: f64| {
            table.iter().take(255).enumerate().all(|(index, &entry)| {
                let exact = one * libm::exp(-(index as f64) / width);
                (exact - f64::from(entry)).abs() <= 1.0
            })
        };
        let width = (0..8).map(|power| f64::from(1 << power)).find(|&width| fits(width));
        let wrong = || RealError::Table { step: self.name.into(), expected: "exponentials" };
        let width = width.filter(|_| one >= 1.0).ok_or_else(wrong)?;
        Ok((F::of(one), F::of(width)))
    }
}
