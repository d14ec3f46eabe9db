//! A tile recomputed from its two clean strips: what a verifier does, with no
//! matrix at hand (spec §7).

use crate::noise::{RowNoise, StepNoise};
use crate::params::Params;
use crate::seeds::Seeds;
use crate::statement::Tile;
use crate::tile::add_step;
use crate::transcript::Transcript;
use alloc::vec;
use alloc::vec::Vec;

/// A strip has another length than `t·k`, or k is no multiple of the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("strips of {a} and {b} bytes are not both {expected} bytes of whole rank-steps")]
pub struct StripError {
    /// The length of A's strip.
    pub a: usize,
    /// The length of Bᵀ's strip.
    pub b: usize,
    /// `t·k`.
    pub expected: usize,
}

/// The transcript of one tile from the clean strips of both sides, bytes of
/// `t×k` i8 entries each.
///
/// Allocates `4·t·r + 4·t²` bytes whatever the strips' lengths: 20 KiB for the
/// consensus parameters, 80 KiB for the largest permitted.
///
/// # Errors
/// [`StripError`] where the lengths do not fit.
pub fn transcript(
    params: &Params,
    seeds: &Seeds,
    tile: Tile,
    k: u32,
    strip_a: &[u8],
    strip_b: &[u8],
) -> Result<Transcript, StripError> {
    let (edge, rank, k) = (params.tile(), params.rank(), k as usize);
    let expected = edge.saturating_mul(k);
    if strip_a.len() != expected || strip_b.len() != expected || !k.is_multiple_of(rank) {
        return Err(StripError { a: strip_a.len(), b: strip_b.len(), expected });
    }
    let mut a = NoisedStrip::new(params, &seeds.a, tile.row);
    let mut b = NoisedStrip::new(params, &seeds.b, tile.column);
    let mut sums = vec![0; edge * edge];
    let mut transcript = Transcript::default();
    for step in 0..k / rank {
        let x = add_step(edge, a.step(strip_a, k, step), b.step(strip_b, k, step), &mut sums);
        // Exact: fewer than 2^32 steps.
        transcript.fold(step as u32, x);
    }
    Ok(transcript)
}

/// One side's strip, noised step by step in the same small buffer.
struct NoisedStrip {
    rank: usize,
    /// The `t` rows of the row factor.
    factors: Vec<i8>,
    steps: StepNoise,
    entries: Vec<i8>,
}

impl NoisedStrip {
    fn new(params: &Params, seed: &crate::Seed, strip: u32) -> NoisedStrip {
        let (edge, rank) = (params.tile(), params.rank());
        let rows = RowNoise::new(seed);
        let mut factors = vec![0; edge * rank];
        // Wrapping never happens for a tile of a valid shape, whose rows are
        // numbered by u32; for any other the answer is worthless anyway.
        let first = strip.wrapping_mul(edge as u32);
        for (i, row) in factors.chunks_exact_mut(rank).enumerate() {
            rows.row(first.wrapping_add(i as u32), row);
        }
        NoisedStrip {
            rank,
            factors,
            steps: StepNoise::new(params, seed),
            entries: vec![0; edge * rank],
        }
    }

    /// The noised rows of one step, from the clean strip of `k` columns.
    fn step(&mut self, clean: &[u8], k: usize, step: usize) -> &[i8] {
        let rank = self.rank;
        let factor = self.steps.factor(step as u32);
        let rows = clean.chunks_exact(k).zip(self.factors.chunks_exact(rank));
        for (entries, (clean, row)) in self.entries.chunks_exact_mut(rank).zip(rows) {
            let clean = &clean[step * rank..][..rank];
            for (entry, byte) in entries.iter_mut().zip(clean) {
                *entry = *byte as i8;
            }
            factor.add_noise(row, entries);
        }
        &self.entries
    }
}
