//! Whole networks in real numbers: their gradients against finite differences and
//! against PyTorch, and the integers' gradients against both.

use crate::runs;
use ndarray::Array2;
use poai_core::program::{Dtype, RunShape};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Inputs, Network, Tensor};
use poai_train::iteration::{Forward, State, StateStart};
use poai_train::layers::{TrainLayer, TrainLoss};
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
    gradients: BTreeMap<String, ExpectedGradient>,
}

#[derive(Deserialize)]
struct ExpectedGradient {
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
    labels: Tensor,
}

impl Case {
    fn of(name: &'static str, iteration: Iteration, samples: Tensor, labels: Tensor) -> Case {
        let states = initial(&iteration, &SEED).unwrap();
        Case { name, iteration, states, samples, labels }
    }

    fn options() -> IterationOptions {
        let (optimiser, source) = (Optimiser::SGD, Source::Given);
        IterationOptions { optimiser, decay: 0.0, batch: BATCH as u32, source }
    }

    /// A network of samples in rows and columns, with a label each.
    fn dense(name: &'static str, layers: &Layers, [rows, columns]: [usize; 2]) -> Case {
        let count = BATCH * rows * columns;
        let pixels = words(&format!("pixels {name}"), count);
        let pixels: Vec<i32> = pixels.iter().map(|word| (word % 127) as i32 - 63).collect();
        let samples = Tensor::new(BATCH * rows, columns, Dtype::I8, &pixels).unwrap();
        let iteration = Iteration::new(layers, &Case::options()).unwrap();
        Case::of(name, iteration, samples, Case::labels(name, layers, BATCH))
    }

    fn labels(name: &str, layers: &Layers, count: usize) -> Tensor {
        let Some(&TrainLayer::Linear { outputs, .. }) = layers.layers().last() else {
            panic!("expected a last linear layer");
        };
        let label = format!("labels {name}");
        let (columns, labels): (usize, Vec<i32>) = match layers.loss() {
            TrainLoss::CrossEntropy => {
                let labels = words(&label, count);
                (1, labels.iter().map(|word| (word % outputs) as i32).collect())
            }
            // Targets between −2 and 2, with 16 bits.
            _ => {
                let labels = words(&label, count * outputs as usize);
                let target = |word: &u32| (word % (1 << 18)) as i32 - (1 << 17);
                (outputs as usize, labels.iter().map(target).collect())
            }
        };
        Tensor::new(count, columns, Dtype::I32, &labels).unwrap()
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
        let part = |from: usize| -> Tensor {
            let rows = text.chunks_exact(length + 1);
            let ids: Vec<i32> = rows.flat_map(|row| &row[from..from + length]).copied().collect();
            Tensor::new(BATCH * length, 1, Dtype::I32, &ids).unwrap()
        };
        let iteration = Iteration::new(&layers, &Case::options()).unwrap();
        Case::of(name, iteration, part(0), part(1))
    }

    /// The networks of the fixture.
    fn fixture() -> [Case; 5] {
        let mlp = Layers::features(20).linear(32).relu().linear(24).relu().linear(6);
        let cnn = Layers::image(8, 8, 2).conv(6, 3).relu().max_pool(2);
        let cnn = cnn.conv(8, 3).relu().max_pool(2).flatten().linear(10);
        let encoder = encoder(false);
        [
            Case::dense("mlp", &mlp, [1, 20]),
            Case::dense("cnn", &cnn, [64, 2]),
            Case::text("causal", true, false),
            Case::text("centred", false, true),
            Case::dense("encoder", &encoder, [4, 16]),
        ]
    }

