//! AVX-512 VNNI: four products a lane and instruction (`vpdpbusd`).
//!
//! The instruction multiplies unsigned by signed bytes. Side B's entries are
//! stored with their top bit flipped, which adds 128 to each; each step then
//! starts from −128 times the sum of side A's row, so that the partial sums of
//! the transcript are true at every step.
#![allow(unsafe_code)]

use super::Kernel;
use super::layout::interleave;
use crate::noise::StepFactor;
use crate::params::Params;
use crate::statement::Side;
use core::arch::x86_64::*;

const T: usize = 32;
const R: usize = 128;
/// Entries of a step.
const STEP: usize = T * R;
/// A packed step of side A: the entries, then each row's start value.
const STEP_A: usize = STEP + 4 * T;
/// Rows of one block of accumulators: 8 rows by 2 registers of 16 columns.
const ROWS: usize = 8;
/// Steps of both sides that the first cache holds at once.
const NEAR: usize = 4;

/// Made by `find` alone, on processors with what it needs.
#[derive(Debug)]
struct Avx512Vnni;

/// The kernel, on a processor that has what it needs.
pub(super) fn find() -> Option<&'static dyn Kernel> {
    let present = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni");
    present.then_some(&Avx512Vnni)
}

impl Kernel for Avx512Vnni {
    fn packed_len(&self, _: &Params, side: Side) -> usize {
        match side {
            Side::A => STEP_A,
            Side::B => STEP,
        }
    }

    fn pack(&self, side: Side, _: usize, rows: &[i8], packed: &mut [i8]) {
        let rows = rows.as_array().expect("a step has 32×128 entries");
        let (entries, starts) = packed.split_at_mut(STEP);
        let entries = entries.as_mut_array().expect("a packed step has 32×128 entries");
        // SAFETY: `find` makes this kernel only where the features are.
        unsafe {
            transpose(rows, entries);
            match side {
                Side::A => write_starts(entries, starts),
                Side::B => flip(entries),
            }
        }
    }

    fn unpack(&self, _: usize, packed: &[i8], rows: &mut [i8]) {
        let rows = rows.as_mut_array().expect("a step has 32×128 entries");
        let (entries, starts) = packed.split_at(STEP);
        let entries = entries.as_array().expect("a packed step has 32×128 entries");
        // SAFETY: `find` makes this kernel only where the features are.
        unsafe {
            transpose(entries, rows);
            if starts.is_empty() {
                flip(rows);
            }
        }
    }

    fn step(&self, _: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        let (a, b) = (a.as_chunks().0, b.as_chunks().0);
        assert!(a.len() == 1 && b.len() == 1, "one step of each side");
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: `find` makes this kernel only where the features are.
        unsafe { add_steps(a, b, sums) }
    }

    fn accumulate(&self, _: usize, a: &[i8], b: &[i8], count: usize, sums: &mut [i32]) {
        let (a, b) = (a.as_chunks().0, b.as_chunks().0);
        assert!(a.len() == count && b.len() == count, "as many steps of each side");
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        for (a, b) in a.chunks(NEAR).zip(b.chunks(NEAR)) {
            // SAFETY: `find` makes this kernel only where the features are.
            unsafe { add_steps(a, b, sums) };
        }
    }

    fn add_noise(&self, step: &StepFactor, factors: &[i8], entries: &mut [i8]) {
        assert_eq!((step.rank(), factors.len(), entries.len()), (R, STEP, STEP));
        // SAFETY: `find` makes this kernel only where the features are.
        unsafe { add_noise(step, factors, entries) }
    }

    fn project(&self, by_row: &StepFactor, entries: &[i8], sums: &mut [i16]) {
        assert_eq!((by_row.rank(), entries.len(), sums.len()), (R, STEP, STEP));
        // SAFETY: `find` makes this kernel only where the features are.
        unsafe { project(by_row, entries, sums) }
    }

    fn pack_thin(&self, t: usize, rows: &[i16], packed: &mut [i16]) {
        interleave::<2, _>(t, rows, packed);
    }

