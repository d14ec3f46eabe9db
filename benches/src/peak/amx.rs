//! AMX int8: `tdpbssd` on four accumulator tiles and four operand tiles.

use super::{OPERANDS, Operands, Peak};
use core::arch::asm;
use poai_engine::Cpu;

/// Independent accumulators, each with 16×16 sums of 64 products.
const ACCUMULATORS: usize = 4;
/// Bytes of a tile: 16 rows of 64 bytes.
const TILE: usize = 16 * 64;

/// The configuration that `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes.
static CONFIG: Config = Config {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// The loop, if the kernel itself may use AMX.
pub(super) fn find() -> Option<Peak> {
    permitted().then_some(Peak { macs: (ACCUMULATORS * 16 * TILE) as u64, rounds, sum })
}

/// Whether the library may use AMX: it checks the processor and asks the
/// system.
fn permitted() -> bool {
    Cpu::named("cpu-amx").is_ok()
}

/// The increase of the sum per round. Every row of a tile holds the operand's
/// 64 bytes, so all 16 rows of the product are equal.
fn sum() -> u32 {
    let Operands { a, b } = &OPERANDS;
    let by_place = |bytes: &[i8; 64], place: usize| -> i32 {
        bytes.iter().skip(place).step_by(4).map(|&byte| i32::from(byte)).sum()
    };
    let row: i32 = (0..4).map(|place| by_place(a, place) * by_place(b, place)).sum();
    (row as u32).wrapping_mul(16 * ACCUMULATORS as u32)
}

fn rounds(rounds: u32) -> u32 {
    assert!(permitted());
    let rows = |bytes: &[i8; 64]| -> [i8; TILE] { core::array::from_fn(|i| bytes[i % 64]) };
    let (a, b) = (rows(&OPERANDS.a), rows(&OPERANDS.b));
    let mut sums = [[0u32; TILE / 4]; ACCUMULATORS];
    if rounds == 0 {
        return 0;
    }
    // SAFETY: the system permits this process to use the tiles. The code reads
    // the configuration's 64 bytes and the operands' 16 rows of 64 bytes, and
    // writes four times as many bytes of sums. It configures and releases the
    // tiles itself, and declares every tile as overwritten.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "tileloadd tmm4, [{a} + {stride}]", "tileloadd tmm5, [{a} + {stride}]",
            "tileloadd tmm6, [{b} + {stride}]", "tileloadd tmm7, [{b} + {stride}]",
            "2:",
            "tdpbssd tmm0, tmm4, tmm6", "tdpbssd tmm1, tmm4, tmm7",
            "tdpbssd tmm2, tmm5, tmm6", "tdpbssd tmm3, tmm5, tmm7",
            "dec {rounds:e}",
            "jnz 2b",
            "tilestored [{sums} + {stride}], tmm0",
            "tilestored [{sums} + {stride} + 1024], tmm1",
            "tilestored [{sums} + {stride} + 2048], tmm2",
            "tilestored [{sums} + {stride} + 3072], tmm3",
            "tilerelease",
            config = in(reg) &CONFIG,
            a = in(reg) a.as_ptr(),
            b = in(reg) b.as_ptr(),
            sums = in(reg) sums.as_mut_ptr(),
            stride = in(reg) 64u64,
            rounds = inout(reg) rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
    sums.as_flattened().iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}
