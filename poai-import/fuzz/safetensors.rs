//! Reads the two files of an encoder after changes. The fuzzer changes the shapes, types and names
//! of tensors, the kind and numbers in the configuration, and any bits. An encoder that is read must run.
//! Its quantisation must succeed or be refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_import::bert::{Encoder, EncoderOptions};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const HIDDEN: u8 = 4;
const INNER: u8 = 6;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Type {
    F32,
    F16,
    Bf16,
    F64,
    I8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Bert,
    Roberta,
    DistilBert,
    Mpnet,
}

/// Changes of one tensor.
#[derive(Arbitrary, Debug)]
struct Change {
    which: u8,
    shape: Option<Vec<u8>>,
    dtype: Option<Type>,
    /// Replaces all entries by a repetition of these bytes, which may hold
    /// infinities and NaN.
    entries: Option<Vec<u8>>,
    rename: Option<String>,
    absent: bool,
}

#[derive(Arbitrary, Debug)]
struct Input {
    kind: Kind,
    changes: Vec<Change>,
    /// The index of a field, and its new (small) number.
    config: Vec<(u8, u8)>,
    /// Bits to flip in the finished file.
    bits: Vec<(u16, u8)>,
    cut: Option<u16>,
    ids: Vec<u8>,
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    entries: Vec<u8>,
}

/// The tensors of an encoder with one layer and two heads.
fn tensors(kind: Kind) -> Vec<Tensor> {
    let mut all: Vec<(String, Vec<u8>)> = vec![];
    for (name, rows) in [("word", 9), ("position", 5), ("token_type", 2)] {
        all.push((format!("embeddings.{name}_embeddings.weight"), vec![rows, HIDDEN]));
    }
    let mut linear = |name: &str, outputs, inputs: &[u8]| {
        all.push((format!("{name}.weight"), [&[outputs], inputs].concat()));
        all.push((format!("{name}.bias"), vec![outputs]));
    };
    linear("embeddings.LayerNorm", HIDDEN, &[]);
    let names = |name: &str| match kind {
        Kind::Bert | Kind::Roberta => format!("encoder.layer.0.{name}"),
        Kind::DistilBert => {
            let name = match name {
                "attention.self.query" => "attention.q_lin",
                "attention.self.key" => "attention.k_lin",
                "attention.self.value" => "attention.v_lin",
                "attention.output.dense" => "attention.out_lin",
                "attention.output.LayerNorm" => "sa_layer_norm",
                "intermediate.dense" => "ffn.lin1",
                "output.dense" => "ffn.lin2",
                _ => "output_layer_norm",
            };
            format!("transformer.layer.0.{name}")
        }
        Kind::Mpnet => {
            let name = match name {
                "attention.self.query" => "attention.attn.q",
                "attention.self.key" => "attention.attn.k",
                "attention.self.value" => "attention.attn.v",
                "attention.output.dense" => "attention.attn.o",
                "attention.output.LayerNorm" => "attention.LayerNorm",
                other => other,
            };
            format!("encoder.layer.0.{name}")
        }
    };
    for (name, outputs, inputs) in [
        ("attention.self.query", HIDDEN, &[HIDDEN][..]),
        ("attention.self.key", HIDDEN, &[HIDDEN]),
        ("attention.self.value", HIDDEN, &[HIDDEN]),
        ("attention.output.dense", HIDDEN, &[HIDDEN]),
        ("attention.output.LayerNorm", HIDDEN, &[]),
        ("intermediate.dense", INNER, &[HIDDEN]),
        ("output.dense", HIDDEN, &[INNER]),
        ("output.LayerNorm", HIDDEN, &[]),
    ] {
        linear(&names(name), outputs, inputs);
    }
    if let Kind::Mpnet = kind {
        all.push(("encoder.relative_attention_bias.weight".to_owned(), vec![32, 2]));
    }
    let tensor = |(name, shape): (String, Vec<u8>)| {
        let shape: Vec<usize> = shape.into_iter().map(usize::from).collect();
        let count = shape.iter().product::<usize>();
        let entry = |at: usize| ((at * 7 + name.len()) % 16) as f32 / 8.0 - 0.9;
        let entries = (0..count).flat_map(|at| entry(at).to_le_bytes()).collect();
        Tensor { name, shape, dtype: Dtype::F32, entries }
    };
    all.into_iter().map(tensor).collect()
}

fn file(input: &Input) -> Option<Vec<u8>> {
    let mut all = tensors(input.kind);
    for change in &input.changes {
        let at = usize::from(change.which) % all.len();
        if change.absent && all.len() > 1 {
            all.remove(at);
            continue;
        }
        let tensor = &mut all[at];
        if let Some(shape) = &change.shape {
            tensor.shape = shape.iter().take(4).map(|&side| usize::from(side % 16)).collect();
        }
        if let Some(dtype) = change.dtype {
            tensor.dtype = match dtype {
                Type::F32 => Dtype::F32,
                Type::F16 => Dtype::F16,
                Type::Bf16 => Dtype::BF16,
                Type::F64 => Dtype::F64,
                Type::I8 => Dtype::I8,
            };
        }
        if let Some(entries) = change.entries.as_ref().filter(|entries| !entries.is_empty()) {
            tensor.entries.clone_from(entries);
        }
        if let Some(name) = &change.rename {
            tensor.name.clone_from(name);
        }
        let bytes = tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
        tensor.entries = tensor.entries.iter().copied().cycle().take(bytes).collect();
    }
    // The crate that writes safetensors panics if two tensors have one name.
    let mut names = BTreeSet::new();
    all.retain(|tensor| names.insert(tensor.name.clone()));
    let views = all.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.entries);
        Some((tensor.name.clone(), view.ok()?))
    });
    let views: Vec<_> = views.collect::<Option<_>>()?;
    let mut bytes = safetensors::serialize(views, None).ok()?;
    for (at, mask) in &input.bits {
        let at = usize::from(*at) % bytes.len();
        bytes[at] ^= mask;
    }
    bytes.truncate(input.cut.map_or(bytes.len(), usize::from));
    Some(bytes)
}

fn config(kind: Kind, changes: &[(u8, u8)]) -> Vec<u8> {
    let kind = match kind {
        Kind::Bert => "bert",
        Kind::Roberta => "roberta",
        Kind::DistilBert => "distilbert",
        Kind::Mpnet => "mpnet",
    };
    let mut config = json!({
        "model_type": kind, "hidden_act": "gelu", "position_embedding_type": "absolute",
        "vocab_size": 9, "hidden_size": HIDDEN, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": INNER, "max_position_embeddings": 5,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    });
    const FIELDS: [&str; 9] = [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "layer_norm_eps",
        "pad_token_id",
    ];
    for (field, number) in changes {
        config[FIELDS[usize::from(*field) % FIELDS.len()]] = Value::from(*number);
    }
    serde_json::to_vec(&config).unwrap()
}

fuzz_target!(|input: Input| {
    let Some(file) = file(&input) else { return };
    let Ok(encoder) = Encoder::read(&file, &config(input.kind, &input.config)) else { return };
    let ids: Vec<u32> = input.ids.iter().take(6).map(|&id| u32::from(id)).collect();
    let sequences = [ids, vec![1, 2]];
    let _ = encoder.run_float(&sequences);
    let _ = encoder.quantise(&sequences, &EncoderOptions::default());
});
