//! Loss and accuracy of a batch, for reports. No commitment depends on them.

use crate::numbers::ACTIVATION;

/// The mean loss of some answers, and how many are right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// The mean cross entropy in nats.
    pub mean: f64,
    /// The right answers.
    pub right: u32,
    /// All answers: samples, or tokens of samples.
    pub answers: u32,
}

impl Loss {
    /// The loss of logits, row by row, under labels.
    pub fn of(logits: &[i32], labels: &[i32], classes: usize) -> Loss {
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
