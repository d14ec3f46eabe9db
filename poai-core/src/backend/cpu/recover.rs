//! Exact recovery, `A·B = C' − A·F − E·B'`, through the noise's thin factors:
//! no second product (spec §5).
//!
//! Both corrections are one product of inner length 2r: side A's rows are
//! `[A·F_L | L_A]`, side B's `[L_B | (E_R·B')ᵀ]`.

use super::noised::NoisedEntries;
use super::packed::copy_step;
use crate::backend::Job;
use crate::kernel::Kernel;
use crate::noise::StepFactor;
use rayon::prelude::*;

/// Entries of E_R·B' reach 2^15 where k/r is this: one beyond i16, and the
/// only value that can be taken for another is i16::MIN.
const NARROW_STEPS: usize = 128;

/// The thin factors of both sides, packed for the kernel where they fit 16
/// bits.
pub(super) enum Correction {
    /// t×2r a strip, packed.
    Narrow { a: Vec<i16>, b: Vec<i16> },
    /// t×2r a strip, row-major: for deep research statements, and the one
    /// value that 16 bits do not hold.
    Wide { a: Vec<i32>, b: Vec<i32> },
}

impl Correction {
    /// Computes the thin factors on every thread.
    pub(super) fn new(
        kernel: &dyn Kernel,
        job: &Job<'_>,
        a: &NoisedEntries,
        b: &NoisedEntries,
    ) -> Correction {
        let t = job.params().tile();
        let k = job.a.operand().k() as usize;
        let clean = job.a.operand().as_slice();
        let a_step = |strip: usize, step: usize, rows: &mut [i8]| {
            copy_step(&clean[strip * t * k..][..t * k], k, job.params().rank(), step, rows);
        };
        let b_step = |strip: usize, step: usize, rows: &mut [i8]| {
            b.steps.unpack_step(kernel, strip, step, rows)
        };
        let sides = Sides { kernel, t, rank: job.params().rank() };
        let narrow_a = sides.narrow(&a.rows, &b.factors, a_step, true);
        let narrow_b = sides.narrow(&b.rows, &a.factors, b_step, false);
        if let (Some(a), Some(b)) = (narrow_a, narrow_b) {
            return Correction::Narrow { a, b };
        }
        Correction::Wide {
            a: sides.wide(&a.rows, &b.factors, a_step, true),
            b: sides.wide(&b.rows, &a.factors, b_step, false),
        }
    }

    /// Takes both corrections off one noised tile.
    pub(super) fn apply(
        &self,
        kernel: &dyn Kernel,
        t: usize,
        row: usize,
        column: usize,
        rank: usize,
        sums: &mut [i32],
    ) {
        let len = t * 2 * rank;
        match self {
            Correction::Narrow { a, b } => {
                kernel.correct(t, &a[row * len..][..len], &b[column * len..][..len], sums);
            }
            Correction::Wide { a, b } => {
                let (a, b) = (&a[row * len..][..len], &b[column * len..][..len]);
                for (a, sums) in a.chunks_exact(2 * rank).zip(sums.chunks_exact_mut(t)) {
                    for (b, sum) in b.chunks_exact(2 * rank).zip(sums) {
                        // Magnitudes up to k·(2^12 + 2^13): within i32.
                        *sum -= a.iter().zip(b).map(|(&a, &b)| a * b).sum::<i32>();
                    }
                }
            }
        }
    }
}

/// What both sides' factors are computed with.
struct Sides<'a> {
    kernel: &'a dyn Kernel,
    t: usize,
    rank: usize,
}

