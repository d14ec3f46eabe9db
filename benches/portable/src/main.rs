//! Times the verifier in portable code: `poai-verify` without any feature.
//!
//! Build it alone (`-p poai-bench-portable`), because cargo unites the features
//! of all packages that it builds together.

use clap::Parser;
use poai_core::{Challenge, Difficulty};
use poai_verify::{Rules, Verifier};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The most samples, and the most time for all of them.
const SAMPLES: usize = 201;
const BUDGET: Duration = Duration::from_millis(800);

/// Print the median microseconds of verifying one proof on one thread, and the
/// number of samples.
#[derive(Parser)]
struct Args {
    /// The file of the proof.
    proof: PathBuf,
    /// The challenge that it was mined for, as 64 hexadecimal digits.
    challenge: Challenge,
    /// The difficulty that it must meet, in MACs.
    difficulty: Difficulty,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Args { proof, challenge, difficulty } = Args::parse();
    let bytes = std::fs::read(&proof).map_err(|error| format!("{}: {error}", proof.display()))?;
    let verifier = Verifier::new(Rules::SHARE, difficulty)?;
    let verified = verifier.verify(&challenge, &bytes)?;
    let start = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || times.len() < SAMPLES && start.elapsed() < BUDGET {
        let start = Instant::now();
        let again = black_box(verifier.verify(&challenge, black_box(&bytes)))?;
        times.push(start.elapsed());
        assert_eq!(again, verified, "the same proof, the same answer");
    }
    times.sort();
    println!("{:.3} {}", times[times.len() / 2].as_secs_f64() * 1e6, times.len());
    Ok(())
}
