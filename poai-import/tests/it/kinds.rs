//! Kinds of encoders: MPNet's biases of scores, other names of the same network,
//! and those that are refused.

use crate::encoders::{case, copy, expected, load};
use poai_core::program::{Op, ValueId};
use poai_core::{Beacon, Job, Prover};
use poai_engine::Cpu;
use poai_import::bert::{self, BertError, Encoder, EncoderOptions};
use poai_verify::trace::{Checker, TraceRules};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Sets a field of a model's `config.json`, or removes it, and reads the model.
fn with_field(model: &Path, field: &str, value: Value) -> Result<Encoder, BertError> {
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    match value {
        Value::Null => drop(config.as_object_mut().unwrap().remove(field)),
        value => config[field] = value,
    }
    fs::write(&path, config.to_string()).unwrap();
    Encoder::load(model)
}

/// The tensor of biases with other entries.
fn with_biases(encoder: &str, change: impl Fn(f32) -> f32) -> Encoder {
    const NAME: &str = "mpnet.encoder.relative_attention_bias.weight";
    let bytes = fs::read(case(encoder).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let halves = file.tensor(NAME).unwrap();
    assert_eq!(halves.shape(), [32, 2]);
    let halves = halves.data().as_chunks::<2>().0;
    // All are normal numbers.
    let wide = halves.iter().map(|&half| {
        let half = u32::from(u16::from_le_bytes(half));
        let (sign, rest) = (half >> 15 << 31, half & 0x7fff);
        assert!(rest >> 10 != 0);
        f32::from_bits(sign | ((rest << 13) + ((127 - 15) << 23)))
    });
    let entries: Vec<u8> = wide.flat_map(|entry| change(entry).to_le_bytes()).collect();
    let tensors = file.iter().map(|(name, view)| match name {
        NAME => (name, TensorView::new(safetensors::Dtype::F32, vec![32, 2], &entries).unwrap()),
        _ => (name, view),
    });
    let bytes = safetensors::serialize(tensors, None).unwrap();
    Encoder::read(&bytes, &fs::read(case(encoder).join("config.json")).unwrap()).unwrap()
}

/// The integers follow the biases. Without them, the float model is far from
/// the integers of the model that has them, so the comparison is of biases too.
#[test]
fn biases_reach_the_integers() {
    let ids = expected("mpnet-long").ids;
    let with = with_biases("mpnet-long", |bias| bias);
    let without = with_biases("mpnet-long", |_| 0.0);
    let quantised = with.quantise(&ids, &EncoderOptions::default()).unwrap();
    assert!(quantised.report.iter().all(|place| place.relative_error < 0.05));
    let session = quantised.network.on(Arc::new(Cpu::new())).unwrap();
    let output = session.run(bert::inputs(&ids).unwrap()).unwrap().output.entries();
    let distance = |encoder: &Encoder| {
        let floats = encoder.run_float(&ids).unwrap();
        let floats = floats.iter().flat_map(|float| &float.embedding);
        let pairs = output.iter().map(|&x| f64::from(x) / quantised.unit).zip(floats);
        pairs.map(|(x, &y)| (x - f64::from(y)).powi(2)).sum::<f64>().sqrt()
    };
    let (near, far) = (distance(&with), distance(&without));
    assert!(far > 5.0 * near, "{near} with the biases, {far} without");
}

/// A constant added to every bias of a head changes no weight: the largest score
/// is subtracted. So embeddings stay, in floats and in integers, but for the
/// rounding of floats, of which the integers' scales are made.
#[test]
fn equal_biases_change_nothing() {
    let ids = expected("mpnet-long").ids;
    let [none, equal] = [0.0, 2.0].map(|bias| with_biases("mpnet-long", |_| bias));
    let floats = |encoder: &Encoder| encoder.run_float(&ids).unwrap();
    for (a, b) in floats(&none).iter().zip(&floats(&equal)) {
        let pairs = a.embedding.iter().zip(&b.embedding);
        assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 1e-5));
    }
    let output = |encoder: &Encoder| {
        let quantised = encoder.quantise(&ids, &EncoderOptions::default()).unwrap();
        let session = quantised.network.on(Arc::new(Cpu::new())).unwrap();
        session.run(bert::inputs(&ids).unwrap()).unwrap().output.entries()
    };
    for (x, y) in output(&none).into_iter().zip(output(&equal)) {
        assert!((x - y).abs() < 200, "{x} and {y} of 2^14");
    }
}

/// A traced run of MPNet passes an audit, and a wrong score weight is convicted.
#[test]
fn traces_of_biased_attention_are_checked() {
    let ids = expected("mpnet-long").ids;
    let quantised = load("mpnet-long").quantise(&ids, &EncoderOptions::default()).unwrap();
    let program = quantised.network.program().clone();
    let relative = |op: &Op| matches!(op, Op::RelativeAttentionWeights { .. });
    assert_eq!(program.steps().iter().filter(|step| relative(&step.op)).count(), 2);
    // One constant for both layers.
    let biases = program.constants().iter().filter(|constant| constant.name == "score biases");
    assert_eq!(biases.count(), 1);

    let session = quantised.network.on(Arc::new(Cpu::new())).unwrap();
    let trace = session.trace(bert::inputs(&ids[..3]).unwrap()).unwrap().trace;
    let checker = Checker::new(program.clone(), TraceRules::DEFAULT);
    let (receipt, beacon) = (trace.receipt(Job([1; 32]), Prover([2; 32])), Beacon([3; 32]));
    checker.audit(&receipt, &beacon, &trace.audit(&receipt, &beacon).unwrap()).unwrap();

    let value = (0..program.values() as u32)
        .map(ValueId)
        .find(|&value| program.step_of(value).is_some_and(|step| relative(&step.op)))
        .unwrap();
    let right = trace.value(value).unwrap();
    let mut entries = right.entries();
    entries[1] -= entries[1].signum().max(0) * 2 - 1;
    let extent = *right.extent();
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    let wrong = poai_engine::execute::Tensor::new(rows, columns, extent.dtype, &entries).unwrap();
    let faulty = trace.with_fault(value, wrong).unwrap();
    let proof = faulty.find_fraud().unwrap().unwrap();
    assert_eq!(checker.fraud(&faulty.root(), &proof).unwrap().value, value);
    assert!(trace.find_fraud().unwrap().is_none());
}

