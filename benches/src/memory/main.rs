//! The peak memory of mining one square product, operands included. This is a
//! separate program because it counts every allocation.

use clap::Parser;
use peak_alloc::PeakAlloc;
use poai_benches::Failure;
use poai_benches::workload::P;
use poai_core::{Challenge, Difficulty, Side};
use poai_engine::{Cpu, Miner, Operand};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Print the peak bytes of mining, and the bytes of A, B, A', B' and the
/// product.
#[derive(Parser)]
struct Args {
    /// Rows and columns of every matrix.
    size: u32,
}

fn main() -> Result<(), Failure> {
    let Args { size } = Args::parse();
    let rows = size as usize;
    let operand =
        |side: Side| Operand::pseudorandom(&P, side, format!("{side}").as_bytes(), rows, rows);
    let miner = Miner::new(Arc::new(Cpu::new()));
    let (a, bt) = (operand(Side::A)?, operand(Side::B)?);
    // Generating the operands took more memory than keeping them.
    ALLOCATOR.reset_peak_usage();
    let (a, bt) = (miner.prepare(a)?, miner.prepare(bt)?);
    let round = miner.round(&Challenge::default(), &bt)?;
    let mined = round.mine(&a, Difficulty::BLOCK_MIN)?;
    let peak = ALLOCATOR.peak_usage();
    let matrix = u64::from(size) * u64::from(size);
    assert_eq!(mined.product.len() as u64, matrix, "the product exists and was counted");
    println!("{peak} {}", 4 * matrix + 4 * matrix);
    Ok(())
}
