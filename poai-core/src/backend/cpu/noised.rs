//! An operand with its noise, row-major, and the factors that recovery needs.

use crate::digest::Seed;
use crate::noise::{RowNoise, StepFactor, StepNoise};
use crate::operand::Operand;
use crate::params::Params;
use rayon::prelude::*;

/// `A'` or `B'ᵀ` and the noise's two factors.
pub(super) struct NoisedEntries {
    /// rows×k, row-major.
    pub(super) entries: Vec<i8>,
    /// The row factor, rows×r.
    pub(super) rows: Vec<i8>,
    /// The step factors, k/r of them.
    pub(super) steps: Vec<StepFactor>,
}

impl NoisedEntries {
    /// Noises an operand on every thread.
    pub(super) fn new(params: &Params, seed: &Seed, operand: &Operand) -> NoisedEntries {
        let (rank, k) = (params.rank(), operand.k() as usize);
        let step_noise = StepNoise::new(params, seed);
        let row_noise = RowNoise::new(seed);
        let steps: Vec<_> = (0..operand.k() / rank as u32)
            .into_par_iter()
            .map(|step| step_noise.factor(step))
            .collect();
        let mut rows = vec![0; operand.rows() as usize * rank];
        let mut entries = operand.as_slice().to_vec();
        rows.par_chunks_exact_mut(rank).zip(entries.par_chunks_exact_mut(k)).enumerate().for_each(
            |(index, (row, entries))| {
                row_noise.row(index as u32, row);
                for (step, entries) in steps.iter().zip(entries.chunks_exact_mut(rank)) {
                    step.add_noise(row, entries);
                }
            },
        );
        NoisedEntries { entries, rows, steps }
    }

    /// Strip `index`, `edge` rows of `k` entries.
    pub(super) fn strip(&self, index: usize, edge: usize, k: usize) -> &[i8] {
        &self.entries[index * edge * k..][..edge * k]
    }
}
