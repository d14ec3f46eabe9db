//! Quantised networks as users keep and judge them: the order of the output,
//! errors of samples, the choice of ranges, and their files.

use ndarray::{Array, Array2, Array4};
use poai_core::control::{Cancel, Control};
use poai_import::graph::{
    Expression, Graph, GraphError, ImageWindow, Input, Kind, Layer, Reduction,
};
use poai_import::onnx::{self, Limits};
use poai_import::quantise::{
    Numbers, QuantiseError, QuantiseOptions, RangeMethod, quantise, quantise_auto,
};
use poai_import::store::{
    self, CONSTANTS_FILE, PROGRAM_FILE, QUANTISED_FILE, StoreError, load_quantised, save_quantised,
};
use poai_import::{Model, ModelError, float};
use poai_testing::onnx as models;
use serde_json::{Value, json};
use std::path::Path;

/// Images of 2 channels of 3×4, as files order them.
fn images(count: usize) -> Array4<f32> {
    Array::from_shape_fn((count, 2, 3, 4), |(i, c, y, x)| {
        ((i * 37 + c * 11 + y * 5 + x * 3) % 17) as f32 / 8.0 - 1.0
    })
}

/// Three products of each pixel, with or without flattening.
fn network(flatten: bool) -> Vec<u8> {
    let weights = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5];
    let model = models::Model::new(&[-1, 2, 3, 4]).floats("w", &[3, 2, 1, 1], &weights);
    let model = model.node("Conv", &["x", "w"], "y", &[]);
    let model = if flatten { model.node("Flatten", &["y"], "z", &[]) } else { model };
    model.bytes()
}

#[test]
fn the_output_has_the_order_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    for flatten in [false, true] {
        std::fs::write(&path, network(flatten)).unwrap();
        let samples = images(6);
        let output = Model::load(&path, &samples).unwrap().run(&samples).unwrap();
        assert_eq!(output.dim(), (6, 3 * 3 * 4));
        for ((sample, entry), got) in output.indexed_iter() {
            let at = |channel| samples[[sample, channel, entry % 12 / 4, entry % 4]];
            let expected = [at(0), at(1), (at(0) + at(1)) / 2.0][entry / 12];
            assert!((got - expected).abs() < 0.03, "{sample} {entry}: {got} {expected}");
        }
    }
}

/// One product of two features.
fn sum() -> Graph {
    let weights = Array2::from_shape_vec((1, 2), vec![1.0, 1.0]).unwrap();
    let kind = Kind::Linear { weights: weights.into(), bias: vec![0.0] };
    let layers = vec![Layer { name: "sum".to_owned(), kind, inputs: vec![0] }];
    Graph::new(vec![Input::new("input", [1, 2])], layers)
}

fn spread(count: usize, scale: f32) -> Array2<f32> {
    Array2::from_shape_fn((count, 2), |(row, column)| {
        scale * (((row * 7 + column * 3) % 21) as f32 / 10.0 - 1.0)
    })
}

#[test]
fn samples_beyond_the_range_are_counted() {
    let quantised = quantise(&sum(), spread(50, 1.0).view(), &QuantiseOptions::default()).unwrap();
    assert_eq!(quantised.samples.count, 50);
    assert_eq!((quantised.samples.clipped_input, quantised.report[0].clipped), (0.0, 0.0));
    assert!(quantised.samples.median <= quantised.samples.worst);
    // The same samples again, in chunks, have the same errors.
    let same = quantised.compare(&sum(), spread(50, 1.0).view()).unwrap();
    assert_eq!((&same.layers, same.samples), (&quantised.report, quantised.samples));
    assert_eq!(same.each.len(), 50);
    assert_eq!(same.each[same.samples.worst_sample], same.samples.worst);
    // Samples of twice the range: 22 of 42 entries are beyond ±1.
    let mut wide = spread(21, 2.0);
    let beyond = wide.iter().filter(|entry| entry.abs() > 1.01).count() as f64 / 42.0;
    let compared = quantised.compare(&sum(), wide.view()).unwrap();
    assert_eq!(compared.samples.clipped_input, beyond);
    assert!(compared.samples.worst > 0.4, "{:?}", compared.samples);
    assert!(compared.each.iter().all(|error| error.is_finite()));
    // The definition, for one sample.
    wide.fill(2.0);
    let compared = quantised.compare(&sum(), wide.view()).unwrap();
    assert!((compared.samples.median - 0.5).abs() < 0.02, "{:?}", compared.samples);
    assert_eq!(compared.samples.clipped_input, 1.0);
}

