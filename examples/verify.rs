//! Checks a proof as a node does: it knows the bytes, the challenge and the
//! difficulty, and nothing else.
//!
//! `cargo run --release --example verify -- FILE CHALLENGE_HEX DIFFICULTY`
//! Exit codes: 0 the proof holds, 1 it does not.

use poai::verify::{Rules, Verifier};
use poai::{Challenge, Difficulty};
use std::error::Error;
use std::fs::File;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, challenge, difficulty] = &arguments[..] else {
        return Err("expected FILE CHALLENGE_HEX DIFFICULTY".into());
    };
    let (challenge, difficulty): (Challenge, Difficulty) =
        (challenge.parse()?, difficulty.parse()?);

    // Below the least difficulty of a block a proof is a pool's share.
    let rules = if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS };
    let mut bytes = vec![];
    // One byte more than any proof has shows a longer file, which is refused.
    File::open(file)?.take(rules.proof_bytes_max() + 1).read_to_end(&mut bytes)?;
    let verified = Verifier::new(rules, difficulty)?.verify(&challenge, &bytes)?;

    let shape = verified.statement.shape;
    println!("valid: difficulty {}", verified.difficulty);
    println!("product     {}×{}×{}", shape.m, shape.n, shape.k);
    println!("root of A   {}", verified.statement.root_a);
    println!("root of Bᵀ  {}", verified.statement.root_b);
    println!("tile        {}, ticket {}", verified.tile, verified.ticket);
    Ok(())
}
