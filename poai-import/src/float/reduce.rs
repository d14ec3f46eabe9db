//! Means, maxima, softmax and normalisations.

use crate::graph::{Reduction, ValueShape};

/// One entry for all entries along some axes.
pub(super) fn reduce(
    x: &[f32],
    shape: &ValueShape,
    axes: &[usize],
    how: Reduction,
    out: &mut [f32],
) {
    let count: usize = axes.iter().map(|&axis| shape.0[axis]).product();
    out.fill(match how {
        Reduction::Mean => 0.0,
        Reduction::Max => f32::NEG_INFINITY,
    });
    // Sums in f64, so that long means round once.
    let mut sums = vec![0.0f64; if how == Reduction::Mean { out.len() } else { 0 }];
    let mut place = vec![0; shape.rank()];
    for &entry in x {
        let to = shape.0.iter().zip(&place).enumerate().fold(0, |to, (axis, (&size, &at))| {
            if axes.contains(&axis) { to } else { to * size + at }
        });
        match how {
            Reduction::Mean => sums[to] += f64::from(entry),
            Reduction::Max => out[to] = out[to].max(entry),
        }
        for axis in (0..shape.rank()).rev() {
            place[axis] += 1;
            if place[axis] < shape.0[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = (sum / count.max(1) as f64) as f32;
    }
}

/// Softmax of each row.
pub(super) fn softmax(x: &[f32], columns: usize, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(columns.max(1)).zip(out.chunks_exact_mut(columns.max(1))) {
        let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (x - max).exp();
            sum += *out;
        }
        out.iter_mut().for_each(|out| *out /= sum);
    }
}

/// LayerNorm of each row, or RMSNorm without `centre`.
pub(super) fn normalise(
    x: &[f32],
    centre: bool,
    epsilon: f32,
    gamma: &[f32],
    beta: &[f32],
    out: &mut [f32],
) {
    let columns = gamma.len().max(1);
    for (x, out) in x.chunks_exact(columns).zip(out.chunks_exact_mut(columns)) {
        let sum: f64 = x.iter().map(|&x| f64::from(x)).sum();
        let mean = if centre { sum / columns as f64 } else { 0.0 };
        let squares: f64 = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
        let inverse = 1.0 / (squares / columns as f64 + f64::from(epsilon)).sqrt();
        let affine = gamma.iter().zip(beta);
        for ((out, &x), (&gamma, &beta)) in out.iter_mut().zip(x).zip(affine) {
            *out = ((f64::from(x) - mean) * inverse) as f32 * gamma + beta;
        }
    }
}