#[test]
fn mpnet_has_the_buckets_and_the_padding_of_the_library() {
    let model = copy("mpnet-long");
    let set = |field, value| with_field(model.path(), field, value);
    for buckets in [31, 64] {
        let error = set("relative_attention_num_buckets", json!(buckets)).unwrap_err();
        let says =
            format!("relative_attention_num_buckets to be 32, for mpnet only, got {buckets}");
        assert!(error.to_string().contains(&says), "{error}");
    }
    assert!(set("relative_attention_num_buckets", Value::Null).is_ok());
    // transformers has this number in its code.
    let encoder = set("pad_token_id", json!(5)).unwrap();
    assert_eq!(encoder.config().padding, Some(1));
    let error = encoder.run_float(&[vec![0, 1, 2]]).unwrap_err();
    assert!(matches!(error, BertError::Padding { id: 1, .. }), "{error}");
    let error = set("max_position_embeddings", json!(2)).unwrap_err();
    assert!(matches!(error, BertError::Limit { .. }), "{error}");
    // Another encoder with such biases is another network.
    let bert = copy("bert");
    let error = with_field(bert.path(), "relative_attention_num_buckets", json!(32)).unwrap_err();
    assert!(matches!(error, BertError::Unsupported { .. }), "{error}");
}

#[test]
fn missing_and_misshapen_biases_are_named() {
    const NAME: &str = "mpnet.encoder.relative_attention_bias.weight";
    let config = fs::read(case("mpnet-long").join("config.json")).unwrap();
    let bytes = fs::read(case("mpnet-long").join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let others = || file.iter().filter(|(name, _)| *name != NAME);
    let read = |bytes: Vec<u8>| Encoder::read(&bytes, &config).unwrap_err();
    let error = read(safetensors::serialize(others(), None).unwrap());
    assert!(matches!(&error, BertError::Missing { tensor } if tensor == NAME), "{error}");
    let biases = file.tensor(NAME).unwrap();
    let turned = TensorView::new(biases.dtype(), vec![2, 32], biases.data()).unwrap();
    let all = others().chain([(NAME, turned)]);
    let error = read(safetensors::serialize(all, None).unwrap());
    assert!(matches!(&error, BertError::Shape { tensor, .. } if tensor == NAME), "{error}");
}

/// The same network under another name gives the same embeddings.
#[test]
fn other_types_of_the_same_network_are_read() {
    for (name, types) in [
        ("bert", &["electra"][..]),
        ("roberta-dense", &["xlm-roberta", "camembert"]),
        ("electra", &["bert"]),
    ] {
        let ids = expected(name).ids;
        let own = load(name).run_float(&ids).unwrap();
        let model = copy(name);
        // ELECTRA states the columns of its words.
        with_field(model.path(), "embedding_size", json!(32)).unwrap();
        for kind in types {
            let encoder = with_field(model.path(), "model_type", json!(kind)).unwrap();
            let floats = encoder.run_float(&ids).unwrap();
            let same = floats.iter().zip(&own).all(|(a, b)| a.embedding == b.embedding);
            assert!(same, "{name} as {kind}");
        }
    }
}

#[test]
fn other_networks_are_refused_by_their_type() {
    let model = copy("bert");
    for kind in [
        "albert",
        "deberta",
        "deberta-v2",
        "gpt2",
        "modernbert",
        "nomic_bert",
        "roberta-prelayernorm",
        "t5",
        "xlm-roberta-xl",
    ] {
        let error = with_field(model.path(), "model_type", json!(kind)).unwrap_err();
        assert!(matches!(error, BertError::ModelType { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("got {kind}; use an encoder of one of these")), "{text}");
        assert!(text.contains("mpnet"), "{text}");
    }
    // The type is named before the weights are asked for.
    let weights = model.path().join("model.safetensors");
    fs::rename(&weights, model.path().join("pytorch_model.bin")).unwrap();
    let error = Encoder::load(model.path()).unwrap_err();
    assert!(matches!(error, BertError::ModelType { .. }), "{error}");
    let error = with_field(model.path(), "model_type", json!("mpnet")).unwrap_err();
    assert!(error.to_string().contains("AutoModel.from_pretrained(DIR)"), "{error}");
}

/// ELECTRA's small models project their words, which BERT does not.
#[test]
fn electra_that_projects_its_words_is_refused() {
    let model = copy("electra");
    for (size, got) in [(json!(16), "16"), (Value::Null, "128")] {
        let error = with_field(model.path(), "embedding_size", size).unwrap_err();
        let says = "embedding_size to be hidden_size, as in ELECTRA's base and large models, got ";
        assert!(error.to_string().contains(&format!("{says}{got}")), "{error}");
    }
}
