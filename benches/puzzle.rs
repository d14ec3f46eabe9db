//! `cargo bench -p poai-benches`: the puzzle's parts by criterion. Each group
//! prints a known-answer digest first, so that a fast wrong result is seen.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use poai_core::commitment::Tree;
use poai_core::*;
use poai_verify::{Rules, Verifier};
use std::hint::black_box;
use std::sync::Arc;

const P: Params = Params::CONSENSUS;

fn operand(side: Side, rows: usize, k: usize) -> Operand {
    Operand::pseudorandom(&P, side, b"bench", rows, k).expect("a valid shape")
}

fn commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("commit");
    for mib in [1, 16, 64] {
        let bytes = vec![0x2a; mib << 20];
        println!("commit {mib} MiB: {}", Tree::new(&bytes).root());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new("tree", mib), &bytes, |b, bytes| {
            b.iter(|| black_box(Tree::new(bytes)))
        });
        group.bench_with_input(BenchmarkId::new("blake3-rayon", mib), &bytes, |b, bytes| {
            b.iter(|| blake3::Hasher::new().update_rayon(black_box(bytes)).finalize())
        });
    }
}

fn product(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    group.sample_size(10);
    for size in [256usize, 1024] {
        let miner =
            Miner::new(P, Arc::new(Cpu::new())).expect("every backend takes the consensus pair");
        let bt = miner.prepare(operand(Side::B, size, 1024)).expect("prepared");
        let a = miner.prepare(operand(Side::A, size, 1024)).expect("prepared");
        let round = miner.round(&Challenge::default(), &bt).expect("a B side");
        let options = Options::new(Difficulty::BLOCK_MIN);
        let best = round
            .search(&a, &Options::new(Difficulty::ONE).keep(Keep::UpTo(usize::MAX)))
            .expect("mined");
        println!(
            "product {size}×{size}×1024: best ticket {}",
            best.best().expect("a ticket").ticket
        );
        group.throughput(Throughput::Elements((size * size * 1024) as u64));
        group.bench_function(BenchmarkId::new("recovered", size), |b| {
            b.iter(|| round.mine(&a, &options))
        });
    }
}

fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("verify");
    for k in [1024usize, 4096] {
        let miner =
            Miner::new(P, Arc::new(Cpu::new())).expect("every backend takes the consensus pair");
        let bt = miner.prepare(operand(Side::B, 64, k)).expect("prepared");
        let a = miner.prepare(operand(Side::A, 64, k)).expect("prepared");
        let challenge = Challenge::default();
        let round = miner.round(&challenge, &bt).expect("a B side");
        let found = round.search(&a, &Options::new(Difficulty::ONE)).expect("mined");
        let bytes = found.proof().expect("every ticket wins").encode(&P).expect("canonical");
        let verifier = Verifier::new(Rules::SHARE, Difficulty::ONE).expect("consistent rules");
        println!(
            "verify k = {k}: {:?}",
            verifier.verify(&challenge, &bytes).map(|verified| verified.ticket)
        );
        group.bench_function(BenchmarkId::new("whole", k), |b| {
            b.iter(|| verifier.verify(&challenge, black_box(&bytes)))
        });
        group.bench_function(BenchmarkId::new("preliminary", k), |b| {
            b.iter(|| verifier.preliminary(&challenge, black_box(&bytes)))
        });
        group.bench_function(BenchmarkId::new("encode", k), |b| {
            let proof = Proof::decode(&P, &bytes).expect("valid");
            b.iter(|| black_box(&proof).encode(&P))
        });
    }
}

criterion_group!(benches, commit, product, verify);
criterion_main!(benches);
