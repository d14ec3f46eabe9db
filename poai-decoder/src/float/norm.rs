//! The norm by the root of the mean square (RMSNorm, arXiv:1910.07467).

use ndarray::{Array2, ArrayViewMut1};

/// Normalises each row.
pub(super) fn rows(x: &mut Array2<f32>, gamma: &[f32], epsilon: f64) {
    x.rows_mut().into_iter().for_each(|row| normalise(row, gamma, epsilon));
}

/// Normalises each head of each row. A head has as many columns as γ.
pub(super) fn heads(x: &mut Array2<f32>, gamma: &[f32], epsilon: f64) {
    for mut row in x.rows_mut() {
        for head in row.axis_chunks_iter_mut(ndarray::Axis(0), gamma.len()) {
            normalise(head, gamma, epsilon);
        }
    }
}

fn normalise(mut row: ArrayViewMut1<'_, f32>, gamma: &[f32], epsilon: f64) {
    let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
    let inverse = 1.0 / (squares / row.len() as f64 + epsilon).sqrt();
    for (x, &gamma) in row.iter_mut().zip(gamma) {
        *x = (f64::from(*x) * inverse) as f32 * gamma;
    }
}
