//! Samples that are kept from training, and the loss of a network on them.

use crate::failure::Failure;
use poai::execute::{RunError, Tensor};
use poai::train::iteration::Forward;
use poai::train::run::Loss;
use poai::train::{Dataset, Iteration};
use std::sync::Arc;

/// The samples that run together. An exponent is that of all of them.
const TOGETHER: usize = 64;

/// Some samples of a dataset.
pub struct Held {
    samples: Arc<Tensor>,
    labels: Arc<Tensor>,
    rows: Vec<u32>,
}

impl Held {
    /// All samples of a dataset.
    pub fn all(dataset: &Dataset) -> Held {
        Held::of(dataset, (0..dataset.count()).collect())
    }

    /// Samples by their rows in a dataset.
    pub fn of(dataset: &Dataset, rows: Vec<u32>) -> Held {
        let [samples, labels] =
            [dataset.samples(), dataset.labels()].map(|input| input.tensor.clone());
        Held { samples, labels, rows }
    }

    /// Loss and accuracy of states on the samples.
    pub fn evaluate(
        &self,
        forward: &Forward,
        iteration: &Iteration,
        states: &[Arc<Tensor>],
    ) -> Result<Loss, Failure> {
        self.mean(|samples, labels| Ok(forward.evaluate(iteration, states, samples, labels)?))
    }

    /// The loss on all samples, from that on some of them with their labels.
    pub fn mean(
        &self,
        loss: impl Fn(&Tensor, &Tensor) -> Result<Loss, Failure>,
    ) -> Result<Loss, Failure> {
        let mut sum = Loss::default();
        for rows in self.rows.chunks(TOGETHER) {
            let part = loss(&select(&self.samples, rows)?, &select(&self.labels, rows)?)?;
            sum.mean += part.mean * f64::from(part.answers);
            sum.right += part.right;
            sum.answers += part.answers;
        }
        sum.mean /= f64::from(sum.answers.max(1));
        Ok(sum)
    }
}

/// Some rows of a tensor.
pub fn select(tensor: &Tensor, rows: &[u32]) -> Result<Tensor, Failure> {
    let extent = tensor.extent();
    let columns = extent.columns as usize;
    let mut entries = vec![0; rows.len() * columns];
    for (&row, entries) in rows.iter().zip(entries.chunks_exact_mut(columns.max(1))) {
        tensor.rows().read(row, entries).ok_or(RunError::Layout)?;
    }
    Ok(Tensor::new(rows.len(), columns, extent.dtype, &entries)?)
}
