//! Operands: checked i8 matrices in the layout that is committed (spec §3).
//!
//! - [`Operand`]: one matrix, A or Bᵀ; [`Operands`]: a pair that multiplies.
//! - [`OperandView`]: a checked matrix in memory of the caller.
//! - [`Padded`]: any shape, padded explicitly, with its true shape.
//! - [`Split`]: a `k` too large for one statement, cut into several statements.

mod pad;
#[cfg(feature = "serde")]
mod serialise;
mod split;
mod view;

pub use pad::Padded;
pub use split::{K_MAX, Split};
pub use view::OperandView;

use ndarray::{Array2, ArrayView2};
use poai_core::digest::Challenge;
use poai_core::params::{ENTRY_MAX, ENTRY_MIN, Params};
use poai_core::puzzle::statement::{Dimension, Shape, ShapeError, Side, check_depth, check_rows};
use std::sync::Arc;

/// Why a matrix is not a valid operand, or two matrices are not a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperandError {
    /// The shape is not permitted under the parameters.
    #[error("operand {side}: {source}; use `Miner::split` to make any shape fit")]
    Shape {
        /// Which operand.
        side: Side,
        /// The error of the shape.
        source: ShapeError,
    },
    /// More rows or columns than 32 bits can count.
    #[error(
        "operand {side}: expected fewer than 2^32 rows and columns, got {rows}×{columns}; cut the matrix"
    )]
    TooLarge {
        /// Which operand.
        side: Side,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// An entry lies outside the clean range.
    #[error(
        "operand {side}: expected entries in {ENTRY_MIN}..={ENTRY_MAX}, got {value} at \
         [{row}, {column}]; scale or clip the matrix"
    )]
    Entry {
        /// Which operand.
        side: Side,
        /// The entry's row: of A, or of Bᵀ.
        row: usize,
        /// The entry's column.
        column: usize,
        /// Its value.
        value: i8,
    },
    /// A and Bᵀ have different numbers of columns.
    #[error("expected A with the {b} columns of Bᵀ, got {a}; pass matrices of one k")]
    Inner {
        /// Columns of A.
        a: usize,
        /// Columns of Bᵀ.
        b: usize,
    },
    /// At this k, a sum of products could overflow i32 even without noise.
    #[error("expected k below 2^19, where 32-bit sums of clean entries stay exact, got {k}; cut k")]
    TooDeep {
        /// The number of columns.
        k: usize,
    },
    /// Two operands of the same side, or made for different parameters.
    #[error("expected sides A and B with one rank and tile, got others; make both for one miner")]
    Pair,
    /// An operand without rows or columns.
    #[error(
        "operand {side}: expected rows and columns, got {rows}×{columns}; pass at least one entry"
    )]
    Empty {
        /// Which operand.
        side: Side,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
}

/// One operand: a rows×k matrix of i8, row-major. Every entry is in -64..=63,
/// rows are a multiple of the tile and k is a multiple of the rank. B is stored
/// transposed, as Bᵀ.
///
/// The operand keeps the parameters that it was checked against, and everything
/// made from it uses them. Cloning shares the entries. `{:?}` prints its shape
/// but no entries, which may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Operand {
    params: Params,
    side: Side,
    entries: Arc<Array2<i8>>,
}

impl std::fmt::Debug for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operand")
            .field("params", &self.params)
            .field("side", &self.side)
            .field("shape", &self.entries.dim())
            .finish_non_exhaustive()
    }
}

impl Operand {
    /// Checks a matrix: A (m×k), or Bᵀ (n×k) for side B. A row-major matrix is
    /// not copied.
    ///
    /// # Errors
    /// [`OperandError`] names the broken bound, and the entry that broke it.
    pub fn new(params: &Params, side: Side, entries: Array2<i8>) -> Result<Operand, OperandError> {
        check_shape(params, side, entries.dim())?;
        check_entries(side, &entries.view())?;
        let entries = if entries.is_standard_layout() {
            entries
        } else {
            entries.as_standard_layout().into_owned()
        };
        Ok(Operand { params: *params, side, entries: Arc::new(entries) })
    }

    /// The pseudo-random operand of spec §9, for tests and benchmarks: entries
    /// uniform in -64..=63 from `H-xof("test operand", seed)`.
    ///
    /// # Errors
    /// [`OperandError::Shape`] if the parameters do not permit the shape.
    pub fn pseudorandom(
        params: &Params,
        side: Side,
        seed: &[u8],
        rows: usize,
        k: usize,
    ) -> Result<Operand, OperandError> {
        Operand::new(params, side, pseudorandom(seed, rows, k))
    }

