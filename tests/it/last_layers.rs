//! The last layers of networks from files: they begin as the file has them, learn
//! another task on what the layers before them compute, and are refused by name if no
//! layer is as they are.

use poai::execute::Tensor;
use poai::import::Model;
use poai::import::float;
use poai::import::graph::expression::{Expression, Function, Operation};
use poai::import::graph::{
    Graph, GraphConstant, ImageWindow, Input, Kind, Layer, Reduction, ValueShape,
};
use poai::import::onnx::{CutGraph, ReadOptions};
use poai::import::quantise::{QuantiseOptions, quantise};
use poai::last_layers::{LastLayers, LastLayersError};
use poai::ndarray::{Array2, ArrayView2, s};
use poai::train::iteration::Forward;
use poai::train::layers::{SampleKind, TrainLayer};
use poai::train::{Dataset, Iteration, IterationOptions, Optimiser, Source, TrainingRun, imported};
use std::path::Path;
use std::sync::Arc;

/// Digits to train with; as many again are held out.
const DIGITS: usize = 500;

/// The first digits, with pixels in 0..=1, and their labels.
fn digits() -> (Array2<f32>, Vec<u32>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/poai-cli/data/digits/digits.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut pixels, mut labels) = (vec![], vec![]);
    for line in text.lines().skip(1).take(2 * DIGITS) {
        let mut numbers: Vec<u32> = line.split(',').map(|number| number.parse().unwrap()).collect();
        labels.push(numbers.pop().unwrap());
        pixels.extend(numbers.into_iter().map(|pixel| pixel as f32 / 16.0));
    }
    (Array2::from_shape_vec((labels.len(), 64), pixels).unwrap(), labels)
}

/// The same images with rows and columns exchanged.
fn transposed(images: &Array2<f32>) -> Array2<f32> {
    Array2::from_shape_fn(images.dim(), |(i, at)| images[[i, at % 8 * 8 + at / 8]])
}

fn iteration(last: &LastLayers, samples: u32, rate: f64, iterations: u64) -> Iteration {
    let (optimiser, batch) = (Optimiser::ADAM, 20);
    let rates = (0..iterations).map(|t| optimiser.rate(rate, t, batch)).collect();
    let source = Source::Drawn { samples, rates };
    let options = IterationOptions { optimiser, decay: 0.0, batch, source };
    Iteration::new(last.layers(), &options).unwrap()
}

/// The logits of states on a dataset, as numbers.
fn logits(
    last: &LastLayers,
    iteration: &Iteration,
    states: &[Arc<Tensor>],
    dataset: &Dataset,
) -> Vec<f32> {
    let forward = Forward::new(last.layers(), poai::backend("auto").unwrap()).unwrap();
    let logits = forward.logits(iteration, states, &dataset.samples().tensor).unwrap();
    logits.entries().iter().map(|&logit| logit as f32 / 65536.0).collect()
}

/// The states that the file's numbers are. The seed draws none of them.
fn first(last: &LastLayers, iteration: &Iteration) -> Vec<Tensor> {
    let states = imported(iteration, &[1; 32], last.numbers()).unwrap();
    assert_eq!(states, imported(iteration, &[2; 32], last.numbers()).unwrap());
    states
}

fn shared(states: &[Tensor]) -> Vec<Arc<Tensor>> {
    states.iter().cloned().map(Arc::new).collect()
}

/// √(Σ (a − b)² / Σ b²).
fn difference<'a>(a: &[f32], b: impl IntoIterator<Item = &'a f32>) -> f64 {
    let (mut error, mut sum, mut count) = (0.0, 0.0, 0);
    for (a, b) in a.iter().zip(b) {
        error += f64::from(a - b).powi(2);
        sum += f64::from(*b).powi(2);
        count += 1;
    }
    assert_eq!(count, a.len());
    (error / sum).sqrt()
}

/// The share of rows whose largest entry is at the label.
fn accuracy(logits: &[f32], labels: &[u32]) -> f64 {
    let classes = logits.len() / labels.len();
    let largest = |row: &[f32]| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let rows = logits.chunks_exact(classes).zip(labels);
    let right = rows.filter(|(row, label)| largest(row) == **label as usize).count();
    right as f64 / labels.len() as f64
}

