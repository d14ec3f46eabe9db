//! Encoding and decoding of proofs.

use super::cases::{Answers, proof};
use criterion::{BenchmarkId, Criterion, Throughput};
use poai_benches::workload::P;
use poai_core::{Proof, ProofView};
use poai_verify::proof_hash;
use std::hint::black_box;

pub fn bench(c: &mut Criterion) {
    let mut answers = Answers::new("encode");
    let mut group = c.benchmark_group("encode");
    for k in [1024usize, 4096, 16384] {
        let bytes = proof(k);
        let proof = Proof::from_bytes(&P, &bytes).expect("canonical");
        let again = proof.to_bytes();
        assert_eq!(again, bytes, "a proof has one byte string");
        let hash = blake3::Hash::from_bytes(proof_hash(&again));
        answers.add(&format!("k = {k}"), "the proof", hash.to_string());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("encode", k), |b| {
            b.iter(|| black_box(&proof).to_bytes())
        });
        group.bench_function(BenchmarkId::new("decode", k), |b| {
            b.iter(|| Proof::from_bytes(&P, black_box(&bytes)).expect("canonical"))
        });
        group.bench_function(BenchmarkId::new("decode borrowed", k), |b| {
            b.iter(|| ProofView::from_bytes(&P, black_box(&bytes)).expect("canonical").header())
        });
    }
    answers.finish();
}
