//! BERT text encoders: conversion from safetensors and `config.json` to an
//! integer network.
//!
//! [`Encoder::read`] reads the float weights, and [`Encoder::run_float`] is the
//! reference. [`Encoder::quantise`] measures ranges on calibration sequences
//! and makes the network.
//!
//! - `config`: the fields of `config.json`, within limits;
//! - `weights`: the float tensors, each checked;
//! - `float`: the forward pass in f32;
//! - `ranges`: the ranges of activations;
//! - `numbers`: conversion of floats to the integers of steps;
//! - `memory`: how much memory quantisation takes;
//! - `quantise`: the program, its constants and its error.
//!
//! In the integer network, hidden states are Q8 in 16 bits. Operands of
//! products have 7 bits, with a scale for each row. An embedding has length
//! 2¹⁴.

mod config;
mod error;
mod float;
mod memory;
mod numbers;
mod quantise;
mod ranges;
mod weights;

pub use config::Config;
pub use error::BertError;
pub use float::Floats;
pub use quantise::{EncoderOptions, LayerError, QuantisedEncoder};

use poai_core::program::{Dtype, RunShape};
use poai_engine::execute::Tensor;
use weights::Weights;

/// A text encoder with float weights.
#[derive(Clone, Debug)]
pub struct Encoder {
    config: Config,
    weights: Weights,
}

impl Encoder {
    /// Reads a model from the bytes of its safetensors and of its
    /// `config.json`. Tensors may carry the prefix `bert.`. The reader ignores
    /// tensors that an encoder does not need.
    ///
    /// # Errors
    /// [`BertError`] names the field or tensor and the problem.
    pub fn read(safetensors: &[u8], config_json: &[u8]) -> Result<Encoder, BertError> {
        let config = Config::read(config_json)?;
        let weights = Weights::read(safetensors, &config)?;
        Ok(Encoder { config, weights })
    }

    /// Its sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Refuses sequences that the encoder does not support.
    fn check(&self, sequences: &[Vec<u32>]) -> Result<(), BertError> {
        for (sequence, ids) in sequences.iter().enumerate() {
            let limit = self.config.positions;
            if ids.is_empty() || ids.len() > limit {
                return Err(BertError::Sequence { sequence, tokens: ids.len(), limit });
            }
            let vocabulary = self.config.vocabulary;
            if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
                return Err(BertError::Token { sequence, id, vocabulary });
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
    Ok((RunShape { batch: batch as u32, sequence: longest as u32 }, tensors))
}
