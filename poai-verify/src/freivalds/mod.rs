//! Freivalds' check: whether C = A·B, exactly, without multiplying.
//!
//! Multiplying takes m·n·k steps. The check draws a random vector x, and compares `A·(B·x)` with
//! `C·x`, which takes n·k + m·k + m·n steps. A true product always passes. A false product passes
//! with at most the chance that [`error_bits`] states.
//!
//! The check is for a party that receives a finished product and wants to be sure of *every* entry.
//! A proof shows one tile, and a [`Verifier`](crate::Verifier) neither needs nor makes this check.
//!
//! # The check
//!
//! In round r, `x_j` is uniform in `0..2^32` for each column j of C. It is word j, little-endian,
//! of the BLAKE3 output stream with the key context "poai-1 freivalds". The stream's input is the
//! 32 bytes of the [`Seed32`] and r in four bytes, little-endian, counted from 0. Then, modulo
//! 2^64,
//!
//! - `y_c = Σ_j B[c][j]·x_j` for every c in `0..k`;
//! - row i passes if `Σ_c A[i][c]·y_c = Σ_j C[i][j]·x_j`.
//!
//! C is rejected at the first row that does not pass.
//!
//! # A true product passes
//!
//! Both sides are the same integer `Σ_j (A·B)[i][j]·x_j` before they are reduced modulo 2^64, and
//! reduction respects sums and products.
//!
//! # A false product passes a round with a chance of at most 2^-32
//!
//! Let D = C − A·B over the integers, and `D[i][j] ≠ 0`.
//!
//! 1. Operands are i8 and k < 2^17, so `|(A·B)[i][j]| ≤ (2^17 − 1)·2^14 < 2^31`. C is i32, so
//!    `|C[i][j]| ≤ 2^31`. Hence `0 < |D[i][j]| < 2^32`.
//! 2. Row i passes if and only if `Σ_l D[i][l]·x_l ≡ 0 (mod 2^64)`. Fix every `x_l` but `x_j`. The
//!    row passes if and only if `D[i][j]·x_j ≡ z (mod 2^64)`, where z does not depend on `x_j`.
//! 3. At most one `x_j` satisfies this. If two did, x and x′, their difference would be nonzero and
//!    below 2^32 in size. Then `|D[i][j]·(x − x′)|` is above 0 and below 2^32·2^32 = 2^64, so it is
//!    not a multiple of 2^64.
//! 4. `x_j` is one of 2^32 equally likely values, independent of the others. The chance is at most
//!    2^-32 for any values of the others, and so also on average over them.
//!
//! Rounds draw independently, so a false product passes r rounds with a chance of at most 2^-32r.
//! The proof treats BLAKE3's output as random, as everywhere in PoAI-1. The bound is reached, so it
//! cannot be improved: if D is zero but for one entry, the check misses it if and only if that
//! `x_j` is 0.
//!
//! The chance is over the seed, with C fixed before: see [`Seed32`].

mod dot;
mod error;

pub use error::{FreivaldsError, ProductMatrix};

use alloc::vec::Vec;
use dot::{BLOCK, X, dot};
use poai_core::Shape;
use poai_core::params::K_END;
use poai_core::puzzle::statement::Dimension;

/// Number of rounds that share one pass over the matrices. More rounds would
/// only take memory, because arithmetic then takes longer than reading.
const GROUP: u32 = 4;

/// The checker's secret, from which the random vectors are derived.
///
/// Its debug output does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed32(
    /// 32 bytes that must be unknown to the party that made A, B or C.
    ///
    /// A party that knows them can make a false C that passes. Draw them from
    /// the system's randomness after all three matrices are fixed, again for
    /// each check. A hash of the matrices is not a substitute: a party that can
    /// compute it can try variants of a false C, about 2^32 for one round,
    /// until one passes.
    pub [u8; 32],
);

impl core::fmt::Debug for Seed32 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed32(..)")
    }
}

/// The bits of error for a number of rounds: a false product passes with a
/// chance of at most `2^-error_bits`.
///
/// It is 32 bits for each round, or `u32::MAX` if that overflows. In practice,
/// BLAKE3 and the 256 bits of the seed limit the certainty, so more than 4
/// rounds (128 bits) give no benefit.
pub const fn error_bits(rounds: u32) -> u32 {
    rounds.saturating_mul(32)
}

/// The vector x of one round (counted from 0), with `n` entries.
///
/// It is a pure function of the seed, so that implementations can be compared.
pub fn vector(seed: &Seed32, round: u32, n: usize) -> Vec<u32> {
    let mut hasher = blake3::Hasher::new_derive_key("poai-1 freivalds");
    hasher.update(&seed.0).update(&round.to_le_bytes());
    let mut reader = hasher.finalize_xof();
    let mut entries = Vec::with_capacity(n);
    let mut bytes = [0; 1024];
    while entries.len() < n {
        reader.fill(&mut bytes);
        let (words, _) = bytes.as_chunks();
        let left = n - entries.len();
        entries.extend(words.iter().take(left).map(|&word| u32::from_le_bytes(word)));
    }
    entries
}

