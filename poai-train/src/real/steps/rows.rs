//! Norms, softmax, and gradients of a row from the same row.

use super::Reading;
use crate::real::error::RealError;
use crate::real::value::Real;
use ndarray::{Array2, ArrayView1, Axis};

/// What stands for 1 in a normalised row: 2^14.
const ONE: i64 = 14;
/// The deviation's unit is a sixteenth of an entry's.
const DEVIATION: i64 = 4;
/// The bits that a mean over tokens gains.
const MEAN: i64 = 8;

/// The sum of numbers divided by their count.
fn mean<F: Real>(sum: F, count: usize) -> F {
    sum / F::of(count.max(1) as f64)
}

/// A row less its mean, if it is centred, over its deviation; and the deviation in
/// sixteenths.
fn normalised<F: Real>(x: ArrayView1<'_, F>, centre: bool) -> (Vec<F>, F) {
    let middle = if centre { mean(x.sum(), x.len()) } else { F::zero() };
    let squares = x.iter().map(|&x| (x - middle) * (x - middle));
    let variance = mean(squares.fold(F::zero(), |sum, x| sum + x), x.len());
    // A row of equal entries would divide by 0.
    let deviation = (variance.sqrt() * F::power(DEVIATION)).max(F::one());
    let scale = F::power(DEVIATION) / deviation;
    (x.iter().map(|&x| (x - middle) * scale).collect(), deviation)
}

