//! ONNX files. A network that is read computes what ONNX specifies. A file that
//! cannot be read is an error that names the cause.
use ndarray::{ArcArray2, Array2};
use poai_import::float::run;
use poai_import::graph::{Expression, Graph, GraphError, ImageWindow, Kind, Layer, ValueShape};
use poai_import::graph::{GraphConstant, Input};
use poai_import::onnx::{Limits, OnnxError, ReadOptions, read};
use poai_testing::channels_first::*;
use poai_testing::onnx::*;
use rten_onnx::onnx::{DataType, TensorProto};

fn import(model: &Model) -> Result<Graph, OnnxError> {
    read(&model.bytes(), &Limits::default())
}

#[test]
fn perceptron_with_every_way_to_write_a_product() {
    let (w1, b1, w2, b2) = (numbers(1, 5 * 7), numbers(2, 5), numbers(3, 5 * 4), numbers(4, 4));
    let w3 = numbers(5, 4 * 3);
    let model = Model::new(&[-1, 7])
        .floats("w1", &[5, 7], &w1)
        .node("Gemm", &["x", "w1", "b1"], "g", &[int("transB", 1), float("alpha", 0.5)])
        .tensor(float_data("b1", &[5], &b1))
        .node("Relu", &["g"], "r", &[])
        .node("Dropout", &["r"], "d", &[])
        .floats("w2", &[5, 4], &w2)
        .floats("b2", &[1, 4], &b2)
        .node("MatMul", &["d", "w2"], "m", &[])
        .node("Add", &["b2", "m"], "a", &[])
        .node("Constant", &[], "w3", &[tensor("value", floats("", &[4, 3], &w3))])
        .node("Identity", &["a"], "i", &[])
        .node("Gemm", &["i", "w3"], "y", &[]);
    let graph = import(&model).unwrap();
    assert_eq!(graph.layers.len(), 4);
    assert!(matches!(&graph.layers[2].kind, Kind::Linear { bias, .. } if *bias == b2));

    let turn = |w: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        (0..rows * columns).map(|i| w[i % rows * columns + i / rows]).collect()
    };
    let x = Array2::from_shape_vec((3, 7), numbers(6, 21)).unwrap();
    let half: Vec<f32> = w1.iter().map(|w| w * 0.5).collect();
    let hidden = relu(dense(&x, &half, &b1));
    let expected = dense(&dense(&hidden, &turn(&w2, 5, 4), &b2), &turn(&w3, 4, 3), &[0.0; 3]);
    let values = run(&graph, x.view()).unwrap();
    assert_eq!(values.len(), 5);
    assert_close(&values[4], &expected);
}

