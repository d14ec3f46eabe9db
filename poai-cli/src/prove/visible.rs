//! `--visibility`: the parts of a run that every verifier sees.

use poai::inference::{TensorVisibility, Visibility, WeightsVisibility};
use std::str::FromStr;

/// Why a text is not a visibility.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisibleError {
    /// The text is not `name=value`.
    #[error("expected a part such as input=hashed, got {0:?}")]
    Form(String),
    /// A statement has no such part.
    #[error("expected input, output or weights, got {0:?}")]
    Part(String),
    /// A part occurs twice.
    #[error("expected {0} once, got it twice")]
    Twice(String),
    /// A tensor cannot have this visibility.
    #[error("expected {part} to be public, hashed or private, got {got:?}")]
    Tensor {
        /// Input or output.
        part: &'static str,
        /// The visibility that was given.
        got: String,
    },
    /// Weights cannot have this visibility.
    #[error("expected weights to be fixed or committed, got {0:?}")]
    Weights(String),
}

/// A visibility as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible(pub Visibility);

impl FromStr for Visible {
    type Err = VisibleError;

    /// Parts that are left out keep their defaults.
    fn from_str(text: &str) -> Result<Visible, VisibleError> {
        let (mut input, mut output, mut weights) = (None, None, None);
        for part in text.split(',') {
            let form = || VisibleError::Form(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            let twice = match name {
                "input" => input.replace(tensor("input", value)?).is_some(),
                "output" => output.replace(tensor("output", value)?).is_some(),
                "weights" => weights.replace(self::weights(value)?).is_some(),
                _ => return Err(VisibleError::Part(name.to_owned())),
            };
            if twice {
                return Err(VisibleError::Twice(name.to_owned()));
            }
        }
        Ok(Visible(Visibility {
            input: input.unwrap_or(TensorVisibility::Hashed),
            output: output.unwrap_or(TensorVisibility::Public),
            weights: weights.unwrap_or(WeightsVisibility::Fixed),
        }))
    }
}

fn tensor(part: &'static str, value: &str) -> Result<TensorVisibility, VisibleError> {
    match value {
        "public" => Ok(TensorVisibility::Public),
        "hashed" => Ok(TensorVisibility::Hashed),
        "private" => Ok(TensorVisibility::Private),
        _ => Err(VisibleError::Tensor { part, got: value.to_owned() }),
    }
}

fn weights(value: &str) -> Result<WeightsVisibility, VisibleError> {
    match value {
        "fixed" => Ok(WeightsVisibility::Fixed),
        "committed" => Ok(WeightsVisibility::Committed),
        _ => Err(VisibleError::Weights(value.to_owned())),
    }
}

/// The names of all three parts' visibilities, as given on the command line.
pub fn names(visibility: Visibility) -> [&'static str; 3] {
    let tensor = |visibility| match visibility {
        TensorVisibility::Public => "public",
        TensorVisibility::Hashed => "hashed",
        TensorVisibility::Private => "private",
    };
    let weights = match visibility.weights {
        WeightsVisibility::Fixed => "fixed",
        WeightsVisibility::Committed => "committed",
    };
    [tensor(visibility.input), tensor(visibility.output), weights]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_any_order_and_once() {
        for (text, expected) in [
            ("input=public", ["public", "public", "fixed"]),
            ("weights=committed,input=private", ["private", "public", "committed"]),
            ("output=hashed,input=hashed,weights=fixed", ["hashed", "hashed", "fixed"]),
            ("output=private", ["hashed", "private", "fixed"]),
        ] {
            assert_eq!(names(text.parse::<Visible>().unwrap().0), expected, "{text}");
        }
        let refused = |text: &str| text.parse::<Visible>().unwrap_err();
        assert_eq!(refused(""), VisibleError::Form(String::new()));
        assert_eq!(refused("input"), VisibleError::Form("input".into()));
        assert_eq!(refused("bias=public"), VisibleError::Part("bias".into()));
        assert_eq!(refused("input=public,input=public"), VisibleError::Twice("input".into()));
        let tensor = VisibleError::Tensor { part: "output", got: "fixed".into() };
        assert_eq!(refused("output=fixed"), tensor);
        assert_eq!(refused("weights=public"), VisibleError::Weights("public".into()));
    }
}
