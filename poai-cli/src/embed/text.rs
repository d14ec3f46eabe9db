//! The sentences, and the batches in which they are embedded.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Sentences that measure the ranges of activations.
const CALIBRATION: &str = include_str!("../../data/embed/calibration.txt");

/// Pairs of sentences, one after the other.
const PAIRS: [&str; 10] = [
    "A man is playing a guitar on the street.",
    "Someone makes music outdoors with a string instrument.",
    "The verifier recomputes a single tile of the product.",
    "Only one block of the matrix is calculated again to check it.",
    "How do I reset my password?",
    "I cannot log in to my account any more.",
    "The soup needs more salt.",
    "The rocket reached orbit after nine minutes.",
    "Cats sleep for most of the day.",
    "The bank raised its interest rates on Thursday.",
];

/// The most bytes of a text.
const TEXT_MAX: u64 = 1 << 24;

/// Why sentences cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The sentences cannot be read.
    #[error("{}: {source}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The text is too long.
    #[error("{}: expected at most {limit} bytes, got more; split the file", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// The most bytes.
        limit: u64,
    },
    /// The text holds no sentences.
    #[error("expected a sentence a line, got none in {}; write one", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl From<TextError> for Failure {
    fn from(error: TextError) -> Failure {
        Failure::usage(error)
    }
}

/// The lines of a file that hold more than blanks; without a file, the bundled
/// pairs.
pub fn sentences(path: Option<&Path>) -> Result<Vec<String>, TextError> {
    let Some(path) = path else { return Ok(PAIRS.map(str::to_owned).to_vec()) };
    let failed = |source| TextError::Text { path: path.to_owned(), source };
    let from: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(File::open(path).map_err(failed)?),
    };
    let mut text = String::new();
    from.take(TEXT_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > TEXT_MAX {
        return Err(TextError::Long { path: path.to_owned(), limit: TEXT_MAX });
    }
    let sentences: Vec<String> = lines(&text).map(str::to_owned).collect();
    if sentences.is_empty() {
        return Err(TextError::Empty { path: path.to_owned() });
    }
    Ok(sentences)
}

/// The bundled calibration sentences.
pub fn calibration() -> Vec<&'static str> {
    lines(CALIBRATION).collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}

/// The sentences that are embedded together. They have similar lengths, so that
/// padding is short, and at most `most` tokens with padding.
pub fn batches(ids: &[Vec<u32>], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&sentence| ids[sentence].len());
    let mut batches: Vec<Vec<usize>> = vec![];
    for sentence in order {
        match batches.last_mut() {
            // Sorted: this one is the longest of its batch.
            Some(batch) if (batch.len() + 1) * ids[sentence].len() <= most => batch.push(sentence),
            _ => batches.push(vec![sentence]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_sentence_once_and_few_tokens() {
        let ids: Vec<Vec<u32>> = [5, 300, 7, 7, 120, 3, 256].map(|n| vec![1; n]).to_vec();
        let batches = batches(&ids, 256);
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        for batch in &batches {
            let longest = batch.iter().map(|&sentence| ids[sentence].len()).max();
            assert!(batch.len() == 1 || longest.is_some_and(|n| n * batch.len() <= 256));
        }
    }

    #[test]
    fn everything_short_is_one_batch() {
        assert_eq!(batches(&[vec![1; 9], vec![2; 3]], 4096), [[1, 0]]);
    }

    #[test]
    fn texts_without_sentences_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blank.txt");
        std::fs::write(&path, " \n\n\t\n").unwrap();
        assert!(matches!(sentences(Some(&path)), Err(TextError::Empty { .. })));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(sentences(Some(&path)), Err(TextError::Text { .. })));
        let missing = directory.path().join("missing.txt");
        assert!(matches!(sentences(Some(&missing)), Err(TextError::Text { .. })));
    }

    #[test]
    fn lines_become_sentences() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("two.txt");
        std::fs::write(&path, "One.\r\n\nTwo.").unwrap();
        assert_eq!(sentences(Some(&path)).unwrap(), ["One.", "Two."]);
    }
}
