//! A text encoder of MiniLM's shape with pseudo-random weights. The cost of
//! running, tracing and checking does not depend on the weights' values.

use crate::Failure;
use poai_core::program::RunShape;
use poai_engine::execute::{Network, Tensor};
use poai_import::bert::{self, Encoder, EncoderOptions};
use safetensors::tensor::{Dtype, TensorView};

/// Sizes of an encoder.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Layers.
    pub layers: usize,
    /// Columns of the hidden states; a head has 32.
    pub hidden: usize,
    /// Columns between the two feed-forward products.
    pub intermediate: usize,
    /// Sequences of a batch.
    pub batch: usize,
    /// Tokens of each sequence.
    pub sequence: usize,
}

impl Sizes {
    /// all-MiniLM-L6-v2 on 32 sequences of 128 tokens.
    pub const MINILM: Sizes =
        Sizes { layers: 6, hidden: 384, intermediate: 1536, batch: 32, sequence: 128 };

    /// A small encoder for quick runs.
    pub const SMALL: Sizes =
        Sizes { layers: 1, hidden: 128, intermediate: 256, batch: 4, sequence: 32 };
}

const VOCABULARY: usize = 1000;

/// The network.
///
/// # Errors
/// Fails only if the importer refuses the generated files.
pub fn network(sizes: &Sizes) -> Result<Network, Failure> {
    let encoder = Encoder::read(&weights(sizes)?, config(sizes).as_bytes())?;
    let calibration = vec![(0..24).map(|token| token * 37).collect()];
    Ok(encoder.quantise(&calibration, &EncoderOptions::default())?.network)
}

/// Sequences of full length.
///
/// # Errors
/// Never fails for valid sizes.
pub fn inputs(sizes: &Sizes) -> Result<(RunShape, Vec<Tensor>), Failure> {
    let id = |item: usize, token: usize| ((item * 131 + token * 17) % VOCABULARY) as u32;
    let sequence = |item| (0..sizes.sequence).map(|token| id(item, token)).collect();
    let sequences: Vec<Vec<u32>> = (0..sizes.batch).map(sequence).collect();
    Ok(bert::inputs(&sequences)?)
}

fn config(sizes: &Sizes) -> String {
    let Sizes { layers, hidden, intermediate, sequence, .. } = sizes;
    serde_json::json!({
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden / 32,
        "intermediate_size": intermediate,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": (*sequence).max(64),
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
    })
    .to_string()
}

fn weights(sizes: &Sizes) -> Result<Vec<u8>, Failure> {
    let Sizes { layers, hidden, intermediate, sequence, .. } = *sizes;
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![VOCABULARY, hidden]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![sequence.max(64), hidden]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, hidden]),
    ];
    let mut dense = |name: String, rows: usize, columns: usize| {
        shapes.push((format!("{name}.weight"), vec![rows, columns]));
        shapes.push((format!("{name}.bias"), vec![rows]));
    };
    for layer in 0..layers {
        let layer = format!("encoder.layer.{layer}");
        for name in ["self.query", "self.key", "self.value", "output.dense"] {
            dense(format!("{layer}.attention.{name}"), hidden, hidden);
        }
        dense(format!("{layer}.intermediate.dense"), intermediate, hidden);
        dense(format!("{layer}.output.dense"), hidden, intermediate);
    }
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..layers {
        norms.push(format!("encoder.layer.{layer}.attention.output.LayerNorm"));
        norms.push(format!("encoder.layer.{layer}.output.LayerNorm"));
    }
    for norm in &norms {
        shapes.push((format!("{norm}.weight"), vec![hidden]));
        shapes.push((format!("{norm}.bias"), vec![hidden]));
    }
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let centre = if name.contains("LayerNorm.weight") { 1.0 } else { 0.0 };
            let data = floats(&name, shape.iter().product(), centre);
            (name, shape, data)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, data)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), data)?)));
    let views: Vec<_> = views.collect::<Result<_, Failure>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// Little-endian f32 within 0.1 of a centre.
fn floats(name: &str, count: usize, centre: f32) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    let floats = bytes.iter().map(|&byte| centre + (f32::from(byte) - 127.5) / 1275.0);
    floats.flat_map(f32::to_le_bytes).collect()
}
