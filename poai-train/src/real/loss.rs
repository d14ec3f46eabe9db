//! Losses and accuracy of real outputs.

use super::value::Real;
use crate::layers::TrainLoss;
use crate::numbers::ACTIVATION;
use crate::run::Loss;
use ndarray::{Array2, ArrayView1};

/// The loss of outputs, row by row, under labels or targets.
pub(super) fn of<F: Real>(kind: TrainLoss, outputs: &Array2<F>, labels: &[i32]) -> Loss {
    let one = f64::from(1 << ACTIVATION);
    let row = |row: ArrayView1<'_, F>| -> Vec<f64> { row.iter().map(|x| x.wide() / one).collect() };
    let rows = outputs.rows().into_iter().map(row);
    let (mut sum, mut right) = (0.0, 0);
    match kind {
        TrainLoss::CrossEntropy => {
            for (row, &label) in rows.zip(labels) {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = row.iter().map(|x| libm::exp(x - largest)).sum();
                let label = usize::try_from(label).ok();
                let own = label.and_then(|label| row.get(label)).copied().unwrap_or(largest);
                sum += libm::log(total) - (own - largest);
                let first = row.iter().position(|&x| x == largest);
                right += u32::from(first.is_some() && first == label);
            }
        }
        TrainLoss::MeanSquares => {
            for (row, targets) in rows.zip(labels.chunks_exact(outputs.ncols().max(1))) {
                let difference = |(y, &target): (&f64, &i32)| y - f64::from(target) / one;
                let squares = row.iter().zip(targets).map(difference).map(|x| x * x / 2.0);
                sum += squares.sum::<f64>();
            }
        }
    }
    // Exact: rows of a batch.
    let answers = outputs.nrows() as u32;
    Loss { mean: sum / f64::from(answers.max(1)), right, answers }
}
