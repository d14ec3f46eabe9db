//! Peak memory of quantisation, compared with its bounds. Memory is counted for
//! the whole process, so one test runs at a time.

use ndarray::Array2;
use peak_alloc::PeakAlloc;
use poai_import::bert::{Encoder, EncoderOptions};
use poai_import::onnx::{self, Limits, ReadOptions};
use poai_import::quantise::{QuantiseOptions, memory_bytes, quantise};
use poai_testing::onnx::{Model, int, ints, tensor, text};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Waits until no other test runs, and keeps other tests waiting.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The peak of some work, beyond what was allocated before, of two runs: the
/// pool's threads keep some memory from their first work on.
fn peak(work: impl Fn()) -> u64 {
    work();
    let before = PEAK.current_usage();
    PEAK.reset_peak_usage();
    work();
    (PEAK.peak_usage() - before) as u64
}

fn check(what: &str, taken: u64, bound: u64) {
    println!("{what}: {taken} of {bound} bytes");
    assert!(taken <= bound, "{what}: {taken} of {bound}");
    assert!(bound <= 6 * taken + (8 << 20), "{what}: {taken} of {bound}");
}

#[test]
fn quantising_a_graph_takes_no_more_than_its_bound() {
    let _alone = alone();
    for (name, file) in [
        ("mlp", &include_bytes!("../../../poai-cli/data/digits/mlp.onnx")[..]),
        ("cnn", &include_bytes!("../../../poai-cli/data/digits/cnn.onnx")[..]),
    ] {
        let graph = onnx::read(file, &Limits::default()).unwrap();
        let samples = 2000;
        let pixel = |(row, column)| ((row * 7 + column * 3) % 17) as f32;
        let size = (samples as usize, graph.sample_entries());
        let calibration = Array2::from_shape_fn(size, pixel);
        let taken = peak(|| {
            quantise(&graph, calibration.view(), &QuantiseOptions::default()).unwrap();
        });
        check(name, taken, memory_bytes(&graph, samples).unwrap());
    }
}

