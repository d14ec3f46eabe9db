//! The fields of `config.json` that the reader uses.

use super::BertError;
use super::relative::BUCKETS;
use serde::Deserialize;

/// The largest `config.json` that is read, in bytes.
const BYTES_MAX: usize = 1 << 20;
/// The most columns: those of an operand that is mined.
const WIDTH_MAX: u64 = 1 << 14;
/// The values of `model_type` that are supported.
const TYPES: &str = "bert, distilbert, electra, mpnet, roberta, xlm-roberta or camembert";

/// The kind of an encoder: what its tensors are called, and what it adds to
/// words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncoderKind {
    /// BERT, or ELECTRA if its words have as many columns as its states.
    Bert,
    /// RoBERTa, XLM-RoBERTa or CamemBERT: positions begin after that of padding.
    Roberta,
    /// DistilBERT: tokens have no types.
    DistilBert,
    /// MPNet: positions as RoBERTa's, no types, and scores with a bias by the
    /// distance of two tokens.
    Mpnet,
}

/// An encoder's sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The kind of encoder.
    pub kind: EncoderKind,
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
    /// The row of the table of positions that the first token takes.
    pub first_position: usize,
    /// The token that gets the position of padding, so that no sequence may
    /// hold it.
    pub padding: Option<u32>,
    /// Types of tokens, or 0. The reader gives every token the first type.
    pub types: usize,
    /// The number that LayerNorm adds to variances. The integer network adds
    /// nothing.
    pub epsilon: f64,
}

/// The fields of the file that the reader uses; it ignores all others.
#[derive(Deserialize)]
struct Fields {
    model_type: Option<String>,
    #[serde(alias = "activation")]
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    vocab_size: Option<u64>,
    #[serde(alias = "dim")]
    hidden_size: Option<u64>,
    #[serde(alias = "n_layers")]
    num_hidden_layers: Option<u64>,
    #[serde(alias = "n_heads")]
    num_attention_heads: Option<u64>,
    #[serde(alias = "hidden_dim")]
    intermediate_size: Option<u64>,
    max_position_embeddings: Option<u64>,
    type_vocab_size: Option<u64>,
    pad_token_id: Option<u64>,
    embedding_size: Option<u64>,
    relative_attention_num_buckets: Option<u64>,
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
        let kind = fields.kind()?;
        let size = |field, value: Option<u64>, limit: u64| {
            let missing = || BertError::Config(format!("expected a field {field}, got none"));
            let value = value.ok_or_else(missing)?;
            match usize::try_from(value) {
                Ok(size) if (1..=limit).contains(&value) => Ok(size),
                _ => Err(BertError::Limit { field, value, limit }),
            }
        };
        let vocabulary = size("vocab_size", fields.vocab_size, 1 << 22)?;
        let hidden = size("hidden_size", fields.hidden_size, WIDTH_MAX)?;
        let rows = size("max_position_embeddings", fields.max_position_embeddings, 1 << 14)?;
        let types = match (kind, fields.type_vocab_size) {
            (EncoderKind::DistilBert | EncoderKind::Mpnet, _) | (_, Some(0)) => 0,
            (_, types) => size("type_vocab_size", types.or(Some(2)), 1 << 10)?,
        };
        let (first_position, padding) = match kind {
            EncoderKind::Roberta | EncoderKind::Mpnet => {
                // MPNet's is 1, whatever the file states.
                let stated = fields.pad_token_id.filter(|_| kind == EncoderKind::Roberta);
                let (id, limit) = (stated.unwrap_or(1), rows as u64 - 1);
                // At least one row must remain for the first token.
                let wrong = BertError::Limit { field: "pad_token_id", value: id, limit };
                match u32::try_from(id) {
                    Ok(padding) if id + 1 < rows as u64 => (padding as usize + 1, Some(padding)),
                    _ => return Err(wrong),
                }
            }
            EncoderKind::Bert | EncoderKind::DistilBert => (0, None),
        };
        let config = Config {
            kind,
            vocabulary,
            hidden,
            layers: size("num_hidden_layers", fields.num_hidden_layers, 256)?,
            heads: size("num_attention_heads", fields.num_attention_heads, hidden as u64)?,
            intermediate: size("intermediate_size", fields.intermediate_size, WIDTH_MAX)?,
            positions: rows - first_position,
            first_position,
            padding,
            types,
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

impl Fields {
    /// The kind of encoder. Refuses kinds and settings that are not supported.
    fn kind(&self) -> Result<EncoderKind, BertError> {
        let kind = match self.model_type.as_deref() {
            None | Some("bert") => EncoderKind::Bert,
            Some("roberta" | "xlm-roberta" | "camembert") => EncoderKind::Roberta,
            Some("distilbert") => EncoderKind::DistilBert,
            Some("electra") => {
                self.electra()?;
                EncoderKind::Bert
            }
            Some("mpnet") => EncoderKind::Mpnet,
            Some(other) => {
                let (got, supported) = (other.chars().take(64).collect(), TYPES);
                return Err(BertError::ModelType { got, supported });
            }
        };
        if let Some(buckets) = self.relative_attention_num_buckets
            && (kind, buckets) != (EncoderKind::Mpnet, BUCKETS as u64)
        {
            let (field, supported) = ("relative_attention_num_buckets", "32, for mpnet only");
            return Err(BertError::Unsupported { field, value: buckets.to_string(), supported });
        }
        let named = [
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ];
        for (field, value, supported) in named {
            if let Some(value) = value.as_ref().filter(|value| *value != supported) {
                let value = value.chars().take(64).collect();
                return Err(BertError::Unsupported { field, value, supported });
            }
        }
        if self.is_decoder == Some(true) {
            let (field, value) = ("is_decoder", "true".to_owned());
            return Err(BertError::Unsupported { field, value, supported: "false" });
        }
        Ok(kind)
    }

    /// Refuses an ELECTRA that projects its words: a BERT does not.
    fn electra(&self) -> Result<(), BertError> {
        // The class's default for both sizes.
        let words = self.embedding_size.unwrap_or(128);
        if words == self.hidden_size.unwrap_or(256) {
            return Ok(());
        }
        let (field, value) = ("embedding_size", words.to_string());
        let supported = "hidden_size, as in ELECTRA's base and large models";
        Err(BertError::Unsupported { field, value, supported })
    }
}
