//! Quantised networks. Their integers are close to the floats, and a network
//! that cannot be quantised is an error that names the cause.
use ndarray::{Array2, ArrayView2};
use poai_core::program::{Dtype, RunShape};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::Session;
use poai_import::float;
use poai_import::graph::{
    Expression, Graph, GraphConstant, GraphError, ImageWindow, Input, Kind, Layer, Reduction,
};
use poai_import::quantise::{
    Granularity, Numbers, QuantiseError, QuantiseOptions, Quantised, RangeMethod, quantise,
};
use proptest::prelude::*;
use std::sync::Arc;

/// Numbers in −1..1 that depend on the seed alone.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

pub(crate) fn matrix(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    let scale = (columns as f32).sqrt().recip();
    Array2::from_shape_vec((rows, columns), numbers(seed, rows * columns)).unwrap() * scale * 2.0
}

fn samples(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, columns), numbers(seed, rows * columns)).unwrap()
}

pub(crate) fn layer(name: &str, kind: Kind, inputs: &[usize]) -> Layer {
    Layer { name: name.to_owned(), kind, inputs: inputs.to_vec() }
}

pub(crate) fn linear(seed: u64, outputs: usize, inputs: usize) -> Kind {
    Kind::Linear {
        weights: matrix(seed, outputs, inputs).into(),
        bias: numbers(seed + 100, outputs),
    }
}

fn conv(seed: u64, outputs: usize, inputs: usize, window: ImageWindow) -> Kind {
    let weights = matrix(seed, outputs, window.area() * inputs);
    Kind::Conv { weights: weights.into(), bias: numbers(seed + 100, outputs), window, groups: 1 }
}

pub(crate) fn window(kernel: usize, stride: usize, pad: usize) -> ImageWindow {
    ImageWindow { stride: [stride; 2], pads: [pad; 4], ..ImageWindow::of([kernel; 2]) }
}

pub(crate) fn relu() -> Kind {
    Kind::Pointwise(Expression::relu())
}

pub(crate) fn sum() -> Kind {
    Kind::Add { factors: [1.0; 2] }
}

pub(crate) fn mean() -> Kind {
    Kind::Reduce { axes: vec![2, 3], how: Reduction::Mean }
}

pub(crate) fn graph<const N: usize>(shape: [usize; N], layers: Vec<Layer>) -> Graph {
    Graph::new(vec![Input::new("input", shape)], layers)
}

pub(crate) fn mlp() -> Graph {
    let layers = vec![
        layer("first", linear(1, 48, 20), &[0]),
        layer("relu 1", relu(), &[1]),
        layer("second", linear(2, 32, 48), &[2]),
        layer("relu 2", relu(), &[3]),
        layer("logits", linear(3, 10, 32), &[4]),
    ];
    graph([1, 20], layers)
}

pub(crate) fn cnn() -> Graph {
    let layers = vec![
        layer("conv 1", conv(1, 8, 3, window(3, 1, 1)), &[0]),
        layer("pool", Kind::MaxPool { window: window(2, 2, 0) }, &[1]),
        layer("relu 1", relu(), &[2]),
        layer("conv 2", conv(2, 6, 8, window(3, 2, 1)), &[3]),
        layer("relu 2", relu(), &[4]),
        layer("mean", Kind::AveragePool { window: window(3, 1, 1) }, &[5]),
        layer("flat", Kind::Reshape { shape: vec![1, 36] }, &[6]),
        layer("logits", linear(3, 10, 2 * 3 * 6), &[7]),
    ];
    graph([1, 3, 8, 12], layers)
}

/// Two residual blocks, one with a 1×1 projection.
pub(crate) fn residual() -> Graph {
    let layers = vec![
        layer("stem", conv(1, 8, 2, window(3, 1, 1)), &[0]),
        layer("relu 1", relu(), &[1]),
        layer("branch 1", conv(2, 8, 8, window(3, 1, 1)), &[2]),
        layer("sum 1", sum(), &[3, 2]),
        layer("relu 2", relu(), &[4]),
        layer("branch 2", conv(3, 12, 8, window(1, 1, 0)), &[5]),
        layer("projection", conv(4, 12, 8, window(1, 1, 0)), &[5]),
        layer("sum 2", sum(), &[6, 7]),
        layer("mean", mean(), &[8]),
        layer("flat", Kind::Reshape { shape: vec![1, 12] }, &[9]),
        layer("logits", linear(5, 7, 12), &[10]),
    ];
    graph([1, 2, 6, 5], layers)
}

