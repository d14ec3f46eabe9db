//! Exact recovery, `A·B = C' − A·F − E·B'`, through the noise's thin factors.
//! It needs no second product (spec §5).
//!
//! Both corrections form one product of inner length 2r. Side A's rows are
//! `[A·F_L | L_A]`, side B's are `[L_B | (E_R·B')ᵀ]`.

use super::aligned::Aligned;
use super::noised::NoisedEntries;
use super::packed::copy_step;
use crate::backend::Multiplication;
use core::ops::Range;
use poai_core::params::Params;
use poai_core::puzzle::noise::RankStepFactor;
use poai_core::puzzle::statement::Side;
use poai_core::simd::{Block, Kernel};
use rayon::prelude::*;

/// The k/r at which entries of E_R·B' can reach 2^15, one beyond i16. Up to
/// this k/r, only that value can wrap, and it wraps to i16::MIN.
pub(super) const NARROW_STEPS: usize = 128;

/// The thin factors of both sides, packed for the kernel if they fit 16 bits.
pub(super) enum Correction {
    /// 16-bit factors, packed strip by strip.
    Narrow { a: Aligned<i16>, b: Aligned<i16> },
    /// 32-bit factors, t×2r per strip, row-major. They serve deep research
    /// statements and the one value that 16 bits cannot hold.
    Wide { a: Vec<i32>, b: Vec<i32> },
}

impl Correction {
    /// Computes the thin factors on every thread.
    pub(super) fn new(
        kernel: &dyn Kernel,
        multiplication: &Multiplication<'_>,
        a: &NoisedEntries,
        b: &NoisedEntries,
    ) -> Correction {
        let t = multiplication.params().tile();
        let k = multiplication.a.operand().k() as usize;
        let clean = multiplication.a.operand().as_slice();
        let a_step = |strip: usize, step: usize, rows: &mut [i8]| {
            copy_step(
                &clean[strip * t * k..][..t * k],
                k,
                multiplication.params().rank(),
                step,
                rows,
            );
        };
        let b_step = |strip: usize, step: usize, rows: &mut [i8]| {
            b.steps.unpack_step(kernel, strip, step, rows)
        };
        let sides = Sides { kernel, params: multiplication.params() };
        let narrow_a = sides.narrow(Side::A, &a.rows, &b.factors, a_step);
        let narrow_b = sides.narrow(Side::B, &b.rows, &a.factors, b_step);
        if let (Some(a), Some(b)) = (narrow_a, narrow_b) {
            return Correction::Narrow { a, b };
        }
        Correction::Wide {
            a: sides.wide(Side::A, &a.rows, &b.factors, a_step),
            b: sides.wide(Side::B, &b.rows, &a.factors, b_step),
        }
    }

    /// Subtracts both corrections from a column of noised tiles, t×t sums each.
    pub(super) fn apply(
        &self,
        kernel: &dyn Kernel,
        params: &Params,
        rows: Range<usize>,
        column: usize,
        sums: &mut [i32],
    ) {
        let (t, rank) = (params.tile(), params.rank());
        match self {
            Correction::Narrow { a, b } => {
                let len = kernel.thin_len(params);
                let mut strips: [&[i16]; Block::ROWS_MAX] = [&[]; _];
                let strips = &mut strips[..rows.len()];
                let first = a[rows.start * len..].chunks_exact(len);
                strips.iter_mut().zip(first).for_each(|(strip, a)| *strip = a);
                kernel.correct(t, strips, &b[column * len..][..len], sums);
            }
            Correction::Wide { a, b } => {
                let len = t * 2 * rank;
                let b = &b[column * len..][..len];
                for (a, sums) in a[rows.start * len..].chunks_exact(len).zip(sums.chunks_mut(t * t))
                {
                    subtract_wide(rank, a, b, sums);
                }
            }
        }
    }
}

/// Subtracts the product of two wide thin strips from a tile's sums.
fn subtract_wide(rank: usize, a: &[i32], b: &[i32], sums: &mut [i32]) {
    let rows = a.chunks_exact(2 * rank);
    let t = rows.len();
    for (a, sums) in rows.zip(sums.chunks_exact_mut(t)) {
        for (b, sum) in b.chunks_exact(2 * rank).zip(sums) {
            // Magnitudes reach at most k·(2^12 + 2^13), which fits i32.
            *sum -= a.iter().zip(b).map(|(&a, &b)| a * b).sum::<i32>();
        }
    }
}

/// The inputs from which both sides' factors are computed.
struct Sides<'a> {
    kernel: &'a dyn Kernel,
    params: &'a Params,
}

