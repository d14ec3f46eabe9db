//! Every kind of layer learns, frozen ones keep their states, and the fused
//! profile learns as well.

use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::Tensor;
use poai_train::iteration::{Forward, StateStart};
use poai_train::layers::TrainLoss;
use poai_train::{
    Dataset, InitialError, Iteration, IterationOptions, Layers, LayersError, Optimiser, Source,
    TrainLayer, TrainingRun, initial,
};
use std::sync::Arc;

/// Pseudorandom numbers in −1..1.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let number = |i: u32| (i.wrapping_mul(2_654_435_761).rotate_left(seed) >> 8) as f32;
    (0..count as u32).map(|i| number(7 * i + seed + 1) / (1 << 23) as f32 - 1.0).collect()
}

/// Samples of this many numbers. The label is whether the first half of them has the
/// larger mean.
fn halves(layers: &Layers, columns: usize) -> Dataset {
    let all = numbers(96 * columns, 3);
    let label = |x: &[f32]| {
        let (a, b) = x.split_at(columns / 2);
        u32::from(a.iter().sum::<f32>() > b.iter().sum::<f32>())
    };
    let labels: Vec<u32> = all.chunks_exact(columns).map(label).collect();
    Dataset::dense(layers, &all, &labels).unwrap()
}

struct Trained {
    run: TrainingRun,
    first: Vec<Tensor>,
}

impl Trained {
    /// The mean loss of this many iterations from a number on.
    fn mean(&self, from: usize, count: usize) -> f64 {
        let losses = &self.run.history()[from..from + count];
        losses.iter().map(|loss| loss.mean).sum::<f64>() / count as f64
    }

    fn falls(&self, part: f64) {
        let count = self.run.history().len();
        let (first, last) = (self.mean(0, 4), self.mean(count - 8, 8));
        assert!(last < part * first, "the loss of {first} became {last}");
    }
}

fn options(dataset: &Dataset, optimiser: Optimiser, rate: f64, count: u64) -> IterationOptions {
    let batch = 16;
    let rates = (0..count).map(|t| optimiser.rate(rate, t, batch)).collect();
    let source = Source::Drawn { samples: dataset.count(), rates };
    IterationOptions { optimiser, decay: 0.0, batch, source }
}

fn finish(iteration: Iteration, dataset: Dataset) -> Trained {
    let first = initial(&iteration, &[5; 32]).unwrap();
    let device = Arc::new(Cpu::new());
    let mut run = TrainingRun::new(iteration, dataset, first.clone(), [9; 32], device).unwrap();
    while run.done() < run.total() {
        run.step().unwrap();
    }
    Trained { run, first }
}

fn trained(layers: &Layers, dataset: Dataset, rate: f64, count: u64) -> Trained {
    let options = options(&dataset, Optimiser::ADAM, rate, count);
    finish(Iteration::new(layers, &options).unwrap(), dataset)
}

#[test]
fn activations_learn() {
    for activation in [TrainLayer::Relu, TrainLayer::Gelu, TrainLayer::Silu] {
        let layers = Layers::features(8).linear(16).layer(activation).linear(2);
        let dataset = halves(&layers, 8);
        trained(&layers, dataset, 0.02, 80).falls(0.3);
    }
}

#[test]
fn dropout_learns_and_is_drawn_from_the_seed() {
    let layers =
        Layers::features(8).linear(32).relu().layer(TrainLayer::Dropout { part: 64 }).linear(2);
    let first = trained(&layers, halves(&layers, 8), 0.02, 80);
    first.falls(0.45);
    let again = trained(&layers, halves(&layers, 8), 0.02, 80);
    assert!(first.run.states().eq(again.run.states()));
    // The forward pass that evaluates drops nothing.
    let plain = Layers::features(8).linear(32).relu().linear(2);
    let device = Arc::new(Cpu::new());
    let states: Vec<Arc<Tensor>> = first.run.states().cloned().collect();
    let samples = &first.run.dataset().samples().tensor;
    let logits = |layers: &Layers| {
        let forward = Forward::new(layers, device.clone()).unwrap();
        forward.logits(first.run.iteration(), &states, samples).unwrap()
    };
    assert_eq!(logits(&layers), logits(&plain));
}

