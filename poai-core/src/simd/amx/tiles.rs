//! The loops over tile registers, in assembly.
//!
//! `tmm0` to `tmm3` hold the sums of a 32×32 tile in quarters. `tmm4` and
//! `tmm5` hold 16 rows each of A, and `tmm6` and `tmm7` 16 columns each of B.
//! They hold 64 of the step's 128 columns at a time.
//!
//! Tile registers belong to a thread, which has to configure and release them.
//! Each call does both, so no configuration outlasts it. A thread that switches
//! to other work then never uses registers that other code configured. A call
//! covers a column of tiles, so this cost is small.
//!
//! The fold must not make the matrix unit wait, so it lags one step behind.
//! Sums are stored just before the next step's first product overwrites their
//! register. They are read back and XORed during that step's second half. The
//! last step of a tile is stored and folded during the first step of the next
//! tile.

use super::super::avx512::STEP;
use core::arch::asm;
use core::ops::Range;

/// The number of sums of a tile.
const SUMS: usize = 32 * 32;
/// The largest number of lanes (tiles times steps) of one call of
/// [`Tiles::fold`].
pub(super) const LANES: usize = 64;
/// The largest number of tiles in one call's pointer table.
const TABLE: usize = 64;

/// A proof that AMX int8 may be used, which makes this file's functions safe.
#[derive(Debug)]
pub(super) struct Tiles(());

/// The configuration that `ldtilecfg` reads (Intel SDM volume 1, table 18-2).
///
/// It is palette 1, with eight registers of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// A tile's sums in cache lines that hold no other data.
#[repr(C, align(64))]
struct Scratch([i32; SUMS]);

/// The products of one half of a step, which is 64 columns.
///
/// `$before` and `$after` surround each of the four products. Operands are
/// loaded when they are first needed.
macro_rules! half {
    (
        a: $a0:literal, $a1:literal; b: $b0:literal, $b1:literal;
        before: $before0:expr, $before1:expr, $before2:expr, $before3:expr;
        after: $after0:expr, $after1:expr, $after2:expr, $after3:expr;
    ) => {
        concat!(
            "tileloadd tmm4, [{a} + {stride} + ",
            $a0,
            "]\n",
            "tileloadd tmm6, [{b} + {stride} + ",
            $b0,
            "]\n",
            $before0,
            "tdpbssd tmm0, tmm4, tmm6\n",
            $after0,
            "tileloadd tmm7, [{b} + {stride} + ",
            $b1,
            "]\n",
            $before1,
            "tdpbssd tmm1, tmm4, tmm7\n",
            $after1,
            "tileloadd tmm5, [{a} + {stride} + ",
            $a1,
            "]\n",
            $before2,
            "tdpbssd tmm2, tmm5, tmm6\n",
            $after2,
            $before3,
            "tdpbssd tmm3, tmm5, tmm7\n",
            $after3,
        )
    };
}

/// The first half of a step, with instructions before each product.
macro_rules! first_half {
    ($before0:expr, $before1:expr, $before2:expr, $before3:expr) => {
        half!(
            a: "0", "2048"; b: "0", "64";
            before: $before0, $before1, $before2, $before3;
            after: "", "", "", "";
        )
    };
}

/// The second half of a step, with instructions after each product.
macro_rules! second_half {
    ($after0:expr, $after1:expr, $after2:expr, $after3:expr) => {
        half!(
            a: "64", "2112"; b: "2048", "2112";
            before: "", "", "", "";
            after: $after0, $after1, $after2, $after3;
        )
    };
}

/// Stores a quarter of the sums in its place in the previous tile.
macro_rules! store {
    ($tmm:literal, $quarter:literal) => {
        concat!("tilestored [{prev} + {stride} + ", $quarter, "], ", $tmm, "\n")
    };
}

/// Stores a quarter, and loads the next tile's quarter.
macro_rules! exchange {
    ($tmm:literal, $quarter:literal) => {
        concat!(
            store!($tmm, $quarter),
            "tileloadd ",
            $tmm,
            ", [{sums} + {stride} + ",
            $quarter,
            "]\n",
        )
    };
}

/// Applies `$each` to all quarters.
macro_rules! quarters {
    ($into:ident, $each:ident) => {
        $into!(
            $each!("tmm0", "0"),
            $each!("tmm1", "64"),
            $each!("tmm2", "2048"),
            $each!("tmm3", "2112")
        )
    };
}

/// Reads 1024 bytes of stored sums and XORs them into `zmm16`, two lines at a
/// time.
///
/// The constant 0x96 selects the XOR of three values.
macro_rules! fold_kib {
    ($kib:literal) => {
        fold_kib!($kib; "0", "64"; "128", "192"; "256", "320"; "384", "448";
            "512", "576"; "640", "704"; "768", "832"; "896", "960")
    };
    ($kib:literal; $($one:literal, $two:literal);*) => {
        concat!($(
            "vmovdqu64 zmm17, [{prev} + 1024*", $kib, " + ", $one, "]\n",
            "vpternlogd zmm16, zmm17, [{prev} + 1024*", $kib, " + ", $two, "], 0x96\n",
        )*)
    };
}

/// The second half of a step, with the fold of the sums that the first half
/// stored.
///
/// It then moves on to the next lanes.
macro_rules! second_half_folding {
    () => {
        concat!(
            second_half!(fold_kib!("0"), fold_kib!("1"), fold_kib!("2"), fold_kib!("3")),
            "vmovdqu64 [{lanes}], zmm16\n",
            "vpxord zmm16, zmm16, zmm16\n",
            "add {lanes}, 64\n",
        )
    };
}

