//! Text from tokens that arrive one by one.

use super::TextTokens;
use crate::DecoderError;
use std::collections::HashMap;
use tokenizers::{DecoderWrapper, Tokenizer};

/// How a token's spelling in the vocabulary becomes bytes.
#[derive(Clone, Debug)]
pub(super) enum Pieces {
    /// Each character stands for a byte, as in GPT-2.
    Bytes(HashMap<char, u8>),
    /// `▁` stands for a space, and `<0x0A>` for a byte. With `strip`, a text
    /// does not begin with the space that its first word has.
    Spaces {
        /// Whether the first space is left out.
        strip: bool,
    },
}

impl Pieces {
    pub(super) fn of(tokeniser: &Tokenizer) -> Result<Pieces, DecoderError> {
        let Some(decoder) = tokeniser.get_decoder() else { return Err(unsupported("none")) };
        if matches!(decoder, DecoderWrapper::ByteLevel(_)) {
            return Ok(Pieces::Bytes(alphabet()));
        }
        let json = serde_json::to_value(decoder).map_err(|_| unsupported("another"))?;
        let parts = json["decoders"].as_array().cloned().unwrap_or_default();
        let kinds: Vec<&str> = parts.iter().filter_map(|part| part["type"].as_str()).collect();
        let spaces =
            |part: &serde_json::Value| part["pattern"]["String"] == "▁" && part["content"] == " ";
        let strips = |part: &serde_json::Value| {
            part["content"] == " " && part["start"] == 1 && part["stop"] == 0
        };
        match kinds.as_slice() {
            ["ByteLevel"] => Ok(Pieces::Bytes(alphabet())),
            ["Replace", "ByteFallback", "Fuse"] if spaces(&parts[0]) => {
                Ok(Pieces::Spaces { strip: false })
            }
            ["Replace", "ByteFallback", "Fuse", "Strip"]
                if spaces(&parts[0]) && strips(&parts[3]) =>
            {
                Ok(Pieces::Spaces { strip: true })
            }
            kinds => Err(unsupported(&kinds.join(", "))),
        }
    }

    /// The bytes of a token that is no added one.
    fn bytes(&self, word: &str) -> Vec<u8> {
        match self {
            // A character that stands for no byte is itself.
            Pieces::Bytes(bytes) => match word.chars().map(|c| bytes.get(&c).copied()).collect() {
                Some(bytes) => bytes,
                None => word.as_bytes().to_vec(),
            },
            Pieces::Spaces { .. } => {
                let byte = word.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                let byte = byte.filter(|digits| digits.len() == 2);
                match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => vec![byte],
                    None => word.replace('▁', " ").into_bytes(),
                }
            }
        }
    }
}

fn unsupported(got: &str) -> DecoderError {
    let got: String = got.chars().take(64).collect();
    let expected = "a decoder ByteLevel, or Replace, ByteFallback and Fuse";
    DecoderError::Tokens(format!("expected {expected}, got {got}; choose another model"))
}

/// The bytes of GPT-2's characters: printable ones of Latin-1 are themselves,
/// the others follow from U+0100 on.
fn alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    let character = |byte: u8| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => (char::from(byte), byte),
        _ => {
            next += 1;
            (char::from_u32(next - 1).unwrap_or_default(), byte)
        }
    };
    (0..=u8::MAX).map(character).collect()
}

/// Text from tokens that arrive one by one. It gives whole characters only: the
/// bytes of a character that is not complete wait for the next token.
#[derive(Clone, Debug)]
pub struct TokenStream<'a> {
    tokens: &'a TextTokens,
    /// Bytes that may begin a character: at most 3.
    waiting: Vec<u8>,
    /// Whether no text was given yet.
    start: bool,
}

impl<'a> TokenStream<'a> {
    pub(super) fn new(tokens: &'a TextTokens) -> TokenStream<'a> {
        TokenStream { tokens, waiting: vec![], start: true }
    }

    /// The text that a token completes; empty if it ends within a character, or
    /// is special. Bytes that can be no part of UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`DecoderError::Token`] if the token is not in the vocabulary.
    pub fn push(&mut self, id: u32) -> Result<String, DecoderError> {
        let Some(word) = self.tokens.word(id) else {
            return Err(DecoderError::Token { id, vocabulary: self.tokens.vocabulary() });
        };
        let added = self.tokens.tokeniser.get_added_vocabulary();
        if added.is_special_token(&word) {
            return Ok(String::new());
        }
        match added.get_vocab().contains_key(&word) {
            true => self.waiting.extend_from_slice(word.as_bytes()),
            false => self.waiting.extend(self.tokens.pieces.bytes(&word)),
        }
        if std::mem::take(&mut self.start)
            && matches!(self.tokens.pieces, Pieces::Spaces { strip: true })
            && self.waiting.first() == Some(&b' ')
        {
            self.waiting.remove(0);
        }
        Ok(self.whole())
    }

    /// The rest: U+FFFD if the tokens ended within a character.
    pub fn finish(mut self) -> String {
        let mut text = self.whole();
        if !self.waiting.is_empty() {
            text.push('\u{fffd}');
        }
        text
    }

    /// Takes all bytes but those that may begin a character.
    fn whole(&mut self) -> String {
        let mut text = String::new();
        let mut rest = self.waiting.as_slice();
        loop {
            let error = match str::from_utf8(rest) {
                Ok(valid) => {
                    text += valid;
                    rest = &[];
                    break;
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            text += str::from_utf8(valid).unwrap_or_default();
            rest = after;
            match error.error_len() {
                Some(length) => {
                    text.push('\u{fffd}');
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => break,
            }
        }
        self.waiting = rest.to_vec();
        text
    }
}
