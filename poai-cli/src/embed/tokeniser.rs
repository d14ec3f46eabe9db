//! The model's tokeniser.

use super::model::ModelError;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer, TruncationParams};

/// A model's tokeniser, and what its files say about it.
pub struct Tokeniser {
    tokenizer: Tokenizer,
    /// Whether sentence-transformers writes sentences in lower case first.
    lower: bool,
    /// The most tokens that `tokenizer_config.json` states.
    pub tokens_max: Option<usize>,
}

impl Tokeniser {
    /// Reads the tokeniser of a directory: that of `tokenizer.json`, or one made
    /// of `vocab.txt`, or of `vocab.json` and `merges.txt`.
    /// `tokenizer_config.json` says what is lower case, as in transformers.
    pub fn load(directory: &Path) -> Result<Tokeniser, ModelError> {
        let stated = fields(&directory.join("tokenizer_config.json"))?;
        let sentences = fields(&directory.join("sentence_bert_config.json"))?;
        let found = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
        let (path, made) = if let Some(path) = found("tokenizer.json") {
            let made = Tokenizer::from_file(&path).map(|made| obey(made, &stated));
            (path, made)
        } else if let Some(path) = found("vocab.txt") {
            let made = of_words(&path, &stated, is_mpnet(directory, &stated)?);
            (path, made)
        } else if let (Some(path), Some(merges)) = (found("vocab.json"), found("merges.txt")) {
            let made = of_byte_pairs(&path, &merges, &stated);
            (path, made)
        } else {
            return Err(ModelError::NoTokeniser { directory: directory.to_owned() });
        };
        let tokenizer = made.map_err(|error| failed(&path, &error))?;
        // transformers writes a huge number if there is no limit.
        let most = stated["model_max_length"].as_f64().filter(|&most| most < 1e6);
        let lower = sentences["do_lower_case"].as_bool() == Some(true);
        Ok(Tokeniser { tokenizer, lower, tokens_max: most.map(|most| most as usize) })
    }

    /// Cuts sentences at this many tokens.
    pub fn cut(&mut self, most: usize) -> Result<(), ModelError> {
        let cut = TruncationParams { max_length: most, ..TruncationParams::default() };
        let made = self.tokenizer.with_truncation(Some(cut));
        made.map_err(|error| ModelError::Tokenise(error.to_string()))?.with_padding(None);
        Ok(())
    }