impl Sides<'_> {
    /// `[projected | rows]` (or the other way round) of every strip, packed;
    /// `None` where a sum may have left 16 bits.
    fn narrow(
        &self,
        rows: &[i8],
        factors: &[StepFactor],
        step_rows: impl Fn(usize, usize, &mut [i8]) + Sync,
        projected_first: bool,
    ) -> Option<Vec<i16>> {
        if factors.len() > NARROW_STEPS {
            return None;
        }
        let by_row: Vec<_> = factors.par_iter().map(StepFactor::transposed).collect();
        let step_len = self.t * self.rank;
        let mut packed = vec![0i16; rows.len() * 2];
        packed
            .par_chunks_exact_mut(2 * step_len)
            .zip(rows.par_chunks_exact(step_len))
            .enumerate()
            .try_for_each_init(
                || (vec![0i8; step_len], vec![0i16; step_len], vec![0i16; 2 * step_len]),
                |(entries, sums, joined), (strip, (packed, rows))| {
                    sums.fill(0);
                    for (step, by_row) in by_row.iter().enumerate() {
                        step_rows(strip, step, entries);
                        self.kernel.project(by_row, entries, sums);
                    }
                    // Up to 128 steps no other sum wraps around.
                    if sums.contains(&i16::MIN) {
                        return None;
                    }
                    join(self.rank, sums, rows, projected_first, joined);
                    self.kernel.pack_thin(self.t, joined, packed);
                    Some(())
                },
            )?;
        Some(packed)
    }

    /// The same in 32 bits, row-major.
    fn wide(
        &self,
        rows: &[i8],
        factors: &[StepFactor],
        step_rows: impl Fn(usize, usize, &mut [i8]) + Sync,
        projected_first: bool,
    ) -> Vec<i32> {
        let (rank, step_len) = (self.rank, self.t * self.rank);
        let mut joined = vec![0i32; rows.len() * 2];
        joined
            .par_chunks_exact_mut(2 * step_len)
            .zip(rows.par_chunks_exact(step_len))
            .enumerate()
            .for_each(|(strip, (joined, rows))| {
                let (mut entries, mut sums) = (vec![0i8; step_len], vec![0i32; step_len]);
                for (step, factor) in factors.iter().enumerate() {
                    step_rows(strip, step, &mut entries);
                    for (entries, sums) in
                        entries.chunks_exact(rank).zip(sums.chunks_exact_mut(rank))
                    {
                        factor.project(entries, sums);
                    }
                }
                join(rank, &sums, rows, projected_first, joined);
            });
        joined
    }
}

/// Puts each projected row beside its row factor.
fn join<T: Copy + From<i8>>(
    rank: usize,
    projected: &[T],
    rows: &[i8],
    projected_first: bool,
    joined: &mut [T],
) {
    let parts = projected.chunks_exact(rank).zip(rows.chunks_exact(rank));
    for (joined, (projected, row)) in joined.chunks_exact_mut(2 * rank).zip(parts) {
        let (first, second) = joined.split_at_mut(rank);
        let (to_projected, to_row) =
            if projected_first { (first, second) } else { (second, first) };
        to_projected.copy_from_slice(projected);
        to_row.iter_mut().zip(row).for_each(|(to, &from)| *to = from.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::kernel::{ALL, Kernel};
    use crate::noise::StepNoise;
    use crate::params::Params;

    const T: usize = 32;
    const R: usize = 128;

    /// A step factor and the two columns of a row that holds two −1.
    fn double_negative() -> (StepFactor, usize, [usize; 2]) {
        let noise = StepNoise::new(&Params::CONSENSUS, &Seed([5; 32]));
        let factor = noise.factor(0);
        let by_row = factor.transposed();
        let row = (0..R).find(|&row| by_row.signs(0)[row] == -1 && by_row.signs(1)[row] == -1);
        let row = row.expect("a quarter of the rows");
        (factor, row, [0, 1].map(|half| usize::from(by_row.sources(half)[row])))
    }

    /// `steps` times the same factor over entries of −128, which its two −1
    /// make the largest sum there is: 256 a step.
    fn largest(kernel: &dyn Kernel, steps: usize) -> (Option<Vec<i16>>, i32) {
        let (factor, row, columns) = double_negative();
        let sides = Sides { kernel, t: T, rank: R };
        let factors = vec![factor; steps];
        let fill = |_: usize, _: usize, entries: &mut [i8]| {
            entries.fill(0);
            for entries in entries.chunks_exact_mut(R) {
                columns.iter().for_each(|&column| entries[column] = i8::MIN);
            }
        };
        let rows = vec![0; T * R];
        let wide = sides.wide(&rows, &factors, fill, true);
        (sides.narrow(&rows, &factors, fill, true), wide[row])
    }

    /// At 128 steps the largest sum is 2^15, one beyond i16: taken for i16::MIN
    /// it would make a wrong product, so the wide way is taken.
    #[test]
    fn the_one_sum_that_leaves_16_bits_is_noticed() {
        for kernel in ALL.iter().filter_map(|entry| (entry.find)()) {
            let (narrow, sum) = largest(kernel, 127);
            assert_eq!(sum, 127 * 256);
            assert!(narrow.is_some_and(|narrow| narrow.contains(&(127 * 256))));
            assert_eq!(largest(kernel, 128), (None, 1 << 15), "{kernel:?}");
            assert_eq!(largest(kernel, 129).0, None, "beyond it sums may wrap unseen");
        }
    }
}
