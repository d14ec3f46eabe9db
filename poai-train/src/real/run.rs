//! Iterations one after another, in real numbers.

use super::error::RealError;
use super::loss;
use super::network::RealNetwork;
use super::value::{Real, RealValue};
use crate::dataset::Dataset;
use crate::iteration::{Iteration, Source};
use crate::run::{Loss, TrainError};
use ndarray::{Array2, CowArray, Ix2, array};
use poai_engine::execute::Tensor;

/// A run of training in real numbers: the floating-point peer of
/// [`crate::TrainingRun`], with the same batches, rates and initial weights.
#[derive(Clone, Debug)]
pub struct RealRun<F> {
    network: RealNetwork<F>,
    iteration: Iteration,
    dataset: Dataset,
    seed: [u8; 32],
    states: Vec<RealValue<F>>,
    t: u32,
    total: u32,
    history: Vec<Loss>,
}

impl<F: Real> RealRun<F> {
    /// A run from initial states. The seed orders samples, as in integers.
    ///
    /// # Errors
    /// [`RealError::Train`] if the iteration draws from another number of samples
    /// than the dataset has, or has another number of states.
    pub fn new(
        iteration: &Iteration,
        dataset: &Dataset,
        states: &[Tensor],
        seed: [u8; 32],
    ) -> Result<RealRun<F>, RealError> {
        let expected = dataset.count();
        let total = match iteration.source() {
            Source::Drawn { samples, rates } if *samples == expected => rates.len(),
            Source::Drawn { samples, .. } => {
                let got = format!("draws from {samples}");
                return Err(TrainError::Source { expected, got }.into());
            }
            Source::Given => {
                let got = "takes its batches as inputs".into();
                return Err(TrainError::Source { expected, got }.into());
            }
        };
        let (expected, got) = (iteration.states().len(), states.len());
        if expected != got {
            return Err(TrainError::States { expected, got }.into());
        }
        Ok(RealRun {
            network: RealNetwork::new(iteration.network()),
            iteration: iteration.clone(),
            dataset: dataset.clone(),
            seed,
            states: states.iter().map(RealValue::real).collect(),
            t: 0,
            // Exact: at most 2^24 rates.
            total: total as u32,
            history: vec![],
        })
    }

    /// Runs the next iteration, and returns the loss of its batch before the update.
    ///
    /// # Errors
    /// [`RealError`]. The states stay as they were.
    pub fn step(&mut self) -> Result<Loss, RealError> {
        if self.t == self.total {
            return Err(TrainError::Done(self.total).into());
        }
        let words = self.seed.as_chunks::<4>().0.iter().map(|&word| i32::from_le_bytes(word));
        let seed: Array2<i32> = Array2::from_shape_vec((8, 1), words.collect())
            .map_err(|_| RealError::Internal("seed".into()))?;
        let mut inputs = self.states.clone();
        inputs.extend([
            RealValue::Exact(seed),
            // Exact: at most 2^24 iterations.
            RealValue::Exact(array![[self.t as i32]]),
            RealValue::exact(&self.dataset.samples().tensor),
            RealValue::exact(&self.dataset.labels().tensor),
        ]);
        let mut outputs = self.network.run(&self.iteration.shape(), inputs)?;
        let logits = outputs.get(self.states.len());
        let logits = logits.ok_or_else(|| RealError::Internal("logits".into()))?;
        let kind = self.iteration.loss();
        let loss = loss::of(
            kind,
            &logits.reals().into_owned(),
            &self.dataset.drawn_labels(&self.seed, self.t, self.iteration.shape().batch),
        );
        outputs.truncate(self.states.len());
        self.states = outputs;
        self.t += 1;
        self.history.push(loss);
        Ok(loss)
    }

    /// The states now, in the iteration's order and in the integers' units.
    pub fn states(&self) -> impl Iterator<Item = CowArray<'_, F, Ix2>> {
        self.states.iter().map(RealValue::reals)
    }

    /// The number of iterations that are done.
    pub fn done(&self) -> u32 {
        self.t
    }

    /// The number of all iterations.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The losses of all iterations that are done.
    pub fn history(&self) -> &[Loss] {
        &self.history
    }

    /// The iteration.
    pub fn iteration(&self) -> &Iteration {
        &self.iteration
    }
}
