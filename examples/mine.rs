//! Multiplies two operands, mines every tile of the product, and verifies the
//! best win as a node does.
//!
//! `cargo run --release --example mine [CHALLENGE_HEX DIFFICULTY OUT]`

use poai::verify::{Rules, Verifier};
use poai::{Challenge, Cpu, Difficulty, MineOptions, Miner, Operand, Params, Side};
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::sync::Arc;

/// The shape of a feed-forward product of all-MiniLM-L6-v2: 512 tokens, 384 outputs, k = 1536.
const M: usize = 512;
const N: usize = 384;
const K: usize = 1536;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (challenge, difficulty, out) = match &arguments[..] {
        [] => (Challenge([7; 32]), Difficulty::BLOCK_MIN, None),
        [challenge, difficulty, out] => (challenge.parse()?, difficulty.parse()?, Some(out)),
        _ => return Err("expected no arguments, or CHALLENGE_HEX DIFFICULTY OUT".into()),
    };
    let params = Params::CONSENSUS;
    // Your own operands come from `Operand::new`, with entries from -64 to 63.
    let a = Operand::pseudorandom(&params, Side::A, b"activations", M, K)?;
    let bt = Operand::pseudorandom(&params, Side::B, b"weights", N, K)?;

    let miner = Miner::new(params, Arc::new(Cpu::new()))?;
    let weights = miner.prepare(bt)?; // committed once
    let activations = miner.prepare(a)?;
    let round = miner.round(&challenge, &weights)?; // noised once per challenge
    let mined = round.mine(&activations, &MineOptions::new(difficulty))?;

    let product: Vec<u8> = mined.product.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let (product, found) = (blake3::hash(&product), mined.found);
    let none = "no tile won: try another challenge or a lower difficulty";
    let bytes = found.proof().ok_or(none)?.to_bytes();
    if let Some(out) = out {
        std::fs::write(out, &bytes)?;
    }

    // A node knows only the bytes, the challenge and the difficulty.
    let rules = if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS };
    let verified = Verifier::new(rules, difficulty)?.verify(&challenge, &bytes)?;
    let (drawn, won, length) = (found.drawn(), found.won(), bytes.len());
    let text = format!(
        "product     {M}×{N}×{K}, exactly; BLAKE3 {product}\n\
         tickets     {drawn} drawn, {won} won\n\
         winner      {}, ticket {}\n\
         verified    from {length} bytes\n",
        verified.tile, verified.ticket
    );
    match std::io::stdout().write_all(text.as_bytes()) {
        // The work is done, even if the reader has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