/// Cuts a bundled classifier, compares, and trains the last layers on other digits.
/// Returns the accuracy on those that were held out, before and after.
fn shifted(file: &str, value: &str, kinds: &[&str], bound: f64) -> [f64; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("poai-cli/data/digits");
    let options = ReadOptions::new();
    let whole = options.read_file(&folder.join(file)).unwrap();
    let cut = options.cut_file(&folder.join(file), value).unwrap();
    let (images, labels) = digits();
    let new = transposed(&images);
    // The frozen part is an inference program like any other.
    let frozen = quantise(&cut.before, images.slice(s![..200, ..]), &QuantiseOptions::default());
    let frozen = Model::from(frozen.unwrap());
    let (own, features) = (frozen.run(&images).unwrap(), frozen.run(&new).unwrap());
    let last = LastLayers::new(&cut, features.view()).unwrap();
    let found: Vec<&str> = last.layers().layers().iter().map(TrainLayer::kind).collect();
    assert_eq!(found, kinds);
    let part = |features: &Array2<f32>, from: usize| {
        let range = from..from + DIGITS;
        last.dataset(features.slice(s![range.clone(), ..]), &labels[range]).unwrap()
    };
    let (train, test) = (part(&features, 0), part(&features, DIGITS));
    let iteration = iteration(&last, train.count(), 0.004, 150);
    let states = first(&last, &iteration);
    // In integers the file's digits have the logits of the whole network in floats.
    let before = logits(&last, &iteration, &shared(&states), &part(&own, DIGITS));
    let floats = float::run(&whole, images.slice(s![DIGITS.., ..])).unwrap().pop().unwrap();
    let error = difference(&before, &floats);
    println!("{file} at {value}: logits differ by {error:.4}");
    assert!(error < bound, "{error}");
    let held = &labels[DIGITS..];
    assert!(accuracy(&before, held) > 0.95);
    let start = accuracy(&logits(&last, &iteration, &shared(&states), &test), held);
    let device = poai::backend("auto").unwrap();
    let mut run = TrainingRun::new(iteration, train, states, [7; 32], device).unwrap();
    while run.done() < run.total() {
        run.step().unwrap();
    }
    let states: Vec<Arc<Tensor>> = run.states().cloned().collect();
    let end = accuracy(&logits(&last, run.iteration(), &states, &test), held);
    println!("{file} at {value}: accuracy {start:.3} before, {end:.3} after");
    [start, end]
}

#[test]
fn last_layers_of_a_perceptron_learn_turned_digits() {
    let kinds = ["linear", "relu", "linear"];
    let [start, end] = shifted("mlp.onnx", "relu1.out", &kinds, 0.05);
    assert!(start < 0.5 && end > 0.85, "{start} {end}");
}

#[test]
fn last_layers_of_a_convolutional_network_learn_turned_digits() {
    let kinds = ["conv", "relu", "average pool", "flatten", "linear"];
    let [start, end] = shifted("cnn.onnx", "maxpool1.out", &kinds, 0.05);
    assert!(start < 0.5 && end > 0.85, "{start} {end}");
}

/// Pseudo-random numbers in −1..1.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn linear(outputs: usize, inputs: usize) -> Kind {
    let weights = numbers(outputs as u64, outputs * inputs);
    let weights = Array2::from_shape_vec((outputs, inputs), weights).unwrap().into();
    Kind::Linear { weights, bias: numbers(7, outputs) }
}

fn conv(outputs: usize, window: ImageWindow, channels: usize) -> Kind {
    let columns = window.area() * channels;
    let weights = Array2::from_shape_vec((outputs, columns), numbers(8, outputs * columns));
    Kind::Conv { weights: weights.unwrap().into(), bias: numbers(9, outputs), window, groups: 1 }
}

fn window(size: usize, pads: usize) -> ImageWindow {
    let stride = if pads == 0 { [size; 2] } else { [1; 2] };
    ImageWindow { stride, pads: [pads; 4], ..ImageWindow::of([size; 2]) }
}

fn norm(size: usize, centre: bool, epsilon: f32) -> Kind {
    let gamma = numbers(10, size).iter().map(|x| x + 1.5).collect();
    Kind::Normalise { centre, epsilon, gamma, beta: numbers(11, size) }
}

fn gelu() -> Expression {
    let root = Expression::X.by(Operation::Div, 2f64.sqrt()).then(Function::Erf);
    let half = root.by(Operation::Add, 1.0).by(Operation::Mul, 0.5);
    half.with(Operation::Mul, Expression::X)
}

fn silu() -> Expression {
    Expression::call(Function::Sigmoid).with(Operation::Mul, Expression::X)
}

/// A network of this shape of input whose layers follow one another, cut before all.
fn chain(shape: &[usize], kinds: Vec<Kind>) -> CutGraph {
    let input = || Input::new("features", ValueShape::from(shape));
    let layer =
        |(at, kind): (usize, Kind)| Layer { name: format!("node {at}"), kind, inputs: vec![at] };
    let layers = kinds.into_iter().enumerate().map(layer).collect();
    let relu =
        Layer { name: "before".into(), kind: Kind::Pointwise(Expression::relu()), inputs: vec![0] };
    CutGraph::new(Graph::new(vec![input()], vec![relu]), Graph::new(vec![input()], layers))
}

fn reshape(shape: &[usize]) -> Kind {
    Kind::Reshape { shape: shape.to_vec() }
}

