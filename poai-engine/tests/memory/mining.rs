//! Peak memory of mining.

use crate::{PEAK, alone};
use poai_core::*;
use poai_engine::*;
use std::sync::Arc;

/// Bounds peak memory by the matrices and one tenth more. The matrices are A,
/// B, A', B' in bytes and C in 32-bit sums; the tenth covers trees, thin
/// factors and scratch.
#[test]
fn mining_takes_little_more_than_its_matrices() {
    let _alone = alone();
    for backend in [Cpu::new(), Cpu::named("cpu-scalar").expect("any processor")] {
        // The slow kernel gets a shape that it can compute in reasonable time.
        let size: usize = if backend.name() == "cpu-scalar" { 1024 } else { 4096 };
        let before = PEAK.current_usage();
        let miner = Miner::new(Params::CONSENSUS, Arc::new(backend)).unwrap();
        let [a, bt] = [Side::A, Side::B].map(|side| {
            let entries = ndarray::Array2::from_elem((size, size), 7);
            miner.prepare(Operand::new(miner.params(), side, entries).unwrap()).unwrap()
        });
        PEAK.reset_peak_usage();
        let round = miner.round(&Challenge([1; 32]), &bt).unwrap();
        let mined = round.mine(&a, &MineOptions::new(Difficulty::BLOCK_MIN)).unwrap();
        assert!(mined.product.iter().all(|&entry| entry == 49 * size as i32));
        let peak = PEAK.peak_usage() - before;
        let matrices = 4 * size * size + 4 * size * size;
        let share = peak as f64 / matrices as f64;
        println!("{} at {size}³: {share:.3} of the matrices", miner.backend().name());
        assert!(size < 4096 || peak * 10 <= matrices * 11, "{peak} bytes, {matrices} of matrices");
        // Smaller products have a larger share of other memory, but never half
        // of the matrices.
        assert!(peak * 2 <= matrices * 3, "{peak} bytes, {matrices} of matrices");
    }
}
