//! The forward pass in f32.
//!
//! It is written to be read, and is the reference for quantisation. Sums of
//! norms and of softmax are in f64.
//!
//! - `attention`: grouped queries with windows;
//! - `norm`: the norm by the root of the mean square;
//! - `rope`: turns by places.

mod attention;
mod norm;
mod rope;

use crate::{
    DecoderCheckpoint, DecoderConfig, DecoderError, DecoderLayer, GatedActivation, Linear,
};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis, Zip};
use rayon::prelude::*;

/// Rows of a product that one task computes.
const TASK_ROWS: usize = 128;

/// What an observer sees of a layer, in this order. Each is a matrix with a row
/// a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Observed {
    /// The residual stream before the layer. Of the last layer's number and 1:
    /// before the last norm.
    Residual,
    /// The input of the products to queries, keys and values.
    AttentionInput,
    /// Queries after they turn, (heads·head) columns.
    Query,
    /// Keys after they turn, (kv_heads·head) columns.
    Key,
    /// Values, (kv_heads·head) columns.
    Value,
    /// The input of the product after attention, (heads·head) columns.
    Context,
    /// The input of the products to gate and up.
    InnerInput,
    /// The input of the product down, inner columns.
    Inner,
    /// The input of the head, for the number of layers.
    HeadInput,
}

/// An observer: the layer's index, what it sees, and the entries.
pub type Observer<'a> = dyn FnMut(usize, Observed, ArrayView2<'_, f32>) + 'a;

/// A decoder with all weights in f32.
pub struct FloatDecoder {
    config: DecoderConfig,
    words: Array2<f32>,
    layers: Vec<DecoderLayer>,
    last_norm: Vec<f32>,
    /// `None` if the words are tied.
    head: Option<Array2<f32>>,
}

impl FloatDecoder {
    /// Reads all tensors of a model: 4 bytes a parameter. To hold one layer at a
    /// time, call [`embed`], [`DecoderLayer::run`] and [`logits_of`] with the
    /// tensors of the checkpoint.
    ///
    /// # Errors
    /// [`DecoderError`] if a tensor is missing or wrong.
    pub fn load(checkpoint: &DecoderCheckpoint) -> Result<FloatDecoder, DecoderError> {
        let config = checkpoint.config().clone();
        let layers = (0..config.layers()).map(|index| checkpoint.layer(index));
        Ok(FloatDecoder {
            words: checkpoint.words()?,
            layers: layers.collect::<Result<_, _>>()?,
            last_norm: checkpoint.last_norm()?,
            head: if config.tied { None } else { Some(checkpoint.head()?) },
            config,
        })
    }

    /// The model's sizes and settings.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The residual stream after the last layer, tokens×hidden.
    ///
    /// # Errors
    /// [`DecoderError`] if the prompt is empty or too long, a token is not in the
    /// vocabulary, or an activation exceeds f32.
    pub fn residual(
        &self,
        ids: &[u32],
        observe: &mut Observer<'_>,
    ) -> Result<Array2<f32>, DecoderError> {
        let mut x = embed(&self.config, &self.words, ids)?;
        for (index, layer) in self.layers.iter().enumerate() {
            layer.run(&self.config, index, &mut x, observe)?;
        }
        observe(self.layers.len(), Observed::Residual, x.view());
        Ok(x)
    }

    /// The logits of some rows of the residual stream, rows×vocabulary.
    ///
    /// # Errors
    /// [`DecoderError::Activations`] if one exceeds f32.
    pub fn logits_of(
        &self,
        residual: ArrayView2<'_, f32>,
        observe: &mut Observer<'_>,
    ) -> Result<Array2<f32>, DecoderError> {
        let head = self.head.as_ref().unwrap_or(&self.words);
        logits_of(&self.config, &self.last_norm, head, residual, observe)
    }

    /// The logits of every place of a prompt, tokens×vocabulary.
    ///
    /// # Errors
    /// As [`FloatDecoder::residual`].
    pub fn logits(
        &self,
        ids: &[u32],
        observe: &mut Observer<'_>,
    ) -> Result<Array2<f32>, DecoderError> {
        let residual = self.residual(ids, observe)?;
        self.logits_of(residual.view(), observe)
    }
}

/// The rows of words for a prompt, with the model's factor.
///
/// # Errors
/// [`DecoderError`] if the prompt is empty or too long, or a token is not in the
/// vocabulary.
pub fn embed(
    config: &DecoderConfig,
    words: &Array2<f32>,
    ids: &[u32],
) -> Result<Array2<f32>, DecoderError> {
    let (tokens, limit) = (ids.len(), config.places);
    if ids.is_empty() || tokens > limit {
        return Err(DecoderError::Length { tokens, limit });
    }
    let vocabulary = words.nrows();
    if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
        return Err(DecoderError::Token { id, vocabulary });
    }
    let rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
    Ok(words.select(Axis(0), &rows) * config.embedding_scale)
}

