//! Look-ups in tables that stay in registers, by permutations of words and
//! bytes.

use super::registers::{load, store};
use core::arch::x86_64::*;

/// Looks up 16-bit entries, 32 at a time.
///
/// The lengths are whole registers.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn words(table: &[i16; 256], indices: &[u8], to: &mut [u8]) {
    let mut parts = [_mm512_setzero_si512(); 8];
    for (part, entries) in parts.iter_mut().zip(table.as_chunks::<32>().0) {
        *part = load(entries);
    }
    let (low, high) = (_mm512_set1_epi16(0x40), _mm512_set1_epi16(0x80));
    for (indices, to) in indices.as_chunks::<32>().0.iter().zip(to.as_chunks_mut::<64>().0) {
        // SAFETY: the array has the 32 bytes that are read.
        let indices = unsafe { _mm256_loadu_si256(indices.as_ptr().cast()) };
        let indices = _mm512_cvtepu8_epi16(indices);
        // Each permutation reads the six low bits.
        let found =
            |pair: usize| _mm512_permutex2var_epi16(parts[2 * pair], indices, parts[2 * pair + 1]);
        let upper = _mm512_test_epi16_mask(indices, low);
        let halves =
            [0, 2].map(|pair| _mm512_mask_blend_epi16(upper, found(pair), found(pair + 1)));
        let second = _mm512_test_epi16_mask(indices, high);
        store(&mut to[..], _mm512_mask_blend_epi16(second, halves[0], halves[1]));
    }
}

/// Looks up bytes, 64 at a time.
///
/// The lengths are whole registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn bytes(table: &[u8; 256], indices: &[u8], to: &mut [u8]) {
    let mut parts = [_mm512_setzero_si512(); 4];
    for (part, entries) in parts.iter_mut().zip(table.as_chunks::<64>().0) {
        *part = load(entries);
    }
    for (indices, to) in indices.as_chunks::<64>().0.iter().zip(to.as_chunks_mut::<64>().0) {
        let indices = load(&indices[..]);
        // Each permutation reads the seven low bits.
        let halves =
            [0, 2].map(|part| _mm512_permutex2var_epi8(parts[part], indices, parts[part + 1]));
        let second = _mm512_movepi8_mask(indices);
        store(&mut to[..], _mm512_mask_blend_epi8(second, halves[0], halves[1]));
    }
}
