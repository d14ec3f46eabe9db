//! Attention: products item by item and head by head.

use super::Reading;
use crate::real::error::RealError;
use crate::real::value::Real;
use ndarray::{Array2, Axis, s};

/// What is added to an attention weight as it is stored.
pub(super) fn offset<F: Real>() -> F {
    F::of(64.0)
}

impl<F: Real> Reading<'_, F> {
    /// Row i of a with row j of b, over the columns of each head.
    pub(super) fn scores(&self, heads: usize, offset: i32) -> Result<Array2<F>, RealError> {
        let a = self.reals(0)?.mapv(|a| a + F::of(offset.into()));
        let (b, rows) = (self.reals(1)?, self.item_rows(1));
        let width = b.ncols() / heads.max(1);
        let mut y = Array2::zeros(self.output());
        for (block, mut y) in y.axis_chunks_iter_mut(Axis(0), rows).enumerate() {
            let (item, head) = (block / heads, block % heads);
            let own = s![item * rows..(item + 1) * rows, head * width..(head + 1) * width];
            y.assign(&a.slice(own).dot(&b.slice(own).t()));
        }
        Ok(y)
    }

    /// The rows of b, weighted by a row of a, or by a column with `back`.
    pub(super) fn mix(
        &self,
        heads: usize,
        offset: i32,
        back: bool,
    ) -> Result<Array2<F>, RealError> {
        let a = self.reals(0)?.mapv(|a| a + F::of(offset.into()));
        let (b, rows) = (self.reals(1)?, self.item_rows(1));
        let width = b.ncols() / heads.max(1);
        let mut y = Array2::zeros(self.output());
        for (block, a) in a.axis_chunks_iter(Axis(0), rows).enumerate() {
            let (item, head) = (block / heads, block % heads);
            let own = s![item * rows..(item + 1) * rows, head * width..(head + 1) * width];
            let a = if back { a.reversed_axes() } else { a };
            y.slice_mut(own).assign(&a.dot(&b.slice(own)));
        }
        Ok(y)
    }

    /// x·2^shift over the sum of the weights of the entry's row and head.
    pub(super) fn divide_by_sums(&self, shift: u8) -> Result<Array2<F>, RealError> {
        let (mut x, rows) = (self.reals(0)?.into_owned(), self.item_rows(0));
        let sums = self.reals(1)?.mapv(|w| w + offset::<F>()).sum_axis(Axis(1));
        let heads = (self.item_rows(1) / rows).max(1);
        let width = (x.ncols() / heads).max(1);
        for (row, mut x) in x.rows_mut().into_iter().enumerate() {
            let (item, i) = (row / rows, row % rows);
            for (head, mut x) in x.axis_chunks_iter_mut(Axis(0), width).enumerate() {
                let sum = sums.get((item * heads + head) * rows + i);
                x *= F::power(shift.into()) / *sum.ok_or_else(|| self.internal())?;
            }
        }
        Ok(x)
    }
}
