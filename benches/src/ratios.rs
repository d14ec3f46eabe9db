//! `cargo run --release -p poai-benches --bin ratios`: what one thing costs in
//! terms of another, measured in turns inside one run, because machines are
//! noisy. Every line ends in a known-answer digest, so that a fast wrong
//! result is seen.

use poai_core::backend::{Backend, Job, Output, Watch, Winner};
use poai_core::commitment::Tree;
use poai_core::operand::pseudorandom;
use poai_core::seeds::{seed_a, seed_b};
use poai_core::*;
use poai_verify::Verifier;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

const P: Params = Params::CONSENSUS;

/// The medians of two things, run in turns.
fn in_turns(rounds: usize, mut one: impl FnMut(), mut other: impl FnMut()) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let timed = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    for _ in 0..rounds {
        times[0].push(timed(&mut one));
        times[1].push(timed(&mut other));
    }
    times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    })
}

fn commit() {
    let bytes = vec![0x2a; 64 << 20];
    let tree = || *black_box(Tree::new(&bytes)).root();
    let plain = || Root(*blake3::Hasher::new().update_rayon(&bytes).finalize().as_bytes());
    assert_eq!(tree(), plain());
    let [ours, theirs] = in_turns(21, || _ = tree(), || _ = plain());
    let rate = |time: Duration| bytes.len() as f64 / time.as_secs_f64() / 1e9;
    println!(
        "commit 64 MiB: {:.2} GB/s, blake3 on rayon {:.2} GB/s, ratio {:.3}   [{}]",
        rate(ours),
        rate(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
        tree()
    );
}

struct Nobody;

impl Watch for Nobody {
    fn winner(&self, _: Winner) {}
    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn product() {
    let (m, n, k) = (4096u32, 4096u32, 4096u32);
    let backend = Cpu::new();
    let operand =
        |side, rows: u32| Operand::pseudorandom(&P, side, b"ratios", rows as usize, k as usize);
    let a = backend.prepare(&P, operand(Side::A, m).unwrap()).unwrap();
    let bt = backend.prepare(&P, operand(Side::B, n).unwrap()).unwrap();
    let seed_b = seed_b(&P, &Challenge::default(), n, k, bt.root());
    let seed_a = seed_a(&seed_b, m, a.root());
    let (noised_a, noised_b) =
        (backend.noise(&P, &seed_a, &a).unwrap(), backend.noise(&P, &seed_b, &bt).unwrap());
    let target = Difficulty::BLOCK_MIN.target(&P, k);
    let mut memory = vec![0; (m * n) as usize];
    let run = |output: Output<'_>| {
        let job = Job { params: &P, a: &noised_a, b: &noised_b, target };
        backend.multiply(&job, output, &Nobody).unwrap();
    };
    let mut other = memory.clone();
    let [tickets, exact] =
        in_turns(11, || run(Output::Tickets), || run(Output::Exact(&mut memory)));
    let [pa, pb] = [&a, &bt].map(|side| backend.pack(&P, side).unwrap());
    let [plain, again] = in_turns(
        11,
        || backend.product(&P, &pa, &pb, &mut other).unwrap(),
        || run(Output::Tickets),
    );
    println!(
        "plain {:.2} GMAC/s, tickets over plain {:.3}",
        f64::from(m) * f64::from(n) * f64::from(k) / plain.as_secs_f64() / 1e9,
        plain.as_secs_f64() / again.as_secs_f64()
    );
    let [noise, commit] = in_turns(
        11,
        || _ = backend.noise(&P, &seed_a, &a),
        || _ = Tree::new(a.operand().as_bytes()),
    );
    run(Output::Exact(&mut other));
    assert_eq!(memory, other);
    let digest = memory.iter().fold(blake3::Hasher::new(), |mut hasher, entry| {
        hasher.update(&entry.to_le_bytes());
        hasher
    });
    let macs = f64::from(m) * f64::from(n) * f64::from(k);
    println!(
        "product {m}×{n}×{k} on {}: ticketed {:.2} GMAC/s; recovered costs {:.2}, noising A {:.3}, committing A {:.3} of that   [{}]",
        backend.name(),
        macs / tickets.as_secs_f64() / 1e9,
        exact.as_secs_f64() / tickets.as_secs_f64(),
        noise.as_secs_f64() / tickets.as_secs_f64(),
        commit.as_secs_f64() / tickets.as_secs_f64(),
        digest.finalize().to_hex()
    );
}

fn verify() {
    for k in [1024usize, 4096, 16384] {
        let miner = Miner::new(P, Arc::new(Cpu::new())).unwrap();
        let operands =
            Operands::new(&P, pseudorandom(b"a", 256, k), pseudorandom(b"b", 256, k)).unwrap();
        let bt = miner.prepare(operands.bt().clone()).unwrap();
        let a = miner.prepare(operands.a().clone()).unwrap();
        let challenge = Challenge::default();
        let options = Options::new(Difficulty::BLOCK_MIN);
        let found = miner.round(&challenge, &bt).unwrap().search(&a, &options).unwrap();
        let Some(proof) = found.proof() else {
            println!("verify k = {k}: SKIPPED: no tile won");
            continue;
        };
        let bytes = proof.encode(&P).unwrap();
        let verifier = Verifier::block(Difficulty::BLOCK_MIN).unwrap();
        let [whole, preliminary] = in_turns(
            101,
            || _ = black_box(verifier.verify(&challenge, &bytes)).unwrap(),
            || black_box(verifier.preliminary(&challenge, &bytes)).unwrap(),
        );
        println!(
            "verify k = {k}: {:.3} ms of one thread, {} bytes; the preliminary checks {:.4} of it",
            whole.as_secs_f64() * 1e3,
            bytes.len(),
            preliminary.as_secs_f64() / whole.as_secs_f64()
        );
    }
}

fn main() {
    println!("{} threads", rayon::current_num_threads());
    commit();
    product();
    verify();
}
