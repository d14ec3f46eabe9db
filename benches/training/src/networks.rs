//! The networks that are trained, with samples.

use crate::Failure;
use clap::ValueEnum;
use poai_core::Beacon;
use poai_core::training_run::TrainingRules;
use poai_engine::Cpu;
use poai_engine::execute::Tensor;
use poai_train::{
    Dataset, Iteration, IterationOptions, JobParameters, Layers, Optimiser, Source, TrainLayer,
    TrainingRun, initial,
};
use std::sync::Arc;

/// A network with its batch.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Name {
    /// An MLP of 784, 1024, 1024 and 10 columns, in batches of 1024.
    Mlp,
    /// A causal transformer of width 256 with 4 blocks, in batches of 16 texts
    /// of 128 tokens.
    Transformer,
    /// The same of width 1024 with 8 blocks. Its program is only counted.
    Wide,
    /// Two encoder layers of MiniLM's sizes, in batches of 32 samples of 128
    /// tokens, a mean and a linear layer.
    Encoder,
}

/// Tokens of a text.
const LENGTH: u32 = 128;
/// The columns of an encoder's hidden states.
const ENCODER: u32 = 384;
/// Different tokens.
const VOCABULARY: u32 = 64;

impl Name {
    /// The network and its batch.
    pub fn layers(self) -> (Layers, u32) {
        let transformer = |width, blocks, heads| {
            Layers::transformer(VOCABULARY, LENGTH, width, blocks, heads, 4 * width)
        };
        match self {
            Name::Mlp => {
                let layers = Layers::features(784).linear(1024).relu();
                (layers.linear(1024).relu().linear(10), 1024)
            }
            Name::Transformer => (transformer(256, 4, 4), 16),
            Name::Wide => (transformer(1024, 8, 16), 16),
            Name::Encoder => {
                let layers = Layers::sequence(LENGTH, ENCODER, 4).encoder_layer(12, 1536, ENCODER);
                let layers = layers.encoder_layer(12, 1536, ENCODER);
                (layers.layer(TrainLayer::MeanPool).linear(10), 32)
            }
        }
    }

    /// The program of an iteration, with rates for `iterations`, in the fused profile or not.
    pub fn iteration(self, iterations: u32, fused: bool) -> Result<Iteration, Failure> {
        let (layers, batch) = self.layers();
        let optimiser = Optimiser::SGD;
        let mean = match self {
            Name::Mlp => 0.05,
            Name::Encoder => 0.01,
            Name::Transformer | Name::Wide => 0.001,
        };
        let rate = |t: u32| optimiser.rate(mean, t.into(), batch);
        let rates = (0..iterations).map(rate).collect();
        let source = Source::Drawn { samples: 4 * batch, rates };
        let options = IterationOptions { optimiser, decay: 0.0, batch, source };
        Ok(match fused {
            true => Iteration::fused(&layers, &options)?,
            false => Iteration::new(&layers, &options)?,
        })
    }

    /// Four batches of samples whose labels depend on them, the same on every
    /// machine.
    fn dataset(self) -> Result<Dataset, Failure> {
        let (layers, batch) = self.layers();
        let count = 4 * batch as usize;
        let mut bytes = blake3::Hasher::new().update(b"samples").finalize_xof();
        if let Name::Encoder = self {
            let mut draws = vec![0u8; count * (LENGTH * ENCODER) as usize];
            bytes.fill(&mut draws);
            let row = (LENGTH * ENCODER) as usize;
            let labels: Vec<u32> = draws.chunks(row).map(|row| u32::from(row[0]) / 26).collect();
            let states: Vec<f32> = draws.iter().map(|&x| f32::from(x) / 64.0 - 2.0).collect();
            return Ok(Dataset::dense(&layers, &states, &labels)?);
        }
        if let Name::Mlp = self {
            let mut pixels = vec![0u8; count * 784];
            bytes.fill(&mut pixels);
            let labels: Vec<u32> = pixels.chunks(784).map(|row| u32::from(row[0]) / 26).collect();
            let pixels: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
            return Ok(Dataset::dense(&layers, &pixels, &labels)?);
        }
        // A token follows from the one before, most of the time.
        let mut ids = vec![];
        let mut draws = vec![0u8; count * (LENGTH as usize + 1)];
        bytes.fill(&mut draws);
        for row in draws.chunks(LENGTH as usize + 1) {
            let mut last = u32::from(row[0]) % VOCABULARY;
            for &draw in row {
                let next = if draw < 200 { last * 5 + 1 } else { draw.into() };
                ids.push(last);
                last = next % VOCABULARY;
            }
        }
        Ok(Dataset::tokens(&layers, &ids)?)
    }

    /// A job of a run in one segment, and the run.
    pub fn run(
        self,
        cpu: &Cpu,
        iterations: u32,
        fused: bool,
        rules: &TrainingRules,
    ) -> Result<(JobParameters, TrainingRun), Failure> {
        let (iteration, dataset) = (self.iteration(iterations, fused)?, self.dataset()?);
        let states: Vec<Tensor> = initial(&iteration, &[7; 32])?;
        let (job, beacon) = (poai_core::Job([1; 32]), Beacon([2; 32]));
        let job =
            JobParameters::new(&iteration, &dataset, &states, job, &beacon, iterations, rules)?;
        let seed = job.seed();
        let run = TrainingRun::new(iteration, dataset, states, seed, Arc::new(cpu.clone()))?;
        Ok((job, run))
    }
}