#[test]
fn pools_of_images_learn() {
    let conv = || Layers::image(8, 4, 1).conv(6, 3).relu();
    let average = conv().layer(TrainLayer::AveragePool { size: 2 }).flatten().linear(2);
    trained(&average, halves(&average, 32), 0.02, 80).falls(0.4);
    let body = vec![TrainLayer::Conv { outputs: 6, kernel: 3 }, TrainLayer::Relu];
    let residual = conv().max_pool(2).layer(TrainLayer::Residual(body)).flatten().linear(2);
    trained(&residual, halves(&residual, 32), 0.02, 80).falls(0.4);
    let labels = |x: &[f32]| u32::from(x.iter().sum::<f32>() > 0.0);
    let mean = conv().layer(TrainLayer::MeanPool).linear(2);
    let all = numbers(96 * 32, 4);
    let labels: Vec<u32> = all.chunks_exact(32).map(labels).collect();
    let dataset = Dataset::dense(&mean, &all, &labels).unwrap();
    trained(&mean, dataset, 0.03, 160).falls(0.5);
}

#[test]
fn encoders_learn_with_gamma_and_beta() {
    let sequence = || Layers::sequence(4, 8, 5);
    let separate = sequence().encoder_layer(2, 16, 8).layer(TrainLayer::MeanPool).linear(2);
    let done = trained(&separate, halves(&separate, 32), 0.01, 100);
    done.falls(0.4);
    let states = done.run.iteration().states().iter().zip(done.run.states());
    let changed = states.zip(&done.first).filter(|((_, after), before)| ***after != **before);
    assert_eq!(changed.count(), done.first.len(), "every state changes, γ and β included");
    let attention = TrainLayer::Attention { heads: 2, causal: false, bias: true, joined: true };
    let joined = sequence()
        .layer(TrainLayer::Residual(vec![attention]))
        .layer(TrainLayer::Norm { centre: true, affine: true })
        .flatten()
        .linear(2);
    trained(&joined, halves(&joined, 32), 0.01, 100).falls(0.4);
}

#[test]
fn texts_learn_one_label_each() {
    let layers = Layers::tokens(7, 6)
        .layer(TrainLayer::Embed { width: 16 })
        .layer(TrainLayer::Block { heads: 2, hidden: 16, causal: false, centre: true })
        .layer(TrainLayer::MeanPool)
        .linear(2);
    let ids: Vec<u32> = numbers(96 * 6, 5).iter().map(|x| ((x + 1.0) * 3.49) as u32).collect();
    let labels: Vec<u32> = ids.chunks_exact(6).map(|text| u32::from(text.contains(&0))).collect();
    let dataset = Dataset::texts(&layers, &ids, &labels).unwrap();
    trained(&layers, dataset, 0.01, 100).falls(0.4);
}

#[test]
fn targets_are_approached() {
    let layers = Layers::features(6).linear(16).relu().linear(2).with_loss(TrainLoss::MeanSquares);
    let all = numbers(96 * 6, 6);
    let targets: Vec<f32> =
        all.chunks_exact(6).flat_map(|x| [3.0 * x[0] - x[1], x[2] + 2.0 * x[5]]).collect();
    let dataset = Dataset::targets(&layers, &all, &targets).unwrap();
    let done = trained(&layers, dataset, 0.02, 120);
    done.falls(0.1);
    assert!(done.run.history().iter().all(|loss| loss.right == 0 && loss.answers == 16));
}

#[test]
fn adapters_learn_and_frozen_layers_stay() {
    let adapted = TrainLayer::Adapted { outputs: 16, bias: true, rank: 4 };
    let frozen = TrainLayer::Frozen(vec![TrainLayer::Linear { outputs: 16, bias: true }]);
    let layers = Layers::features(8).layer(frozen).relu().layer(adapted).relu().linear(2);
    let done = trained(&layers, halves(&layers, 8), 0.02, 100);
    done.falls(0.5);
    let states = done.run.iteration().states();
    for ((state, after), before) in states.iter().zip(done.run.states()).zip(&done.first) {
        assert_eq!(**after != *before, state.trained, "{}", state.parameter);
    }
    let kept: Vec<&str> = states
        .iter()
        .filter(|state| !state.trained)
        .map(|state| state.parameter.as_str())
        .collect();
    assert_eq!(kept, ["b0", "b1", "w0", "w1"]);
    // Moments are of trained parameters alone.
    assert!(states.iter().all(|state| state.trained || state.moment.is_none()));
}

