//! What follows an encoder: pooling of tokens, products and normalisation.

use super::weights::Dense;
use ndarray::{Array1, ArrayView1, ArrayView2, Axis};
use std::fmt;

/// How the states of a sentence's tokens become one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The mean of all tokens.
    Mean,
    /// The first token, which BERT calls CLS.
    FirstToken,
}

/// The activation of a product that follows pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadActivation {
    /// None.
    Identity,
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

/// One step after pooling.
#[derive(Clone, Debug)]
pub(super) enum HeadStep {
    /// A product and its activation.
    Dense(Dense, HeadActivation),
    /// The row divided by its Euclidean length.
    Normalise,
}

/// The modules after an encoder. They make a sentence's embedding of the states
/// of its tokens. As text it lists them.
#[derive(Clone, Debug)]
pub struct SentenceHead {
    pub(super) pooling: Pooling,
    pub(super) steps: Vec<HeadStep>,
    pub(super) stated: bool,
}

impl Default for SentenceHead {
    /// The mean of all tokens, scaled to Euclidean length 1.
    fn default() -> SentenceHead {
        let steps = vec![HeadStep::Normalise];
        SentenceHead { pooling: Pooling::Mean, steps, stated: false }
    }
}

impl SentenceHead {
    /// How tokens are pooled.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The products after pooling: their inputs, outputs and activations.
    pub fn products(&self) -> impl Iterator<Item = (usize, usize, HeadActivation)> {
        self.steps.iter().filter_map(|step| match step {
            HeadStep::Dense(dense, activation) => {
                Some((dense.weights.ncols(), dense.weights.nrows(), *activation))
            }
            HeadStep::Normalise => None,
        })
    }

    /// Whether embeddings have Euclidean length 1.
    pub fn normalises(&self) -> bool {
        matches!(self.steps.last(), Some(HeadStep::Normalise))
    }

    /// Whether the model's `modules.json` states the head. If not, it is the
    /// default.
    pub fn is_stated(&self) -> bool {
        self.stated
    }

    /// The columns of an embedding of states with this number of columns.
    pub(super) fn columns(&self, hidden: usize) -> usize {
        self.products().last().map_or(hidden, |(_, outputs, _)| outputs)
    }

    /// The values of the head in order: the pooled row, then for each product
    /// its sums and its outputs, and for each normalisation its outputs. The
    /// last one is the embedding.
    pub(super) fn stages(&self, states: ArrayView2<'_, f32>) -> Vec<Array1<f32>> {
        let pooled = match self.pooling {
            Pooling::Mean => states.mean_axis(Axis(0)),
            Pooling::FirstToken => states.rows().into_iter().next().map(|row| row.to_owned()),
        };
        let mut stages = vec![pooled.unwrap_or_default()];
        for step in &self.steps {
            let last = &stages[stages.len() - 1];
            match step {
                HeadStep::Normalise => {
                    let row = unit(last.view());
                    stages.push(row);
                }
                HeadStep::Dense(dense, activation) => {
                    let sums = dense.weights.dot(last) + ArrayView1::from(&dense.bias);
                    let outputs = sums.mapv(|x| match activation {
                        HeadActivation::Identity => x,
                        HeadActivation::Tanh => x.tanh(),
                        HeadActivation::Relu => x.max(0.0),
                    });
                    stages.extend([sums, outputs]);
                }
            }
        }
        stages
    }
}

/// A row scaled to Euclidean length 1. A row of zeros stays.
fn unit(row: ArrayView1<'_, f32>) -> Array1<f32> {
    let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    row.mapv(|x| (f64::from(x) / length.max(f64::MIN_POSITIVE)) as f32)
}

impl fmt::Display for SentenceHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.pooling {
            Pooling::Mean => "mean of the tokens",
            Pooling::FirstToken => "first token",
        })?;
        for step in &self.steps {
            match step {
                HeadStep::Normalise => f.write_str(", length 1")?,
                HeadStep::Dense(dense, activation) => {
                    let name = match activation {
                        HeadActivation::Identity => "",
                        HeadActivation::Tanh => " with tanh",
                        HeadActivation::Relu => " with ReLU",
                    };
                    let (outputs, inputs) = dense.weights.dim();
                    write!(f, ", product {inputs}→{outputs}{name}")?;
                }
            }
        }
        Ok(())
    }
}
