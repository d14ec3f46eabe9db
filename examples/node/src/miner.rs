//! A miner: one real product after another, each with its own nonce.
//!
//! The products in a second are set from outside, so that a network of any
//! hashrate can be simulated on any machine.

use crate::block::{Block, Header};
use crate::network::{DEPTH, ROWS};
use poai_core::Proof;
use poai_engine::backend::{BackendError, Prepared};
use poai_engine::operand::pseudorandom;
use poai_engine::{Cpu, MineError, Miner};
use poai_verify::chain::{CompactDifficulty, CompactError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// The header to mine, and the rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Job {
    /// The header without its nonce, or `None` if there is nothing to mine.
    pub header: Option<Header>,
    /// Products a second. A rate below [`SLOWEST`] counts as [`SLOWEST`].
    pub rate: f64,
}

/// The least rate. A miner that waits for its next product does not see a new job.
const SLOWEST: f64 = 0.1;
/// The part of its schedule that a miner may catch up.
const LATE: Duration = Duration::from_millis(100);

/// Why a product cannot be mined. With these shapes, it never occurs.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Mine(#[from] MineError),
    #[error(transparent)]
    Difficulty(#[from] CompactError),
}

/// A layer's weights, with which every product is made.
pub struct Layer {
    miner: Miner,
    weights: Prepared,
}

impl Layer {
    /// Commits to the weights, once.
    pub fn new() -> Result<Layer, MinerError> {
        let miner = Miner::new(Arc::new(Cpu::new().threads(1)?));
        let weights = miner.weights(pseudorandom(b"example-node weights", ROWS, DEPTH))?;
        Ok(Layer { miner, weights })
    }

    /// Multiplies new activations by the weights, and returns a block if a tile
    /// wins.
    pub fn attempt(&self, header: &Header) -> Result<Option<Block>, MinerError> {
        let activations = pseudorandom(&header.nonce.to_le_bytes(), ROWS, DEPTH);
        let activations = self.miner.activations(activations)?;
        let difficulty = CompactDifficulty::from_bits(header.difficulty)?.difficulty();
        let round = self.miner.round(&header.challenge(), &self.weights)?;
        let mined = round.mine(&activations, difficulty)?;
        // A real miner would deliver `mined.product` here to the party that
        // pays for it.
        let block = |proof: Proof| Block { header: header.clone(), proof: proof.to_bytes() };
        Ok(mined.proof().map(block))
    }
}

/// Mines until the other ends are dropped. It runs on its own thread.
pub fn run(jobs: watch::Receiver<Job>, found: mpsc::Sender<Block>) {
    if let Err(error) = mine(jobs, &found) {
        eprintln!("the miner stopped: {error}");
    }
}

fn mine(jobs: watch::Receiver<Job>, found: &mpsc::Sender<Block>) -> Result<(), MinerError> {
    let layer = Layer::new()?;
    let mut nonce: u64 = rand::random();
    let mut next = Instant::now();
    while jobs.has_changed().is_ok() && !found.is_closed() {
        let job = jobs.borrow().clone();
        let Some(mut header) = job.header.filter(|_| job.rate > 0.0) else {
            std::thread::sleep(Duration::from_millis(5));
            next = Instant::now();
            continue;
        };
        nonce = nonce.wrapping_add(1);
        header.nonce = nonce;
        if let Some(block) = layer.attempt(&header)? {
            if found.blocking_send(block).is_err() {
                break;
            }
            // The node answers with the next header. Without this pause, the
            // miner would mine siblings of this block.
            std::thread::sleep(Duration::from_millis(2));
        }
        // A machine that falls behind does not catch up all of it later.
        let due = next + Duration::from_secs_f64(1.0 / job.rate.max(SLOWEST));
        next = Instant::now().checked_sub(LATE).map_or(due, |earliest| due.max(earliest));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