/// The logits of rows of the residual stream after the last layer.
/// `head` is vocabulary×hidden.
///
/// # Errors
/// [`DecoderError::Activations`] if a logit exceeds f32.
pub fn logits_of(
    config: &DecoderConfig,
    last_norm: &[f32],
    head: &Array2<f32>,
    residual: ArrayView2<'_, f32>,
    observe: &mut Observer<'_>,
) -> Result<Array2<f32>, DecoderError> {
    let mut x = residual.to_owned();
    norm::rows(&mut x, last_norm, config.epsilon);
    observe(config.layers(), Observed::HeadInput, x.view());
    let mut logits = product(&x, head.view(), None);
    if let Some(cap) = config.logit_cap {
        logits.par_mapv_inplace(|x| cap * (x / cap).tanh());
    }
    finite(&logits, config.layers())?;
    Ok(logits)
}

impl DecoderLayer {
    /// Runs layer `index` on the residual stream of one prompt, tokens×hidden.
    ///
    /// # Errors
    /// [`DecoderError::Activations`] if an entry exceeds f32.
    pub fn run(
        &self,
        config: &DecoderConfig,
        index: usize,
        x: &mut Array2<f32>,
        observe: &mut Observer<'_>,
    ) -> Result<(), DecoderError> {
        let mut see = |what, entries: &Array2<f32>| observe(index, what, entries.view());
        let attention = &config.attention[index];
        see(Observed::Residual, x);

        let mut input = x.clone();
        norm::rows(&mut input, &self.norms.attention, config.epsilon);
        see(Observed::AttentionInput, &input);
        let mut q = self.query.apply(&input);
        let mut k = self.key.apply(&input);
        let v = self.value.apply(&input);
        if let Some(gamma) = &self.norms.query {
            norm::heads(&mut q, gamma, config.epsilon);
        }
        if let Some(gamma) = &self.norms.key {
            norm::heads(&mut k, gamma, config.epsilon);
        }
        rope::turn(&mut q, &attention.rotary, config.head);
        rope::turn(&mut k, &attention.rotary, config.head);
        see(Observed::Query, &q);
        see(Observed::Key, &k);
        see(Observed::Value, &v);
        let context = attention::attend(config, attention.window, [&q, &k, &v]);
        see(Observed::Context, &context);
        let mut output = self.output.apply(&context);
        if let Some(gamma) = &self.norms.after_attention {
            norm::rows(&mut output, gamma, config.epsilon);
        }
        *x += &output;

        let mut input = x.clone();
        norm::rows(&mut input, &self.norms.inner, config.epsilon);
        see(Observed::InnerInput, &input);
        let mut inner = self.gate.apply(&input);
        let up = self.up.apply(&input);
        let activation = config.activation;
        Zip::from(&mut inner).and(&up).par_for_each(|gate, &up| *gate = activation.of(*gate) * up);
        see(Observed::Inner, &inner);
        let mut output = self.down.apply(&inner);
        if let Some(gamma) = &self.norms.after_inner {
            norm::rows(&mut output, gamma, config.epsilon);
        }
        *x += &output;
        finite(x, index)
    }
}

impl Linear {
    /// `x·Wᵀ + b`, a row a row of x.
    pub fn apply(&self, x: &Array2<f32>) -> Array2<f32> {
        product(x, self.weights.view(), self.bias.as_deref())
    }
}

impl GatedActivation {
    /// The function's value.
    pub fn of(self, x: f32) -> f32 {
        let x = f64::from(x);
        let y = match self {
            GatedActivation::Silu => x / (1.0 + (-x).exp()),
            GatedActivation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            GatedActivation::Gelu => {
                0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
            }
        };
        y as f32
    }
}

/// `x·Wᵀ + b`, with some rows of x a task.
fn product(x: &Array2<f32>, weights: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Array2<f32> {
    let mut y = Array2::zeros((x.nrows(), weights.nrows()));
    let rows = TASK_ROWS.min(x.nrows().div_ceil(rayon::current_num_threads())).max(1);
    y.axis_chunks_iter_mut(Axis(0), rows)
        .into_par_iter()
        .zip(x.axis_chunks_iter(Axis(0), rows).into_par_iter())
        .for_each(|(mut y, x)| {
            if let Some(bias) = bias {
                y.rows_mut().into_iter().for_each(|mut row| row += &ndarray::aview1(bias));
            }
            general_mat_mul(1.0, &x, &weights.t(), 1.0, &mut y);
        });
    y
}

fn finite(x: &Array2<f32>, layer: usize) -> Result<(), DecoderError> {
    match x.iter().all(|entry| entry.is_finite()) {
        true => Ok(()),
        false => Err(DecoderError::Activations { layer }),
    }
}