#[test]
fn convolutional_network_with_normalisation_pooling_and_flattening() {
    let (w, b) = (numbers(1, 4 * 3 * 3 * 2), numbers(2, 4));
    let [scale, shift, mean] = [3, 4, 5].map(|seed| numbers(seed, 4));
    let variance: Vec<f32> = numbers(6, 4).iter().map(|v| v.abs() + 0.1).collect();
    // 6×5 pixels; the convolution gives 4×3 pixels and the pooling 2×2.
    let dense_w = numbers(7, 6 * 4 * 2 * 2);
    let dense_b = numbers(8, 6);
    let conv_window = ImageWindow { stride: [2, 2], pads: [2, 1, 1, 0], ..ImageWindow::of([3, 2]) };
    let pool_window = ImageWindow { stride: [2, 1], pads: [1, 0, 1, 0], ..ImageWindow::of([3, 2]) };
    for (average, padded) in [(false, false), (true, false), (true, true)] {
        let mut pooling = vec![
            ints("kernel_shape", &[3, 2]),
            ints("strides", &[2, 1]),
            ints("pads", &[1, 0, 1, 0]),
        ];
        if average {
            pooling.push(int("count_include_pad", padded.into()));
        }
        let model = Model::new(&[-1, 3, 6, 5])
            .floats("w", &[4, 3, 3, 2], &w)
            .floats("b", &[4], &b)
            .floats("scale", &[4], &scale)
            .floats("shift", &[4], &shift)
            .floats("mean", &[4], &mean)
            .floats("variance", &[4], &variance)
            .floats("dw", &[6, 16], &dense_w)
            .floats("db", &[6], &dense_b)
            .integers("to", &[0, -1])
            .node(
                "Conv",
                &["x", "w", "b"],
                "c",
                &[ints("strides", &[2, 2]), ints("pads", &[2, 1, 1, 0])],
            )
            .node(
                "BatchNormalization",
                &["c", "scale", "shift", "mean", "variance"],
                "n",
                &[float("epsilon", 1e-3)],
            )
            .node("Relu", &["n"], "r", &[])
            .node(if average { "AveragePool" } else { "MaxPool" }, &["r"], "p", &pooling)
            .node("Reshape", &["p", "to"], "f", &[])
            .node("Relu", &["f"], "f2", &[])
            .node("Gemm", &["f2", "dw", "db"], "y", &[int("transB", 1)]);
        let graph = import(&model).unwrap();
        let shapes = graph.shapes().unwrap();
        assert_eq!(shapes[1], ValueShape::from([1, 4, 4, 3]));
        // Pads that count are zeros of their own.
        let pooled = graph.layers.iter().position(|layer| {
            matches!(layer.kind, Kind::MaxPool { .. } | Kind::AveragePool { .. })
        });
        let pooled = 1 + pooled.unwrap();
        assert_eq!(shapes[pooled], ValueShape::from([1, 4, 2, 2]));

        let x = image(2, 3, 6, 5);
        let mut c = conv(&x, &w, &b, 4, &conv_window);
        for ((_, channel, _, _), value) in c.indexed_iter_mut() {
            *value = (*value - mean[channel]) / (variance[channel] + 1e-3).sqrt() * scale[channel]
                + shift[channel];
        }
        let p = pool(&relu(c), &pool_window, |entries| match (average, padded) {
            (false, _) => entries.iter().fold(f32::MIN, |a, &b| a.max(b)),
            (true, false) => entries.iter().sum::<f32>() / entries.len() as f32,
            (true, true) => entries.iter().sum::<f32>() / 6.0,
        });
        let flat = p.clone().into_shape_with_order((2, 16)).unwrap();
        let values = run(&graph, rows(&x).view()).unwrap();
        assert_close(&values[pooled], &rows(&p));
        assert_close(values.last().unwrap(), &dense(&relu(flat), &dense_w, &dense_b));
    }
}

#[test]
fn residual_with_automatic_pads_and_global_average() {
    let (w1, w2) = (numbers(1, 2 * 2 * 3 * 3), numbers(2, 2 * 2 * 2 * 2));
    let bias = numbers(3, 2);
    let model = Model::new(&[1, 2, 5, 4])
        .floats("w1", &[2, 2, 3, 3], &w1)
        .floats("w2", &[2, 2, 2, 2], &w2)
        .floats("bias", &[2, 1, 1], &bias)
        .node("Conv", &["x", "w1"], "a", &[text("auto_pad", "SAME_UPPER")])
        .node("Add", &["a", "bias"], "a2", &[])
        .node("Conv", &["a2", "w2"], "b", &[text("auto_pad", "SAME_UPPER")])
        .node("Relu", &["x"], "dead", &[])
        .node("Add", &["b", "x"], "s", &[])
        .node("Relu", &["s"], "r", &[])
        .node("GlobalAveragePool", &["r"], "g", &[])
        .node("Flatten", &["g"], "y", &[]);
    let graph = import(&model).unwrap();
    // No layer reads the first Relu, so it is removed and later layers are
    // renumbered.
    assert_eq!(graph.layers.len(), 6);
    assert_eq!(graph.layers[2].inputs, [2, 0]);

    let x = image(3, 2, 5, 4);
    let window = |side, pads| ImageWindow { pads, ..ImageWindow::of([side, side]) };
    let a = conv(&x, &w1, &bias, 2, &window(3, [1, 1, 1, 1]));
    let b = conv(&a, &w2, &[0.0; 2], 2, &window(2, [0, 0, 1, 1]));
    let r = relu(b + &x);
    let expected =
        Array2::from_shape_fn((3, 2), |(n, c)| r.slice(ndarray::s![n, c, .., ..]).mean().unwrap());
    let values = run(&graph, rows(&x).view()).unwrap();
    assert_close(values.last().unwrap(), &expected);
}

