//! An encoder's float tensors.

use super::relative::Biases;
use super::tensors::Tensors;
use super::{BertError, Config, EncoderKind};
use ndarray::{Array2, s};

/// `x·Wᵀ + b`, where W is outputs×inputs.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    pub(super) weights: Array2<f32>,
    pub(super) bias: Vec<f32>,
}

/// γ and β of a LayerNorm.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

/// One layer's tensors.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) query: Dense,
    pub(super) key: Dense,
    pub(super) value: Dense,
    pub(super) output: Dense,
    pub(super) attention_norm: Norm,
    pub(super) up: Dense,
    pub(super) down: Dense,
    pub(super) norm: Norm,
}

impl Layer {
    /// The tensors by name, each row by row. A bias, γ or β follows its weights.
    pub(super) fn named(&self) -> Vec<(&'static str, Vec<f32>)> {
        let dense = |names: [&'static str; 2], dense: &Dense| {
            [(names[0], dense.weights.iter().copied().collect()), (names[1], dense.bias.clone())]
        };
        let norm = |names: [&'static str; 2], norm: &Norm| {
            [(names[0], norm.gamma.clone()), (names[1], norm.beta.clone())]
        };
        let all = [
            dense(["query", "query bias"], &self.query),
            dense(["key", "key bias"], &self.key),
            dense(["value", "value bias"], &self.value),
            dense(["output", "output bias"], &self.output),
            norm(["attention gamma", "attention beta"], &self.attention_norm),
            dense(["up", "up bias"], &self.up),
            dense(["down", "down bias"], &self.down),
            norm(["gamma", "beta"], &self.norm),
        ];
        all.into_iter().flatten().collect()
    }
}

/// All tensors.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// vocabulary×hidden.
    pub(super) words: Array2<f32>,
    /// positions×hidden from the first token's on, with the embedding of the
    /// first token type added.
    pub(super) positions: Array2<f32>,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
    /// What MPNet adds to scores.
    pub(super) biases: Option<Biases>,
}

impl Weights {
    /// Reads the tensors that `config` implies.
    pub(super) fn read(tensors: &Tensors<'_>, config: &Config) -> Result<Weights, BertError> {
        let Config { vocabulary, hidden, intermediate, first_position, .. } = *config;
        let words = tensors.matrix("embeddings.word_embeddings.weight", [vocabulary, hidden])?;
        let rows = first_position + config.positions;
        let positions = tensors.matrix("embeddings.position_embeddings.weight", [rows, hidden])?;
        let mut positions = positions.slice_move(s![first_position.., ..]);
        if config.types > 0 {
            let types = "embeddings.token_type_embeddings.weight";
            positions += &tensors.matrix(types, [config.types, hidden])?.row(0);
        }
        let norm = tensors.norm("embeddings.LayerNorm", hidden)?;
        let layer = |index: usize| {
            let names = names(config.kind);
            let name = |part: &str| format!("{}.{index}.{part}", names.layer);
            let dense = |part: &str, shape| tensors.dense(&name(part), shape, true);
            let norm = |part: &str| tensors.norm(&name(part), hidden);
            let [query, key, value, output] = names.attention;
            let [up, down] = names.feed_forward;
            let [attention_norm, last_norm] = names.norms;
            Ok(Layer {
                query: dense(query, [hidden, hidden])?,
                key: dense(key, [hidden, hidden])?,
                value: dense(value, [hidden, hidden])?,
                output: dense(output, [hidden, hidden])?,
                attention_norm: norm(attention_norm)?,
                up: dense(up, [intermediate, hidden])?,
                down: dense(down, [hidden, intermediate])?,
                norm: norm(last_norm)?,
            })
        };
        let layers = (0..config.layers).map(layer).collect::<Result<_, BertError>>()?;
        let biases = match config.kind {
            EncoderKind::Mpnet => Some(Biases::read(tensors, config)?),
            EncoderKind::Bert | EncoderKind::Roberta | EncoderKind::DistilBert => None,
        };
        Ok(Weights { words, positions, norm, layers, biases })
    }
}

/// The names of a layer's tensors.
struct Names {
    layer: &'static str,
    /// Query, key, value and output.
    attention: [&'static str; 4],
    /// Up and down.
    feed_forward: [&'static str; 2],
    /// After attention, and after feed-forward.
    norms: [&'static str; 2],
}

fn names(kind: EncoderKind) -> Names {
    match kind {
        EncoderKind::Bert | EncoderKind::Roberta => Names {
            layer: "encoder.layer",
            attention: [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
            ],
            feed_forward: ["intermediate.dense", "output.dense"],
            norms: ["attention.output.LayerNorm", "output.LayerNorm"],
        },
        EncoderKind::DistilBert => Names {
            layer: "transformer.layer",
            attention: [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
            ],
            feed_forward: ["ffn.lin1", "ffn.lin2"],
            norms: ["sa_layer_norm", "output_layer_norm"],
        },
        EncoderKind::Mpnet => Names {
            layer: "encoder.layer",
            attention: [
                "attention.attn.q",
                "attention.attn.k",
                "attention.attn.v",
                "attention.attn.o",
            ],
            feed_forward: ["intermediate.dense", "output.dense"],
            norms: ["attention.LayerNorm", "output.LayerNorm"],
        },
    }
}
