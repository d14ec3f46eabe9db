//! Runs give the same bits whatever computes them, and they learn.

use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::Tensor;
use poai_train::iteration::Forward;
use poai_train::{
    Dataset, Iteration, IterationOptions, Layers, LayersError, Optimiser, Schedule, Source,
    TrainError, TrainingRun, initial,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Points in four columns, and whether the first is above the second.
pub fn points(layers: &Layers, count: usize) -> Dataset {
    let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32;
    let numbers: Vec<f32> = (0..4 * count).map(|i| number(i + 1) - 1.0).collect();
    let labels: Vec<u32> = numbers.chunks_exact(4).map(|x| u32::from(x[0] > x[1])).collect();
    Dataset::dense(layers, &numbers, &labels).unwrap()
}

pub fn layers() -> Layers {
    Layers::features(4).linear(16).relu().linear(2)
}

/// A run of the given iterations, on this many threads.
pub fn run(optimiser: Optimiser, iterations: u64, seed: u8, threads: usize) -> TrainingRun {
    let layers = layers();
    let dataset = points(&layers, 100);
    let (rate, batch) = (if optimiser == Optimiser::SGD { 0.2 } else { 0.01 }, 16);
    let rates = (0..iterations).map(|t| optimiser.rate(rate, t, batch)).collect();
    let source = Source::Drawn { samples: dataset.count(), rates };
    let options = IterationOptions { optimiser, decay: 0.0, batch, source };
    let iteration = Iteration::new(&layers, &options).unwrap();
    let states = initial(&iteration, &[seed; 32]).unwrap();
    let device = Arc::new(Cpu::new().threads(threads).unwrap());
    TrainingRun::new(iteration, dataset, states, [seed; 32], device).unwrap()
}

pub fn finish(run: &mut TrainingRun) {
    while run.done() < run.total() {
        run.step().unwrap();
    }
}

pub fn states(run: &TrainingRun) -> Vec<Tensor> {
    run.states().map(|state| Tensor::clone(state)).collect()
}

/// Adam's first step is the rate for every weight, however many rows a gradient sums
/// over. A second moment that clips gradients would give larger steps.
#[test]
fn adams_first_step_does_not_grow_with_the_batch() {
    let (optimiser, rate) = (Optimiser::ADAM, 0.01);
    for batch in [16, 64, 256, 1024, 4096] {
        let layers = Layers::features(1).linear(2);
        // 6 of 64, so that the gradient's mean is about a twentieth.
        let numbers = vec![0.09375; batch as usize];
        // A dataset of one class is refused.
        let labels: Vec<u32> = (0..batch).map(|i| u32::from(i == 0)).collect();
        let dataset = Dataset::dense(&layers, &numbers, &labels).unwrap();
        let source =
            Source::Drawn { samples: dataset.count(), rates: vec![optimiser.rate(rate, 0, batch)] };
        let options = IterationOptions { optimiser, decay: 0.0, batch, source };
        let iteration = Iteration::new(&layers, &options).unwrap();
        let weight = iteration.states().iter().position(|state| state.parameter == "w0").unwrap();
        let first = initial(&iteration, &[1; 32]).unwrap();
        let before = first[weight].entries();
        let mut run =
            TrainingRun::new(iteration, dataset, first, [1; 32], Arc::new(Cpu::new())).unwrap();
        run.step().unwrap();
        let after = states(&run)[weight].entries();
        for (before, after) in before.iter().zip(&after) {
            let step = f64::from(after - before).abs() / f64::from(1 << 24);
            assert!((0.8 * rate..1.2 * rate).contains(&step), "batch {batch}: {step}");
        }
    }
}

#[test]
fn states_and_datasets_of_other_layers_are_refused() {
    let mut own = run(Optimiser::SGD, 2, 1, 1);
    let root = own.states().next().unwrap().root();
    let mut wrong: Vec<_> = own.states().cloned().collect();
    wrong[0] = Arc::new(Tensor::new(1, 1, poai_core::program::Dtype::I32, &[0]).unwrap());
    let error = own.restart_at(1, wrong).unwrap_err();
    assert!(matches!(error, TrainError::State { index: 0, got: (1, 1), .. }), "{error}");
    assert_eq!((own.done(), own.states().next().unwrap().root()), (0, root));

    let (iteration, first) = (own.iteration().clone(), states(&own));
    let narrow = Layers::features(3).linear(2);
    let numbers = vec![0.5; 300];
    let labels: Vec<u32> = (0..100).map(|i| i % 2).collect();
    let dataset = Dataset::dense(&narrow, &numbers, &labels).unwrap();
    let cpu = Arc::new(Cpu::new());
    let error = TrainingRun::new(iteration, dataset, first, [1; 32], cpu).unwrap_err();
    assert!(matches!(error, TrainError::Dataset { what: "samples", .. }), "{error}");
}

#[test]
fn schedules_stay_within_their_range() {
    for schedule in
        [Schedule::Constant, Schedule::Cosine, Schedule::Warm { iterations: 3 }, Schedule::Linear]
    {
        for (t, total) in [(0, 0), (0, 9), (8, 9), (9, 9), (10, 9), (u64::MAX, 9)] {
            let part = schedule.part(t, total);
            assert!((0.0..=1.0).contains(&part), "{schedule:?} {t} {total}: {part}");
        }
    }
}

#[test]
fn threads_and_traces_change_no_bit() {
    let mut first = run(Optimiser::SGD, 12, 1, 1);
    finish(&mut first);
    for threads in [2, 7] {
        let mut other = run(Optimiser::SGD, 12, 1, threads);
        while other.done() < other.total() {
            assert!(other.trace().unwrap().trace.is_some());
        }
        assert_eq!(states(&first), states(&other), "{threads} threads");
        assert_eq!(first.history(), other.history());
    }
    // Another seed is another run.
    let mut other = run(Optimiser::SGD, 12, 2, 1);
    finish(&mut other);
    assert_ne!(states(&first), states(&other));
}

#[test]
fn every_optimiser_learns() {
    for optimiser in [Optimiser::SGD, Optimiser::LION, Optimiser::ADAM] {
        let mut run = run(optimiser, 250, 3, 2);
        finish(&mut run);
        let forward = Forward::new(&layers(), Arc::new(Cpu::new())).unwrap();
        let fresh = points(&layers(), 400);
        let now: Vec<Arc<Tensor>> = run.states().cloned().collect();
        let (samples, labels) = (&fresh.samples().tensor, &fresh.labels().tensor);
        let loss = forward.evaluate(run.iteration(), &now, samples, labels).unwrap();
        assert_eq!(loss.answers, 400);
        assert!(loss.accuracy() > 0.9, "{optimiser:?}: {loss:?}");
        // The loss before the first update is that of guessing, or worse.
        assert!(run.history()[0].mean > 0.4 && loss.mean < 0.35, "{optimiser:?}: {loss:?}");
    }
}

#[test]
fn a_run_ends_and_takes_its_own_states_only() {
    let mut done = run(Optimiser::ADAM, 1, 1, 1);
    done.step().unwrap();
    let before = states(&done);
    assert!(matches!(done.step(), Err(TrainError::Done(1))));
    assert_eq!(before, states(&done));

    let other = run(Optimiser::SGD, 1, 1, 1);
    let build = |iteration: &Iteration, states| {
        let (dataset, device) = (points(&layers(), 100), Arc::new(Cpu::new()));
        TrainingRun::new(iteration.clone(), dataset, states, [0; 32], device)
    };
    let refused = build(done.iteration(), states(&other)).unwrap_err();
    assert!(matches!(refused, TrainError::States { expected: 12, got: 8 }), "{refused}");
    let dataset = points(&layers(), 99);
    let refused =
        TrainingRun::new(other.iteration().clone(), dataset, vec![], [0; 32], Arc::new(Cpu::new()));
    assert!(matches!(refused, Err(TrainError::Source { expected: 99, .. })));
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let options = |decay, batch| IterationOptions {
        optimiser: Optimiser::SGD,
        decay,
        batch,
        source: Source::Given,
    };
    let layer = |layers: Layers| match Iteration::new(&layers, &options(0.0, 1)) {
        Err(LayersError::Layer { layer, kind, .. }) => Some((layer, kind)),
        _ => None,
    };
    assert_eq!(layer(Layers::features(4).conv(2, 3).linear(2)), Some((0, "conv")));
    assert_eq!(layer(Layers::image(4, 4, 1).conv(2, 2).flatten()), Some((0, "conv")));
    assert_eq!(layer(Layers::image(5, 4, 1).max_pool(2).flatten()), Some((0, "max pool")));
    assert_eq!(layer(Layers::image(4, 4, 1).relu().linear(2)), Some((1, "linear")));
    assert_eq!(layer(Layers::transformer(5, 4, 6, 1, 4, 8)), Some((1, "block")));
    let error = |layers: Layers| Iteration::new(&layers, &options(0.0, 1)).unwrap_err();
    assert_eq!(error(Layers::features(4)), LayersError::Empty);
    assert!(matches!(error(Layers::features(4).linear(2).relu()), LayersError::Logits(_)));
    for (decay, batch) in [(0.0, 0), (-1.0, 1), (f64::NAN, 1), (1e-30, 1)] {
        let refused = Iteration::new(&layers(), &options(decay, batch));
        assert!(matches!(refused, Err(LayersError::Option { .. })), "{decay}, {batch}");
    }
}

#[test]
fn a_run_stops_early_and_goes_on() {
    let mut whole = run(Optimiser::SGD, 10, 1, 1);
    finish(&mut whole);
    let mut stopped = run(Optimiser::SGD, 10, 1, 1);
    let until = |t: u32| {
        move |_: &TrainingRun, report: &poai_train::run::IterationReport| {
            Ok(if report.t == t { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        }
    };
    stopped.train(until(3)).unwrap();
    assert_eq!(stopped.done(), 4);
    stopped.train(until(99)).unwrap();
    assert_eq!(stopped.done(), 10);
    assert_eq!(states(&whole), states(&stopped));
    let failed = run(Optimiser::SGD, 10, 1, 1).train(|run, _| Err(TrainError::Done(run.total())));
    assert!(matches!(failed, Err(TrainError::Done(10))));
}

#[test]
fn schedules_begin_and_end_as_they_say() {
    let ends = |schedule: Schedule| [0, 4, 7].map(|t| (schedule.part(t, 8) * 1e4).round() as i32);
    assert_eq!(ends(Schedule::Constant), [10_000; 3]);
    assert_eq!(ends(Schedule::Linear), [10_000, 5_000, 1_250]);
    // Half a cosine: (1 + cos(π·t/8))/2.
    assert_eq!(ends(Schedule::Cosine), [10_000, 5_000, 381]);
    assert_eq!(ends(Schedule::Warm { iterations: 4 }), [2_500, 10_000, 1_464]);
    let rates = Schedule::Constant.rates(&Optimiser::SGD, 0.5, 3, 16);
    assert_eq!(rates, [Optimiser::SGD.rate(0.5, 0, 16); 3]);
}
