//! Why a product is not accepted.

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

/// Why a claimed product was not accepted. Only [`FreivaldsError::Wrong`] says
/// something about its entries; with the others none was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreivaldsError {
    /// No rounds were asked for, which would accept everything.
    #[error("a check of no rounds shows nothing")]
    NoRounds,
    /// A dimension is zero.
    #[error("{dimension} is zero")]
    Empty {
        /// Which one.
        dimension: Dimension,
    },
    /// `k` is so large that the product need not fit 32 bits.
    #[error("k = {value} is not below {K_END}, where 32-bit sums stay exact")]
    Deep {
        /// The value of k.
        value: u32,
    },
    /// A slice is not a matrix of the shape.
    #[error("{matrix} has {got} entries, and a matrix of its shape {expected}")]
    Length {
        /// Which matrix.
        matrix: ProductMatrix,
        /// How many entries the shape asks for.
        expected: u64,
        /// How many there are.
        got: usize,
    },
    /// C is not A·B. This is certain: a true product is never refused.
    #[error("row {row} of C is not that row of A·B")]
    Wrong {
        /// The first row in which a round saw a difference. A row before it
        /// may be wrong and have escaped.
        row: u32,
    },
}
