//! Kernels: one rank-step of one tile on one instruction set.
//!
//! Each kernel reads its own packed layout. There is one file per instruction
//! set, and the kernel is chosen at run time. The CPU backend multiplies with
//! kernels, and a user can force one by name. With feature `std`, verifiers
//! recompute their one tile with the fastest kernel that they may use.

#[cfg(all(feature = "parallel", target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod avx512;
#[cfg(all(feature = "std", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod layout;
mod look_up;
#[cfg(all(feature = "std", target_arch = "aarch64"))]
mod neon;
mod scalar;

#[cfg(all(feature = "parallel", target_arch = "x86_64", target_os = "linux"))]
pub use amx::assume as assume_amx;

pub use look_up::{look_up, look_up_bytes};

use crate::params::Params;
use crate::puzzle::noise::RankStepFactor;
use crate::puzzle::statement::Side;
use core::fmt;

/// One instruction set's way to multiply.
///
/// A new kernel implements this trait in its own file and is listed in [`ALL`].
/// The shared tester then tests it.
///
/// Here a *step* is the `t×r` entries of one strip in one rank-step. A strip is
/// packed step by step, so a step is contiguous in memory.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// Whether the kernel supports a (rank, tile).
    fn supports(&self, params: &Params) -> bool {
        *params == Params::CONSENSUS
    }

    /// The length of a packed step in bytes.
    fn packed_len(&self, params: &Params, _: Side) -> usize {
        params.tile() * params.rank()
    }

    /// Packs a step of `t` rows, row-major.
    fn pack(&self, side: Side, t: usize, rows: &[i8], packed: &mut [i8]);

    /// Unpacks a step that `pack` packed.
    fn unpack(&self, side: Side, t: usize, packed: &[i8], rows: &mut [i8]);

    /// Adds one step to a tile's sums and returns the XOR of all sums.
    ///
    /// The sums are row-major t×t.
    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32;

    /// The block of a product that the caches hold at once.
    fn block(&self) -> Block {
        Block { rows: 8, columns: 8, steps: 4 }
    }

    /// Adds the products of consecutive steps of one strip of B with each of
    /// several strips of A.
    ///
    /// Each strip of A has its tile of t×t sums in `sums`. The XOR of tile i's
    /// sums after step ℓ goes to `xs[i·count + ℓ]`, where `count` is the number
    /// of steps.
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

    /// Adds the same `count` steps as [`Kernel::fold`], without the XORs.
    fn accumulate(&self, t: usize, a: &[&[i8]], b: &[i8], count: usize, sums: &mut [i32]) {
        for (a, sums) in a.iter().zip(sums.chunks_exact_mut(t * t)) {
            let steps = a.chunks_exact(a.len() / count).zip(b.chunks_exact(b.len() / count));
            for (a, b) in steps {
                self.step(t, a, b, sums);
            }
        }
    }

    /// Does [`Kernel::accumulate`] on sums that start from zero, for at least
    /// one step.
    ///
    /// Whatever `sums` held is overwritten.
    fn multiply(&self, t: usize, a: &[&[i8]], b: &[i8], count: usize, sums: &mut [i32]) {
        sums.fill(0);
        self.accumulate(t, a, b, count, sums);
    }

    /// Adds one step of which only the first `columns` columns hold entries.
    ///
    /// The other columns are zeros, so a kernel may omit them.
    fn accumulate_narrow(&self, t: usize, columns: usize, a: &[i8], b: &[i8], sums: &mut [i32]) {
        let _ = columns;
        self.accumulate(t, &[a], b, 1, sums);
    }

    /// Adds the noise of a step.
    ///
    /// `factors` holds the t rows of the row factor, and `entries` the t clean
    /// rows.
    fn add_noise(&self, step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
        let rank = step.rank();
        for (row, entries) in factors.chunks_exact(rank).zip(entries.chunks_exact_mut(rank)) {
            step.add_noise(row, entries);
        }
    }

    /// Adds `R_ℓ` times each of the t rows of a step to `sums` (t×r).
    ///
    /// Sums wrap at 16 bits. `by_row` is the transposed step factor.
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

    /// The length of a packed strip of thin factors in 16-bit words.
    fn thin_len(&self, params: &Params) -> usize {
        2 * params.tile() * params.rank()
    }

    /// Packs a strip of thin factors, t×2r row-major, for `correct`.
    ///
    /// It returns `false` if the packed layout cannot hold a value.
    fn pack_thin(&self, _: Side, _: usize, rows: &[i16], packed: &mut [i16]) -> bool {
        packed.copy_from_slice(rows);
        true
    }

    /// Subtracts the products of one thin strip of B with each of several thin
    /// strips of A.
    ///
    /// Each strip of A has its tile of t×t sums in `sums`.
    fn correct(&self, t: usize, a: &[&[i16]], b: &[i16], sums: &mut [i32]) {
        for (a, sums) in a.iter().zip(sums.chunks_exact_mut(t * t)) {
            self.correct_tile(t, a, b, sums);
        }
    }

    /// Does [`Kernel::correct`] for one tile.
    fn correct_tile(&self, t: usize, a: &[i16], b: &[i16], sums: &mut [i32]) {
        let width = a.len() / t;
        for (a, sums) in a.chunks_exact(width).zip(sums.chunks_exact_mut(t)) {
            for (b, sum) in b.chunks_exact(width).zip(sums) {
                *sum -= a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>();
            }
        }
    }
}

/// The part of a product that a backend works on at once.
///
/// The sizes keep the steps of one strip of B in the first-level cache, and the
/// rest of the block in the second-level cache.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// The number of strips of A.
    pub rows: usize,
    /// The number of strips of B.
    pub columns: usize,
    /// The number of steps, at most [`Block::STEPS_MAX`].
    pub steps: usize,
}

impl Block {
    /// The largest number of strips of A in a block.
    pub const ROWS_MAX: usize = 16;
    /// The largest number of steps in a block.
    pub const STEPS_MAX: usize = 4;
}

/// A kernel's name and requirements, and the function that finds it.
pub struct Entry {
    /// The name by which a user forces the kernel.
    pub name: &'static str,
    /// What the kernel needs from the machine.
    pub needs: &'static str,
    /// Returns the kernel, or `None` on a machine without it.
    pub find: fn() -> Option<&'static dyn Kernel>,
    /// Whether verifiers may use the kernel.
    ///
    /// They may not if finding it requests something from the system. That is a
    /// decision of the process, not of a library.
    pub for_verifiers: bool,
}

/// The finder of a kernel, which finds nothing on machines of another
/// architecture.
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

/// Every kernel, the fastest first.
///
/// A machine uses the first kernel that it has, unless the user forces one.
pub const ALL: [Entry; 5] = [
    Entry {
        name: "cpu-amx",
        needs: "x86-64 with AMX-INT8 and AVX-512 F, BW, VBMI and VNNI, and Linux's permission to use AMX",
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

    /// The fastest kernel that verifiers may use.
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
