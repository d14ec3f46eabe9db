//! Encoders in directories, compared with what transformers and
//! sentence-transformers compute (`scripts/make-encoder-fixtures.py`).

use poai_engine::Cpu;
use poai_import::bert::{
    self, BertError, Encoder, EncoderKind, EncoderOptions, HeadActivation, Pooling,
};
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CASES: [&str; 7] = [
    "bert",
    "bert-cased-first-token",
    "distilbert-tanh",
    "roberta-dense",
    "xlm-roberta-shards",
    "mpnet-long",
    "electra",
];

pub fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/encoders").join(name)
}

/// A copy of a case that a test may change.
pub fn copy(name: &str) -> tempfile::TempDir {
    fn files(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir(&to).unwrap();
                files(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    files(&case(name), directory.path());
    directory
}

pub struct Expected {
    pub ids: Vec<Vec<u32>>,
    pub embeddings: Vec<Vec<f64>>,
}

pub fn expected(name: &str) -> Expected {
    let file = fs::read(case(name).join("expected.json")).unwrap();
    let value: Value = serde_json::from_slice(&file).unwrap();
    Expected {
        ids: serde_json::from_value(value["ids"].clone()).unwrap(),
        embeddings: serde_json::from_value(value["embeddings"].clone()).unwrap(),
    }
}

pub fn load(name: &str) -> Encoder {
    Encoder::load(&case(name)).unwrap()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn floats_are_those_of_the_libraries() {
    for name in CASES {
        let Expected { ids, embeddings } = expected(name);
        let floats = load(name).run_float(&ids).unwrap();
        for (index, (float, expected)) in floats.iter().zip(&embeddings).enumerate() {
            assert_eq!(float.embedding.len(), expected.len(), "{name}");
            for (x, y) in float.embedding.iter().zip(expected) {
                assert!((f64::from(*x) - y).abs() < 2e-6, "{name} {index}: {x}, expected {y}");
            }
        }
    }
}

#[test]
fn integers_are_close_to_the_libraries() {
    // Measured: at least 0.9987, with random weights of 32 columns.
    for name in CASES {
        let Expected { ids, embeddings } = expected(name);
        let encoder = load(name);
        let quantised = encoder.quantise(&ids, &EncoderOptions::default()).unwrap();
        assert!(quantised.report.last().unwrap().relative_error < 0.05, "{:?}", quantised.report);
        let session = quantised.network.on(Arc::new(Cpu::new())).unwrap();
        let (shape, inputs) = bert::inputs(&ids).unwrap();
        let run = session.run((shape, inputs)).unwrap();
        let columns = encoder.embedding_columns();
        assert_eq!(run.output.extent().columns as usize, columns, "{name}");
        for (row, expected) in run.output.entries().chunks_exact(columns).zip(&embeddings) {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x) / quantised.unit).collect();
            let cosine = cosine(&row, expected);
            assert!(cosine > 0.998, "{name}: {cosine}");
            // The scale is right as well, which a cosine does not show.
            let length = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
            let ratio = length(&row) / length(expected);
            assert!((0.95..1.05).contains(&ratio), "{name}: {ratio}");
        }
    }
}

#[test]
fn what_the_files_state_is_read() {
    let heads = [
        ("bert", "mean of the tokens, length 1"),
        ("bert-cased-first-token", "first token, length 1"),
        ("distilbert-tanh", "mean of the tokens, product 32→16 with tanh"),
        ("roberta-dense", "mean of the tokens, product 32→24, length 1"),
        ("xlm-roberta-shards", "mean of the tokens, length 1"),
        ("mpnet-long", "mean of the tokens, product 32→24 with tanh, length 1"),
        ("electra", "first token, length 1"),
    ];
    for (name, text) in heads {
        assert_eq!(load(name).head().to_string(), text, "{name}");
    }
    let bert = load("bert");
    assert!(!bert.head().is_stated());
    assert_eq!((bert.tokens_max(), bert.states_tokens_max()), (24, false));
    let cased = load("bert-cased-first-token");
    assert!(cased.head().is_stated());
    assert_eq!(cased.head().pooling(), Pooling::FirstToken);
    assert_eq!((cased.tokens_max(), cased.states_tokens_max()), (12, true));
    let distilled = load("distilbert-tanh");
    let products: Vec<_> = distilled.head().products().collect();
    assert_eq!(products, [(32, 16, HeadActivation::Tanh)]);
    assert!(!distilled.head().normalises());
    assert_eq!(distilled.embedding_columns(), 16);
    assert_eq!((distilled.config().kind, distilled.config().types), (EncoderKind::DistilBert, 0));
    let roberta = load("roberta-dense");
    assert_eq!((roberta.config().positions, roberta.config().first_position), (22, 2));
    assert_eq!(roberta.config().padding, Some(1));
    let mpnet = load("mpnet-long");
    let config = mpnet.config();
    assert_eq!((config.kind, config.types), (EncoderKind::Mpnet, 0));
    assert_eq!((config.positions, config.first_position, config.padding), (130, 2, Some(1)));
    assert_eq!(load("electra").config().kind, EncoderKind::Bert);
}

#[test]
fn a_stated_length_is_cut_at_the_positions() {
    let model = copy("roberta-dense");
    let state = |limit: u64| {
        let text = json!({ "max_seq_length": limit }).to_string();
        fs::write(model.path().join("sentence_bert_config.json"), text).unwrap();
        Encoder::load(model.path())
    };
    assert_eq!(state(512).unwrap().tokens_max(), 22);
    assert_eq!(state(7).unwrap().tokens_max(), 7);
    assert!(matches!(state(0), Err(BertError::Layout { .. })));
}

#[test]
fn padding_in_a_sequence_of_roberta_is_refused() {
    let error = load("roberta-dense").run_float(&[vec![0, 5, 2], vec![0, 1, 2]]).unwrap_err();
    assert!(matches!(error, BertError::Padding { sequence: 1, id: 1 }), "{error}");
    let error = load("roberta-dense").run_float(&[vec![5; 23]]).unwrap_err();
    assert!(matches!(error, BertError::Sequence { limit: 22, .. }), "{error}");
}

#[test]
fn pooling_is_obeyed_or_refused_by_name() {
    let model = copy("distilbert-tanh");
    let path = model.path().join("1_Pooling/config.json");
    let read = |fields: Value| {
        fs::write(&path, fields.to_string()).unwrap();
        Encoder::load(model.path()).map(|encoder| encoder.head().pooling())
    };
    for (fields, pooling) in [
        (json!({}), Pooling::Mean),
        (json!({ "pooling_mode": "cls", "embedding_dimension": 32 }), Pooling::FirstToken),
        (json!({ "pooling_mode": ["mean"] }), Pooling::Mean),
        (json!({ "pooling_mode_cls_token": true }), Pooling::FirstToken),
    ] {
        assert_eq!(read(fields.clone()).unwrap(), pooling, "{fields}");
    }
    for (fields, says) in [
        (json!({ "pooling_mode_max_tokens": true }), "max_tokens"),
        (json!({ "pooling_mode": "lasttoken" }), "lasttoken"),
        (json!({ "pooling_mode_weightedmean_tokens": true }), "weightedmean_tokens"),
        (json!({ "pooling_mode": ["cls", "mean"] }), "cls and mean"),
        // The length of a mean matters to tanh.
        (json!({ "pooling_mode_mean_sqrt_len_tokens": true }), "mean_sqrt_len_tokens"),
    ] {
        let error = read(fields.clone()).unwrap_err();
        assert!(matches!(error, BertError::Module { .. }), "{fields}: {error}");
        let text = error.to_string();
        assert!(text.contains("1_Pooling/config.json") && text.contains(says), "{text}");
    }
    let error = read(json!({ "word_embedding_dimension": 64 })).unwrap_err();
    assert!(matches!(error, BertError::Layout { .. }), "{error}");
}

#[test]
fn dense_modules_are_obeyed_or_refused_by_name() {
    let model = copy("distilbert-tanh");
    let path = model.path().join("2_Dense/config.json");
    let stated: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let read = |field: &str, value: Value| {
        let mut fields = stated.clone();
        fields[field] = value;
        fs::write(&path, fields.to_string()).unwrap();
        Encoder::load(model.path())
    };
    let activation = |name: &str| read("activation_function", name.into());
    let relu = activation("torch.nn.modules.activation.ReLU").unwrap();
    assert_eq!(relu.head().products().next(), Some((32, 16, HeadActivation::Relu)));
    let ids = expected("distilbert-tanh").ids;
    let quantised = relu.quantise(&ids, &EncoderOptions::default()).unwrap();
    assert!(quantised.report.last().unwrap().relative_error < 0.05, "{:?}", quantised.report);
    let identity = activation("torch.nn.modules.linear.Identity").unwrap();
    assert_eq!(identity.head().to_string(), "mean of the tokens, product 32→16");

    for (field, value) in [
        ("activation_function", json!("torch.nn.modules.activation.GELU")),
        ("module_input_name", json!("token_embeddings")),
        ("use_residual", json!(true)),
    ] {
        let error = read(field, value).unwrap_err();
        assert!(matches!(error, BertError::Module { .. }), "{field}: {error}");
    }
    for (field, value) in [
        ("in_features", json!(16)),
        ("out_features", json!(0)),
        ("out_features", json!(1 << 30)),
        ("bias", json!("yes")),
    ] {
        let error = read(field, value).unwrap_err();
        assert!(matches!(error, BertError::Layout { .. }), "{field}: {error}");
    }
    let error = read("out_features", json!(15)).unwrap_err();
    assert!(matches!(error, BertError::Shape { .. }), "{error}");
    fs::write(&path, stated.to_string()).unwrap();
    let weights = model.path().join("2_Dense/model.safetensors");
    fs::rename(&weights, model.path().join("2_Dense/pytorch_model.bin")).unwrap();
    let error = Encoder::load(model.path()).unwrap_err();
    assert!(matches!(error, BertError::Pickled { .. }), "{error}");
    assert!(error.to_string().contains("SentenceTransformer(DIR)"), "{error}");
}

#[test]
fn other_modules_are_refused_by_name() {
    let model = copy("bert-cased-first-token");
    let read = |text: &str| {
        fs::write(model.path().join("modules.json"), text).unwrap();
        Encoder::load(model.path())
    };
    let of = |modules: &[(&str, &str)]| {
        let listed = modules.iter().map(|(path, kind)| json!({ "path": path, "type": kind }));
        read(&Value::from_iter(listed).to_string())
    };
    let first = ("", "sentence_transformers.base.modules.transformer.Transformer");
    // Without a number, so that lists may leave it out.
    fs::rename(model.path().join("1_Pooling"), model.path().join("pooling")).unwrap();
    let pooled = ("pooling", "sentence_transformers.models.Pooling");
    let plain = of(&[first, pooled, ("", "sentence_transformers.models.Dropout")]).unwrap();
    assert_eq!(plain.head().to_string(), "first token");
    for modules in [
        vec![("", "sentence_transformers.models.CLIPModel"), pooled],
        vec![first],
        vec![first, ("", "sentence_transformers.models.CNN"), pooled],
        vec![first, pooled, ("", "sentence_transformers.models.LSTM")],
    ] {
        let error = of(&modules).unwrap_err();
        assert!(matches!(error, BertError::Module { .. }), "{modules:?}: {error}");
    }
    // The folder of a module that the file does not list.
    for folder in ["2_Dense", "17_LayerNorm"] {
        fs::create_dir(model.path().join(folder)).unwrap();
        assert!(of(&[first, pooled]).is_ok(), "an empty folder is no module");
        fs::write(model.path().join(folder).join("config.json"), "{}").unwrap();
        let error = of(&[first, pooled]).unwrap_err();
        assert!(matches!(error, BertError::Layout { .. }), "{error}");
        assert!(error.to_string().contains(folder), "{error}");
        fs::remove_dir_all(model.path().join(folder)).unwrap();
    }
    for path in ["../1_Pooling", "/etc", "a/../../b"] {
        let error = of(&[first, (path, pooled.1)]).unwrap_err();
        assert!(matches!(error, BertError::Layout { .. }), "{path}: {error}");
        let error = of(&[(path, first.1), pooled]).unwrap_err();
        assert!(matches!(error, BertError::Layout { .. }), "{path}: {error}");
    }
    for text in ["", "[]", "{}", "[{}]", "[1]", "\u{0}"] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, BertError::Layout { .. }), "{text:?}: {error}");
    }
    let error = of(&[first, ("9_Pooling", pooled.1)]).unwrap_err();
    assert!(matches!(error, BertError::Read { .. }), "{error}");
}

