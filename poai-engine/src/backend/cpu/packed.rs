//! An operand packed for a kernel, strip by strip and rank-step by rank-step.

use super::aligned::Aligned;
use crate::operand::Operand;
use core::ops::Range;
use poai_core::params::Params;
use poai_core::puzzle::statement::Side;
use poai_core::simd::Kernel;
use rayon::prelude::*;

/// The packed entries of one operand, noised or clean.
pub(super) struct RankSteps {
    side: Side,
    t: usize,
    rank: usize,
    /// Rank-steps of one strip.
    count: usize,
    /// Bytes of one packed rank-step.
    len: usize,
    /// The packed rank-steps of each strip. Each strip is filled step by step,
    /// because zeroing memory first takes as long as filling it.
    strips: Vec<Aligned<i8>>,
}

impl RankSteps {
    /// Packs an operand unchanged, on every thread.
    pub(super) fn new(kernel: &dyn Kernel, operand: &Operand) -> RankSteps {
        RankSteps::with(kernel, operand, |_| (), |(), _, _| ())
    }

    /// Packs an operand on every thread. `change` edits each rank-step's
    /// row-major entries before they are packed. `begin` is called once per
    /// strip with the strip's number.
    pub(super) fn with<S>(
        kernel: &dyn Kernel,
        operand: &Operand,
        begin: impl Fn(usize) -> S + Sync,
        change: impl Fn(&S, usize, &mut [i8]) + Sync,
    ) -> RankSteps {
        let params = operand.params();
        let (t, rank, k) = (params.tile(), params.rank(), operand.k() as usize);
        let (side, len, count) =
            (operand.side(), kernel.packed_len(params, operand.side()), k / rank);
        let strips = operand
            .as_slice()
            .par_chunks_exact(t * k)
            .enumerate()
            .map_init(
                || vec![0; t * rank],
                |rows, (strip, clean)| {
                    let state = begin(strip);
                    let mut steps = Aligned::with_capacity(count * len);
                    for step in 0..count {
                        copy_step(clean, k, rank, step, rows);
                        change(&state, step, rows);
                        kernel.pack(side, t, rows, steps.extend(len));
                    }
                    steps
                },
            )
            .collect();
        RankSteps { side, t, rank, count, len, strips }
    }

    /// The number of strips.
    pub(super) fn strips(&self) -> usize {
        self.strips.len()
    }

    /// The number of rank-steps of a strip.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A range of rank-steps of strip `strip`, packed.
    pub(super) fn steps(&self, strip: usize, steps: Range<usize>) -> &[i8] {
        &self.strips[strip][steps.start * self.len..steps.end * self.len]
    }

    /// The entries of one rank-step of a strip, row-major t×r.
    pub(super) fn unpack_step(
        &self,
        kernel: &dyn Kernel,
        strip: usize,
        step: usize,
        rows: &mut [i8],
    ) {
        kernel.unpack(self.side, self.t, self.steps(strip, step..step + 1), rows);
    }

    /// All entries, row-major.
    pub(super) fn unpack(&self, kernel: &dyn Kernel) -> Vec<i8> {
        let (t, rank) = (self.t, self.rank);
        let k = self.count * rank;
        let mut entries = vec![0; self.strips.len() * t * k];
        let mut rows = vec![0; t * rank];
        for (strip, entries) in entries.chunks_exact_mut(t * k).enumerate() {
            for step in 0..self.count {
                self.unpack_step(kernel, strip, step, &mut rows);
                for (to, from) in entries.chunks_exact_mut(k).zip(rows.chunks_exact(rank)) {
                    to[step * rank..][..rank].copy_from_slice(from);
                }
            }
        }
        entries
    }
}

/// Packs all rank-steps of a row-major strip of `k` columns. `rows` is memory
/// for one step.
pub(super) fn pack_strip(
    kernel: &dyn Kernel,
    side: Side,
    (t, rank, k): (usize, usize, usize),
    strip: &[i8],
    rows: &mut [i8],
    packed: &mut [i8],
) {
    let len = packed.len() / (k / rank);
    for (step, packed) in packed.chunks_exact_mut(len).enumerate() {
        copy_step(strip, k, rank, step, rows);
        kernel.pack(side, t, rows, packed);
    }
}

/// Copies one rank-step of a row-major strip of `k` columns.
pub(super) fn copy_step(strip: &[i8], k: usize, rank: usize, step: usize, rows: &mut [i8]) {
    const RANK: usize = Params::CONSENSUS.rank();
    for (to, from) in rows.chunks_exact_mut(rank).zip(strip.chunks_exact(k)) {
        let from = &from[step * rank..][..rank];
        // A copy of known length takes no call.
        match (to.as_mut_array::<RANK>(), from.as_array::<RANK>()) {
            (Some(to), Some(from)) => *to = *from,
            _ => to.copy_from_slice(from),
        }
    }
}
