//! The forward pass gives transformers' logits, from both formats.

use crate::fixture;
use ndarray::Array2;
use poai_decoder::{DecoderCheckpoint, FloatDecoder, Observed};
use safetensors::SafeTensors;
use std::path::Path;

/// The largest difference of two logits. Theirs deviate by 1 to 4.
const BOUND: f32 = 1e-4;

fn expected(name: &str) -> (Vec<u32>, Array2<f32>) {
    let bytes = std::fs::read(fixture(name).join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| {
        let chunks = file.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec();
        chunks.into_iter().map(u32::from_le_bytes).collect::<Vec<_>>()
    };
    let shape = file.tensor("logits").unwrap().shape().to_vec();
    let logits = words("logits").into_iter().map(f32::from_bits).collect();
    (words("ids"), Array2::from_shape_vec([shape[0], shape[1]], logits).unwrap())
}

fn check(name: &str, model: &Path) {
    let (ids, expected) = expected(name);
    let checkpoint = DecoderCheckpoint::open(model).unwrap();
    let decoder = FloatDecoder::load(&checkpoint).unwrap();
    let got = decoder.logits(&ids, &mut |_, _, _| ()).unwrap();
    assert_eq!(got.dim(), expected.dim(), "{name}");
    let worst = (&got - &expected).fold(0f32, |worst, difference| worst.max(difference.abs()));
    println!("{}: worst difference {worst:e}", model.display());
    assert!(worst <= BOUND, "{}: worst difference {worst}", model.display());

    // Earlier places do not depend on later ones.
    let half = decoder.logits(&ids[..ids.len() / 2], &mut |_, _, _| ()).unwrap();
    for (short, whole) in half.rows().into_iter().zip(got.rows()) {
        assert!(short.iter().zip(whole).all(|(a, b)| (a - b).abs() <= BOUND), "{name}");
    }
}

#[test]
fn safetensors_of_every_family_give_the_logits_of_transformers() {
    for name in [
        "llama",
        "llama3",
        "llama-biases",
        "mistral",
        "qwen2",
        "qwen2-full",
        "qwen3",
        "gemma",
        "gemma2",
        "gemma3",
        "phi3",
    ] {
        check(name, &fixture(name));
    }
}

#[test]
fn gguf_of_every_architecture_gives_the_logits_of_transformers() {
    for name in
        ["llama", "llama3", "mistral", "qwen2-full", "qwen3", "gemma", "gemma2", "gemma3", "phi3"]
    {
        check(name, &fixture(name).join("model.gguf"));
    }
}

#[test]
fn both_formats_give_the_same_layers() {
    for name in ["llama", "llama3", "gemma3", "phi3"] {
        let [a, b] = [fixture(name), fixture(name).join("model.gguf")]
            .map(|path| DecoderCheckpoint::open(&path).unwrap());
        for layer in 0..a.config().layers() {
            let [a, b] = [&a, &b].map(|checkpoint| checkpoint.layer(layer).unwrap());
            // Halves hold entries of bf16 below 2^−14 with fewer bits.
            let close = |a: &Array2<f32>, b: &Array2<f32>| (a - b).iter().all(|x| x.abs() < 1e-6);
            assert!(close(&a.query.weights, &b.query.weights), "{name}");
            assert!(close(&a.down.weights, &b.down.weights), "{name}");
            assert_eq!(a.norms, b.norms, "{name}");
        }
    }
}

#[test]
fn an_observer_sees_the_input_of_each_product() {
    let (ids, _) = expected("qwen3");
    let decoder = FloatDecoder::load(&DecoderCheckpoint::open(&fixture("qwen3")).unwrap()).unwrap();
    let config = decoder.config().clone();
    let mut seen = vec![];
    let mut observe = |layer, what, entries: ndarray::ArrayView2<'_, f32>| {
        assert_eq!(entries.nrows(), ids.len());
        seen.push((layer, what, entries.ncols()));
    };
    decoder.logits(&ids, &mut observe).unwrap();
    let [queries, keys] = [config.heads, config.kv_heads].map(|heads| heads * config.head);
    let mut expected = vec![];
    for layer in 0..config.layers() {
        expected.extend([
            (layer, Observed::Residual, config.hidden),
            (layer, Observed::AttentionInput, config.hidden),
            (layer, Observed::Query, queries),
            (layer, Observed::Key, keys),
            (layer, Observed::Value, keys),
            (layer, Observed::Context, queries),
            (layer, Observed::InnerInput, config.hidden),
            (layer, Observed::Inner, config.inner),
        ]);
    }
    let last = [Observed::Residual, Observed::HeadInput];
    expected.extend(last.map(|what| (config.layers(), what, config.hidden)));
    assert_eq!(seen, expected);
}
