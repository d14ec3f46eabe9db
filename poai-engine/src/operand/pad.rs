//! Padding of any shape to one that the puzzle permits.
//!
//! Padding adds zeros below and to the right, explicitly. The statement is
//! about the padded matrices: their zeros are hashed, noised and counted as
//! work like any other entry. The true shape is kept beside them.

use super::{OperandError, Operands, check_inner};
use ndarray::{Array2, s};
use poai_core::params::Params;
use poai_core::puzzle::statement::Side;

/// Padded operands and their true shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Padded {
    operands: Operands,
    /// m, n, k before padding.
    true_shape: (usize, usize, usize),
}

impl Padded {
    /// Pads A (m×k) and Bᵀ (n×k) with zeros until m and n are multiples of the
    /// tile and k is a multiple of the rank. A matrix that already fits is not
    /// copied.
    ///
    /// # Errors
    /// [`OperandError`] if a matrix is empty or too large, the two do not
    /// multiply, or an entry is out of range. The error gives the entry's place
    /// before padding, which padding does not change.
    pub fn new(params: &Params, a: Array2<i8>, bt: Array2<i8>) -> Result<Padded, OperandError> {
        check_inner(&a, &bt)?;
        check_not_empty(Side::A, &a)?;
        check_not_empty(Side::B, &bt)?;
        let true_shape = (a.nrows(), bt.nrows(), a.ncols());
        let operands = Operands::new(params, pad(params, a), pad(params, bt))?;
        Ok(Padded { operands, true_shape })
    }

    /// Operands that were already padded from this shape, or `None` if padding
    /// the shape does not give them.
    #[cfg(feature = "serde")]
    pub(super) fn of(operands: Operands, true_shape: (usize, usize, usize)) -> Option<Padded> {
        let (m, n, k) = true_shape;
        let fits = [(operands.a(), m), (operands.bt(), n)].into_iter().all(|(operand, rows)| {
            let params = operand.params();
            let entries = operand.entries();
            // Subtract instead of rounding up: the true shape may be any number,
            // and rounding it up could overflow.
            let (padded_rows, columns) = entries.dim();
            rows <= padded_rows
                && k <= columns
                && padded_rows - rows < params.tile()
                && columns - k < params.rank()
                && entries.slice(s![rows.., ..]).iter().all(|&entry| entry == 0)
                && entries.slice(s![.., k..]).iter().all(|&entry| entry == 0)
        });
        (fits && m > 0 && n > 0 && k > 0).then_some(Padded { operands, true_shape })
    }

    /// The padded operands, which the statement is about.
    pub fn operands(&self) -> &Operands {
        &self.operands
    }

    /// m, n and k before padding.
    pub fn true_shape(&self) -> (usize, usize, usize) {
        self.true_shape
    }

    /// Crops the padded product (or any matrix of at least m×n) to the true
    /// shape m×n.
    ///
    /// # Panics
    /// Panics if the product is smaller than the true shape.
    pub fn crop(&self, product: Array2<i32>) -> Array2<i32> {
        let (m, n, _) = self.true_shape;
        if product.dim() == (m, n) {
            return product;
        }
        product.slice(s![..m, ..n]).to_owned()
    }
}

pub(super) fn check_not_empty(side: Side, matrix: &Array2<i8>) -> Result<(), OperandError> {
    let (rows, columns) = matrix.dim();
    if matrix.is_empty() {
        return Err(OperandError::Empty { side, rows, columns });
    }
    Ok(())
}

fn pad(params: &Params, matrix: Array2<i8>) -> Array2<i8> {
    let (rows, columns) = matrix.dim();
    let padded = (rows.next_multiple_of(params.tile()), columns.next_multiple_of(params.rank()));
    if padded == (rows, columns) {
        return matrix;
    }
    let mut larger = Array2::zeros(padded);
    larger.slice_mut(s![..rows, ..columns]).assign(&matrix);
    larger
}