/// Files of a few bytes that ask for sizes beyond any memory, or beyond the
/// limits.
fn bombs() -> Vec<(&'static str, Model)> {
    let row = || Model::new(&[-1, 4]).floats("w", &[4], &[1.0; 4]).floats("one", &[1], &[1.0]);
    let image = || Model::new(&[-1, 1, 4, 4]).floats("k", &[1, 1, 2, 2], &[1.0; 4]);
    let big = 1i64 << 27;
    let mut bombs = vec![];
    for size in [&[1 << 40][..], &[1 << 20, 1 << 20], &[big], &[0, 1 << 62], &[1 << 40, 1 << 40, 0]]
    {
        let filled = row().integers("to", size).node("ConstantOfShape", &["to"], "c", &[]);
        let turned = filled.node("Transpose", &["c"], "t", &[]).node("Size", &["t"], "s", &[]);
        bombs.push(("ConstantOfShape", turned.node("Mul", &["x", "s"], "y", &[])));
        let all = row().integers("to", size).integers("from", &[0]).integers("end", &[i64::MAX]);
        let cut = all.node("ConstantOfShape", &["to"], "c", &[]);
        let cut =
            cut.integers("last", &[-1]).node("Slice", &["c", "from", "end", "last"], "s", &[]);
        bombs.push(("Slice", cut.node("Add", &["x", "s"], "y", &[])));
        let sum = row().integers("to", size).node("ConstantOfShape", &["to"], "c", &[]);
        let sum = sum.node("ReduceSum", &["c"], "s", &[ints("axes", &[0]), int("keepdims", 0)]);
        bombs.push(("ReduceSum", sum.node("Add", &["x", "s"], "y", &[])));
        for of in ["x", "w", "one"] {
            let to = [size, if of == "one" { &[] } else { &[1, 4] }].concat();
            let wide = row().integers("to", &to).node("Expand", &[of, "to"], "y", &[]);
            bombs.push(("Expand", wide));
        }
    }
    for repeats in [[1, 1 << 40], [1 << 62, 1 << 62], [1, big / 4]] {
        bombs.push(("Tile", row().integers("by", &repeats).node("Tile", &["x", "by"], "y", &[])));
    }
    for ends in [[0, 1 << 62, 1], [0, big, 1], [0, i64::MIN, -1]] {
        let ends = ends.iter().zip(["from", "end", "step"]);
        let range = ends.fold(row(), |model, (&end, name)| model.integers(name, &[end]));
        let range = range.node("Range", &["from", "end", "step"], "r", &[]);
        bombs.push(("Range", range.node("Mul", &["x", "r"], "y", &[])));
    }
    for pads in [[0, 0, 0, 1 << 40], [0, big, 0, 0], [0, i64::MIN, 0, i64::MAX], [0, 0, 0, big]] {
        for of in ["x", "w"] {
            let pads = if of == "x" { &pads[..] } else { &[pads[1], pads[3]][..] };
            let padded = row().integers("by", pads).node("Pad", &[of, "by"], "p", &[]);
            bombs.push(("Pad", padded.node("Relu", &["p"], "y", &[])));
        }
    }
    for sizes in [[1, 1, 1 << 40, 4], [1, 1, 4, 1 << 26], [1, 1, big, 4]] {
        for mode in ["nearest", "linear"] {
            let mode = text("mode", mode);
            let model = image().integers("to", &sizes);
            bombs.push(("Resize", model.node("Resize", &["x", "", "", "to"], "y", &[mode])));
        }
    }
    for strides in [[1 << 40, 1], [1, 1 << 26], [i64::MAX, i64::MAX]] {
        let node = [ints("strides", &strides)];
        bombs.push(("ConvTranspose", image().node("ConvTranspose", &["x", "k"], "y", &node)));
    }
    for pads in [[1 << 40; 4], [0, 0, 0, big], [i64::MAX; 4]] {
        let pads = ints("pads", &pads);
        let side = ints("kernel_shape", &[2, 2]);
        bombs.push(("Conv", image().node("Conv", &["x", "k"], "y", std::slice::from_ref(&pads))));
        let node = [pads, side, int("count_include_pad", 1)];
        bombs.push(("AveragePool", image().node("AveragePool", &["x"], "y", &node)));
    }
    // A kernel far larger than the image, which pads fill.
    for operator in ["MaxPool", "AveragePool"] {
        let node = [ints("kernel_shape", &[1 << 40, 2]), text("auto_pad", "SAME_UPPER")];
        bombs.push((operator, image().node(operator, &["x"], "y", &node)));
    }
    // Each value has twice the entries of the one before.
    for of in ["x", "w"] {
        let mut model = row();
        let mut last = of.to_owned();
        for at in 0..60 {
            let next = format!("c{at}");
            model = model.node("Concat", &[&last, &last], &next, &[int("axis", -1)]);
            last = next;
        }
        bombs.push(("Concat", model.node("Relu", &[&last], "y", &[])));
    }
    // A stored tensor that the file repeats, and a table of a huge index.
    let mut model = row();
    for at in 0..200 {
        let value = tensor("value", poai_testing::onnx::floats("", &[1 << 12], &[1.0; 1 << 12]));
        model = model.node("Constant", &[], &format!("c{at}"), &[value]);
    }
    bombs.push(("Constant", model.node("Relu", &["x"], "y", &[])));
    bombs
}

#[test]
fn bombs_are_refused_before_they_allocate() {
    let _alone = alone();
    let mut limits = Limits::default();
    (limits.weights, limits.layers) = (1 << 16, 1 << 10);
    let options = ReadOptions::new().limits(limits);
    for (what, model) in bombs() {
        let bytes = model.bytes();
        let mut refused = String::new();
        let start = std::time::Instant::now();
        let before = PEAK.current_usage();
        PEAK.reset_peak_usage();
        match options.read(&bytes) {
            Ok(graph) => panic!("{what}: {:?}", graph.shapes()),
            Err(error) => refused.push_str(&error.to_string()),
        }
        let taken = PEAK.peak_usage() - before;
        // The limit's entries of 8 bytes and of 16 bytes, beside the message.
        let most = 8 * bytes.len() + 6 * 8 * limits.weights;
        assert!(taken <= most, "{what}: {taken} of {most} bytes: {refused}");
        assert!(start.elapsed().as_secs() < 5, "{what}: {refused}");
        println!("{what}: {taken} bytes: {refused}");
    }
}