impl<F: Real> Reading<'_, F> {
    pub(super) fn normalise(&self, centre: bool, shift: u8) -> Result<Array2<F>, RealError> {
        let mut x = self.reals(0)?.into_owned();
        let affine = &self.constant(0)?.reals;
        let scale = F::power(ONE - i64::from(shift));
        for mut row in x.rows_mut() {
            let (z, _) = normalised(row.view(), centre);
            for ((x, z), affine) in row.iter_mut().zip(z).zip(affine.rows()) {
                *x = z * affine[0] * scale + affine[1];
            }
        }
        Ok(x)
    }

    pub(super) fn normalise_gradient(
        &self,
        centre: bool,
        shift: u8,
    ) -> Result<Array2<F>, RealError> {
        let (x, mut dz) = (self.reals(0)?, self.reals(1)?.into_owned());
        for (x, mut dz) in x.rows().into_iter().zip(dz.rows_mut()) {
            let (z, deviation) = normalised(x, centre);
            let along = dz.iter().zip(&z).fold(F::zero(), |sum, (&dz, &z)| sum + dz * z);
            let along = mean(along, z.len());
            let middle = if centre { mean(dz.sum(), z.len()) } else { F::zero() };
            let scale = F::power(shift.into()) / deviation;
            for (dz, z) in dz.iter_mut().zip(z) {
                *dz = (*dz - middle - z * along) * scale;
            }
        }
        Ok(dz)
    }

    pub(super) fn l2_normalise(&self) -> Result<Array2<F>, RealError> {
        let mut x = self.reals(0)?.into_owned();
        for mut row in x.rows_mut() {
            let length = row.dot(&row).sqrt().max(F::one());
            row *= F::power(ONE) / length;
        }
        Ok(x)
    }

    /// e^(−(max − x)·scale) of the entries of a row, and their sum.
    fn powers(row: &[F], scale: F) -> (Vec<F>, F) {
        let largest = row.iter().copied().fold(F::neg_infinity(), F::max);
        let powers: Vec<F> = row.iter().map(|&x| ((x - largest) * scale).exp()).collect();
        let sum = powers.iter().fold(F::zero(), |sum, &x| sum + x);
        (powers, sum)
    }

    /// The exponents that an entry of 1 has: multiplier·2^−shift over the table's
    /// width.
    fn natural(&self, multiplier: i32, shift: u8) -> Result<F, RealError> {
        let (_, width) = self.exponential()?;
        Ok(F::of(multiplier.into()) * F::power(-i64::from(shift)) / width)
    }

    pub(super) fn softmax(
        &self,
        multiplier: i32,
        shift: u8,
        one: i32,
    ) -> Result<Array2<F>, RealError> {
        let (mut x, scale) = (self.reals(0)?.into_owned(), self.natural(multiplier, shift)?);
        for mut row in x.rows_mut() {
            let (powers, sum) = Self::powers(&row.to_vec(), scale);
            for (x, power) in row.iter_mut().zip(powers) {
                *x = power / sum * F::of(one.into());
            }
        }
        Ok(x)
    }

    pub(super) fn cross_entropy(
        &self,
        multiplier: i32,
        shift: u8,
        fraction: u8,
    ) -> Result<Array2<F>, RealError> {
        let (mut x, scale) = (self.reals(0)?.into_owned(), self.natural(multiplier, shift)?);
        let (labels, one) = (self.input(1)?.integers(), F::power(fraction.into()));
        for (mut row, &label) in x.rows_mut().into_iter().zip(labels.iter()) {
            let Some(label) = usize::try_from(label).ok().filter(|&label| label < row.len()) else {
                row.fill(F::zero());
                continue;
            };
            let (powers, sum) = Self::powers(&row.to_vec(), scale);
            for (column, (x, power)) in row.iter_mut().zip(powers).enumerate() {
                let own = if column == label { F::one() } else { F::zero() };
                *x = (power / sum - own) * one;
            }
        }
        Ok(x)
    }

    /// Attention weights, 64 below e^(max − x)·127: −64 where a token is not seen.
    pub(super) fn exponentials(
        &self,
        causal: bool,
        multiplier: i32,
        shift: u8,
    ) -> Result<Array2<F>, RealError> {
        let (mut x, scale) = (self.reals(0)?.into_owned(), self.natural(multiplier, shift)?);
        let ((one, _), columns) = (self.exponential()?, x.ncols());
        for (index, mut row) in x.rows_mut().into_iter().enumerate() {
            let seen = if causal { index % columns.max(1) + 1 } else { columns };
            let visible: Vec<F> = row.iter().take(seen).copied().collect();
            let (powers, _) = Self::powers(&visible, scale);
            row.fill(-super::blocks::offset::<F>());
            for (x, power) in row.iter_mut().zip(powers) {
                *x += power * one;
            }
        }
        Ok(x)
    }

    pub(super) fn softmax_gradient(&self) -> Result<Array2<F>, RealError> {
        let (w, mut d) = (self.reals(0)?, self.reals(1)?.into_owned());
        for (w, mut d) in w.rows().into_iter().zip(d.rows_mut()) {
            let e: Vec<F> = w.iter().map(|&w| w + super::blocks::offset::<F>()).collect();
            let sum = e.iter().fold(F::zero(), |sum, &e| sum + e);
            let along = e.iter().zip(&d).fold(F::zero(), |sum, (&e, &d)| sum + e * d) / sum;
            for (d, e) in d.iter_mut().zip(e) {
                *d = e * (*d - along) / sum;
            }
        }
        Ok(d)
    }

    /// The largest magnitude of each row, at least 1.
    pub(super) fn row_scale(&self) -> Result<Array2<F>, RealError> {
        let largest = |row: ArrayView1<'_, F>| row.iter().fold(F::one(), |max, x| max.max(x.abs()));
        Ok(self.reals(0)?.map_axis(Axis(1), largest).insert_axis(Axis(1)))
    }

    pub(super) fn row_sum(&self) -> Result<Array2<F>, RealError> {
        Ok(self.reals(0)?.sum_axis(Axis(1)).insert_axis(Axis(1)))
    }

    /// The rows of an item that count: its length, or all.
    fn length(&self, item: usize, rows: usize) -> Result<usize, RealError> {
        if self.inputs.len() < 2 {
            return Ok(rows);
        }
        let lengths = self.input(1)?.integers();
        let length = *lengths.get((item, 0)).ok_or_else(|| self.internal())?;
        Ok(self.index(length, rows + 1)?.max(1))
    }

    pub(super) fn mean_pool(&self) -> Result<Array2<F>, RealError> {
        let (x, rows) = (self.reals(0)?, self.item_rows(0));
        let mut y = Array2::zeros(self.output());
        for (item, (mut y, x)) in
            y.rows_mut().into_iter().zip(x.axis_chunks_iter(Axis(0), rows)).enumerate()
        {
            let length = self.length(item, rows)?;
            for x in x.rows().into_iter().take(length) {
                y += &x;
            }
            y *= mean(F::power(MEAN), length);
        }
        Ok(y)
    }

    pub(super) fn mean_pool_gradient(&self) -> Result<Array2<F>, RealError> {
        let (dy, rows) = (self.reals(0)?, self.local.output_item_rows() as usize);
        let mut dx = Array2::zeros(self.output());
        for (item, (mut dx, dy)) in
            dx.axis_chunks_iter_mut(Axis(0), rows).zip(dy.rows()).enumerate()
        {
            let length = self.length(item, rows)?;
            for mut dx in dx.rows_mut().into_iter().take(length) {
                dx.zip_mut_with(&dy, |dx, &dy| *dx = mean(dy, length));
            }
        }
        Ok(dx)
    }
}
