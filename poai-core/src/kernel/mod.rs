//! Kernels: one rank-step of one tile, on one instruction set, in the packed
//! layout that it reads.
//!
//! One file per instruction set, chosen at run time. The CPU backend multiplies
//! with them and lets any be forced by name; verifiers recompute their one tile
//! with the fastest, where feature `simd` is on.

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
mod avx512_vnni;
#[cfg(all(feature = "simd", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod layout;
#[cfg(all(feature = "simd", target_arch = "aarch64"))]
mod neon;
mod scalar;

use crate::noise::StepFactor;
use crate::params::Params;
use crate::statement::Side;
use core::fmt;

/// One instruction set's way to multiply. A new one implements this in a file
/// of its own and joins `ALL`; the shared tester does the rest.
///
/// A *step* is the `t×r` entries of one strip in one rank-step. A strip is
/// packed step by step, so that a step is contiguous in memory.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "verifiers recover no product"))]
pub(crate) trait Kernel: fmt::Debug + Send + Sync {
    /// Whether it takes a (rank, tile).
    fn supports(&self, params: &Params) -> bool {
        *params == Params::CONSENSUS
    }

    /// How many bytes a packed step takes.
    fn packed_len(&self, params: &Params, _: Side) -> usize {
        params.tile() * params.rank()
    }

    /// Packs a step of `t` rows, row-major.
    fn pack(&self, side: Side, t: usize, rows: &[i8], packed: &mut [i8]);

    /// Unpacks what `pack` packed.
    fn unpack(&self, t: usize, packed: &[i8], rows: &mut [i8]);

    /// Adds one step to a tile's sums, row-major t×t, and returns the XOR of
    /// all of them.
    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32;

    /// Adds all `count` steps of two packed strips to a tile's sums.
    fn accumulate(&self, t: usize, a: &[i8], b: &[i8], count: usize, sums: &mut [i32]) {
        let (a_len, b_len) = (a.len() / count, b.len() / count);
        for (a, b) in a.chunks_exact(a_len).zip(b.chunks_exact(b_len)) {
            self.step(t, a, b, sums);
        }
    }

    /// Adds the noise of a step: `factors` are the t rows of the row factor,
    /// `entries` the t clean rows.
    fn add_noise(&self, step: &StepFactor, factors: &[i8], entries: &mut [i8]) {
        let rank = step.rank();
        for (row, entries) in factors.chunks_exact(rank).zip(entries.chunks_exact_mut(rank)) {
            step.add_noise(row, entries);
        }
    }

    /// Adds `R_ℓ` times each of the t rows of a step to `sums` (t×r), wrapping
    /// at 16 bits. `by_row` is the step factor transposed.
    fn project(&self, by_row: &StepFactor, entries: &[i8], sums: &mut [i16]) {
        let rank = by_row.rank();
        let first = || by_row.sources(0).iter().zip(by_row.signs(0));
        let second = || by_row.sources(1).iter().zip(by_row.signs(1));
        for (entries, sums) in entries.chunks_exact(rank).zip(sums.chunks_exact_mut(rank)) {
            for (sum, ((&c, &d1), (&e, &d2))) in sums.iter_mut().zip(first().zip(second())) {
                let one = i16::from(d1) * i16::from(entries[usize::from(c)]);
                let two = i16::from(d2) * i16::from(entries[usize::from(e)]);
                *sum = sum.wrapping_add(one + two);
            }
        }
    }

    /// Brings t rows of a thin factor into the layout that `correct` reads.
    fn pack_thin(&self, _: usize, rows: &[i16], packed: &mut [i16]) {
        packed.copy_from_slice(rows);
    }

    /// Subtracts the product of two thin strips, t rows each, from a tile's
    /// sums.
    fn correct(&self, t: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        let width = a.len() / t;
        for (a, sums) in a.chunks_exact(width).zip(sums.chunks_exact_mut(t)) {
            for (b, sum) in b.chunks_exact(width).zip(sums) {
                *sum -= a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>();
            }
        }
    }
}

/// A kernel's name, and how to get it where the machine has it.
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "verifiers name no kernel"))]
pub(crate) struct Entry {
    /// The name by which it is forced.
    pub(crate) name: &'static str,
    /// What it asks of the processor.
    pub(crate) needs: &'static str,
    /// The kernel, or `None` on a machine without it.
    pub(crate) find: fn() -> Option<&'static dyn Kernel>,
}

/// Looks on machines of the right architecture, and finds nothing elsewhere.
macro_rules! find {
    ($architecture:literal, $kernel:ident) => {{
        #[cfg(all(feature = "simd", target_arch = $architecture))]
        {
            $kernel::find
        }
        #[cfg(not(all(feature = "simd", target_arch = $architecture)))]
        {
            || None
        }
    }};
}

/// Every kernel, the fastest first. A machine takes the first it has, unless
/// one is forced.
pub(crate) const ALL: [Entry; 4] = [
    Entry {
        name: "cpu-avx512-vnni",
        needs: "x86-64 with AVX-512 F, BW, VBMI and VNNI",
        find: find!("x86_64", avx512_vnni),
    },
    Entry { name: "cpu-avx2", needs: "x86-64 with AVX2", find: find!("x86_64", avx2) },
    Entry { name: "cpu-neon", needs: "aarch64 with the dot product", find: find!("aarch64", neon) },
    Entry { name: scalar::NAME, needs: "any processor", find: scalar::find },
];

impl Entry {
    /// The fastest kernel that this machine has for a (rank, tile).
    pub(crate) fn fastest(params: &Params) -> (&'static str, &'static dyn Kernel) {
        let fits = |entry: &Entry| {
            let kernel = (entry.find)()?;
            kernel.supports(params).then_some((entry.name, kernel))
        };
        ALL.iter().find_map(fits).unwrap_or((scalar::NAME, &scalar::Scalar))
    }
}
