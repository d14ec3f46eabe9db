//! Noise by byte permutations.
//!
//! `vpermi2b` looks up 64 bytes at once in a table of 128, which holds a whole
//! row of the row factor.

use super::R;
use super::registers::{load, store};
use crate::puzzle::noise::RankStepFactor;
use core::arch::x86_64::*;

/// A step factor in registers.
///
/// For each nonzero entry and half of the columns, it holds which of 128 bytes
/// to take and which of them to negate.
struct Gather {
    indices: [[__m512i; 2]; 2],
    negative: [[__mmask64; 2]; 2],
}

impl Gather {
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn new(factor: &RankStepFactor) -> Gather {
        let mut gather =
            Gather { indices: [[_mm512_setzero_si512(); 2]; 2], negative: [[0; 2]; 2] };
        for entry in 0..2 {
            for half in 0..2 {
                gather.indices[entry][half] = load(&factor.sources(entry)[64 * half..]);
                gather.negative[entry][half] =
                    _mm512_movepi8_mask(load(&factor.signs(entry)[64 * half..]));
            }
        }
        gather
    }

    /// Takes the signed entries of one half of the columns from 128 bytes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn take(&self, entry: usize, half: usize, bytes: [__m512i; 2]) -> __m512i {
        let taken = _mm512_permutex2var_epi8(bytes[0], self.indices[entry][half], bytes[1]);
        let negative = self.negative[entry][half];
        _mm512_mask_sub_epi8(taken, negative, _mm512_setzero_si512(), taken)
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn add(step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
    let gather = Gather::new(step);
    for (row, entries) in factors.as_chunks::<R>().0.iter().zip(entries.as_chunks_mut::<R>().0) {
        let row = [load(&row[..64]), load(&row[64..])];
        for half in 0..2 {
            let noise = _mm512_add_epi8(gather.take(0, half, row), gather.take(1, half, row));
            let place = &mut entries[64 * half..];
            let clean = load(place);
            store(place, _mm512_add_epi8(clean, noise));
        }
    }
}

/// Adds R_ℓ times each row to 16-bit sums.
///
/// Signs are applied after widening, because −(−128) does not fit i8.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn project(by_row: &RankStepFactor, entries: &[i8], sums: &mut [i16]) {
    let gather = Gather::new(by_row);
    for (entries, sums) in entries.as_chunks::<R>().0.iter().zip(sums.as_chunks_mut::<R>().0) {
        let entries = [load(&entries[..64]), load(&entries[64..])];
        for half in 0..2 {
            let taken = [0, 1].map(|entry| {
                let indices = gather.indices[entry][half];
                _mm512_permutex2var_epi8(entries[0], indices, entries[1])
            });
            for part in 0..2 {
                let place = &mut sums[64 * half + 32 * part..];
                let mut sum = load(place);
                for (entry, taken) in taken.into_iter().enumerate() {
                    let bytes = match part {
                        0 => _mm512_castsi512_si256(taken),
                        _ => _mm512_extracti64x4_epi64::<1>(taken),
                    };
                    let wide = _mm512_cvtepi8_epi16(bytes);
                    let negative = (gather.negative[entry][half] >> (32 * part)) as __mmask32;
                    let added = _mm512_add_epi16(sum, wide);
                    sum = _mm512_mask_sub_epi16(added, negative, sum, wide);
                }
                store(place, sum);
            }
        }
    }
}
