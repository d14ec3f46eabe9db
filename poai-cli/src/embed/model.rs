//! The model's files.

use crate::failure::Failure;
use poai::import::bert::{BertError, Encoder};
use std::path::{Path, PathBuf};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Tokenizer, TruncationParams};

/// Why the model cannot be read, or cannot read a sentence.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model cannot be read.
    #[error("{}: {source}; scripts/fetch-minilm.sh gets the model", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The tokeniser's file does not hold a tokeniser.
    #[error("{}: {why}", path.display())]
    Tokeniser {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// A sentence cannot be tokenised.
    #[error("cannot tokenise: {0}")]
    Tokenise(String),
    /// The model's files do not hold a model.
    #[error("the model in {}: {source}", directory.display())]
    Weights {
        /// The model's directory.
        directory: PathBuf,
        /// The reason.
        source: Box<BertError>,
    },
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        Failure::usage(error)
    }
}

/// The float model.
pub fn encoder(directory: &Path) -> Result<Encoder, ModelError> {
    let read = |name: &str| {
        let path = directory.join(name);
        std::fs::read(&path).map_err(|source| ModelError::File { path, source })
    };
    let (weights, config) = (read("model.safetensors")?, read("config.json")?);
    Encoder::read(&weights, &config).map_err(|source| {
        let directory = directory.to_owned();
        ModelError::Weights { directory, source: Box::new(source) }
    })
}

/// The tokeniser: that of `tokenizer.json`, or BERT's own with `vocab.txt`.
pub fn tokeniser(directory: &Path, most: usize) -> Result<Tokenizer, ModelError> {
    let path = directory.join("tokenizer.json");
    let (path, made) = if path.exists() {
        let made = Tokenizer::from_file(&path);
        (path, made)
    } else {
        let path = directory.join("vocab.txt");
        if let Err(source) = std::fs::metadata(&path) {
            return Err(ModelError::File { path, source });
        }
        let made = of_vocabulary(&path);
        (path, made)
    };
    let made = made.and_then(|mut tokeniser| {
        let cut = TruncationParams { max_length: most, ..TruncationParams::default() };
        tokeniser.with_truncation(Some(cut))?.with_padding(None);
        Ok(tokeniser)
    });
    made.map_err(|error| ModelError::Tokeniser { path, why: error.to_string() })
}

fn of_vocabulary(path: &Path) -> tokenizers::Result<Tokenizer> {
    let words = WordPiece::from_file(&path.to_string_lossy()).unk_token("[UNK]".into()).build()?;
    let mut tokeniser = Tokenizer::new(words);
    let end = |token: &str| {
        let id = tokeniser.token_to_id(token);
        id.map(|id| (token.to_owned(), id))
            .ok_or_else(|| format!("expected a token {token}, got none"))
    };
    let ends = BertProcessing::new(end("[SEP]")?, end("[CLS]")?);
    tokeniser
        .with_normalizer(Some(BertNormalizer::default()))
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(ends));
    Ok(tokeniser)
}

/// The token ids of every sentence, including `[CLS]` and `[SEP]`.
pub fn tokenise<S: AsRef<str>>(
    tokeniser: &Tokenizer,
    sentences: &[S],
) -> Result<Vec<Vec<u32>>, ModelError> {
    let sentences = sentences.iter().map(|sentence| tokeniser.encode(sentence.as_ref(), true));
    let ids = sentences.map(|encoding| encoding.map(|encoding| encoding.get_ids().to_vec()));
    ids.collect::<Result<_, _>>().map_err(|error| ModelError::Tokenise(error.to_string()))
}
