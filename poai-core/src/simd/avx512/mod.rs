//! AVX-512: the functions that kernels of this register width share, and the
//! VNNI kernel.
//!
//! - [`registers`]: loads, stores, exchanges and folds of 64-byte registers;
//! - [`noise`]: addition of the noise, and the projection that recovery needs,
//!   by byte permutations;
//! - [`table`]: look-ups in tables, by permutations;
//! - [`vnni`]: the product, with four multiply-adds per lane and instruction.
#![allow(unsafe_code)]

mod noise;
mod registers;
mod table;
pub(super) mod vnni;

use crate::puzzle::noise::RankStepFactor;

/// The rows of a tile.
pub(super) const T: usize = 32;
/// The columns of a step.
pub(super) const R: usize = 128;
/// The number of entries of a step.
pub(super) const STEP: usize = T * R;

/// A proof that the processor has AVX-512 F, BW, VBMI and VNNI.
///
/// It makes the functions of this folder safe to call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The proof, if the processor has these features.
    pub(super) fn find() -> Option<Avx512> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni");
        present.then_some(Avx512(()))
    }

    /// Looks up 16-bit entries, a whole number of registers.
    pub(super) fn look_up(self, table: &[i16; 256], indices: &[u8], to: &mut [u8]) {
        // SAFETY: `self` proves that the processor has the features.
        unsafe { table::words(table, indices, to) }
    }

    /// Looks up bytes, a whole number of registers.
    pub(super) fn look_up_bytes(self, table: &[u8; 256], indices: &[u8], to: &mut [u8]) {
        // SAFETY: `self` proves that the processor has the features.
        unsafe { table::bytes(table, indices, to) }
    }

    /// Exchanges rows and groups of four columns of a step.
    pub(super) fn transpose(self, from: &[i8; STEP], to: &mut [i8; STEP]) {
        // SAFETY: `self` proves that the processor has the features.
        unsafe { registers::transpose(from, to) }
    }

    /// Computes the XOR of the 16 lanes of each of `lanes`.
    pub(super) fn fold_lanes(self, lanes: &[[u32; 16]], xs: &mut [u32]) {
        // SAFETY: `self` proves that the processor has the features.
        unsafe { registers::fold_lanes(lanes, xs) }
    }

    /// Adds 256 times each of `from` to `sums`.
    #[cfg(feature = "parallel")]
    pub(super) fn add_shifted(self, from: &[i32], sums: &mut [i32]) {
        // SAFETY: `self` proves that the processor has the features.
        unsafe { registers::add_shifted(from, sums) }
    }

    /// Does [`super::Kernel::add_noise`].
    pub(super) fn add_noise(self, step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
        assert_eq!((step.rank(), factors.len(), entries.len()), (R, STEP, STEP));
        // SAFETY: `self` proves that the processor has the features.
        unsafe { noise::add(step, factors, entries) }
    }

    /// Does [`super::Kernel::project`].
    pub(super) fn project(self, by_row: &RankStepFactor, entries: &[i8], sums: &mut [i16]) {
        assert_eq!((by_row.rank(), entries.len(), sums.len()), (R, STEP, STEP));
        // SAFETY: `self` proves that the processor has the features.
        unsafe { noise::project(by_row, entries, sums) }
    }
}
