//! `poai embed` on a tiny model that the test makes.

use crate::program::command;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

const CONFIG: &str = r#"{"model_type": "bert", "hidden_act": "gelu", "vocab_size": 10,
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 1024, "max_position_embeddings": 24, "type_vocab_size": 2}"#;

/// A model of ten words whose weights are waves. Its last product is deep
/// enough to be mined.
fn make_model(directory: &Path) {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![10, 32]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![24, 32]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 32]),
    ];
    let dense = [
        ("attention.self.query", 32, 32),
        ("attention.self.key", 32, 32),
        ("attention.self.value", 32, 32),
        ("attention.output.dense", 32, 32),
        ("intermediate.dense", 1024, 32),
        ("output.dense", 32, 1024),
    ];
    for (name, outputs, inputs) in dense {
        shapes.push((format!("encoder.layer.0.{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("encoder.layer.0.{name}.bias"), vec![outputs]));
    }
    for name in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        shapes.push((format!("{name}.LayerNorm.weight"), vec![32]));
        shapes.push((format!("{name}.LayerNorm.bias"), vec![32]));
    }
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .enumerate()
        .map(|(index, (name, shape))| {
            let count: usize = shape.iter().product();
            let middle = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let wave = |at: usize| middle + 0.3 * ((at * 7 + index * 13) as f32).sin();
            let bytes = (0..count).flat_map(|at| wave(at).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(directory.join("model.safetensors"), bytes).unwrap();
    std::fs::write(directory.join("config.json"), CONFIG).unwrap();
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "blue", "sky", "."];
    std::fs::write(directory.join("vocab.txt"), words.join("\n") + "\n").unwrap();
}

fn embed(model: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command()
        .args(["embed", "--model"])
        .arg(model)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends early does not read its input.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn embedding(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn json_has_an_embedding_a_sentence_and_the_run() {
    let model = tempfile::tempdir().unwrap();
    make_model(model.path());
    let text = "red sky\n\ngreen sky .\nRed sky\n";
    let arguments = ["--text", "-", "--json", "--sequence", "20", "--difficulty", "1"];
    let found = json(&embed(model.path(), &arguments, text));
    let embeddings: Vec<_> =
        found["embeddings"].as_array().unwrap().iter().map(embedding).collect();
    assert_eq!(embeddings.len(), 3);
    for embedding in &embeddings {
        assert_eq!(embedding.len(), 32);
        assert!((embedding.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-9);
    }
    assert_eq!(embeddings[0], embeddings[2], "sentences are lower-cased");
    assert_ne!(embeddings[0], embeddings[1]);
    assert_eq!(found["trace_root"].as_str().unwrap().len(), 64);
    assert_eq!(found["trace_roots"].as_array().unwrap().len(), 1);
    assert!(found["macs"].as_u64().unwrap() > 0);
    assert_eq!(found["tickets"], found["won"], "every ticket wins at difficulty 1");
    assert!(found["tickets"].as_u64().unwrap() > 0);

    // Another backend gives the same result.
    let arguments = [&arguments[..], &["--backend", "cpu-scalar"]].concat();
    let scalar = json(&embed(model.path(), &arguments, text));
    for field in ["embeddings", "trace_root", "tickets", "ticket"] {
        assert_eq!(found[field], scalar[field], "{field}");
    }
}

#[test]
fn without_arguments_pairs_are_compared() {
    let model = tempfile::tempdir().unwrap();
    make_model(model.path());
    let output = embed(model.path(), &["--sequence", "24"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for line in ["work ", "trace root ", "tickets "] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let model = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], input: &str, says: &str| {
        let output = embed(model.path(), arguments, input);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(output.stdout.is_empty());
        assert!(text.contains(says), "{text:?} does not say {says:?}");
    };
    fails(&[], "", "scripts/fetch-minilm.sh");
    let missing = embed(&model.path().join("none"), &[], "");
    let missing = String::from_utf8(missing.stderr).unwrap();
    assert!(missing.contains("scripts/fetch-minilm.sh"), "{missing}");
    make_model(model.path());
    fails(&["--text", "-"], "", "expected a sentence a line");
    fails(&["--text", "-"], " \n\t\n", "expected a sentence a line");
    fails(&["--text", "missing.txt"], "", "missing.txt");
    fails(&["--backend", "abacus"], "", "abacus");
    fails(&["--challenge", "12"], "", "hexadecimal");
    fails(&["--sequence", "2"], "", "--sequence");
    let whole = std::fs::read(model.path().join("model.safetensors")).unwrap();
    std::fs::write(model.path().join("model.safetensors"), &whole[..1000]).unwrap();
    fails(&["--sequence", "24"], "", "safetensors");
    std::fs::write(model.path().join("config.json"), CONFIG.replace("gelu", "relu")).unwrap();
    fails(&["--sequence", "24"], "", "hidden_act");
    std::fs::write(model.path().join("vocab.txt"), "red\n").unwrap();
    fails(&[], "", "vocab.txt");
}

#[test]
fn sentences_are_cut_at_what_the_model_takes() {
    let model = tempfile::tempdir().unwrap();
    make_model(model.path());
    let long = "red ".repeat(40);
    let cut = |arguments: &[&str]| {
        let arguments = [&["--text", "-", "--json"], arguments].concat();
        json(&embed(model.path(), &arguments, &long))
    };
    // The model has 24 positions.
    let whole = cut(&[]);
    assert_eq!(whole["sequence"], 24);
    assert_eq!(cut(&["--sequence", "300"])["embeddings"], whole["embeddings"]);
    let short = cut(&["--sequence", "9"]);
    assert_eq!(short["sequence"], 9);
    assert_ne!(short["embeddings"], whole["embeddings"]);
    let stated = |name: &str, text: &str| std::fs::write(model.path().join(name), text).unwrap();
    stated("tokenizer_config.json", r#"{"model_max_length": 16}"#);
    assert_eq!(cut(&[])["sequence"], 16);
    stated("sentence_bert_config.json", r#"{"max_seq_length": 12}"#);
    assert_eq!(cut(&[])["sequence"], 12);
    let said = embed(model.path(), &["--text", "-", "--sequence", "20"], &long);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("at most 12 a sentence, the most of this model"), "{said}");
    assert!(said.contains("mean of the tokens, length 1 (no modules.json)"), "{said}");
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/encoders").join(name)
}

#[test]
fn embeddings_are_close_to_those_of_the_libraries() {
    for (name, head, sequence) in [
        ("bert", "mean of the tokens, length 1", 24),
        ("bert-cased-first-token", "first token, length 1", 12),
        ("distilbert-tanh", "mean of the tokens, product 32→16 with tanh", 24),
        ("roberta-dense", "mean of the tokens, product 32→24, length 1", 22),
        ("xlm-roberta-shards", "mean of the tokens, length 1", 22),
        ("mpnet-long", "mean of the tokens, product 32→24 with tanh, length 1", 130),
        ("electra", "first token, length 1", 24),
    ] {
        let file = std::fs::read(case(name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&file).unwrap();
        let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
        let found = json(&embed(&case(name), &["--text", "-", "--json"], &texts.join("\n")));
        assert_eq!(found["head"], head, "{name}");
        assert_eq!(found["sequence"], sequence, "{name}");
        let pairs = [&found, &expected].map(|value| value["embeddings"].as_array().unwrap());
        assert_eq!(pairs[0].len(), pairs[1].len());
        for (own, theirs) in pairs[0].iter().zip(pairs[1]) {
            let (own, theirs) = (embedding(own), embedding(theirs));
            assert_eq!(own.len(), theirs.len(), "{name}");
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            let cosine = dot(&own, &theirs) / (dot(&own, &own) * dot(&theirs, &theirs)).sqrt();
            // Measured: at least 0.9984, calibrated with the bundled sentences.
            assert!(cosine > 0.99, "{name}: {cosine}");
        }
    }
}

#[test]
fn models_that_cannot_be_read_say_what_to_do() {
    let model = tempfile::tempdir().unwrap();
    make_model(model.path());
    let fails = |says: &str| {
        let output = embed(model.path(), &[], "");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(says) && !text.contains("fetch-minilm"), "{text}");
    };
    let weights = model.path().join("model.safetensors");
    std::fs::rename(&weights, model.path().join("pytorch_model.bin")).unwrap();
    fails("transformers.AutoModel.from_pretrained(DIR)");
    let config = model.path().join("config.json");
    std::fs::write(&config, CONFIG.replace("\"bert\"", "\"gpt2\"")).unwrap();
    fails("expected model_type to be bert, distilbert");
    std::fs::remove_file(model.path().join("vocab.txt")).unwrap();
    fails("expected tokenizer.json, vocab.txt");
    std::fs::write(model.path().join("modules.json"), "[]").unwrap();
    fails("modules.json");
}
