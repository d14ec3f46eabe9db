//! Trains a network on handwritten digits, and prints its accuracy.

use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::Tensor;
use poai_train::iteration::Forward;
use poai_train::{
    Dataset, Iteration, IterationOptions, Layers, Optimiser, Source, TrainingRun, initial,
};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("poai-cli/data/digits/digits.csv")?;
    let rows: Vec<Vec<f32>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|x| x.parse().unwrap()).collect())
        .collect();
    let which = std::env::args().nth(1).unwrap_or("cnn".into());
    let epochs: u64 = std::env::args().nth(2).map_or(15, |x| x.parse().unwrap());
    let rate: f64 = std::env::args().nth(3).map_or(0.1, |x| x.parse().unwrap());
    let layers = if which == "mlp" {
        Layers::features(64).linear(128).relu().linear(64).relu().linear(10)
    } else {
        Layers::image(8, 8, 1)
            .conv(12, 3)
            .relu()
            .max_pool(2)
            .conv(24, 3)
            .relu()
            .max_pool(2)
            .flatten()
            .linear(10)
    };
    println!("{} rows", rows.len());
    let count = rows.len() * 4 / 5;
    let part = |rows: &[Vec<f32>]| {
        let x: Vec<f32> = rows.iter().flat_map(|row| row[..64].iter().map(|x| x / 16.0)).collect();
        let y: Vec<u32> = rows.iter().map(|row| row[64] as u32).collect();
        Dataset::dense(&layers, &x, &y).unwrap()
    };
    let (train, test) = (part(&rows[..count]), part(&rows[count..]));
    let batch = 32;
    let total = epochs * u64::from(train.count()) / u64::from(batch);
    let cosine =
        |t: u64| 0.5 * rate * (1.0 + (std::f64::consts::PI * t as f64 / total as f64).cos());
    let rates = (0..total).map(|t| Optimiser::SGD.rate(cosine(t), t, batch)).collect();
    for seed in 0..3u8 {
        let options = IterationOptions {
            optimiser: Optimiser::SGD,
            decay: 0.0,
            batch,
            source: Source::Drawn { samples: train.count(), rates: Vec::clone(&rates) },
        };
        let iteration = Iteration::new(&layers, &options)?;
        let states = initial(&iteration, &[seed; 32])?;
        let device = Arc::new(Cpu::new());
        let forward = Forward::new(&layers, device.clone())?;
        let mut run = TrainingRun::new(iteration, train.clone(), states, [seed; 32], device)?;
        let start = Instant::now();
        while run.done() < run.total() {
            let report = run.step()?;
            if report.t % 500 == 0 {
                println!(
                    "{} loss {:.4} accuracy {:.3}",
                    report.t,
                    report.loss.mean,
                    report.loss.accuracy()
                );
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
        let loss = forward.evaluate(
            run.iteration(),
            &states,
            &test.samples().tensor,
            &test.labels().tensor,
        )?;
        println!(
            "seed {seed}: test accuracy {:.4} loss {:.4}, {:.2} ms an iteration",
            loss.accuracy(),
            loss.mean,
            1e3 * seconds / total as f64
        );
    }
    Ok(())
}