    fn correct(&self, _: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        assert!(a.len() == b.len() && a.len().is_multiple_of(2 * T));
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: `find` makes this kernel only where the features are.
        unsafe { correct(a, b, sums) }
    }
}

/// The 64 bytes that start an array of entries.
#[target_feature(enable = "avx512f")]
#[inline]
fn load<E>(entries: &[E]) -> __m512i {
    assert!(size_of_val(entries) >= 64);
    // SAFETY: 64 bytes are there; alignment is not asked for.
    unsafe { _mm512_loadu_si512(entries.as_ptr().cast()) }
}

/// The other way.
#[target_feature(enable = "avx512f")]
#[inline]
fn store<E>(entries: &mut [E], value: __m512i) {
    assert!(size_of_val(entries) >= 64);
    // SAFETY: 64 bytes are there; alignment is not asked for.
    unsafe { _mm512_storeu_si512(entries.as_mut_ptr().cast(), value) }
}

/// Exchanges rows and groups of four columns: 32×32 groups of four bytes.
/// Packs, and unpacks.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn transpose(from: &[i8; STEP], to: &mut [i8; STEP]) {
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

/// 16×16 groups: pairs, fours, then whole quarters change places.
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

/// Flips the top bit of every entry: adds 128, as unsigned bytes see it.
#[target_feature(enable = "avx512f,avx512bw")]
fn flip(entries: &mut [i8; STEP]) {
    for entries in entries.as_chunks_mut::<64>().0 {
        let flipped = _mm512_xor_si512(load(&entries[..]), _mm512_set1_epi8(i8::MIN));
        store(&mut entries[..], flipped);
    }
}

/// Writes −128 times the sum of each row: what flipping the other side adds.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn write_starts(entries: &[i8; STEP], starts: &mut [i8]) {
    let mut sums = [_mm512_setzero_si512(); 2];
    for group in entries.as_chunks::<{ 4 * T }>().0 {
        for (half, sums) in sums.iter_mut().enumerate() {
            *sums = _mm512_dpbusd_epi32(*sums, _mm512_set1_epi8(1), load(&group[64 * half..]));
        }
    }
    for (half, sums) in sums.into_iter().enumerate() {
        let start = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32::<7>(sums));
        store(&mut starts[64 * half..], start);
    }
}

/// Adds consecutive steps to a tile's sums and returns the XOR of all sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_steps(a: &[[i8; STEP_A]], b: &[[i8; STEP]], sums: &mut [i32; T * T]) -> u32 {
    let mut folded = _mm512_setzero_si512();
    for (block, sums) in sums.as_chunks_mut::<{ ROWS * T }>().0.iter_mut().enumerate() {
        let mut accumulators = [[_mm512_setzero_si512(); 2]; ROWS];
        for (i, accumulators) in accumulators.iter_mut().enumerate() {
            let start = _mm512_set1_epi32(a.iter().map(|a| start(a, block * ROWS + i)).sum());
            for (half, accumulator) in accumulators.iter_mut().enumerate() {
                *accumulator = _mm512_add_epi32(load(&sums[i * T + 16 * half..]), start);
            }
        }
        for (a, b) in a.iter().zip(b) {
            // Each chunk is four columns of all 32 rows.
            let groups =
                a[..STEP].as_chunks::<{ 4 * T }>().0.iter().zip(b.as_chunks::<{ 4 * T }>().0);
            for (a, b) in groups {
                let b = [load(&b[..64]), load(&b[64..])];
                let a = &a.as_chunks::<4>().0[block * ROWS..][..ROWS];
                for (accumulators, a) in accumulators.iter_mut().zip(a) {
                    let a = _mm512_set1_epi32(i32::from_le_bytes(a.map(|byte| byte as u8)));
                    for (accumulator, b) in accumulators.iter_mut().zip(b) {
                        *accumulator = _mm512_dpbusd_epi32(*accumulator, b, a);
                    }
                }
            }
        }
        for (i, accumulators) in accumulators.into_iter().enumerate() {
            for (half, accumulator) in accumulators.into_iter().enumerate() {
                store(&mut sums[i * T + 16 * half..], accumulator);
                folded = _mm512_xor_si512(folded, accumulator);
            }
        }
    }
    fold_lanes(folded)
}

