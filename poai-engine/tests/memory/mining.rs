//! Peak memory of mining.

use crate::{PEAK, alone};
use ndarray::Array2;
use poai_core::*;
use poai_engine::*;
use std::sync::Arc;

/// Mines a product of equal entries, and returns the peak of memory that it
/// took beyond its two matrices.
fn peak(miner: &Miner, shape: &Shape) -> u64 {
    // Operands, because some of these depths are no block's.
    let [a, bt] = [(Side::A, shape.m), (Side::B, shape.n)].map(|(side, rows)| {
        let entries = Array2::from_elem((rows as usize, shape.k as usize), 7);
        Operand::new(miner.params(), side, entries).unwrap()
    });
    let before = PEAK.current_usage();
    PEAK.reset_peak_usage();
    let (a, bt) = (miner.prepare(a).unwrap(), miner.prepare(bt).unwrap());
    let round = miner.round(&Challenge([1; 32]), &bt).unwrap();
    let mined = round.mine(&a, Difficulty::BLOCK_MIN).unwrap();
    assert!(mined.product.iter().all(|&entry| entry == 49 * shape.k as i32));
    (PEAK.peak_usage() - before) as u64
}

/// Bounds peak memory by the matrices and one tenth more. The matrices are A,
/// B, A', B' in bytes and C in 32-bit sums; the tenth covers trees, thin
/// factors and scratch.
#[test]
fn mining_takes_little_more_than_its_matrices() {
    let _alone = alone();
    for backend in [Cpu::new(), Cpu::named("cpu-scalar").expect("any processor")] {
        // The slow kernel gets a shape that it can compute in reasonable time.
        let size: u32 = if backend.name() == "cpu-scalar" { 1024 } else { 4096 };
        let miner = Miner::new(Arc::new(backend));
        let operands = 2 * u64::from(size).pow(2);
        let peak = operands + peak(&miner, &Shape { m: size, n: size, k: size });
        let matrices = 2 * operands + 4 * u64::from(size).pow(2);
        let share = peak as f64 / matrices as f64;
        println!("{} at {size}³: {share:.3} of the matrices", miner.backend().name());
        assert!(size < 4096 || peak * 10 <= matrices * 11, "{peak} bytes, {matrices} of matrices");
        // Smaller products have a larger share of other memory, but never half
        // of the matrices.
        assert!(peak * 2 <= matrices * 3, "{peak} bytes, {matrices} of matrices");
    }
}

/// The bound that a caller asks for before any work holds on every backend, and
/// is not far above what the fast ones take.
#[test]
fn memory_bytes_bounds_what_mining_takes() {
    let _alone = alone();
    let small = [[32, 32, 128], [64, 96, 1024], [256, 32, 256]];
    let large = [[1024, 1024, 1024], [32, 8192, 512], [2048, 96, 4096]];
    // The first depth at which recovery may need 32-bit factors, and one at
    // which it does.
    let deep = [[128, 256, 16384], [256, 128, 20480]];
    for backend in choose::present() {
        let miner = Miner::new(backend);
        let name = miner.backend().name();
        let shapes =
            if name == "reference" { &small[..] } else { &[&small[..], &large, &deep].concat() };
        for &[m, n, k] in shapes {
            let shape = Shape { m, n, k };
            let (bound, peak) = (miner.memory_bytes(&shape), peak(&miner, &shape));
            println!("{name} at {m}×{n}×{k}: {peak} of {bound} bytes");
            assert!(peak <= bound, "{name} at {m}×{n}×{k}: {peak} of {bound} bytes");
            let close = peak + peak / 2 + (2 << 20);
            assert!(
                name == "reference" || bound <= close,
                "{name} at {m}×{n}×{k}: {peak}, {bound}"
            );
        }
    }
    // No shape overflows.
    let largest = Shape { m: u32::MAX, n: u32::MAX, k: u32::MAX };
    assert_eq!(Miner::new(Arc::new(Cpu::new())).memory_bytes(&largest), u64::MAX);
}
