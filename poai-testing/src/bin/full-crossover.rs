//! Measures at which sizes `Checker::full` recomputes a product faster than it
//! checks its sums by Freivalds' method: `cargo run --release -p poai-testing
//! --features verify --bin full-crossover`.

use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, ValueId};
use poai_engine::Cpu;
use poai_engine::execute::{Constants, Network, RunOptions, Tensor};
use poai_verify::freivalds::Seed32;
use poai_verify::trace::{Checker, Data, Method, TraceRules};
use std::sync::Arc;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// One linear step of m rows, n channels and k columns.
fn network(n: usize, k: usize) -> Result<Network, Failure> {
    let columns = Dim::fixed(u32::try_from(k)?);
    let mut builder = Builder::new(&[Form::new(Dim::fixed(1), columns, Dtype::I8)]);
    let mut constants = Constants::default();
    let entries: Vec<i32> = (0..n * k).map(|i| (i * 7 % 127) as i32 - 63).collect();
    let weights = constants.add(&mut builder, "weights", (n, k), Dtype::I8, &entries)?;
    let scales = [0, 1 << 20, 0].repeat(n);
    let requantise = constants.add(&mut builder, "scales", (n, 3), Dtype::I32, &scales)?;
    let op = Op::Linear { weights, requantise, shifts: [28, 0, 0], clamp: Clamp::SYMMETRIC };
    builder.step("linear", op, &[builder.input(0)])?;
    Ok(Network::new(builder.finish()?, constants.into_tensors())?)
}

/// The shortest of several times, in seconds.
fn least(mut work: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut least = f64::INFINITY;
    let all = Instant::now();
    for _ in 0..200 {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64());
        if all.elapsed().as_secs_f64() > 1.5 {
            break;
        }
    }
    Ok(least)
}

fn main() -> Result<(), Failure> {
    println!(
        "MACs per entry: MACs of true entries, divided by padded entries of operands and product"
    );
    println!("     m      n      k  MACs/entry  recomputed     1 round    4 rounds");
    for (m, n, k) in [
        (1, 10, 1200),
        (7, 10, 1200),
        (16, 10, 1200),
        (32, 10, 1200),
        (1, 384, 384),
        (2, 384, 384),
        (4, 384, 384),
        (8, 384, 384),
        (16, 384, 1536),
        (384, 4, 384),
        (384, 8, 384),
        (1024, 32, 16),
        (1024, 32, 32),
        (32, 32, 128),
        (64, 64, 128),
        (128, 128, 128),
        (256, 256, 256),
        (512, 512, 512),
        (1024, 1024, 1024),
        (32, 128, 512),
        (32, 384, 1536),
        (128, 384, 384),
        (1024, 384, 384),
    ] {
        let session = network(n, k)?.on(Arc::new(Cpu::new()))?;
        let entries: Vec<i32> = (0..m * k).map(|i| (i * 5 % 127) as i32 - 63).collect();
        let input = Tensor::new(m, k, Dtype::I8, &entries)?;
        let trace = session.trace_with(input, &RunOptions::new().sums())?.trace;
        let checker = Checker::new(session.program().clone(), TraceRules::DEFAULT);
        let (root, header) = (trace.root(), trace.header());
        let values = [trace.value(ValueId(0))?.bytes(), trace.value(ValueId(1))?.bytes()];
        let constants = trace.network().constants().iter();
        let constants: Vec<&[u8]> = constants.map(|held| held.tensor.bytes()).collect();
        let sums = [None, trace.sums(ValueId(1))];
        let time = |sums: &[Option<&[i32]>], rounds| {
            let method = Method { recompute_below: 0, ..Method::new(Seed32([3; 32]), rounds) };
            let data = Data { values: &values, constants: &constants, sums };
            least(|| {
                checker.full(&root, &header, &data, &method)?;
                Ok(())
            })
        };
        let times = [time(&[None, None], 1)?, time(&sums, 1)?, time(&sums, 4)?];
        let (rows, channels) = (m.next_multiple_of(32), n.next_multiple_of(32));
        let columns = k.next_multiple_of(128);
        let entries = rows * columns + channels * columns + rows * channels;
        let ratio = (m * n * k) as f64 / entries as f64;
        print!("{m:6} {n:6} {k:6} {ratio:11.1}");
        times.iter().for_each(|time| print!(" {:8.1} µs", time * 1e6));
        println!();
    }
    Ok(())
}