fn mean(axes: &[usize]) -> Kind {
    Kind::Reduce { axes: axes.to_vec(), how: Reduction::Mean }
}

/// Features of a cut: numbers in ±`size`.
fn features(cut: &CutGraph, size: f32) -> Array2<f32> {
    let columns = cut.after.sample_entries();
    let all = numbers(3, 12 * columns).iter().map(|x| x * size).collect();
    Array2::from_shape_vec((12, columns), all).unwrap()
}

#[test]
fn every_kind_of_layer_begins_as_the_file_has_it() {
    let relu = || Kind::Pointwise(Expression::relu());
    let image = vec![
        conv(6, window(3, 1), 3),
        Kind::Pointwise(silu()),
        Kind::MaxPool { window: window(2, 0) },
        conv(5, ImageWindow::of([1, 1]), 6),
        relu(),
        mean(&[2, 3]),
        reshape(&[1, 5]),
        linear(4, 5),
    ];
    let flat = vec![
        relu(),
        Kind::AveragePool { window: window(2, 0) },
        reshape(&[1, 12]),
        norm(12, true, 1e-5),
        linear(6, 12),
        Kind::Pointwise(gelu()),
        linear(4, 6),
        Kind::Softmax,
    ];
    let rows = vec![norm(8, false, 1e-6), linear(6, 8), relu(), mean(&[1]), linear(4, 6)];
    let flat_rows = vec![linear(3, 8), reshape(&[5, 3]), relu(), reshape(&[1, 15]), linear(4, 15)];
    for (shape, kinds, softmax, size) in [
        (&[1, 3, 4, 4][..], image, false, 3.0),
        (&[1, 3, 4, 4], flat, true, 0.4),
        (&[1, 5, 8], rows, false, 20.0),
        (&[1, 5, 8], flat_rows, false, 1.0),
    ] {
        let cut = chain(shape, kinds);
        let features = features(&cut, size);
        let last = LastLayers::new(&cut, features.view()).unwrap();
        let labels: Vec<u32> = (0..12).map(|i| i % 4).collect();
        let dataset = last.dataset(features.view(), &labels).unwrap();
        let iteration = iteration(&last, 12, 0.001, 2);
        let states = first(&last, &iteration);
        let own = logits(&last, &iteration, &shared(&states), &dataset);
        let mut values = float::run(&cut.after, features.view()).unwrap();
        if softmax {
            values.pop();
        }
        let error = difference(&own, &values.pop().unwrap());
        println!("{shape:?}: logits differ by {error:.4}");
        assert!(error < 0.07, "{shape:?}: {error}");
        // 7 bits hold the features, and no more than 1 bit is unused.
        let fraction = match last.layers().sample() {
            SampleKind::Image { fraction, .. } | SampleKind::Sequence { fraction, .. } => fraction,
            other => panic!("expected features with a fraction, got {other:?}"),
        };
        let largest = f32::from(1u16 << fraction) * size;
        assert!((31.0..=96.0).contains(&largest), "{largest}");
    }
}

/// Why the layers behind a cut are refused.
fn refused(shape: &[usize], kinds: Vec<Kind>) -> LastLayersError {
    let cut = chain(shape, kinds);
    LastLayers::new(&cut, features(&cut, 1.0).view()).unwrap_err()
}

