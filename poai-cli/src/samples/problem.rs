//! What is wrong with a file of samples.

use crate::failure::Failure;
use std::fmt;
use std::path::PathBuf;

/// What is wrong, and where in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    place: Option<String>,
    expected: String,
    got: String,
}

impl Problem {
    /// A problem of the file as a whole.
    pub fn new(expected: impl Into<String>, got: impl Into<String>) -> Problem {
        Problem { place: None, expected: expected.into(), got: got.into() }
    }

    /// The same problem at this place.
    pub fn at(self, place: impl Into<String>) -> Problem {
        Problem { place: Some(place.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

/// Why a file holds no samples of the network.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct SamplesError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

impl From<SamplesError> for Failure {
    fn from(error: SamplesError) -> Failure {
        Failure::usage(error)
    }
}
