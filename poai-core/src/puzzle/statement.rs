//! The subject of a proof: the shape, the two roots, and one tile.

use crate::digest::Root;
use crate::params::{K_END, Params};
use core::fmt;

/// One of the two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Side {
    /// The left operand, m×k.
    A,
    /// The right operand, stored and committed transposed, n×k.
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

/// A dimension of a [`Shape`]. Errors name it.
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

/// Why a shape is not permitted under the given (rank, tile).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A dimension is zero, or is not a multiple of its unit.
    #[error("{dimension} = {value}: expected a positive multiple of {unit}")]
    Multiple {
        /// The dimension at fault.
        dimension: Dimension,
        /// Its value.
        value: u32,
        /// The tile edge for m and n, or the rank for k.
        unit: u32,
    },
    /// `k` could overflow the 32-bit sums.
    #[error("k = {value}: expected k below {K_END}, where 32-bit sums stay exact")]
    Deep {
        /// The value of k.
        value: u32,
    },
}

/// The shape of a product, m×k times k×n, in the padded layout.
///
/// m and n are multiples of the tile, and k is a multiple of the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Shape {
    /// The rows of A and of the product.
    pub m: u32,
    /// The rows of Bᵀ, which are the columns of the product.
    pub n: u32,
    /// The columns of A and of Bᵀ.
    pub k: u32,
}

impl Shape {
    /// Checks the general limits of spec §2.
    ///
    /// The verifier's rules hold the narrower limits of a block.
    ///
    /// # Errors
    /// [`ShapeError`] if a dimension is wrong; it names the dimension.
    pub fn check(&self, params: &Params) -> Result<(), ShapeError> {
        check_rows(params, Dimension::M, self.m)?;
        check_rows(params, Dimension::N, self.n)?;
        check_depth(params, self.k)
    }

    /// The multiply-accumulates of the whole product, `m·n·k`.
    pub fn macs(&self) -> u128 {
        u128::from(self.m) * u128::from(self.n) * u128::from(self.k)
    }

    /// The numbers of tiles of the product, `(m/t, n/t)`.
    pub fn tiles(&self, params: &Params) -> (u32, u32) {
        // Exact: the tile edge is at most 64.
        let tile = params.tile() as u32;
        (self.m / tile, self.n / tile)
    }

    /// The number of tickets that the product draws.
    pub fn tickets(&self, params: &Params) -> u64 {
        let (rows, columns) = self.tiles(params);
        u64::from(rows) * u64::from(columns)
    }

    /// The number of rank-steps, `k/r`.
    pub fn steps(&self, params: &Params) -> u32 {
        self.k / params.rank() as u32
    }

    /// The rows of one side's operand, which are m for A and n for Bᵀ.
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
/// [`ShapeError::Multiple`] if it is zero or not a multiple of the tile.
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
/// [`ShapeError::Multiple`] if it is zero or not a multiple of the rank.
/// [`ShapeError::Deep`] if it is at least 2^17.
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

/// The shape and the roots of the product that a proof is about.
///
/// The seeds bind it, together with the challenge and the parameters (spec §3).
/// It does not claim that the operands were useful. A link makes that claim
/// about the roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statement {
    /// The shape of the product.
    pub shape: Shape,
    /// BLAKE3 of A's bytes. It binds the bytes, not their shape.
    pub root_a: Root,
    /// BLAKE3 of Bᵀ's bytes. It binds the bytes, not their shape.
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

/// A tile of the product, by its row and column in tiles.
///
/// It covers rows `row·t..(row+1)·t` and columns `column·t..(column+1)·t`, so
/// every tile is aligned. The order is by row, then by column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tile {
    /// `I` of the spec, the number of the strip of A.
    pub row: u32,
    /// `J` of the spec, the number of the strip of Bᵀ.
    pub column: u32,
}

impl Tile {
    /// The number of the strip of one side that this tile is computed from.
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