    /// Networks of the other layers, and of the fused profile.
    fn others() -> Vec<Case> {
        let conv = || TrainLayer::Conv { outputs: 4, kernel: 3 };
        let linear = |outputs| TrainLayer::Linear { outputs, bias: true };
        let curves = Layers::features(8).linear(12).layer(TrainLayer::Gelu);
        let curves = curves.linear(12).layer(TrainLayer::Silu).linear(3);
        let pools = Layers::image(4, 4, 2)
            .layer(conv())
            .relu()
            .layer(TrainLayer::Residual(vec![conv(), TrainLayer::Silu]))
            .layer(TrainLayer::AveragePool { size: 2 })
            .flatten()
            .linear(3);
        let attention = TrainLayer::Attention { heads: 2, causal: true, bias: true, joined: true };
        let joined = Layers::sequence(4, 8, 5)
            .layer(TrainLayer::Residual(vec![attention]))
            .layer(TrainLayer::Norm { centre: false, affine: true })
            .flatten()
            .linear(3);
        let dropout = Layers::features(8)
            .linear(24)
            .relu()
            .layer(TrainLayer::Dropout { part: 64 })
            .linear(2)
            .with_loss(TrainLoss::MeanSquares);
        let adapted = Layers::features(8)
            .layer(TrainLayer::Frozen(vec![linear(16)]))
            .relu()
            .layer(TrainLayer::Adapted { outputs: 16, bias: true, rank: 4 })
            .relu()
            .linear(3);
        let pooled = Layers::image(4, 4, 2).layer(conv()).relu().max_pool(2).flatten().linear(3);
        let fused = |case: Case, layers: &Layers| {
            let iteration = Iteration::fused(layers, &Case::options()).unwrap();
            Case::of("fused", iteration, case.samples, case.labels)
        };
        vec![
            Case::dense("curves", &curves, [1, 8]),
            Case::dense("pools", &pools, [16, 2]),
            Case::dense("joined", &joined, [4, 8]),
            Case::dense("dropout", &dropout, [1, 8]),
            Case::dense("adapted", &adapted, [1, 8]),
            fused(Case::dense("fused", &pooled, [16, 2]), &pooled),
            fused(Case::dense("fused", &joined, [4, 8]), &joined),
        ]
    }

    fn network(&self) -> &Network {
        self.iteration.network()
    }

    /// The inputs after the states, with a rate of 0.
    fn rest(&self) -> Vec<Tensor> {
        let column = |entries: &[i32]| Tensor::new(entries.len(), 1, Dtype::I32, entries).unwrap();
        let (samples, labels) = (self.samples.clone(), self.labels.clone());
        vec![column(&[3; 8]), column(&[0]), samples, labels, column(&[0])]
    }

    /// The summed loss, and its gradients by trained parameters, in real numbers.
    fn real(&self, states: Vec<RealValue<f64>>) -> (f64, Vec<Gradient>) {
        let network = RealNetwork::<f64>::new(self.network());
        let rest = self.rest();
        let inputs = states.into_iter().chain(rest.iter().map(RealValue::exact)).collect();
        let run = RunShape::new(BATCH as u32, 1);
        let outputs = network.run(&run, inputs).unwrap();
        let entries = |value: &RealValue<f64>| value.reals().iter().copied().collect::<Vec<f64>>();
        self.split(outputs.iter().map(entries).collect())
    }

    fn initial(&self) -> Vec<RealValue<f64>> {
        self.states.iter().map(RealValue::real).collect()
    }

    /// The same in integers.
    fn integers(&self) -> (f64, Vec<Gradient>) {
        let session = self.network().clone().on(Arc::new(Cpu::new())).unwrap();
        let tensors: Vec<Tensor> = self.states.iter().cloned().chain(self.rest()).collect();
        let run = RunShape::new(BATCH as u32, 1);
        let outputs = session.run(Inputs::from((run, tensors))).unwrap().outputs;
        let entries = |tensor: &Arc<Tensor>| -> Vec<f64> {
            tensor.entries().iter().map(|&x| f64::from(x)).collect()
        };
        self.split(outputs.iter().map(entries).collect())
    }

    /// The loss of an iteration's last output. The others are states. A momentum
    /// after one iteration from 0 is the gradient.
    fn split(&self, mut outputs: Vec<Vec<f64>>) -> (f64, Vec<Gradient>) {
        let last = outputs.pop().unwrap();
        let labels = self.labels.entries();
        let rows = last.chunks_exact(last.len() / self.labels.extent().rows as usize);
        let loss = match self.iteration.loss() {
            TrainLoss::CrossEntropy => {
                let loss = |(row, &label): (&[f64], &i32)| {
                    let own = row[label as usize];
                    row.iter().map(|x| ((x - own) / 65536.0).exp()).sum::<f64>().ln()
                };
                rows.zip(&labels).map(loss).sum()
            }
            _ => {
                let both = last.iter().zip(&labels);
                both.map(|(y, &target)| ((y - f64::from(target)) / 65536.0).powi(2) / 2.0).sum()
            }
        };
        let one = f64::from(1 << WEIGHT_GRADIENT);
        let states = self.iteration.states().iter().zip(outputs).enumerate();
        let momenta = states.filter(|(_, (state, _))| state.moment == Some("momentum"));
        let gradient = |(index, (state, m)): (usize, (&State, Vec<f64>))| Gradient {
            // A parameter comes before its momentum.
            state: index - 1,
            name: state.parameter.clone(),
            entries: m.iter().map(|g| g / one).collect(),
        };
        (loss, momenta.map(gradient).collect())
    }
}

