//! The inner loops, modulo 2^64.
//!
//! SSE2, which every x86-64 has, cannot multiply 64-bit integers, but it
//! multiplies unsigned 32-bit integers into 64 bits (`pmuludq`). If both
//! factors fit 32 bits, the loops use that: a signed factor gets a bias that
//! makes it unsigned, and the sum is corrected once at the end.

use alloc::vec::Vec;

/// The bias that makes an i8 an unsigned byte: `b + 128`.
const BYTE_BIAS: u64 = 1 << 7;
/// The bias that makes an i32 an unsigned word: `c + 2^31`.
const WORD_BIAS: u64 = 1 << 31;
/// Number of rows of Bᵀ that are read together.
pub(super) const BLOCK: usize = 4;

/// The random vector of a round, with the sum that removes the bias.
pub(super) struct X {
    /// The entries, one for each column of the product.
    entries: Vec<u32>,
    /// Their sum modulo 2^64.
    sum: u64,
}

impl X {
    pub(super) fn new(entries: Vec<u32>) -> X {
        let sum = entries.iter().fold(0u64, |sum, &x| sum.wrapping_add(u64::from(x)));
        X { entries, sum }
    }

    /// `Σ_j c_j·x_j` modulo 2^64, for a row of C with as many entries as x.
    #[inline]
    pub(super) fn dot(&self, c: &[i32]) -> u64 {
        let biased = c.iter().zip(&self.entries).fold(0u64, |sum, (&c, &x)| {
            let word = (c as u32) ^ (1 << 31);
            // Exact: two factors below 2^32.
            sum.wrapping_add(u64::from(word) * u64::from(x))
        });
        biased.wrapping_sub(self.sum.wrapping_mul(WORD_BIAS))
    }

    /// `y_c += Σ_j (rows[j][c] + 128)·x_(first + j)` modulo 2^64, for at most [`BLOCK`] whole rows
    /// of `k` entries.
    #[inline]
    pub(super) fn add_rows(&self, y: &mut [u64], rows: &[i8], k: usize, first: usize) {
        let x = self.entries.get(first..).unwrap_or_default();
        let Some(four) = x.first_chunk().filter(|_| rows.len() == BLOCK * k) else {
            for (row, &x) in rows.chunks_exact(k).zip(x) {
                for (y, &b) in y.iter_mut().zip(row) {
                    *y = y.wrapping_add(term(b, x));
                }
            }
            return;
        };
        add_block(y, rows, four);
    }

    /// Removes the bias of [`X::add_rows`] from `Σ_j (b_j + 128)·x_j`.
    pub(super) fn unbias(&self, y: u64) -> u64 {
        y.wrapping_sub(self.sum.wrapping_mul(BYTE_BIAS))
    }
}

/// A biased byte times a random word. It is exact, because it is below 2^40.
#[inline(always)]
fn term(b: i8, x: u32) -> u64 {
    u64::from((b as u8) ^ (1 << 7)) * u64::from(x)
}

/// Adds [`BLOCK`] rows at once, so that `y` is read and written once for all.
#[inline]
fn add_block(y: &mut [u64], rows: &[i8], &[x0, x1, x2, x3]: &[u32; BLOCK]) {
    let (front, back) = rows.split_at(rows.len() / 2);
    let (r0, r1) = front.split_at(front.len() / 2);
    let (r2, r3) = back.split_at(back.len() / 2);
    for ((((y, &b0), &b1), &b2), &b3) in y.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
        // Exact: four terms are below 2^42.
        *y = y.wrapping_add(term(b0, x0) + term(b1, x1) + term(b2, x2) + term(b3, x3));
    }
}

/// `Σ_c a_c·y_c` modulo 2^64, over the shorter of the two.
///
/// Each term takes one 64-bit multiplication. We measured splitting `y` into
/// 16-bit digits for `pmaddwd`, and into 32-bit halves: both take 1.5 times as
/// long.
#[inline]
pub(super) fn dot(a: &[i8], y: &[u64]) -> u64 {
    a.iter().zip(y).fold(0, |sum: u64, (&a, &y)| {
        let a = i64::from(a) as u64;
        sum.wrapping_add(a.wrapping_mul(y))
    })
}
