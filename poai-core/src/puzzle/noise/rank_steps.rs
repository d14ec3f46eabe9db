//! The step factors `R_ℓ = Π·(D1 + S_δ·D2)`, each of determinant ±2.

use crate::digest::Seed;
use crate::digest::derive;
use crate::params::{Params, RANK_MAX};

/// The number of raw bytes for one step factor of the largest rank.
const RAW_MAX: usize = 4 * RANK_MAX + 2 + RANK_MAX / 4;

/// The generator of one side's step factors.
#[derive(Clone, Copy)]
pub struct RankStepNoise {
    key: [u8; 32],
    rank: usize,
}

impl RankStepNoise {
    /// A generator with the key `H("noise steps", seed)`.
    pub fn new(params: &Params, seed: &Seed) -> RankStepNoise {
        RankStepNoise { key: derive!("noise steps", &seed.0), rank: params.rank() }
    }

    /// The key, for devices that generate noise.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The factor of step `step`.
    pub fn factor(&self, step: u32) -> RankStepFactor {
        let rank = self.rank;
        let mut raw = [0; RAW_MAX];
        let raw = &mut raw[..4 * rank + 2 + rank / 4];
        blake3::Hasher::new_keyed(&self.key).update(&step.to_le_bytes()).finalize_xof().fill(raw);
        let (words, rest) = raw.split_at(4 * rank);
        let (shift, signs) = rest.split_at(2);
        let permutation = shuffle(words, rank);
        // δ is odd, so the cycle has the even length r. The determinant is then
        // the difference of two products of signs.
        let delta = 2 * (usize::from(u16::from_le_bytes([shift[0], shift[1]])) % (rank / 2)) + 1;
        let negative = |bit: usize| signs[bit / 8] >> (bit % 8) & 1 == 1;
        let odd = signs.iter().map(|byte| byte.count_ones()).sum::<u32>() % 2 == 1;

        let mut factor =
            RankStepFactor { rank, sources: [[0; RANK_MAX]; 2], signs: [[0; RANK_MAX]; 2] };
        for c in 0..rank {
            factor.sources[0][c] = permutation[c];
            factor.sources[1][c] = permutation[(c + delta) % rank];
            factor.signs[0][c] = if negative(c) { -1 } else { 1 };
            factor.signs[1][c] = if negative(rank + c) { -1 } else { 1 };
        }
        if !odd {
            // The product of all signs has to be −1, which makes the
            // determinant ±2.
            factor.signs[1][rank - 1] *= -1;
        }
        factor
    }
}

/// The shuffle of spec §4, driven by `rank` words. The first word is unused.
fn shuffle(words: &[u8], rank: usize) -> [u8; RANK_MAX] {
    let mut permutation = core::array::from_fn(|c| c as u8);
    for i in (1..rank).rev() {
        let word = u32::from_le_bytes([
            words[4 * i],
            words[4 * i + 1],
            words[4 * i + 2],
            words[4 * i + 3],
        ]);
        // j is below i + 1, because a word is below 2^32.
        let j = (u64::from(word) * (i as u64 + 1)) >> 32;
        permutation.swap(i, j as usize);
    }
    permutation
}

/// A step factor `R_ℓ`.
///
/// Column c has two nonzero entries: `signs[0][c]` in row `sources[0][c]`, and
/// `signs[1][c]` in row `sources[1][c]`.
#[derive(Clone)]
pub struct RankStepFactor {
    rank: usize,
    sources: [[u8; RANK_MAX]; 2],
    signs: [[i8; RANK_MAX]; 2],
}

impl RankStepFactor {
    /// The two nonzero entries of column `column`, as (row, sign).
    ///
    /// # Panics
    /// If the column is not below the rank.
    pub fn column(&self, column: usize) -> [(usize, i8); 2] {
        assert!(column < self.rank, "column {column} of a factor of rank {}", self.rank);
        [0, 1].map(|half| (usize::from(self.sources[half][column]), self.signs[half][column]))
    }

    /// The rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// For each column, the row of its first (`half` 0) or second (1) entry.
    pub fn sources(&self, half: usize) -> &[u8] {
        &self.sources[half][..self.rank]
    }

    /// For each column, the sign of its first (`half` 0) or second (1) entry.
    pub fn signs(&self, half: usize) -> &[i8] {
        &self.signs[half][..self.rank]
    }

    /// Adds the noise of one row to its entries of this step, `A' = A + E`.
    ///
    /// `row` is the row's factor and `entries` its clean entries of this step.
    /// Both are as long as the rank. The sums fit i8 if the entries are clean.
    ///
    /// # Panics
    /// If the row is shorter than the rank.
    pub fn add_noise(&self, row: &[i8], entries: &mut [i8]) {
        debug_assert!(row.len() == self.rank && entries.len() == self.rank);
        let first = self.sources(0).iter().zip(self.signs(0));
        let second = self.sources(1).iter().zip(self.signs(1));
        for (entry, ((&p, &d1), (&q, &d2))) in entries.iter_mut().zip(first.zip(second)) {
            // Exact in i8: factors lie in −32..=31, and their signed sum in
            // −64..=64.
            let noise = d1 * row[usize::from(p)] + d2 * row[usize::from(q)];
            *entry = entry.wrapping_add(noise);
        }
    }

    /// The same factor by rows.
    ///
    /// Row p has its two nonzero entries in columns `sources(0)[p]` and
    /// `sources(1)[p]`. The thin products of exact recovery (spec §5) gather
    /// entries with it.
    pub fn transposed(&self) -> RankStepFactor {
        let mut by_row = self.clone();
        for half in 0..2 {
            for (c, (&p, &sign)) in self.sources(half).iter().zip(self.signs(half)).enumerate() {
                by_row.sources[half][usize::from(p)] = c as u8;
                by_row.signs[half][usize::from(p)] = sign;
            }
        }
        by_row
    }

    /// Adds `R_ℓ · entries` to `sums`, both as long as the rank.
    ///
    /// These are the thin products of exact recovery (spec §5), with two
    /// additions per entry.
    ///
    /// # Panics
    /// If there are fewer sums than the rank.
    pub fn project(&self, entries: &[i8], sums: &mut [i32]) {
        debug_assert!(sums.len() == self.rank && entries.len() == self.rank);
        for half in 0..2 {
            let columns = self.sources(half).iter().zip(self.signs(half));
            for (entry, (&p, &sign)) in entries.iter().zip(columns) {
                sums[usize::from(p)] += i32::from(sign) * i32::from(*entry);
            }
        }
    }
}