#[test]
fn layers_that_none_is_like_are_refused_by_name() {
    let image = &[1, 2, 4, 4][..];
    let strided = ImageWindow { stride: [2; 2], ..window(3, 1) };
    let gaps = ImageWindow { dilation: [2; 2], pads: [2; 4], ..window(3, 1) };
    let mut grouped = conv(4, window(3, 1), 1);
    if let Kind::Conv { groups, .. } = &mut grouped {
        *groups = 2;
    }
    let overlapping = ImageWindow { stride: [1; 2], ..ImageWindow::of([2; 2]) };
    let by = GraphConstant::scalar(2.0, 2);
    let cases: Vec<(&[usize], Kind, &str, &str)> = vec![
        (&[1, 6], Kind::Pointwise(Expression::call(Function::Tanh)), "function", "neither"),
        (&[1, 6], Kind::Pointwise(Expression::X.by(Operation::Max, 0.1)), "function", "neither"),
        (&[1, 6], Kind::Scale { by: by.clone() }, "Mul", "constant"),
        (&[1, 6], Kind::Offset { by }, "Add", "constant"),
        (&[1, 6], Kind::Softmax, "Softmax", "last"),
        (&[1, 6], norm(6, true, 0.1), "LayerNormalization", "epsilon"),
        (image, norm(4, true, 1e-5), "LayerNormalization", "image"),
        (image, linear(4, 4), "MatMul", "image"),
        (image, conv(4, strided, 2), "Conv", "size"),
        (image, conv(4, gaps, 2), "Conv", "size"),
        (image, conv(4, ImageWindow::of([3, 3]), 2), "Conv", "size"),
        (image, conv(4, ImageWindow::of([2, 2]), 2), "Conv", "size"),
        (image, grouped, "Conv", "groups"),
        (image, Kind::MaxPool { window: overlapping }, "MaxPool", "side by side"),
        (image, Kind::AveragePool { window: window(3, 0) }, "AveragePool", "side by side"),
        (image, mean(&[1]), "ReduceMean", "all pixels"),
        (image, reshape(&[1, 2, 16]), "Reshape", "flattening"),
        (&[1, 3, 6], mean(&[2]), "ReduceMean", "all pixels"),
        (&[1, 3, 6], Kind::Reduce { axes: vec![1], how: Reduction::Max }, "ReduceMax", "no such"),
        (&[1, 3, 6], Kind::Transpose { permutation: vec![0, 2, 1] }, "Transpose", "no such"),
    ];
    for (shape, kind, named, why) in cases {
        // Something comes behind it.
        let error = refused(shape, vec![kind, Kind::Pointwise(Expression::relu())]);
        let LastLayersError::Layer { node, operator, because, behind: None } = &error else {
            panic!("expected a refused layer {named}, got {error}");
        };
        assert_eq!(node, "node 0");
        assert!(operator.starts_with(named) && because.contains(why), "{error}");
        assert!(error.to_string().ends_with("; cut the network later"), "{error}");
    }
    // A mean of pixels leaves a column of channels, along which no product goes.
    let error = refused(image, vec![mean(&[2, 3]), linear(4, 1)]);
    assert!(error.to_string().contains("along another axis"), "{error}");
    let error = refused(&[2, 3, 4, 1, 1], vec![linear(4, 1)]);
    assert!(matches!(error, LastLayersError::Features { .. }), "{error}");
    let error = refused(&[1, 6], vec![linear(4, 6), Kind::Pointwise(Expression::relu())]);
    assert_eq!(error, LastLayersError::Logits("relu".into()));
    let error = refused(&[1, 3, 6], vec![linear(4, 6)]);
    assert_eq!(error, LastLayersError::Logits("a product of 3 rows".into()));
    let mut branched = chain(&[1, 6], vec![linear(6, 6), linear(6, 6), linear(4, 6)]);
    branched.after.layers[2].inputs = vec![1];
    let error = LastLayers::new(&branched, features(&branched, 1.0).view()).unwrap_err();
    assert!(error.to_string().contains("node 2: operator MatMul"), "{error}");
}

#[test]
fn the_error_names_where_to_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("poai-cli/data/digits");
    let cut = ReadOptions::new().cut_file(&folder.join("cnn.onnx"), "maxpool1.out").unwrap();
    let mut other = cut.clone();
    // The file's second convolution with a stride.
    let strided = ImageWindow { stride: [2; 2], ..window(3, 1) };
    let conv = other.after.layers.iter_mut().find(|layer| matches!(layer.kind, Kind::Conv { .. }));
    if let Some(Layer { kind: Kind::Conv { window, .. }, .. }) = conv {
        *window = strided;
    }
    // Pools and products behind it would not fit.
    other.after.layers.truncate(2);
    let error = LastLayers::new(&other, features(&other, 1.0).view()).unwrap_err().to_string();
    let (start, end) = ("node conv2: operator Conv is not trained: ", "at conv2.out or behind it");
    assert!(error.starts_with(start) && error.ends_with(end), "{error}");
}

#[test]
fn features_that_7_bits_do_not_hold_are_refused() {
    let cut = chain(&[1, 6], vec![linear(4, 6)]);
    let of = |features: ArrayView2<'_, f32>| LastLayers::new(&cut, features).map(|_| ());
    for size in [1e4, 1e-4] {
        let error = of(features(&cut, size).view()).unwrap_err();
        assert!(matches!(error, LastLayersError::Rounding { .. }), "{error}");
    }
    for size in [0.01, 60.0] {
        of(features(&cut, size).view()).unwrap();
    }
    let mut wrong = features(&cut, 1.0);
    wrong[[3, 2]] = f32::NAN;
    assert!(matches!(of(wrong.view()), Err(LastLayersError::Rounding { .. })));
    let narrow = Array2::zeros((4, 5));
    assert_eq!(of(narrow.view()), Err(LastLayersError::Columns { expected: 6, got: 5 }));
    let last = LastLayers::new(&cut, features(&cut, 1.0).view()).unwrap();
    let error = last.dataset(features(&cut, 1.0).view(), &[0, 1, 2]).unwrap_err();
    assert!(matches!(error, LastLayersError::Data(_)), "{error}");
    let error = last.dataset(features(&cut, 1.0).view(), &[4; 12]).unwrap_err();
    assert!(matches!(error, LastLayersError::Data(_)), "{error}");
}
