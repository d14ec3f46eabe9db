//! BERT encoders: reading, float runs, quantisation and storage.
use poai_engine::Cpu;
use poai_engine::execute::{Network, Session};
use poai_import::bert::{self, BertError, Encoder, EncoderOptions};
use poai_import::quantise::{Granularity, RangeMethod};
use poai_import::store::{self, CONSTANTS_FILE, PROGRAM_FILE, StoreError};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

const VOCABULARY: usize = 50;
const HIDDEN: usize = 32;
const INNER: usize = 64;
const POSITIONS: usize = 16;

const CONFIG: &str = r#"{
    "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute",
    "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 16, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "pad_token_id": 0, "architectures": ["BertModel"]
}"#;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Evenly spread numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn tensors() -> Tensors {
    let mut numbers = Numbers(7);
    let mut all = Tensors::new();
    let mut add = |name: String, shape: &[usize], middle: f32, width: f32| {
        let count = shape.iter().product();
        let entries = (0..count).map(|_| middle + width * numbers.next()).collect();
        all.insert(name, (shape.to_vec(), entries));
    };
    for (name, rows) in [("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)] {
        add(format!("embeddings.{name}_embeddings.weight"), &[rows, HIDDEN], 0.0, 0.5);
    }
    add("embeddings.LayerNorm.weight".into(), &[HIDDEN], 1.0, 0.2);
    add("embeddings.LayerNorm.bias".into(), &[HIDDEN], 0.0, 0.2);
    for layer in 0..2 {
        for (name, outputs, inputs) in [
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INNER, HIDDEN),
            ("output.dense", HIDDEN, INNER),
        ] {
            let name = format!("encoder.layer.{layer}.{name}");
            add(format!("{name}.weight"), &[outputs, inputs], 0.0, 0.4);
            add(format!("{name}.bias"), &[outputs], 0.0, 0.2);
        }
        for name in ["attention.output", "output"] {
            let name = format!("encoder.layer.{layer}.{name}.LayerNorm");
            add(format!("{name}.weight"), &[HIDDEN], 1.0, 0.2);
            add(format!("{name}.bias"), &[HIDDEN], 0.0, 0.2);
        }
    }
    all
}

fn file(tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, entries))| {
            let bytes = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            (name.clone(), shape.clone(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| file(&tensors()));

fn encoder() -> Encoder {
    Encoder::read(&FILE, CONFIG.as_bytes()).unwrap()
}

fn sequences(count: usize) -> Vec<Vec<u32>> {
    let ids = |index: usize| {
        (0..2 + index * 5 % 13).map(|at| ((index * 31 + at * 17) % VOCABULARY) as u32).collect()
    };
    (0..count).map(ids).collect()
}

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    encoder().quantise(&sequences(20), &EncoderOptions::default()).unwrap().network
});

/// The embeddings, scaled to length 1.
fn run_integer(network: &Network, sequences: &[Vec<u32>]) -> Vec<Vec<f64>> {
    let model = Session::new(network.clone(), Arc::new(Cpu::new())).unwrap();
    let (shape, inputs) = bert::inputs(sequences).unwrap();
    let run = model.run((shape, inputs)).unwrap();
    let unit = |entries: &[i32]| {
        let length = entries.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        entries.iter().map(|&x| f64::from(x) / length).collect()
    };
    run.output.entries().chunks_exact(HIDDEN).map(unit).collect()
}

fn cosines(encoder: &Encoder, network: &Network, sequences: &[Vec<u32>]) -> Vec<f64> {
    let floats = encoder.run_float(sequences).unwrap();
    let integers = run_integer(network, sequences);
    let cosine = |(float, integer): (&bert::Floats, &Vec<f64>)| {
        float.embedding.iter().zip(integer).map(|(&x, y)| f64::from(x) * y).sum()
    };
    floats.iter().zip(&integers).map(cosine).collect()
}