#[test]
fn a_module_without_modules_json_is_refused() {
    let model = copy("bert-cased-first-token");
    fs::remove_file(model.path().join("modules.json")).unwrap();
    let error = Encoder::load(model.path()).unwrap_err();
    assert!(matches!(error, BertError::Layout { .. }), "{error}");
    assert!(error.to_string().contains("1_Pooling"), "{error}");
}

#[test]
fn pickled_weights_are_refused_with_how_to_convert() {
    let model = copy("bert");
    let weights = model.path().join("model.safetensors");
    fs::rename(&weights, model.path().join("pytorch_model.bin")).unwrap();
    let error = Encoder::load(model.path()).unwrap_err();
    assert!(matches!(error, BertError::Pickled { .. }), "{error}");
    assert!(error.to_string().contains("AutoModel.from_pretrained(DIR)"), "{error}");
    fs::remove_file(model.path().join("pytorch_model.bin")).unwrap();
    let error = Encoder::load(model.path()).unwrap_err();
    assert!(matches!(error, BertError::Read { ref path, .. } if *path == weights), "{error}");
}

#[test]
fn indices_are_not_trusted() {
    let model = copy("xlm-roberta-shards");
    let path = model.path().join("0_Transformer/model.safetensors.index.json");
    let stated: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    const TENSOR: &str = "encoder.layer.0.output.dense.weight";
    let read = |file: Value| {
        let mut index = stated.clone();
        index["weight_map"][TENSOR] = file;
        fs::write(&path, index.to_string()).unwrap();
        Encoder::load(model.path()).unwrap_err()
    };
    let other = match stated["weight_map"][TENSOR].as_str().unwrap() {
        "model-00001-of-00002.safetensors" => "model-00002-of-00002.safetensors",
        _ => "model-00001-of-00002.safetensors",
    };
    let error = read(other.into());
    assert!(matches!(&error, BertError::Missing { tensor } if tensor == TENSOR), "{error}");
    for outside in ["../config.json", "/etc/passwd"] {
        let error = read(outside.into());
        assert!(matches!(error, BertError::Layout { .. }), "{error}");
    }
    assert!(matches!(read(1.into()), BertError::Layout { .. }));
    assert!(matches!(read("none.safetensors".into()), BertError::Read { .. }));
    assert!(matches!(read("config.json".into()), BertError::File(_)));
}

