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
    support::main(run)
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
    let kind = if rules == Rules::CONSENSUS { "block" } else { "share, too easy for a block" };
    let won = Difficulty::largest_won(&Params::CONSENSUS, shape.k, &verified.ticket);
    support::print(&format!(
        "valid: {kind}, difficulty {}\n\
         product     {}×{}×{}, {} MACs in all\n\
         root of A   {}\n\
         root of Bᵀ  {}\n\
         tile        {}\n\
         ticket      {}, wins up to difficulty {}\n\
         proof hash  {}, {} bytes\n\
         rules       {}\n\
         verified in {:.3} ms\n",
        verified.difficulty,
        shape.m,
        shape.n,
        shape.k,
        shape.macs(),
        verified.statement.root_a,
        verified.statement.root_b,
        verified.tile,
        verified.ticket,
        won.unwrap_or(verified.difficulty),
        Root(proof_hash(&bytes)),
        bytes.len(),
        verified.rules,
        time.as_secs_f64() * 1e3,
    ))?;
    Ok(ExitCode::SUCCESS)
}
