//! Products cancelled at any moment leave nothing behind, including threads.

use crate::alone;
use poai_core::*;
use poai_engine::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const P: Params = Params::CONSENSUS;

/// The next number of SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The number of threads of this process; `None` if the system does not report
/// it.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// Shared operands are multiplied while another thread cancels each product at
/// some moment. The result is the whole product or a subset of its winners, and
/// nothing else.
#[test]
fn cancelling_at_any_moment_leaves_no_thread_and_nothing_wrong() {
    let _alone = alone();
    let operand = |side, name: &[u8], rows| Operand::pseudorandom(&P, side, name, rows, 1024);
    let miner = Miner::new(Arc::new(Cpu::new()));
    let a = miner.prepare(operand(Side::A, b"a", 512).unwrap()).unwrap();
    let bt = miner.prepare(operand(Side::B, b"b", 256).unwrap()).unwrap();
    let round = miner.round(&Challenge([9; 32]), &bt).unwrap();
    let options = MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(1000));
    let clock = Instant::now();
    let whole = round.mine(&a, &options).unwrap();
    let (took, before) = (clock.elapsed(), threads());

    let (finished, stopped) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (round, a, whole) = (&round, &a, &whole);
            let (finished, stopped) = (&finished, &stopped);
            scope.spawn(move || {
                let mut state = thread;
                for _ in 0..25 {
                    let cancel = Cancel::new();
                    let after = cancel.clone();
                    // Four products at once take at least four times as long.
                    let part = random(&mut state) % 1000;
                    let wait = took.mul_f64(part as f64 / 150.0);
                    let other = std::thread::spawn(move || {
                        std::thread::sleep(wait);
                        after.cancel();
                    });
                    let options = MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(1000));
                    match round.mine(a, options.cancel(&cancel)) {
                        Ok(mined) => {
                            assert_eq!(mined.product, whole.product);
                            assert_eq!(mined.found.winners(), whole.found.winners());
                            finished.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(MineError::Cancelled { found }) => {
                            // One thread may draw the last tiles after another has seen the
                            // cancellation. Then no winner is missing.
                            assert!(found.drawn() <= whole.found.drawn());
                            for winner in found.winners() {
                                assert!(whole.found.winners().contains(winner));
                            }
                            if found.drawn() == whole.found.drawn() {
                                assert_eq!(found.winners(), whole.found.winners());
                            }
                            stopped.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                    other.join().unwrap();
                }
            });
        }
    });
    let (finished, stopped) = (finished.into_inner(), stopped.into_inner());
    println!("{finished} finished, {stopped} stopped");
    assert!(stopped > 0, "no product was cancelled in time");
    assert_eq!(finished + stopped, 100);
    let Some(before) = before else {
        println!("SKIPPED: this system does not count threads");
        return;
    };
    // A joined thread may stay in the count for a moment.
    let patience = Instant::now();
    while threads().unwrap() > before && patience.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(threads().unwrap() <= before, "threads are left behind");
    assert_eq!(round.mine(&a, &options).unwrap().product, whole.product);
}
