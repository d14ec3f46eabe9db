//! The portable kernel, for any processor and every permitted (rank, tile).
//!
//! The compiler vectorises it.

use super::Kernel;
use crate::params::Params;
use crate::puzzle::statement::Side;

/// The name by which a user forces the kernel.
pub(super) const NAME: &str = "cpu-scalar";

/// The portable kernel. Its packed rows are the rows unchanged.
#[derive(Debug)]
pub(super) struct Scalar;

/// Returns the kernel, which every machine has.
pub(super) fn find() -> Option<&'static dyn Kernel> {
    Some(&Scalar)
}

impl Kernel for Scalar {
    fn supports(&self, _: &Params) -> bool {
        true
    }

    fn pack(&self, _: Side, _: usize, rows: &[i8], packed: &mut [i8]) {
        packed.copy_from_slice(rows);
    }

    fn unpack(&self, _: Side, _: usize, packed: &[i8], rows: &mut [i8]) {
        rows.copy_from_slice(packed);
    }

    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        add_step(t, a, b, sums)
    }
}

/// Adds one rank-step of noised rows to a tile's partial sums (row-major t×t).
///
/// It returns the XOR of all sums, which the transcript folds. `a` and `b` hold
/// `t` rows each, row-major. The length of a row is `a.len() / t`, which is the
/// rank.
///
/// # Panics
/// If the length of `sums` is not `t·t`, or `a` and `b` do not have the same
/// number of whole rows.
fn add_step(t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
    assert!(sums.len() == t * t && a.len() == b.len() && a.len().is_multiple_of(t));
    let rank = a.len() / t;
    let mut x = 0;
    for (a_row, sums) in a.chunks_exact(rank).zip(sums.chunks_exact_mut(t)) {
        for (b_row, sum) in b.chunks_exact(rank).zip(sums) {
            *sum += dot(a_row, b_row);
            x ^= *sum as u32;
        }
    }
    x
}

/// The exact dot product of two rows of one step.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    // At most 256 products of magnitude 2^14, so the sum does not overflow.
    // Compilers turn the widening to i16 into multiply-add-pairs instructions.
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a)) * i32::from(i16::from(b))).sum()
}
