//! Kernels: one rank-step of one tile, on one instruction set, in the packed
//! layout that it reads.
//!
//! One file per instruction set, chosen at run time. The CPU backend multiplies
//! with them and lets any be forced by name; verifiers recompute their one tile
//! with the fastest, where feature `std` is on.

#[cfg(all(feature = "parallel", target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod avx512;
#[cfg(all(feature = "std", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod layout;
#[cfg(all(feature = "std", target_arch = "aarch64"))]
mod neon;
mod scalar;

#[cfg(all(feature = "parallel", target_arch = "x86_64", target_os = "linux"))]
pub use amx::assume as assume_amx;

use crate::params::Params;
use crate::puzzle::noise::RankStepFactor;
use crate::puzzle::statement::Side;
use core::fmt;

/// One instruction set's way to multiply. A new one implements this in a file
/// of its own and joins [`ALL`]; the shared tester does the rest.
///
/// A *step* is the `t×r` entries of one strip in one rank-step. A strip is
/// packed step by step, so that a step is contiguous in memory.
pub trait Kernel: fmt::Debug + Send + Sync {
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
    fn unpack(&self, side: Side, t: usize, packed: &[i8], rows: &mut [i8]);

    /// Adds one step to a tile's sums, row-major t×t, and returns the XOR of
    /// all of them.
    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32;

    /// What the caches hold at once.
    fn block(&self) -> Block {
        Block { rows: 8, columns: 8, steps: 4 }
    }

    /// Adds consecutive steps of one strip of B with each of several strips of
    /// A to those strips' tiles, t×t sums each in `sums`. The XOR of tile i's
    /// sums after step ℓ goes to `xs[i·count + ℓ]`, `count` being the number of
    /// steps.
    fn fold(&self, t: usize, a: &[&[i8]], b: &[i8], sums: &mut [i32], xs: &mut [u32]) {
        let count = xs.len() / a.len();
        let tiles = a.iter().zip(sums.chunks_exact_mut(t * t)).zip(xs.chunks_exact_mut(count));
        for ((a, sums), xs) in tiles {
            let steps = a.chunks_exact(a.len() / count).zip(b.chunks_exact(b.len() / count));
            for ((a, b), x) in steps.zip(xs) {
                *x = self.step(t, a, b, sums);
            }
        }
    }

    /// The same `count` steps without the folds.
    fn accumulate(&self, t: usize, a: &[&[i8]], b: &[i8], count: usize, sums: &mut [i32]) {
        for (a, sums) in a.iter().zip(sums.chunks_exact_mut(t * t)) {
            let steps = a.chunks_exact(a.len() / count).zip(b.chunks_exact(b.len() / count));
            for (a, b) in steps {
                self.step(t, a, b, sums);
            }
        }
    }

    /// Adds the noise of a step: `factors` are the t rows of the row factor,
    /// `entries` the t clean rows.
    fn add_noise(&self, step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
        let rank = step.rank();
        for (row, entries) in factors.chunks_exact(rank).zip(entries.chunks_exact_mut(rank)) {
            step.add_noise(row, entries);
        }
    }

