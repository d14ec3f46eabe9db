//! Five short runs, value by value.

use poai_core::program::{Dtype, ValueId};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Inputs, Tensor};
use poai_train::{Iteration, IterationOptions, Layers, Optimiser, Source};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Deserialize)]
struct Run {
    name: String,
    iterations: Vec<Vec<Value>>,
}

/// A value's root; the first iteration has its step as well.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Full { step: String, root: String },
    Root(String),
}

impl Value {
    fn step(&self) -> &str {
        match self {
            Value::Full { step, .. } => step,
            Value::Root(_) => "",
        }
    }

    fn root(&self) -> &str {
        match self {
            Value::Full { root, .. } | Value::Root(root) => root,
        }
    }
}

/// `noise` of the known answers: words of a label's extendable output, modulo
/// 2·half + 1, less half.
fn noise(label: &str, rows: usize, columns: usize, half: u64) -> Vec<i32> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(label.as_bytes());
    let mut bytes = vec![0; 4 * rows * columns];
    hasher.finalize_xof().fill(&mut bytes);
    let words = bytes.as_chunks::<4>().0.iter().map(|&word| u64::from(u32::from_le_bytes(word)));
    words.map(|word| (word % (2 * half + 1)) as i32 - half as i32).collect()
}

/// A run's network, batch, rates and optimiser.
struct Setup {
    layers: Layers,
    optimiser: Optimiser,
    decay: f64,
    batch: u32,
    rates: &'static [i32],
}

impl Setup {
    fn of(name: &str) -> Setup {
        let mlp = || Layers::features(64).linear(32).relu().linear(10);
        match name {
            "mlp sgd" => Setup {
                layers: mlp(),
                optimiser: Optimiser::SGD,
                decay: 8.0,
                batch: 32,
                rates: &[838861, 629146, 419430, 209715],
            },
            "mlp lion" => Setup {
                layers: mlp(),
                optimiser: Optimiser::LION,
                decay: 16.0,
                batch: 32,
                rates: &[16777, 12583, 8389, 4194],
            },
            "mlp adam" => Setup {
                layers: mlp(),
                optimiser: Optimiser::ADAM,
                decay: 16.0,
                batch: 32,
                rates: &[29658, 16524, 9441, 4287],
            },
            "cnn sgd" => Setup {
                layers: Layers::image(8, 8, 1)
                    .conv(4, 3)
                    .relu()
                    .max_pool(2)
                    .conv(8, 3)
                    .relu()
                    .max_pool(2)
                    .flatten()
                    .linear(10),
                optimiser: Optimiser::SGD,
                decay: 0.0,
                batch: 8,
                rates: &[1677722, 1118481, 559241],
            },
            "transformer adam" => Setup {
                layers: Layers::transformer(25, 16, 32, 1, 2, 64),
                optimiser: Optimiser::ADAM,
                decay: 0.0,
                batch: 4,
                rates: &[44487, 22032, 9441],
            },
            other => panic!("an unknown run: {other}"),
        }
    }

    /// The batch and its labels in iteration t.
    fn batch(&self, samples: &[i32]) -> (Tensor, Tensor) {
        let rows = |all: &[i32], columns: usize| -> Vec<i32> {
            let row = |&sample: &i32| &all[sample as usize * columns..][..columns];
            samples.iter().flat_map(row).copied().collect()
        };
        let count = samples.len();
        match self.layers.sample() {
            poai_train::layers::SampleKind::Tokens { .. } => {
                let text: Vec<i32> = noise("text", 40, 17, 12).iter().map(|id| id + 12).collect();
                let text = rows(&text, 17);
                let part = |from: usize| -> Vec<i32> {
                    text.chunks_exact(17).flat_map(|row| row[from..from + 16].to_vec()).collect()
                };
                let tensor = |ids: &[i32]| Tensor::new(count * 16, 1, Dtype::I32, ids).unwrap();
                (tensor(&part(0)), tensor(&part(1)))
            }
            sample => {
                let pixels: Vec<i32> =
                    noise("pixels", 96, 64, 31).iter().map(|pixel| pixel + 31).collect();
                let labels: Vec<i32> =
                    noise("labels", 96, 1, 4).iter().map(|label| label + 4).collect();
                let size = match sample {
                    poai_train::layers::SampleKind::Image { .. } => (count * 64, 1),
                    _ => (count, 64),
                };
                let pixels = Tensor::new(size.0, size.1, Dtype::I8, &rows(&pixels, 64)).unwrap();
                (pixels, Tensor::new(count, 1, Dtype::I32, &rows(&labels, 1)).unwrap())
            }
        }
    }
}

