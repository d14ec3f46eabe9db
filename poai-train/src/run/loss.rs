//! Loss and accuracy of a batch, for reports. No commitment depends on them.

use crate::layers::TrainLoss;
use crate::numbers::ACTIVATION;

/// The mean loss of some answers, and how many of them are right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// The mean cross entropy in nats, or half the squared difference of a row.
    pub mean: f64,
    /// The right answers; 0 for targets, which no answer meets.
    pub right: u32,
    /// All answers: samples, or tokens of samples.
    pub answers: u32,
}

impl Loss {
    /// The loss of logits, row by row, under labels.
    pub fn of(kind: TrainLoss, logits: &[i32], labels: &[i32], columns: usize) -> Loss {
        match kind {
            TrainLoss::CrossEntropy => Loss::cross_entropy(logits, labels, columns),
            TrainLoss::MeanSquares => Loss::mean_squares(logits, labels, columns),
        }
    }

    fn mean_squares(outputs: &[i32], targets: &[i32], columns: usize) -> Loss {
        let one = f64::from(1 << ACTIVATION);
        let half_square = |(&y, &target): (&i32, &i32)| {
            let difference = (f64::from(y) - f64::from(target)) / one;
            difference * difference / 2.0
        };
        let sum: f64 = outputs.iter().zip(targets).map(half_square).sum();
        // Exact: rows of a batch.
        let answers = (outputs.len() / columns.max(1)) as u32;
        Loss { mean: sum / f64::from(answers.max(1)), right: 0, answers }
    }

    fn cross_entropy(logits: &[i32], labels: &[i32], classes: usize) -> Loss {
        let one = f64::from(1 << ACTIVATION);
        let mut loss = Loss::default();
        let mut sum = 0.0;
        for (row, &label) in logits.chunks_exact(classes.max(1)).zip(labels) {
            let largest = row.iter().copied().max().unwrap_or(0);
            let exponential = |&x: &i32| libm::exp((f64::from(x) - f64::from(largest)) / one);
            let total: f64 = row.iter().map(exponential).sum();
            let own = usize::try_from(label).ok().and_then(|label| row.get(label));
            let own = own.copied().unwrap_or(largest);
            sum += libm::log(total) - (f64::from(own) - f64::from(largest)) / one;
            let first = row.iter().position(|&x| x == largest);
            loss.right += u32::from(first == usize::try_from(label).ok());
            loss.answers += 1;
        }
        loss.mean = sum / f64::from(loss.answers.max(1));
        loss
    }

    /// The share of right answers.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.right) / f64::from(self.answers.max(1))
    }
}
