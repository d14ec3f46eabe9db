//! ONNX files. A network that is read computes what ONNX specifies. A file that
//! cannot be read is an error that names the cause.
use ndarray::Array2;
use poai_import::float::run;
use poai_import::graph::{Graph, GraphError, ImageExtent, ImageWindow, Kind, Layer};
use poai_import::onnx::{Limits, OnnxError, OnnxTensorError, read};
use poai_testing::channels_first::*;
use poai_testing::onnx::*;
use proptest::prelude::*;
use rten_onnx::onnx::{DataLocation, TensorProto};

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
    assert!(matches!(&graph.layers[2].kind, Kind::Gemm { bias, .. } if *bias == b2));

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
    let conv_window = ImageWindow { kernel: [3, 2], stride: [2, 2], pads: [2, 1, 1, 0] };
    let pool_window = ImageWindow { kernel: [3, 2], stride: [2, 1], pads: [1, 0, 1, 0] };
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
        assert_eq!(shapes[1], ImageExtent { height: 4, width: 3, channels: 4 });
        assert_eq!(shapes[3], ImageExtent { height: 2, width: 2, channels: 4 });

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
        assert_close(&values[3], &rows(&p));
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
    let stride = [1, 1];
    let a = conv(&x, &w1, &bias, 2, &ImageWindow { kernel: [3, 3], stride, pads: [1, 1, 1, 1] });
    let b =
        conv(&a, &w2, &[0.0; 2], 2, &ImageWindow { kernel: [2, 2], stride, pads: [0, 0, 1, 1] });
    let r = relu(b + &x);
    let expected =
        Array2::from_shape_fn((3, 2), |(n, c)| r.slice(ndarray::s![n, c, .., ..]).mean().unwrap());
    let values = run(&graph, rows(&x).view()).unwrap();
    assert_close(values.last().unwrap(), &expected);
}

