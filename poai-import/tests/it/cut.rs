//! A network that is cut: both parts compute what the whole does, and a value that does
//! not divide the network is refused.

use ndarray::Array2;
use poai_import::float;
use poai_import::graph::{Graph, Kind, ValueShape};
use poai_import::onnx::{CutGraph, OnnxError, ReadOptions};
use poai_testing::onnx::{Model, floats, int, ints, numbers};

/// Images of 2×4×4, a convolution, a pool, a row, a product.
fn model() -> Vec<u8> {
    Model::new(&[-1, 2, 4, 4])
        .floats("kernel", &[3, 2, 3, 3], &numbers(1, 54))
        .floats("w", &[4, 12], &numbers(2, 48))
        .floats("b", &[4], &numbers(3, 4))
        .node("Conv", &["x", "kernel"], "convolved", &[ints("pads", &[1, 1, 1, 1])])
        .node("Relu", &["convolved"], "positive", &[])
        .node(
            "MaxPool",
            &["positive"],
            "pooled",
            &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node("Flatten", &["pooled"], "flat", &[])
        .node("Gemm", &["flat", "w", "b"], "logits", &[int("transB", 1)])
        .node("Softmax", &["logits"], "y", &[])
        .bytes()
}

fn last(graph: &Graph, samples: &Array2<f32>) -> Array2<f32> {
    float::run(graph, samples.view()).unwrap().pop().unwrap()
}

fn cut(bytes: &[u8], value: &str) -> Result<CutGraph, OnnxError> {
    ReadOptions::new().cut(bytes, value)
}

/// Why a value is refused.
fn because(bytes: &[u8], value: &str) -> String {
    match cut(bytes, value) {
        Err(OnnxError::Cut { value: named, because }) => {
            assert_eq!(named, value);
            because
        }
        other => panic!("expected a refused cut at {value}, got {other:?}"),
    }
}

#[test]
fn both_parts_compute_what_the_whole_does() {
    let bytes = model();
    let whole = ReadOptions::new().read(&bytes).unwrap();
    let samples = Array2::from_shape_vec((5, 32), numbers(4, 160)).unwrap();
    let expected = last(&whole, &samples);
    for (value, shape) in [
        ("convolved", vec![1, 3, 4, 4]),
        ("positive", vec![1, 3, 4, 4]),
        ("pooled", vec![1, 3, 2, 2]),
        ("flat", vec![1, 12]),
        ("logits", vec![1, 4]),
    ] {
        let parts = cut(&bytes, value).unwrap();
        let [input] = &parts.after.inputs[..] else { panic!("expected one input") };
        assert_eq!((input.name.as_str(), &input.shape), (value, &ValueShape(shape)));
        let found = last(&parts.after, &last(&parts.before, &samples));
        let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close && found.dim() == (5, 4), "{value}: {found} and {expected}");
    }
    // A path reads the same.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, &bytes).unwrap();
    let parts = cut(&bytes, "pooled").unwrap();
    assert_eq!(ReadOptions::new().cut_file(&path, "pooled").unwrap(), parts);
    // Layers keep the names of nodes, which have operators and outputs.
    let names: Vec<_> =
        parts.after.layers.iter().map(|layer| parts.node(&layer.name).unwrap()).collect();
    assert_eq!(names.last(), Some(&("Softmax", "y")));
    assert!(names.contains(&("Gemm", "logits")), "{names:?}");
    assert_eq!(parts.node("unknown"), None);
}

#[test]
fn what_the_library_leaves_out_stays_behind_the_cut() {
    let bytes = Model::new(&[-1, 3])
        .floats("w", &[3, 3], &numbers(1, 9))
        .node("MatMul", &["x", "w"], "a", &[])
        .node("Relu", &["a"], "b", &[])
        .node("ArgMax", &["b"], "y", &[int("axis", 1)])
        .bytes();
    let parts = cut(&bytes, "a").unwrap();
    assert_eq!((parts.before.tail, parts.after.tail.as_deref()), (None, Some("ArgMax")));
    // The class itself is no value, and what decides it ends the network.
    assert_eq!(because(&bytes, "y"), "it is a class, which ends a network");
    assert!(because(&bytes, "b").starts_with("it is the output"));
}