#[test]
fn comparisons_report_stop_and_refuse() {
    let quantised = quantise(&sum(), spread(50, 1.0).view(), &QuantiseOptions::default()).unwrap();
    for wrong in [Array2::zeros((0, 2)), Array2::zeros((3, 3))] {
        let error = quantised.compare(&sum(), wrong.view()).unwrap_err();
        assert!(matches!(error, QuantiseError::Graph(GraphError::Input { .. })), "{error}");
    }
    let mut other = sum();
    let relu = Kind::Pointwise(Expression::relu());
    other.layers.push(Layer { name: "more".to_owned(), kind: relu, inputs: vec![1] });
    let error = quantised.compare(&other, spread(3, 1.0).view()).unwrap_err();
    assert!(matches!(error, QuantiseError::Graph(GraphError::Input { .. })), "{error}");
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let control = Control::new().cancel(&cancel).progress(move |at| {
        assert_eq!((at.done, at.total), (32, 50));
        stop.cancel();
    });
    let error = quantised.compare_with(&sum(), spread(50, 1.0).view(), &control).unwrap_err();
    assert!(matches!(error, QuantiseError::Cancelled(_)), "{error}");
}

/// A convolution whose samples have single outliers inside a large image: a
/// percentile loses those, and keeps all else.
#[test]
fn ranges_are_chosen_by_measured_error() {
    let window = ImageWindow::of([1, 1]);
    let weights = Array2::from_shape_vec((1, 1), vec![1.0]).unwrap();
    let conv = Kind::Conv { weights: weights.into(), bias: vec![0.0], window, groups: 1 };
    let reduced = Kind::Reduce { axes: vec![2, 3], how: Reduction::Mean };
    let mean = vec![
        Layer { name: "conv".to_owned(), kind: conv, inputs: vec![0] },
        Layer { name: "mean".to_owned(), kind: reduced, inputs: vec![1] },
    ];
    let graph = Graph::new(vec![Input::new("input", [1, 1, 100, 100])], mean);
    let (control, options) = (Control::new(), QuantiseOptions::default());
    let even = |row: usize| 0.5 + (row % 10) as f32 / 20.0;
    let clean = Array2::from_shape_fn((4, 10_000), |(_, pixel)| even(pixel));
    let chosen = quantise_auto(&graph, clean.view(), &options, &control).unwrap();
    assert_eq!(chosen.range, RangeMethod::MinMax);
    let mut dirty = clean.clone();
    (0..4).for_each(|sample| dirty[[sample, 5]] = 300.0);
    let chosen = quantise_auto(&graph, dirty.view(), &options, &control).unwrap();
    assert!(matches!(chosen.range, RangeMethod::Percentile(_)), "{:?}", chosen.range);
    let fixed = quantise(&graph, dirty.view(), &options).unwrap();
    assert!(chosen.samples.median < fixed.samples.median);
    // The choice is the network that its method gives.
    let again = QuantiseOptions { range: chosen.range, ..options };
    let again = quantise(&graph, dirty.view(), &again).unwrap();
    let id = |network: &poai_engine::execute::Network| network.program().program_id();
    assert_eq!(id(&again.network), id(&chosen.network));
    assert_eq!(float::run(&graph, clean.view()).unwrap().len(), 3);
}

fn stored(folder: &Path) -> poai_import::quantise::Quantised {
    let graph = onnx::read(&models::small(), &Limits::default()).unwrap();
    let rows = Array2::from_shape_fn((9, graph.sample_entries()), |(i, j)| {
        ((i * 37 + j * 11) % 17) as f32 / 8.0 - 1.0
    });
    let options = QuantiseOptions { numbers: Numbers::Standard, ..QuantiseOptions::default() };
    let quantised = quantise(&graph, rows.view(), &options).unwrap();
    save_quantised(&quantised, folder).unwrap();
    quantised
}

