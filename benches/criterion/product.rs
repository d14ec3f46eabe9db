//! Products: plain, with tickets, and with tickets and the exact product.

use super::cases::{Answers, backends, sizes};
use criterion::{BenchmarkId, Criterion, Throughput};
use poai_benches::workload::{Workload, cube};

pub fn bench(c: &mut Criterion) {
    let mut answers = Answers::new("product");
    let mut group = c.benchmark_group("product");
    for backend in backends() {
        let name = backend.name();
        for size in sizes(&*backend, &[256, 512, 1024, 2048]) {
            let work = Workload::new(&*backend, cube(size)).expect("a valid shape");
            work.plain().expect("multiplied");
            answers.add(&format!("product {size}³"), &format!("{name}, plain"), work.digest());
            work.recovered().expect("multiplied");
            answers.add(&format!("product {size}³"), &format!("{name}, recovered"), work.digest());
            let tickets = work.ticket_digest().expect("multiplied");
            answers.add(&format!("tickets {size}³"), name, tickets);
            group.throughput(Throughput::Elements(work.macs() as u64));
            group.bench_function(BenchmarkId::new(format!("plain {name}"), size), |b| {
                b.iter(|| work.plain().expect("it worked before"))
            });
            group.bench_function(BenchmarkId::new(format!("ticketed {name}"), size), |b| {
                b.iter(|| work.ticketed().expect("it worked before"))
            });
            group.bench_function(BenchmarkId::new(format!("recovered {name}"), size), |b| {
                b.iter(|| work.recovered().expect("it worked before"))
            });
        }
    }
    answers.finish();
}