#[test]
fn unsupported_nodes_are_named() {
    let vector = || Model::new(&[-1, 4]).floats("w", &[4, 4], &[1.0; 16]);
    let picture = || Model::new(&[-1, 2, 4, 4]).floats("w", &[2, 2, 1, 1], &[1.0; 4]);
    let pooled =
        |extra| picture().node("MaxPool", &["x"], "y", &[extra, ints("kernel_shape", &[2, 2])]);
    let ones = ["s", "s", "s", "s"];
    let normalised = |model: Model, from: &str| {
        let inputs: Vec<&str> = [from].into_iter().chain(ones).collect();
        model.floats("s", &[2], &[1.0; 2]).node("BatchNormalization", &inputs, "y", &[])
    };
    let cases = [
        (vector().node("Softmax", &["x"], "y", &[]), "node y: operator Softmax is not supported"),
        (
            vector().node("Gemm", &["x", "w"], "y", &[int("transA", 1)]),
            "node y: attribute transA of Gemm",
        ),
        (vector().node("Relu", &["x"], "y", &[int("novel", 1)]), "node y: attribute novel of Relu"),
        (vector().node("Relu", &["z"], "y", &[]), "node y: value z is missing"),
        (vector().node("Relu", &["x"], "x", &[]), "node x: value x already exists"),
        (vector().node("Relu", &["w"], "y", &[]), "node y: value w is missing, not an activation"),
        (vector().node("Add", &["x", "w"], "y", &[]), "tensor w: expected dimensions of a bias"),
        (vector().node("MatMul", &["x", "x"], "y", &[]), "tensor x: expected a constant"),
        (vector().node("Conv", &["x", "w"], "y", &[]), "node y: operator Conv is not supported: "),
        (
            picture().node("MatMul", &["x", "w"], "y", &[]),
            "node y: operator MatMul is not supported: its input is not a vector",
        ),
        (
            picture().node("Conv", &["x", "w"], "y", &[int("group", 2)]),
            "node y: attribute group of Conv",
        ),
        (
            picture().node("Conv", &["x", "w"], "y", &[ints("dilations", &[2, 2])]),
            "node y: attribute dilations of Conv",
        ),
        (
            picture().node("Conv", &["x", "w"], "y", &[text("auto_pad", "SAME_LOWER")]),
            "node y: attribute auto_pad of Conv",
        ),
        (pooled(int("ceil_mode", 1)), "node y: attribute ceil_mode of MaxPool"),
        (pooled(ints("strides", &[0, 1])), "node y: attribute strides of MaxPool"),
        (pooled(ints("pads", &[0, 0, 2, 0])), "y: the window (kernel 2×2, stride 1×1"),
        (
            picture().integers("to", &[0, 3]).node("Reshape", &["x", "to"], "y", &[]),
            "node y: operator Reshape is not supported: it neither",
        ),
        (normalised(picture(), "x"), "node y: operator BatchNormalization is not supported: no"),
        (
            normalised(
                picture().node("Conv", &["x", "w"], "c", &[]).node("Relu", &["c"], "r", &[]),
                "c",
            ),
            "node y: operator BatchNormalization is not supported: no unread layer",
        ),
        (
            normalised(picture().node("Conv", &["x", "w"], "c", &[]), "c").node(
                "Add",
                &["c", "y"],
                "y2",
                &[],
            ),
            "node y2: value c is missing, not an activation here, or was folded",
        ),
    ];
    for (model, expected) in cases {
        let error = import(&model).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
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
    assert_eq!(
        product(floats("w", &[3, 2], &[1.0; 6])).unwrap_err(),
        OnnxError::Graph(GraphError::Shape {
            layer: "y".to_owned(),
            expected: ImageExtent::features(3),
            got: ImageExtent::features(4),
        })
    );
    for dims in [[4, 3], [i64::MAX, i64::MAX], [1 << 32, 1 << 32], [1 << 40, 1 << 24]] {
        let got = fails(floats("w", &dims, &[1.0; 8]));
        assert_eq!(got, OnnxTensorError::Length { dims: dims.to_vec(), bytes: 32 });
    }
    for dims in [[-4, -2], [0, i64::MAX], [4, 0]] {
        assert!(matches!(fails(floats("w", &dims, &[])), OnnxTensorError::Dimensions { .. }));
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let entries = [1.0, 1.0, 1.0, 1.0, 1.0, bad, 1.0, bad];
        assert_eq!(fails(floats("w", &[4, 2], &entries)), OnnxTensorError::NotFinite { index: 5 });
        let packed = float_data("w", &[4, 2], &entries);
        assert_eq!(fails(packed), OnnxTensorError::NotFinite { index: 5 });
    }
    let mut outside = floats("w", &[4, 2], &[]);
    outside.data_location = Some(DataLocation::EXTERNAL);
    assert_eq!(fails(outside), OnnxTensorError::External);
    assert!(matches!(
        fails(integers("w", &[1, 2])),
        OnnxTensorError::Type { expected: "FLOAT", .. }
    ));
    let both = TensorProto {
        raw_data: floats("", &[], &[1.0]).raw_data,
        ..float_data("w", &[1, 1], &[1.0])
    };
    assert!(matches!(fails(both), OnnxTensorError::Length { .. }));
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let model = Model::new(&[-1, 4])
        .floats("w", &[4, 4], &[1.0; 16])
        .node("MatMul", &["x", "w"], "a", &[])
        .node("MatMul", &["a", "w"], "y", &[]);
    let bytes = model.bytes();
    let limits = Limits::default();
    assert!(read(&bytes, &Limits { nodes: 2, bytes: bytes.len(), weights: 32 }).is_ok());
    let error = |limits| read(&bytes, &limits).unwrap_err();
    assert!(matches!(error(Limits { bytes: 20, ..limits }), OnnxError::FileSize { limit: 20, .. }));
    let many = |what, limit| OnnxError::TooMany { what, limit };
    assert_eq!(error(Limits { nodes: 1, ..limits }), many("nodes", 1));
    assert_eq!(error(Limits { weights: 31, ..limits }), many("weights", 31));

    for end in 0..bytes.len() {
        assert!(read(&bytes[..end], &limits).is_err(), "cut at {end}");
    }
    // A length with which an unchecked reader would allocate too much or
    // overflow.
    for length in [u64::MAX, u64::MAX / 2, 1 << 40] {
        let mut hostile = vec![0x12];
        hostile.extend(varint(length));
        assert_eq!(read(&hostile, &limits), Err(OnnxError::Frame { offset: 0 }));
    }
    assert_eq!(read(&[0xff; 64], &limits), Err(OnnxError::Frame { offset: 0 }));
    // Graphs in attributes of nodes in graphs, as deep as the bytes permit.
    let mut deep = Vec::new();
    for tag in [0x32, 0x2a, 0x0a].into_iter().cycle().take(3000) {
        let mut outer = varint(deep.len() as u64);
        outer.insert(0, tag);
        outer.extend(&deep);
        deep = outer;
    }
    let mut outer = vec![0x3a];
    outer.extend(varint(deep.len() as u64));
    outer.extend(deep);
    assert_eq!(read(&outer, &limits), Err(many("levels of nesting", 32)));
    // Declared sizes beyond any memory.
    let huge = Model::new(&[-1, 1 << 20, 1 << 20, 1 << 20]).node("Relu", &["x"], "y", &[]);
    assert!(matches!(import(&huge), Err(OnnxError::Graph(GraphError::TooLarge { .. }))));
    let padded = Model::new(&[-1, 1, 4, 4]).floats("w", &[1, 1, 1, 1], &[1.0]);
    let padded = padded.node("Conv", &["x", "w"], "y", &[ints("pads", &[i64::MAX; 4])]);
    assert!(matches!(import(&padded), Err(OnnxError::Graph(_))));
}

#[test]
fn a_model_needs_one_input_one_output_and_a_known_operator_set() {
    let valid = || Model::new(&[-1, 4]).node("Relu", &["x"], "y", &[]);
    assert!(import(&valid()).is_ok());
    for dims in [&[4][..], &[1, 2, 3], &[1, -1], &[1, 2, -1, 4], &[1, 0]] {
        let model = Model::new(dims).node("Relu", &["x"], "y", &[]);
        assert_eq!(import(&model), Err(OnnxError::Input { name: "x".to_owned() }), "{dims:?}");
    }
    let passed = Model::new(&[-1, 4]).node("Identity", &["x"], "y", &[]);
    assert_eq!(import(&passed), Err(OnnxError::Output { name: "y".to_owned() }));
    for version in [None, Some(6)] {
        let mut model = valid();
        model.version = version;
        assert_eq!(import(&model), Err(OnnxError::OperatorSet(version)));
    }
    assert_eq!(read(&[], &Limits::default()), Err(OnnxError::NoGraph));
}

#[test]
fn graphs_and_inputs_that_do_not_fit_are_errors() {
    let layer = |kind: Kind, inputs: &[usize]| Layer {
        name: "l".to_owned(),
        kind,
        inputs: inputs.to_vec(),
    };
    let graph = |layers| Graph { input: ImageExtent { height: 2, width: 2, channels: 3 }, layers };
    assert_eq!(graph(vec![]).shapes(), Err(GraphError::NoLayers));
    let error = |kind, inputs: &[usize]| graph(vec![layer(kind, inputs)]).shapes().unwrap_err();
    assert!(matches!(error(Kind::Relu, &[1]), GraphError::Value { value: 1, .. }));
    assert!(matches!(error(Kind::Add, &[0]), GraphError::Arity { expected: 2, got: 1, .. }));
    assert!(matches!(error(Kind::Relu, &[]), GraphError::Arity { expected: 1, got: 0, .. }));
    let weights = Array2::zeros((2, 12));
    let gemm = Kind::Gemm { weights: weights.clone(), bias: vec![0.0; 2] };
    assert!(matches!(error(gemm, &[0]), GraphError::Shape { .. }));
    let window = ImageWindow { kernel: [2, 2], stride: [1, 1], pads: [0; 4] };
    let conv = |bias, window| Kind::Conv { weights: weights.clone(), bias, window };
    assert!(matches!(error(conv(vec![], window), &[0]), GraphError::Size { what: "bias", .. }));
    let large = ImageWindow { kernel: [1, 4], ..window };
    assert!(matches!(error(conv(vec![0.0; 2], large), &[0]), GraphError::Window { .. }));

    let fits = graph(vec![layer(conv(vec![0.0; 2], window), &[0])]);
    assert_eq!(run(&fits, Array2::zeros((8, 3)).view()).unwrap()[1].dim(), (2, 2));
    for (rows, columns) in [(0, 3), (7, 3), (4, 2)] {
        let error = run(&fits, Array2::zeros((rows, columns)).view()).unwrap_err();
        assert!(matches!(error, GraphError::Input { .. }));
    }
}

#[test]
fn the_model_to_be_changed_is_read() {
    let graph = read(&small(), &Limits::default()).unwrap();
    assert_eq!(graph.layers.len(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// After any change of bytes, reading gives a consistent graph or an error.
    #[test]
    fn mutated_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(graph) = read(&bytes, &Limits::default()) {
            let shapes = graph.shapes().unwrap();
            // Small graphs are also run, because a graph that was accepted must
            // not panic there.
            if shapes.iter().all(|extent| extent.entries() < 1 << 12) {
                let x = Array2::ones((graph.input.rows(), graph.input.channels));
                prop_assert_eq!(run(&graph, x.view()).unwrap().len(), shapes.len());
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &Limits::default());
    }
}