#[test]
fn only_frozen_layers_are_refused() {
    let linear = TrainLayer::Linear { outputs: 2, bias: true };
    let layers = Layers::features(4).layer(TrainLayer::Frozen(vec![linear.clone()])).layer(linear);
    let dataset = halves(&layers, 4);
    let options = options(&dataset, Optimiser::SGD, 0.1, 4);
    assert!(Iteration::new(&layers, &options).is_ok());
    let last = TrainLayer::Adapted { outputs: 2, bias: false, rank: 1 };
    let inner = TrainLayer::Frozen(vec![TrainLayer::Relu]);
    let adapted = Layers::features(4).layer(inner).layer(last);
    assert!(Iteration::new(&adapted, &options).is_ok());
    for (layers, kind) in [
        (Layers::features(4).layer(TrainLayer::Dropout { part: 0 }).linear(2), "dropout"),
        (Layers::features(4).layer(TrainLayer::AveragePool { size: 2 }).linear(2), "average pool"),
        (Layers::features(4).layer(TrainLayer::Residual(vec![])).linear(2), "residual"),
    ] {
        match Iteration::new(&layers, &options) {
            Err(LayersError::Layer { kind: got, .. }) => assert_eq!(got, kind),
            other => panic!("expected a refused layer, got {other:?}"),
        }
    }
}

#[test]
fn the_fused_profile_learns() {
    let networks = [
        Layers::features(32).linear(16).relu().linear(2),
        Layers::image(8, 4, 1).conv(6, 3).relu().max_pool(2).flatten().linear(2),
        Layers::sequence(4, 8, 5).encoder_layer(2, 16, 8).layer(TrainLayer::MeanPool).linear(2),
    ];
    for layers in networks {
        let dataset = halves(&layers, 32);
        let options = options(&dataset, Optimiser::ADAM, 0.01, 120);
        let iteration = Iteration::fused(&layers, &options).unwrap();
        let own = Iteration::new(&layers, &options).unwrap();
        let exponents = iteration.states().len() - own.states().len();
        assert!(exponents > 4);
        let done = finish(iteration, dataset);
        done.falls(0.5);
        let states = done.run.iteration().states().iter().zip(done.run.states());
        let first = |start| matches!(start, StateStart::Entry(_));
        let kinds = states.filter(|(state, _)| first(state.start));
        let found: Vec<i32> = kinds.map(|(_, tensor)| tensor.entries()[0]).collect();
        assert_eq!(found.len(), exponents);
        assert!(found.iter().all(|&exponent| (0..=26).contains(&exponent)), "{found:?}");
    }
}

#[test]
fn another_models_numbers_are_first_states() {
    let layers = Layers::sequence(4, 8, 5)
        .adapted_encoder_layer(2, 16, 8, 2)
        .layer(TrainLayer::MeanPool)
        .linear(2);
    let options = options(&halves(&layers, 32), Optimiser::SGD, 0.1, 4);
    let iteration = Iteration::new(&layers, &options).unwrap();
    let given = |name: &str, numbers: &[f32]| {
        poai_train::imported(&iteration, &[1; 32], &[(name.into(), numbers.to_vec())].into())
    };
    let states = given("gamma1", &[0.5, -2.0, 0.0, 127.9, 1.0, 1.0, 1.0, 1.0]).unwrap();
    for (state, tensor) in iteration.states().iter().zip(&states) {
        if state.parameter == "gamma1" {
            assert_eq!(tensor.entries()[..3], [1 << 23, -(2 << 24), 0]);
        }
    }
    let plain = initial(&iteration, &[1; 32]).unwrap();
    assert_eq!(states.iter().zip(&plain).filter(|(a, b)| a != b).count(), 1);
    assert_eq!(given("gamma9", &[1.0]), Err(InitialError::Name("gamma9".into())));
    let wrong = InitialError::Length { parameter: "gamma1".into(), expected: 8, got: 1 };
    assert_eq!(given("gamma1", &[1.0]), Err(wrong));
    for bad in [128.0, f32::INFINITY, f32::NAN] {
        let mut numbers = [1.0; 8];
        numbers[5] = bad;
        assert!(matches!(given("gamma1", &numbers), Err(InitialError::Range { at: 5, .. })));
    }
}

