//! Operations on registers of 64 bytes: loads, stores, folds, and the exchange
//! of rows and columns.

use super::{STEP, T};
use core::arch::x86_64::*;

/// Loads the first 64 bytes of an array of entries.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn load<E>(entries: &[E]) -> __m512i {
    assert!(size_of_val(entries) >= 64);
    // SAFETY: the array has at least 64 bytes, and the access needs no
    // alignment.
    unsafe { _mm512_loadu_si512(entries.as_ptr().cast()) }
}

/// Stores 64 bytes at the start of an array of entries.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn store<E>(entries: &mut [E], value: __m512i) {
    assert!(size_of_val(entries) >= 64);
    // SAFETY: the array has at least 64 bytes, and the access needs no
    // alignment.
    unsafe { _mm512_storeu_si512(entries.as_mut_ptr().cast(), value) }
}

/// Exchanges rows and groups of four columns, 32×32 groups of four bytes.
///
/// It both packs and unpacks.
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(from: &[i8; STEP], to: &mut [i8; STEP]) {
    for rows in [0, 16] {
        for columns in [0, 16] {
            let mut block = [_mm512_setzero_si512(); 16];
            for (i, row) in block.iter_mut().enumerate() {
                *row = load(&from[4 * T * (rows + i) + 4 * columns..]);
            }
            for (i, column) in transpose_16(block).into_iter().enumerate() {
                store(&mut to[4 * T * (columns + i) + 4 * rows..], column);
            }
        }
    }
}

/// Transposes 16×16 groups, by exchanging pairs, fours, and then whole
/// quarters.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_16(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut pairs = rows;
    for i in (0..16).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Quarter q of `fours[4g + j]` is column 4q + j of rows 4g to 4g + 3.
    let mut fours = pairs;
    for g in (0..16).step_by(4) {
        fours[g] = _mm512_unpacklo_epi64(pairs[g], pairs[g + 2]);
        fours[g + 1] = _mm512_unpackhi_epi64(pairs[g], pairs[g + 2]);
        fours[g + 2] = _mm512_unpacklo_epi64(pairs[g + 1], pairs[g + 3]);
        fours[g + 3] = _mm512_unpackhi_epi64(pairs[g + 1], pairs[g + 3]);
    }
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xdd;
    let mut columns = fours;
    for j in 0..4 {
        let even = [0, 8].map(|g| _mm512_shuffle_i32x4::<EVEN>(fours[g + j], fours[g + 4 + j]));
        let odd = [0, 8].map(|g| _mm512_shuffle_i32x4::<ODD>(fours[g + j], fours[g + 4 + j]));
        columns[j] = _mm512_shuffle_i32x4::<EVEN>(even[0], even[1]);
        columns[4 + j] = _mm512_shuffle_i32x4::<EVEN>(odd[0], odd[1]);
        columns[8 + j] = _mm512_shuffle_i32x4::<ODD>(even[0], even[1]);
        columns[12 + j] = _mm512_shuffle_i32x4::<ODD>(odd[0], odd[1]);
    }
    columns
}

/// Computes the XOR of the 16 lanes of each of `lanes`, four at a time.
#[target_feature(enable = "avx512f")]
pub(super) fn fold_lanes(lanes: &[[u32; 16]], xs: &mut [u32]) {
    assert_eq!(lanes.len(), xs.len(), "one XOR each");
    for (lanes, xs) in lanes.chunks(4).zip(xs.chunks_mut(4)) {
        let mut rows = [_mm512_setzero_si512(); 4];
        rows.iter_mut().zip(lanes).for_each(|(row, lanes)| *row = load(lanes));
        // Each merge halves the lanes of two rows and puts them side by side.
        let merge = |low: [__m512i; 2]| _mm512_xor_si512(low[0], low[1]);
        let two = [0, 2].map(|i| {
            merge([
                _mm512_unpacklo_epi32(rows[i], rows[i + 1]),
                _mm512_unpackhi_epi32(rows[i], rows[i + 1]),
            ])
        });
        let four =
            merge([_mm512_unpacklo_epi64(two[0], two[1]), _mm512_unpackhi_epi64(two[0], two[1])]);
        let half =
            _mm256_xor_si256(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64::<1>(four));
        let quarter =
            _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
        let mut folded = [0u32; 4];
        // SAFETY: the array has the 16 bytes that are written.
        unsafe { _mm_storeu_si128(folded.as_mut_ptr().cast(), quarter) };
        xs.copy_from_slice(&folded[..xs.len()]);
    }
}

/// Adds 256 times each of `from` to `sums`. The compiler vectorises the loop.
#[cfg(feature = "parallel")]
#[target_feature(enable = "avx512f")]
pub(super) fn add_shifted(from: &[i32], sums: &mut [i32]) {
    sums.iter_mut().zip(from).for_each(|(sum, &from)| *sum = sum.wrapping_add(from << 8));
}
