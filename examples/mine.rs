//! Multiplies two matrices, mines every tile of the product, and verifies the
//! best win as a node does.
//!
//! `cargo run --release --example mine [FILE]` also writes the proof to FILE.

use poai::operand::pseudorandom;
use poai::verify::Verifier;
use poai::{Challenge, Difficulty, Miner, backend};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let challenge = Challenge([7; 32]); // the hash of your block's header

    let miner = Miner::new(backend("auto")?);
    let weights = miner.weights(pseudorandom(b"weights", 384, 1536))?; // committed once
    let activations = miner.activations(pseudorandom(b"activations", 512, 1536))?;
    let round = miner.round(&challenge, &weights)?; // noised once a challenge
    let mined = round.mine(&activations, Difficulty::BLOCK_MIN)?;
    println!("product   {:?}, exact, of which {} tiles won", mined.product.dim(), mined.won());

    let proof = mined.proof().ok_or("no tile won: try another challenge")?.to_bytes();
    let verified = Verifier::block(Difficulty::BLOCK_MIN)?.verify(&challenge, &proof)?;
    println!("verified  tile {} from {} bytes", verified.tile, proof.len());
    if let Some(file) = std::env::args().nth(1) {
        std::fs::write(file, proof)?;
    }
    Ok(())
}
