//! Verifies mined proofs as a node does, which knows only the bytes, the
//! challenge and the difficulty.

use crate::arguments;
use crate::failure::Failure;
use crate::{files, terminal};
use poai::verify::{Rules, Verifier, proof_hash};
use poai::{Challenge, Difficulty, Params, Root};
use std::path::PathBuf;
use std::time::Instant;

#[derive(clap::Args)]
pub struct Mined {
    /// The file of the proof.
    proof: PathBuf,
    /// The challenge that it was mined for, 64 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    challenge: Challenge,
    /// The difficulty that it has to meet, an integer or a number such as 5e9.
    /// Below 2^24 it is checked as a pool's share.
    #[arg(long, value_name = "MACS")]
    difficulty: Difficulty,
}

pub fn run(args: &Mined) -> Result<(), Failure> {
    let rules = arguments::rules(args.difficulty);
    let bytes = files::read(&args.proof, rules.proof_bytes_max())?;
    let verifier = Verifier::new(rules, args.difficulty)?;
    let start = Instant::now();
    let verified = verifier.verify(&args.challenge, &bytes)?;
    let time = start.elapsed();
    let shape = verified.statement.shape;
    let kind = if rules == Rules::CONSENSUS { "block" } else { "share, too easy for a block" };
    let won = Difficulty::largest_won(&Params::CONSENSUS, shape.k, &verified.ticket);
    terminal::print(&format!(
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
    ))
}