/// Checks that C = A·B in every entry.
///
/// A true product is never rejected. A false product passes with a chance of at most
/// 2^-[`error_bits`]`(rounds)`.
///
/// All matrices are row-major: `a` is m×k, `bt` is B transposed, n×k, and `c` is m×n. m and n are
/// at least 1, and k is 1 to 2^17 − 1. The dimensions need not be multiples of any number. Operands
/// may be any i8 and C any i32.
///
/// Up to four rounds read each matrix once. Besides the matrices, the check takes at most 16·n +
/// 32·k bytes. With the feature `parallel`, it takes up to 32·k more for each part of B, and there
/// are four parts for each thread.
///
/// # Errors
/// [`FreivaldsError::Wrong`] if C is not A·B. Every other error means that nothing was checked:
/// there were no rounds, or the slices do not have the shape.
pub fn check_product(
    shape: Shape,
    a: &[i8],
    bt: &[i8],
    c: &[i32],
    seed: &Seed32,
    rounds: u32,
) -> Result<(), FreivaldsError> {
    if rounds == 0 {
        return Err(FreivaldsError::NoRounds);
    }
    let Shape { m, n, k } = shape;
    for (dimension, value) in [(Dimension::M, m), (Dimension::N, n), (Dimension::K, k)] {
        if value == 0 {
            return Err(FreivaldsError::Empty { dimension });
        }
    }
    if k >= K_END {
        return Err(FreivaldsError::Deep { value: k });
    }
    check_length(ProductMatrix::A, a.len(), m, k)?;
    check_length(ProductMatrix::Bt, bt.len(), n, k)?;
    check_length(ProductMatrix::C, c.len(), m, n)?;
    // Exact: a slice with at least as many entries exists.
    let (n, k) = (n as usize, k as usize);
    let mut first = 0;
    while first < rounds {
        let end = rounds.min(first.saturating_add(GROUP));
        let xs: Vec<X> = (first..end).map(|round| X::new(vector(seed, round, n))).collect();
        let ys = times_b(bt, k, &xs);
        if let Some(row) = first_wrong(a, k, c, n, &xs, &ys) {
            // Exact: the row is below m.
            return Err(FreivaldsError::Wrong { row: row as u32 });
        }
        first = end;
    }
    Ok(())
}

fn check_length(
    matrix: ProductMatrix,
    got: usize,
    rows: u32,
    columns: u32,
) -> Result<(), FreivaldsError> {
    let expected = u64::from(rows) * u64::from(columns);
    if got as u64 != expected {
        return Err(FreivaldsError::Length { matrix, expected, got });
    }
    Ok(())
}

/// `B·x` for the vector of each round, from the n×k entries of Bᵀ.
fn times_b(bt: &[i8], k: usize, xs: &[X]) -> Vec<Vec<u64>> {
    let mut ys = map_parts(bt, k, |part, first| {
        let mut sums: Vec<Vec<u64>> = xs.iter().map(|_| alloc::vec![0; k]).collect();
        // All rounds use the rows while they are in the cache.
        for (index, rows) in part.chunks(BLOCK * k).enumerate() {
            for (sum, x) in sums.iter_mut().zip(xs) {
                x.add_rows(sum, rows, k, first + index * BLOCK);
            }
        }
        sums
    });
    for (y, x) in ys.iter_mut().zip(xs) {
        y.iter_mut().for_each(|y| *y = x.unbias(*y));
    }
    ys
}

/// Whether a row passes every round.
fn passes(a: &[i8], c: &[i32], xs: &[X], ys: &[Vec<u64>]) -> bool {
    xs.iter().zip(ys).all(|(x, y)| dot(a, y) == x.dot(c))
}

/// Adds up the vectors of two parts of B.
#[cfg(feature = "parallel")]
fn add(mut to: Vec<Vec<u64>>, from: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    for (to, from) in to.iter_mut().flatten().zip(from.iter().flatten()) {
        *to = to.wrapping_add(*from);
    }
    to
}

/// Applies `sums` to all rows of Bᵀ. Its arguments are rows and the index of
/// the first of them.
#[cfg(not(feature = "parallel"))]
fn map_parts(bt: &[i8], _k: usize, sums: impl Fn(&[i8], usize) -> Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    sums(bt, 0)
}

/// The same in parts, on all threads. There are a few parts for each thread, so
/// that no thread waits long for the last. Each part has enough rows that
/// adding up is cheap.
#[cfg(feature = "parallel")]
fn map_parts(
    bt: &[i8],
    k: usize,
    sums: impl Fn(&[i8], usize) -> Vec<Vec<u64>> + Sync,
) -> Vec<Vec<u64>> {
    use rayon::prelude::*;
    const LEAST: usize = 64;
    let parts = 4 * rayon::current_num_threads();
    let rows = (bt.len() / k).div_ceil(parts).next_multiple_of(LEAST);
    let part = |(index, part)| sums(part, index * rows);
    bt.par_chunks(rows * k).enumerate().map(part).reduce_with(add).unwrap_or_default()
}

/// The first row that does not pass.
#[cfg(not(feature = "parallel"))]
fn first_wrong(
    a: &[i8],
    k: usize,
    c: &[i32],
    n: usize,
    xs: &[X],
    ys: &[Vec<u64>],
) -> Option<usize> {
    let mut rows = a.chunks_exact(k).zip(c.chunks_exact(n));
    rows.position(|(a, c)| !passes(a, c, xs, ys))
}

/// The first row that does not pass, found by all threads. The result does not
/// depend on their number.
#[cfg(feature = "parallel")]
fn first_wrong(
    a: &[i8],
    k: usize,
    c: &[i32],
    n: usize,
    xs: &[X],
    ys: &[Vec<u64>],
) -> Option<usize> {
    use rayon::prelude::*;
    // A small product uses only as many threads as it has parts of this size.
    const LEAST: usize = 1 << 16;
    let rows = a.par_chunks_exact(k).zip(c.par_chunks_exact(n));
    rows.with_min_len(LEAST.div_ceil(k + n)).position_first(|(a, c)| !passes(a, c, xs, ys))
}
