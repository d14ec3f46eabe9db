//! The forward pass in f32.

use super::weights::{Dense, Norm};
use super::{BertError, Encoder};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};
use rayon::prelude::*;
use std::ops::Range;

/// Tokens that are multiplied at once.
pub(super) const GROUP_TOKENS: usize = 512;

/// The values that the float model computes for one sequence.
#[derive(Clone, Debug)]
pub struct Floats {
    /// Hidden states, tokens×hidden: first the embeddings, then the output of
    /// every layer.
    pub hidden: Vec<Array2<f32>>,
    /// What the encoder's head makes of the last hidden states: by default
    /// their mean over the tokens, scaled to Euclidean length 1.
    pub embedding: Vec<f32>,
}

/// One layer's values for a group of tokens.
pub(super) struct Values {
    /// The layer's input.
    pub(super) x: Array2<f32>,
    pub(super) q: Array2<f32>,
    pub(super) k: Array2<f32>,
    pub(super) v: Array2<f32>,
    /// The normalised state after attention.
    pub(super) middle: Array2<f32>,
    /// The layer's output.
    pub(super) output: Array2<f32>,
}

impl Encoder {
    /// Runs the float model, sequence by sequence.
    ///
    /// # Errors
    /// [`BertError`] if a sequence is empty or too long, a token is outside the
    /// vocabulary, or an activation exceeds f32.
    pub fn run_float(&self, sequences: &[Vec<u32>]) -> Result<Vec<Floats>, BertError> {
        self.check(sequences)?;
        let groups = groups(sequences);
        let runs = groups.par_iter().map(|group| {
            let mut all: Vec<Floats> =
                group.iter().map(|_| Floats { hidden: vec![], embedding: vec![] }).collect();
            let mut keep = |states: &Array2<f32>| {
                for (run, tokens) in all.iter_mut().zip(segments(group)) {
                    run.hidden.push(states.slice(s![tokens, ..]).to_owned());
                }
            };
            self.forward(group, &mut |layer, values| {
                if layer == 0 {
                    keep(&values.x);
                }
                keep(&values.output);
                Ok(())
            })?;
            for run in &mut all {
                let Some(last) = run.hidden.last() else { continue };
                let embedding = self.head.stages(last.view()).pop().unwrap_or_default();
                if embedding.iter().any(|entry| !entry.is_finite()) {
                    return Err(BertError::Head);
                }
                run.embedding = embedding.to_vec();
            }
            Ok(all)
        });
        let runs: Vec<Vec<Floats>> = runs.collect::<Result<_, BertError>>()?;
        Ok(runs.into_iter().flatten().collect())
    }

    /// Runs one group of sequences, layer by layer.
    pub(super) fn forward(
        &self,
        group: &[Vec<u32>],
        visit: &mut dyn FnMut(usize, &Values) -> Result<(), BertError>,
    ) -> Result<(), BertError> {
        let (config, weights) = (&self.config, &self.weights);
        let places = group.iter().flat_map(|ids| ids.iter().enumerate());
        let tokens = group.iter().map(Vec::len).sum();
        let mut x = Array2::zeros((tokens, config.hidden));
        for (mut row, (position, &id)) in x.rows_mut().into_iter().zip(places) {
            row += &weights.words.row(id as usize);
            row += &weights.positions.row(position);
        }
        let mut x = normalise(x, &weights.norm, config.epsilon);
        for (index, layer) in weights.layers.iter().enumerate() {
            let q = dense(&x, &layer.query);
            let k = dense(&x, &layer.key);
            let v = dense(&x, &layer.value);
            let context = self.attend(group, [&q, &k, &v]);
            let attended = dense(&context, &layer.output) + &x;
            let middle = normalise(attended, &layer.attention_norm, config.epsilon);
            let inner = dense(&middle, &layer.up).mapv(|x| gelu(x.into()) as f32);
            let outer = dense(&inner, &layer.down) + &middle;
            let output = normalise(outer, &layer.norm, config.epsilon);
            let values = Values { x, q, k, v, middle, output };
            // An infinite entry anywhere becomes NaN in a normalisation, so
            // this check of the output is enough.
            if values.output.iter().any(|entry| !entry.is_finite()) {
                return Err(BertError::Activations { layer: index });
            }
            visit(index, &values)?;
            x = values.output;
        }
        Ok(())
    }

    /// Computes attention within each sequence.
    fn attend(&self, group: &[Vec<u32>], [q, k, v]: [&Array2<f32>; 3]) -> Array2<f32> {
        let d = self.config.head();
        let scale = 1.0 / (d as f32).sqrt();
        let mut context = Array2::zeros(q.dim());
        for tokens in segments(group) {
            for head in 0..self.config.heads {
                let own = s![tokens.clone(), head * d..(head + 1) * d];
                let mut weights = q.slice(own).dot(&k.slice(own).t()) * scale;
                if let Some(biases) = &self.weights.biases {
                    for ((query, key), score) in weights.indexed_iter_mut() {
                        *score += biases.of(head, query, key);
                    }
                }
                for mut row in weights.rows_mut() {
                    let max = row.fold(f32::NEG_INFINITY, |max, &score| max.max(score));
                    row.mapv_inplace(|score| (score - max).exp());
                    let sum = row.sum();
                    row /= sum;
                }
                let mut context = context.slice_mut(own);
                general_mat_mul(1.0, &weights, &v.slice(own), 0.0, &mut context);
            }
        }
        context
    }
}

/// Groups of sequences with few tokens each. No sequence is cut.
pub(super) fn groups(sequences: &[Vec<u32>]) -> Vec<&[Vec<u32>]> {
    let mut groups = vec![];
    let (mut start, mut tokens) = (0, 0);
    for (index, ids) in sequences.iter().enumerate() {
        if index > start && tokens + ids.len() > GROUP_TOKENS {
            groups.push(&sequences[start..index]);
            (start, tokens) = (index, 0);
        }
        tokens += ids.len();
    }
    groups.push(&sequences[start..]);
    groups.retain(|group| !group.is_empty());
    groups
}

/// The rows of each sequence of a group.
pub(super) fn segments(group: &[Vec<u32>]) -> impl Iterator<Item = Range<usize>> {
    group.iter().scan(0, |start, ids| {
        let first = *start;
        *start += ids.len();
        Some(first..*start)
    })
}

fn dense(x: &Array2<f32>, dense: &Dense) -> Array2<f32> {
    let shape = (x.nrows(), dense.bias.len());
    let mut y = Array2::from_shape_fn(shape, |(_, output)| dense.bias[output]);
    general_mat_mul(1.0, x, &dense.weights.t(), 1.0, &mut y);
    y
}

fn normalise(mut x: Array2<f32>, norm: &Norm, epsilon: f64) -> Array2<f32> {
    for mut row in x.rows_mut() {
        let n = row.len() as f64;
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for (x, (&gamma, &beta)) in row.iter_mut().zip(norm.gamma.iter().zip(&norm.beta)) {
            *x = ((f64::from(*x) - mean) * inverse) as f32 * gamma + beta;
        }
    }
    x
}

/// `x·Φ(x)`.
pub(super) fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}