#[test]
fn groups_dilations_and_lower_pads() {
    let (w, b) = (numbers(1, 6 * 2 * 2 * 3), numbers(2, 6));
    let attributes = [
        int("group", 2),
        ints("dilations", &[2, 1]),
        ints("strides", &[1, 2]),
        text("auto_pad", "SAME_LOWER"),
    ];
    let model = Model::new(&[-1, 4, 5, 6])
        .floats("w", &[6, 2, 2, 3], &w)
        .floats("b", &[6], &b)
        .node("Conv", &["x", "w", "b"], "y", &attributes);
    // Height: 5 windows that cover 3; width: 3 windows of 3 by steps of 2.
    let window =
        ImageWindow { kernel: [2, 3], stride: [1, 2], pads: [1, 1, 1, 0], dilation: [2, 1] };
    let x = image(2, 4, 5, 6);
    let values = run(&import(&model).unwrap(), rows(&x).view()).unwrap();
    assert_close(values.last().unwrap(), &rows(&conv(&x, &w, &b, 6, &window)));
}

/// The constants of each operator apply to the axes that ONNX names.
#[test]
fn operators_of_any_rank_broadcast_as_onnx_says() {
    let (plus, slope) = (numbers(3, 4 * 5), numbers(4, 4));
    let model = Model::new(&[-1, 3, 4, 5])
        .floats("plus", &[4, 5], &plus)
        .floats("slope", &[4, 1], &slope)
        .node("Add", &["plus", "x"], "a", &[])
        .node("PRelu", &["a", "slope"], "p", &[])
        .node("Softmax", &["p"], "s", &[int("axis", 2)])
        .node("Transpose", &["s"], "y", &[ints("perm", &[0, 3, 1, 2])]);
    let x = image(2, 3, 4, 5);
    let mut p = x.clone();
    for ((_, _, row, column), entry) in p.indexed_iter_mut() {
        *entry += plus[row * 5 + column];
        *entry *= if *entry < 0.0 { slope[row] } else { 1.0 };
    }
    let expected = ndarray::Array4::from_shape_fn((2, 5, 3, 4), |(n, column, channel, row)| {
        let e = |row| f32::exp(p[[n, channel, row, column]]);
        e(row) / (0..4).map(e).sum::<f32>()
    });
    let values = run(&import(&model).unwrap(), rows(&x).view()).unwrap();
    assert_close(values.last().unwrap(), &rows(&expected));
}

/// A quantised type without negative numbers cuts them off, as a Relu does.
#[test]
fn quantised_types_without_negative_numbers_cut_them_off() {
    for (kind, zero, cut) in [
        (DataType::UINT8, Some(0), true),
        (DataType::INT8, Some(-128), true),
        (DataType::UINT8, None, true),
        (DataType::INT8, Some(0), false),
        (DataType::UINT8, Some(128), false),
    ] {
        let mut model = Model::new(&[-1, 4]).floats("s", &[], &[0.01]);
        let mut inputs = vec!["n", "s"];
        if let Some(zero) = zero {
            let empty = float_data("z", &[], &[]);
            let data_type = Some(kind);
            model = model.tensor(TensorProto { data_type, int32_data: vec![zero], ..empty });
            inputs.push("z");
        }
        let model = model.node("Neg", &["x"], "n", &[]).node("QuantizeLinear", &inputs, "q", &[]);
        inputs[0] = "q";
        let graph = import(&model.node("DequantizeLinear", &inputs, "y", &[])).unwrap();
        let x = Array2::from_shape_vec((2, 4), numbers(3, 8)).unwrap();
        let expected = x.mapv(|x| if cut { (-x).max(0.0) } else { -x });
        assert_close(run(&graph, x.view()).unwrap().last().unwrap(), &expected);
    }
}

