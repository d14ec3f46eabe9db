//! The tensors of a model in either format, under the names of transformers.

use crate::DecoderError;
use crate::gguf::Gguf;
use crate::mapped::Mapped;
use poai_import::tensors::FloatTensors;

/// An open model's tensors.
pub(crate) enum Source {
    /// Files of safetensors.
    Safetensors(FloatTensors<Mapped>),
    /// A GGUF file.
    Gguf(Box<Gguf>),
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Words,
    LastNorm,
    Head,
    Norm,
    QueryNorm,
    KeyNorm,
    Query,
    Key,
    Value,
    QueryKeyValue,
    Output,
    /// The norm of attention's output.
    AfterOutput,
    InnerNorm,
    Gate,
    Up,
    GateUp,
    Down,
    /// The norm of the feed-forward part's output.
    AfterDown,
}

impl Source {
    /// A tensor's name. `layer` is left out for parts of no layer, `after` is
    /// whether norms follow products, too.
    pub(crate) fn name(&self, part: Part, layer: usize, after: bool, kind: &str) -> String {
        use Part::*;
        let gguf = matches!(self, Source::Gguf(_));
        let whole = match (part, gguf) {
            (Words, false) => "model.embed_tokens",
            (LastNorm, false) => "model.norm",
            (Head, false) => "lm_head",
            (Words, true) => "token_embd",
            (LastNorm, true) => "output_norm",
            (Head, true) => "output",
            _ => "",
        };
        if !whole.is_empty() {
            return format!("{whole}.{kind}");
        }
        let own = match (part, gguf) {
            (Words | LastNorm | Head, _) => "",
            (Norm, false) => "input_layernorm",
            (QueryNorm, false) => "self_attn.q_norm",
            (KeyNorm, false) => "self_attn.k_norm",
            (Query, false) => "self_attn.q_proj",
            (Key, false) => "self_attn.k_proj",
            (Value, false) => "self_attn.v_proj",
            (QueryKeyValue, false) => "self_attn.qkv_proj",
            (Output, false) => "self_attn.o_proj",
            (AfterOutput, false) => "post_attention_layernorm",
            (InnerNorm, false) if after => "pre_feedforward_layernorm",
            (InnerNorm, false) => "post_attention_layernorm",
            (Gate, false) => "mlp.gate_proj",
            (Up, false) => "mlp.up_proj",
            (GateUp, false) => "mlp.gate_up_proj",
            (Down, false) => "mlp.down_proj",
            (AfterDown, false) => "post_feedforward_layernorm",
            (Norm, true) => "attn_norm",
            (QueryNorm, true) => "attn_q_norm",
            (KeyNorm, true) => "attn_k_norm",
            (Query, true) => "attn_q",
            (Key, true) => "attn_k",
            (Value, true) => "attn_v",
            (QueryKeyValue, true) => "attn_qkv",
            (Output, true) => "attn_output",
            (AfterOutput, true) => "post_attention_norm",
            (InnerNorm, true) => "ffn_norm",
            (Gate, true) => "ffn_gate",
            (Up | GateUp, true) => "ffn_up",
            (Down, true) => "ffn_down",
            (AfterDown, true) => "post_ffw_norm",
        };
        match gguf {
            true => format!("blk.{layer}.{own}.{kind}"),
            false => format!("model.layers.{layer}.{own}.{kind}"),
        }
    }

    /// A tensor's entries, row-major, if its shape is `shape`.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, DecoderError> {
        Ok(match self {
            Source::Safetensors(tensors) => tensors.read(name, shape)?,
            Source::Gguf(file) => file.read(name, shape)?,
        })
    }

    /// The names of all tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Source::Safetensors(tensors) => tensors.names().collect(),
            Source::Gguf(file) => file.names().map(str::to_owned).collect(),
        }
    }
}