#[test]
fn a_quantised_network_is_stored_with_its_scales() {
    let folder = tempfile::tempdir().unwrap();
    let quantised = stored(folder.path());
    let read = load_quantised(folder.path()).unwrap();
    assert_eq!(read.network.program(), quantised.network.program());
    assert_eq!((&read.inputs, &read.report), (&quantised.inputs, &quantised.report));
    assert_eq!((&read.output, &read.tail), (&quantised.output, &quantised.tail));
    assert_eq!(read.inputs[0].scale.to_bits(), quantised.inputs[0].scale.to_bits());
    assert_eq!(read.output_scale.to_bits(), quantised.output_scale.to_bits());
    assert_eq!((read.range, read.numbers), (quantised.range, Numbers::Standard));
    assert_eq!(read.samples, quantised.samples);
    // The program alone is a network, too.
    assert_eq!(store::load(folder.path()).unwrap().program(), quantised.network.program());

    // A model keeps its program for other samples.
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, models::small()).unwrap();
    let known = Array4::from_shape_fn((9, 2, 4, 4), |(i, c, y, x)| (i + c + y + x) as f32);
    let model = Model::load(&path, &known).unwrap();
    model.save(folder.path().join("kept")).unwrap();
    let kept = Model::stored(folder.path().join("kept")).unwrap();
    let new = known.mapv(|entry| entry * 0.7 - 1.0);
    assert_eq!(kept.run(&new).unwrap(), model.run(&new).unwrap());
    let missing = Model::stored(folder.path().join("missing")).unwrap_err();
    assert!(matches!(missing, ModelError::Store(StoreError::Io { .. })), "{missing}");
}

#[test]
fn scales_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path());
    let path = folder.path().join(QUANTISED_FILE);
    let honest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut scales = honest.clone();
        change(&mut scales);
        std::fs::write(&path, scales.to_string()).unwrap();
        load_quantised(folder.path()).unwrap_err()
    };
    for (pointer, other, field) in [
        ("/version", json!(1), "version"),
        ("/inputs", json!([]), "inputs"),
        ("/inputs/0/input/shape", json!([1, 4, 4, 3]), "inputs"),
        ("/inputs/0/input/shape", json!([u64::MAX, u64::MAX, 2]), "inputs"),
        ("/inputs/0/input/shape", json!([]), "inputs"),
        ("/inputs/0/input/ids", json!(7), "inputs"),
        ("/inputs/0/input/channels_last", json!(true), "inputs"),
        ("/inputs/0/top", json!(64), "inputs"),
        ("/inputs/0/scale", json!(0.0), "inputs"),
        ("/inputs/0/columns", json!([1.0, 2.0]), "inputs"),
        ("/inputs/0/columns", json!([1.0, 2.0, 0.0, 1.0]), "inputs"),
        ("/output", json!([1, 3]), "output"),
        ("/output", json!([u64::MAX, u64::MAX]), "output"),
        ("/output_scale", json!(-1.0), "output_scale"),
    ] {
        let error = refused(&|scales| *scales.pointer_mut(pointer).unwrap() = other.clone());
        let StoreError::Field { field: got, .. } = &error else { panic!("{pointer}: {error}") };
        assert_eq!(*got, field, "{error}");
        assert!(error.to_string().contains("expected "), "{error}");
    }
    for change in [
        &(|scales: &mut Value| scales["more"] = json!(1)) as &dyn Fn(&mut Value),
        &|scales| drop(scales.as_object_mut().unwrap().remove("samples")),
        &|scales| *scales = json!([2]),
        &|scales| scales["inputs"][0]["wide"] = json!(3),
    ] {
        let error = refused(change);
        assert!(matches!(error, StoreError::Scales { .. }), "{error}");
    }
    // Every cut is refused, and no changed byte panics.
    let text = honest.to_string();
    for end in 0..text.len() {
        std::fs::write(&path, &text[..end]).unwrap();
        let error = load_quantised(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::Scales { .. }), "{end}: {error}");
    }
    for at in (0..text.len()).step_by(7) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, bytes).unwrap();
        _ = load_quantised(folder.path());
    }
    // The file is bounded, and its network is checked.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len((1 << 26) + 1).unwrap();
    let error = load_quantised(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Size { .. }), "{error}");
    std::fs::write(&path, &text).unwrap();
    load_quantised(folder.path()).unwrap();
    for name in [PROGRAM_FILE, CONSTANTS_FILE] {
        let honest = std::fs::read(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name), &honest[..honest.len() / 2]).unwrap();
        load_quantised(folder.path()).unwrap_err();
        std::fs::write(folder.path().join(name), honest).unwrap();
    }
}