#[test]
fn a_value_that_does_not_divide_the_network_is_refused() {
    let bytes = Model::new(&[-1, 3])
        .floats("w", &[3, 3], &numbers(1, 9))
        .node("MatMul", &["x", "w"], "a", &[])
        .node("Relu", &["a"], "b", &[])
        .node("MatMul", &["b", "w"], "c", &[])
        .node("Add", &["c", "a"], "d", &[])
        .node("MatMul", &["d", "w"], "y", &[])
        .bytes();
    for value in ["b", "c"] {
        let why = because(&bytes, value);
        assert!(why.contains(" d behind it also reads a, which is not"), "{why}");
    }
    assert!(cut(&bytes, "a").is_ok() && cut(&bytes, "d").is_ok());
    assert!(because(&bytes, "x").starts_with("it is an input"));
    assert_eq!(because(&bytes, "w"), "it is a constant");
    assert!(because(&bytes, "none").contains("no node"));
    // Behind the output that the caller chose, there is nothing.
    let error = ReadOptions::new().output("b").cut(&bytes, "c").unwrap_err();
    assert!(matches!(error, OnnxError::Cut { .. }), "{error}");
    let text = cut(&bytes, "y").unwrap_err().to_string();
    let expected = "expected a value at which the network can be cut, got y: it is the output, \
                    behind which there are no layers; name a value on which alone all layers \
                    behind it depend";
    assert_eq!(text, expected);
    assert!(matches!(cut(b"no network", "a"), Err(OnnxError::Frame { .. })));
}

#[test]
fn a_move_of_the_input_is_nothing_to_freeze() {
    let bytes = Model::new(&[-1, 4])
        .floats("w", &[4, 2], &numbers(1, 8))
        .node("Neg", &["x"], "a", &[])
        .node("MatMul", &["a", "w"], "y", &[])
        .bytes();
    let parts = cut(&bytes, "a").unwrap();
    assert!(matches!(
        parts.after.layers[..],
        [poai_import::graph::Layer { kind: Kind::Linear { .. }, .. }]
    ));
}

/// A file fixes a batch of 4, and a Reshape has the 4 as well.
#[test]
fn a_batch_in_a_reshape_stays() {
    let with = |to: &[i64]| {
        Model::new(&[4, 6])
            .integers("shape", to)
            .tensor(floats("w", &[6, 2], &numbers(1, 12)))
            .node("Reshape", &["x", "shape"], "rows", &[])
            .node("MatMul", &["rows", "w"], "y", &[])
            .bytes()
    };
    let shape = |to: &[i64]| ReadOptions::new().read(&with(to)).unwrap().inputs[0].shape.clone();
    assert_eq!(shape(&[4, 6]), ValueShape(vec![4, 6]));
    assert_eq!(shape(&[4, -1]), ValueShape(vec![4, 6]));
    assert_eq!(shape(&[-1, 6]), ValueShape(vec![1, 6]));
    assert_eq!(shape(&[0, -1]), ValueShape(vec![1, 6]));
    // A single sample of 8 numbers would fit, but its rows would be no samples.
    let bytes = Model::new(&[4, 8])
        .integers("shape", &[4, -1])
        .node("Reshape", &["x", "shape"], "rows", &[])
        .node("Tanh", &["rows"], "y", &[])
        .bytes();
    let graph = ReadOptions::new().read(&bytes).unwrap();
    assert_eq!(graph.inputs[0].shape, ValueShape(vec![4, 8]));
}

/// Whatever the bytes are, a cut gives two networks that run, or an error.
#[test]
fn changed_bytes_are_cut_or_refused() {
    let bytes = model();
    let (mut read, mut wrong) = (0, 0);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        match cut(&changed, "pooled") {
            Ok(parts) => {
                let shapes = parts.before.shapes().unwrap();
                assert_eq!(shapes.last(), Some(&parts.after.inputs[0].shape));
                parts.after.shapes().unwrap();
                read += 1;
            }
            Err(_) => wrong += 1,
        }
    }
    assert!(read > 0 && wrong > 0, "{read} {wrong}");
}
