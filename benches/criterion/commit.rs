//! Commitments: BLAKE3 itself, the tree that is kept for openings, and the tree
//! together with each backend's other preparation of an operand.

use super::cases::{Answers, backends, operand};
use criterion::{BenchmarkId, Criterion, Throughput};
use poai_core::Side;
use poai_core::puzzle::commitment::Tree;
use std::hint::black_box;

/// Columns of every operand.
const K: usize = 4096;

pub fn bench(c: &mut Criterion) {
    let mut answers = Answers::new("commit");
    let mut group = c.benchmark_group("commit");
    for mib in [1usize, 16, 64] {
        let operand = operand(Side::A, (mib << 20) / K, K);
        let bytes = operand.as_bytes();
        let case = format!("{mib} MiB");
        answers.add(&case, "blake3", blake3::hash(bytes).to_string());
        answers.add(&case, "tree", Tree::new(bytes).root().to_string());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("blake3-rayon", &case), |b| {
            b.iter(|| blake3::Hasher::new().update_rayon(black_box(bytes)).finalize())
        });
        group.bench_function(BenchmarkId::new("tree", &case), |b| {
            b.iter(|| Tree::new(black_box(bytes)))
        });
        for backend in backends() {
            let prepare = || backend.prepare(operand.clone()).expect("the consensus pair");
            answers.add(&case, backend.name(), prepare().root().to_string());
            group.bench_function(BenchmarkId::new(backend.name(), &case), |b| b.iter(prepare));
        }
    }
    answers.finish();
}
