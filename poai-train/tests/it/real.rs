//! Whole networks in real numbers: their gradients against finite differences and
//! against PyTorch, and the integers' gradients against both.

use crate::runs;
use poai_core::program::{Dtype, RunShape};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Inputs, Network, Tensor};
use poai_train::iteration::Forward;
use poai_train::layers::TrainLayer;
use poai_train::numbers::WEIGHT_GRADIENT;
use poai_train::real::{RealError, RealForward, RealNetwork, RealRun, RealValue};
use poai_train::{Iteration, IterationOptions, Layers, Optimiser, Source, TrainError, initial};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const SEED: [u8; 32] = [7; 32];
const BATCH: usize = 12;

/// What `scripts/make-training-gradients.py` writes.
#[derive(Deserialize)]
struct Fixture {
    networks: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    loss: f64,
    gradients: BTreeMap<String, Gradient>,
}

#[derive(Deserialize)]
struct Gradient {
    rows: u32,
    columns: u32,
    every: usize,
    norm: f64,
    entries: Vec<f64>,
}

fn words(label: &str, count: usize) -> Vec<u32> {
    let mut bytes = vec![0; 4 * count];
    blake3::Hasher::new().update(label.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// A network with one batch, as the script has it.
struct Case {
    name: &'static str,
    iteration: Iteration,
    states: Vec<Tensor>,
    samples: Tensor,
    labels: Vec<i32>,
}

impl Case {
    fn new(name: &'static str, layers: &Layers, samples: Tensor, labels: Vec<i32>) -> Case {
        let source = Source::Given;
        let optimiser = Optimiser::SGD;
        let options = IterationOptions { optimiser, decay: 0.0, batch: BATCH as u32, source };
        let iteration = Iteration::new(layers, &options).unwrap();
        let states = initial(&iteration, &SEED).unwrap();
        Case { name, iteration, states, samples, labels }
    }

    fn dense(
        name: &'static str,
        layers: &Layers,
        [rows, columns]: [usize; 2],
        classes: u32,
    ) -> Case {
        let count = BATCH * rows * columns;
        let pixels = words(&format!("pixels {name}"), count);
        let pixels: Vec<i32> = pixels.iter().map(|word| (word % 127) as i32 - 63).collect();
        let samples = Tensor::new(BATCH * rows, columns, Dtype::I8, &pixels).unwrap();
        let labels = words(&format!("labels {name}"), BATCH);
        let labels = labels.iter().map(|word| (word % classes) as i32).collect();
        Case::new(name, layers, samples, labels)
    }

    fn text(name: &'static str, causal: bool, centre: bool) -> Case {
        let (vocabulary, length, heads, hidden) = (13, 6, 4, 24);
        let block = || TrainLayer::Block { heads, hidden, causal, centre };
        let layers = Layers::tokens(vocabulary, length as u32)
            .layer(TrainLayer::Embed { width: 16 })
            .layer(block())
            .layer(block())
            .layer(TrainLayer::Norm { centre, affine: false })
            .layer(TrainLayer::Linear { outputs: vocabulary, bias: false });
        let text = words(&format!("text {name}"), BATCH * (length + 1));
        let text: Vec<i32> = text.iter().map(|word| (word % vocabulary) as i32).collect();
        let part = |from: usize| -> Vec<i32> {
            let rows = text.chunks_exact(length + 1);
            rows.flat_map(|row| &row[from..from + length]).copied().collect()
        };
        let samples = Tensor::new(BATCH * length, 1, Dtype::I32, &part(0)).unwrap();
        Case::new(name, &layers, samples, part(1))
    }

    /// The four networks of the fixture.
    fn all() -> [Case; 4] {
        let mlp = Layers::features(20).linear(32).relu().linear(24).relu().linear(6);
        let cnn = Layers::image(8, 8, 2).conv(6, 3).relu().max_pool(2);
        let cnn = cnn.conv(8, 3).relu().max_pool(2).flatten().linear(10);
        [
            Case::dense("mlp", &mlp, [1, 20], 6),
            Case::dense("cnn", &cnn, [64, 2], 10),
            Case::text("causal", true, false),
            Case::text("centred", false, true),
        ]
    }

    fn network(&self) -> &Network {
        self.iteration.network()
    }

    /// The inputs after the states, with a rate of 0.
    fn rest(&self) -> Vec<Tensor> {
        let column = |entries: &[i32]| Tensor::new(entries.len(), 1, Dtype::I32, entries).unwrap();
        vec![
            column(&[3; 8]),
            column(&[0]),
            self.samples.clone(),
            column(&self.labels),
            column(&[0]),
        ]
    }

    /// The momenta after one iteration from 0, which are the gradients of the summed
    /// loss, and the mean loss: in real numbers.
    fn real(&self, states: Vec<RealValue<f64>>) -> (f64, Vec<Vec<f64>>) {
        let network = RealNetwork::<f64>::new(self.network());
        let rest = self.rest();
        let inputs = states.into_iter().chain(rest.iter().map(RealValue::exact)).collect();
        let run = RunShape { batch: BATCH as u32, sequence: 1 };
        let outputs = network.run(&run, inputs).unwrap();
        let entries = |value: &RealValue<f64>| value.reals().iter().copied().collect::<Vec<f64>>();
        self.split(outputs.iter().map(entries).collect())
    }

    fn initial(&self) -> Vec<RealValue<f64>> {
        self.states.iter().map(RealValue::real).collect()
    }

    /// The same in integers.
    fn integers(&self) -> (f64, Vec<Vec<f64>>) {
        let session = self.network().clone().on(Arc::new(Cpu::new())).unwrap();
        let tensors: Vec<Tensor> = self.states.iter().cloned().chain(self.rest()).collect();
        let run = RunShape { batch: BATCH as u32, sequence: 1 };
        let outputs = session.run(Inputs::from((run, tensors))).unwrap().outputs;
        let entries = |tensor: &Arc<Tensor>| -> Vec<f64> {
            tensor.entries().iter().map(|&x| f64::from(x)).collect()
        };
        self.split(outputs.iter().map(entries).collect())
    }

    /// The mean loss of an iteration's logits, and its momenta as real gradients.
    fn split(&self, mut outputs: Vec<Vec<f64>>) -> (f64, Vec<Vec<f64>>) {
        let logits = outputs.pop().unwrap();
        let rows = logits.chunks_exact(logits.len() / self.labels.len()).zip(&self.labels);
        let losses = rows.map(|(row, &label)| {
            let own = row[label as usize];
            row.iter().map(|x| ((x - own) / 65536.0).exp()).sum::<f64>().ln()
        });
        let loss = losses.sum::<f64>() / self.labels.len() as f64;
        let momenta = outputs.into_iter().skip(1).step_by(2);
        let one = f64::from(1 << WEIGHT_GRADIENT);
        (loss, momenta.map(|m| m.iter().map(|g| g / one).collect()).collect())
    }

    /// The names of the parameters, in the order of gradients.
    fn names(&self) -> impl Iterator<Item = &str> {
        let parameters = self.iteration.states().iter().filter(|state| state.moment.is_none());
        parameters.map(|state| state.parameter.as_str())
    }
}

fn norm<'a>(entries: impl IntoIterator<Item = &'a f64>) -> f64 {
    entries.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The distance of two lists of numbers, as a part of the second's norm.
fn distance(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let differences: Vec<f64> = got.iter().zip(expected).map(|(a, b)| a - b).collect();
    norm(&differences) / norm(expected)
}

/// How far the integers' gradient of the last layer may be, as a part of its norm:
/// twice what stochastic rounding to 7 bits does to batches of 12.
const LAST: f64 = 0.08;
/// The same of other layers. There an activation near 0 is 0 as an operand, or has
/// another sign, and its gradient passes or not. Attention has weights of 7 bits.
const INTEGERS: f64 = 0.45;

/// The real gradients are PyTorch's in float64, and the integers' are near.
#[test]
fn gradients_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../test_vectors/training/gradients.json");
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(fixture.networks.len(), 4);
    for case in Case::all() {
        let expected = &fixture.networks[case.name];
        let (loss, real) = case.real(case.initial());
        let (near_loss, integers) = case.integers();
        assert!((loss - expected.loss).abs() < 1e-9, "{}: {loss} {}", case.name, expected.loss);
        assert!((near_loss - loss).abs() < 0.03, "{}: {near_loss} {loss}", case.name);
        assert_eq!(real.len(), expected.gradients.len());
        let parameters = case.iteration.states().iter().step_by(2);
        for ((state, real), integers) in parameters.zip(&real).zip(&integers) {
            let gradient = &expected.gradients[&state.parameter];
            assert_eq!((state.rows, state.columns), (gradient.rows, gradient.columns));
            let some =
                |all: &[f64]| -> Vec<f64> { all.iter().step_by(gradient.every).copied().collect() };
            let what = format!("{} {}", case.name, state.parameter);
            let far = distance(&some(real), &gradient.entries);
            assert!(far < 1e-9, "{what}: {far}");
            assert!((norm(real) / gradient.norm - 1.0).abs() < 1e-9, "{what}");
            let along = integers.iter().zip(real).map(|(a, b)| a * b).sum::<f64>();
            let along = along / norm(real).powi(2);
            let far = distance(&some(integers), &gradient.entries);
            let last = ["mlp w2", "mlp b2", "cnn w2", "cnn b2", "causal out", "centred out"];
            let most = if last.contains(&what.as_str()) { LAST } else { INTEGERS };
            assert!(far < most, "{what}: {far}");
            assert!((0.75..1.15).contains(&along), "{what}: {along} of the gradient");
        }
    }
}

/// The real gradients are what the loss says, entry by entry.
#[test]
fn gradients_are_finite_differences() {
    /// 2^−20 of a weight, in its units.
    const STEP: f64 = 16.0;
    for case in Case::all() {
        let (_, gradients) = case.real(case.initial());
        let answers = case.labels.len() as f64;
        for (index, (name, gradient)) in case.names().zip(&gradients).enumerate() {
            let largest = gradient.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
            for at in (0..gradient.len()).step_by(gradient.len().div_ceil(5)) {
                let loss = |distance: f64| {
                    let mut states = case.initial();
                    if let RealValue::Real(state) = &mut states[2 * index] {
                        *state.iter_mut().nth(at).unwrap() += distance;
                    }
                    case.real(states).0 * answers
                };
                let slope = (loss(STEP) - loss(-STEP)) / (2.0 * STEP) * f64::from(1 << 24);
                let far = (slope - gradient[at]).abs() / largest;
                assert!(far < 1e-5, "{} {name} {at}: {slope} {}", case.name, gradient[at]);
            }
        }
    }
}

/// A run in real numbers sees the batches of the integers, and learns as they do.
#[test]
fn real_runs_follow_integers() {
    for optimiser in [Optimiser::SGD, Optimiser::LION, Optimiser::ADAM] {
        let mut integers = runs::run(optimiser, 150, 5, 1);
        let (iteration, dataset) = (integers.iteration().clone(), integers.dataset().clone());
        let (states, seed) = (runs::states(&integers), *integers.seed());
        let mut real = RealRun::<f32>::new(&iteration, &dataset, &states, seed).unwrap();
        let mut wide = RealRun::<f64>::new(&iteration, &dataset, &states, seed).unwrap();
        runs::finish(&mut integers);
        while real.done() < real.total() {
            real.step().unwrap();
        }
        assert!(matches!(real.step(), Err(RealError::Train(TrainError::Done(150)))));
        for _ in 0..20 {
            wide.step().unwrap();
        }
        // Both types compute the same losses, and the integers nearly the same. Signs
        // of Lion that differ at 0 move a weight by the whole rate.
        let history = || real.history().iter().zip(integers.history()).zip(wide.history());
        for (t, ((real, integers), wide)) in history().enumerate() {
            assert_eq!(real.answers, integers.answers);
            assert!((real.mean - wide.mean).abs() < 1e-3, "{optimiser:?} {t}: {real:?} {wide:?}");
            let far = (real.mean - integers.mean).abs();
            assert!(far < 0.06, "{optimiser:?} {t}: {real:?} {integers:?}");
        }
        let forward = Forward::new(&runs::layers(), Arc::new(Cpu::new())).unwrap();
        let fresh = runs::points(&runs::layers(), 400);
        let (samples, labels) = (&fresh.samples().tensor, &fresh.labels().tensor);
        let loss = RealForward::new(&forward).evaluate(&real, samples, labels).unwrap();
        let now: Vec<Arc<Tensor>> = integers.states().cloned().collect();
        let near = forward.evaluate(&iteration, &now, samples, labels).unwrap();
        assert_eq!(loss.answers, 400);
        assert!(loss.accuracy() > 0.88, "{optimiser:?}: {loss:?}");
        assert!((loss.mean - near.mean).abs() < 0.03, "{optimiser:?}: {loss:?} {near:?}");
    }
}

#[test]
fn a_real_run_takes_its_own_dataset_and_states_only() {
    let run = runs::run(Optimiser::SGD, 2, 1, 1);
    let (iteration, dataset, states) = (run.iteration(), run.dataset(), runs::states(&run));
    let other = runs::points(&runs::layers(), 99);
    let refused = RealRun::<f64>::new(iteration, &other, &states, SEED).unwrap_err();
    assert!(matches!(refused, RealError::Train(TrainError::Source { .. })), "{refused}");
    let refused = RealRun::<f64>::new(iteration, dataset, &states[1..], SEED).unwrap_err();
    assert!(matches!(refused, RealError::Train(TrainError::States { .. })), "{refused}");
    let [given, ..] = Case::all();
    let refused = RealRun::<f64>::new(&given.iteration, dataset, &given.states, SEED).unwrap_err();
    assert!(matches!(refused, RealError::Train(TrainError::Source { .. })), "{refused}");
}
