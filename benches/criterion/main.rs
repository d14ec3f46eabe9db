//! `cargo bench -p poai-benches`: criterion benchmarks of the puzzle's parts.
//!
//! Each group first prints known answers, so that a fast wrong result is
//! visible. It panics if two backends differ. `-- --test` runs everything once.
//!
//! - `cases`: the backends and sizes, and their known answers;
//! - one file for each group.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod cases;
mod commit;
mod encode;
mod freivalds;
mod noise;
mod product;
mod verify;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = commit::bench, noise::bench, product::bench, verify::bench, encode::bench,
        freivalds::bench
}
criterion_main!(benches);