fn one(entry: i32) -> Tensor {
    Tensor::new(1, 1, Dtype::I32, &[entry]).unwrap()
}

/// The samples of each iteration, which `draw` of the steps' own tests names.
fn drawn(seed: &Tensor, t: i32, batch: u32, samples: u32) -> Vec<i32> {
    use poai_core::program::{Builder, Dim, Form, Op, RunShape, TrainingOp};
    let forms = [8, 1].map(|rows| Form::shared(Dim::fixed(rows), Dim::fixed(1), Dtype::I32));
    let mut builder = Builder::new(&forms);
    let inputs = [builder.input(0), builder.input(1)];
    builder.step("draw", Op::Training(TrainingOp::Draw { samples }), &inputs).unwrap();
    let program = builder.finish().unwrap();
    let network = poai_engine::execute::Network::new(program, vec![]).unwrap();
    let session = network.on(Arc::new(Cpu::new())).unwrap();
    let shape = RunShape::new(batch, 1);
    let run = session.run(Inputs::from((shape, vec![seed.clone(), one(t)]))).unwrap();
    run.output.entries()
}

#[test]
fn runs() {
    let runs: Vec<Run> =
        serde_json::from_str(include_str!("../../../test_vectors/training/runs.json")).unwrap();
    assert_eq!(runs.len(), 5);
    let words: Vec<i32> = blake3::hash(b"seed")
        .as_bytes()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&word| i32::from_le_bytes(word))
        .collect();
    let seed = Tensor::new(8, 1, Dtype::I32, &words).unwrap();
    for run in &runs {
        let setup = Setup::of(&run.name);
        let stochastic =
            |value: &&Value| value.step().starts_with("rescale") && value.step().contains(" True ");
        let numbered = run.iterations[0].iter().enumerate();
        let streams: Vec<u32> =
            numbered.filter(|(_, value)| stochastic(value)).map(|(at, _)| at as u32).collect();
        let options = IterationOptions {
            optimiser: setup.optimiser,
            decay: setup.decay,
            batch: setup.batch,
            source: Source::Given,
        };
        let layers = setup.layers.clone().with_operand_gates();
        let iteration = Iteration::with_streams(&layers, &options, streams).unwrap();
        let mut states: Vec<Tensor> = iteration
            .states()
            .iter()
            .map(|state| {
                let (rows, columns) = (state.rows as usize, state.columns as usize);
                let half = (6u64 << 48).checked_div(columns as u64).unwrap().isqrt();
                let zeros = state.moment.is_some() || state.parameter.starts_with('b');
                let entries = match zeros {
                    true => vec![0; rows * columns],
                    false => noise(&format!("weights {}", state.parameter), rows, columns, half),
                };
                Tensor::new(rows, columns, Dtype::I32, &entries).unwrap()
            })
            .collect();
        let shape = iteration.shape();
        let session = iteration.network().clone().on(Arc::new(Cpu::new())).unwrap();
        for (t, values) in run.iterations.iter().enumerate() {
            let samples = match setup.layers.sample() {
                poai_train::layers::SampleKind::Tokens { .. } => 40,
                _ => 96,
            };
            let samples = drawn(&seed, t as i32, setup.batch, samples);
            let (x, y) = setup.batch(&samples);
            let inputs = states.iter().cloned().chain([
                seed.clone(),
                one(t as i32),
                x,
                y,
                one(setup.rates[t]),
            ]);
            let traced = session.trace(Inputs::from((shape, inputs.collect::<Vec<_>>()))).unwrap();
            let all = 0..iteration.network().program().values() as u32;
            let ours: BTreeSet<String> = all
                .map(|value| traced.trace.value(ValueId(value)).unwrap().root().to_string())
                .collect();
            for (at, value) in values.iter().enumerate() {
                let place = format!("{}, iteration {t}, value {at}", run.name);
                // The places of tokens are made within the program.
                assert!(ours.contains(value.root()), "{place}: {} has another root", value.step());
            }
            states =
                traced.outputs[..states.len()].iter().map(|output| Tensor::clone(output)).collect();
        }
    }
}