const CONFIG: &str = r#"{
    "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute",
    "vocab_size": 3000, "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 512, "max_position_embeddings": 128, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "pad_token_id": 0, "architectures": ["BertModel"]
}"#;

/// An encoder of [`CONFIG`] with evenly spread weights.
fn encoder() -> Encoder {
    Encoder::read(&file(encoder_tensors()), CONFIG.as_bytes()).unwrap()
}

/// The same encoder with a wide product after pooling.
fn encoder_with_head() -> Encoder {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("config.json", CONFIG.as_bytes());
    write("model.safetensors", &file(encoder_tensors()));
    write(
        "modules.json",
        br#"[{"path": "", "type": "Transformer"}, {"path": "1_Pooling", "type": "Pooling"},
            {"path": "2_Dense", "type": "Dense"}]"#,
    );
    write("1_Pooling/config.json", br#"{"pooling_mode": "cls"}"#);
    write("2_Dense/config.json", br#"{"in_features": 128, "out_features": 16384}"#);
    let tensors = [("linear.weight", vec![16384, 128]), ("linear.bias", vec![16384])];
    let tensors = tensors.map(|(name, shape)| (name.to_owned(), shape)).to_vec();
    write("2_Dense/model.safetensors", &file(tensors));
    Encoder::load(directory.path()).unwrap()
}

/// The names and shapes of an encoder's tensors.
fn encoder_tensors() -> Vec<(String, Vec<usize>)> {
    let mut all: Vec<(String, Vec<usize>)> = vec![];
    for (name, rows) in [("word", 3000), ("position", 128), ("token_type", 2)] {
        all.push((format!("embeddings.{name}_embeddings.weight"), vec![rows, 128]));
    }
    let mut norms = vec!["embeddings".to_owned()];
    for layer in 0..3 {
        for (name, outputs, inputs) in [
            ("attention.self.query", 128, 128),
            ("attention.self.key", 128, 128),
            ("attention.self.value", 128, 128),
            ("attention.output.dense", 128, 128),
            ("intermediate.dense", 512, 128),
            ("output.dense", 128, 512),
        ] {
            all.push((format!("encoder.layer.{layer}.{name}.weight"), vec![outputs, inputs]));
            all.push((format!("encoder.layer.{layer}.{name}.bias"), vec![outputs]));
        }
        norms.extend(["attention.output", "output"].map(|n| format!("encoder.layer.{layer}.{n}")));
    }
    for norm in norms {
        all.push((format!("{norm}.LayerNorm.weight"), vec![128]));
        all.push((format!("{norm}.LayerNorm.bias"), vec![128]));
    }
    all
}

/// A safetensors file with evenly spread entries.
fn file(all: Vec<(String, Vec<usize>)>) -> Vec<u8> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = all
        .into_iter()
        .map(|(name, shape)| {
            let middle = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let count = shape.iter().product::<usize>() as u32;
            let entry = |i: u32| middle + (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e7 - 0.1;
            let bytes = (0..count).flat_map(|i| entry(i).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn quantising_an_encoder_takes_no_more_than_its_bound() {
    let _alone = alone();
    let sequence = |i: u32| (0..8 + i * 5 % 100).map(|j| (i * 31 + j * 7) % 3000).collect();
    let calibration: Vec<Vec<u32>> = (0..60).map(sequence).collect();
    for (name, encoder) in [("encoder", encoder()), ("encoder with a head", encoder_with_head())] {
        let taken = peak(|| {
            encoder.quantise(&calibration, &EncoderOptions::default()).unwrap();
        });
        check(name, taken, encoder.memory_bytes(&calibration));
    }
}