/// An encoder layer on 4 rows of 16 columns, with one product of queries, keys and values
/// or three.
fn encoder(joined: bool) -> Layers {
    let linear = |outputs| TrainLayer::Linear { outputs, bias: true };
    let norm = TrainLayer::Norm { centre: true, affine: true };
    let attention = TrainLayer::Attention { heads: 4, causal: false, bias: true, joined };
    Layers::sequence(4, 16, 5)
        .layer(TrainLayer::Residual(vec![attention]))
        .layer(norm.clone())
        .layer(TrainLayer::Residual(vec![linear(24), TrainLayer::Gelu, linear(16)]))
        .layer(norm)
        .layer(TrainLayer::MeanPool)
        .linear(5)
}

/// One product of queries, keys and values has the gradients of three.
#[test]
fn a_joined_product_has_the_gradients_of_three() {
    let own = Layers::sequence(4, 16, 5).encoder_layer(4, 24, 16);
    assert_eq!(own.layer(TrainLayer::MeanPool).linear(5), encoder(true));
    let [three, one] = [false, true].map(|own| Case::dense("encoder", &encoder(own), [4, 16]));
    let find = |name: &str| {
        let mut states = three.iteration.states().iter().zip(&three.states);
        let found = states.find(|(state, _)| state.parameter == name && state.moment.is_none());
        found.map(|(_, tensor)| tensor.clone())
    };
    let parts = |name: &str| ["query", "key", "value"].map(|part| name.replace("joined", part));
    // The states of three products, those of queries, keys and values below each other.
    let states = one.iteration.states().iter().zip(&one.states).map(|(state, tensor)| {
        let entries: Vec<i32> = match (state.moment, state.parameter.contains("joined")) {
            (Some(_), _) => tensor.entries(),
            (None, false) => find(&state.parameter).unwrap().entries(),
            (None, true) => parts(&state.parameter)
                .iter()
                .flat_map(|name| find(name).unwrap().entries())
                .collect(),
        };
        let extent = tensor.extent();
        let (rows, columns) = (extent.rows as usize, extent.columns as usize);
        RealValue::real(&Tensor::new(rows, columns, Dtype::I32, &entries).unwrap())
    });
    let (expected_loss, expected) = three.real(three.initial());
    let (loss, gradients) = one.real(states.collect());
    assert!((loss - expected_loss).abs() < 1e-9 * expected_loss, "{loss} {expected_loss}");
    let of = |name: &str| {
        let own = expected.iter().find(|gradient| gradient.name == name);
        own.unwrap().entries.clone()
    };
    for Gradient { name, entries, .. } in &gradients {
        let expected: Vec<f64> = match name.contains("joined") {
            true => parts(name).iter().flat_map(|name| of(name)).collect(),
            false => of(name),
        };
        assert!(distance(entries, &expected) < 1e-9, "{name}");
    }
}

