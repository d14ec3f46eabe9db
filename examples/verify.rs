//! Checks a proof as a node does, from only the bytes, the challenge and the
//! difficulty.
//!
//! `cargo run --release --example verify -- FILE` checks what the example
//! `mine` wrote. The exit code is 0 if the proof is valid, or else 1.

use poai::verify::Verifier;
use poai::{Challenge, Difficulty};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let challenge = Challenge([7; 32]); // the hash of the block's header
    let verifier = Verifier::block(Difficulty::BLOCK_MIN)?; // your chain's difficulty

    let file = std::env::args().nth(1).ok_or("expected FILE, got nothing; name a proof")?;
    let mut proof = vec![];
    // One byte more than the longest proof: a longer file is refused.
    let most = verifier.rules().proof_bytes_max() + 1;
    std::fs::File::open(file)?.take(most).read_to_end(&mut proof)?;

    let verified = verifier.verify(&challenge, &proof)?;
    println!("valid: tile {} of {:?}", verified.tile, verified.statement.shape);
    Ok(())
}