    /// Adds `R_ℓ` times each of the t rows of a step to `sums` (t×r), wrapping
    /// at 16 bits. `by_row` is the step factor transposed.
    fn project(&self, by_row: &RankStepFactor, entries: &[i8], sums: &mut [i16]) {
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

    /// How many 16-bit words a packed strip of thin factors takes.
    fn thin_len(&self, params: &Params) -> usize {
        2 * params.tile() * params.rank()
    }

    /// Brings a strip of thin factors, t×2r row-major, into the layout that
    /// `correct` reads; `false` where that layout does not hold a value.
    fn pack_thin(&self, _: Side, _: usize, rows: &[i16], packed: &mut [i16]) -> bool {
        packed.copy_from_slice(rows);
        true
    }

    /// Subtracts the products of one thin strip of B with each of several thin
    /// strips of A from those strips' tiles, t×t sums each in `sums`.
    fn correct(&self, t: usize, a: &[&[i16]], b: &[i16], sums: &mut [i32]) {
        for (a, sums) in a.iter().zip(sums.chunks_exact_mut(t * t)) {
            self.correct_tile(t, a, b, sums);
        }
    }

    /// [`Kernel::correct`] for one tile.
    fn correct_tile(&self, t: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        let width = a.len() / t;
        for (a, sums) in a.chunks_exact(width).zip(sums.chunks_exact_mut(t)) {
            for (b, sum) in b.chunks_exact(width).zip(sums) {
                *sum -= a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>();
            }
        }
    }
}

/// How much of a product is worked on at once: so many strips of A by so many
/// of B, so many steps at a time, that the steps of one strip of B stay in the
/// first cache and everything else in the second.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Strips of A.
    pub rows: usize,
    /// Strips of B.
    pub columns: usize,
    /// Steps, at most [`Block::STEPS_MAX`].
    pub steps: usize,
}

impl Block {
    /// The most strips of A in a block.
    pub const ROWS_MAX: usize = 16;
    /// The most steps at a time.
    pub const STEPS_MAX: usize = 4;
}

/// A kernel's name, and how to get it where the machine has it.
pub struct Entry {
    /// The name by which it is forced.
    pub name: &'static str,
    /// What it asks of the processor.
    pub needs: &'static str,
    /// The kernel, or `None` on a machine without it.
    pub find: fn() -> Option<&'static dyn Kernel>,
    /// Whether verifiers may take it: not where finding it asks the system for
    /// something, which is the process's own decision.
    pub for_verifiers: bool,
}

/// Looks on machines of the right architecture, and finds nothing elsewhere.
macro_rules! find {
    ($condition:meta, $($kernel:ident)::+) => {{
        #[cfg($condition)]
        {
            $($kernel::)+find
        }
        #[cfg(not($condition))]
        {
            || None
        }
    }};
}

/// Every kernel, the fastest first. A machine takes the first it has, unless
/// one is forced.
pub const ALL: [Entry; 5] = [
    Entry {
        name: "cpu-amx",
        needs: "x86-64 with AMX-INT8 and AVX-512 F, BW, VBMI and VNNI, and Linux's leave to use AMX",
        find: find!(all(feature = "parallel", target_arch = "x86_64", target_os = "linux"), amx),
        for_verifiers: false,
    },
    Entry {
        name: "cpu-avx512-vnni",
        needs: "x86-64 with AVX-512 F, BW, VBMI and VNNI",
        find: find!(all(feature = "std", target_arch = "x86_64"), avx512::vnni),
        for_verifiers: true,
    },
    Entry {
        name: "cpu-avx2",
        needs: "x86-64 with AVX2",
        find: find!(all(feature = "std", target_arch = "x86_64"), avx2),
        for_verifiers: true,
    },
    Entry {
        name: "cpu-neon",
        needs: "aarch64 with the dot product",
        find: find!(all(feature = "std", target_arch = "aarch64"), neon),
        for_verifiers: true,
    },
    Entry { name: scalar::NAME, needs: "any processor", find: scalar::find, for_verifiers: true },
];

impl Entry {
    /// The fastest kernel that this machine has for a (rank, tile).
    pub fn fastest(params: &Params) -> (&'static str, &'static dyn Kernel) {
        Entry::first(params, |_| true)
    }

    /// The fastest kernel that verifiers may take.
    pub fn for_verifier(params: &Params) -> &'static dyn Kernel {
        Entry::first(params, |entry| entry.for_verifiers).1
    }

    fn first(params: &Params, allowed: fn(&Entry) -> bool) -> (&'static str, &'static dyn Kernel) {
        let fits = |entry: &Entry| {
            if !allowed(entry) {
                return None;
            }
            let kernel = (entry.find)()?;
            kernel.supports(params).then_some((entry.name, kernel))
        };
        ALL.iter().find_map(fits).unwrap_or((scalar::NAME, &scalar::Scalar))
    }
}
