//! What the reader of ONNX files refuses, and the reason that it names.
use poai_import::graph::{Graph, GraphError};
use poai_import::onnx::{Limits, OnnxError, OnnxTensorError, read};
use poai_testing::onnx::*;
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};

fn import(model: &Model) -> Result<Graph, OnnxError> {
    read(&model.bytes(), &Limits::default())
}

#[test]
fn unsupported_nodes_are_named() {
    let vector = || Model::new(&[-1, 4]).floats("w", &[4, 4], &[1.0; 16]);
    let picture = || Model::new(&[-1, 2, 4, 4]).floats("w", &[2, 2, 1, 1], &[1.0; 4]);
    let pooled =
        |extra| picture().node("MaxPool", &["x"], "y", &[extra, ints("kernel_shape", &[2, 2])]);
    let normalised = |extra: &[_]| {
        let inputs = ["x", "s", "s", "s", "s"];
        picture().floats("s", &[3], &[1.0; 3]).node("BatchNormalization", &inputs, "y", extra)
    };
    let unsupported = |operator: &str| match operator.split_once(':') {
        Some((operator, why)) => format!("node y: operator {operator} is not supported:{why}"),
        None => format!("node y: operator {operator} is not supported"),
    };
    let attribute = |of: &str| format!("node y: attribute {of} or its value is not supported");
    let cases = [
        (vector().node("Scan", &["x"], "y", &[]), attribute("body of Scan")),
        (vector().node("Unique", &["x"], "y", &[]), unsupported("Unique")),
        (
            vector().node("Relu", &["x"], "r", &[]).node("Hardmax", &["r"], "y", &[]),
            unsupported("Hardmax") + "; cut the network before it, at r",
        ),
        (vector().node("NonZero", &["x"], "y", &[]), unsupported("NonZero: its shape or place")),
        (vector().node("GatherND", &["w", "x"], "y", &[]), unsupported("GatherND: it moves")),
        (vector().node("Relu", &["x"], "y", &[int("novel", 1)]), attribute("novel of Relu")),
        (vector().node("Relu", &["z"], "y", &[]), "node y: expected value z of an earlier".into()),
        (vector().node("Relu", &["x"], "x", &[]), "node x: value x already exists".into()),
        (
            vector().node("Relu", &["w"], "y", &[]),
            "output y: expected a value that a node makes of the input, got a constant".into(),
        ),
        (
            vector().node("MatMul", &["x", "x"], "y", &[]),
            "y: expected a value of shape 4×4, got 1×4".into(),
        ),
        (vector().node("Pow", &["x", "x"], "y", &[]), unsupported("Pow: both inputs are values")),
        (vector().node("Conv", &["x", "w"], "y", &[]), unsupported("Conv: expected images")),
        (picture().node("MatMul", &["x", "w"], "y", &[]), "y: expected a value of shape".into()),
        (
            picture().node("Conv", &["x", "w"], "y", &[int("group", 2)]),
            unsupported("Conv: its weights do not fit 2 channels"),
        ),
        (picture().node("Conv", &["x", "w"], "y", &[int("group", 0)]), attribute("group of Conv")),
        (
            picture().node("Conv", &["x", "w"], "y", &[ints("dilations", &[0, 2])]),
            attribute("dilations of Conv"),
        ),
        (
            picture().node("Conv", &["x", "w"], "y", &[text("auto_pad", "SAME")]),
            attribute("auto_pad of Conv"),
        ),
        (pooled(ints("dilations", &[0, 2])), attribute("dilations of MaxPool")),
        (pooled(ints("strides", &[0, 1])), attribute("strides of MaxPool")),
        (
            pooled(ints("pads", &[0, 0, 2, 0])),
            "y: expected a window within the image and its pads".into(),
        ),
        (
            picture().integers("to", &[0, 3]).node("Reshape", &["x", "to"], "y", &[]),
            unsupported("Reshape: expected a shape of as many entries as 1×2×4×4, got 1×3"),
        ),
        (normalised(&[]), unsupported("BatchNormalization: expected 2 numbers as input 1")),
        (normalised(&[int("training_mode", 1)]), attribute("training_mode of BatchNormalization")),
        (
            vector().node("Resize", &["x"], "y", &[int("antialias", 1)]),
            attribute("antialias of Resize"),
        ),
    ];
    for (model, expected) in cases {
        let error = import(&model).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{error}\nexpected {expected}");
    }
}

