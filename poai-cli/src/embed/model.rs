//! The model's files.

use super::tokeniser::{self, Tokeniser};
use crate::failure::Failure;
use poai::import::bert::{BertError, Encoder};
use std::path::{Path, PathBuf};

/// The tokens at which sentences are cut if the model's files state no number.
const TOKENS: usize = 256;

/// Why the model cannot be read, or cannot read a sentence.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is no model in the directory.
    #[error(
        "expected a model in {}, got no config.json; scripts/fetch-minilm.sh gets one",
        directory.display()
    )]
    None {
        /// The directory.
        directory: PathBuf,
    },
    /// A file of the model cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// There is no tokeniser in the model's directory.
    #[error(
        "{}: expected tokenizer.json, vocab.txt, or vocab.json and merges.txt, got none; write \
         tokenizer.json with `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)` of \
         transformers",
        directory.display()
    )]
    NoTokeniser {
        /// The directory.
        directory: PathBuf,
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

impl ModelError {
    /// Makes errors of the model in a directory.
    pub fn of(directory: &Path) -> impl Fn(BertError) -> ModelError {
        move |source| {
            let directory = directory.to_owned();
            ModelError::Weights { directory, source: Box::new(source) }
        }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        Failure::usage(error)
    }
}

/// A float model with its tokeniser, and how both are used.
pub struct TextModel {
    pub encoder: Encoder,
    tokeniser: Tokeniser,
    /// The tokens at which sentences are cut.
    pub sequence: usize,
    /// Whether the user asked for more tokens than the model has.
    pub clamped: bool,
}

impl TextModel {
    /// Reads a directory. Sentences are cut at `sequence` tokens, or at what
    /// the model's files state, and never beyond what the model takes.
    pub fn load(directory: &Path, sequence: Option<usize>) -> Result<TextModel, ModelError> {
        if !directory.is_dir() {
            return Err(ModelError::None { directory: directory.to_owned() });
        }
        let own = tokeniser::directory(directory)?;
        if !own.join("config.json").exists() {
            return Err(ModelError::None { directory: own });
        }
        let mut tokeniser = Tokeniser::load(&own)?;
        let encoder = Encoder::load(directory).map_err(ModelError::of(directory))?;
        let own = tokeniser.tokens_max.unwrap_or(usize::MAX).max(1);
        let most = encoder.tokens_max().min(own);
        let stated = if encoder.states_tokens_max() { most } else { TOKENS };
        let wanted = sequence.unwrap_or(stated);
        let sequence = wanted.min(most);
        tokeniser.cut(sequence)?;
        Ok(TextModel { encoder, tokeniser, sequence, clamped: wanted > most })
    }

    /// The token ids of every sentence. The encoder takes all of them.
    pub fn tokens<S: AsRef<str>>(&self, sentences: &[S]) -> Result<Vec<Vec<u32>>, Failure> {
        let ids = self.tokeniser.ids(sentences)?;
        self.encoder.check(&ids)?;
        Ok(ids)
    }
}