    /// The token ids of every sentence, including the special ones at its ends.
    pub fn ids<S: AsRef<str>>(&self, sentences: &[S]) -> Result<Vec<Vec<u32>>, ModelError> {
        let ids = sentences.iter().map(|sentence| {
            let sentence = sentence.as_ref();
            let encoding = match self.lower {
                true => self.tokenizer.encode(sentence.to_lowercase(), true),
                false => self.tokenizer.encode(sentence, true),
            };
            encoding.map(|encoding| encoding.get_ids().to_vec())
        });
        ids.collect::<Result<_, _>>().map_err(|error| ModelError::Tokenise(error.to_string()))
    }
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> ModelError {
    ModelError::Tokeniser { path: path.to_owned(), why: why.to_string() }
}

/// The fields of a JSON file; `null` if there is no such file.
fn fields(path: &Path) -> Result<Value, ModelError> {
    if !path.exists() {
        return Ok(Value::Null);
    }
    let bytes =
        std::fs::read(path).map_err(|source| ModelError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|error| failed(path, &error))
}

/// BERT's normaliser with the settings of `tokenizer_config.json`.
fn settings(normaliser: BertNormalizer, stated: &Value) -> BertNormalizer {
    let flag = |name: &str| stated[name].as_bool();
    BertNormalizer::new(
        normaliser.clean_text,
        flag("tokenize_chinese_chars").unwrap_or(normaliser.handle_chinese_chars),
        flag("strip_accents").or(normaliser.strip_accents),
        flag("do_lower_case").unwrap_or(normaliser.lowercase),
    )
}

/// The settings of `tokenizer_config.json` replace those of `tokenizer.json` if
/// the tokeniser is of BERT's class or one like it, as in transformers.
fn obey(mut tokenizer: Tokenizer, stated: &Value) -> Tokenizer {
    let class = stated["tokenizer_class"].as_str().unwrap_or("BertTokenizer");
    if let Some(NormalizerWrapper::BertNormalizer(normaliser)) = tokenizer.get_normalizer()
        && ["Bert", "DistilBert", "Electra", "MPNet"].iter().any(|own| class.starts_with(own))
    {
        let normaliser = settings(*normaliser, stated);
        tokenizer.with_normalizer(Some(normaliser));
    }
    tokenizer
}

/// The id of a token that must exist.
fn end(tokenizer: &Tokenizer, token: &str) -> tokenizers::Result<(String, u32)> {
    let id = tokenizer.token_to_id(token);
    let id = id.ok_or_else(|| format!("expected a token {token}, got none"))?;
    Ok((token.to_owned(), id))
}

/// Adds those of the tokens that the vocabulary has, so that texts may name
/// them.
fn add_special(tokenizer: &mut Tokenizer, tokens: &[&str]) {
    let known = tokens.iter().filter(|token| tokenizer.token_to_id(token).is_some());
    let known: Vec<AddedToken> = known.map(|&token| AddedToken::from(token, true)).collect();
    tokenizer.add_special_tokens(&known);
}

/// Whether words are those of MPNet: what the tokeniser's file states, else the
/// model's.
fn is_mpnet(directory: &Path, stated: &Value) -> Result<bool, ModelError> {
    if let Some(class) = stated["tokenizer_class"].as_str() {
        return Ok(class.starts_with("MPNet"));
    }
    Ok(fields(&directory.join("config.json"))?["model_type"] == "mpnet")
}

/// The tokeniser of BERT, of its words. MPNet's has other special tokens, and
/// BERT's are words as any.
fn of_words(path: &Path, stated: &Value, mpnet: bool) -> tokenizers::Result<Tokenizer> {
    let words = WordPiece::from_file(&path.to_string_lossy()).unk_token("[UNK]".into()).build()?;
    let mut tokenizer = Tokenizer::new(words);
    let [first, last] = if mpnet { ["<s>", "</s>"] } else { ["[CLS]", "[SEP]"] };
    let ends = BertProcessing::new(end(&tokenizer, last)?, end(&tokenizer, first)?);
    if mpnet {
        add_special(&mut tokenizer, &["<s>", "</s>", "[UNK]", "<pad>"]);
        // It takes the space before it.
        if tokenizer.token_to_id("<mask>").is_some() {
            tokenizer.add_special_tokens(&[AddedToken::from("<mask>", true).lstrip(true)]);
        }
    } else {
        add_special(&mut tokenizer, &["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]);
    }
    tokenizer
        .with_normalizer(Some(settings(BertNormalizer::default(), stated)))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(ends));
    Ok(tokenizer)
}

/// RoBERTa's tokeniser, of its words and their merges.
fn of_byte_pairs(path: &Path, merges: &Path, stated: &Value) -> tokenizers::Result<Tokenizer> {
    let model = BPE::from_file(&path.to_string_lossy(), &merges.to_string_lossy()).build()?;
    let mut tokenizer = Tokenizer::new(model);
    let space = stated["add_prefix_space"].as_bool() == Some(true);
    let ends = RobertaProcessing::new(end(&tokenizer, "</s>")?, end(&tokenizer, "<s>")?)
        .add_prefix_space(space);
    add_special(&mut tokenizer, &["<s>", "<pad>", "</s>", "<unk>", "<mask>"]);
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(space, true, true)))
        .with_post_processor(Some(ends));
    Ok(tokenizer)
}

