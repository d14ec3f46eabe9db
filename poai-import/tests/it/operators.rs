//! What single operators of ONNX files compute, where no other file says it.

use ndarray::{Array2, array};
use poai_import::float::run;
use poai_import::graph::{Graph, GraphError, Kind};
use poai_import::onnx::{Limits, OnnxError, read};
use poai_testing::onnx::*;
use rten_onnx::onnx::{DataType, TensorProto};

fn import(model: &Model) -> Result<Graph, OnnxError> {
    read(&model.bytes(), &Limits::default())
}

/// The output for one sample.
fn output(model: &Model, sample: &[f32]) -> Vec<f32> {
    let samples = Array2::from_shape_vec((1, sample.len()), sample.to_vec()).unwrap();
    run(&import(model).unwrap(), samples.view()).unwrap().pop().unwrap().into_raw_vec_and_offset().0
}

/// Samples have whole numbers of the input's type.
#[test]
fn inputs_of_whole_numbers_take_those_of_their_type() {
    for (kind, inside, outside) in [
        (DataType::UINT8, [0.0, 255.0], [256.0, -1.0, 0.5, f32::NAN]),
        (DataType::INT8, [-128.0, 127.0], [128.0, -129.0, 0.5, f32::INFINITY]),
        (DataType::BOOL, [0.0, 1.0], [2.0, -1.0, 0.5, f32::NAN]),
        (DataType::INT64, [-1e9, 1e9], [0.5, -0.25, f32::NAN, f32::INFINITY]),
    ] {
        let model = Model::of(&[-1, 1], kind).node("Cast", &["x"], "f", &[int("to", 1)]);
        let graph = import(&model.node("Neg", &["f"], "y", &[])).unwrap();
        for x in inside {
            assert_eq!(*run(&graph, array![[x]].view()).unwrap().last().unwrap(), array![[-x]]);
        }
        for x in outside {
            let error = run(&graph, array![[x]].view()).unwrap_err();
            assert!(matches!(error, GraphError::Whole { .. }), "{x}: {error}");
        }
    }
}

/// A value of narrow integers could wrap around.
#[test]
fn arithmetic_that_may_wrap_around_is_refused() {
    let of = |kind, operator: &str| {
        let c = TensorProto { data_type: Some(kind), int32_data: vec![3], ..integers("c", &[]) };
        let c = TensorProto { dims: vec![1], int64_data: vec![], ..c };
        import(&Model::of(&[-1, 4], kind).tensor(c).node(operator, &["x", "c"], "y", &[]))
    };
    for (kind, operator) in [
        (DataType::UINT8, "Add"),
        (DataType::INT8, "Mul"),
        (DataType::INT16, "Sub"),
        (DataType::UINT32, "Sub"),
    ] {
        let error = of(kind, operator).unwrap_err().to_string();
        assert!(error.contains("wrap around"), "{error}");
    }
    for (kind, operator) in [(DataType::UINT8, "Max"), (DataType::INT32, "Add")] {
        assert!(of(kind, operator).is_ok(), "{operator}");
    }
    let narrowed = Model::new(&[-1, 4]).node("Cast", &["x"], "y", &[int("to", 3)]);
    assert!(import(&narrowed).unwrap_err().to_string().contains("wrap around"));
}

/// All steps of a recurrent network have one copy of its weights.
#[test]
fn steps_of_time_share_their_weights() {
    let (gates, inputs, hidden) = (3 * 4, 2, 4);
    let model = Model::new(&[6, 1, 2])
        .floats("w", &[1, gates, inputs], &numbers(1, 24))
        .floats("r", &[1, gates, hidden], &numbers(2, 48))
        .node("GRU", &["x", "w", "r"], "y", &[int("hidden_size", 4)]);
    let graph = import(&model).unwrap();
    let places: Vec<*const f32> = graph
        .layers
        .iter()
        .filter_map(|layer| match &layer.kind {
            Kind::Linear { weights, .. } => Some(weights.as_ptr()),
            _ => None,
        })
        .collect();
    // The input's product, and two of the state for each step.
    assert_eq!(places.len(), 1 + 2 * 6);
    let different: std::collections::HashSet<_> = places.into_iter().collect();
    assert_eq!(different.len(), 3);
}

/// A softmax whose mask hides a row wholly has no numbers there. A file has to
/// replace them.
#[test]
fn rows_without_any_number_are_refused_unless_they_are_replaced() {
    let low = f32::NEG_INFINITY;
    let model = |mask: [f32; 4]| {
        let model = Model::new(&[1, 2, 2]).floats("mask", &[2, 2], &mask);
        let model = model.node("Add", &["x", "mask"], "a", &[]);
        model.node("Softmax", &["a"], "s", &[int("axis", -1)]).floats("zero", &[], &[0.0])
    };
    let bare = model([0.0, low, low, low]);
    let error = import(&bare).unwrap_err().to_string();
    assert!(error.contains("hides all of a row"), "{error}");
    let replaced = model([0.0, low, low, low]);
    let replaced = replaced.node("IsNaN", &["s"], "n", &[]);
    let replaced = replaced.node("Where", &["n", "zero", "s"], "y", &[]);
    let close = |got: Vec<f32>, expected: [f32; 4]| {
        let near = got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6);
        assert!(near, "{got:?}");
    };
    close(output(&replaced, &[1.0, 2.0, 3.0, 4.0]), [1.0, 0.0, 0.0, 0.0]);
    // One entry that is seen is enough.
    let seen = output(&model([0.0, low, low, 0.0]), &[1.0, 2.0, 3.0, 4.0]);
    close(seen, [1.0, 0.0, 0.0, 1.0]);
    // Numbers that are only low leave equal shares, which f32 gives, too.
    let equal = output(&model([-1e30, -1e30, 0.0, -1e30]), &[1.0, 2.0, 3.0, 4.0]);
    close(equal, [0.5, 0.5, 1.0, 0.0]);
    // A mask that f32 does not forget the entries beside keeps their order.
    let kept = output(&model([-5000.0, -5000.0, 0.0, -5000.0]), &[1.0, 2.0, 3.0, 4.0]);
    assert!((kept[0] - 1.0 / (1.0 + 1f32.exp())).abs() < 1e-6, "{kept:?}");
}