/// Where a row's sums start in a packed step of side A.
fn start(a: &[i8; STEP_A], row: usize) -> i32 {
    i32::from_le_bytes(a[STEP..].as_chunks::<4>().0[row].map(|byte| byte as u8))
}

#[target_feature(enable = "avx512f")]
fn fold_lanes(folded: __m512i) -> u32 {
    let mut lanes = [0u32; 16];
    store(&mut lanes, folded);
    lanes.into_iter().fold(0, |x, lane| x ^ lane)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn correct(a: &[i16], b: &[i16], sums: &mut [i32; T * T]) {
    for (block, sums) in sums.as_chunks_mut::<{ ROWS * T }>().0.iter_mut().enumerate() {
        let mut products = [[_mm512_setzero_si512(); 2]; ROWS];
        // Each chunk is two columns of all 32 rows.
        let groups = a.as_chunks::<{ 2 * T }>().0.iter().zip(b.as_chunks::<{ 2 * T }>().0);
        for (a, b) in groups {
            let b = [load(&b[..32]), load(&b[32..])];
            let a = &a.as_chunks::<2>().0[block * ROWS..][..ROWS];
            for (products, a) in products.iter_mut().zip(a) {
                let a = _mm512_set1_epi32(i32::from(a[0]) & 0xffff | i32::from(a[1]) << 16);
                for (product, b) in products.iter_mut().zip(b) {
                    *product = _mm512_dpwssd_epi32(*product, b, a);
                }
            }
        }
        for (i, products) in products.into_iter().enumerate() {
            for (half, product) in products.into_iter().enumerate() {
                let place = &mut sums[i * T + 16 * half..];
                let before = load(place);
                store(place, _mm512_sub_epi32(before, product));
            }
        }
    }
}

/// One step factor in registers: per half of the columns and per nonzero
/// entry, which of 128 bytes to take and which to negate.
struct Gather {
    indices: [[__m512i; 2]; 2],
    negative: [[__mmask64; 2]; 2],
}

impl Gather {
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn new(factor: &StepFactor) -> Gather {
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

    /// The signed entries of one half of the columns, from 128 bytes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    #[inline]
    fn take(&self, entry: usize, half: usize, bytes: [__m512i; 2]) -> __m512i {
        let taken = _mm512_permutex2var_epi8(bytes[0], self.indices[entry][half], bytes[1]);
        let negative = self.negative[entry][half];
        _mm512_mask_sub_epi8(taken, negative, _mm512_setzero_si512(), taken)
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn add_noise(step: &StepFactor, factors: &[i8], entries: &mut [i8]) {
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

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn project(by_row: &StepFactor, entries: &[i8], sums: &mut [i16]) {
    let gather = Gather::new(by_row);
    for (entries, sums) in entries.as_chunks::<R>().0.iter().zip(sums.as_chunks_mut::<R>().0) {
        let entries = [load(&entries[..64]), load(&entries[64..])];
        for half in 0..2 {
            // Signs are applied after widening: −(−128) is no i8.
            for entry in 0..2 {
                let indices = gather.indices[entry][half];
                let taken = _mm512_permutex2var_epi8(entries[0], indices, entries[1]);
                let negative = gather.negative[entry][half];
                let parts = [_mm512_castsi512_si256(taken), _mm512_extracti64x4_epi64(taken, 1)];
                for (part, bytes) in parts.into_iter().enumerate() {
                    let wide = _mm512_cvtepi8_epi16(bytes);
                    let negative = (negative >> (32 * part)) as __mmask32;
                    let place = &mut sums[64 * half + 32 * part..];
                    let before = load(place);
                    let added = _mm512_add_epi16(before, wide);
                    store(place, _mm512_mask_sub_epi16(added, negative, before, wide));
                }
            }
        }
    }
}
