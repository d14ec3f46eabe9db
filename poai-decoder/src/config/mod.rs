//! Sizes and settings of a decoder.
//!
//! - `json`: `config.json` as transformers writes it;
//! - `metadata`: the metadata of GGUF files.

mod json;
mod metadata;

pub(crate) use json::read as read_json;
pub(crate) use metadata::{FACTORS, read as read_metadata};

use crate::DecoderError;

/// The most columns of a value, and rows of weights except for words.
const WIDTH_MAX: usize = 1 << 17;
/// The most words.
const WORDS_MAX: usize = 1 << 20;
/// The most layers.
const LAYERS_MAX: usize = 1 << 10;
/// The most places of a prompt.
const PLACES_MAX: usize = 1 << 22;

/// The family of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecoderFamily {
    /// Llama 1 to 3, SmolLM and SmolLM2.
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3.
    Qwen3,
    /// Gemma.
    Gemma,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3 for text.
    Gemma3,
    /// Phi-3.
    Phi3,
}

impl DecoderFamily {
    /// Whether weights of norms are saved without 1, and words are scaled.
    pub(crate) fn is_gemma(self) -> bool {
        matches!(self, DecoderFamily::Gemma | DecoderFamily::Gemma2 | DecoderFamily::Gemma3)
    }

    /// Whether norms follow products, too.
    pub(crate) fn norms_after(self) -> bool {
        matches!(self, DecoderFamily::Gemma2 | DecoderFamily::Gemma3)
    }
}

/// The function of the gate in the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatedActivation {
    /// x·σ(x).
    Silu,
    /// GELU by tanh.
    GeluTanh,
    /// x·Φ(x).
    Gelu,
}

/// What changes the frequencies of rotary places.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Nothing.
    None,
    /// All frequencies are divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies are divided by a factor, those between blend.
    Llama3 {
        /// The factor of low frequencies.
        factor: f64,
        /// The wavelengths above `original / low` are long.
        low: f64,
        /// The wavelengths below `original / high` are short.
        high: f64,
        /// The places of the first training.
        original: f64,
    },
    /// Each pair's frequency is divided by its own factor, as GGUF files state.
    Factors(Vec<f32>),
}

/// Rotary places of queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// The base of the frequencies: pair i of n columns turns by
    /// `theta^(−2i/n)` a place.
    pub theta: f64,
    /// Columns of a head that turn, an even number. The others pass.
    pub columns: usize,
    /// What changes the frequencies.
    pub scaling: RopeScaling,
}

/// Attention of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// A token sees this number of places, its own included. `None` is all.
    pub window: Option<usize>,
    /// The turns of queries and keys.
    pub rotary: Rotary,
}

/// Sizes and settings of a decoder.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// The family.
    pub family: DecoderFamily,
    /// Words of the vocabulary.
    pub vocabulary: usize,
    /// Columns of the residual stream.
    pub hidden: usize,
    /// Columns between the products of the feed-forward part.
    pub inner: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values. Each serves `heads / kv_heads` heads.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head: usize,
    /// The most tokens of a prompt with its completion.
    pub places: usize,
    /// The attention of each layer.
    pub attention: Vec<Attention>,
    /// The number that norms add to the mean of squares.
    pub epsilon: f64,
    /// Whether queries and keys are normalised before they turn.
    pub qk_norms: bool,
    /// Whether the outputs of attention and feed-forward are normalised, too.
    pub norms_after: bool,
    /// Whether products to queries, keys and values have a bias.
    pub qkv_biases: bool,
    /// Whether the product after attention has a bias.
    pub output_bias: bool,
    /// Whether the products of the feed-forward part have biases.
    pub inner_biases: bool,
    /// The function of the gate.
    pub activation: GatedActivation,
    /// Whether the weights of the head are those of the words.
    pub tied: bool,
    /// The factor of words in the residual stream.
    pub embedding_scale: f32,
    /// The factor of scores.
    pub score_scale: f32,
    /// Scores x become `cap·tanh(x/cap)`.
    pub score_cap: Option<f32>,
    /// Logits x become `cap·tanh(x/cap)`.
    pub logit_cap: Option<f32>,
    /// The token before a text, if the model states one.
    pub first_token: Option<u32>,
    /// The tokens that end a completion.
    pub end_tokens: Vec<u32>,
}

impl DecoderConfig {
    /// Layers.
    pub fn layers(&self) -> usize {
        self.attention.len()
    }

    /// Refuses sizes that do not fit together or exceed limits.
    pub(crate) fn check(self) -> Result<DecoderConfig, DecoderError> {
        let sizes = [
            ("the size of the vocabulary", self.vocabulary, WORDS_MAX),
            ("the hidden size", self.hidden, WIDTH_MAX),
            ("the inner size", self.inner, WIDTH_MAX),
            ("the number of layers", self.layers(), LAYERS_MAX),
            ("the number of heads", self.heads, WIDTH_MAX),
            ("the number of heads of keys", self.kv_heads, self.heads),
            ("the size of a head", self.head, WIDTH_MAX / self.heads.max(1)),
            ("the number of places", self.places, PLACES_MAX),
        ];
        for (field, value, limit) in sizes {
            if !(1..=limit).contains(&value) {
                return Err(unsupported(field, &format!("in 1..={limit}"), value));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let field = "the number of heads of keys";
            return Err(unsupported(field, "a divisor of the number of heads", self.kv_heads));
        }
        let positive = [self.embedding_scale, self.score_scale];
        let caps = [self.score_cap, self.logit_cap];
        for factor in positive.into_iter().chain(caps.into_iter().flatten()) {
            if !(factor.is_finite() && factor > 0.0) {
                return Err(unsupported("factors and caps", "above 0 and finite", factor));
            }
        }
        if !(0.0..=1e-2).contains(&self.epsilon) {
            return Err(unsupported("the epsilon of norms", "0 to 0.01", self.epsilon));
        }
        for Attention { window, rotary } in &self.attention {
            if *window == Some(0) {
                return Err(unsupported("the window", "above 0", 0));
            }
            if rotary.columns > self.head || !rotary.columns.is_multiple_of(2) {
                let supported = format!("even and at most {}", self.head);
                return Err(unsupported("the rotary columns", &supported, rotary.columns));
            }
            rotary.check()?;
        }
        Ok(self)
    }
}

impl Rotary {
    fn check(&self) -> Result<(), DecoderError> {
        let numbers: Vec<f64> = match &self.scaling {
            RopeScaling::None => vec![],
            RopeScaling::Linear { factor } => vec![*factor],
            RopeScaling::Llama3 { factor, low, high, original } => {
                if low >= high {
                    return Err(unsupported("low_freq_factor", "below high_freq_factor", low));
                }
                vec![*factor, *low, *high, *original]
            }
            RopeScaling::Factors(factors) => {
                if factors.len() != self.columns / 2 {
                    let supported = format!("{} numbers", self.columns / 2);
                    return Err(unsupported("rope_freqs", &supported, factors.len()));
                }
                factors.iter().map(|&factor| f64::from(factor)).collect()
            }
        };
        match numbers.into_iter().chain([self.theta]).find(|x| !(x.is_finite() && *x > 0.0)) {
            Some(number) => Err(unsupported("rotary numbers", "above 0 and finite", number)),
            None => Ok(()),
        }
    }
}

/// A value that is not supported. `value` is shortened.
pub(crate) fn unsupported(
    field: &str,
    supported: &str,
    value: impl std::fmt::Display,
) -> DecoderError {
    let value = value.to_string().chars().take(64).collect();
    DecoderError::Unsupported { field: field.into(), value, supported: supported.into() }
}
