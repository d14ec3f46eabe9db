//! Verification as a whole, and the cheap checks that come first.

use super::cases::{Answers, proof};
use criterion::{BenchmarkId, Criterion, Throughput};
use poai_core::{Challenge, Difficulty};
use poai_verify::{Rules, Verifier};
use std::hint::black_box;

pub fn bench(c: &mut Criterion) {
    let mut answers = Answers::new("verify");
    let mut group = c.benchmark_group("verify");
    let verifier = Verifier::new(Rules::SHARE, Difficulty::ONE).expect("consistent rules");
    let challenge = Challenge::default();
    for k in [1024usize, 4096, 16384] {
        let bytes = proof(k);
        let verified = verifier.verify(&challenge, &bytes).expect("it holds");
        answers.add(&format!("k = {k}"), "the verifier", verified.ticket.to_string());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("whole", k), |b| {
            b.iter(|| verifier.verify(&challenge, black_box(&bytes)).expect("it holds"))
        });
        group.bench_function(BenchmarkId::new("preliminary", k), |b| {
            b.iter(|| verifier.preliminary_verify(&challenge, black_box(&bytes)).expect("it holds"))
        });
    }
    answers.finish();
}
