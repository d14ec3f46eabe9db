//! BERT text encoders: conversion from safetensors and `config.json` to an
//! integer network.
//!
//! [`Encoder::load`] reads a model's directory, and [`Encoder::read`] the bytes
//! of two files. [`Encoder::run_float`] is the reference.
//! [`Encoder::quantise`] measures ranges on calibration sequences and makes the
//! network.
//!
//! - `config`: the fields of `config.json`, within limits;
//! - `directory`: the files of a directory, and sentence-transformers' modules;
//! - `tensors`: the tensors of safetensors files, each checked;
//! - `weights`: the tensors that an encoder of each kind has;
//! - `relative`: MPNet's biases of scores;
//! - `head`: pooling, and what follows it;
//! - `float`: the forward pass in f32;
//! - `ranges`: the ranges of activations;
//! - `numbers`: conversion of floats to the integers of steps;
//! - `memory`: how much memory quantisation takes;
//! - `quantise`: the program, its constants and its error;
//! - `quantise_head`: the same of the head.
//!
//! In the integer network, hidden states are Q8 in 16 bits. Operands of
//! products have 7 bits, with a scale for each row. A normalised embedding has
//! length 2¹⁴.

mod config;
mod directory;
mod error;
mod float;
mod head;
mod memory;
mod numbers;
mod quantise;
mod quantise_head;
mod ranges;
mod relative;
mod tensors;
mod weights;

pub use config::{Config, EncoderKind};
pub use directory::encoder_directory;
pub use error::BertError;
pub use float::Floats;
pub use head::{HeadActivation, Pooling, SentenceHead};
pub use quantise::{EncoderOptions, LayerError, QuantisedEncoder};

use poai_core::program::{Dtype, RunShape};
use poai_engine::execute::Tensor;
use tensors::Tensors;
use weights::Weights;

/// A text encoder with float weights.
#[derive(Clone, Debug)]
pub struct Encoder {
    config: Config,
    weights: Weights,
    head: SentenceHead,
    tokens_max: usize,
    tokens_stated: bool,
}

impl Encoder {
    /// Reads a model from the bytes of its safetensors and of its
    /// `config.json`. Tensors may carry a prefix, such as `bert.`. The reader
    /// ignores tensors that an encoder does not need. An embedding is the mean
    /// of all tokens, scaled to Euclidean length 1.
    ///
    /// # Errors
    /// [`BertError`] names the field or tensor and the problem.
    pub fn read(safetensors: &[u8], config_json: &[u8]) -> Result<Encoder, BertError> {
        let config = Config::read(config_json)?;
        let weights = Weights::read(&Tensors::one(safetensors)?, &config)?;
        let (head, tokens_max) = (SentenceHead::default(), config.positions);
        Ok(Encoder { config, weights, head, tokens_max, tokens_stated: false })
    }

    /// Its sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The modules after the encoder.
    pub fn head(&self) -> &SentenceHead {
        &self.head
    }

    /// The most tokens of a sequence: those of `sentence_bert_config.json`, and
    /// no more than the model has positions.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// Whether `sentence_bert_config.json` states the most tokens.
    pub fn states_tokens_max(&self) -> bool {
        self.tokens_stated
    }

    /// The entries of an embedding.
    pub fn embedding_columns(&self) -> usize {
        self.head.columns(self.config.hidden)
    }

    /// The float tensors of layer `index`, by name and row by row, weights as
    /// outputs×inputs: query, key, value, output, up and down, each with its
    /// "… bias"; "attention gamma" and "attention beta" of the norm after attention;
    /// "gamma" and "beta" of the last norm. `None` if there is no such layer.
    pub fn layer(&self, index: usize) -> Option<Vec<(&'static str, Vec<f32>)>> {
        Some(self.weights.layers.get(index)?.named())
    }

    /// Refuses sequences that the encoder does not support. A run of the integer
    /// network does not know why a token is wrong.
    ///
    /// # Errors
    /// [`BertError`] if a sequence is empty or too long, or a token is outside
    /// the vocabulary or is the padding of RoBERTa or MPNet.
    pub fn check(&self, sequences: &[Vec<u32>]) -> Result<(), BertError> {
        for (sequence, ids) in sequences.iter().enumerate() {
            let limit = self.config.positions;
            if ids.is_empty() || ids.len() > limit {
                return Err(BertError::Sequence { sequence, tokens: ids.len(), limit });
            }
            let vocabulary = self.config.vocabulary;
            if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
                return Err(BertError::Token { sequence, id, vocabulary });
            }
            if let Some(id) = self.config.padding.filter(|padding| ids.contains(padding)) {
                return Err(BertError::Padding { sequence, id });
            }
        }
        Ok(())
    }
}

/// A batch of sequences as an encoder's inputs: ids, padded with 0 to the
/// longest sequence, and lengths.
///
/// # Errors
/// [`BertError`] if there are no sequences, a sequence is empty, or an id
/// exceeds 31 bits.
pub fn inputs(sequences: &[Vec<u32>]) -> Result<(RunShape, Vec<Tensor>), BertError> {
    let longest = sequences.iter().map(Vec::len).max().ok_or(BertError::NoSequences)?;
    let mut ids = Vec::with_capacity(sequences.len() * longest);
    let mut lengths = Vec::with_capacity(sequences.len());
    for (sequence, tokens) in sequences.iter().enumerate() {
        if tokens.is_empty() {
            return Err(BertError::Sequence { sequence, tokens: 0, limit: longest });
        }
        for &id in tokens {
            let vocabulary = i32::MAX as usize;
            let id = i32::try_from(id).map_err(|_| BertError::Token { sequence, id, vocabulary });
            ids.push(id?);
        }
        ids.resize(ids.len() + longest - tokens.len(), 0);
        // The tensors below refuse sizes that exceed 32 bits.
        lengths.push(i32::try_from(tokens.len()).unwrap_or(i32::MAX));
    }
    let batch = sequences.len();
    let tensors = vec![
        Tensor::new(ids.len(), 1, Dtype::I32, &ids)?,
        Tensor::new(batch, 1, Dtype::I32, &lengths)?,
    ];
    // Exact: the tensors have this number of rows.
    Ok((RunShape::new(batch as u32, longest as u32), tensors))
}
