//! The AVX-512 VNNI kernel, with four products per lane and instruction
//! (`vpdpbusd`).
//!
//! The instruction multiplies unsigned by signed bytes. Side B's entries are
//! stored with their top bit flipped, which adds 128 to each. Each step
//! therefore starts from −128 times the sum of side A's row. The partial sums
//! of the transcript are then right at every step.

use super::registers::{load, store};
use super::{Avx512, R, STEP, T};
use crate::params::Params;
use crate::puzzle::noise::RankStepFactor;
use crate::puzzle::statement::Side;
use crate::simd::Kernel;
use crate::simd::layout::interleave;
use core::arch::x86_64::*;

/// The length of a packed step of side A: the entries, then each row's start
/// value.
const STEP_A: usize = STEP + 4 * T;
/// The rows of one block of accumulators, which has 8 rows by 2 registers of 16
/// columns.
const ROWS: usize = 8;
/// The number of steps of both sides that the first-level cache holds at once.
const NEAR: usize = 4;

/// A flag of [`add_steps`]: it folds the sums after every step.
const FOLD: u8 = 1;
/// A flag of [`add_steps`]: it adds whole steps.
const WHOLE: u8 = 2;
/// A flag of [`add_steps`]: sums start from zero, whatever they hold.
const START: u8 = 4;

/// The VNNI kernel. Only `find` returns it, if the processor has the features.
#[derive(Debug)]
struct Avx512Vnni(Avx512);

/// The kernel, if the processor has the features that it needs.
pub(in crate::simd) fn find() -> Option<&'static dyn Kernel> {
    Avx512::find()?;
    Some(&Avx512Vnni(Avx512(())))
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
        self.0.transpose(rows, entries);
        // SAFETY: `find` returns this kernel only if the processor has the
        // features.
        unsafe {
            match side {
                Side::A => write_starts(entries, starts),
                Side::B => flip(entries),
            }
        }
    }

    fn unpack(&self, _: Side, _: usize, packed: &[i8], rows: &mut [i8]) {
        let rows = rows.as_mut_array().expect("a step has 32×128 entries");
        let (entries, starts) = packed.split_at(STEP);
        let entries = entries.as_array().expect("a packed step has 32×128 entries");
        self.0.transpose(entries, rows);
        if starts.is_empty() {
            // SAFETY: `find` returns this kernel only if the processor has the
            // features.
            unsafe { flip(rows) };
        }
    }

    fn step(&self, _: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        let (a, b) = (a.as_chunks().0, b.as_chunks().0);
        assert!(a.len() == 1 && b.len() == 1, "one step of each side");
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        let mut lanes = [[0; 16]];
        // SAFETY: `find` returns this kernel only if the processor has the
        // features.
        unsafe { add_steps::<{ FOLD | WHOLE }>(a, b, R, sums, &mut lanes) };
        lanes[0].into_iter().fold(0, |x, lane| x ^ lane)
    }

    fn fold(&self, _: usize, a: &[&[i8]], b: &[i8], sums: &mut [i32], xs: &mut [u32]) {
        let b = b.as_chunks().0;
        let tiles = a.iter().zip(sums.as_chunks_mut().0).zip(xs.chunks_exact_mut(b.len()));
        for ((a, sums), xs) in tiles {
            let a = a.as_chunks().0;
            assert!(a.len() == b.len(), "the same number of steps of each side");
            for ((a, b), xs) in a.chunks(NEAR).zip(b.chunks(NEAR)).zip(xs.chunks_mut(NEAR)) {
                let mut lanes = [[0; 16]; NEAR];
                let lanes = &mut lanes[..xs.len()];
                // SAFETY: `find` returns this kernel only if the processor has
                // the features.
                unsafe { add_steps::<{ FOLD | WHOLE }>(a, b, R, sums, lanes) };
                self.0.fold_lanes(lanes, xs);
            }
        }
    }

    fn accumulate(&self, _: usize, a: &[&[i8]], b: &[i8], _: usize, sums: &mut [i32]) {
        let b = b.as_chunks().0;
        for (a, sums) in a.iter().zip(sums.as_chunks_mut().0) {
            let a = a.as_chunks().0;
            assert!(a.len() == b.len(), "the same number of steps of each side");
            for (a, b) in a.chunks(NEAR).zip(b.chunks(NEAR)) {
                // SAFETY: `find` returns this kernel only if the processor has
                // the features.
                unsafe { add_steps::<WHOLE>(a, b, R, sums, &mut []) };
            }
        }
    }

    fn multiply(&self, _: usize, a: &[&[i8]], b: &[i8], _: usize, sums: &mut [i32]) {
        let b = b.as_chunks().0;
        for (a, sums) in a.iter().zip(sums.as_chunks_mut().0) {
            let a = a.as_chunks().0;
            assert!(a.len() == b.len(), "the same number of steps of each side");
            for (part, (a, b)) in a.chunks(NEAR).zip(b.chunks(NEAR)).enumerate() {
                // SAFETY: `find` returns this kernel only if the processor has
                // the features.
                unsafe {
                    match part {
                        0 => add_steps::<{ START | WHOLE }>(a, b, R, sums, &mut []),
                        _ => add_steps::<WHOLE>(a, b, R, sums, &mut []),
                    }
                }
            }
        }
    }

    fn accumulate_narrow(&self, _: usize, columns: usize, a: &[i8], b: &[i8], sums: &mut [i32]) {
        let (a, b) = (a.as_chunks().0, b.as_chunks().0);
        assert!(a.len() == 1 && b.len() == 1, "one step of each side");
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: `find` returns this kernel only if the processor has the
        // features.
        unsafe { add_steps::<0>(a, b, columns, sums, &mut []) };
    }

    fn add_noise(&self, step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
        self.0.add_noise(step, factors, entries);
    }

    fn project(&self, by_row: &RankStepFactor, entries: &[i8], sums: &mut [i16]) {
        self.0.project(by_row, entries, sums);
    }

    fn pack_thin(&self, _: Side, t: usize, rows: &[i16], packed: &mut [i16]) -> bool {
        interleave::<2, _>(t, rows, packed);
        true
    }

    fn correct_tile(&self, _: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        assert!(a.len() == b.len() && a.len().is_multiple_of(2 * T));
        let sums = sums.as_mut_array().expect("a tile has 32×32 sums");
        // SAFETY: `find` returns this kernel only if the processor has the
        // features.
        unsafe { correct(a, b, sums) }
    }
}

