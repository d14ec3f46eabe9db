//! Mines all parts of a product.

use crate::failure::Failure;
use indicatif::ProgressBar;
use ndarray::Array2;
use poai::operand::Split;
use poai::{Challenge, Difficulty, MineOptions, Miner, Proof};
use std::time::{Duration, Instant};

/// The number of tickets that the work draws.
pub fn tickets(work: &Split, miner: &Miner) -> u64 {
    work.parts().iter().map(|part| part.operands().shape().tickets(miner.params())).sum()
}

/// The results of mining all parts of the work.
pub struct AllMined {
    pub product: Array2<i32>,
    pub macs: u128,
    pub tickets: u64,
    pub won: u64,
    pub time: Duration,
    pub best: Option<Best>,
    pub roots: [poai::Root; 2],
}

/// The proof of the lowest ticket.
pub struct Best {
    pub proof: Proof,
    pub bytes: Vec<u8>,
    pub ticket: poai::Ticket,
}

/// Mines every part, one after the other.
pub fn mine(
    challenge: &Challenge,
    difficulty: Difficulty,
    work: &Split,
    miner: &Miner,
    bar: &ProgressBar,
) -> Result<AllMined, Failure> {
    let start = Instant::now();
    let (mut products, mut found) = (Vec::new(), Vec::new());
    for part in work.parts() {
        let operands = part.operands();
        let bt = miner.prepare(operands.bt().clone())?;
        let a = miner.prepare(operands.a().clone())?;
        let round = miner.round(challenge, &bt)?;
        let (on_tiles, before) = (bar.clone(), bar.position());
        let options = MineOptions::new(difficulty)
            .progress(move |progress| on_tiles.set_position(before + progress.done));
        let mined = round.mine(&a, options)?;
        bar.set_position(before + mined.drawn());
        products.push(mined.product);
        found.push(mined.found);
    }
    let time = start.elapsed();
    bar.finish_and_clear();
    let product = work
        .assemble(products)
        .ok_or_else(|| Failure::usage("expected parts that add up to the product, got others"))?;
    let winner = |found: &&poai::Found| found.best().map(|best| best.ticket);
    let best = found.iter().filter(|found| found.best().is_some()).min_by_key(winner);
    let statement = *best.unwrap_or(&found[0]).statement();
    let best = best
        .and_then(|found| Some((found.proof()?, found.best()?.ticket)))
        .map(|(proof, ticket)| {
            let bytes = proof.to_bytes();
            Ok::<_, Failure>(Best { proof, bytes, ticket })
        })
        .transpose()?;
    Ok(AllMined {
        product,
        macs: work.parts().iter().map(|part| part.operands().shape().macs()).sum(),
        tickets: found.iter().map(|found| found.drawn()).sum(),
        won: found.iter().map(|found| found.won()).sum(),
        time,
        best,
        roots: [statement.root_a, statement.root_b],
    })
}
