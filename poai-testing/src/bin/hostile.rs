//! Searches for the bytes that cost a verifier most, and compares their cost
//! with an honest proof of the same depth: `cargo run --release -p poai-testing
//! --features verify --bin hostile [SECONDS]`.
//!
//! It begins with known cases: bytes that fail at each check, the last one
//! included, and statements whose openings have the most neighbours and
//! siblings. Then it searches: it makes random changes and keeps those that
//! cost more.

use ndarray::Array2;
use poai_core::{Challenge, Difficulty, Params};
use poai_engine::operand::pseudorandom;
use poai_engine::{Cpu, Keep, MineOptions, Miner, Operands};
use poai_verify::{Rules, Verifier};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

const CHALLENGE: Challenge = Challenge([0x5a; 32]);
const HEADER: usize = 148;

/// A proof of the last tile of a product.
fn mine(m: usize, n: usize, k: usize) -> Result<Vec<u8>, Failure> {
    let params = Params::CONSENSUS;
    let miner = Miner::new(Arc::new(Cpu::new()));
    let entries = |name: &[u8], rows| -> Array2<i8> { pseudorandom(name, rows, k) };
    let operands = Operands::new(&params, entries(b"a", m), entries(b"b", n))?;
    let round = miner.round(&CHALLENGE, &miner.prepare(operands.bt().clone())?)?;
    let options = MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(1 << 20));
    let mined = round.mine(&miner.prepare(operands.a().clone())?, &options)?;
    let winner = mined.found.winners().last().ok_or("every ticket wins")?;
    Ok(mined.found.prove(winner)?.to_bytes())
}

/// The shortest time of `tries` verifications, and the result.
fn cost(verifier: &Verifier, bytes: &[u8], tries: u32) -> (Duration, String) {
    let mut least = Duration::MAX;
    let mut said = String::new();
    for _ in 0..tries {
        let start = Instant::now();
        let answer = verifier.verify(&CHALLENGE, black_box(bytes));
        least = least.min(start.elapsed());
        said = match answer {
            Ok(_) => "holds".into(),
            Err(error) => error.to_string(),
        };
    }
    (least, said)
}

/// Bytes that fail at one check after another.
fn by_knowledge(honest: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let changed = |at: usize, mask: u8| {
        let mut bytes = honest.to_vec();
        bytes[at] ^= mask;
        bytes
    };
    vec![
        ("nothing at all", Vec::new()),
        ("one byte short", honest[..honest.len() - 1].to_vec()),
        ("another m", changed(0, 32)),
        ("first entry out of range", changed(HEADER, 64)),
        ("first entry changed", changed(HEADER, 1)),
        ("last sibling changed", changed(honest.len() - 1, 1)),
        ("last word of the transcript changed", changed(HEADER - 1, 1)),
    ]
}

fn main() -> Result<(), Failure> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(5.0), |text| text.parse())?;
    // At difficulty 1 every claimed ticket wins, so bytes pass more checks than
    // on any chain.
    let verifier = Verifier::new(Rules::SHARE, Difficulty::ONE)?;
    let mut worst = 0f64;
    for k in [1024, 4096, 16384] {
        let honest = mine(32, 64, k)?;
        let (time, said) = cost(&verifier, &honest, 400);
        println!(
            "k = {k}: honest, {} bytes: {:.1} µs, {said}",
            honest.len(),
            time.as_secs_f64() * 1e6
        );
        let mut pool = by_knowledge(&honest);
        // At depths that are not a multiple of a chunk, openings have
        // neighbours too.
        let odd = mine(96, 96, if k == 1024 { k + 128 } else { k - 128 })?;
        pool.push(("a strip across chunks", odd));
        let mut dearest = (0f64, Vec::new());
        for (name, bytes) in &pool {
            let (spent, said) = cost(&verifier, bytes, 200);
            let ratio = spent.as_secs_f64() / time.as_secs_f64();
            println!("  {ratio:5.2} × {name}: {said}");
            if ratio > dearest.0 {
                dearest = (ratio, bytes.clone());
            }
        }
        let found = search(
            &verifier,
            &pool,
            dearest,
            (&honest, time),
            Duration::from_secs_f64(seconds / 3.0),
        );
        println!("  {:5.2} × after {} random changes", found.0, found.1);
        worst = worst.max(found.0);
    }
    println!("the most expensive: {worst:.2} × an honest proof (the bound is 3)");
    if worst > 3.0 {
        return Err("beyond the bound".into());
    }
    Ok(())
}

/// Changes cases of the pool, and the most expensive one so far, at random.
fn search(
    verifier: &Verifier,
    pool: &[(&str, Vec<u8>)],
    mut dearest: (f64, Vec<u8>),
    honest: (&[u8], Duration),
    time: Duration,
) -> (f64, u32) {
    let mut state = 1u64;
    let mut random = |below: usize| {
        // SplitMix64: the search does not need good randomness.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 33) as usize % below.max(1)
    };
    let (start, mut tries) = (Instant::now(), 0);
    while start.elapsed() < time {
        let from = random(pool.len() + 1);
        let mut bytes = pool.get(from).map_or(&dearest.1, |(_, bytes)| bytes).clone();
        for _ in 0..=random(4) {
            let reach = if random(2) == 0 { HEADER } else { bytes.len() };
            let at = random(reach.min(bytes.len()));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= random(255) as u8 + 1;
            }
        }
        tries += 1;
        // The shortest of a few times, so that an interruption is not counted.
        let ratio = cost(verifier, &bytes, 5).0.as_secs_f64() / honest.1.as_secs_f64();
        if ratio > dearest.0 {
            // Alternate with the honest proof, so that a slow moment is not
            // counted.
            let again = (0..4)
                .map(|_| {
                    let spent = cost(verifier, &bytes, 30).0.as_secs_f64();
                    spent / cost(verifier, honest.0, 30).0.as_secs_f64()
                })
                .fold(f64::INFINITY, f64::min);
            if again > dearest.0 {
                dearest = (again, bytes);
            }
        }
    }
    (dearest.0, tries)
}
