//! Checks a proof as a node does, from only the bytes, the challenge and the
//! difficulty.
//!
//! `cargo run --release --example verify -- FILE CHALLENGE_HEX DIFFICULTY`
//! Exit codes: 0 if the proof is valid; 1 if it is not, or if the arguments or
//! the file are wrong.

use poai::verify::{Rules, Verified, Verifier};
use poai::{Challenge, Difficulty, Shape};
use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, challenge, difficulty] = &arguments[..] else {
        return Err("expected FILE CHALLENGE_HEX DIFFICULTY".into());
    };
    let (challenge, difficulty): (Challenge, Difficulty) =
        (challenge.parse()?, difficulty.parse()?);

    // Below the least difficulty of a block, a proof is a pool's share.
    let rules = if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS };
    let mut bytes = vec![];
    // Reading one byte more than the longest proof detects a longer file, which
    // is refused.
    File::open(file)?.take(rules.proof_bytes_max() + 1).read_to_end(&mut bytes)?;
    let verified = Verifier::new(rules, difficulty)?.verify(&challenge, &bytes)?;

    let Verified { statement, difficulty, tile, ticket, .. } = verified;
    let (Shape { m, n, k, .. }, root_a, root_b) =
        (statement.shape, statement.root_a, statement.root_b);
    let text = format!(
        "valid: difficulty {difficulty}\n\
         product     {m}×{n}×{k}\n\
         root of A   {root_a}\n\
         root of Bᵀ  {root_b}\n\
         tile        {tile}, ticket {ticket}\n"
    );
    match std::io::stdout().write_all(text.as_bytes()) {
        // The proof is valid, even if the reader has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
