//! Splitting of a `k` beyond one block statement into several statements.

use super::pad::check_not_empty;
use super::{OperandError, Padded, check_entries, check_inner};
use ndarray::{Array2, s};
use poai_core::params::{BLOCK_K_MAX, Params};
use poai_core::puzzle::statement::Side;

/// The largest `k` of a block statement.
pub const K_MAX: usize = BLOCK_K_MAX as usize;
/// Sums of this many clean products (magnitude 2^12) could overflow i32.
const TRUE_K_END: usize = 1 << 19;

/// A product whose `k` is cut into several statements. Their depths are as
/// equal as the rank allows, and each is at most [`K_MAX`]. The exact product
/// is the sum of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Split {
    parts: Vec<Padded>,
}

impl Split {
    /// Cuts and pads A (m×k) and Bᵀ (n×k). A `k` of up to [`K_MAX`] gives one
    /// part.
    ///
    /// # Errors
    /// [`OperandError`] if a matrix is empty, the two do not multiply, `k` is
    /// 2^19 or more, or an entry is out of range.
    pub fn new(params: &Params, a: Array2<i8>, bt: Array2<i8>) -> Result<Split, OperandError> {
        check_inner(&a, &bt)?;
        check_not_empty(Side::A, &a)?;
        check_not_empty(Side::B, &bt)?;
        let k = a.ncols();
        if k >= TRUE_K_END {
            return Err(OperandError::TooDeep { k });
        }
        let cuts = cuts(params, k);
        let parts = if let [_] = cuts[..] {
            vec![Padded::new(params, a, bt)?]
        } else {
            // Checked before cutting, so that an error names the entry's true
            // place.
            check_entries(Side::A, &a.view())?;
            check_entries(Side::B, &bt.view())?;
            cuts.iter()
                .map(|&(start, end)| {
                    let part = |matrix: &Array2<i8>| matrix.slice(s![.., start..end]).to_owned();
                    Padded::new(params, part(&a), part(&bt))
                })
                .collect::<Result<_, _>>()?
        };
        Ok(Split { parts })
    }

    /// The parts, in the order of their columns. Each part is one statement.
    pub fn parts(&self) -> &[Padded] {
        &self.parts
    }

    /// Adds the parts' exact products, given in order, and crops the sum to the
    /// true m×n. Returns `None` unless there is exactly one product of the
    /// right shape per part.
    ///
    /// The sum is exact for products of these parts. Entries that no such
    /// product has may overflow, which panics if overflow checks are on.
    pub fn assemble(&self, products: impl IntoIterator<Item = Array2<i32>>) -> Option<Array2<i32>> {
        let mut products = products.into_iter();
        let first = self.parts.first()?;
        let mut sum = products.next()?;
        let mut added = 1;
        let shape = first.operands().shape();
        let dim = (shape.m as usize, shape.n as usize);
        for product in products {
            if product.dim() != dim {
                return None;
            }
            // Exact: fewer than 2^19 products of magnitude 2^12.
            sum += &product;
            added += 1;
        }
        (added == self.parts.len() && sum.dim() == dim).then(|| first.crop(sum))
    }

    /// m and n before padding.
    pub fn true_rows(&self) -> (usize, usize) {
        // There is at least one part, and all parts have the same rows.
        self.parts.first().map_or((0, 0), |part| (part.true_shape().0, part.true_shape().1))
    }

    /// Parts that were already cut, or `None` if cutting does not give them.
    #[cfg(feature = "serde")]
    pub(super) fn of(parts: Vec<Padded>) -> Option<Split> {
        let (m, n, _) = parts.first()?.true_shape();
        let params = *parts.first()?.operands().a().params();
        let depths: Vec<_> = parts.iter().map(|part| part.true_shape().2).collect();
        let k = depths.iter().sum();
        let cuts = cuts(&params, k);
        let alike = parts.iter().all(|part| {
            let (part_m, part_n, _) = part.true_shape();
            (part_m, part_n) == (m, n) && *part.operands().a().params() == params
        });
        let equal = depths.into_iter().eq(cuts.into_iter().map(|(start, end)| end - start));
        (alike && equal && k < TRUE_K_END).then_some(Split { parts })
    }
}

/// The column ranges of the parts. Each has whole rank-steps (the last may end
/// early), and depths differ by at most one rank-step.
fn cuts(params: &Params, k: usize) -> Vec<(usize, usize)> {
    let rank = params.rank();
    let steps = k.div_ceil(rank);
    let parts = k.div_ceil(K_MAX);
    let mut start = 0;
    (0..parts)
        .map(|part| {
            // The first `steps % parts` parts take one rank-step more.
            let take = steps / parts + usize::from(part < steps % parts);
            let range = (start, (start + take * rank).min(k));
            start = range.1;
            range
        })
        .collect()
}