/// A file's tensors under other names and with other entries.
fn rewritten(
    name: &str,
    change: impl Fn(&str, &TensorView<'_>) -> (String, Dtype, Vec<u8>),
) -> Vec<u8> {
    let bytes = fs::read(case(name).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let all: Vec<_> =
        file.iter().map(|(name, view)| (change(name, &view), view.shape().to_vec())).collect();
    let views = all.iter().map(|((name, dtype, bytes), shape)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn entries_of_64_bits_are_the_same_numbers() {
    let wide = rewritten("bert", |name, view| {
        let words = view.data().as_chunks::<4>().0;
        let entries = words.iter().map(|&word| f64::from(f32::from_le_bytes(word)));
        (name.to_owned(), Dtype::F64, entries.flat_map(f64::to_le_bytes).collect())
    });
    let config = fs::read(case("bert").join("config.json")).unwrap();
    let ids = expected("bert").ids;
    let floats = Encoder::read(&wide, &config).unwrap().run_float(&ids).unwrap();
    for (a, b) in floats.iter().zip(load("bert").run_float(&ids).unwrap()) {
        assert_eq!(a.embedding, b.embedding);
    }
    // Beyond f32.
    let large = rewritten("bert", |name, view| {
        let count = view.data().len() / 4;
        (name.to_owned(), Dtype::F64, 1e300f64.to_le_bytes().repeat(count))
    });
    let error = Encoder::read(&large, &config).unwrap_err();
    assert!(matches!(error, BertError::NotFinite { .. }), "{error}");
}

#[test]
fn every_prefix_is_taken() {
    let config = fs::read(case("bert").join("config.json")).unwrap();
    let ids = expected("bert").ids;
    let own = load("bert").run_float(&ids).unwrap();
    for prefix in ["", "roberta.", "distilbert.", "electra.", "mpnet."] {
        let renamed = rewritten("bert", |name, view| {
            let name = name.strip_prefix("bert.").unwrap();
            (format!("{prefix}{name}"), view.dtype(), view.data().to_vec())
        });
        let floats = Encoder::read(&renamed, &config).unwrap().run_float(&ids).unwrap();
        assert!(floats.iter().zip(&own).all(|(a, b)| a.embedding == b.embedding), "{prefix}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_layouts_never_panic(
        file in 0usize..7, at in any::<prop::sample::Index>(), byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let (name, file) = [
            ("distilbert-tanh", "modules.json"),
            ("distilbert-tanh", "1_Pooling/config.json"),
            ("distilbert-tanh", "2_Dense/config.json"),
            ("distilbert-tanh", "2_Dense/model.safetensors"),
            ("xlm-roberta-shards", "0_Transformer/config.json"),
            ("xlm-roberta-shards", "0_Transformer/model.safetensors.index.json"),
            ("bert-cased-first-token", "sentence_bert_config.json"),
        ][file];
        let model = copy(name);
        let path = model.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        fs::write(&path, bytes).unwrap();
        if let Ok(encoder) = Encoder::load(model.path()) {
            let _ = encoder.quantise(&[vec![0, 5, 2]], &EncoderOptions::default());
        }
    }
}
