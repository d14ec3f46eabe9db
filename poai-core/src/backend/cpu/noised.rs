//! An operand with its noise, packed for a kernel, and the noise's factors,
//! which recovery needs.

use crate::digest::Seed;
use crate::kernel::Kernel;
use crate::noise::{RowNoise, StepFactor, StepNoise};
use crate::operand::Operand;
use crate::params::Params;
use rayon::prelude::*;

/// `A'` or `B'ᵀ`, strip by strip and step by step, and the two factors.
pub(super) struct Packed {
    /// The tile edge, rank and number of steps.
    t: usize,
    rank: usize,
    steps: usize,
    /// Bytes of a packed step.
    step_len: usize,
    entries: Vec<i8>,
    /// The row factor, rows×r.
    pub(super) rows: Vec<i8>,
    /// The step factors.
    pub(super) factors: Vec<StepFactor>,
}

impl Packed {
    /// Noises an operand straight into the packed layout, on every thread.
    pub(super) fn new(
        kernel: &dyn Kernel,
        params: &Params,
        seed: &Seed,
        operand: &Operand,
    ) -> Packed {
        let (t, rank, k) = (params.tile(), params.rank(), operand.k() as usize);
        let side = operand.side();
        let step_len = kernel.packed_len(params, side);
        let step_noise = StepNoise::new(params, seed);
        let row_noise = RowNoise::new(seed);
        let factors: Vec<_> = (0..operand.k() / rank as u32)
            .into_par_iter()
            .map(|step| step_noise.factor(step))
            .collect();
        let rows = operand.rows() as usize;
        let steps = factors.len();
        let mut packed = Packed {
            t,
            rank,
            steps,
            step_len,
            entries: vec![0; rows / t * steps * step_len],
            rows: vec![0; rows * rank],
            factors,
        };
        let factors = &packed.factors;
        packed
            .rows
            .par_chunks_exact_mut(t * rank)
            .zip(packed.entries.par_chunks_exact_mut(steps * step_len))
            .zip(operand.as_slice().par_chunks_exact(t * k))
            .enumerate()
            .for_each_init(
                || vec![0; t * rank],
                |step_rows, (strip, ((rows, packed), clean))| {
                    for (i, row) in rows.chunks_exact_mut(rank).enumerate() {
                        row_noise.row((strip * t + i) as u32, row);
                    }
                    for (step, (factor, packed)) in
                        factors.iter().zip(packed.chunks_exact_mut(step_len)).enumerate()
                    {
                        copy_step(clean, k, rank, step, step_rows);
                        kernel.add_noise(factor, rows, step_rows);
                        kernel.pack(side, t, step_rows, packed);
                    }
                },
            );
        packed
    }

    /// Step `step` of strip `strip`, packed.
    pub(super) fn step(&self, strip: usize, step: usize) -> &[i8] {
        &self.entries[(strip * self.steps + step) * self.step_len..][..self.step_len]
    }

    /// How many steps there are.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The noised entries of one step of a strip, row-major t×r.
    pub(super) fn unpack_step(
        &self,
        kernel: &dyn Kernel,
        strip: usize,
        step: usize,
        rows: &mut [i8],
    ) {
        kernel.unpack(self.t, self.step(strip, step), rows);
    }

    /// All noised entries, row-major.
    pub(super) fn unpack(&self, kernel: &dyn Kernel) -> Vec<i8> {
        let (t, rank) = (self.t, self.rank);
        let k = self.steps * rank;
        let mut entries = vec![0; self.rows.len() / rank * k];
        let mut step_rows = vec![0; t * rank];
        for (strip, entries) in entries.chunks_exact_mut(t * k).enumerate() {
            for step in 0..self.steps {
                self.unpack_step(kernel, strip, step, &mut step_rows);
                for (to, from) in entries.chunks_exact_mut(k).zip(step_rows.chunks_exact(rank)) {
                    to[step * rank..][..rank].copy_from_slice(from);
                }
            }
        }
        entries
    }
}

/// Copies one step of a row-major strip of `k` columns.
pub(super) fn copy_step(strip: &[i8], k: usize, rank: usize, step: usize, rows: &mut [i8]) {
    for (to, from) in rows.chunks_exact_mut(rank).zip(strip.chunks_exact(k)) {
        to.copy_from_slice(&from[step * rank..][..rank]);
    }
}