#[test]
fn broken_tensors_and_shapes_are_named() {
    let product = |stored: TensorProto| {
        import(&Model::new(&[-1, 4]).tensor(stored).node("MatMul", &["x", "w"], "y", &[]))
    };
    let fails = |stored: TensorProto| match product(stored).unwrap_err() {
        OnnxError::Tensor { tensor, source } if tensor == "w" => source,
        other => panic!("{other}"),
    };
    assert!(product(floats("w", &[4, 2], &[1.0; 8])).is_ok());
    let error = product(floats("w", &[3, 2], &[1.0; 6])).unwrap_err();
    let wrong = |error: &OnnxError| {
        matches!(error, OnnxError::Graph(GraphError::Size { expected: 4, got: 3, .. }))
    };
    assert!(wrong(&error), "{error}");
    let got = fails(floats("w", &[4, 3], &[1.0; 8]));
    assert_eq!(got, OnnxTensorError::Length { dims: vec![4, 3], bytes: 32 });
    for dims in [[i64::MAX, i64::MAX], [1 << 32, 1 << 32], [1 << 40, 1 << 24]] {
        let error = product(floats("w", &dims, &[1.0; 8])).unwrap_err();
        assert!(matches!(error, OnnxError::TooMany { .. }), "{error}");
    }
    assert!(matches!(fails(floats("w", &[-4, -2], &[])), OnnxTensorError::Dimensions { .. }));
    // Without entries, and with dimensions that no value has.
    for dims in [[0, i64::MAX], [i64::MAX, 0], [4, 0]] {
        let error = product(floats("w", &dims, &[])).unwrap_err();
        assert!(matches!(error, OnnxError::Graph(_)), "{error}");
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let entries = [1.0, 1.0, 1.0, 1.0, 1.0, bad, 1.0, bad];
        for stored in [floats("w", &[4, 2], &entries), float_data("w", &[4, 2], &entries)] {
            // Weights are outputs × inputs: the file's entry 5 is 1·4 + 2.
            let error = product(stored).unwrap_err();
            let OnnxError::Tensor { tensor, source } = error else { panic!("{error}") };
            assert_eq!((tensor.as_str(), source), ("y", OnnxTensorError::NotFinite { index: 6 }));
        }
    }
    let mut outside = floats("w", &[4, 2], &[]);
    outside.data_location = Some(DataLocation::EXTERNAL);
    assert_eq!(fails(outside), OnnxTensorError::NoFolder(String::new()));
    let mut texts = floats("w", &[4, 2], &[1.0; 8]);
    texts.data_type = Some(DataType::STRING);
    assert!(matches!(fails(texts), OnnxTensorError::Type(_)));
    // Whole numbers are weights like any others.
    let mut whole = integers("w", &[1, 2, 3, 4]);
    whole.dims = vec![4, 1];
    assert!(product(whole).is_ok());
    let both = TensorProto {
        raw_data: floats("", &[], &[1.0]).raw_data,
        ..float_data("w", &[1, 1], &[1.0])
    };
    assert!(matches!(fails(both), OnnxTensorError::Length { .. }));
}

/// Numbers that no operator has are errors that name them.
#[test]
fn wrong_numbers_of_operators_are_named() {
    let vector = || Model::new(&[-1, 4]).integers("none", &[0]).integers("five", &[5]);
    let picture = || Model::new(&[-1, 2, 4, 4]);
    let whole = |numbers: &[i64]| TensorProto { dims: vec![], ..integers("", numbers) };
    let one =
        |name: &str, number: i64| TensorProto { name: Some(name.to_owned()), ..whole(&[number]) };
    let range = |step| {
        let ends = vector().tensor(one("a", 0)).tensor(one("b", 4)).tensor(one("c", step));
        ends.node("Range", &["a", "b", "c"], "r", &[]).node("Cast", &["r"], "f", &[int("to", 1)])
    };
    let cases = [
        (vector().node("TopK", &["x", "none"], "y", &[]), "TopK is not supported: 0 of 4 entries"),
        (vector().node("TopK", &["x", "five"], "y", &[]), "TopK is not supported: 5 of 4 entries"),
        (vector().node("ArgMax", &["x"], "y", &[int("axis", 2)]), "axis 2 is out of range"),
        (
            vector().node("Split", &["x"], "y", &[int("num_outputs", 1 << 40), int("axis", 1)]),
            "it names 1 outputs, and another number",
        ),
        (range(0).node("Add", &["x", "f"], "y", &[]), "Range is not supported: its step is 0"),
        (
            picture().node("MaxPool", &["x"], "y", &[ints("kernel_shape", &[0, 2])]),
            "attribute kernel_shape of MaxPool",
        ),
        (
            picture().node("LpPool", &["x"], "y", &[ints("kernel_shape", &[2, 2]), int("p", 0)]),
            "attribute p of LpPool",
        ),
        (
            vector().node("ArgMax", &["x"], "c", &[int("axis", 1)]).node("Neg", &["c"], "y", &[]),
            "Neg is not supported: it computes with the result of ArgMax",
        ),
        (
            vector().node("ArgMax", &["x"], "c", &[int("axis", 1)]).node(
                "Add",
                &["c", "five"],
                "y",
                &[],
            ),
            "Add is not supported: it computes with the result of ArgMax",
        ),
    ];
    for (model, expected) in cases {
        let error = import(&model).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
    assert!(import(&range(1).node("Add", &["x", "f"], "y", &[])).is_ok());
}
