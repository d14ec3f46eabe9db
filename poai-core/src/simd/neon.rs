//! The NEON kernel, with the dot-product extension.
//!
//! One instruction (`sdot`) does four products per lane. It multiplies signed
//! by signed bytes, so no correction is needed.
#![allow(unsafe_code)]

use super::Kernel;
use super::layout::{deinterleave, interleave};
use crate::puzzle::statement::Side;
use core::arch::aarch64::*;
use core::arch::asm;

const T: usize = 32;
const R: usize = 128;
/// The number of entries of a step.
const STEP: usize = T * R;
/// The rows and columns of a block of accumulators, which has 8 rows by 2
/// registers of 4.
const BLOCK: usize = 8;

/// The NEON kernel. Only `find` returns it, on processors with the dot product.
#[derive(Debug)]
struct Neon;

/// The kernel, if the processor has the dot product.
pub(super) fn find() -> Option<&'static dyn Kernel> {
    std::arch::is_aarch64_feature_detected!("dotprod").then_some(&Neon)
}

impl Kernel for Neon {
    fn pack(&self, _: Side, t: usize, rows: &[i8], packed: &mut [i8]) {
        interleave::<4, _>(t, rows, packed);
    }

    fn unpack(&self, _: Side, t: usize, packed: &[i8], rows: &mut [i8]) {
        deinterleave::<4, _>(t, packed, rows);
    }

    fn step(&self, _: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        let a: &[i8; STEP] = a.as_array().expect("a step has 32×128 entries");
        let b: &[i8; STEP] = b.as_array().expect("a step has 32×128 entries");
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: `find` returns this kernel only if the processor has the dot
        // product.
        unsafe { step(a, b, sums) }
    }

    fn pack_thin(&self, _: Side, t: usize, rows: &[i16], packed: &mut [i16]) -> bool {
        interleave::<1, _>(t, rows, packed);
        true
    }

    fn correct_tile(&self, _: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        assert!(a.len() == b.len() && a.len().is_multiple_of(T));
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: NEON is part of every aarch64 target with floating point, and
        // `find` has checked its extension.
        unsafe { correct(a, b, sums) }
    }
}

/// Adds four products to each lane: those of the lane's four bytes in `b` with
/// the four bytes number `LANE` in `a`.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot<const LANE: usize>(sums: int32x4_t, b: int8x16_t, a: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: the instruction reads and writes only these registers. It is
    // written in assembly because its intrinsic is not stable.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {b:v}.16b, {a:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            b = in(vreg) b,
            a = in(vreg) a,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

#[target_feature(enable = "neon,dotprod")]
fn step(a: &[i8; STEP], b: &[i8; STEP], sums: &mut [i32; T * T]) -> u32 {
    let mut folded = 0;
    for rows in (0..T).step_by(BLOCK) {
        for columns in (0..T).step_by(BLOCK) {
            folded ^= block(rows, columns, a, b, sums);
        }
    }
    folded
}

/// Computes 8 rows by 8 columns, in 16 accumulators.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn block(
    rows: usize,
    columns: usize,
    a: &[i8; STEP],
    b: &[i8; STEP],
    sums: &mut [i32; T * T],
) -> u32 {
    let mut products = [[vdupq_n_s32(0); 2]; BLOCK];
    // Each chunk holds four columns of all 32 rows.
    for (a, b) in a.as_chunks::<{ 4 * T }>().0.iter().zip(b.as_chunks::<{ 4 * T }>().0) {
        let (a, b) = (load(&a[4 * rows..]), load(&b[4 * columns..]));
        for (half, b) in b.into_iter().enumerate() {
            products[0][half] = dot::<0>(products[0][half], b, a[0]);
            products[1][half] = dot::<1>(products[1][half], b, a[0]);
            products[2][half] = dot::<2>(products[2][half], b, a[0]);
            products[3][half] = dot::<3>(products[3][half], b, a[0]);
            products[4][half] = dot::<0>(products[4][half], b, a[1]);
            products[5][half] = dot::<1>(products[5][half], b, a[1]);
            products[6][half] = dot::<2>(products[6][half], b, a[1]);
            products[7][half] = dot::<3>(products[7][half], b, a[1]);
        }
    }
    let mut folded = vdupq_n_s32(0);
    for (i, products) in products.into_iter().enumerate() {
        let place = &mut sums[(rows + i) * T + columns..][..BLOCK];
        for (sums, product) in place.as_chunks_mut::<4>().0.iter_mut().zip(products) {
            // SAFETY: the array has the four sums that are read and written.
            unsafe {
                let after = vaddq_s32(vld1q_s32(sums.as_ptr()), product);
                vst1q_s32(sums.as_mut_ptr(), after);
                folded = veorq_s32(folded, after);
            }
        }
    }
    let mut lanes = [0; 4];
    // SAFETY: the array has the four lanes that are written.
    unsafe { vst1q_s32(lanes.as_mut_ptr(), folded) };
    lanes.into_iter().fold(0, |x, lane| x ^ lane as u32)
}

/// Loads the first 32 bytes of a slice.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn load(entries: &[i8]) -> [int8x16_t; 2] {
    let entries: &[i8; 32] = entries.first_chunk().expect("a block's rows are there");
    // SAFETY: the array has the 32 bytes that are read.
    unsafe { [vld1q_s8(entries.as_ptr()), vld1q_s8(entries.as_ptr().add(16))] }
}

/// Subtracts a thin product, one column of all rows at a time.
#[target_feature(enable = "neon")]
fn correct(a: &[i16], b: &[i16], sums: &mut [i32; T * T]) {
    for (i, sums) in sums.as_chunks_mut::<T>().0.iter_mut().enumerate() {
        let mut products = [vdupq_n_s32(0); T / 4];
        for (a, b) in a.as_chunks::<T>().0.iter().zip(b.as_chunks::<T>().0) {
            for (product, b) in products.iter_mut().zip(b.as_chunks::<4>().0) {
                // SAFETY: the array has the four entries that are read.
                let b = unsafe { vld1_s16(b.as_ptr()) };
                *product = vmlal_n_s16(*product, b, a[i]);
            }
        }
        for (sums, product) in sums.as_chunks_mut::<4>().0.iter_mut().zip(products) {
            // SAFETY: the array has the four sums that are read and written.
            unsafe { vst1q_s32(sums.as_mut_ptr(), vsubq_s32(vld1q_s32(sums.as_ptr()), product)) };
        }
    }
}
