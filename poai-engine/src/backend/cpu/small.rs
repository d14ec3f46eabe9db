//! A small product on the calling thread, in the kernel's packed layout.

use poai_core::params::Params;
use poai_core::puzzle::statement::Side;
use poai_core::simd::{Block, Kernel};

/// Multiplies a (m×k) by bᵀ (n×k) into row-major m×n. Pads k to whole
/// rank-steps and rows to whole strips with zeros, which change no sum.
pub(super) fn product(
    kernel: &dyn Kernel,
    a: &[i8],
    b: &[i8],
    k: usize,
    n: usize,
    memory: &mut [i32],
) {
    let params = &Params::CONSENSUS;
    let t = params.tile();
    let (whole, rest) = (k / params.rank(), k % params.rank());
    let steps = k.div_ceil(params.rank());
    let (a, b) = (pack(kernel, Side::A, a, k), pack(kernel, Side::B, b, k));
    let (a_step, b_step) = (kernel.packed_len(params, Side::A), kernel.packed_len(params, Side::B));
    let mut sums = vec![0; t * t];
    for (row, a) in a.chunks_exact(steps * a_step).enumerate() {
        for (column, b) in b.chunks_exact(steps * b_step).enumerate() {
            sums.fill(0);
            for first in (0..whole).step_by(Block::STEPS_MAX) {
                let count = Block::STEPS_MAX.min(whole - first);
                let a = &a[first * a_step..][..count * a_step];
                let b = &b[first * b_step..][..count * b_step];
                kernel.accumulate(t, &[a], b, count, &mut sums);
            }
            if rest > 0 {
                let (a, b) = (&a[whole * a_step..], &b[whole * b_step..]);
                kernel.accumulate_narrow(t, rest, a, b, &mut sums);
            }
            let width = t.min(n - column * t);
            let rows = memory[row * t * n..].chunks_mut(n).zip(sums.chunks_exact(t));
            for (to, sums) in rows {
                to[column * t..][..width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

/// Packs all strips, rank-step by rank-step.
fn pack(kernel: &dyn Kernel, side: Side, matrix: &[i8], k: usize) -> Vec<i8> {
    let params = &Params::CONSENSUS;
    let (t, rank) = (params.tile(), params.rank());
    let (steps, len) = (k.div_ceil(rank), kernel.packed_len(params, side));
    let strips = (matrix.len() / k).div_ceil(t);
    let mut packed = vec![0; strips * steps * len];
    let mut rows = vec![0; t * rank];
    let all = matrix.chunks(t * k).zip(packed.chunks_exact_mut(steps * len));
    for (strip, packed) in all {
        for (step, packed) in packed.chunks_exact_mut(len).enumerate() {
            // Only a last step leaves columns, and a last strip rows.
            if (step + 1) * rank > k || strip.len() < t * k {
                rows.fill(0);
            }
            for (to, from) in rows.chunks_exact_mut(rank).zip(strip.chunks_exact(k)) {
                let from = &from[step * rank..k.min((step + 1) * rank)];
                to[..from.len()].copy_from_slice(from);
            }
            kernel.pack(side, t, &rows, packed);
        }
    }
    packed
}
