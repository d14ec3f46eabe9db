//! Products, and shifts by exponents that the run computes.

use super::Reading;
use crate::real::error::RealError;
use crate::real::value::{Real, RealValue};
use ndarray::{Array2, Axis, s};
use poai_core::program::ops::training::{Random, shift_by};
use poai_core::program::training::{EXPONENT_SHIFT_MAX, Shift, Sign};

/// The bits of an operand's magnitude.
const OPERAND_BITS: i32 = 6;
/// The largest exponent, so that powers stay finite.
const EXPONENT_MAX: i32 = 127;

impl<F: Real> Reading<'_, F> {
    /// The shift of each row of the output, or one shift for all.
    fn shifts(&self, shift: &Shift, first: usize) -> Result<Vec<i64>, RealError> {
        let slots = first..first + shift.signs.len();
        let exponents: Result<Vec<_>, RealError> =
            slots.map(|slot| Ok(self.input(slot)?.integers())).collect();
        let exponents = exponents?;
        let rows = exponents.iter().map(|each| each.len()).max().unwrap_or(1);
        let mut all = vec![i64::from(shift.base); rows];
        for (exponents, sign) in exponents.iter().zip(&shift.signs) {
            let one = exponents.len() == 1;
            for (row, p) in all.iter_mut().enumerate() {
                let e = exponents.get((if one { 0 } else { row }, 0));
                let e = i64::from(*e.ok_or_else(|| self.internal())?);
                *p += if *sign == Sign::Plus { e } else { -e };
            }
        }
        Ok(all)
    }

    /// `x·multiplier·2^−p`.
    pub(super) fn shifted(
        &self,
        mut x: Array2<F>,
        multiplier: i32,
        shift: &Shift,
        first: usize,
    ) -> Result<Array2<F>, RealError> {
        let shifts = self.shifts(shift, first)?;
        let factors = shifts.iter().map(|&p| F::of(multiplier.into()) * F::power(-p));
        let factors: Vec<F> = factors.collect();
        match factors[..] {
            [factor] => x *= factor,
            _ => {
                for (mut row, &factor) in x.axis_iter_mut(Axis(0)).zip(&factors) {
                    row *= factor;
                }
            }
        }
        Ok(x)
    }

    pub(super) fn rescale(&self, shift: &Shift, multiplier: i32) -> Result<Array2<F>, RealError> {
        self.shifted(self.reals(0)?.into_owned(), multiplier, shift, 1)
    }

    /// A stochastic rescale to 0..=1, by the random bytes of the integers.
    pub(super) fn mask(
        &self,
        shift: &Shift,
        stream: u32,
        multiplier: i32,
    ) -> Result<RealValue<F>, RealError> {
        let mut x = self.input(0)?.integers().into_owned();
        let shifts = self.shifts(shift, 1)?;
        let (seed, t) = self.seed_and_t(1 + shift.signs.len())?;
        let mut random = Random::new(&seed, t, stream, x.ncols());
        let most = i64::from(EXPONENT_SHIFT_MAX);
        for (row, mut x) in (0u32..).zip(x.rows_mut()) {
            let p = shifts.get(row as usize).or(shifts.first()).copied().unwrap_or(0);
            for (x, &byte) in x.iter_mut().zip(random.row(row)) {
                let product = i64::from(*x) * i64::from(multiplier);
                // Exact: 0 or 1.
                *x = shift_by(product, p.clamp(-most, most), byte).clamp(0, 1) as i32;
            }
        }
        Ok(RealValue::Exact(x))
    }

    /// The exponent of an operand, of all rows or of each, from its row scales.
    pub(super) fn exponent(&self, per_row: bool) -> Result<RealValue<F>, RealError> {
        let m = self.reals(0)?;
        let of = |m: F| {
            let fits = |e: &i32| m.wide() < libm::exp2(f64::from(e + OPERAND_BITS));
            (0..EXPONENT_MAX).find(fits).unwrap_or(EXPONENT_MAX)
        };
        let exponents = if per_row {
            m.mapv(of)
        } else {
            let largest = m.iter().copied().fold(F::zero(), F::max);
            Array2::from_elem((1, 1), of(largest))
        };
        Ok(RealValue::Exact(exponents))
    }

    /// The exponent for the next iteration, from this iteration's operand.
    pub(super) fn next_exponent(&self) -> Result<RealValue<F>, RealError> {
        let e = self.input(0)?.integers().first().copied().unwrap_or(0);
        let largest = self.reals(1)?.iter().copied().fold(F::zero(), F::max).wide();
        let next = if largest >= 63.0 {
            e.saturating_add(1)
        } else if largest < 32.0 {
            let bits = (0..OPERAND_BITS).find(|&bits| largest < libm::exp2(bits.into()));
            e.saturating_sub(OPERAND_BITS - bits.unwrap_or(OPERAND_BITS)).max(0)
        } else {
            e
        };
        Ok(RealValue::Exact(Array2::from_elem((1, 1), next)))
    }

    pub(super) fn scaled_product(
        &self,
        shift: &Shift,
        bias: bool,
        bias_shift: u8,
    ) -> Result<Array2<F>, RealError> {
        let products = self.reals(0)?.dot(&self.reals(1)?.t());
        let first = if bias { 3 } else { 2 };
        let mut y = self.shifted(products, 1, shift, first)?;
        if bias {
            let bias = self.reals(2)?.mapv(|b| b * F::power(-i64::from(bias_shift)));
            y += &bias.t();
        }
        Ok(y)
    }

    /// Products with constant weights, group by group.
    pub(super) fn linear(&self, groups: usize, shifts: &[u8; 3]) -> Result<Array2<F>, RealError> {
        let (x, w) = (self.reals(0)?, &self.constant(0)?.reals);
        let channels = &self.constant(1)?.reals;
        let (outputs, k) = (w.nrows() / groups.max(1), w.ncols());
        let mut y = Array2::zeros(self.output());
        for group in 0..groups {
            let x = x.slice(s![.., group * k..(group + 1) * k]);
            let own = group * outputs..(group + 1) * outputs;
            let w = w.slice(s![own.clone(), ..]);
            y.slice_mut(s![.., own]).assign(&x.dot(&w.t()));
        }
        let [first, second, third] = shifts.map(|shift| F::power(-i64::from(shift)));
        let scales = if self.inputs.len() > 1 { Some(self.reals(1)?) } else { None };
        let channels = channels.rows().into_iter();
        for (mut column, channel) in y.columns_mut().into_iter().zip(channels) {
            let (before, multiplier, after) = (channel[0], channel[1], channel[2]);
            column.mapv_inplace(|sum| (sum + before) * multiplier * first);
            if let Some(scales) = &scales {
                column.zip_mut_with(&scales.column(0), |v, &m| *v = *v * m * second);
            }
            column.mapv_inplace(|v| (v + after) * third);
        }
        Ok(y)
    }

    /// Products of two values, block by block.
    pub(super) fn product(&self, blocks: usize, shift: u8) -> Result<Array2<F>, RealError> {
        let (a, b) = (self.reals(0)?, self.reals(1)?);
        let all = (blocks * self.items()).max(1);
        let (m, n) = (a.nrows() / all, b.nrows() / all);
        let mut y = Array2::zeros(self.output());
        for block in 0..all {
            let a = a.slice(s![block * m..(block + 1) * m, ..]);
            let b = b.slice(s![block * n..(block + 1) * n, ..]);
            y.slice_mut(s![block * m..(block + 1) * m, ..]).assign(&a.dot(&b.t()));
        }
        y *= F::power(-i64::from(shift));
        Ok(y)
    }
}
