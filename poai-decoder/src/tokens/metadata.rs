//! The tokeniser that a GGUF file carries, as the JSON of the crate tokenizers.

use crate::DecoderError;
use crate::gguf::Gguf;
use gguf_rs_lib::format::metadata::MetadataValue;
use serde_json::{Map, Value, json};

/// The expressions that divide text, as the models' own files have them.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The kinds of tokens in `tokenizer.ggml.token_type` that are matched as a
/// whole in a text: control tokens, and those that a user added.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// The tokeniser, and the token before every text if the file adds one.
pub(super) fn json(file: &Gguf) -> Result<(Value, Option<u32>), DecoderError> {
    let name = |part: &str| format!("tokenizer.ggml.{part}");
    match file.text(&name("model")) {
        Some("gpt2") => {}
        other => {
            let got = other.unwrap_or("none");
            return Err(wrong("tokenizer.ggml.model gpt2", got, "use tokenizer.json"));
        }
    }
    let [split, normalizer, ignore_merges] = pre_tokeniser(file.text(&name("pre")))?;
    let words = texts(file, &name("tokens"))?;
    let merges = texts(file, &name("merges"))?;
    let kinds: Vec<u64> = match file.value(&name("token_type")) {
        Some(MetadataValue::Array(kinds)) if kinds.values.len() == words.len() => {
            let number = |kind: &MetadataValue| match kind.as_i64().map(u64::try_from) {
                Some(Ok(kind)) => kind,
                _ => kind.as_u64().unwrap_or_default(),
            };
            kinds.values.iter().map(number).collect()
        }
        Some(_) => return Err(wrong("a token_type of each token", "others", "convert again")),
        None => vec![1; words.len()],
    };
    let mut vocabulary = Map::new();
    let mut added = vec![];
    for (id, (word, kind)) in words.iter().zip(&kinds).enumerate() {
        if vocabulary.insert((*word).to_owned(), id.into()).is_some() {
            let word: String = word.chars().take(64).collect();
            return Err(wrong("each token once", &format!("{word:?} twice"), "convert again"));
        }
        if [CONTROL, USER_DEFINED].contains(kind) {
            added.push(json!({
                "id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind == CONTROL,
            }));
        }
    }
    let first = match file.value(&name("add_bos_token")).and_then(MetadataValue::as_bool) {
        Some(true) => {
            let id = file.value(&name("bos_token_id")).and_then(MetadataValue::as_u64);
            let id = id.and_then(|id| u32::try_from(id).ok());
            Some(id.ok_or_else(|| wrong("a bos_token_id", "none", "convert again"))?)
        }
        _ => None,
    };
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": split,
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": ignore_merges, "vocab": vocabulary, "merges": merges,
        },
    });
    Ok((json, first))
}

/// How text is divided and normalised before pairs are merged, and whether a
/// whole word of the vocabulary is taken without merging.
fn pre_tokeniser(name: Option<&str>) -> Result<[Value; 3], DecoderError> {
    let sequence = |first: Value, regex| {
        json!({
            "type": "Sequence", "pretokenizers": [first, byte_level(regex)],
        })
    };
    let split = |regex: &str| {
        let split = json!({
            "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false,
        });
        sequence(split, false)
    };
    let digits = json!({ "type": "Digits", "individual_digits": true });
    Ok(match name {
        Some("smollm") => [sequence(digits, true), Value::Null, false.into()],
        Some("gpt-2") => [byte_level(true), Value::Null, false.into()],
        Some("llama-bpe" | "llama3") => [split(LLAMA3), Value::Null, true.into()],
        Some("qwen2") => [split(QWEN2), json!({ "type": "NFC" }), false.into()],
        other => {
            let supported = "tokenizer.ggml.pre smollm, gpt-2, llama-bpe or qwen2";
            return Err(wrong(supported, other.unwrap_or("none"), "use tokenizer.json"));
        }
    })
}

fn byte_level(regex: bool) -> Value {
    json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex,
    })
}

fn texts<'a>(file: &'a Gguf, name: &str) -> Result<Vec<&'a str>, DecoderError> {
    let Some(MetadataValue::Array(list)) = file.value(name) else {
        return Err(wrong(&format!("a list {name}"), "none", "convert again"));
    };
    let all: Option<Vec<&str>> = list.values.iter().map(MetadataValue::as_str).collect();
    all.ok_or_else(|| wrong(&format!("texts in {name}"), "others", "convert again"))
}

fn wrong(expected: &str, got: &str, instead: &str) -> DecoderError {
    let got: String = got.chars().take(64).collect();
    DecoderError::Tokens(format!("expected {expected}, got {got}; {instead}"))
}
