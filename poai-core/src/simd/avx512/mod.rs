//! AVX-512: what the kernels of this register width share, and the one that
//! needs nothing beside it.
//!
//! - [`registers`]: loads, stores, exchanges and folds of 64-byte registers;
//! - [`noise`]: noise added, and taken off again, by byte permutations;
//! - [`vnni`]: the product with four multiply-adds a lane and instruction.
#![allow(unsafe_code)]

mod noise;
mod registers;
pub(super) mod vnni;

use crate::puzzle::noise::RankStepFactor;

/// Rows of a tile.
pub(super) const T: usize = 32;
/// Columns of a step.
pub(super) const R: usize = 128;
/// Entries of a step.
pub(super) const STEP: usize = T * R;

/// A processor with AVX-512 F, BW, VBMI and VNNI: having one of these is what
/// makes the functions of this folder safe to call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The proof, where the processor has what it stands for.
    pub(super) fn find() -> Option<Avx512> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni");
        present.then_some(Avx512(()))
    }

    /// Exchanges rows and groups of four columns of a step.
    pub(super) fn transpose(self, from: &[i8; STEP], to: &mut [i8; STEP]) {
        // SAFETY: `self` shows that the features are there.
        unsafe { registers::transpose(from, to) }
    }

    /// The XOR of the 16 lanes of each of `lanes`.
    pub(super) fn fold_lanes(self, lanes: &[[u32; 16]], xs: &mut [u32]) {
        // SAFETY: `self` shows that the features are there.
        unsafe { registers::fold_lanes(lanes, xs) }
    }

    /// Adds 256 times each of `from` to `sums`.
    #[cfg(feature = "parallel")]
    pub(super) fn add_shifted(self, from: &[i32], sums: &mut [i32]) {
        // SAFETY: `self` shows that the features are there.
        unsafe { registers::add_shifted(from, sums) }
    }

    /// [`super::Kernel::add_noise`].
    pub(super) fn add_noise(self, step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
        assert_eq!((step.rank(), factors.len(), entries.len()), (R, STEP, STEP));
        // SAFETY: `self` shows that the features are there.
        unsafe { noise::add(step, factors, entries) }
    }

    /// [`super::Kernel::project`].
    pub(super) fn project(self, by_row: &RankStepFactor, entries: &[i8], sums: &mut [i16]) {
        assert_eq!((by_row.rank(), entries.len(), sums.len()), (R, STEP, STEP));
        // SAFETY: `self` shows that the features are there.
        unsafe { noise::project(by_row, entries, sums) }
    }
}
