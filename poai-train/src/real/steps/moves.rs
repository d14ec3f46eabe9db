//! Steps that move entries. Integers stay integers.

use super::Reading;
use crate::real::error::RealError;
use crate::real::value::{Real, RealValue};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use poai_core::program::ops::training::sample_at;

/// The transpose, with its rows one after another.
fn transposed<T: Copy>(x: &ArrayView2<'_, T>) -> Array2<T> {
    x.t().as_standard_layout().into_owned()
}

/// The transposes of an array's items, one below the other.
fn by_items<T: Copy>(x: &Array2<T>, rows: usize) -> Option<Array2<T>> {
    let items: Vec<Array2<T>> =
        x.axis_chunks_iter(Axis(0), rows).map(|item| transposed(&item)).collect();
    let views: Vec<ArrayView2<'_, T>> = items.iter().map(|item| item.view()).collect();
    concatenate(Axis(0), &views).ok()
}

impl<F: Real> Reading<'_, F> {
    pub(super) fn transpose(&self) -> Result<RealValue<F>, RealError> {
        Ok(match self.input(0)? {
            RealValue::Exact(x) => RealValue::Exact(transposed(&x.view())),
            RealValue::Real(x) => RealValue::Real(transposed(&x.view())),
        })
    }

    pub(super) fn transpose_items(&self) -> Result<RealValue<F>, RealError> {
        let rows = self.item_rows(0);
        let moved = match self.input(0)? {
            RealValue::Exact(x) => by_items(x, rows).map(RealValue::Exact),
            RealValue::Real(x) => by_items(x, rows).map(RealValue::Real),
        };
        moved.ok_or_else(|| self.internal())
    }

    pub(super) fn reshape(&self) -> Result<RealValue<F>, RealError> {
        let size = self.output();
        let moved = match self.input(0)? {
            RealValue::Exact(x) => x.to_shape(size).map(|x| RealValue::Exact(x.into_owned())),
            RealValue::Real(x) => x.to_shape(size).map(|x| RealValue::Real(x.into_owned())),
        };
        moved.map_err(|_| self.internal())
    }

    /// The entries of items whose numbers the index has, 0 for the number −1.
    pub(super) fn arrange(&self) -> Result<RealValue<F>, RealError> {
        let exact: Option<Vec<ArrayView2<'_, i32>>> = self
            .inputs
            .iter()
            .map(|input| match input {
                RealValue::Exact(x) => Some(x.view()),
                RealValue::Real(_) => None,
            })
            .collect();
        if let Some(inputs) = exact {
            return Ok(RealValue::Exact(self.arranged(&inputs, 0)?));
        }
        let inputs: Vec<_> = self.inputs.iter().map(|input| input.reals()).collect();
        let views: Vec<ArrayView2<'_, F>> = inputs.iter().map(|input| input.view()).collect();
        Ok(RealValue::Real(self.arranged(&views, F::zero())?))
    }

    fn arranged<T: Copy>(
        &self,
        inputs: &[ArrayView2<'_, T>],
        zero: T,
    ) -> Result<Array2<T>, RealError> {
        let index = &self.constant(0)?.integers;
        let mut y = Array2::from_elem(self.output(), zero);
        let rows = self.local.output_item_rows() as usize;
        for (item, mut y) in y.axis_chunks_iter_mut(Axis(0), rows).enumerate() {
            let parts = inputs.iter().enumerate().map(|(slot, input)| {
                let rows = self.item_rows(slot);
                input.slice_axis(Axis(0), (item * rows..(item + 1) * rows).into())
            });
            let entries: Vec<T> =
                parts.flat_map(|part| part.iter().copied().collect::<Vec<T>>()).collect();
            for (y, &number) in y.iter_mut().zip(index) {
                if number != -1 {
                    *y = entries[self.index(number, entries.len())?];
                }
            }
        }
        Ok(y)
    }

    fn rows_of<T: Copy>(
        &self,
        table: &ArrayView2<'_, T>,
        slot: usize,
    ) -> Result<Array2<T>, RealError> {
        let ids = self.input(slot)?.integers();
        let ids: Result<Vec<usize>, RealError> =
            ids.iter().map(|&id| self.index(id, table.nrows())).collect();
        Ok(table.select(Axis(0), &ids?))
    }

    /// The rows of a table that ids name.
    pub(super) fn gather(&self) -> Result<RealValue<F>, RealError> {
        if self.inputs.len() == 1 {
            return Ok(RealValue::Exact(self.rows_of(&self.constant(0)?.integers.view(), 0)?));
        }
        Ok(match self.input(0)? {
            RealValue::Exact(table) => RealValue::Exact(self.rows_of(&table.view(), 1)?),
            RealValue::Real(table) => RealValue::Real(self.rows_of(&table.view(), 1)?),
        })
    }

    /// Rows of a constant table, each times its scale.
    pub(super) fn embed(&self, shift: u8) -> Result<Array2<F>, RealError> {
        let mut rows = self.rows_of(&self.constant(0)?.reals.view(), 0)?;
        let scales = self.rows_of(&self.constant(1)?.reals.view(), 0)?;
        rows *= &scales;
        rows *= F::power(-i64::from(shift));
        Ok(rows)
    }

    /// For each of `rows` ids, the sum of the rows of x that have it.
    pub(super) fn scatter_add(&self, rows: usize) -> Result<Array2<F>, RealError> {
        let (x, ids) = (self.reals(0)?, self.input(1)?.integers());
        let mut y = Array2::zeros((rows, x.ncols()));
        for (x, &id) in x.rows().into_iter().zip(ids.iter()) {
            let mut y = y.row_mut(self.index(id, rows)?);
            y += &x;
        }
        Ok(y)
    }

    /// The seed's bytes, and the iteration.
    pub(super) fn seed_and_t(&self, first: usize) -> Result<([u8; 32], u64), RealError> {
        let words = self.input(first)?.integers();
        let mut seed = [0; 32];
        for (bytes, word) in seed.as_chunks_mut::<4>().0.iter_mut().zip(words.iter()) {
            *bytes = word.to_le_bytes();
        }
        let t = self.input(first + 1)?.integers();
        let t = t.first().copied().unwrap_or(0);
        Ok((seed, self.index(t, i32::MAX as usize)? as u64))
    }

    pub(super) fn draw(&self, samples: u32) -> Result<RealValue<F>, RealError> {
        let (seed, t) = self.seed_and_t(0)?;
        let batch = u64::from(self.local.run.batch);
        // Exact: samples are at most 2^31.
        let drawn = |(row, _)| sample_at(&seed, t * batch + row as u64, samples) as i32;
        Ok(RealValue::Exact(Array2::from_shape_fn(self.output(), drawn)))
    }
}