pub(crate) fn run(quantised: &Quantised, samples: ArrayView2<'_, f32>) -> Array2<f32> {
    let model = Session::new(quantised.network.clone(), Arc::new(Cpu::new())).unwrap();
    let inputs = quantised.quantise_input(samples).unwrap();
    let shape = RunShape::new(samples.nrows() as u32, 1);
    let run = model.run((shape, inputs)).unwrap();
    quantised.dequantise_output(&run.output)
}

pub(crate) fn relative_error(got: &Array2<f32>, expected: &Array2<f32>) -> f64 {
    assert_eq!(got.dim(), expected.dim());
    let square = |x: f32| f64::from(x).powi(2);
    let error: f64 = got.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    (error / expected.iter().map(|&x| square(x)).sum::<f64>()).sqrt()
}

pub(crate) fn inputs(graph: &Graph, seed: u64, batch: usize) -> Array2<f32> {
    samples(seed, batch, graph.sample_entries())
}

#[test]
fn integers_are_close_to_floats() {
    let granularities = [Granularity::PerTensor, Granularity::PerChannel];
    let ranges = [RangeMethod::MinMax, RangeMethod::Percentile(99.9)];
    let choices = granularities.into_iter().flat_map(|weights| {
        let numbers = [Numbers::Fitted, Numbers::Standard];
        let all = ranges.into_iter().flat_map(move |range| numbers.map(|numbers| (range, numbers)));
        all.map(move |(range, numbers)| QuantiseOptions {
            range,
            weights,
            numbers,
            ..QuantiseOptions::default()
        })
    });
    for options in choices {
        for (name, graph) in [("mlp", mlp()), ("cnn", cnn()), ("residual", residual())] {
            let calibration = inputs(&graph, 9, 64);
            let quantised = quantise(&graph, calibration.view(), &options).unwrap();
            assert_eq!(quantised.report.len(), graph.layers.len());
            for (layer, report) in graph.layers.iter().zip(&quantised.report) {
                assert_eq!(layer.name, report.name);
                assert!(report.relative_error < 0.06, "{name} {options:?}: {report:?}");
            }
            // Samples that were not used for calibration.
            let fresh = inputs(&graph, 77, 16);
            let floats = float::run(&graph, fresh.view()).unwrap();
            let error = relative_error(&run(&quantised, fresh.view()), floats.last().unwrap());
            assert!(error < 0.06, "{name} {options:?}: {error}");
        }
    }
}

/// Networks in standard form equal their fitted form, up to single i8 units. If
/// their scales leave no room, the error says so.
#[test]
fn the_standard_form_is_as_exact() {
    let standard = QuantiseOptions { numbers: Numbers::Standard, ..QuantiseOptions::default() };
    for graph in [mlp(), cnn(), residual()] {
        let calibration = inputs(&graph, 9, 64);
        let fitted = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
        let quantised = quantise(&graph, calibration.view(), &standard).unwrap();
        let error =
            relative_error(&run(&quantised, calibration.view()), &run(&fitted, calibration.view()));
        assert!(error < 0.005, "{error}");
    }
    // Differences of nearly equal numbers are small and must be scaled up
    // again.
    let weights = Array2::from_shape_vec((1, 2), vec![1.0, -1.0]).unwrap();
    let layers =
        vec![layer("difference", Kind::Linear { weights: weights.into(), bias: vec![0.0] }, &[0])];
    let graph = graph([1, 2], layers);
    for (second, fits) in [(0.5, true), (0.98, false)] {
        let samples = Array2::from_shape_vec((1, 2), vec![1.0, second]).unwrap();
        let error = match quantise(&graph, samples.view(), &standard) {
            Ok(quantised) => {
                assert!(fits);
                let float = f64::from(run(&quantised, samples.view())[[0, 0]]);
                assert!((float - 0.5).abs() < 0.02, "{float}");
                continue;
            }
            Err(error) => error,
        };
        assert!(!fits, "{error}");
        let QuantiseError::Standard { layer, ratio, limit } = error else { panic!("{error}") };
        assert_eq!(layer, "difference");
        assert!(ratio > 64.0 && limit == 64.0, "{ratio} {limit}");
    }
}

