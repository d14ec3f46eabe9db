//! Multiplies a real layer's operands, mines every tile of the product on the
//! way, and verifies the best win as a node would.
//!
//! `cargo run --release --example mine [CHALLENGE_HEX DIFFICULTY OUT]`

use ndarray::Array2;
use poai::verify::{Rules, Verifier};
use poai::{Challenge, Cpu, Difficulty, MineOptions, Miner, Operands, Params};
use std::error::Error;
use std::sync::Arc;

/// A feed-forward product of all-MiniLM-L6-v2: 512 tokens, 384 outputs, k = 1536. The file ends
/// with the entries of A, then those of Bᵀ.
const LAYER: &[u8] = include_bytes!("../poai-cli/data/operands/minilm-ffn.safetensors");
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
    let (a, bt) = LAYER[LAYER.len() - (M + N) * K..].split_at(M * K);
    let matrix = |rows, bytes: &[u8]| {
        Array2::from_shape_vec((rows, K), bytes.iter().map(|&byte| byte as i8).collect())
    };
    let operands = Operands::new(&params, matrix(M, a)?, matrix(N, bt)?)?;

    let miner = Miner::new(params, Arc::new(Cpu::new()))?;
    let weights = miner.prepare(operands.bt().clone())?; // committed once in its life
    let activations = miner.prepare(operands.a().clone())?;
    let round = miner.round(&challenge, &weights)?; // noised once per challenge
    let mined = round.mine(&activations, &MineOptions::new(difficulty))?;

    let product: Vec<u8> = mined.product.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    println!("product     {M}×{N}×{K}, exactly; BLAKE3 {}", blake3::hash(&product));
    println!("tickets     {} drawn, {} won", mined.found.drawn(), mined.found.won());
    let Some(proof) = mined.found.proof() else {
        return Err("no tile won: try another challenge or a lower difficulty".into());
    };
    let bytes = proof.encode(&params)?;

    // A node knows the bytes, the challenge and the difficulty, and nothing else.
    let rules = if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS };
    let verified = Verifier::new(rules, difficulty)?.verify(&challenge, &bytes)?;
    println!("winner      {}, ticket {}", verified.tile, verified.ticket);
    println!("verified    from {} bytes", bytes.len());
    if let Some(out) = out {
        std::fs::write(out, &bytes)?;
    }
    Ok(())
}