#[test]
fn a_model_needs_inputs_one_output_and_a_known_operator_set() {
    let valid = |dims: &[i64]| Model::new(dims).node("Relu", &["x"], "y", &[]);
    // Any rank.
    for dims in [&[4][..], &[-1, 4], &[1, 2, 3], &[1, 2, 2, 2, 2]] {
        assert!(import(&valid(dims)).is_ok(), "{dims:?}");
    }
    for dims in [&[][..], &[1; 9]] {
        let error = import(&valid(dims)).unwrap_err();
        assert!(matches!(&error, OnnxError::InputShape { name, .. } if name == "x"), "{error}");
    }
    // A size of 0 is an unknown one.
    let error = import(&valid(&[1, 0])).unwrap_err();
    let OnnxError::Symbolic { symbols, .. } = &error else { panic!("{error}") };
    assert_eq!(symbols, &["x.1"]);
    let fixed = ReadOptions::new().dimension("x.1", 3).read(&valid(&[1, 0]).bytes()).unwrap();
    assert_eq!(fixed.inputs, [Input::new("x", [1, 3])]);
    let huge = [1, 1 << 20, 1 << 20, 1 << 20];
    assert!(matches!(import(&valid(&huge)), Err(OnnxError::InputShape { .. })));

    let passed = Model::new(&[-1, 4]).node("Identity", &["x"], "y", &[]);
    let error = import(&passed).unwrap_err();
    assert!(matches!(&error, OnnxError::Output { name, .. } if name == "y"), "{error}");
    for version in [None, Some(6)] {
        let mut model = valid(&[-1, 4]);
        model.version = version;
        let error = import(&model).unwrap_err();
        assert!(matches!(error, OnnxError::OperatorSet(got) if got == version), "{error}");
    }
    assert!(matches!(read(&[], &Limits::default()), Err(OnnxError::NoGraph)));
}

/// Any value may be the output, and what it does not need may be of any kind.
#[test]
fn a_network_is_cut_at_its_output() {
    let model = Model::new(&[-1, 4])
        .node("Relu", &["x"], "r", &[])
        .node("Hardmax", &["r"], "h", &[])
        .node("Neg", &["r"], "y", &[]);
    assert!(import(&model).is_err());
    let graph = ReadOptions::new().output("r").read(&model.bytes()).unwrap();
    assert_eq!(graph.layers.len(), 1);
    assert_eq!(graph.layers[0].name, "r");
    let unknown = "got none; choose one of y, r, h";
    for (output, got) in [("x", "an input"), ("none", unknown), ("h", "Hardmax")] {
        let error = ReadOptions::new().output(output).read(&model.bytes()).unwrap_err();
        assert!(error.to_string().contains(got), "{error}");
    }
}

