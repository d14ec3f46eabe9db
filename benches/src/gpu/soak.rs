//! Continuous mining with random operands, shapes and challenges. Every ticket
//! of sampled tiles is recomputed on the CPU.

use crate::check::{self, Numbers};
use poai_benches::Failure;
use poai_benches::workload::P;
use poai_core::{Difficulty, Side, Tile};
use poai_engine::execute::Device;
use poai_engine::operand::test_challenge;
use poai_engine::{Keep, MineOptions, Miner, Operand};
use poai_verify::{Rules, Seed32, Verifier, check_product};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sampled tiles of each product that are drawn again, whether they win or not.
const SAMPLES: u64 = 8;
/// One tile in this many wins, alternating between products. Sampled tickets
/// are then compared both when the target accepts them and when it does not.
const WINS: [u128; 2] = [1, 16];
/// Winners of each product whose proofs are verified.
const PROOFS: usize = 16;

/// The results of a soak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Soaked {
    /// Products mined.
    pub products: u64,
    /// Tickets drawn.
    pub tickets: u64,
    /// Tiles recomputed on the CPU.
    pub tiles: u64,
    /// Proofs verified.
    pub proofs: u64,
}

/// Mines products from number `first` on of a seed, for a given time, but at
/// least one product.
///
/// # Errors
/// The first mismatch, with the command that reproduces it.
pub fn run(
    backend: &Arc<dyn Device>,
    seed: u64,
    first: u64,
    tiles: u64,
    lasting: Duration,
) -> Result<Soaked, Failure> {
    let (start, mut soaked) = (Instant::now(), Soaked::default());
    let miner = Miner::new(backend.clone());
    while soaked.products == 0 || start.elapsed() < lasting {
        let product = first + soaked.products;
        one(&miner, seed, product, tiles, &mut soaked).map_err(|error| {
            format!(
                "{error}\nproduct {product} of seed {seed}; again: gpu soak --seed {seed} \
                 --first {product} --tiles {tiles} --seconds 0"
            )
        })?;
        soaked.products += 1;
    }
    Ok(soaked)
}

fn one(
    miner: &Miner,
    seed: u64,
    product: u64,
    tiles: u64,
    soaked: &mut Soaked,
) -> Result<(), Failure> {
    let name = format!("soak {seed}, product {product}");
    let mut numbers = Numbers::new(&name);
    let mut rows = || P.tile() * (1 + numbers.below(tiles) as usize);
    let [m, n] = [rows(), rows()];
    let k = P.rank() * (8 + numbers.below(24) as usize);
    let operand = |side: Side, rows| {
        Operand::pseudorandom(&P, side, format!("{name} {side}").as_bytes(), rows, k)
    };
    let (a, bt) = (operand(Side::A, m)?, operand(Side::B, n)?);
    let challenge = test_challenge(name.as_bytes());
    let one_in = if product.is_multiple_of(2) { WINS[0] } else { WINS[1] };
    let difficulty = Difficulty::new(one_in * (P.tile() * P.tile() * k) as u128)?;

    let [on_a, on_b] = [miner.prepare(a.clone())?, miner.prepare(bt.clone())?];
    let round = miner.round(&challenge, &on_b)?;
    let mined = round.mine(&on_a, MineOptions::new(difficulty).keep(Keep::UpTo(usize::MAX)))?;
    let found = &mined.found;
    let (rows, columns) = found.statement().shape.tiles(&P);
    if found.drawn() != u64::from(rows) * u64::from(columns) {
        return Err(format!(
            "mismatch: expected tickets of {rows}×{columns} tiles, got {} tickets",
            found.drawn()
        )
        .into());
    }
    for _ in 0..SAMPLES {
        let tile = Tile { row: numbers.below_u32(rows), column: numbers.below_u32(columns) };
        let ticket = check::ticket(found.seeds(), &a, &bt, tile)?;
        let drawn = found.winners().iter().find(|winner| winner.tile == tile);
        let expected = difficulty.wins(&P, k as u32, &ticket).then_some(ticket);
        if drawn.map(|winner| winner.ticket) != expected {
            return Err(
                format!("mismatch: {tile:?}: expected ticket {ticket}, got {drawn:?}").into()
            );
        }
    }
    let verifier = Verifier::new(Rules::SHARE, difficulty)?;
    let winners = found.winners().iter().take(PROOFS);
    for winner in winners {
        let proof = found.prove(winner)?.to_bytes();
        let verified = verifier
            .verify(&challenge, &proof)
            .map_err(|error| format!("mismatch: {winner:?}: {error}"))?;
        if (verified.tile, verified.ticket) != (winner.tile, winner.ticket) {
            return Err(
                format!("mismatch: expected {winner:?}, the verifier got {verified:?}").into()
            );
        }
        soaked.proofs += 1;
    }
    let entries =
        mined.product.as_slice().ok_or("expected a row-major product, got another layout")?;
    // A GPU cannot choose its errors by the seed, so the seed need not be
    // secret.
    let secret = Seed32(challenge.0);
    check_product(found.statement().shape, a.as_slice(), bt.as_slice(), entries, &secret, 2)
        .map_err(|error| format!("mismatch: the product: {error}"))?;
    soaked.tickets += found.drawn();
    soaked.tiles += SAMPLES;
    Ok(())
}