impl Tiles {
    /// The proof that AMX int8 may be used.
    ///
    /// # Safety
    /// The processor, or an emulator of it, has AMX-TILE and AMX-INT8 with
    /// palette 1, and the process may use them.
    pub(super) unsafe fn assume() -> Tiles {
        Tiles(())
    }

    /// Adds the products of steps `steps` of one strip of B with each of
    /// several strips of A.
    ///
    /// Each strip of A has its tile in `sums`. The XOR of tile i's sums after
    /// the ℓ-th of these steps goes to `lanes[i·steps + ℓ]`. It is in 16 lanes
    /// that the caller still has to XOR.
    ///
    /// # Panics
    /// If the lengths do not fit, or there are more than [`LANES`] lanes.
    pub(super) fn fold(
        &self,
        a: &[&[i8]],
        b: &[[i8; STEP]],
        steps: Range<usize>,
        sums: &mut [[i32; SUMS]],
        lanes: &mut [[u32; 16]],
    ) {
        let b = &b[steps.clone()];
        let table = table(a, steps);
        assert!(!a.is_empty() && !b.is_empty(), "something to add");
        assert!(sums.len() == a.len() && lanes.len() == a.len() * b.len(), "room for the results");
        // The lag stores a step before the first one. These sums are discarded.
        let mut nowhere = Scratch([0; SUMS]);
        let mut lagging = [[0u32; 16]; LANES + 1];
        assert!(lanes.len() < lagging.len());
        // SAFETY: `self` proves that the instructions may be used. They read
        // `b.len()` steps of 4096 bytes from `b`, and the same number from each
        // of the `a.len()` pointers of the table. They read and write `a.len()`
        // tiles of 4096 bytes of `sums`. They write one tile to `nowhere` and
        // `a.len()·b.len() + 1` lanes to `lagging`. No access needs alignment,
        // and the tile registers are released.
        unsafe {
            asm!(
                "ldtilecfg [{a}]",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "vpxord zmm16, zmm16, zmm16",
                "2:",
                "mov {a}, [{table}]",
                "add {table}, 8",
                "mov {b}, {first}",
                "mov {steps}, {count}",
                quarters!(first_half, exchange),
                second_half_folding!(),
                "mov {prev}, {sums}",
                "dec {steps}",
                "jz 4f",
                "3:",
                "add {a}, 4096",
                "add {b}, 4096",
                quarters!(first_half, store),
                second_half_folding!(),
                "dec {steps}",
                "jnz 3b",
                "4:",
                "add {sums}, 4096",
                "dec {tiles}",
                "jnz 2b",
                quarters!(concat, store),
                concat!(fold_kib!("0"), fold_kib!("1"), fold_kib!("2"), fold_kib!("3")),
                "vmovdqu64 [{lanes}], zmm16",
                "tilerelease",
                table = inout(reg) table.as_ptr() => _,
                tiles = inout(reg) a.len() => _,
                first = in(reg) b.as_ptr(),
                count = in(reg) b.len(),
                sums = inout(reg) sums.as_mut_ptr() => _,
                prev = inout(reg) &raw mut nowhere => _,
                lanes = inout(reg) lagging.as_mut_ptr() => _,
                stride = in(reg) 128usize,
                a = inout(reg) &raw const CONFIG => _,
                b = out(reg) _,
                steps = out(reg) _,
                out("zmm16") _, out("zmm17") _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
        lanes.copy_from_slice(&lagging[1..=lanes.len()]);
    }

    /// Adds the products of one strip of B with each of several strips of A.
    ///
    /// Each strip of A has its tile in `sums`. The sums are stored while the
    /// next tile begins.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub(super) fn accumulate(&self, a: &[&[i8]], b: &[[i8; STEP]], sums: &mut [[i32; SUMS]]) {
        for (a, sums) in a.chunks(TABLE).zip(sums.chunks_mut(TABLE)) {
            self.accumulate_some(a, b, sums);
        }
    }

    fn accumulate_some(&self, a: &[&[i8]], b: &[[i8; STEP]], sums: &mut [[i32; SUMS]]) {
        let table = table(a, 0..b.len());
        assert!(!a.is_empty() && !b.is_empty() && sums.len() == a.len(), "a tile for each strip");
        let mut nowhere = Scratch([0; SUMS]);
        // SAFETY: as in `fold`, without lanes.
        unsafe {
            asm!(
                "ldtilecfg [{a}]",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "mov {a}, [{table}]",
                "add {table}, 8",
                "mov {b}, {first}",
                "mov {steps}, {count}",
                quarters!(first_half, exchange),
                second_half!("", "", "", ""),
                "mov {prev}, {sums}",
                "dec {steps}",
                "jz 4f",
                "3:",
                "add {a}, 4096",
                "add {b}, 4096",
                first_half!("", "", "", ""),
                second_half!("", "", "", ""),
                "dec {steps}",
                "jnz 3b",
                "4:",
                "add {sums}, 4096",
                "dec {tiles}",
                "jnz 2b",
                quarters!(concat, store),
                "tilerelease",
                table = inout(reg) table.as_ptr() => _,
                tiles = inout(reg) a.len() => _,
                first = in(reg) b.as_ptr(),
                count = in(reg) b.len(),
                sums = inout(reg) sums.as_mut_ptr() => _,
                prev = inout(reg) &raw mut nowhere => _,
                stride = in(reg) 128usize,
                a = inout(reg) &raw const CONFIG => _,
                b = out(reg) _,
                steps = out(reg) _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Pointers to the first of the steps of each strip.
fn table(a: &[&[i8]], steps: Range<usize>) -> [*const i8; TABLE] {
    let mut table = [core::ptr::null(); TABLE];
    assert!(a.len() <= table.len());
    for (pointer, a) in table.iter_mut().zip(a) {
        *pointer = a[steps.start * STEP..steps.end * STEP].as_ptr();
    }
    table
}
