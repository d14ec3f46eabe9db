//! Checks a proof as a node does: it knows the bytes, the challenge and the
//! difficulty, and nothing else.
//!
//! Exit codes: 0 the proof holds, 1 it is false, 2 the bytes are no proof or
//! the arguments are bad.

#[path = "support/mod.rs"]
mod support;

use clap::Parser;
use poai::verify::{Rules, Verifier, VerifyError, proof_hash};
use poai::{Challenge, Difficulty, Params, Root};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use support::{Failure, files};

/// Verify a proof of AI.
#[derive(Parser)]
struct Args {
    /// The file of the proof.
    proof: PathBuf,
    /// The challenge that it was mined for, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    challenge: Challenge,
    /// The difficulty that it has to meet, an integer or like 5e9. Below 2^24
    /// it is checked as a pool's share.
    #[arg(long, value_name = "MACS")]
    difficulty: Difficulty,
}

fn main() -> ExitCode {
    support::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    let rules = support::rules(args.difficulty);
    let bytes = files::read(&args.proof, rules.proof_bytes_max())?;
    let verifier = Verifier::new(rules, args.difficulty).map_err(Failure::usage)?;
    let start = Instant::now();
    let verified = verifier.verify(&args.challenge, &bytes).map_err(|error| match error {
        VerifyError::Malformed(_) => Failure::usage(error),
        _ => Failure::Refused(error.to_string()),
    })?;
    let time = start.elapsed();
    let shape = verified.statement.shape;
    let kind = if rules == Rules::BLOCK { "block" } else { "share, too easy for a block" };
    println!("valid: {kind}, difficulty {}", verified.difficulty);
    println!("product     {}×{}×{}, {} MACs in all", shape.m, shape.n, shape.k, shape.macs());
    println!("root of A   {}", verified.statement.root_a);
    println!("root of Bᵀ  {}", verified.statement.root_b);
    println!("tile        {}", verified.tile);
    println!("ticket      {}", verified.ticket);
    if let Some(won) = Difficulty::largest_won(&Params::CONSENSUS, shape.k, &verified.ticket) {
        println!("wins up to  difficulty {won}");
    }
    println!("proof hash  {}, {} bytes", Root(proof_hash(&bytes)), bytes.len());
    println!("rules       {}", verified.rules);
    println!("verified in {:.3} ms", time.as_secs_f64() * 1e3);
    Ok(ExitCode::SUCCESS)
}
