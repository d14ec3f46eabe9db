//! Tokens become the same text, whole or one by one.

use crate::fixture;
use poai_decoder::{DecoderCheckpoint, DecoderError, FloatDecoder, TextTokens};
use std::path::PathBuf;
use tokenizers::Tokenizer;

const TEXTS: [&str; 9] = [
    "the cat sat on the mat",
    "  two  spaces\tand\n\nlines \r\n",
    "Those cats aren't here; they'll be there in 1999, at 12:30.",
    "naïve café, e\u{301} and é",
    "中文和日本語のテキスト、한국어",
    "שלום עולם, مرحبا بالعالم \u{202e}right to left",
    "🙂👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿 and 🇨🇭",
    "\u{0}\u{7f}\u{fffd}\u{10ffff}",
    "",
];

fn tokenisers() -> Vec<(TextTokens, Option<Tokenizer>)> {
    let folder = fixture("llama");
    let library = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    let of_gguf = TextTokens::open(&folder.join("model.gguf")).unwrap();
    let mut all =
        vec![(TextTokens::open(&folder).unwrap(), Some(library.clone())), (of_gguf, Some(library))];
    match smollm2() {
        Some(path) => all.push((TextTokens::open(&path).unwrap(), None)),
        None => println!("SKIPPED: SmolLM2's tokeniser (scripts/fetch-smollm2.sh gets it)"),
    }
    all
}

/// SmolLM2's file, if it was fetched.
fn smollm2() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/smollm2");
    let path = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    path.exists().then_some(path)
}

#[test]
fn texts_become_tokens_and_the_same_texts_again() {
    for (tokens, library) in tokenisers() {
        for text in TEXTS {
            let ids = tokens.encode(text, false).unwrap();
            assert_eq!(tokens.decode(&ids).unwrap(), text);
            if let Some(library) = &library {
                assert_eq!(ids, library.encode(text, false).unwrap().get_ids(), "{text:?}");
                assert_eq!(library.decode(&ids, true).unwrap(), text);
            }
            let mut stream = tokens.stream();
            let parts: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            // Only the text with U+FFFD itself has it.
            let replaced = parts.iter().any(|part| part.contains('\u{fffd}'));
            assert_eq!(replaced, text.contains('\u{fffd}'));
            assert_eq!(parts.concat() + &stream.finish(), text);
        }
    }
}

#[test]
fn every_word_of_the_vocabulary_is_one_token_again() {
    for (tokens, library) in tokenisers() {
        let mut checked = 0;
        for id in 0..tokens.vocabulary() as u32 {
            let word = tokens.word(id).unwrap();
            assert_eq!(tokens.id(&word), Some(id));
            if tokens.is_special(id) {
                assert_eq!(tokens.encode(&word, false).unwrap(), [id], "{word}");
                assert_eq!(tokens.decode(&[id]).unwrap(), "");
                continue;
            }
            let text = tokens.decode(&[id]).unwrap();
            if let Some(library) = &library {
                assert_eq!(text, library.decode(&[id], true).unwrap(), "{word}");
            }
            if !text.contains('\u{fffd}') {
                // Not always the same token, but the same text.
                let ids = tokens.encode(&text, false).unwrap();
                assert_eq!(tokens.decode(&ids).unwrap(), text);
                checked += 1;
            }
        }
        assert!(checked > 100, "{checked}");
    }
}

#[test]
fn a_stream_gives_whole_characters_and_replaces_what_is_none() {
    let tokens = TextTokens::open(&fixture("llama")).unwrap();
    // GPT-2's characters of single bytes.
    let byte = |byte: u8| {
        let ids: Vec<u32> = (0..tokens.vocabulary() as u32).collect();
        let character = match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            0x80..=0xa0 => char::from_u32(u32::from(byte) - 0x7f + 0x121).unwrap(),
            0xad => '\u{143}',
            _ => panic!("a byte of these tests"),
        };
        ids.into_iter().find(|&id| tokens.word(id) == Some(character.to_string())).unwrap()
    };
    let stream = |bytes: &[u8]| {
        let mut stream = tokens.stream();
        let mut parts: Vec<String> = bytes.iter().map(|&b| stream.push(byte(b)).unwrap()).collect();
        parts.push(stream.finish());
        parts
    };
    let emoji = "🙂".as_bytes();
    assert_eq!(stream(emoji), ["", "", "", "🙂", ""]);
    // Cut within a character.
    assert_eq!(stream(&emoji[..3]), ["", "", "", "\u{fffd}"]);
    // A byte that begins nothing, and a character that another byte ends early.
    assert_eq!(stream(&[0x80, b'a']), ["\u{fffd}", "a", ""]);
    assert_eq!(stream(&[0xe4, b'a', 0xff]), ["", "\u{fffd}a", "\u{fffd}", ""]);
    let bytes = [0xf0, 0x9f, 0xe4, 0xb8, 0xad, 0xc3];
    assert_eq!(stream(&bytes).concat(), String::from_utf8_lossy(&bytes));
    let unknown = tokens.vocabulary() as u32;
    assert!(matches!(tokens.decode(&[unknown]), Err(DecoderError::Token { .. })));
}

#[test]
fn models_without_a_tokeniser_are_refused() {
    for path in [fixture("qwen3"), fixture("qwen3").join("model.gguf")] {
        let error = TextTokens::open(&path).unwrap_err().to_string();
        assert!(error.contains("token"), "{error}");
    }
    let decoder = br#"{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    assert!(matches!(TextTokens::of_json(decoder), Err(DecoderError::Tokens(_))));
}

#[test]
#[ignore = "needs SmolLM2, and minutes without optimisation"]
fn smollm2_continues_a_sentence() {
    let Some(path) = smollm2() else {
        println!("SKIPPED: no SmolLM2 (scripts/fetch-smollm2.sh gets it)");
        return;
    };
    let tokens = TextTokens::open(&path).unwrap();
    let decoder = FloatDecoder::load(&DecoderCheckpoint::open(&path).unwrap()).unwrap();
    let ids = tokens.encode("The capital of France is", false).unwrap();
    let logits = decoder.logits(&ids, &mut |_, _, _| ()).unwrap();
    let last = logits.row(ids.len() - 1);
    let best = (0..last.len()).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
    assert_eq!(tokens.decode(&[best as u32]).unwrap(), " Paris");
}
