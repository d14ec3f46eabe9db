//! An operand with its noise, and the noise factors that recovery needs.

use super::packed::RankSteps;
use crate::operand::Operand;
use poai_core::digest::Seed;
use poai_core::puzzle::noise::{RankStepFactor, RankStepNoise, RowNoise};
use poai_core::simd::Kernel;
use rayon::prelude::*;

/// `A'` or `B'ᵀ`, packed, with the two factors of its noise.
pub(super) struct NoisedEntries {
    pub(super) steps: RankSteps,
    /// The row factor, rows×r.
    pub(super) rows: Vec<i8>,
    /// The step factors.
    pub(super) factors: Vec<RankStepFactor>,
}

impl NoisedEntries {
    /// Noises an operand straight into the packed layout, on every thread.
    pub(super) fn new(kernel: &dyn Kernel, seed: &Seed, operand: &Operand) -> NoisedEntries {
        let params = operand.params();
        let rank = params.rank();
        let step_noise = RankStepNoise::new(params, seed);
        let row_noise = RowNoise::new(seed);
        let factors: Vec<_> = (0..operand.k() / rank as u32)
            .into_par_iter()
            .map(|step| step_noise.factor(step))
            .collect();
        let mut rows = vec![0; operand.rows() as usize * rank];
        rows.par_chunks_exact_mut(rank)
            .enumerate()
            .for_each(|(index, row)| row_noise.row(index as u32, row));
        let strip_len = params.tile() * rank;
        let steps = RankSteps::with(
            kernel,
            operand,
            |strip| &rows[strip * strip_len..][..strip_len],
            |strip_rows, step, entries| kernel.add_noise(&factors[step], strip_rows, entries),
        );
        NoisedEntries { steps, rows, factors }
    }
}
