//! Verifies valid and invalid proofs on four threads for a while. Prints the
//! proofs a second for each thread and whether memory grows: `cargo run
//! --release -p poai-testing --features verify --bin load [SECONDS]`.

use poai_core::{Challenge, Difficulty, Params};
use poai_engine::operand::pseudorandom;
use poai_engine::{Cpu, Keep, MineOptions, Miner, Operands};
use poai_verify::{Failures, Rules, Verifier};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const THREADS: usize = 4;
const CHALLENGE: Challenge = Challenge([0x5a; 32]);
const K: usize = 4096;
/// The bytes by which memory may grow after the warm-up.
const GROWTH_MAX: u64 = 4 << 20;

/// A proof of every tile of a product, and an altered copy of each.
fn proofs() -> Result<Vec<(Vec<u8>, bool)>, Failure> {
    let params = Params::CONSENSUS;
    let operands = Operands::new(&params, pseudorandom(b"a", 128, K), pseudorandom(b"b", 128, K))?;
    let miner = Miner::new(Arc::new(Cpu::new()));
    let round = miner.round(&CHALLENGE, &miner.prepare(operands.bt().clone())?)?;
    let options = MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(1 << 20));
    let mined = round.mine(&miner.prepare(operands.a().clone())?, &options)?;
    let mut proofs = Vec::new();
    for (index, winner) in mined.found.winners().iter().enumerate() {
        let good = mined.found.prove(winner)?.to_bytes();
        let mut bad = good.clone();
        // Each check has its turn: shape, transcript, entries, siblings.
        let at = [0, 100, 148 + 977 * index, good.len() - 1][index % 4];
        bad[at] ^= 0x21;
        proofs.extend([(good, true), (bad, false)]);
    }
    Ok(proofs)
}

/// Resident memory, in bytes; `None` if the system has no `/proc`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn main() -> Result<(), Failure> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(60.0), |text| text.parse())?;
    let proofs = proofs()?;
    let verifier = Verifier::new(Rules::SHARE, Difficulty::ONE)?;
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut memory = Vec::new();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let (proofs, done, stop) = (&proofs, &done, &stop);
                    move || work(&verifier, proofs, thread, done, stop)
                })
            })
            .collect();
        // The first tenth of the time is the warm-up.
        for part in [0.1, 0.9] {
            std::thread::sleep(Duration::from_secs_f64(seconds * part));
            memory.push(resident());
        }
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("no verification panics");
        }
    });
    let (time, done) = (start.elapsed().as_secs_f64(), done.into_inner());
    let cores = std::thread::available_parallelism()?.get().min(THREADS);
    let rate = done as f64 / time / cores as f64;
    println!("{done} proofs of k = {K} in {time:.1} s on {THREADS} threads, half of them bad");
    println!("{rate:.0} proofs/s for each of {cores} cores");
    match memory[..] {
        [Some(warm), Some(end)] => {
            println!("resident: {} kB when warm, {} kB at the end", warm >> 10, end >> 10);
            if end > warm + GROWTH_MAX {
                return Err("memory grows".into());
            }
        }
        _ => println!("SKIPPED: no /proc, so the memory is not known"),
    }
    Ok(())
}

/// Verifies until it is asked to stop; a wrong result ends it.
fn work(
    verifier: &Verifier,
    proofs: &[(Vec<u8>, bool)],
    thread: usize,
    done: &AtomicU64,
    stop: &AtomicBool,
) {
    let mut failures = Failures::new(64);
    for (bytes, good) in proofs.iter().cycle().skip(thread * proofs.len() / THREADS) {
        assert_eq!(verifier.verify(&CHALLENGE, bytes).is_ok(), *good);
        // Also through a node's store of failures, which fills up. Altered
        // copies have a sender of their own, because they count against their
        // sender.
        let source = [thread as u8, u8::from(*good)];
        let answer = failures.verify(verifier, Some(&source), &CHALLENGE, bytes);
        assert_eq!(answer.is_ok(), *good);
        done.fetch_add(2, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
}
