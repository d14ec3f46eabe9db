//! Causal attention with grouped queries and windows.

use crate::DecoderConfig;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

/// Queries whose scores are computed at once.
const QUERIES: usize = 256;

/// The values that each query sees, weighted: tokens×(heads·head).
pub(super) fn attend(
    config: &DecoderConfig,
    window: Option<usize>,
    [q, k, v]: [&Array2<f32>; 3],
) -> Array2<f32> {
    let d = config.head;
    let mut context = Array2::zeros(q.dim());
    let heads = context.axis_chunks_iter_mut(Axis(1), d).into_par_iter().enumerate();
    heads.for_each(|(head, mut context)| {
        let group = head * config.kv_heads / config.heads;
        let [keys, values] = [k, v].map(|x| x.slice(s![.., group * d..(group + 1) * d]));
        for first in (0..q.nrows()).step_by(QUERIES) {
            let last = (first + QUERIES).min(q.nrows());
            let start = window.map_or(0, |window| (first + 1).saturating_sub(window));
            let queries = q.slice(s![first..last, head * d..(head + 1) * d]);
            let mut weights = queries.dot(&keys.slice(s![start..last, ..]).t());
            for (offset, mut row) in weights.rows_mut().into_iter().enumerate() {
                let place = first + offset;
                let from = window.map_or(0, |window| (place + 1).saturating_sub(window));
                let seen = from - start..place + 1 - start;
                row.slice_mut(s![..seen.start]).fill(0.0);
                row.slice_mut(s![seen.end..]).fill(0.0);
                let mut row = row.slice_mut(s![seen]);
                row.mapv_inplace(|score| {
                    let score = score * config.score_scale;
                    config.score_cap.map_or(score, |cap| cap * (score / cap).tanh())
                });
                let max = row.fold(f32::NEG_INFINITY, |max, &score| max.max(score));
                row.mapv_inplace(|score| (score - max).exp());
                let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
                row.mapv_inplace(|weight| (f64::from(weight) / sum) as f32);
            }
            let values = values.slice(s![start..last, ..]);
            let mut context = context.slice_mut(s![first..last, ..]);
            general_mat_mul(1.0, &weights, &values, 0.0, &mut context);
        }
    });
    context
}
