//! Hostile files: changed bytes, changed messages, and sizes beyond any memory.
//! The reader gives a graph or an error; it never panics or hangs. A graph that
//! was read runs, and is quantised or refused.

use crate::exported::{folders, name};
use ndarray::Array2;
use poai_import::float;
use poai_import::graph::{Graph, GraphError, Kind};
use poai_import::onnx::{Limits, OnnxError, ReadOptions, read};
use poai_import::quantise::{QuantiseOptions, memory_bytes, quantise};
use poai_testing::onnx::{Model, int, integers, small, varint};
use proptest::prelude::*;
use rayon::prelude::*;
use rten_onnx::onnx::{AttributeProto, DataType, GraphProto, ModelProto, NodeProto, TensorProto};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

fn limits(bytes: usize, nodes: usize, weights: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.bytes, limits.nodes, limits.weights) = (bytes, nodes, weights);
    limits
}

/// A loop is written out within the limit of nodes, even if its body has none.
#[test]
fn loops_end_at_the_limit_of_nodes() {
    use rten_onnx::onnx::ValueInfoProto;
    let named = |name: &str| ValueInfoProto { name: Some(name.to_owned()), r#type: None };
    let body = GraphProto {
        input: vec![named("round"), named("before"), named("state")],
        output: vec![named("before"), named("state")],
        ..Default::default()
    };
    let body = AttributeProto { g: Some(body), ..int("body", 0) };
    let most = TensorProto { dims: vec![], ..integers("most", &[i64::MAX]) };
    let model = Model::new(&[-1, 4]).tensor(most);
    let model = model.node("Loop", &["most", "", "x"], "s", &[body]).node("Neg", &["s"], "y", &[]);
    let error = read(&model.bytes(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("loops written out"), "{error}");
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let model = Model::new(&[-1, 4])
        .floats("w", &[4, 4], &[1.0; 16])
        .node("MatMul", &["x", "w"], "a", &[])
        .node("MatMul", &["a", "w"], "y", &[]);
    let bytes = model.bytes();
    let all = Limits::default();
    // The constant, the weights that two layers share, and their biases.
    assert!(read(&bytes, &limits(bytes.len(), 2, 40)).is_ok());
    let error = |limits| read(&bytes, &limits).unwrap_err();
    let refused = error(limits(20, 2, 40));
    assert!(matches!(refused, OnnxError::FileSize { limit: 20, .. }), "{refused}");
    let many = |error: OnnxError, what: &str, limit: usize| {
        let text = error.to_string();
        let remedy = "make the network smaller, or raise the limit";
        assert_eq!(text, format!("expected at most {limit} {what}, got more; {remedy}"));
    };
    many(error(limits(1 << 20, 1, 40)), "nodes", 1);
    many(error(limits(1 << 20, 2, 39)), "entries of constants", 39);
    let mut few = all;
    few.layers = 1;
    many(error(few), "layers", 1);

    for end in 0..bytes.len() {
        assert!(read(&bytes[..end], &all).is_err(), "cut at {end}");
    }
    // A length with which an unchecked reader would allocate too much or
    // overflow.
    for length in [u64::MAX, u64::MAX / 2, 1 << 40] {
        let mut hostile = vec![0x12];
        hostile.extend(varint(length));
        assert!(matches!(read(&hostile, &all), Err(OnnxError::Frame { offset: 0 })));
    }
    assert!(matches!(read(&[0xff; 64], &all), Err(OnnxError::Frame { offset: 0 })));
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
    many(read(&outer, &all).unwrap_err(), "levels of nesting", 32);
}

/// Long chains take time in proportion to their length.
#[test]
fn long_chains_are_read_in_time() {
    let start = Instant::now();
    for operators in [&["Relu", "Neg"][..], &["Add", "Relu"], &["Mul"], &["Tanh", "Abs", "Exp"]] {
        let mut model = Model::new(&[-1, 2]).floats("w", &[2], &[0.5, 2.0]);
        let mut last = "x".to_owned();
        for (at, operator) in (0..10_000).zip(operators.iter().cycle()) {
            let next = format!("v{at}");
            let with = if operators.len() == 1 { last.as_str() } else { "w" };
            let inputs = [last.as_str(), with];
            let inputs = if ["Add", "Mul"].contains(operator) { &inputs[..] } else { &inputs[..1] };
            model = model.node(operator, inputs, &next, &[]);
            last = next;
        }
        read(&model.bytes(), &Limits::default()).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// Numbers at the ends of types, and sizes beyond memory.
const EXTREMES: [i64; 20] = [
    i64::MIN,
    i64::MIN + 1,
    -(1 << 31),
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    7,
    255,
    1 << 16,
    1 << 28,
    1 << 31,
    1 << 32,
    1 << 40,
    1 << 62,
    i64::MAX - 1,
    i64::MAX,
];
const FLOATS: [f32; 10] =
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-38, f32::MAX, -1.0, 1e9, 0.5];
const OPERATORS: [&str; 44] = [
    "Relu",
    "Softmax",
    "MatMul",
    "Gemm",
    "Conv",
    "ConvTranspose",
    "Reshape",
    "Transpose",
    "Concat",
    "Slice",
    "Split",
    "Gather",
    "Expand",
    "Tile",
    "Pad",
    "Resize",
    "Upsample",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "LayerNormalization",
    "LSTM",
    "GRU",
    "RNN",
    "Einsum",
    "Attention",
    "Trilu",
    "Range",
    "ConstantOfShape",
    "Shape",
    "Size",
    "Where",
    "Mod",
    "Cast",
    "Clip",
    "PRelu",
    "DepthToSpace",
    "SpaceToDepth",
    "QuantizeLinear",
    "MaxPool",
    "AveragePool",
];
const TEXTS: [&str; 8] =
    ["", "SAME_UPPER", "SAME_LOWER", "reflect", "edge", "cubic", "align_corners", "bi,ij->bj"];

/// Pseudo-random choices of one case.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % below.max(1)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.roll(list.len()))
    }

    fn pick_mut<'a, T>(&mut self, list: &'a mut [T]) -> Option<&'a mut T> {
        let at = self.roll(list.len());
        list.get_mut(at)
    }

    fn extreme(&mut self) -> i64 {
        EXTREMES[self.roll(EXTREMES.len())]
    }
}

