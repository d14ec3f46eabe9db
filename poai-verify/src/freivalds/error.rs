//! Why a product is rejected.

use poai_core::params::K_END;
use poai_core::puzzle::statement::Dimension;

/// One of the three matrices of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProductMatrix {
    /// The left operand, m×k.
    A,
    /// The right operand, transposed, n×k.
    Bt,
    /// The claimed product, m×n.
    C,
}

impl core::fmt::Display for ProductMatrix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ProductMatrix::A => "A",
            ProductMatrix::Bt => "Bᵀ",
            ProductMatrix::C => "C",
        })
    }
}

/// Why a claimed product was rejected.
///
/// Only [`FreivaldsError::Wrong`] states something about the product's entries.
/// With the other errors, no entry was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreivaldsError {
    /// The number of rounds is zero, which would accept every product.
    #[error("expected at least one round, got 0; ask for more")]
    NoRounds,
    /// A dimension is zero.
    #[error("expected {dimension} of at least 1, got 0")]
    Empty {
        /// The dimension.
        dimension: Dimension,
    },
    /// `k` is so large that the product may not fit 32 bits.
    #[error("expected k below {K_END}, where 32-bit sums stay exact, got {value}")]
    Deep {
        /// The value of k.
        value: u32,
    },
    /// A slice is not a matrix of the shape.
    #[error("expected {expected} entries of {matrix}, got {got}")]
    Length {
        /// The matrix.
        matrix: ProductMatrix,
        /// Number of entries that the shape requires.
        expected: u64,
        /// Number of entries of the slice.
        got: usize,
    },
    /// C is not A·B. This is certain, because a true product is never rejected.
    #[error("expected row {row} of A·B in C, got another row")]
    Wrong {
        /// The first row in which a round saw a difference. An earlier row may
        /// be wrong and have passed.
        row: u32,
    },
}
