//! AMX int8: 16×16 sums a register, 16 384 multiply-adds an instruction
//! (`tdpbssd`), signed by signed, so no correction is needed.
//!
//! - [`permission`]: whether the processor has it and Linux lets us;
//! - [`tiles`]: the loops over tile registers, in assembly;
//! - [`thin`]: recovery's thin factors, as pairs of 8-bit limbs;
//! - `emulator` (tests only): the instructions in software, for processors
//!   without them.
//!
//! A processor with AMX has AVX-512 too, which packs, adds the noise and folds.
#![allow(unsafe_code)]

#[cfg(test)]
mod emulator;
mod permission;
mod thin;
mod tiles;

use super::avx512::{Avx512, STEP};
use super::{Block, Kernel};
use crate::noise::StepFactor;
use crate::params::Params;
use crate::statement::Side;

/// Made by `find` alone, where AMX may be used.
#[derive(Debug)]
pub(super) struct Amx {
    avx512: Avx512,
    tiles: tiles::Tiles,
}

/// The kernel, where the processor has it and the system lets us use it. Asks
/// for leave the first time.
pub(super) fn find() -> Option<&'static dyn Kernel> {
    static FOUND: std::sync::OnceLock<Option<Amx>> = std::sync::OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let avx512 = Avx512::find()?;
        Some(Amx { avx512, tiles: permission::ask()? })
    });
    found.as_ref().map(|amx| amx as &dyn Kernel)
}

impl Kernel for Amx {
    /// Side A's steps are row-major, side B's have groups of four columns of
    /// all rows side by side: what `tdpbssd` reads.
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
        // As many tiles at a time as there is room for lanes of.
        let together = (tiles::LANES / count).max(1);
        let tiles = a.chunks(together).zip(sums.chunks_mut(together));
        for ((a, sums), xs) in tiles.zip(xs.chunks_mut(together * count)) {
            for step in (0..count).step_by(tiles::LANES) {
                let steps = step..count.min(step + tiles::LANES);
                let mut lanes = [[0; 16]; tiles::LANES];
                let lanes = &mut lanes[..a.len() * steps.len()];
                self.tiles.fold(a, b, steps.clone(), sums, lanes);
                // Either one piece of all steps, or one tile.
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

    fn add_noise(&self, step: &StepFactor, factors: &[i8], entries: &mut [i8]) {
        self.avx512.add_noise(step, factors, entries);
    }

    fn project(&self, by_row: &StepFactor, entries: &[i8], sums: &mut [i16]) {
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
    /// Packing and unpacking are the same exchange.
    fn exchange(&self, side: Side, from: &[i8], to: &mut [i8]) {
        let from: &[i8; STEP] = from.as_array().expect("a step has 32×128 entries");
        let to: &mut [i8; STEP] = to.as_mut_array().expect("a step has 32×128 entries");
        match side {
            Side::A => *to = *from,
            Side::B => self.avx512.transpose(from, to),
        }
    }
}

/// The kernel on emulated instructions, or on real ones where they are; `None`,
/// with a word, on processors without AVX-512.
#[cfg(test)]
pub(crate) fn emulated() -> Option<&'static dyn Kernel> {
    let Some(avx512) = Avx512::find() else {
        println!("SKIPPED: emulated AMX needs AVX-512 F, BW, VBMI and VNNI");
        return None;
    };
    if let Some(real) = find() {
        println!("AMX is here: nothing is emulated");
        return Some(real);
    }
    emulator::install();
    // SAFETY: the emulator answers the instructions in the whole process.
    let tiles = unsafe { tiles::Tiles::assume() };
    Some(Box::leak(Box::new(Amx { avx512, tiles })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::backend::tester;
    use crate::operand::{pseudorandom, test_challenge};

    /// The whole test of a backend. Every call gives its tile registers back.
    #[test]
    fn the_emulated_backend_passes_the_tester() {
        let Some(kernel) = emulated() else { return };
        tester::check(&Cpu::of("cpu-amx", kernel).threads(1).expect("one thread starts"));
        let mut sums = vec![0; 1024];
        kernel.step(32, &[1; STEP], &[1; STEP], &mut sums);
        assert!(sums.iter().all(|&sum| sum == 128));
        assert!(emulator::is_released(), "after a fold");
        kernel.accumulate(32, &[&[1; STEP]], &[1; STEP], 1, &mut sums);
        assert!(sums.iter().all(|&sum| sum == 256));
        assert!(emulator::is_released(), "after a plain product");
        assert!(emulator::was_used() || find().is_some(), "the instructions were executed");
    }

    /// The vector file's cases of blocks' parameters, beside the integration
    /// test that runs the kernels of the processor through all of it.
    #[test]
    fn the_emulated_backend_reproduces_the_vectors() {
        let Some(kernel) = emulated() else { return };
        let backend = Cpu::of("cpu-amx", kernel).threads(1).expect("one thread starts");
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors.json")).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
        let digest = |entries: &[i32]| {
            let mut hasher = blake3::Hasher::new();
            entries.iter().for_each(|entry| _ = hasher.update(&entry.to_le_bytes()));
            hasher.finalize().to_hex().to_string()
        };
        let mut cases = 0;
        for value in file["cases"].as_array().expect("cases") {
            if (number(&value["rank"]), number(&value["tile"])) != (128, 32) {
                continue;
            }
            let tag = hex::decode(text(&value["tag"])).expect("hex");
            let k = number(&value["k"]);
            let entries = |suffix: &[u8], rows: &str| {
                pseudorandom(&[&tag, suffix].concat(), number(&value[rows]), k)
            };
            let case = tester::Case {
                params: Params::CONSENSUS,
                a: entries(b"/a", "m"),
                bt: entries(b"/b", "n"),
                challenge: test_challenge(&tag),
            };
            let result = tester::run(&backend, &case);
            assert_eq!(digest(&result.noised_product), text(&value["noised_product"]));
            assert_eq!(digest(&result.product), text(&value["product"]));
            let expected = value["tickets"].as_array().expect("rows of tickets");
            let expected = expected.iter().flat_map(|row| row.as_array().expect("a row"));
            let tickets = result.tickets.iter().map(|winner| hex::encode(winner.ticket.0));
            assert!(tickets.eq(expected.map(text)), "tickets of {value}");
            cases += 1;
        }
        assert!(cases > 0, "the file has cases of blocks' parameters");
    }

    /// Verifiers must not change what the process is allowed.
    #[test]
    fn verifiers_never_ask_for_amx() {
        let amx = super::super::ALL.iter().find(|entry| entry.name == "cpu-amx");
        assert!(amx.is_some_and(|amx| !amx.for_verifiers));
    }

    /// `find` never takes the emulator for the processor.
    #[test]
    fn the_emulator_is_not_found() {
        let before = find().is_some();
        emulated();
        assert_eq!(find().is_some(), before);
    }
}
