//! Settings and tensors that the reader does not know are refused by name.

use crate::fixture;
use poai_decoder::{DecoderCheckpoint, DecoderError, FloatDecoder};
use serde_json::{Value, json};

/// Opens a fixture with a field of its settings changed; null removes it.
fn with(name: &str, field: &str, value: Value) -> Result<DecoderCheckpoint, DecoderError> {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[field] = value;
    std::fs::write(&path, config.to_string()).unwrap();
    DecoderCheckpoint::open(folder.path())
}

#[track_caller]
fn refused(result: Result<DecoderCheckpoint, DecoderError>, part: &str) {
    let text = match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("expected {part:?}, got a model"),
    };
    assert!(text.contains(part), "expected {part:?} in {text:?}");
}

#[test]
fn unknown_settings_are_refused_by_name() {
    assert!(with("llama", "use_cache", json!(false)).is_ok());
    refused(with("llama", "residual_multiplier", json!(0.2)), "residual_multiplier");
    refused(with("llama", "model_type", json!("granite")), "granite");
    refused(with("llama", "hidden_act", json!("relu")), "relu");
    refused(with("llama", "pretraining_tp", json!(2)), "pretraining_tp");
    refused(with("llama", "vocab_size", json!(null)), "vocab_size");
    refused(with("llama", "vocab_size", json!(0)), "vocabulary");
    refused(with("llama", "num_hidden_layers", json!(1u64 << 60)), "num_hidden_layers");
    refused(with("llama", "hidden_size", json!(1u64 << 60)), "size");
    refused(with("llama", "num_attention_heads", json!(0)), "heads");
    refused(with("llama", "num_key_value_heads", json!(3)), "heads of keys");
    refused(with("llama", "rms_norm_eps", json!(-1.0)), "epsilon");
    refused(with("llama", "head_dim", json!(7)), "rotary columns");
    refused(with("llama3", "rope_local_base_freq", json!(1.0)), "rope_local_base_freq");
    for kind in ["yarn", "dynamic", "longrope", "proportional"] {
        let rope = json!({"rope_type": kind, "rope_theta": 1e4, "factor": 2.0});
        refused(with("llama", "rope_parameters", rope), kind);
    }
    let rope = json!({"rope_type": "default", "rope_theta": 1e4, "truncate": true});
    refused(with("llama", "rope_parameters", rope), "truncate");
    let rope = json!({"rope_type": "linear", "rope_theta": 1e4});
    refused(with("llama", "rope_parameters", rope), "factor");
    refused(with("gemma3", "use_bidirectional_attention", json!(true)), "bidirectional");
    refused(with("gemma3", "attn_logit_softcapping", json!(50.0)), "attn_logit_softcapping");
    refused(with("gemma3", "layer_types", json!(["full_attention"])), "layer_types");
    refused(with("mistral", "sliding_window", json!(0)), "window");
}

#[test]
fn tensors_that_settings_do_not_explain_are_refused() {
    // Biases without their flag, layers beyond the number.
    refused(with("llama-biases", "mlp_bias", json!(false)), "mlp");
    refused(with("llama-biases", "num_hidden_layers", json!(1)), "model.layers.1.");
    let opened = with("llama", "num_hidden_layers", json!(2)).unwrap();
    refused(FloatDecoder::load(&opened).map(|_| opened_again()), "model.layers.1.");
    let opened = with("llama", "intermediate_size", json!(47)).unwrap();
    refused(FloatDecoder::load(&opened).map(|_| opened_again()), "gate_proj");
}

fn opened_again() -> DecoderCheckpoint {
    DecoderCheckpoint::open(&fixture("llama")).unwrap()
}

#[test]
fn wrong_prompts_are_refused() {
    let decoder = FloatDecoder::load(&opened_again()).unwrap();
    let run = |ids: &[u32]| decoder.logits(ids, &mut |_, _, _| ()).unwrap_err();
    assert!(matches!(run(&[]), DecoderError::Length { tokens: 0, limit: 64 }));
    assert!(matches!(run(&[1; 65]), DecoderError::Length { tokens: 65, limit: 64 }));
    assert!(matches!(run(&[288]), DecoderError::Token { id: 288, vocabulary: 288 }));
}

#[test]
fn a_shard_outside_the_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = fixture("llama").join("config.json");
    std::fs::copy(config, folder.path().join("config.json")).unwrap();
    for file in ["../model.safetensors", "/etc/passwd", "a/b"] {
        let index = json!({"weight_map": {"model.norm.weight": file}}).to_string();
        std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        refused(DecoderCheckpoint::open(folder.path()), file);
    }
}
