//! The AMX int8 kernel.
//!
//! A register holds 16×16 sums, and one instruction (`tdpbssd`) does 16 384
//! multiply-adds. It multiplies signed by signed bytes, so no correction is
//! needed.
//!
//! - [`permission`]: whether the processor has AMX and Linux permits its use;
//! - [`tiles`]: the loops over tile registers, in assembly;
//! - [`thin`]: the thin factors of recovery, as pairs of 8-bit limbs.
//!
//! On processors without AMX, tests emulate the instructions in software
//! ([`assume`]).
//!
//! A processor with AMX also has AVX-512, which packs, adds the noise and
//! folds.
#![allow(unsafe_code)]

mod permission;
mod thin;
mod tiles;

use super::avx512::{Avx512, STEP};
use super::{Block, Kernel};
use crate::params::Params;
use crate::puzzle::noise::RankStepFactor;
use crate::puzzle::statement::Side;

/// The AMX kernel. Only `find` and `assume` make one, if AMX may be used.
#[derive(Debug)]
pub(super) struct Amx {
    avx512: Avx512,
    tiles: tiles::Tiles,
}

/// The kernel, if the processor has AMX and the system permits its use.
///
/// The first call asks the system for permission.
pub(super) fn find() -> Option<&'static dyn Kernel> {
    static FOUND: std::sync::OnceLock<Option<Amx>> = std::sync::OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let avx512 = Avx512::find()?;
        Some(Amx { avx512, tiles: permission::ask()? })
    });
    found.as_ref().map(|amx| amx as &dyn Kernel)
}

impl Kernel for Amx {
    /// Packs a step in the layout that `tdpbssd` reads.
    ///
    /// Side A's steps are row-major. Side B's steps have groups of four columns
    /// of all rows side by side.
    fn pack(&self, side: Side, _: usize, rows: &[i8], packed: &mut [i8]) {
        self.exchange(side, rows, packed);
    }

    fn unpack(&self, side: Side, _: usize, packed: &[i8], rows: &mut [i8]) {
        self.exchange(side, packed, rows);
    }

    fn block(&self) -> Block {
        Block { rows: 16, columns: 16, steps: 4 }
    }

    fn step(&self, t: usize, a: &[i8], b: &[i8], sums: &mut [i32]) -> u32 {
        let mut x = [0];
        self.fold(t, &[a], b, sums, &mut x);
        x[0]
    }

    fn fold(&self, _: usize, a: &[&[i8]], b: &[i8], sums: &mut [i32], xs: &mut [u32]) {
        let b = b.as_chunks().0;
        let sums = sums.as_chunks_mut().0;
        let count = b.len();
        assert!(xs.len() == a.len() * count && sums.len() == a.len(), "a tile for each strip");
        // The number of tiles whose lanes fit one call.
        let together = (tiles::LANES / count).max(1);
        let tiles = a.chunks(together).zip(sums.chunks_mut(together));
        for ((a, sums), xs) in tiles.zip(xs.chunks_mut(together * count)) {
            for step in (0..count).step_by(tiles::LANES) {
                let steps = step..count.min(step + tiles::LANES);
                let mut lanes = [[0; 16]; tiles::LANES];
                let lanes = &mut lanes[..a.len() * steps.len()];
                self.tiles.fold(a, b, steps.clone(), sums, lanes);
                // The piece has either all steps, or a single tile.
                let xs = if steps.len() == count { &mut *xs } else { &mut xs[steps] };
                self.avx512.fold_lanes(lanes, xs);
            }
        }
    }

    fn accumulate(&self, _: usize, a: &[&[i8]], b: &[i8], count: usize, sums: &mut [i32]) {
        let (b, sums) = (b.as_chunks().0, sums.as_chunks_mut().0);
        assert!(b.len() == count && sums.len() == a.len(), "a tile for each strip");
        self.tiles.accumulate(a, b, sums);
    }

    fn add_noise(&self, step: &RankStepFactor, factors: &[i8], entries: &mut [i8]) {
        self.avx512.add_noise(step, factors, entries);
    }

    fn project(&self, by_row: &RankStepFactor, entries: &[i8], sums: &mut [i16]) {
        self.avx512.project(by_row, entries, sums);
    }

    fn thin_len(&self, _: &Params) -> usize {
        thin::LEN
    }

    fn pack_thin(&self, side: Side, _: usize, rows: &[i16], packed: &mut [i16]) -> bool {
        thin::pack(self.avx512, side, rows, packed)
    }

    fn correct(&self, _: usize, a: &[&[i16]], b: &[i16], sums: &mut [i32]) {
        thin::correct(self.avx512, &self.tiles, a, b, sums.as_chunks_mut().0);
    }
}

impl Amx {
    /// Packs or unpacks, which are the same exchange.
    fn exchange(&self, side: Side, from: &[i8], to: &mut [i8]) {
        let from: &[i8; STEP] = from.as_array().expect("a step has 32×128 entries");
        let to: &mut [i8; STEP] = to.as_mut_array().expect("a step has 32×128 entries");
        match side {
            Side::A => *to = *from,
            Side::B => self.avx512.transpose(from, to),
        }
    }
}

/// The AMX kernel, without a query of the processor's AMX or of the system.
///
/// It is `None` on processors without AVX-512 F, BW, VBMI and VNNI.
///
/// # Safety
/// The processor executes AMX-TILE and AMX-INT8 with palette 1 on every thread
/// that calls the kernel, and the process may use them. An emulator in this
/// process may stand in for the processor.
pub unsafe fn assume() -> Option<&'static dyn Kernel> {
    static ASSUMED: std::sync::OnceLock<Option<Amx>> = std::sync::OnceLock::new();
    let assumed = ASSUMED.get_or_init(|| {
        let avx512 = Avx512::find()?;
        // SAFETY: the caller promises it.
        Some(Amx { avx512, tiles: unsafe { tiles::Tiles::assume() } })
    });
    assumed.as_ref().map(|amx| amx as &dyn Kernel)
}