/// Changes one thing of a model. `None` if the model lacks it.
fn mutate(model: &mut ModelProto, dice: &mut Dice) -> Option<()> {
    let graph = model.graph.as_mut()?;
    match dice.roll(17) {
        0 => {
            let node = dice.pick_mut(&mut graph.node)?;
            let at = dice.roll(node.attribute.len());
            (at < node.attribute.len()).then(|| node.attribute.remove(at))?;
        }
        1 | 2 => {
            let extreme = dice.extreme();
            let attribute = dice_attribute(graph, dice)?;
            match dice.pick_mut(&mut attribute.ints) {
                Some(own) => *own = extreme,
                None => attribute.i = Some(extreme),
            }
        }
        3 => {
            // Permutations that repeat, and lists of other lengths.
            let attribute = dice_attribute(graph, dice)?;
            match (attribute.ints.as_slice(), dice.roll(3)) {
                (&[first, ..], 0) => *attribute.ints.last_mut()? = first,
                (&[first, ..], 1) => attribute.ints.push(first),
                _ => drop(attribute.ints.pop()?),
            }
        }
        4 => {
            let float = *dice.pick(&FLOATS)?;
            let attribute = dice_attribute(graph, dice)?;
            match dice.pick_mut(&mut attribute.floats) {
                Some(own) => *own = float,
                None => attribute.f = Some(float),
            }
        }
        5 => {
            let text = (*dice.pick(&TEXTS)?).to_owned();
            dice_attribute(graph, dice)?.s = Some(text);
        }
        6 => {
            let extreme = dice.extreme();
            let tensor = dice.pick_mut(&mut graph.initializer)?;
            match dice.roll(3) {
                0 => *dice.pick_mut(&mut tensor.dims)? = extreme,
                1 => tensor.dims.push(extreme),
                _ => tensor.dims.reverse(),
            }
        }
        7 | 8 => extreme_entry(dice_tensor(graph, dice)?, dice),
        9 => {
            let tensor = dice_tensor(graph, dice)?;
            tensor.data_type = Some(DataType(dice.roll(25) as i32));
        }
        10 => {
            // A tensor without entries, of any size.
            let size = dice.extreme();
            let tensor = dice_tensor(graph, dice)?;
            *tensor = TensorProto {
                name: tensor.name.clone(),
                data_type: tensor.data_type,
                dims: vec![0, size],
                ..TensorProto::default()
            };
        }
        11 | 12 => {
            let operator = (*dice.pick(&OPERATORS)?).to_owned();
            dice_node(graph, dice)?.op_type = Some(operator);
        }
        13 => {
            let names: Vec<String> = graph
                .node
                .iter()
                .flat_map(|node| node.input.iter().chain(&node.output).cloned())
                .collect();
            let name = dice.pick(&names)?.clone();
            let node = dice_node(graph, dice)?;
            match dice.roll(4) {
                0 => node.input.push(name),
                1 => drop(node.input.pop()?),
                2 => *dice.pick_mut(&mut node.output)? = name,
                _ => *dice.pick_mut(&mut node.input)? = name,
            }
        }
        14 => {
            let extreme = dice.extreme();
            let input = dice.pick_mut(&mut graph.input)?;
            let shape = input.r#type.as_mut()?.tensor_type.as_mut()?.shape.as_mut()?;
            match dice.roll(4) {
                0 => drop(shape.dim.pop()?),
                1 => shape.dim.push(shape.dim.first()?.clone()),
                _ => dice.pick_mut(&mut shape.dim)?.dim_value = Some(extreme),
            }
        }
        15 => {
            let (a, b) = (dice.roll(graph.node.len()), dice.roll(graph.node.len()));
            graph.node.first()?;
            if dice.roll(2) == 0 { graph.node.swap(a, b) } else { drop(graph.node.remove(a)) }
        }
        _ => dice.pick_mut(&mut model.opset_import)?.version = Some(dice.roll(26) as i64),
    }
    Some(())
}

