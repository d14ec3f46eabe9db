//! The AVX2 kernel.
//!
//! It widens entries to 16 bits, and multiplies and adds them in pairs
//! (`vpmaddwd`). This is exact for the full range of i8.
#![allow(unsafe_code)]

use super::Kernel;
use super::layout::{deinterleave, interleave};
use crate::puzzle::statement::Side;
use core::arch::x86_64::*;

const T: usize = 32;
const R: usize = 128;
/// The number of entries of a step.
const STEP: usize = T * R;

/// The AVX2 kernel. Only `find` returns it, on processors with AVX2.
#[derive(Debug)]
struct Avx2;

/// The kernel, if the processor has AVX2.
pub(super) fn find() -> Option<&'static dyn Kernel> {
    is_x86_feature_detected!("avx2").then_some(&Avx2)
}

impl Kernel for Avx2 {
    fn pack(&self, _: Side, t: usize, rows: &[i8], packed: &mut [i8]) {
        interleave::<2, _>(t, rows, packed);
    }

    fn unpack(&self, _: Side, t: usize, packed: &[i8], rows: &mut [i8]) {
        deinterleave::<2, _>(t, packed, rows);
    }

    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        let mut x = [0];
        self.fold(t, &[a], b, sums, &mut x);
        x[0]
    }

    fn fold(&self, _: usize, a: &[&[i8]], b: &[i8], sums: &mut [i32], xs: &mut [u32]) {
        let count = xs.len() / a.len();
        each_step(a, b, sums, |strip, step, x| xs[strip * count + step] = x);
    }

    fn accumulate(&self, _: usize, a: &[&[i8]], b: &[i8], _: usize, sums: &mut [i32]) {
        // The folds cost only a few instructions per step.
        each_step(a, b, sums, |_, _, _| ());
    }

    fn pack_thin(&self, _: Side, t: usize, rows: &[i16], packed: &mut [i16]) -> bool {
        interleave::<2, _>(t, rows, packed);
        true
    }

    fn correct_tile(&self, _: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        assert!(a.len() == b.len() && a.len().is_multiple_of(2 * T));
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: `find` returns this kernel only if the processor has AVX2.
        unsafe { add::<true>(a, b, sums) };
    }
}

/// Adds the products of every step of a strip of B with each strip of A.
///
/// It widens B's steps once, and calls `tell` with strip, step and XOR of the
/// sums.
fn each_step(a: &[&[i8]], b: &[i8], sums: &mut [i32], mut tell: impl FnMut(usize, usize, u32)) {
    let (b, sums) = (b.as_chunks().0, sums.as_chunks_mut().0);
    for (step, b_step) in b.iter().enumerate() {
        // SAFETY: `find` returns the kernel only if the processor has AVX2.
        let b_wide = unsafe { widen(b_step) };
        for (strip, (a, sums)) in a.iter().zip(&mut *sums).enumerate() {
            let a = &a.as_chunks().0[step];
            // SAFETY: as above.
            let x = unsafe { add::<false>(&widen(a).0, &b_wide.0, sums) };
            tell(strip, step, x);
        }
    }
}

/// A step in 16 bits, at the start of a cache line.
#[repr(C, align(64))]
struct Wide([i16; STEP]);

#[target_feature(enable = "avx2")]
fn widen(step: &[i8; STEP]) -> Wide {
    let mut wide = Wide([0; STEP]);
    for (to, from) in wide.0.as_chunks_mut::<16>().0.iter_mut().zip(step.as_chunks::<16>().0) {
        // SAFETY: both arrays have the 16 entries that are read and written.
        // Neither access needs alignment.
        unsafe {
            let entries = _mm_loadu_si128(from.as_ptr().cast());
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_cvtepi8_epi16(entries));
        }
    }
    wide
}

/// Adds or subtracts the product of two interleaved strips, and returns the XOR
/// of all sums.
///
/// Both strips have the same number of column pairs.
#[target_feature(enable = "avx2")]
fn add<const SUBTRACT: bool>(a: &[i16], b: &[i16], sums: &mut [i32; T * T]) -> u32 {
    let mut folded = _mm256_setzero_si256();
    for rows in (0..T).step_by(4) {
        for columns in (0..T).step_by(16) {
            folded = _mm256_xor_si256(folded, block::<SUBTRACT>(rows, columns, a, b, sums));
        }
    }
    let mut lanes = [0u32; 8];
    // SAFETY: the array has the 32 bytes that are written.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), folded) };
    lanes.into_iter().fold(0, |x, lane| x ^ lane)
}

/// Computes four rows by sixteen columns, in eight accumulators.
#[target_feature(enable = "avx2")]
#[inline]
fn block<const SUBTRACT: bool>(
    rows: usize,
    columns: usize,
    a: &[i16],
    b: &[i16],
    sums: &mut [i32; T * T],
) -> __m256i {
    let mut products = [[_mm256_setzero_si256(); 2]; 4];
    // Each chunk holds one pair of columns of all 32 rows.
    for (a, b) in a.as_chunks::<{ 2 * T }>().0.iter().zip(b.as_chunks::<{ 2 * T }>().0) {
        let b: &[i16; 32] = b[2 * columns..].first_chunk().expect("16 columns are left");
        // SAFETY: the array has the 64 bytes that are read.
        let b = unsafe {
            let start = b.as_ptr().cast::<__m256i>();
            [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))]
        };
        for (i, products) in products.iter_mut().enumerate() {
            let pair = [a[2 * (rows + i)], a[2 * (rows + i) + 1]];
            let pair = i32::from(pair[0]) & 0xffff | i32::from(pair[1]) << 16;
            let pair = _mm256_set1_epi32(pair);
            for (product, b) in products.iter_mut().zip(b) {
                *product = _mm256_add_epi32(*product, _mm256_madd_epi16(pair, b));
            }
        }
    }
    let mut folded = _mm256_setzero_si256();
    for (i, products) in products.into_iter().enumerate() {
        let at = (rows + i) * T + columns;
        for (sums, product) in sums[at..at + 16].as_chunks_mut::<8>().0.iter_mut().zip(products) {
            // SAFETY: the array has the 32 bytes that are read and written.
            unsafe {
                let place = sums.as_mut_ptr().cast::<__m256i>();
                let before = _mm256_loadu_si256(place);
                let after = if SUBTRACT {
                    _mm256_sub_epi32(before, product)
                } else {
                    _mm256_add_epi32(before, product)
                };
                _mm256_storeu_si256(place, after);
                folded = _mm256_xor_si256(folded, after);
            }
        }
    }
    folded
}