#[test]
fn blocks_train_on_hidden_states_before_a_head() {
    let block = TrainLayer::Block { heads: 2, hidden: 8, causal: false, centre: true };
    let layers = Layers::sequence(4, 8, 5).layer(block).layer(TrainLayer::MeanPool).linear(8);
    let layers = layers.relu().linear(2);
    let done = trained(&layers, halves(&layers, 32), 0.01, 100);
    done.falls(0.6);
    let names: Vec<String> = done
        .run
        .iteration()
        .states()
        .iter()
        .map(|state| format!("{} {:?}", state.parameter, state.moment))
        .collect();
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
}

#[test]
fn small_entries_pass_gradients_around_a_residual_layer() {
    // The first layer gives small and large entries; the second one adds nothing.
    let body = vec![TrainLayer::Linear { outputs: 4, bias: false }];
    let layers = Layers::features(4).linear(4).relu().layer(TrainLayer::Residual(body)).linear(2);
    let dataset = halves(&layers, 4);
    let options = options(&dataset, Optimiser::Sgd { momentum: 0.0 }, 0.1, 1);
    let iteration = Iteration::new(&layers, &options).unwrap();
    let small = [0.5, 0.003, 0.003, 0.003];
    let numbers = [
        ("w0".to_owned(), vec![0.0; 16]),
        ("b0".to_owned(), small.to_vec()),
        ("w1".to_owned(), vec![0.0; 16]),
    ];
    let first = poai_train::imported(&iteration, &[1; 32], &numbers.into()).unwrap();
    let device = Arc::new(Cpu::new());
    let mut run = TrainingRun::new(iteration, dataset, first.clone(), [9; 32], device).unwrap();
    run.step().unwrap();
    let at = run.iteration().states().iter().position(|state| state.parameter == "b0");
    let after: Vec<Arc<Tensor>> = run.states().cloned().collect();
    let at = at.unwrap();
    let changes =
        after[at].entries().iter().zip(first[at].entries()).filter(|(a, b)| *a != b).count();
    assert_eq!(changes, 4, "every bias has a gradient");
}

#[test]
fn options_out_of_range_are_named() {
    let layers = Layers::features(4).linear(2);
    let dataset = halves(&layers, 4);
    for (optimiser, name) in [
        (Optimiser::Sgd { momentum: 1.0 }, "momentum"),
        (Optimiser::Sgd { momentum: f64::NAN }, "momentum"),
        (Optimiser::Lion { betas: [0.9, -0.1] }, "betas"),
        (Optimiser::Adam { beta: 0.9, second: 0 }, "second moment"),
        (Optimiser::Adam { beta: 2.0, second: 7 }, "beta"),
    ] {
        let options = options(&dataset, Optimiser::SGD, 0.1, 4);
        match Iteration::new(&layers, &IterationOptions { optimiser, ..options }) {
            Err(LayersError::Option { what, .. }) => assert_eq!(what, name),
            other => panic!("expected a refused option, got {other:?}"),
        }
    }
    let mut deep = TrainLayer::Relu;
    for _ in 0..200 {
        deep = TrainLayer::Frozen(vec![deep]);
    }
    let options = options(&dataset, Optimiser::SGD, 0.1, 4);
    let nested = Layers::features(4).layer(deep).linear(2);
    assert!(matches!(Iteration::new(&nested, &options), Err(LayersError::Depth(64))));
    for layers in [
        Layers::features(4).layer(TrainLayer::Adapted { outputs: 2, bias: true, rank: 0 }),
        Layers::tokens(9, u32::MAX).layer(TrainLayer::Embed { width: 4 }).linear(9),
    ] {
        assert!(matches!(Iteration::new(&layers, &options), Err(LayersError::Layer { .. })));
    }
    // Targets are for squares, and labels for cross entropy.
    let squares = Layers::features(4).linear(2).with_loss(TrainLoss::MeanSquares);
    assert!(Dataset::dense(&squares, &[0.0; 8], &[0, 1]).is_err());
    assert!(Dataset::targets(&layers, &[0.0; 8], &[0.0; 4]).is_err());
    let error = Dataset::dense(&Layers::features(2).linear(0), &[0.0; 4], &[0, 1]).unwrap_err();
    assert!(error.to_string().contains("expected a label"), "{error}");
    let huge = Layers::image(u32::MAX, u32::MAX, 1000).flatten().linear(2);
    assert!(Dataset::dense(&huge, &[0.0; 4], &[0, 1]).is_err());
}