fn dice_node<'a>(graph: &'a mut GraphProto, dice: &mut Dice) -> Option<&'a mut NodeProto> {
    dice.pick_mut(&mut graph.node)
}

fn dice_attribute<'a>(
    graph: &'a mut GraphProto,
    dice: &mut Dice,
) -> Option<&'a mut AttributeProto> {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let mut all: Vec<&mut AttributeProto> = attributes.collect();
    let at = dice.roll(all.len());
    (at < all.len()).then(|| all.swap_remove(at))
}

/// A stored tensor, or one of an attribute.
fn dice_tensor<'a>(graph: &'a mut GraphProto, dice: &mut Dice) -> Option<&'a mut TensorProto> {
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    let tensors = attributes.filter_map(|attribute| attribute.t.as_mut());
    let mut all: Vec<&mut TensorProto> = graph.initializer.iter_mut().chain(tensors).collect();
    let at = dice.roll(all.len());
    (at < all.len()).then(|| all.swap_remove(at))
}

/// Sets one entry of a tensor to an extreme.
fn extreme_entry(tensor: &mut TensorProto, dice: &mut Dice) {
    let (whole, real) = (dice.extreme(), FLOATS[dice.roll(FLOATS.len())]);
    if let Some(entry) = dice.pick_mut(&mut tensor.int64_data) {
        *entry = whole;
    }
    if let Some(entry) = dice.pick_mut(&mut tensor.float_data) {
        *entry = real;
    }
    let mut raw = tensor.raw_data.as_ref().map(RefCell::borrow_mut);
    let Some(raw) = raw.as_deref_mut() else { return };
    let entry = match tensor.data_type {
        Some(DataType::INT64) => whole.to_le_bytes().to_vec(),
        _ => real.to_le_bytes().to_vec(),
    };
    let places = raw.len() / entry.len();
    if places > 0 {
        let at = dice.roll(places) * entry.len();
        raw[at..at + entry.len()].copy_from_slice(&entry);
    }
}

