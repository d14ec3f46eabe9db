//! What a proof is about: the shape, the two roots, and one tile.

use crate::digest::Root;
use crate::params::{K_END, Params};
use core::fmt;

/// One of the two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Side {
    /// The left operand, m×k.
    A,
    /// The right operand, held and committed transposed, n×k.
    B,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::A => "A",
            Side::B => "B",
        })
    }
}

/// A dimension of a [`Shape`], to name it in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Dimension {
    /// Rows of A.
    M,
    /// Rows of Bᵀ.
    N,
    /// Columns of both.
    K,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dimension::M => "m",
            Dimension::N => "n",
            Dimension::K => "k",
        })
    }
}

/// Why a shape cannot be a puzzle's under the given (rank, tile).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A dimension is zero or no multiple of what it has to be a multiple of.
    #[error("{dimension} = {value} is not a positive multiple of {unit}")]
    Multiple {
        /// The dimension at fault.
        dimension: Dimension,
        /// Its value.
        value: u32,
        /// The tile edge (m, n) or the rank (k).
        unit: u32,
    },
    /// `k` could overflow the 32-bit sums.
    #[error("k = {value} is not below {K_END}, where 32-bit sums stay exact")]
    Deep {
        /// The value of k.
        value: u32,
    },
}

/// The shape of a product: m×k times k×n. In the padded layout, where m and n
/// are multiples of the tile and k of the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Shape {
    /// Rows of A and of the product.
    pub m: u32,
    /// Rows of Bᵀ, columns of the product.
    pub n: u32,
    /// Columns of A and of Bᵀ.
    pub k: u32,
}

impl Shape {
    /// Checks the general limits of spec §2. A block's narrower ones are the
    /// verifier's rules.
    ///
    /// # Errors
    /// [`ShapeError`] names the dimension at fault.
    pub fn check(&self, params: &Params) -> Result<(), ShapeError> {
        check_rows(params, Dimension::M, self.m)?;
        check_rows(params, Dimension::N, self.n)?;
        check_depth(params, self.k)
    }

    /// The multiply-accumulates of the whole product, `m·n·k`.
    pub fn macs(&self) -> u128 {
        u128::from(self.m) * u128::from(self.n) * u128::from(self.k)
    }

    /// How many tiles the product has, `(m/t, n/t)`.
    pub fn tiles(&self, params: &Params) -> (u32, u32) {
        // Exact: the tile edge is at most 64.
        let tile = params.tile() as u32;
        (self.m / tile, self.n / tile)
    }

    /// How many tickets the product draws.
    pub fn tickets(&self, params: &Params) -> u64 {
        let (rows, columns) = self.tiles(params);
        u64::from(rows) * u64::from(columns)
    }

    /// The number of rank-steps, `k/r`.
    pub fn steps(&self, params: &Params) -> u32 {
        self.k / params.rank() as u32
    }

    /// The rows of one side's operand: m of A, n of Bᵀ.
    pub fn rows(&self, side: Side) -> u32 {
        match side {
            Side::A => self.m,
            Side::B => self.n,
        }
    }
}

/// Checks a number of rows against the tile.
///
/// # Errors
/// [`ShapeError::Multiple`] if it is zero or no multiple of the tile.
pub fn check_rows(params: &Params, dimension: Dimension, value: u32) -> Result<(), ShapeError> {
    let unit = params.tile() as u32;
    if value == 0 || !value.is_multiple_of(unit) {
        return Err(ShapeError::Multiple { dimension, value, unit });
    }
    Ok(())
}

/// Checks a `k` against the rank and the overflow limit.
///
/// # Errors
/// [`ShapeError::Multiple`] if it is zero or no multiple of the rank,
/// [`ShapeError::Deep`] from 2^17 on.
pub fn check_depth(params: &Params, value: u32) -> Result<(), ShapeError> {
    let unit = params.rank() as u32;
    if value == 0 || !value.is_multiple_of(unit) {
        return Err(ShapeError::Multiple { dimension: Dimension::K, value, unit });
    }
    if value >= K_END {
        return Err(ShapeError::Deep { value });
    }
    Ok(())
}

/// What the seeds bind beside the challenge and the parameters (spec §3).
///
/// It does not claim that the operands were useful: that is a statement about
/// the roots, made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statement {
    /// The shape of the product.
    pub shape: Shape,
    /// BLAKE3 of A's bytes. Binds the bytes, not their shape.
    pub root_a: Root,
    /// BLAKE3 of Bᵀ's bytes. Binds the bytes, not their shape.
    pub root_b: Root,
}

impl Statement {
    /// The root of one side.
    pub fn root(&self, side: Side) -> &Root {
        match side {
            Side::A => &self.root_a,
            Side::B => &self.root_b,
        }
    }
}

/// A tile of the product, counted in tiles: rows `row·t..(row+1)·t`, columns
/// `column·t..(column+1)·t`. Only aligned tiles can be named.
///
/// Ordered by row, then column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tile {
    /// `I` of the spec: which strip of A.
    pub row: u32,
    /// `J` of the spec: which strip of Bᵀ.
    pub column: u32,
}

impl Tile {
    /// The strip of one side that this tile is computed from.
    pub fn strip(&self, side: Side) -> u32 {
        match side {
            Side::A => self.row,
            Side::B => self.column,
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.row, self.column)
    }
}
