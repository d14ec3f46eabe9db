//! Operands in memory of the caller, which products without a commitment read.

use super::{Operand, OperandError, check_entries, check_shape};
use ndarray::ArrayView2;
use poai_core::params::{ENTRY_MAX, ENTRY_MIN, Params};
use poai_core::puzzle::statement::Side;
use rayon::prelude::*;

/// Entries that a thread checks at once.
const PART: usize = 1 << 16;

/// An operand whose entries the caller holds. The checks are those of
/// [`Operand`].
#[derive(Clone, Copy)]
pub struct OperandView<'a> {
    params: Params,
    side: Side,
    k: usize,
    entries: &'a [i8],
}

impl std::fmt::Debug for OperandView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperandView")
            .field("params", &self.params)
            .field("side", &self.side)
            .field("shape", &(self.rows(), self.k))
            .finish_non_exhaustive()
    }
}

impl<'a> OperandView<'a> {
    /// Checks a row-major matrix of `k` columns.
    ///
    /// # Errors
    /// [`OperandError`] names the broken bound, and the entry that broke it.
    pub fn new(
        params: &Params,
        side: Side,
        entries: &'a [i8],
        k: usize,
    ) -> Result<OperandView<'a>, OperandError> {
        let rows = entries.len().checked_div(k).unwrap_or(0);
        let empty = OperandError::Empty { side, rows, columns: k };
        let whole = ArrayView2::from_shape((rows, k), entries).map_err(|_| empty)?;
        check_shape(params, side, whole.dim())?;
        // On every thread first: a product of many rows would wait for one.
        let bad = |&entry: &i8| !(ENTRY_MIN..=ENTRY_MAX).contains(&entry);
        let any = |part: &[i8]| part.iter().fold(false, |any, entry| any | bad(entry));
        if entries.par_chunks(PART).any(any) {
            check_entries(side, &whole)?;
        }
        Ok(OperandView { params: *params, side, k, entries })
    }

    /// A view of an operand, which was checked.
    pub(super) fn checked(operand: &'a Operand) -> OperandView<'a> {
        let Operand { params, side, .. } = *operand;
        let k = operand.entries.ncols();
        OperandView { params, side, k, entries: operand.as_slice() }
    }

    /// Rank and tile.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The operand's side.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.entries.len() / self.k
    }

    /// The number of columns.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The entries, row-major.
    pub fn as_slice(&self) -> &'a [i8] {
        self.entries
    }

    /// Some of its rows, from a multiple of the tile to another, or `None`
    /// outside.
    pub fn strips(&self, rows: core::ops::Range<usize>) -> Option<OperandView<'a>> {
        let tile = self.params.tile();
        if !rows.start.is_multiple_of(tile) || !rows.end.is_multiple_of(tile) {
            return None;
        }
        let entries = self.entries.get(rows.start * self.k..rows.end * self.k)?;
        (!entries.is_empty()).then_some(OperandView { entries, ..*self })
    }

    /// A copy that owns its entries.
    pub fn to_operand(&self) -> Operand {
        let shape = (self.rows(), self.k);
        let entries = ArrayView2::from_shape(shape, self.entries).expect("a view has whole rows");
        let entries = std::sync::Arc::new(entries.to_owned());
        Operand { params: self.params, side: self.side, entries }
    }
}