#[test]
fn the_integer_network_is_close_to_the_floats() {
    let encoder = encoder();
    let unseen = sequences(60)[20..].to_vec();
    let all = [
        EncoderOptions::default(),
        EncoderOptions { smoothing: None, ..EncoderOptions::default() },
        EncoderOptions { range: RangeMethod::Percentile(99.0), ..EncoderOptions::default() },
        EncoderOptions {
            weights: Granularity::PerTensor,
            smoothing: Some(0.5),
            ..EncoderOptions::default()
        },
    ];
    for options in all {
        let quantised = encoder.quantise(&sequences(20), &options).unwrap();
        let cosines = cosines(&encoder, &quantised.network, &unseen);
        let least = cosines.iter().copied().fold(1.0, f64::min);
        assert!(least > 0.97, "{options:?}: {least}");
        let places: Vec<&str> = quantised.report.iter().map(|error| error.layer.as_str()).collect();
        assert_eq!(places, ["embeddings", "layer 0", "layer 1", "output"]);
        for error in &quantised.report {
            assert!((1e-6..0.25).contains(&error.relative_error), "{options:?}: {error:?}");
        }
    }
}

#[test]
fn padding_changes_nothing() {
    let sequences = sequences(12);
    let together = run_integer(&NETWORK, &sequences);
    for (sequence, together) in sequences.iter().zip(together) {
        assert_eq!(run_integer(&NETWORK, std::slice::from_ref(sequence))[0], together);
    }
}

#[test]
fn quantising_twice_makes_the_same_network() {
    let again = encoder().quantise(&sequences(20), &EncoderOptions::default()).unwrap().network;
    assert_eq!(again.program().program_id(), NETWORK.program().program_id());
}

#[test]
fn floats_are_those_of_each_sequence_alone() {
    let encoder = encoder();
    let all = sequences(8);
    let together = encoder.run_float(&all).unwrap();
    for (ids, together) in all.iter().zip(&together) {
        let alone = &encoder.run_float(std::slice::from_ref(ids)).unwrap()[0];
        assert_eq!(together.hidden.len(), 3);
        for (a, b) in alone.hidden.iter().zip(&together.hidden) {
            assert_eq!(a.dim(), (ids.len(), HIDDEN));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        let length: f32 = together.embedding.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_prefix_is_taken_and_other_tensors_are_left_alone() {
    let mut prefixed: Tensors =
        tensors().into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor)).collect();
    prefixed.insert("cls.predictions.bias".into(), (vec![3], vec![f32::NAN; 3]));
    let read = Encoder::read(&file(&prefixed), CONFIG.as_bytes()).unwrap();
    let ids = sequences(3);
    let (a, b) = (read.run_float(&ids).unwrap(), encoder().run_float(&ids).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| a.embedding == b.embedding));
}

#[test]
fn wrong_tensors_are_named() {
    const NAME: &str = "encoder.layer.1.output.dense.weight";
    let read = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors();
        change(&mut tensors);
        Encoder::read(&file(&tensors), CONFIG.as_bytes()).unwrap_err()
    };
    let missing = read(&|tensors| drop(tensors.remove(NAME)));
    assert!(matches!(missing, BertError::Missing { ref tensor } if tensor == NAME), "{missing}");
    let shape = read(&|tensors| tensors.get_mut(NAME).unwrap().0 = vec![INNER, HIDDEN]);
    assert!(
        matches!(&shape, BertError::Shape { tensor, expected, got }
            if tensor == NAME && *expected == [HIDDEN, INNER] && *got == [INNER, HIDDEN]),
        "{shape}"
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = read(&|tensors| tensors.get_mut(NAME).unwrap().1[77] = bad);
        assert!(
            matches!(&error, BertError::NotFinite { tensor, entry: 77, .. } if tensor == NAME),
            "{error}"
        );
    }
    assert!(error_text(&shape).contains("expected shape [32, 64], got [64, 32]"));
}

fn error_text(error: &BertError) -> String {
    error.to_string()
}

#[test]
fn other_types_than_floats_are_refused() {
    let bytes = vec![0; VOCABULARY * HIDDEN * 2];
    let view = TensorView::new(Dtype::I16, vec![VOCABULARY, HIDDEN], &bytes).unwrap();
    let file = safetensors::serialize([("embeddings.word_embeddings.weight", view)], None).unwrap();
    let error = Encoder::read(&file, CONFIG.as_bytes()).unwrap_err();
    assert!(matches!(error, BertError::Dtype { .. }), "{error}");
}