impl Sides<'_> {
    /// `[projected | rows]` (or the reverse order) of every strip, packed.
    /// Returns `None` if a sum may have left 16 bits, or if the kernel cannot
    /// pack them.
    fn narrow(
        &self,
        side: Side,
        rows: &[i8],
        factors: &[RankStepFactor],
        step_rows: impl Fn(usize, usize, &mut [i8]) + Sync,
    ) -> Option<Aligned<i16>> {
        if factors.len() > NARROW_STEPS {
            return None;
        }
        let by_row: Vec<_> = factors.par_iter().map(RankStepFactor::transposed).collect();
        let (t, rank) = (self.params.tile(), self.params.rank());
        let (step_len, packed_len) = (t * rank, self.kernel.thin_len(self.params));
        let mut packed = Aligned::zeros(rows.len() / step_len * packed_len);
        packed
            .par_chunks_exact_mut(packed_len)
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
                    // Up to 128 steps, no other sum wraps.
                    if sums.contains(&i16::MIN) {
                        return None;
                    }
                    join(rank, sums, rows, side, joined);
                    self.kernel.pack_thin(side, t, joined, packed).then_some(())
                },
            )?;
        Some(packed)
    }

    /// The same factors in 32 bits, row-major.
    fn wide(
        &self,
        side: Side,
        rows: &[i8],
        factors: &[RankStepFactor],
        step_rows: impl Fn(usize, usize, &mut [i8]) + Sync,
    ) -> Vec<i32> {
        let rank = self.params.rank();
        let step_len = self.params.tile() * rank;
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
                join(rank, &sums, rows, side, joined);
            });
        joined
    }
}

/// Joins each projected row with its row factor.
fn join<T: Copy + From<i8>>(
    rank: usize,
    projected: &[T],
    rows: &[i8],
    side: Side,
    joined: &mut [T],
) {
    let parts = projected.chunks_exact(rank).zip(rows.chunks_exact(rank));
    for (joined, (projected, row)) in joined.chunks_exact_mut(2 * rank).zip(parts) {
        let (first, second) = joined.split_at_mut(rank);
        let (to_projected, to_row) = match side {
            Side::A => (first, second),
            Side::B => (second, first),
        };
        to_projected.copy_from_slice(projected);
        to_row.iter_mut().zip(row).for_each(|(to, &from)| *to = from.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poai_core::Seed;
    use poai_core::puzzle::noise::RankStepNoise;
    use poai_core::simd::{ALL, Kernel};

    const P: Params = Params::CONSENSUS;
    const T: usize = 32;
    const R: usize = 128;

    /// A step factor, and the two columns of one of its rows that holds two −1.
    fn double_negative() -> (RankStepFactor, [usize; 2]) {
        let noise = RankStepNoise::new(&P, &Seed([5; 32]));
        let factor = noise.factor(0);
        let by_row = factor.transposed();
        let row = (0..R).find(|&row| by_row.signs(0)[row] == -1 && by_row.signs(1)[row] == -1);
        let row = row.expect("a quarter of the rows");
        (factor, [0, 1].map(|half| usize::from(by_row.sources(half)[row])))
    }

    /// Repeats one factor for `steps` steps over entries of −128. Its two −1
    /// then give the largest possible sum, 256 a step. Returns the tile after
    /// subtracting both sides' corrections from zeros: by the narrow factors if
    /// they exist, and by the wide ones.
    fn largest(kernel: &dyn Kernel, steps: usize) -> (Option<Vec<i32>>, Vec<i32>) {
        let (factor, columns) = double_negative();
        let sides = Sides { kernel, params: &P };
        let factors = vec![factor; steps];
        let fill = |_: usize, _: usize, entries: &mut [i8]| {
            entries.fill(0);
            for entries in entries.chunks_exact_mut(R) {
                columns.iter().for_each(|&column| entries[column] = i8::MIN);
            }
        };
        let rows: Vec<i8> = (0..T * R).map(|i| (i * 37 % 64) as i8 - 32).collect();
        let tile = |correction: Correction| {
            let mut sums = vec![0; T * T];
            correction.apply(kernel, &P, 0..1, 0, &mut sums);
            sums
        };
        let narrow = sides
            .narrow(Side::A, &rows, &factors, fill)
            .zip(sides.narrow(Side::B, &rows, &factors, fill))
            .map(|(a, b)| tile(Correction::Narrow { a, b }));
        let [a, b] = [Side::A, Side::B].map(|side| sides.wide(side, &rows, &factors, fill));
        let largest = a.iter().copied().max();
        assert_eq!(largest, Some(256 * steps as i32), "the sum that this test is about");
        (narrow, tile(Correction::Wide { a, b }))
    }

    fn check(kernel: &dyn Kernel) {
        for steps in [1, 127] {
            let (narrow, wide) = largest(kernel, steps);
            assert_eq!(narrow, Some(wide), "{steps} steps on {kernel:?}");
        }
        // At 128 steps the largest sum is 2^15, one beyond i16. Read as
        // i16::MIN it would give a wrong product, so the wide factors are used.
        assert_eq!(largest(kernel, 128).0, None, "{kernel:?}");
        assert_eq!(largest(kernel, 129).0, None, "beyond it sums may wrap unseen");
    }

    #[test]
    #[cfg_attr(miri, ignore = "rayon's queues are beyond Miri's model of aliasing")]
    fn the_one_sum_that_leaves_16_bits_is_noticed() {
        ALL.iter().filter_map(|entry| (entry.find)()).for_each(check);
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn the_one_sum_that_leaves_16_bits_is_noticed_on_emulated_amx() {
        if let Some(amx) = poai_testing::amx::emulated() {
            check(amx);
        }
    }
}
