//! What a file means beyond its operators: integers that saturate, divisions
//! that round, masks, and sequences that are no batch.
use ndarray::Array2;
use poai_import::float::run;
use poai_import::graph::Graph;
use poai_import::onnx::{Limits, OnnxError, read};
use poai_testing::onnx::*;
use rten_onnx::onnx::{DataType, Dimension, ModelProto, TensorProto};
use std::cell::RefCell;

fn import(model: &Model) -> Result<Graph, OnnxError> {
    read(&model.bytes(), &Limits::default())
}

/// The output of one sample.
fn output(graph: &Graph, sample: &[f32]) -> Vec<f32> {
    let sample = Array2::from_shape_vec((1, sample.len()), sample.to_vec()).unwrap();
    run(graph, sample.view()).unwrap().pop().unwrap().into_raw_vec_and_offset().0
}

/// A tensor of one byte.
fn byte(name: &str, kind: DataType, value: u8) -> TensorProto {
    TensorProto {
        data_type: Some(kind),
        raw_data: Some(RefCell::new(vec![value])),
        name: Some(name.to_owned()),
        ..TensorProto::default()
    }
}

/// Quantisers leave out a Relu6 whose bounds are the ends of the bytes.
#[test]
fn quantised_values_saturate_at_both_ends() {
    for (kind, zero, low, high) in [
        (DataType::UINT8, 0, 0.0, 6.0),
        (DataType::UINT8, 55, -55.0 * 6.0 / 255.0, 200.0 * 6.0 / 255.0),
        (DataType::INT8, 0, -128.0 * 6.0 / 255.0, 127.0 * 6.0 / 255.0),
        (DataType::INT8, 128, 0.0, 6.0),
    ] {
        let model = Model::new(&[-1, 4])
            .floats("scale", &[], &[6.0 / 255.0])
            .tensor(byte("zero", kind, zero))
            .node("QuantizeLinear", &["x", "scale", "zero"], "q", &[])
            .node("DequantizeLinear", &["q", "scale", "zero"], "y", &[]);
        let got = output(&import(&model).unwrap(), &[-9.0, -0.5, 2.0, 9.0]);
        let expected = [-9.0f32, -0.5, 2.0, 9.0].map(|x| x.clamp(low, high));
        let near = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-5);
        assert!(near, "{kind:?} {zero}: {got:?} and {expected:?}");
    }
    // Blocks of scales along an axis are not read as something else.
    let model = Model::new(&[-1, 4])
        .floats("scale", &[], &[0.1])
        .tensor(byte("zero", DataType::INT8, 0))
        .node("QuantizeLinear", &["x", "scale", "zero"], "q", &[int("block_size", 2)]);
    let error = import(&model).unwrap_err();
    assert!(matches!(&error, OnnxError::Attribute { attribute, .. } if attribute == "block_size"));
}

#[test]
fn divisions_of_whole_numbers_are_refused_and_those_of_floats_are_not() {
    let whole = |divisor: &'static str| {
        Model::new(&[-1, 4])
            .integers("seven", &[7])
            .floats("half", &[1], &[0.5])
            .node("Cast", &["x"], "n", &[int("to", 7)])
            .node("Div", &["n", divisor], "y", &[])
    };
    let error = import(&whole("seven")).unwrap_err();
    assert!(error.to_string().contains("a division of whole numbers"), "{error}");
    let model = Model::new(&[-1, 4])
        .floats("half", &[1], &[0.5])
        .node("Cast", &["x"], "n", &[int("to", 7)])
        .node("Cast", &["n"], "f", &[int("to", 1)])
        .node("Div", &["f", "half"], "y", &[]);
    let got = output(&import(&model).unwrap(), &[1.6, -1.6, 3.0, 0.2]);
    assert_eq!(got, [2.0, -2.0, 6.0, 0.0]);
}

#[test]
fn masks_hide_what_they_are_infinite_at() {
    let model = Model::new(&[-1, 4])
        .floats("mask", &[1, 4], &[0.0, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY])
        .node("Add", &["x", "mask"], "s", &[])
        .node("Softmax", &["s"], "y", &[]);
    let got = output(&import(&model).unwrap(), &[1.0, 5.0, 1.0, 5.0]);
    let near = got.iter().zip([0.5, 0.0, 0.5, 0.0]).all(|(got, own)| (got - own).abs() < 1e-6);
    assert!(near, "{got:?}");
}

/// A first dimension that is called as a sequence has to be fixed.
#[test]
fn sequences_are_no_batch() {
    for (name, batch) in
        [("batch", true), ("N", true), ("rows", true), ("seq_len", false), ("T", false)]
    {
        let model = Model::new(&[-1, 4]).node("Relu", &["x"], "y", &[]);
        let mut model = ModelProto::parse_buf(&model.bytes()).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let kind = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        let named = Dimension { dim_value: None, dim_param: Some(name.to_owned()) };
        kind.shape.as_mut().unwrap().dim[0] = named;
        match read(&model.write_buf().unwrap(), &Limits::default()) {
            Ok(graph) => assert!(batch && graph.sample_entries() == 4, "{name}"),
            Err(error) => {
                assert!(!batch && matches!(error, OnnxError::Symbolic { .. }), "{name}: {error}");
            }
        }
    }
}
