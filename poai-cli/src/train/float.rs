//! The same training in floating point, for comparison.

use super::held::Held;
use super::setup::Setup;
use crate::failure::Failure;
use crate::terminal;
use indicatif::ProgressBar;
use poai::train::Layers;
use poai::train::real::{RealForward, RealRun};
use poai::train::run::Loss;
use std::time::Instant;

/// What training in floating point came to: same weights, batches and rates.
pub struct Float {
    /// The losses of all iterations.
    pub history: Vec<Loss>,
    /// Loss and accuracy on the samples that were kept.
    pub test: Loss,
    pub seconds: f64,
}

impl Float {
    /// Trains a setup's program in f32.
    pub fn train(
        setup: &Setup,
        layers: &Layers,
        held: &Held,
        quiet: bool,
    ) -> Result<Float, Failure> {
        let start = Instant::now();
        let Setup { iteration, dataset, first, job, .. } = setup;
        let mut run = RealRun::<f32>::new(iteration, dataset, first, job.seed())?;
        let bar = match quiet {
            true => ProgressBar::hidden(),
            false => terminal::bar(run.total().into(), "{pos}/{len} in floating point, {eta} left"),
        };
        while run.done() < run.total() {
            let loss = run.step()?;
            bar.set_message(format!("loss {:.4} ", loss.mean));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let forward = RealForward::new(layers)?;
        let test = held.mean(|samples, labels| Ok(forward.evaluate(&run, samples, labels)?))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Float { history: run.history().to_vec(), test, seconds })
    }
}
