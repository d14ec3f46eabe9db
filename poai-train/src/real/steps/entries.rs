//! Steps that compute each entry from the same place of their inputs.

use super::Reading;
use super::tables::line;
use crate::real::error::RealError;
use crate::real::value::Real;
use ndarray::Array2;
use poai_core::program::Op;

/// What the square root of the second moment is multiplied by, as in g·2^8.
const MOMENT: i64 = 8;
/// What a ratio's first moment is multiplied by, as in a·2^24.
const RATIO: i64 = 24;
/// What a ratio adds to its divisor.
const EPSILON: f64 = 256.0;

impl<F: Real> Reading<'_, F> {
    pub(super) fn entries(&self, op: &Op) -> Result<Array2<F>, RealError> {
        let mut x = self.reals(0)?.into_owned();
        let down = |shift: u8| F::power(-i64::from(shift));
        match *op {
            Op::Add { multipliers, shift, .. } => {
                let [m0, m1] = multipliers.map(|m| F::of(m.into()) * down(shift));
                x.zip_mut_with(&self.reals(1)?, |a, &b| *a = *a * m0 + b * m1);
            }
            Op::Mul { shift, .. } => {
                let down = down(shift);
                x.zip_mut_with(&self.reals(1)?, |a, &b| *a = *a * b * down);
            }
            Op::Requantise { multiplier, shift, .. } => {
                x *= F::of(multiplier.into()) * down(shift);
            }
            Op::ScaleColumns { shift, .. } => {
                x = x * self.constant(0)?.reals.t() * down(shift);
            }
            Op::Relu => x.mapv_inplace(|x| x.max(F::zero())),
            Op::Table { shift, pass_above, .. } => {
                let (table, end) = (self.tabled(shift)?, F::power(7 + i64::from(shift)));
                x.mapv_inplace(|x| if pass_above && x >= end { x } else { table.at(x) });
            }
            Op::Curve { shift, pass_above, .. } => {
                let end = F::power(7 + i64::from(shift));
                let points: Vec<F> = self.constant(0)?.reals.iter().copied().collect();
                let down = down(shift);
                let at = |x: F| line(&points, (x + end) * down);
                x.mapv_inplace(|x| if pass_above && x >= end { x } else { at(x) });
            }
            Op::Quantise => {
                let scales = self.reals(1)?.mapv(|m| F::of(63.0) / m.max(F::one()));
                x *= &scales;
            }
            _ => return Err(self.unknown()),
        }
        Ok(x)
    }

    /// Rows i of a table, added to row i of every item.
    pub(super) fn add_rows(&self) -> Result<Array2<F>, RealError> {
        let mut x = self.reals(0)?.into_owned();
        let (table, rows) = (&self.constant(0)?.reals, self.item_rows(0));
        for (row, mut x) in x.rows_mut().into_iter().enumerate() {
            if row % rows >= table.nrows() {
                return Err(self.internal());
            }
            x += &table.row(row % rows);
        }
        Ok(x)
    }

    pub(super) fn gate(&self, index_shift: u8, shift: u8) -> Result<Array2<F>, RealError> {
        let (mut g, table) = (self.reals(0)?.into_owned(), self.tabled(index_shift)?);
        let down = F::power(-i64::from(shift));
        g.zip_mut_with(&self.reals(1)?, |g, &x| *g = *g * table.at(x) * down);
        Ok(g)
    }

    pub(super) fn descend(&self, shift: i32, decay: u8) -> Result<Array2<F>, RealError> {
        let mut w = self.reals(0)?.into_owned();
        let rate = self.input(2)?.first();
        let step = rate * F::power(-i64::from(shift));
        let lost = if decay == 0 { F::zero() } else { rate * F::power(-i64::from(decay)) };
        w.zip_mut_with(&self.reals(1)?, |w, &d| *w = *w - d * step - *w * lost);
        Ok(w)
    }

    pub(super) fn second_moment(&self, shift: u8) -> Result<Array2<F>, RealError> {
        let mut r = self.reals(0)?.into_owned();
        let (part, one) = (F::power(-i64::from(shift)), F::power(MOMENT));
        r.zip_mut_with(&self.reals(1)?, |r, &g| {
            let g = g * one;
            *r = (*r * *r * (F::one() - part) + g * g * part).sqrt();
        });
        Ok(r)
    }

    pub(super) fn ratio(&self) -> Result<Array2<F>, RealError> {
        let mut a = self.reals(0)?.into_owned();
        let one = F::power(RATIO);
        a.zip_mut_with(&self.reals(1)?, |a, &r| {
            *a = *a * one / (r.max(F::zero()) + F::of(EPSILON));
        });
        Ok(a)
    }
}