    /// Rank and tile.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The operand's side.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The number of rows: m of A, n of Bᵀ.
    pub fn rows(&self) -> u32 {
        // Exact: `new` has checked it.
        self.entries.nrows() as u32
    }

    /// The number of columns.
    pub fn k(&self) -> u32 {
        self.entries.ncols() as u32
    }

    /// The matrix.
    pub fn entries(&self) -> ArrayView2<'_, i8> {
        self.entries.view()
    }

    /// The entries, row-major.
    pub fn as_slice(&self) -> &[i8] {
        // Row-major since `new`, so the slice exists; the empty slice is never
        // returned.
        self.entries.as_slice().unwrap_or_default()
    }

    /// The same operand, borrowed.
    pub fn view(&self) -> OperandView<'_> {
        OperandView::checked(self)
    }

    /// The bytes that are committed.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.as_slice())
    }
}

/// The matrix of spec §9, of any shape: bytes of `H-xof("test operand", seed)`,
/// row-major, `entry = (byte & 127) − 64`.
///
/// # Panics
/// Panics if there is no memory for `rows·columns` entries.
pub fn pseudorandom(seed: &[u8], rows: usize, columns: usize) -> Array2<i8> {
    let mut bytes = vec![0u8; rows * columns];
    blake3::Hasher::new_derive_key("poai-1 test operand")
        .update(seed)
        .finalize_xof()
        .fill(&mut bytes);
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        (bytes[row * columns + column] & 127) as i8 - 64
    })
}

/// The challenge of spec §9: `H("test challenge", tag)`.
pub fn test_challenge(tag: &[u8]) -> Challenge {
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 test challenge");
    Challenge(*hasher.update(tag).finalize().as_bytes())
}

fn check_shape(
    params: &Params,
    side: Side,
    (rows, columns): (usize, usize),
) -> Result<(), OperandError> {
    let too_large = |_| OperandError::TooLarge { side, rows, columns };
    let (r, k) =
        (u32::try_from(rows).map_err(too_large)?, u32::try_from(columns).map_err(too_large)?);
    let dimension = match side {
        Side::A => Dimension::M,
        Side::B => Dimension::N,
    };
    check_rows(params, dimension, r)
        .and_then(|()| check_depth(params, k))
        .map_err(|source| OperandError::Shape { side, source })
}

fn check_entries(side: Side, entries: &ArrayView2<'_, i8>) -> Result<(), OperandError> {
    let bad = |&value: &i8| !(ENTRY_MIN..=ENTRY_MAX).contains(&value);
    // Check all entries at once first: this loop vectorises, and the search for
    // the bad entry does not.
    if !entries.iter().fold(false, |any, value| any | bad(value)) {
        return Ok(());
    }
    match entries.indexed_iter().find(|(_, value)| bad(value)) {
        Some(((row, column), &value)) => Err(OperandError::Entry { side, row, column, value }),
        None => Ok(()),
    }
}

/// A pair of operands that multiplies: A (m×k) and Bᵀ (n×k).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Operands {
    a: Operand,
    bt: Operand,
}

impl Operands {
    /// Checks both matrices, and that they multiply.
    ///
    /// # Errors
    /// [`OperandError`] names the broken bound, and the entry that broke it.
    pub fn new(params: &Params, a: Array2<i8>, bt: Array2<i8>) -> Result<Operands, OperandError> {
        check_inner(&a, &bt)?;
        Operands::of(Operand::new(params, Side::A, a)?, Operand::new(params, Side::B, bt)?)
    }

    /// A pair of operands that are already checked.
    ///
    /// # Errors
    /// [`OperandError::Inner`] or [`OperandError::Pair`].
    pub fn of(a: Operand, bt: Operand) -> Result<Operands, OperandError> {
        check_inner(&a.entries, &bt.entries)?;
        if a.side != Side::A || bt.side != Side::B || a.params != bt.params {
            return Err(OperandError::Pair);
        }
        Ok(Operands { a, bt })
    }

    /// The left operand, m×k.
    pub fn a(&self) -> &Operand {
        &self.a
    }

    /// The right operand transposed, n×k.
    pub fn bt(&self) -> &Operand {
        &self.bt
    }

    /// The shape of the product.
    pub fn shape(&self) -> Shape {
        Shape { m: self.a.rows(), n: self.bt.rows(), k: self.a.k() }
    }
}

/// Checks that A and Bᵀ have the same number of columns.
pub(crate) fn check_inner(a: &Array2<i8>, bt: &Array2<i8>) -> Result<(), OperandError> {
    let (a, b) = (a.ncols(), bt.ncols());
    if a != b {
        return Err(OperandError::Inner { a, b });
    }
    Ok(())
}
