//! What the examples share: failures and exit codes, and small parsers.
#![allow(dead_code, reason = "each example uses its own part")]

pub mod files;

use clap::Parser;
use poai::verify::Rules;
use poai::{Challenge, Difficulty, Params};
use std::io::{ErrorKind, Write};
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

/// Runs a program with its arguments: one line on stderr, and the exit code.
pub fn main<A: Parser>(run: impl FnOnce(&A) -> Result<ExitCode, Failure>) -> ExitCode {
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(help) if !help.use_stderr() => {
            _ = print(&help.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            // The first paragraph says what is wrong, the rest how to use it.
            let text = error.to_string();
            let wrong: Vec<_> =
                text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            complain(&wrong.join(" "));
            return ExitCode::from(2);
        }
    };
    run(&args).unwrap_or_else(|failure| {
        complain(&failure.to_string());
        ExitCode::from(match failure {
            Failure::Refused(_) => 1,
            Failure::Usage(_) => 2,
        })
    })
}

/// Prints to stdout. A reader that has gone away has read enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Usage(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one line to stderr; where that is closed nobody wants to know.
pub fn complain(line: &str) {
    _ = writeln!(std::io::stderr(), "{line}");
}

/// Refuses what would not fit in the memory that is free, where the system
/// tells how much that is.
pub fn check_memory(needed: u128) -> Result<(), Failure> {
    match free_memory() {
        Some(free) if needed > u128::from(free) => Err(Failure::Usage(format!(
            "this takes about {} MiB of memory, {} MiB are free",
            needed >> 20,
            free >> 20
        ))),
        _ => Ok(()),
    }
}

/// Bytes of memory that are free, as Linux counts them.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// About how many bytes mining an m×n×k product takes: operands twice while
/// they are padded or cut, noised once, and the product twice while parts are
/// added up.
pub fn mining_bytes([m, n, k]: [usize; 3]) -> u128 {
    let padded = |size: usize, unit: u128| (size as u128).next_multiple_of(unit);
    let (tile, rank) = (Params::CONSENSUS.tile() as u128, Params::CONSENSUS.rank() as u128);
    let (m, n, k) = (padded(m, tile), padded(n, tile), padded(k, rank));
    (m + n)
        .saturating_mul(k)
        .saturating_mul(3)
        .saturating_add(m.saturating_mul(n).saturating_mul(8))
}

/// The challenge of the examples, where no chain gives one.
pub fn example_challenge() -> Challenge {
    Challenge(*blake3::hash(b"poai example challenge").as_bytes())
}

/// Rules of blocks, or of shares below the least difficulty of a block.
pub fn rules(difficulty: Difficulty) -> Rules {
    if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS }
}

/// `M,N,K`, each positive.
pub fn shape(text: &str) -> Result<[usize; 3], String> {
    let numbers: Vec<usize> = text
        .split(',')
        .map(|number| number.trim().parse().map_err(|_| format!("{number:?} is no size")))
        .collect::<Result<_, _>>()?;
    let [m, n, k] = numbers[..] else {
        return Err("three sizes are wanted: M,N,K".into());
    };
    if m == 0 || n == 0 || k == 0 {
        return Err("every size is at least 1".into());
    }
    Ok([m, n, k])
}
