//! Checking a product, compared with multiplying again.

use super::cases::{Answers, backends};
use criterion::{BenchmarkId, Criterion, Throughput};
use poai_benches::workload::{Workload, cube};
use poai_core::Side;
use poai_engine::Cpu;
use poai_engine::backend::Backend;
use poai_verify::freivalds::{Seed32, check_product};
use std::hint::black_box;

/// Rounds: one, and as many as one pass checks (128 bits).
const ROUNDS: [u32; 2] = [1, 4];

pub fn bench(c: &mut Criterion) {
    let mut answers = Answers::new("freivalds");
    let mut group = c.benchmark_group("freivalds");
    let seed = Seed32([7; 32]);
    let fastest = Cpu::new();
    for size in [128, 256, 512, 1024, 4096] {
        let shape = cube(size);
        let case = format!("product {size}³");
        for backend in backends() {
            let name = backend.name();
            let portable = name == "cpu-scalar";
            if name != fastest.name() && !portable {
                continue;
            }
            // Portable code takes seconds for the largest sizes.
            group.sample_size(if portable && size > 1024 { 10 } else { 100 });
            let work = Workload::new(&*backend, shape).expect("a valid shape");
            work.plain().expect("multiplied");
            answers.add(&case, name, work.digest());
            group.throughput(Throughput::Elements(work.macs() as u64));
            group.bench_function(BenchmarkId::new(format!("product {name}"), size), |b| {
                b.iter(|| work.plain().expect("it worked before"))
            });
            if name != fastest.name() {
                continue;
            }
            let [a, bt] = [Side::A, Side::B].map(|side| work.prepared(side).operand().as_slice());
            let mut product = work.product();
            let check = |product: &[i32], rounds| {
                check_product(shape, black_box(a), black_box(bt), product, &seed, rounds)
            };
            for rounds in ROUNDS {
                let id = BenchmarkId::new(format!("check, rounds = {rounds}"), size);
                group.bench_function(id, |b| {
                    b.iter(|| check(&product, rounds).expect("a true product"))
                });
            }
            product[0] ^= 1;
            check(&product, 1).expect_err("a false product");
        }
    }
    answers.finish();
}
