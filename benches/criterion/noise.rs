//! Noise on one operand, once per challenge.

use super::cases::{Answers, backends, operand, sizes};
use criterion::{BenchmarkId, Criterion, Throughput};
use poai_core::{Seed, Side};

pub fn bench(c: &mut Criterion) {
    let mut answers = Answers::new("noise");
    let mut group = c.benchmark_group("noise");
    let seed = Seed([7; 32]);
    for backend in backends() {
        for size in sizes(&*backend, &[256, 512, 1024, 4096]) {
            for side in [Side::A, Side::B] {
                let rows = size as usize;
                let prepared = backend.prepare(operand(side, rows, rows)).expect("prepared");
                let noise = || backend.noise(&seed, &prepared).expect("noised");
                let entries = backend.noised_entries(&noise()).expect("its own");
                let bytes: Vec<u8> = entries.iter().map(|&entry| entry as u8).collect();
                let case = format!("{side} {size}²");
                answers.add(&case, backend.name(), blake3::hash(&bytes).to_string());
                group.throughput(Throughput::Bytes(bytes.len() as u64));
                group.bench_function(BenchmarkId::new(backend.name(), &case), |b| b.iter(noise));
            }
        }
    }
    answers.finish();
}