/// A parameter's gradient, row by row.
struct Gradient {
    /// The number of the parameter's state.
    state: usize,
    name: String,
    entries: Vec<f64>,
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

/// How far the integers' gradient of the last layer may be, as a part of its norm: a
/// gradient is rounded to 7 bits by random bytes, and a batch has 12 samples.
const LAST: f64 = 0.08;
/// The same behind attention with weights of 7 bits, norms and GELU.
const SMOOTH: f64 = 0.25;
/// The same behind ReLU. An activation near 0 is 0 as an operand of 7 bits, or has the
/// other sign, and then its whole gradient passes or not.
const KINKED: f64 = 0.45;

/// The real gradients are PyTorch's in float64, and the integers' are near.
#[test]
fn gradients_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../test_vectors/training/gradients.json");
    let fixture: Fixture = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = Case::fixture();
    assert_eq!(fixture.networks.len(), cases.len());
    for case in cases {
        let expected = &fixture.networks[case.name];
        let answers = f64::from(case.labels.extent().rows);
        let (loss, real) = case.real(case.initial());
        let (integer_loss, integers) = case.integers();
        let (loss, integer_loss) = (loss / answers, integer_loss / answers);
        assert!((loss - expected.loss).abs() < 1e-9, "{}: {loss} {}", case.name, expected.loss);
        assert!((integer_loss - loss).abs() < 0.03, "{}: {integer_loss} {loss}", case.name);
        assert_eq!(real.len(), expected.gradients.len());
        for (real, integers) in real.iter().zip(&integers) {
            let gradient = &expected.gradients[&real.name];
            let state = &case.iteration.states()[real.state];
            assert_eq!((state.rows, state.columns), (gradient.rows, gradient.columns));
            let some =
                |all: &[f64]| -> Vec<f64> { all.iter().step_by(gradient.every).copied().collect() };
            let what = format!("{} {}", case.name, real.name);
            // The keys' biases add the same to all scores of a row: no gradient.
            if real.name.ends_with("key bias") {
                assert!(norm(&real.entries) < 1e-9 && gradient.norm < 1e-9, "{what}");
                continue;
            }
            let far = distance(&some(&real.entries), &gradient.entries);
            assert!(far < 1e-9, "{what}: {far}");
            assert!((norm(&real.entries) / gradient.norm - 1.0).abs() < 1e-9, "{what}");
            let far = distance(&some(&integers.entries), &gradient.entries);
            let most = match what.as_str() {
                "mlp w2" | "mlp b2" | "cnn w2" | "cnn b2" | "causal out" | "centred out" => LAST,
                _ if case.name == "encoder" => SMOOTH,
                _ => KINKED,
            };
            assert!(far < most, "{what}: {far}");
            let along = along(&integers.entries, &real.entries);
            assert!((0.75..1.15).contains(&along), "{what}: {along} of the gradient");
        }
    }
}

/// The part of the gradient that another has along it.
fn along(got: &[f64], expected: &[f64]) -> f64 {
    got.iter().zip(expected).map(|(a, b)| a * b).sum::<f64>() / norm(expected).powi(2)
}

/// The real gradients are what the loss says, entry by entry, of every layer.
#[test]
fn gradients_are_finite_differences() {
    /// 2^−20 of a weight, in its units.
    const STEP: f64 = 16.0;
    for case in Case::fixture().into_iter().chain(Case::others()) {
        // Zeros would hide gradients: biases, β and adapters start elsewhere.
        let mut states = case.initial();
        for (state, value) in case.iteration.states().iter().zip(&mut states) {
            if let (None, StateStart::Zeros) = (state.moment, state.start) {
                let count = (state.rows * state.columns) as usize;
                let words = words(&format!("moved {}", state.parameter), count);
                let entries = words.iter().map(|word| f64::from(word % (1 << 22)) - 2e6);
                let size = (state.rows as usize, state.columns as usize);
                *value = RealValue::Real(Array2::from_shape_vec(size, entries.collect()).unwrap());
            }
        }
        let (_, gradients) = case.real(states.clone());
        for Gradient { state, name, entries } in &gradients {
            let largest = entries.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
            for at in (0..entries.len()).step_by(entries.len().div_ceil(4)) {
                let loss = |distance: f64| {
                    let mut states = states.clone();
                    if let RealValue::Real(state) = &mut states[*state] {
                        *state.iter_mut().nth(at).unwrap() += distance;
                    }
                    case.real(states).0
                };
                let slope = (loss(STEP) - loss(-STEP)) / (2.0 * STEP) * f64::from(1 << 24);
                let far = (slope - entries[at]).abs();
                // No gradient at all is as far from 0 as rounding is.
                let most = (1e-5 * largest).max(1e-8);
                assert!(far < most, "{} {name} {at}: {slope} {}", case.name, entries[at]);
            }
        }
        let moved = gradients.iter().filter(|g| norm(&g.entries) > 1e-3).count();
        assert!(moved + 1 >= gradients.len() && moved > 3, "{}: {moved}", case.name);
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
        let loss =
            RealForward::new(&runs::layers()).unwrap().evaluate(&real, samples, labels).unwrap();
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
    let [given, ..] = Case::fixture();
    let refused = RealRun::<f64>::new(&given.iteration, dataset, &given.states, SEED).unwrap_err();
    assert!(matches!(refused, RealError::Train(TrainError::Source { .. })), "{refused}");
}
