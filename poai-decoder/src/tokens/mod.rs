//! Text to tokens and back.
//!
//! - `metadata`: the tokeniser that a GGUF file carries;
//! - `stream`: text from tokens that arrive one by one.

mod metadata;
mod stream;

pub use stream::TokenStream;

use crate::DecoderError;
use crate::gguf::Gguf;
use std::path::Path;
use stream::Pieces;
use tokenizers::Tokenizer;

/// The largest `tokenizer.json` that is read, in bytes.
const BYTES_MAX: u64 = 1 << 26;

/// A model's tokeniser.
#[derive(Clone, Debug)]
pub struct TextTokens {
    tokeniser: Tokenizer,
    /// Counted once, because the library counts with a copy of the vocabulary.
    vocabulary: usize,
    pieces: Pieces,
    /// The token that a GGUF file puts before every text.
    first: Option<u32>,
}

impl TextTokens {
    /// Reads the tokeniser of a model: that of a GGUF file, or `tokenizer.json`
    /// of a directory.
    ///
    /// # Errors
    /// [`DecoderError`] if the model has no tokeniser, or one that is malformed or
    /// not supported.
    pub fn open(path: &Path) -> Result<TextTokens, DecoderError> {
        if !path.is_dir() {
            return TextTokens::of_gguf(&Gguf::open(path)?);
        }
        let path = path.join("tokenizer.json");
        let failed = |source| DecoderError::Read { path: path.clone(), source };
        let length = std::fs::metadata(&path).map_err(failed)?.len();
        if length > BYTES_MAX {
            let why = format!("expected at most {BYTES_MAX} bytes, got {length}");
            return Err(DecoderError::Tokens(why));
        }
        TextTokens::of_json(&std::fs::read(&path).map_err(failed)?)
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`DecoderError::Tokens`] if it is malformed, or makes text of tokens in a
    /// way that is not supported.
    pub fn of_json(json: &[u8]) -> Result<TextTokens, DecoderError> {
        let failed = |error: tokenizers::Error| DecoderError::Tokens(error.to_string());
        let tokeniser = Tokenizer::from_bytes(json).map_err(failed)?;
        let pieces = Pieces::of(&tokeniser)?;
        let vocabulary = tokeniser.get_vocab_size(true);
        Ok(TextTokens { tokeniser, vocabulary, pieces, first: None })
    }

    /// Makes the tokeniser that a GGUF file carries.
    ///
    /// # Errors
    /// [`DecoderError::Tokens`] if the file has none, or one of a kind that is
    /// not supported.
    pub fn of_gguf(file: &Gguf) -> Result<TextTokens, DecoderError> {
        let (json, first) = metadata::json(file)?;
        Ok(TextTokens { first, ..TextTokens::of_json(json.to_string().as_bytes())? })
    }

    /// Words of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens of a text. With `special`, the tokens around it that the
    /// tokeniser states are added, such as one that begins a text. Special
    /// tokens that stand in the text become tokens in either case.
    ///
    /// # Errors
    /// [`DecoderError::Tokens`] if the tokeniser refuses the text.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, DecoderError> {
        let failed = |error: tokenizers::Error| DecoderError::Tokens(error.to_string());
        let encoding = self.tokeniser.encode_fast(text, special).map_err(failed)?;
        let first = self.first.filter(|_| special);
        Ok(first.into_iter().chain(encoding.get_ids().iter().copied()).collect())
    }

    /// The text of tokens, special ones left out. Bytes that are not UTF-8
    /// become U+FFFD.
    ///
    /// # Errors
    /// [`DecoderError::Token`] if a token is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DecoderError> {
        let mut stream = self.stream();
        let mut text = String::new();
        for &id in ids {
            text += &stream.push(id)?;
        }
        Ok(text + &stream.finish())
    }

    /// A stream that turns tokens into text, one by one.
    pub fn stream(&self) -> TokenStream<'_> {
        TokenStream::new(self)
    }

    /// The token of a word, as the vocabulary spells it.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.tokeniser.token_to_id(word)
    }

    /// The spelling of a token in the vocabulary.
    pub fn word(&self, id: u32) -> Option<String> {
        self.tokeniser.id_to_token(id)
    }

    /// Whether a token stands for no text.
    pub fn is_special(&self, id: u32) -> bool {
        let added = self.tokeniser.get_added_vocabulary();
        self.word(id).is_some_and(|word| added.is_special_token(&word))
    }
}