#[test]
fn unsupported_configurations_are_named() {
    let read = |from: &str, to: &str| {
        assert!(CONFIG.contains(from));
        Encoder::read(&FILE, CONFIG.replace(from, to).as_bytes()).unwrap_err()
    };
    for (from, to, name) in [
        ("\"gelu\"", "\"relu\"", "hidden_act"),
        ("\"absolute\"", "\"relative_key\"", "position_embedding_type"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 5", "num_attention_heads"),
        ("1e-12", "0.1", "layer_norm_eps"),
        ("1e-12", "-1.0", "layer_norm_eps"),
    ] {
        let error = read(from, to);
        assert!(
            matches!(error, BertError::Unsupported { field, .. } if field == name),
            "{name}: {error}"
        );
    }
    for (from, to, name) in [
        ("\"vocab_size\": 50", "\"vocab_size\": 0", "vocab_size"),
        ("\"vocab_size\": 50", "\"vocab_size\": 18446744073709551615", "vocab_size"),
        ("\"hidden_size\": 32", "\"hidden_size\": 65536", "hidden_size"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000", "num_hidden_layers"),
        ("\"intermediate_size\": 64", "\"intermediate_size\": 0", "intermediate_size"),
        ("\"num_attention_heads\": 2", "\"num_attention_heads\": 33", "num_attention_heads"),
    ] {
        let error = read(from, to);
        assert!(matches!(error, BertError::Limit { field, .. } if field == name), "{error}");
    }
    let more = read("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert!(matches!(more, BertError::Missing { .. }), "{more}");
    for broken in ["", "{", "[]", "{\"vocab_size\": -1}", "{}", "\u{0}"] {
        let error = Encoder::read(&FILE, broken.as_bytes()).unwrap_err();
        assert!(matches!(error, BertError::Config(_)), "{error}");
    }
    let long = vec![b' '; (1 << 20) + 1];
    assert!(matches!(Encoder::read(&FILE, &long), Err(BertError::Config(_))));
}

#[test]
fn truncated_files_are_refused() {
    for len in [0, 1, 7, 8, 9, 100, FILE.len() / 2, FILE.len() - 1] {
        let error = Encoder::read(&FILE[..len], CONFIG.as_bytes()).unwrap_err();
        assert!(matches!(error, BertError::File(_)), "{len}: {error}");
    }
    // A header that claims more bytes than any memory has.
    let mut hostile = FILE.clone();
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(Encoder::read(&hostile, CONFIG.as_bytes()), Err(BertError::File(_))));
}

#[test]
fn wrong_sequences_and_options_are_refused() {
    let encoder = encoder();
    let good = sequences(3);
    let quantise = |ids: &[Vec<u32>], options| encoder.quantise(ids, &options).unwrap_err();
    assert!(matches!(quantise(&[], EncoderOptions::default()), BertError::NoSequences));
    for (ids, sequence) in [(vec![vec![1], vec![]], 1), (vec![vec![1; POSITIONS + 1]], 0)] {
        let error = quantise(&ids, EncoderOptions::default());
        assert!(matches!(error, BertError::Sequence { sequence: s, .. } if s == sequence));
        assert!(matches!(encoder.run_float(&ids), Err(BertError::Sequence { .. })));
    }
    let error = quantise(&[vec![1, 50]], EncoderOptions::default());
    assert!(matches!(error, BertError::Token { sequence: 0, id: 50, vocabulary: 50 }));
    for value in [-0.1, 0.0, 100.1, f64::NAN] {
        let options =
            EncoderOptions { range: RangeMethod::Percentile(value), ..EncoderOptions::default() };
        assert!(matches!(quantise(&good, options), BertError::Option { option: "range", .. }));
    }
    for value in [-0.1, 1.1, f64::NAN] {
        let options = EncoderOptions { smoothing: Some(value), ..EncoderOptions::default() };
        let error = quantise(&good, options);
        assert!(matches!(error, BertError::Option { option: "smoothing", .. }));
    }
    assert!(matches!(bert::inputs(&[]), Err(BertError::NoSequences)));
    assert!(matches!(bert::inputs(&[vec![1], vec![]]), Err(BertError::Sequence { .. })));
    assert!(matches!(bert::inputs(&[vec![u32::MAX]]), Err(BertError::Token { .. })));
    assert!(encoder.run_float(&[]).unwrap().is_empty());
}

#[test]
fn extreme_weights_give_a_network_or_an_error() {
    for factor in [0.0, 1e-38, 1e-20, 1e6, 1e18, 1e30, 1e38] {
        for part in
            ["query.weight", "intermediate.dense.weight", "LayerNorm.weight", "bias", "words"]
        {
            let mut tensors = tensors();
            for (name, (_, entries)) in &mut tensors {
                if name.contains(part) || part == "words" && name.contains("word") {
                    entries.iter_mut().for_each(|entry| *entry *= factor);
                }
            }
            let encoder = Encoder::read(&file(&tensors), CONFIG.as_bytes()).unwrap();
            match encoder.quantise(&sequences(4), &EncoderOptions::default()) {
                Ok(quantised) => assert_eq!(quantised.report.len(), 4),
                Err(error) => assert!(
                    matches!(error, BertError::Activations { .. } | BertError::Scale { .. }),
                    "{part}·{factor}: {error}"
                ),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_files_never_panic(
        changes in prop::collection::vec((0usize..6000, any::<u8>()), 1..6),
        cut in prop::option::of(0usize..40_000),
    ) {
        let mut bytes = FILE.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        if let Ok(encoder) = Encoder::read(&bytes, CONFIG.as_bytes()) {
            let _ = encoder.run_float(&[vec![1, 2, 3]]);
        }
    }

    #[test]
    fn mutated_configurations_never_panic(at in 0..CONFIG.len(), byte in any::<u8>()) {
        let mut config = CONFIG.as_bytes().to_vec();
        config[at] = byte;
        let _ = Encoder::read(&FILE, &config);
    }

    #[test]
    fn mutated_networks_are_never_taken_for_another(
        program in any::<bool>(), at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let directory = tempfile::tempdir().unwrap();
        store::save(&NETWORK, directory.path()).unwrap();
        let name = if program { PROGRAM_FILE } else { CONSTANTS_FILE };
        let path = directory.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        if let Ok(network) = store::load(directory.path()) {
            // A changed shift, connection or extent is another program; the constants' bytes
            // stay the same.
            let pairs = || network.constants().iter().zip(NETWORK.constants());
            prop_assert!(pairs().all(|(a, b)| a.tensor.bytes() == b.tensor.bytes()));
            let same = network.program().program_id() == NETWORK.program().program_id();
            prop_assert!(!same || pairs().all(|(a, b)| a.tensor == b.tensor));
        }
    }
}

#[test]
fn networks_are_kept_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made").join("here");
    store::save(&NETWORK, &path).unwrap();
    // Saving also replaces an existing network.
    store::save(&NETWORK, &path).unwrap();
    let read = store::load(&path).unwrap();
    assert_eq!(read.program(), NETWORK.program());
    let ids = sequences(5);
    assert_eq!(run_integer(&read, &ids), run_integer(&NETWORK, &ids));
    let mut names: Vec<_> =
        std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [CONSTANTS_FILE, PROGRAM_FILE], "nothing else is left");
}

#[test]
fn broken_stores_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(matches!(store::load(path), Err(StoreError::Io { .. })));
    let fresh = || store::save(&NETWORK, path).unwrap();
    let cut = |name: &str, len: u64| {
        fresh();
        let file = std::fs::File::options().write(true).open(path.join(name)).unwrap();
        let len = if len == u64::MAX { file.metadata().unwrap().len() - 1 } else { len };
        file.set_len(len).unwrap();
        store::load(path).unwrap_err()
    };
    for len in [0, 10, 100, u64::MAX] {
        let error = cut(PROGRAM_FILE, len);
        assert!(matches!(error, StoreError::Program { .. }), "{len}: {error}");
        let error = cut(CONSTANTS_FILE, len);
        assert!(matches!(error, StoreError::Constants { .. }), "{len}: {error}");
    }
    for name in [PROGRAM_FILE, CONSTANTS_FILE] {
        // Far larger than memory, but sparse on disk.
        let error = cut(name, 1 << 34);
        assert!(matches!(error, StoreError::Size { .. }), "{error}");
    }
    fresh();
    std::fs::remove_file(path.join(CONSTANTS_FILE)).unwrap();
    assert!(matches!(store::load(path), Err(StoreError::Io { .. })));

    let other = encoder()
        .quantise(
            &sequences(20),
            &EncoderOptions { smoothing: Some(0.2), ..EncoderOptions::default() },
        )
        .unwrap();
    store::save(&other.network, path).unwrap();
    std::fs::write(path.join(PROGRAM_FILE), NETWORK.program().to_bytes()).unwrap();
    let error = store::load(path).unwrap_err();
    assert!(matches!(error, StoreError::Network { .. }), "{error}");

    let empty = safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
    std::fs::write(path.join(CONSTANTS_FILE), empty).unwrap();
    let error = store::load(path).unwrap_err();
    assert!(matches!(error, StoreError::Constant { index: 0, .. }), "{error}");
}
