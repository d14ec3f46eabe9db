//! Ranges of the float model's activations on calibration sequences.

use super::float::{Values, groups, segments};
use super::{BertError, Encoder};
use ndarray::{Array2, s};
use poai_core::control::Control;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// The measured ranges of an encoder.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    pub(super) layers: Vec<LayerRanges>,
    /// The largest magnitude of each stage of the head.
    pub(super) head: Vec<f32>,
}

/// The measured ranges of one layer.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerRanges {
    /// Largest magnitude of each column of the layer's input.
    pub(super) x: Vec<f32>,
    /// Largest magnitude of each column of the state between attention and
    /// feed-forward.
    pub(super) middle: Vec<f32>,
    /// Largest magnitude in each head of queries, keys and values, one entry
    /// per token and head.
    heads: [Vec<f32>; 3],
}

/// A part of attention.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Query,
    Key,
    Value,
}

impl LayerRanges {
    fn add(&mut self, values: &Values, heads: usize) {
        columns(&mut self.x, &values.x);
        columns(&mut self.middle, &values.middle);
        for (tokens, values) in self.heads.iter_mut().zip([&values.q, &values.k, &values.v]) {
            let d = values.ncols() / heads;
            let largest = |part: &[f32]| part.iter().fold(0f32, |max, x| max.max(x.abs()));
            let rows = values.as_slice().unwrap_or_default().chunks_exact(d);
            tokens.extend(rows.map(largest));
        }
    }

    fn merge(&mut self, other: LayerRanges) {
        for (own, other) in [(&mut self.x, other.x), (&mut self.middle, other.middle)] {
            own.resize(other.len(), 0.0);
            for (own, other) in own.iter_mut().zip(other) {
                *own = own.max(other);
            }
        }
        for (own, other) in self.heads.iter_mut().zip(other.heads) {
            own.extend(other);
        }
    }

    /// For each head, the magnitude that `percentile` per cent of the tokens do
    /// not exceed; never 0.
    pub(super) fn head_ranges(&self, part: Part, heads: usize, percentile: f64) -> Vec<f64> {
        let tokens = &self.heads[part as usize];
        let range = |head: usize| {
            let mut own: Vec<f32> = tokens.iter().skip(head).step_by(heads).copied().collect();
            own.sort_unstable_by(f32::total_cmp);
            let last = own.len().saturating_sub(1);
            let at = (percentile / 100.0 * last as f64).round() as usize;
            own.get(at.min(last)).map_or(0.0, |&x| f64::from(x)).max(1e-6)
        };
        (0..heads).map(range).collect()
    }
}

/// Raises `maxima` to the largest magnitudes of a matrix's columns.
fn columns(maxima: &mut Vec<f32>, values: &Array2<f32>) {
    maxima.resize(values.ncols(), 0.0);
    for row in values.rows() {
        for (max, x) in maxima.iter_mut().zip(row) {
            *max = max.max(x.abs());
        }
    }
}

impl Encoder {
    /// Runs the float model on all sequences and measures the ranges.
    pub(super) fn measure(
        &self,
        sequences: &[Vec<u32>],
        control: &Control,
    ) -> Result<Ranges, BertError> {
        let (done, total) = (AtomicU64::new(0), sequences.len() as u64);
        let layers = self.config.layers;
        let none = || Ranges { layers: vec![LayerRanges::default(); layers], head: vec![] };
        let groups = groups(sequences);
        let measured = groups.par_iter().map(|group| {
            control.check()?;
            let mut ranges = none();
            self.forward(group, &mut |layer, values| {
                ranges.layers[layer].add(values, self.config.heads);
                if layer + 1 < layers {
                    return Ok(());
                }
                for tokens in segments(group) {
                    let stages = self.head.stages(values.output.slice(s![tokens, ..]));
                    ranges.head.resize(stages.len(), 0.0);
                    for (max, stage) in ranges.head.iter_mut().zip(stages) {
                        if stage.iter().any(|entry| !entry.is_finite()) {
                            return Err(BertError::Head);
                        }
                        *max = stage.fold(*max, |max, x| max.max(x.abs()));
                    }
                }
                Ok(())
            })?;
            let own = group.len() as u64;
            control.report(done.fetch_add(own, Ordering::Relaxed) + own, total);
            Ok(ranges)
        });
        measured.try_reduce(none, |mut a, b| {
            for (a, b) in a.layers.iter_mut().zip(b.layers) {
                a.merge(b);
            }
            a.head.resize(a.head.len().max(b.head.len()), 0.0);
            for (a, b) in a.head.iter_mut().zip(b.head) {
                *a = a.max(b);
            }
            Ok(a)
        })
    }
}
