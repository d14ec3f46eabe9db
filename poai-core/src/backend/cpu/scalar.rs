//! Portable code, on any processor and for every permitted (rank, tile).

use super::kernel::Kernel;
use crate::params::Params;
use crate::statement::Side;
use crate::tile::add_step;

/// Rows as they are.
#[derive(Debug)]
struct Scalar;

/// Always there.
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

    fn unpack(&self, _: usize, packed: &[i8], rows: &mut [i8]) {
        rows.copy_from_slice(packed);
    }

    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        add_step(t, a, b, sums)
    }
}
