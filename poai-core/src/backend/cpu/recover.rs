//! Exact recovery, `A·B = C' − A·F − E·B'`, through the noise's thin factors:
//! no second product (spec §5).

use super::noised::NoisedEntries;
use crate::backend::Job;
use crate::noise::StepFactor;
use ndarray::ArrayViewMut2;
use rayon::prelude::*;

/// Both thin products: `A·F_L` (m×r) to be multiplied with side B's row
/// factor, and `(E_R·B')ᵀ` (n×r) with side A's.
///
/// Entries of the first are at most 2^14 in magnitude and of the second 2^15,
/// at the largest k of a block. The latter is one beyond i16: both are i32.
pub(super) struct Correction<'a> {
    rank: usize,
    edge: usize,
    a_times_f: Vec<i32>,
    e_times_b: Vec<i32>,
    rows_a: &'a [i8],
    rows_b: &'a [i8],
}

impl<'a> Correction<'a> {
    /// Computes the thin products on every thread.
    pub(super) fn new(job: &Job<'_>, a: &'a NoisedEntries, b: &'a NoisedEntries) -> Correction<'a> {
        let rank = job.params.rank();
        let k = job.a.operand().k() as usize;
        Correction {
            rank,
            edge: job.params.tile(),
            a_times_f: project(job.a.operand().as_slice(), k, rank, &b.steps),
            e_times_b: project(&b.entries, k, rank, &a.steps),
            rows_a: &a.rows,
            rows_b: &b.rows,
        }
    }

    /// Takes both products off one noised tile.
    pub(super) fn apply(&self, row: usize, column: usize, tile: &mut ArrayViewMut2<'_, i32>) {
        let (edge, rank) = (self.edge, self.rank);
        for (i, mut entries) in tile.rows_mut().into_iter().enumerate() {
            let at = (row * edge + i) * rank;
            let a_times_f = &self.a_times_f[at..][..rank];
            let row_a = &self.rows_a[at..][..rank];
            for (j, entry) in entries.iter_mut().enumerate() {
                let at = (column * edge + j) * rank;
                let row_b = &self.rows_b[at..][..rank];
                let e_times_b = &self.e_times_b[at..][..rank];
                // Sums of magnitude up to k·2^14, which is within i32.
                *entry -= dot(a_times_f, row_b) + dot(e_times_b, row_a);
            }
        }
    }
}

/// `R·row` summed over the steps, for every row of a matrix of `k` columns.
fn project(entries: &[i8], k: usize, rank: usize, steps: &[StepFactor]) -> Vec<i32> {
    let mut sums = vec![0; entries.len() / k * rank];
    sums.par_chunks_exact_mut(rank).zip(entries.par_chunks_exact(k)).for_each(|(sums, entries)| {
        for (step, entries) in steps.iter().zip(entries.chunks_exact(rank)) {
            step.project(entries, sums);
        }
    });
    sums
}

fn dot(wide: &[i32], narrow: &[i8]) -> i32 {
    wide.iter().zip(narrow).map(|(&w, &n)| w * i32::from(n)).sum()
}
