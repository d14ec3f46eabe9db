//! A `k` beyond what one block statement may have, cut into several.

use super::pad::check_not_empty;
use super::{OperandError, Padded, check_entries, check_inner};
use ndarray::{Array2, s};
use poai_core::params::Params;
use poai_core::puzzle::statement::Side;

/// The largest `k` of a block statement.
pub const K_MAX: usize = 16384;
/// Sums of this many clean products (magnitude 2^12) could leave i32.
const TRUE_K_END: usize = 1 << 19;

/// A product whose `k` is cut into statements of as equal depths as the rank
/// allows, each at most [`K_MAX`]. The exact product is the sum of theirs.
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
    /// [`OperandError`]: empty, not multiplying, `k` of 2^19 or more, or an
    /// entry out of range.
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
            // Before cutting, so that an error names the entry's true place.
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

    /// The parts, in the order of their columns; each is one statement.
    pub fn parts(&self) -> &[Padded] {
        &self.parts
    }

    /// Adds up the parts' exact products, given in their order, and cuts the
    /// sum to the true m×n. `None` where there is not one product of the
    /// parts' shape for each part.
    ///
    /// Exact for products of these parts; entries that no such product has may
    /// overflow, which panics where overflow checks are on.
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
            // Exact: below 2^19 products of magnitude 2^12.
            sum += &product;
            added += 1;
        }
        (added == self.parts.len() && sum.dim() == dim).then(|| first.crop(sum))
    }

    /// m and n before padding.
    pub fn true_rows(&self) -> (usize, usize) {
        // There is at least one part, and all have the same rows.
        self.parts.first().map_or((0, 0), |part| (part.true_shape().0, part.true_shape().1))
    }

    /// Parts that were cut before, or `None` where cutting does not give them.
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

/// The column ranges: whole rank-steps each (the last may end early), depths
/// differing by at most one step.
fn cuts(params: &Params, k: usize) -> Vec<(usize, usize)> {
    let rank = params.rank();
    let steps = k.div_ceil(rank);
    let parts = k.div_ceil(K_MAX);
    let mut start = 0;
    (0..parts)
        .map(|part| {
            // The first `steps % parts` parts take one step more.
            let take = steps / parts + usize::from(part < steps % parts);
            let range = (start, (start + take * rank).min(k));
            start = range.1;
            range
        })
        .collect()
}