/// Flips the top bit of every entry, which adds 128 if the bytes are read as
/// unsigned.
#[target_feature(enable = "avx512f,avx512bw")]
fn flip(entries: &mut [i8; STEP]) {
    for entries in entries.as_chunks_mut::<64>().0 {
        let flipped = _mm512_xor_si512(load(&entries[..]), _mm512_set1_epi8(i8::MIN));
        store(&mut entries[..], flipped);
    }
}

/// Writes −128 times the sum of each row, which cancels the effect of flipping
/// the other side.
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

/// Adds consecutive steps to a tile's sums, as a combination of the flags says.
///
/// Without [`WHOLE`], it adds the first `columns` columns of each step. The
/// accumulators stay in registers from step to step. With [`FOLD`], the XOR of
/// all sums after step ℓ goes, lane by lane, into `lanes[ℓ]`, which starts as
/// zeros.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_steps<const HOW: u8>(
    a: &[[i8; STEP_A]],
    b: &[[i8; STEP]],
    columns: usize,
    sums: &mut [i32; T * T],
    lanes: &mut [[u32; 16]],
) {
    assert!(HOW & FOLD == 0 || lanes.len() == a.len(), "room for every step's lanes");
    let columns = if HOW & WHOLE != 0 { R } else { columns };
    for (block, sums) in sums.as_chunks_mut::<{ ROWS * T }>().0.iter_mut().enumerate() {
        let mut accumulators = [[_mm512_setzero_si512(); 2]; ROWS];
        for (i, accumulators) in accumulators.iter_mut().enumerate() {
            // Without folds the partial sums are not read, so one start value
            // serves all steps.
            let starts = if HOW & FOLD != 0 {
                0
            } else {
                a.iter().map(|a| start(a, block * ROWS + i)).sum()
            };
            for (half, accumulator) in accumulators.iter_mut().enumerate() {
                *accumulator = _mm512_set1_epi32(starts);
                if HOW & START == 0 {
                    let before = load(&sums[i * T + 16 * half..]);
                    *accumulator = _mm512_add_epi32(before, *accumulator);
                }
            }
        }
        for (step, (a, b)) in a.iter().zip(b).enumerate() {
            if HOW & FOLD != 0 {
                for (i, accumulators) in accumulators.iter_mut().enumerate() {
                    let start = _mm512_set1_epi32(start(a, block * ROWS + i));
                    for accumulator in accumulators {
                        *accumulator = _mm512_add_epi32(*accumulator, start);
                    }
                }
            }
            add_step(block, a, b, columns, &mut accumulators);
            if HOW & FOLD != 0 {
                let all = accumulators.as_flattened().iter();
                let folded = all.fold(load(&lanes[step]), |x, &sums| _mm512_xor_si512(x, sums));
                store(&mut lanes[step], folded);
            }
        }
        for (i, accumulators) in accumulators.into_iter().enumerate() {
            for (half, accumulator) in accumulators.into_iter().enumerate() {
                store(&mut sums[i * T + 16 * half..], accumulator);
            }
        }
    }
}

/// Adds one step's products to 8 rows of sums in registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn add_step(
    block: usize,
    a: &[i8; STEP_A],
    b: &[i8; STEP],
    columns: usize,
    accumulators: &mut [[__m512i; 2]; ROWS],
) {
    // Each chunk holds four columns of all 32 rows.
    let groups = a[..STEP].as_chunks::<{ 4 * T }>().0.iter().zip(b.as_chunks::<{ 4 * T }>().0);
    for (a, b) in groups.take(columns.div_ceil(4)) {
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

/// The start value of a row's sums, from a packed step of side A.
fn start(a: &[i8; STEP_A], row: usize) -> i32 {
    i32::from_le_bytes(a[STEP..].as_chunks::<4>().0[row].map(|byte| byte as u8))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn correct(a: &[i16], b: &[i16], sums: &mut [i32; T * T]) {
    for (block, sums) in sums.as_chunks_mut::<{ ROWS * T }>().0.iter_mut().enumerate() {
        let mut products = [[_mm512_setzero_si512(); 2]; ROWS];
        // Each chunk holds two columns of all 32 rows.
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