#[test]
fn report_measures_the_output_on_the_calibration_data() {
    let graph = cnn();
    let calibration = inputs(&graph, 9, 32);
    let quantised = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
    let floats = float::run(&graph, calibration.view()).unwrap();
    let error = relative_error(&run(&quantised, calibration.view()), floats.last().unwrap());
    let last = quantised.report.last().unwrap();
    assert!((last.relative_error - error).abs() < 1e-6);
    assert_eq!(last.scale, quantised.output_scale);
    // The output's largest entry is 2^14 in i16.
    let largest = floats.last().unwrap().iter().fold(0f32, |a, &b| a.max(b.abs()));
    assert!((f64::from(largest) / quantised.output_scale - 16384.0).abs() < 1e-6);
    let program = quantised.network.program();
    assert_eq!(program.form(program.output()).unwrap().dtype, Dtype::I16);
}

#[test]
fn channels_of_their_own_scale_are_no_worse() {
    let mut graph = mlp();
    // Output channels with weights scaled by 1 to 1/1000.
    let by = |channel: usize| 10f32.powi(-(channel as i32 % 4));
    let Kind::Linear { weights, bias } = &mut graph.layers[0].kind else { panic!() };
    for (channel, mut row) in weights.outer_iter_mut().enumerate() {
        row *= by(channel);
        bias[channel] *= by(channel);
    }
    let calibration = inputs(&graph, 9, 64);
    let error = |weights| {
        let options = QuantiseOptions { weights, ..QuantiseOptions::default() };
        let quantised = quantise(&graph, calibration.view(), &options).unwrap();
        quantised.report.iter().map(|layer| layer.relative_error).collect::<Vec<_>>()
    };
    let (tensor, channel) = (error(Granularity::PerTensor), error(Granularity::PerChannel));
    assert!(channel[0] <= tensor[0], "{channel:?} {tensor:?}");
    assert!(channel[4] <= tensor[4], "{channel:?} {tensor:?}");
}

#[test]
fn small_channels_survive_with_a_scale_of_their_own() {
    // One channel's weights are a thousandth of the other's.
    let weights = Array2::from_shape_fn((2, 8), |(row, column)| {
        let entry = (column as f32 - 3.5) / 4.0;
        if row == 0 { entry * 1000.0 } else { entry }
    });
    let only = Kind::Linear { weights: weights.into(), bias: vec![0.0, 0.0] };
    let graph = graph([1, 8], vec![layer("only", only, &[0])]);
    let calibration = inputs(&graph, 4, 32);
    let floats = float::run(&graph, calibration.view()).unwrap();
    let error = |weights| {
        let options = QuantiseOptions { weights, ..QuantiseOptions::default() };
        let quantised = quantise(&graph, calibration.view(), &options).unwrap();
        let column = |values: &Array2<f32>| values.slice(ndarray::s![.., 1..]).to_owned();
        relative_error(&column(&run(&quantised, calibration.view())), &column(&floats[1]))
    };
    assert_eq!(error(Granularity::PerTensor), 1.0);
    assert!(error(Granularity::PerChannel) < 0.1);
}

#[test]
fn a_percentile_clips_outliers() {
    let graph = mlp();
    let mut calibration = inputs(&graph, 9, 200);
    calibration[[3, 4]] = 1000.0;
    let error = |range| {
        let options = QuantiseOptions { range, ..QuantiseOptions::default() };
        let quantised = quantise(&graph, calibration.view(), &options).unwrap();
        let usual = inputs(&graph, 77, 16);
        let floats = float::run(&graph, usual.view()).unwrap();
        relative_error(&run(&quantised, usual.view()), floats.last().unwrap())
    };
    assert!(error(RangeMethod::Percentile(99.5)) < 0.15);
    assert!(error(RangeMethod::MinMax) > 0.4);
}

#[test]
fn dead_layers_and_inputs_stay_zero() {
    let mut graph = mlp();
    // The layer outputs nothing: its weights are zero and its biases are
    // negative.
    graph.layers[2].kind =
        Kind::Linear { weights: Array2::zeros((32, 48)).into(), bias: vec![-1.0; 32] };
    let calibration = Array2::zeros((4, 20));
    for weights in [Granularity::PerTensor, Granularity::PerChannel] {
        let options = QuantiseOptions {
            weights,
            range: RangeMethod::Percentile(50.0),
            ..QuantiseOptions::default()
        };
        let quantised = quantise(&graph, calibration.view(), &options).unwrap();
        let floats = float::run(&graph, calibration.view()).unwrap();
        assert_eq!(quantised.inputs[0].scale, 1.0);
        let dead = &quantised.report[3];
        assert_eq!((dead.scale, dead.relative_error), (1.0, 0.0));
        // The logits equal their bias, at the resolution of accumulators.
        let error = relative_error(&run(&quantised, calibration.view()), &floats[5]);
        assert!(error < 0.02, "{error}");
    }
}

