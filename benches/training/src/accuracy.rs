//! Accuracies of a small VGG network on generated images, in integers and in real
//! numbers.

use crate::Failure;
use crate::textures::{CLASSES, SIDE, images};
use poai_engine::Cpu;
use poai_engine::execute::Tensor;
use poai_train::iteration::Forward;
use poai_train::real::{RealForward, RealRun};
use poai_train::run::Loss;
use poai_train::{
    Iteration, IterationOptions, Layers, Optimiser, Schedule, Source, TrainingRun, initial,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const BATCH: u32 = 64;
const RATE: f64 = 0.05;

/// A small VGG network (Simonyan and Zisserman 2015).
fn layers() -> Layers {
    let pair = |layers: Layers, channels: u32| {
        layers.conv(channels, 3).relu().conv(channels, 3).relu().max_pool(2)
    };
    let layers = pair(pair(Layers::image(SIDE, SIDE, 3), 32), 64);
    layers.conv(128, 3).relu().max_pool(2).flatten().linear(CLASSES)
}

/// Prints a line of JSON for each seed.
pub fn accuracy(
    cpu: &Cpu,
    seeds: u32,
    epochs: u32,
    [samples, tests]: [u32; 2],
) -> Result<(), Failure> {
    let layers = layers();
    let train = images(&layers, 0, samples)?;
    // Parts of one exponent each, as batches have.
    let parts = (0..tests / BATCH).map(|part| images(&layers, (1 << 30) + part * BATCH, BATCH));
    let test = parts.collect::<Result<Vec<_>, Failure>>()?;
    let optimiser = Optimiser::SGD;
    let total = u64::from(epochs) * u64::from(samples.div_ceil(BATCH));
    let rates = Schedule::Cosine.rates(&optimiser, RATE, total, BATCH);
    let source = Source::Drawn { samples, rates };
    let options = IterationOptions { optimiser, decay: 0.0, batch: BATCH, source };
    let iteration = Iteration::new(&layers, &options)?;
    let device = Arc::new(cpu.clone());
    let forward = Forward::new(&layers, device.clone())?;
    let real_forward = RealForward::new(&layers)?;
    for seed in 0..seeds {
        let seed = *blake3::hash(&seed.to_le_bytes()).as_bytes();
        let states = initial(&iteration, &seed)?;
        let mut real = RealRun::<f32>::new(&iteration, &train, &states, seed)?;
        let mut run =
            TrainingRun::new(iteration.clone(), train.clone(), states, seed, device.clone())?;
        let begin = Instant::now();
        run.train(|_, _| Ok(std::ops::ControlFlow::Continue(())))?;
        let integers = begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        while real.done() < real.total() {
            real.step()?;
        }
        let floats = begin.elapsed().as_secs_f64();
        let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
        let (mut own, mut peer) = (Loss::default(), Loss::default());
        for part in &test {
            let (samples, labels) = (&part.samples().tensor, &part.labels().tensor);
            add(&mut own, forward.evaluate(&iteration, &states, samples, labels)?);
            add(&mut peer, real_forward.evaluate(&real, samples, labels)?);
        }
        println!(
            "{}",
            json!({
                "integers": own.accuracy(), "float": peer.accuracy(),
                "integer_loss": own.mean / test.len() as f64,
                "float_loss": peer.mean / test.len() as f64,
                "integer_seconds": integers, "float_seconds": floats,
            })
        );
    }
    Ok(())
}

/// Adds a part's loss and answers.
fn add(sum: &mut Loss, part: Loss) {
    sum.mean += part.mean;
    sum.right += part.right;
    sum.answers += part.answers;
}
