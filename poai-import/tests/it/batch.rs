//! Batches. A network of single samples is read only where the file's nodes
//! keep samples apart.

use ndarray::{Array2, Axis};
use poai_import::float::run;
use poai_import::graph::Graph;
use poai_import::onnx::{Limits, OnnxError, ReadOptions, read};
use poai_testing::onnx::*;
use rten_onnx::onnx::AttributeProto;

fn import(model: &Model) -> Result<Graph, OnnxError> {
    read(&model.bytes(), &Limits::default())
}

/// A batch that the file fixes is cut into samples if no node mixes them.
/// Otherwise all of it is one sample.
#[test]
fn a_fixed_batch_is_cut_only_between_samples() {
    let of = |operator: &str, inputs: &[&str], attributes: &[_]| {
        let model = Model::new(&[4, 6])
            .floats("w", &[6, 4], &[0.5; 24])
            .floats("b", &[4, 6], &[1.0; 24])
            .integers("halves", &[-1, 2, 3])
            .integers("joined", &[-1, 12])
            .integers("one", &[1, -1]);
        import(&model.node(operator, inputs, "y", attributes)).unwrap().sample_entries()
    };
    for (operator, inputs, attributes) in [
        ("Relu", &["x"][..], vec![]),
        ("MatMul", &["x", "w"], vec![]),
        ("Softmax", &["x"], vec![int("axis", -1)]),
        ("ReduceMean", &["x"], vec![ints("axes", &[1])]),
        ("Reshape", &["x", "halves"], vec![]),
        ("Concat", &["x", "x"], vec![int("axis", 1)]),
    ] {
        assert_eq!(of(operator, inputs, &attributes), 6, "{operator}");
    }
    for (operator, inputs, attributes) in [
        ("Softmax", &["x"][..], vec![int("axis", 0)]),
        ("Softmax", &["x"], vec![int("axis", -2)]),
        ("ReduceMean", &["x"], vec![ints("axes", &[0])]),
        ("ReduceMax", &["x"], vec![]),
        ("Transpose", &["x"], vec![]),
        ("MatMul", &["w", "x"], vec![]),
        ("Add", &["x", "b"], vec![]),
        ("Concat", &["x", "x"], vec![int("axis", 0)]),
        ("Reshape", &["x", "joined"], vec![]),
        ("Reshape", &["x", "one"], vec![]),
        ("Flatten", &["x"], vec![int("axis", 0)]),
        ("Gemm", &["x", "x"], vec![int("transA", 1)]),
    ] {
        assert_eq!(of(operator, inputs, &attributes), 24, "{operator} {inputs:?}");
    }
}

/// A model of samples of 6 entries, with constants that its nodes may name.
fn open() -> Model {
    Model::new(&[-1, 6])
        .floats("w", &[6, 4], &numbers(1, 24))
        .floats("row", &[1, 6], &numbers(2, 6))
        .integers("zero", &[0])
        .integers("one", &[1])
        .integers("ones", &[1, 1])
        .integers("end", &[i64::MAX])
        .integers("minus", &[-1])
        .integers("six", &[6])
        .integers("two", &[2])
        .integers("halves", &[2, 3])
        .integers("flat", &[1, -1])
        .integers("column", &[-1, 1])
        .floats("nothing", &[1, 6], &[0.0; 6])
        .node("Shape", &["x"], "sizes", &[])
        .node("Gather", &["sizes", "zero"], "n", &[int("axis", 0)])
}