/// Runs and quantises a graph that is small enough for it. Returns whether it
/// was.
fn exercise(graph: &Graph) -> bool {
    let shapes = graph.shapes().unwrap();
    let entries: usize = shapes.iter().map(poai_import::graph::ValueShape::entries).sum();
    let heavy = |layer: &poai_import::graph::Layer| match &layer.kind {
        Kind::Conv { weights, .. } | Kind::Linear { weights, .. } => weights.len() > 1 << 14,
        _ => false,
    };
    if entries > 1 << 13 || graph.layers.len() > 100 || graph.layers.iter().any(heavy) {
        return false;
    }
    let samples = Array2::from_shape_fn((2, graph.sample_entries()), |(row, column)| {
        if graph.inputs.iter().any(|input| input.ids.is_some()) {
            0.0
        } else {
            (row + column) as f32
        }
    });
    let values = float::run(graph, samples.view()).unwrap();
    assert_eq!(values.len(), shapes.len());
    // Either may refuse a layer that no step computes.
    _ = memory_bytes(graph, 2);
    if let Ok(quantised) = quantise(graph, samples.view(), &QuantiseOptions::default()) {
        let made = quantised.output.entries();
        assert_eq!(Some(made), shapes.last().map(poai_import::graph::ValueShape::entries));
    }
    true
}

#[test]
fn mutated_messages_never_panic() {
    let small = limits(1 << 20, 1 << 10, 1 << 16);
    let seeds = 60;
    let of_folder = |folder: &std::path::PathBuf| {
        let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
        let (mut counts, mut slowest) = ([0usize; 3], Duration::ZERO);
        for seed in 0..seeds {
            let mut dice = Dice(seed * 7919 + bytes.len() as u64);
            let mut model = ModelProto::parse_buf(&bytes).unwrap();
            for _ in 0..=dice.roll(3) {
                _ = mutate(&mut model, &mut dice);
            }
            let mutated = model.write_buf().unwrap();
            let mut options = ReadOptions::new().limits(small).folder(folder);
            if name(folder) == "input-symbolic-image" {
                options = options.dimension("height", 8).dimension("width", 8);
            }
            let start = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| match options.read(&mutated) {
                Ok(graph) if exercise(&graph) => 2,
                Ok(_) => 1,
                Err(_) => 0,
            }));
            slowest = slowest.max(start.elapsed());
            match done {
                Ok(done) => counts[done] += 1,
                Err(_) => panic!("{}, seed {seed}", name(folder)),
            }
        }
        (counts, slowest)
    };
    let results: Vec<_> = folders().par_iter().map(of_folder).collect();
    let sum = |at: usize| results.iter().map(|(counts, _)| counts[at]).sum::<usize>();
    let slowest = results.iter().map(|&(_, slowest)| slowest).max().unwrap();
    println!("{} refused, {} read, {} of these run; {slowest:?}", sum(0), sum(1) + sum(2), sum(2));
    assert!(sum(0) + sum(1) + sum(2) >= 2000);
    // Both ends are reached.
    assert!(sum(0) > 500 && sum(2) > 500);
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
}

#[test]
fn the_model_to_be_changed_is_read() {
    let graph = read(&small(), &Limits::default()).unwrap();
    assert_eq!(graph.layers.len(), 5);
    assert!(matches!(graph.shapes(), Ok(shapes) if shapes.len() == 6));
    let error = Graph::new(graph.inputs, vec![]).shapes().unwrap_err();
    assert!(matches!(error, GraphError::NoLayers));
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
            if shapes.iter().all(|shape| shape.entries() < 1 << 12) {
                let x = Array2::ones((1, graph.sample_entries()));
                prop_assert_eq!(float::run(&graph, x.view()).unwrap().len(), shapes.len());
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &Limits::default());
    }
}