#[test]
fn channels_without_weights_keep_their_bias() {
    let mut graph = mlp();
    let Kind::Linear { weights, bias } = &mut graph.layers[4].kind else { panic!() };
    weights.row_mut(3).fill(0.0);
    bias[3] = 1.25;
    weights.row_mut(4).fill(1e-20);
    bias[4] = -0.5;
    let calibration = inputs(&graph, 9, 8);
    let quantised = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
    let got = run(&quantised, calibration.view());
    assert!(got.column(3).iter().all(|x| (x - 1.25).abs() < 0.01), "{}", got.column(3));
    assert!(got.column(4).iter().all(|x| (x + 0.5).abs() < 0.01), "{}", got.column(4));
}

#[test]
fn long_names_are_cut() {
    let mut graph = mlp();
    graph.layers[0].name = "ü".repeat(300);
    let calibration = inputs(&graph, 9, 8);
    let quantised = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
    assert_eq!(quantised.report[0].name, graph.layers[0].name);
    // Room stays for what the step does, and for a number.
    assert_eq!(quantised.network.program().steps()[0].name, "ü".repeat(121));
}

#[test]
fn errors_name_what_is_wrong() {
    let graph = mlp();
    let good = inputs(&graph, 9, 8);
    let fails = |graph: &Graph, calibration: &Array2<f32>, options: &QuantiseOptions| {
        quantise(graph, calibration.view(), options).unwrap_err()
    };
    let default = QuantiseOptions::default();

    let error = fails(&graph, &Array2::zeros((0, 20)), &default);
    assert!(matches!(error, QuantiseError::NoCalibration));

    for bad in [f32::NAN, f32::INFINITY] {
        let mut calibration = good.clone();
        calibration[[1, 2]] = bad;
        let error = fails(&graph, &calibration, &default);
        assert!(
            matches!(&error, QuantiseError::NotFinite { layer, index: 22, .. } if layer == "input")
        );
        let quantised = quantise(&graph, good.view(), &default).unwrap();
        let error = quantised.quantise_input(calibration.view()).unwrap_err();
        assert!(matches!(error, QuantiseError::NotFinite { index: 22, .. }));
    }

    let error = fails(&graph, &Array2::zeros((8, 19)), &default);
    assert!(matches!(error, QuantiseError::Graph(GraphError::Input { columns: 19, .. })));
    // Images pixel by pixel.
    let error = fails(&cnn(), &Array2::zeros((96, 3)), &default);
    assert!(matches!(error, QuantiseError::Graph(GraphError::Input { expected: 288, .. })));
    let quantised = quantise(&graph, good.view(), &default).unwrap();
    let error = quantised.quantise_input(Array2::zeros((8, 19)).view()).unwrap_err();
    assert!(matches!(error, QuantiseError::Graph(GraphError::Input { .. })));

    for percent in [0.0, -1.0, 100.1, f64::NAN] {
        let options = QuantiseOptions { range: RangeMethod::Percentile(percent), ..default };
        let error = fails(&graph, &good, &options);
        assert!(matches!(error, QuantiseError::Percentile(_)));
    }

    // Values that overflow, and a NaN weight that affects no value.
    let mut graph = mlp();
    let Kind::Linear { weights, .. } = &mut graph.layers[2].kind else { panic!() };
    weights.fill(f32::MAX);
    let error = fails(&graph, &good, &default);
    assert!(matches!(&error, QuantiseError::NotFinite { layer, .. } if layer == "second"));
    assert!(error.to_string().starts_with("second: "));

    let mut graph = mlp();
    let Kind::Linear { bias, .. } = &mut graph.layers[2].kind else { panic!() };
    bias[5] = f32::NEG_INFINITY;
    let error = fails(&graph, &good, &default);
    assert!(matches!(&error, QuantiseError::NotFinite { layer, .. } if layer == "second"));

    // A table is no product, so a network of ids has no standard form.
    let standard = QuantiseOptions { numbers: Numbers::Standard, ..default };
    let mut graph = mlp();
    graph.layers[3].kind = Kind::Softmax;
    let error = fails(&graph, &good, &standard);
    assert!(matches!(&error, QuantiseError::NotStandard { layer } if layer == "relu 2"), "{error}");

    // Pads as wide as the kernel, with which a window could cover no pixel of
    // the image.
    let mut graph = cnn();
    graph.layers[0].kind = conv(1, 8, 3, window(1, 1, 1));
    graph.layers.truncate(1);
    let error = fails(&graph, &inputs(&graph, 9, 2), &default);
    assert!(matches!(error, QuantiseError::Program(_)), "{error}");
    assert!(error.to_string().contains("conv 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Weights, biases and samples of any size give finite results. The results
    /// are close if no layer is dominated by its bias.
    #[test]
    fn any_scale_is_a_scale(
        seed in 0u64..1000,
        input in -30i32..10,
        weights in -20i32..10,
        bias in -30i32..10,
        per_channel: bool,
    ) {
        let mut graph = mlp();
        for layer in &mut graph.layers {
            let Kind::Linear { weights: entries, bias: added } = &mut layer.kind else { continue };
            *entries *= 10f32.powi(weights / 3);
            added.iter_mut().for_each(|entry| *entry *= 10f32.powi(bias));
        }
        let calibration = inputs(&graph, seed, 16) * 10f32.powi(input);
        let weights = if per_channel { Granularity::PerChannel } else { Granularity::PerTensor };
        let options = QuantiseOptions { weights, ..QuantiseOptions::default() };
        let quantised = quantise(&graph, calibration.view(), &options).unwrap();
        prop_assert!(quantised.output_scale > 0.0 && quantised.output_scale.is_finite());
        let floats = float::run(&graph, calibration.view()).unwrap();
        let error = relative_error(&run(&quantised, calibration.view()), &floats[5]);
        prop_assert!(error < 0.1, "{} {:?}", error, quantised.report);
    }
}

/// Moves that leave every entry in its place compute nothing.
#[test]
fn a_network_without_steps_is_refused_as_such() {
    let moved = layer("moved", Kind::Reshape { shape: vec![1, 1, 4] }, &[0]);
    let error =
        quantise(&graph([1, 4], vec![moved]), samples(1, 3, 4).view(), &QuantiseOptions::default());
    let error = error.unwrap_err();
    assert!(matches!(error, QuantiseError::Graph(GraphError::NoLayers)), "{error}");
    assert!(error.to_string().ends_with("scales its input; choose another output"), "{error}");
}

/// A constant with an entry for each place of a moved value leaves no layout
/// without a reader.
#[test]
fn constants_by_place_scale_moved_values() {
    let entries = numbers(9, 7 * 4);
    for shape in [vec![1, 1, 7, 4], vec![1, 2, 7, 4], vec![1, 1, 7, 1]] {
        let count: usize = shape.iter().product();
        let all: Vec<f32> = entries.iter().cycle().take(count).copied().collect();
        let by = GraphConstant { shape, entries: all };
        let layers = vec![
            layer("heads", Kind::Reshape { shape: vec![1, 7, 2, 4] }, &[0]),
            layer("moved", Kind::Transpose { permutation: vec![0, 2, 1, 3] }, &[1]),
            layer("scaled", Kind::Scale { by }, &[2]),
        ];
        let graph = graph([1, 56], layers);
        let calibration = samples(4, 64, 56);
        let options = QuantiseOptions::default();
        let quantised = quantise(&graph, calibration.view(), &options).unwrap();
        assert!(quantised.samples.worst < 0.02, "{:?}", quantised.samples);
    }
}

/// What lies far below the largest entry has no weight in a softmax, however
/// many such entries there are.
#[test]
fn hidden_entries_have_no_weight() {
    let hidden: Vec<f32> = (0..128).map(|key| if key > 0 { -1e4 } else { 0.0 }).collect();
    let by = GraphConstant { shape: vec![1, 128], entries: hidden };
    let layers =
        vec![layer("mask", Kind::Offset { by }, &[0]), layer("weights", Kind::Softmax, &[1])];
    let graph = graph([1, 128], layers);
    let calibration = samples(5, 32, 128);
    let quantised = quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
    let weights = run(&quantised, calibration.view());
    for row in weights.rows() {
        assert!((row[0] - 1.0).abs() < 0.01 && row.iter().skip(1).all(|&x| x == 0.0), "{row}");
    }
}