type Nodes<'a> = &'a [(&'a str, &'a [&'a str], &'a str, Vec<AttributeProto>)];

fn with(nodes: Nodes<'_>) -> Model {
    nodes.iter().fold(open(), |model, (operator, inputs, output, attributes)| {
        model.node(operator, inputs, output, attributes)
    })
}

/// A first dimension of a neutral name is no batch if nodes mix its rows.
#[test]
fn an_open_batch_whose_samples_mix_is_refused_by_name() {
    let axis = |axis| vec![int("axis", axis)];
    let axes = |axis| vec![ints("axes", &[axis])];
    let cases: &[(&str, &str, Nodes<'_>)] = &[
        ("softmax", "Softmax", &[("Softmax", &["x"], "y", axis(0))]),
        ("softmax from the end", "Softmax", &[("Softmax", &["x"], "y", axis(-2))]),
        (
            "mean",
            "ReduceMean",
            &[("ReduceMean", &["x"], "m", axes(0)), ("Sub", &["x", "m"], "y", vec![])],
        ),
        ("largest of all", "ReduceMax", &[("ReduceMax", &["x"], "y", vec![])]),
        (
            "products of samples",
            "MatMul",
            &[("Transpose", &["x"], "t", vec![]), ("MatMul", &["x", "t"], "y", vec![])],
        ),
        ("features of all samples", "Gemm", &[("Gemm", &["x", "x"], "y", vec![int("transA", 1)])]),
        ("transposed", "Transpose", &[("Transpose", &["x"], "y", vec![])]),
        ("one row of all", "Reshape", &[("Reshape", &["x", "flat"], "y", vec![])]),
        (
            "one row of all, then a product",
            "ReduceMean",
            &[
                ("Reshape", &["x", "flat"], "f", vec![]),
                ("ReduceMean", &["f"], "m", axes(1)),
                ("Add", &["x", "m"], "y", vec![]),
            ],
        ),
        ("the first sample", "Slice", &[("Slice", &["x", "zero", "one", "zero"], "y", vec![])]),
        ("from the last", "Slice", &[("Slice", &["x", "minus", "end", "zero"], "y", vec![])]),
        ("the last sample", "Gather", &[("Gather", &["x", "minus"], "y", axis(0))]),
        ("one after another", "Concat", &[("Concat", &["x", "x"], "y", axis(0))]),
        ("all along one axis", "Flatten", &[("Flatten", &["x"], "y", axis(0))]),
        (
            "by their number",
            "Div",
            &[("Cast", &["n"], "f", vec![int("to", 1)]), ("Div", &["x", "f"], "y", vec![])],
        ),
        (
            "by their place",
            "Add",
            &[
                ("Squeeze", &["n", "zero"], "s", vec![]),
                ("Constant", &[], "from", vec![tensor("value", scalar(0))]),
                ("Constant", &[], "step", vec![tensor("value", scalar(1))]),
                ("Range", &["from", "s", "step"], "r", vec![]),
                ("Cast", &["r"], "f", vec![int("to", 1)]),
                ("Reshape", &["f", "column"], "c", vec![]),
                ("Add", &["x", "c"], "y", vec![]),
            ],
        ),
    ];
    for (name, by, nodes) in cases {
        let model = with(nodes);
        let error = import(&model).unwrap_err();
        let OnnxError::Batch { operator, symbols, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!((operator.as_str(), symbols.as_slice()), (*by, &["N".to_owned()][..]), "{name}");
        let text = error.to_string();
        assert!(text.contains("; fix N=1 to read one row as one sample"), "{name}: {text}");
        // What the error says to do works. The last node makes a layer, too,
        // where one row passes unchanged.
        let model = model.node("Relu", &["y"], "z", &[]);
        assert_eq!(import(&model).unwrap_err().to_string(), text, "{name}");
        for size in [1, 3] {
            let read = ReadOptions::new().dimension("N", size).read(&model.bytes());
            let graph = read.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(graph.sample_entries(), 6 * size, "{name}");
        }
    }
}

/// A tensor of one whole number.
fn scalar(number: i64) -> rten_onnx::onnx::TensorProto {
    rten_onnx::onnx::TensorProto { dims: vec![], ..integers("", &[number]) }
}

/// Samples stay apart on other axes too, and beside other entries of an axis.
#[test]
fn an_open_batch_whose_samples_stay_apart_is_read() {
    let axis = |axis| vec![int("axis", axis)];
    let axes = |axis| vec![ints("axes", &[axis])];
    let turn = |order: &[i64]| vec![ints("perm", order)];
    let cases: &[(&str, Nodes<'_>)] = &[
        ("product", &[("MatMul", &["x", "w"], "y", vec![])]),
        ("row", &[("Add", &["row", "x"], "y", vec![])]),
        ("softmax", &[("Softmax", &["x"], "y", axis(-1))]),
        (
            "turned twice",
            &[
                ("Transpose", &["x"], "t", vec![]),
                ("Softmax", &["t"], "s", axis(0)),
                ("Transpose", &["s"], "y", vec![]),
            ],
        ),
        (
            "beside halves of samples",
            &[
                ("Constant", &[], "rows", vec![tensor("value", integers("", &[-1, 3]))]),
                ("Reshape", &["x", "rows"], "r", vec![]),
                ("Softmax", &["r"], "s", axis(-1)),
                ("Concat", &["n", "six"], "to", axis(0)),
                ("Reshape", &["s", "to"], "y", vec![]),
            ],
        ),
        (
            "heads outside",
            &[
                ("Concat", &["n", "halves"], "to", axis(0)),
                ("Reshape", &["x", "to"], "r", vec![]),
                ("Transpose", &["r"], "t", turn(&[1, 0, 2])),
                ("Constant", &[], "rows", vec![tensor("value", integers("", &[-1, 3]))]),
                ("Reshape", &["t", "rows"], "j", vec![]),
                ("Softmax", &["j"], "s", axis(1)),
                ("Concat", &["two", "n"], "from", axis(0)),
                ("Constant", &[], "three", vec![tensor("value", integers("", &[3]))]),
                ("Concat", &["from", "three"], "back", axis(0)),
                ("Reshape", &["s", "back"], "b", vec![]),
                ("Transpose", &["b"], "u", turn(&[1, 0, 2])),
                ("Concat", &["n", "six"], "own", axis(0)),
                ("Reshape", &["u", "own"], "y", vec![]),
            ],
        ),
        (
            "zeros for every sample",
            &[
                ("Concat", &["n", "six"], "to", axis(0)),
                ("ConstantOfShape", &["to"], "z", vec![]),
                ("Concat", &["x", "z"], "y", axis(1)),
            ],
        ),
        (
            "a row for every sample",
            &[
                ("Concat", &["n", "one"], "to", axis(0)),
                ("Expand", &["row", "to"], "e", vec![]),
                ("Mul", &["x", "e"], "y", vec![]),
            ],
        ),
        (
            "all samples, some entries",
            &[
                ("Slice", &["x", "zero", "end", "zero"], "all", vec![]),
                ("Slice", &["all", "two", "end", "one"], "y", vec![]),
            ],
        ),
        (
            "another axis of size 1",
            &[
                ("Unsqueeze", &["x", "one"], "u", vec![]),
                ("Softmax", &["u"], "s", axis(1)),
                ("ReduceMean", &["s"], "y", vec![ints("axes", &[1]), int("keepdims", 0)]),
            ],
        ),
        (
            "an unread node that mixes",
            &[("ReduceMean", &["x"], "m", axes(0)), ("Relu", &["x"], "y", vec![])],
        ),
    ];
    let x = Array2::from_shape_vec((3, 6), numbers(9, 18)).unwrap();
    for (name, nodes) in cases {
        let model = with(nodes);
        let graph = import(&model).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(graph.sample_entries(), 6, "{name}");
        let fixed = ReadOptions::new().dimension("N", 1).read(&model.bytes()).unwrap();
        assert_eq!(graph, fixed, "{name}");
        // Every sample for itself gives what all give together.
        let together = run(&graph, x.view()).unwrap();
        for (at, row) in x.axis_iter(Axis(0)).enumerate() {
            let alone = run(&graph, row.insert_axis(Axis(0))).unwrap();
            assert_eq!(alone.last().unwrap().row(0), together.last().unwrap().row(at), "{name}");
        }
    }
}

/// Both sizes of a square matrix are no batch.
#[test]
fn a_dimension_that_an_input_has_twice_is_no_batch() {
    let model = Model::new(&[-1, -1]).node("Relu", &["x"], "y", &[]);
    let error = import(&model).unwrap_err();
    assert!(matches!(&error, OnnxError::Symbolic { symbols, .. } if symbols == &["N"]), "{error}");
    let graph = ReadOptions::new().dimension("N", 2).read(&model.bytes()).unwrap();
    assert_eq!(graph.sample_entries(), 2);
}

/// The batch of a recurrent network is its second axis, also if the file fixes
/// it.
#[test]
fn a_recurrent_network_keeps_samples_apart() {
    let model = |batch: i64| {
        let zeros = [0.0; 4];
        Model::new(&[batch, 5, 3])
            .floats("w", &[1, 4, 3], &numbers(1, 12))
            .floats("r", &[1, 4, 4], &numbers(2, 16))
            .integers("zero", &[0])
            .integers("one", &[1])
            .integers("hidden", &[4])
            .floats("start", &[4], &zeros)
            .node("Shape", &["x"], "sizes", &[])
            .node("Gather", &["sizes", "zero"], "n", &[])
            .node("Concat", &["one", "n", "hidden"], "to", &[int("axis", 0)])
            .node("Expand", &["start", "to"], "s", &[])
            .node("Transpose", &["x"], "t", &[ints("perm", &[1, 0, 2])])
            .node("RNN", &["t", "w", "r", "", "", "s"], "states", &[int("hidden_size", 4)])
            .node("Squeeze", &["states", "one"], "q", &[])
            .node("Transpose", &["q"], "y", &[ints("perm", &[1, 0, 2])])
    };
    for batch in [-1, 4] {
        assert_eq!(import(&model(batch)).unwrap().sample_entries(), 15, "{batch}");
    }
}

/// A deviation of one row is no number, and the error says why there is one row.
#[test]
fn numbers_that_one_row_does_not_have_are_the_batch_too() {
    let model = with(&[
        ("ReduceMean", &["x"], "m", vec![ints("axes", &[0])]),
        ("Sub", &["x", "m"], "d", vec![]),
        ("Sub", &["n", "one"], "f", vec![]),
        ("Cast", &["f"], "c", vec![int("to", 1)]),
        ("Div", &["d", "c"], "y", vec![]),
    ]);
    let error = import(&model).unwrap_err();
    assert!(
        matches!(&error, OnnxError::Batch { operator, .. } if operator == "ReduceMean"),
        "{error}"
    );
    let graph = ReadOptions::new().dimension("N", 3).read(&model.bytes()).unwrap();
    assert_eq!(graph.sample_entries(), 18);
}
