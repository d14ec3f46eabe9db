//! The fields of `config.json` that the reader uses.

use super::BertError;
use serde::Deserialize;

/// The largest `config.json` that is read, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// The most columns: those of an operand that is mined.
const WIDTH_MAX: u64 = 1 << 14;

/// An encoder's sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Columns of the hidden states.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Columns between the two products of the feed-forward part.
    pub intermediate: usize,
    /// The most tokens of a sequence.
    pub positions: usize,
    /// Types of tokens. The reader gives every token the first type.
    pub types: usize,
    /// The number that LayerNorm adds to variances. The integer network adds
    /// nothing.
    pub epsilon: f64,
}

/// The fields of the file that the reader uses; it ignores all others.
#[derive(Deserialize)]
struct Fields {
    model_type: Option<String>,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    vocab_size: u64,
    hidden_size: u64,
    num_hidden_layers: u64,
    num_attention_heads: u64,
    intermediate_size: u64,
    max_position_embeddings: u64,
    type_vocab_size: Option<u64>,
    layer_norm_eps: Option<f64>,
    is_decoder: Option<bool>,
}

impl Config {
    pub(super) fn read(json: &[u8]) -> Result<Config, BertError> {
        if json.len() > BYTES_MAX {
            return Err(BertError::Config(format!("expected at most {BYTES_MAX} bytes, got more")));
        }
        let fields: Fields =
            serde_json::from_slice(json).map_err(|error| BertError::Config(error.to_string()))?;
        let named = [
            ("model_type", &fields.model_type, "bert"),
            ("hidden_act", &fields.hidden_act, "gelu"),
            ("position_embedding_type", &fields.position_embedding_type, "absolute"),
        ];
        for (field, value, supported) in named {
            if let Some(value) = value.as_ref().filter(|value| *value != supported) {
                let value = value.chars().take(64).collect();
                return Err(BertError::Unsupported { field, value, supported });
            }
        }
        if fields.is_decoder == Some(true) {
            let (field, value) = ("is_decoder", "true".to_owned());
            return Err(BertError::Unsupported { field, value, supported: "false" });
        }
        let size = |field, value: u64, limit: u64| match usize::try_from(value) {
            Ok(size) if (1..=limit).contains(&value) => Ok(size),
            _ => Err(BertError::Limit { field, value, limit }),
        };
        let config = Config {
            vocabulary: size("vocab_size", fields.vocab_size, 1 << 22)?,
            hidden: size("hidden_size", fields.hidden_size, WIDTH_MAX)?,
            layers: size("num_hidden_layers", fields.num_hidden_layers, 256)?,
            heads: size("num_attention_heads", fields.num_attention_heads, fields.hidden_size)?,
            intermediate: size("intermediate_size", fields.intermediate_size, WIDTH_MAX)?,
            positions: size("max_position_embeddings", fields.max_position_embeddings, 1 << 14)?,
            types: size("type_vocab_size", fields.type_vocab_size.unwrap_or(2), 1 << 10)?,
            epsilon: fields.layer_norm_eps.unwrap_or(1e-12),
        };
        if !config.hidden.is_multiple_of(config.heads) {
            return Err(BertError::Unsupported {
                field: "num_attention_heads",
                value: config.heads.to_string(),
                supported: "a divisor of hidden_size",
            });
        }
        if !(0.0..=1e-3).contains(&config.epsilon) {
            return Err(BertError::Unsupported {
                field: "layer_norm_eps",
                value: config.epsilon.to_string(),
                supported: "0 to 0.001",
            });
        }
        Ok(config)
    }

    /// Columns of one head.
    pub fn head(&self) -> usize {
        self.hidden / self.heads
    }
}
