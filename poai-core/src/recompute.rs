//! Recomputation of a tile from its two clean strips (spec §7).
//!
//! The verifier does this without the matrices.

use crate::digest::Seed;
use crate::params::{K_END, Params};
use crate::puzzle::noise::{RankStepNoise, RowNoise};
use crate::puzzle::seeds::Seeds;
use crate::puzzle::statement::{Side, Tile};
use crate::puzzle::transcript::Transcript;
use crate::simd::{Entry, Kernel};
use alloc::vec;
use alloc::vec::Vec;

/// Strips that do not fit the tile and the depth k.
///
/// A strip's length is not `t·k`, or k is not a multiple of the rank, or k is
/// not below 2^17. Sums of 32 bits are exact only below 2^17.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected strips of {expected} bytes of whole rank-steps, with k below {K_END}, got {a} and {b} bytes"
)]
#[non_exhaustive]
pub struct StripError {
    /// The length of A's strip.
    pub a: usize,
    /// The length of Bᵀ's strip.
    pub b: usize,
    /// The expected length, `t·k`.
    pub expected: usize,
}

/// The transcript of a tile, from the clean strips of both sides.
///
/// Each strip holds `t×k` i8 entries as bytes. The function allocates at most
/// `6·t·r + 4·t² + 4·t` bytes, for any length of the strips. This is 28 KiB and
/// 128 bytes for the consensus parameters.
///
/// # Errors
/// [`StripError`] if the lengths or k do not fit.
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
    if strip_a.len() != expected
        || strip_b.len() != expected
        || !k.is_multiple_of(rank)
        || k >= K_END as usize
    {
        return Err(StripError { a: strip_a.len(), b: strip_b.len(), expected });
    }
    let kernel = Entry::for_verifier(params);
    let mut a = NoisedStrip::new(kernel, params, Side::A, &seeds.a, tile.row);
    let mut b = NoisedStrip::new(kernel, params, Side::B, &seeds.b, tile.column);
    let mut sums = vec![0; edge * edge];
    let mut transcript = Transcript::default();
    for step in 0..k / rank {
        let (a, b) = (a.step(strip_a, k, step), b.step(strip_b, k, step));
        // Exact: fewer than 2^32 steps.
        transcript.fold(step as u32, kernel.step(edge, a, b, &mut sums));
    }
    Ok(transcript)
}

/// One side's strip, noised and packed step by step in the same small buffers.
struct NoisedStrip {
    kernel: &'static dyn Kernel,
    side: Side,
    tile: usize,
    rank: usize,
    /// The `t` rows of the row factor.
    factors: Vec<i8>,
    steps: RankStepNoise,
    entries: Vec<i8>,
    packed: Vec<i8>,
}

impl NoisedStrip {
    fn new(
        kernel: &'static dyn Kernel,
        params: &Params,
        side: Side,
        seed: &Seed,
        strip: u32,
    ) -> NoisedStrip {
        let (tile, rank) = (params.tile(), params.rank());
        let rows = RowNoise::new(seed);
        let mut factors = vec![0; tile * rank];
        // A tile of a valid shape never wraps, because u32 numbers its rows.
        // For any other tile the result has no meaning.
        let first = strip.wrapping_mul(tile as u32);
        for (i, row) in factors.chunks_exact_mut(rank).enumerate() {
            rows.row(first.wrapping_add(i as u32), row);
        }
        NoisedStrip {
            kernel,
            side,
            tile,
            rank,
            factors,
            steps: RankStepNoise::new(params, seed),
            entries: vec![0; tile * rank],
            packed: vec![0; kernel.packed_len(params, side)],
        }
    }

    /// The packed noised rows of one step, from the clean strip of `k` columns.
    fn step(&mut self, clean: &[u8], k: usize, step: usize) -> &[i8] {
        let rank = self.rank;
        for (entries, clean) in self.entries.chunks_exact_mut(rank).zip(clean.chunks_exact(k)) {
            for (entry, byte) in entries.iter_mut().zip(&clean[step * rank..][..rank]) {
                *entry = *byte as i8;
            }
        }
        let factor = self.steps.factor(step as u32);
        self.kernel.add_noise(&factor, &self.factors, &mut self.entries);
        self.kernel.pack(self.side, self.tile, &self.entries, &mut self.packed);
        &self.packed
    }
}