#[test]
fn graphs_and_inputs_that_do_not_fit_are_errors() {
    let layer = |kind: Kind, inputs: &[usize]| Layer {
        name: "l".to_owned(),
        kind,
        inputs: inputs.to_vec(),
    };
    let graph = |layers| Graph::new(vec![Input::new("x", [1, 3, 2, 2])], layers);
    assert_eq!(graph(vec![]).shapes(), Err(GraphError::NoLayers));
    let relu = || Kind::Pointwise(Expression::relu());
    assert_eq!(Graph::new(vec![], vec![layer(relu(), &[0])]).shapes(), Err(GraphError::NoInputs));
    let empty = Graph::new(vec![Input::new("x", [1, 0])], vec![layer(relu(), &[0])]);
    assert!(matches!(empty.shapes(), Err(GraphError::Empty { .. })));
    let error = |kind, inputs: &[usize]| graph(vec![layer(kind, inputs)]).shapes().unwrap_err();
    assert!(matches!(error(relu(), &[1]), GraphError::Value { value: 1, .. }));
    let sum = Kind::Add { factors: [1.0; 2] };
    assert!(matches!(error(sum, &[0]), GraphError::Arity { expected: 2, got: 1, .. }));
    assert!(matches!(error(relu(), &[]), GraphError::Arity { expected: 1, got: 0, .. }));
    let weights = ArcArray2::zeros((2, 12));
    let linear = Kind::Linear { weights: weights.clone(), bias: vec![0.0; 2] };
    assert!(matches!(error(linear, &[0]), GraphError::Size { expected: 2, got: 12, .. }));
    let window = ImageWindow::of([2, 2]);
    let conv = |bias, window, groups| Kind::Conv { weights: weights.clone(), bias, window, groups };
    assert!(matches!(error(conv(vec![], window, 1), &[0]), GraphError::Size { what: "bias", .. }));
    let large = ImageWindow { kernel: [1, 4], ..window };
    assert!(matches!(error(conv(vec![0.0; 2], large, 1), &[0]), GraphError::Window { .. }));
    for groups in [0, 2] {
        let error = error(conv(vec![0.0; 2], window, groups), &[0]);
        assert!(matches!(error, GraphError::Form { .. }), "{error}");
    }
    for kind in [
        Kind::Transpose { permutation: vec![0, 1, 2, 2] },
        Kind::Transpose { permutation: vec![0, 1, 2] },
        Kind::Take { axis: 4, indices: vec![Some(0)] },
        Kind::Take { axis: 1, indices: vec![Some(3)] },
        Kind::Concat { axis: 4 },
        Kind::Reduce { axes: vec![4], how: poai_import::graph::Reduction::Mean },
        Kind::Scale { by: GraphConstant { shape: vec![1, 1, 1, 3], entries: vec![1.0; 3] } },
    ] {
        let error = error(kind, &[0]);
        assert!(matches!(error, GraphError::Form { .. }), "{error}");
    }
    let shape = vec![1, 13];
    assert!(matches!(error(Kind::Reshape { shape }, &[0]), GraphError::Shape { .. }));
    let by = GraphConstant { shape: vec![1; 4], entries: vec![] };
    assert!(matches!(error(Kind::Offset { by }, &[0]), GraphError::Size { .. }));

    let fits = graph(vec![layer(conv(vec![0.0; 2], window, 1), &[0])]);
    assert_eq!(run(&fits, Array2::zeros((2, 12)).view()).unwrap()[1].dim(), (2, 2));
    for (rows, columns) in [(0, 12), (7, 3), (4, 11)] {
        let error = run(&fits, Array2::zeros((rows, columns)).view()).unwrap_err();
        assert!(matches!(error, GraphError::Input { .. }));
    }
    // Ids that the table does not have.
    let mut ids = Graph::new(
        vec![Input::new("ids", [1, 2])],
        vec![layer(Kind::Lookup { table: Array2::ones((3, 2)) }, &[0])],
    );
    ids.inputs[0].ids = Some(3);
    assert_eq!(run(&ids, ndarray::array![[0.0, 2.0]].view()).unwrap()[1].dim(), (1, 4));
    for id in [3.0, -1.0, 0.5, f32::NAN] {
        let error = run(&ids, ndarray::array![[0.0, id]].view()).unwrap_err();
        assert!(matches!(error, GraphError::Id { max: 2, .. }), "{error}");
    }
}