/// The directory of the tokeniser's files.
pub fn directory(model: &Path) -> Result<PathBuf, ModelError> {
    poai::import::bert::encoder_directory(model).map_err(ModelError::of(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/encoders").join(name)
    }

    #[test]
    fn tokens_are_those_of_the_libraries() {
        for (name, most) in [
            ("bert", 24),
            ("bert-cased-first-token", 12),
            ("distilbert-tanh", 24),
            ("roberta-dense", 22),
            ("xlm-roberta-shards", 22),
            ("mpnet-long", 130),
            ("electra", 24),
        ] {
            let file = std::fs::read(case(name).join("expected.json")).unwrap();
            let expected: Value = serde_json::from_slice(&file).unwrap();
            let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
            let ids: Vec<Vec<u32>> = serde_json::from_value(expected["ids"].clone()).unwrap();
            let mut tokeniser = Tokeniser::load(&directory(&case(name)).unwrap()).unwrap();
            tokeniser.cut(most).unwrap();
            assert_eq!(tokeniser.ids(&texts).unwrap(), ids, "{name}");
        }
    }

    /// The tokens of a text, with `tokenizer_config.json` and another file.
    fn tokens(name: &str, config: &str, other: &str, text: &str) -> Vec<String> {
        let model = tempfile::tempdir().unwrap();
        for file in ["tokenizer.json", "vocab.txt"] {
            // A model has one of the two.
            _ = std::fs::copy(case(name).join(file), model.path().join(file));
        }
        std::fs::write(model.path().join("tokenizer_config.json"), config).unwrap();
        std::fs::write(model.path().join("sentence_bert_config.json"), other).unwrap();
        let mut tokeniser = Tokeniser::load(model.path()).unwrap();
        tokeniser.cut(24).unwrap();
        let ids = tokeniser.ids(&[text]).unwrap().remove(0);
        ids.iter().map(|&id| tokeniser.tokenizer.id_to_token(id).unwrap()).collect()
    }

    #[test]
    fn case_is_what_the_files_say() {
        let upper = ["[CLS]", "The", "Cat", "[SEP]"];
        let lower = ["[CLS]", "the", "cat", "[SEP]"];
        let (text, none) = ("The Cat", "{}");
        let stated = r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizerFast"}"#;
        for name in ["bert", "distilbert-tanh"] {
            assert_eq!(tokens(name, none, none, text), lower, "{name}");
            assert_eq!(tokens(name, stated, none, text), upper, "{name}");
            assert_eq!(tokens(name, stated, r#"{"do_lower_case": true}"#, text), lower, "{name}");
        }
        // A tokeniser of no known class is as tokenizer.json says.
        let general = r#"{"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}"#;
        assert_eq!(tokens("distilbert-tanh", general, none, text), lower);
        let accents = r#"{"strip_accents": false}"#;
        assert_eq!(tokens("bert", none, none, "café"), ["[CLS]", "cafe", "[SEP]"]);
        assert_eq!(tokens("bert", accents, none, "café"), ["[CLS]", "café", "[SEP]"]);
    }

    #[test]
    fn texts_may_name_special_tokens() {
        let own = tokens("bert", "{}", "{}", "the [MASK] sat");
        assert_eq!(own, ["[CLS]", "the", "[MASK]", "sat", "[SEP]"]);
        let mpnet = r#"{"tokenizer_class": "MPNetTokenizer"}"#;
        let own = tokens("mpnet-long", mpnet, "{}", "The <mask> sat [MASK]");
        let words = ["<s>", "the", "<mask>", "sat", "[UNK]", "[UNK]", "[UNK]", "</s>"];
        assert_eq!(own, words);
    }

    /// Without tokenizer_config.json, config.json says whose words they are.
    #[test]
    fn the_words_are_those_of_the_model() {
        let model = tempfile::tempdir().unwrap();
        let from = case("mpnet-long");
        std::fs::copy(from.join("vocab.txt"), model.path().join("vocab.txt")).unwrap();
        let ends = |kind: &str| {
            let config = format!(r#"{{"model_type": "{kind}"}}"#);
            std::fs::write(model.path().join("config.json"), config).unwrap();
            let mut tokeniser = Tokeniser::load(model.path()).unwrap();
            tokeniser.cut(24).unwrap();
            let ids = tokeniser.ids(&["cat"]).unwrap().remove(0);
            let word = |at: usize| tokeniser.tokenizer.id_to_token(ids[at]).unwrap();
            (ids.len(), word(0), word(2))
        };
        assert_eq!(ends("mpnet"), (3, "<s>".into(), "</s>".into()));
        assert_eq!(ends("bert"), (3, "[CLS]".into(), "[SEP]".into()));
    }

    #[test]
    fn missing_and_malformed_files_are_named() {
        let model = tempfile::tempdir().unwrap();
        let says = |text: &str| {
            let error = Tokeniser::load(model.path()).err().unwrap().to_string();
            assert!(error.contains(text), "{error:?} does not say {text:?}");
        };
        says("save_pretrained");
        std::fs::write(model.path().join("vocab.json"), "{}").unwrap();
        says("merges.txt");
        std::fs::write(model.path().join("merges.txt"), "").unwrap();
        says("expected a token </s>");
        std::fs::write(model.path().join("vocab.txt"), "red\n").unwrap();
        says("[SEP]");
        std::fs::write(model.path().join("tokenizer.json"), "{").unwrap();
        says("tokenizer.json");
        std::fs::write(model.path().join("tokenizer_config.json"), "[").unwrap();
        says("tokenizer_config.json");
    }
}
