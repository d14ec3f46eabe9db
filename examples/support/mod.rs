//! What the examples share: failures and exit codes, and small parsers.
#![allow(dead_code, reason = "each example uses its own part")]

pub mod files;

use poai::verify::Rules;
use poai::{Challenge, Difficulty};
use std::process::ExitCode;

/// Why an example ends early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Bad arguments or files: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A proof that does not hold: exit code 1.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// Any error that the user's input caused.
    pub fn usage(error: impl std::fmt::Display) -> Failure {
        Failure::Usage(error.to_string())
    }
}

/// One line on stderr, and the exit code.
pub fn exit(result: Result<ExitCode, Failure>) -> ExitCode {
    let failure = match result {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    eprintln!("{failure}");
    ExitCode::from(match failure {
        Failure::Refused(_) => 1,
        Failure::Usage(_) => 2,
    })
}

/// The challenge of the examples, where no chain gives one.
pub fn example_challenge() -> Challenge {
    Challenge(*blake3::hash(b"poai example challenge").as_bytes())
}

/// Rules of blocks, or of shares below the least difficulty of a block.
pub fn rules(difficulty: Difficulty) -> Rules {
    if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::BLOCK }
}

/// `M,N,K`, each positive, with matrices that fit in memory.
pub fn shape(text: &str) -> Result<[usize; 3], String> {
    const ENTRIES_MAX: usize = 1 << 34;
    let numbers: Vec<usize> = text
        .split(',')
        .map(|number| number.trim().parse().map_err(|_| format!("{number:?} is no size")))
        .collect::<Result<_, _>>()?;
    let [m, n, k] = numbers[..] else {
        return Err("three sizes are wanted: M,N,K".into());
    };
    let too_large =
        |x: usize, y: usize| x.checked_mul(y).is_none_or(|entries| entries > ENTRIES_MAX);
    if m == 0 || n == 0 || k == 0 {
        return Err("every size is at least 1".into());
    }
    if too_large(m, k) || too_large(n, k) || too_large(m, n) {
        return Err(format!("a matrix of more than {ENTRIES_MAX} entries"));
    }
    Ok([m, n, k])
}
