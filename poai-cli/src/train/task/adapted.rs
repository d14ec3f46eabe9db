//! Adapters of an encoder's last layers: which play do some lines come from?

use super::rows::held;
use super::{Length, Task};
use crate::embed::TextModel;
use crate::failure::Failure;
use crate::train::OptimiserName;
use crate::train::held::Held;
use crate::train::plays;
use poai::import::bert::{Encoder, EncoderKind};
use poai::train::dataset::fraction;
use poai::train::{Dataset, Layers, TrainLayer};
use std::collections::BTreeMap;
use std::path::Path;

/// The lines of a play of which a sample is the beginning.
const LINES: usize = 8;
/// The most parts of a play: each takes milliseconds of the encoder.
const PARTS_MAX: usize = 250;
/// The tokens of a sample.
const TOKENS: usize = 32;
/// The layers with adapters.
const LAYERS: usize = 2;
/// The rank of adapters.
const RANK: u32 = 8;
/// The samples whose hidden states are in memory at once.
const TOGETHER: usize = 64;

/// Adapters and a linear layer on the hidden states of the bundled plays' lines,
/// before an encoder's last layers.
pub fn task(model: &Path) -> Result<Task, Failure> {
    let text = TextModel::load(model, Some(TOKENS))?;
    let encoder = &text.encoder;
    let (parts, labels) = plays::labelled(LINES, PARTS_MAX)?;
    // Attention sees all tokens, so a sample has no padding.
    let (sequences, labels): (Vec<Vec<u32>>, Vec<u32>) =
        text.tokens(&parts)?.into_iter().zip(labels).filter(|(ids, _)| ids.len() == TOKENS).unzip();
    // Labels are in ascending order.
    let classes = labels.last().map_or(0, |&last| last + 1);
    let config = *encoder.config();
    let first = match config.layers.checked_sub(LAYERS) {
        Some(first) if config.kind != EncoderKind::Mpnet => first,
        _ => {
            let expected = format!("expected a BERT encoder of at least {LAYERS} layers");
            let got = format!("{:?} of {}", config.kind, config.layers);
            let why = format!("{}: {expected}, got {got}; name another --model", model.display());
            return Err(Failure::usage(why));
        }
    };
    let states = hidden(encoder, &sequences, first)?;
    let fraction = fraction(&states);
    // Exact: sizes of a model in memory.
    let [length, columns] = [TOKENS as u32, config.hidden as u32];
    let (heads, inner) = (config.heads as u32, config.intermediate as u32);
    let mut layers = Layers::sequence(length, columns, fraction);
    for _ in 0..LAYERS {
        layers = layers.adapted_encoder_layer(heads, inner, columns, RANK);
    }
    let layers = layers.layer(TrainLayer::MeanPool).linear(classes);
    let dataset = |chosen: &[bool]| {
        let samples = states.chunks_exact(TOKENS * config.hidden).zip(&labels).zip(chosen);
        let samples = samples.filter(|(_, chosen)| **chosen).map(|(sample, _)| sample);
        let (numbers, labels): (Vec<&[f32]>, Vec<u32>) = samples.unzip();
        Dataset::dense(&layers, &numbers.concat(), &labels)
    };
    let test = held(labels.len());
    let train: Vec<bool> = test.iter().map(|held| !held).collect();
    let (train, test) = (dataset(&train)?, Held::all(&dataset(&test)?));
    Ok(Task {
        name: format!(
            "adapters of rank {RANK} in the last {LAYERS} layers of an encoder, on {} parts of plays",
            labels.len(),
        ),
        train,
        test,
        layers,
        divisors: vec![],
        numbers: numbers(encoder, first),
        optimiser: OptimiserName::Adam,
        rate: None,
        batch: 32,
        length: Length::Epochs(3),
        warnings: vec![],
    })
}

/// The hidden states of sequences before a layer, row by row.
fn hidden(encoder: &Encoder, sequences: &[Vec<u32>], layer: usize) -> Result<Vec<f32>, Failure> {
    let mut all = vec![];
    for part in sequences.chunks(TOGETHER) {
        for floats in encoder.run_float(part)? {
            // The embeddings come before the first layer.
            let states = floats.hidden.get(layer);
            states.iter().for_each(|states| all.extend(states.iter()));
        }
    }
    Ok(all)
}

/// The numbers with which parameters begin, by their names.
fn numbers(encoder: &Encoder, first: usize) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    for index in 0..LAYERS {
        let (before, after) = (2 * index, 2 * index + 1);
        let layer = encoder.layer(first + index).into_iter().flatten();
        // Queries, keys and values are one product, in this order.
        let (mut joined, mut joined_bias) = ([vec![], vec![], vec![]], [vec![], vec![], vec![]]);
        for (name, tensor) in layer {
            let (part, bias) = match name.strip_suffix(" bias") {
                Some(part) => (part, " bias"),
                None => (name, ""),
            };
            let kinds = ["query", "key", "value"];
            if let Some(at) = kinds.iter().position(|kind| *kind == part) {
                let parts = if bias.is_empty() { &mut joined } else { &mut joined_bias };
                parts[at] = tensor;
                continue;
            }
            let own = match part {
                "attention gamma" => format!("gamma{before}"),
                "attention beta" => format!("beta{before}"),
                "gamma" => format!("gamma{after}"),
                "beta" => format!("beta{after}"),
                "up" => format!("linear{before}{bias}"),
                "down" => format!("linear{after}{bias}"),
                "output" => format!("attention{index} out{bias}"),
                part => format!("attention{index} {part}{bias}"),
            };
            all.insert(own, tensor);
        }
        all.insert(format!("attention{index} joined"), joined.concat());
        all.insert(format!("attention{index} joined bias"), joined_bias.concat());
    }
    all
}
