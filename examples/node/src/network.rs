//! The consensus of all nodes of this network: rules, genesis, retargeting,
//! clock.
//!
//! Time is simulated. The network's clock runs [`SPEED`] times as fast as the
//! machine's, so that 15 seconds between blocks pass in a quarter of a second.

use crate::block::{Block, Header, Id};
use poai_core::Difficulty;
use poai_verify::Rules;
use poai_verify::chain::{Anchor, Asert, BaseTarget, CompactDifficulty, Profile, TimeRules};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of the network in one second of the machine.
pub const SPEED: u64 = 60;
/// Multiply-accumulates of one of a miner's products: 128 × 128, with k = 1024.
pub const PRODUCT_MACS: u128 = 128 * 128 * 1024;
/// Number of rows of either operand.
pub const ROWS: usize = 128;
/// The k of every product.
pub const DEPTH: usize = 1024;
/// The genesis's difficulty: four products for each block, which is four times
/// the least.
const INITIAL_MACS: u128 = 4 * PRODUCT_MACS;
/// Products in one second of the machine at which blocks of the genesis's
/// difficulty come on time.
pub const INITIAL_RATE: f64 = 4.0 * SPEED as f64 / 15.0;
/// Sixteen block times, which is the shortest permitted half-life. With the
/// profile's two hours, the scenarios would take half an hour.
const HALF_LIFE: u32 = 240;
const GENESIS_TIME: u64 = 1_700_000_000;

/// A block's rules, with this chain's only k, so that messages stay below 70
/// kB.
pub const RULES: Rules = Rules { k_max: DEPTH as u32, rows_max: 4096, ..Rules::CONSENSUS };

/// The consensus rules and the clock.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    asert: Asert,
    anchor: Anchor,
    times: TimeRules,
    /// Milliseconds of the machine's clock when the network's clock showed the genesis's time.
    epoch: u64,
}

/// Why the constants above are not permitted. It never occurs.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Asert(#[from] poai_verify::chain::AsertError),
    #[error(transparent)]
    Times(#[from] poai_verify::chain::TimeError),
    #[error("difficulty: {0}")]
    Difficulty(String),
}

impl Network {
    /// The network that began when the machine's clock showed `epoch` milliseconds.
    pub fn new(epoch: u64) -> Result<Network, NetworkError> {
        let block_time = Profile::EAI.block_time;
        let initial = Difficulty::new(INITIAL_MACS)
            .map_err(|error| NetworkError::Difficulty(error.to_string()))?;
        Ok(Network {
            asert: Asert::new(block_time, HALF_LIFE, Difficulty::BLOCK_MIN)?,
            anchor: Anchor {
                height: 0,
                parent_time: GENESIS_TIME - u64::from(block_time),
                target: BaseTarget::new(initial),
            },
            times: TimeRules::new(Profile::EAI.time_ancestors, Profile::EAI.future_limit)?,
            epoch,
        })
    }

    /// The machine's clock in milliseconds.
    pub fn machine_clock() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The network's clock in seconds.
    pub fn now(&self) -> u64 {
        let passed = Network::machine_clock().saturating_sub(self.epoch);
        GENESIS_TIME + passed * SPEED / 1000
    }

    /// The genesis, which was not mined. It has no proof, and is never sent.
    pub fn genesis(&self) -> Block {
        let difficulty = CompactDifficulty::new(self.anchor.target.difficulty()).bits();
        Block {
            header: Header {
                parent: Id([0; 32]),
                height: 0,
                time: GENESIS_TIME,
                difficulty,
                miner: 0,
                transactions: [0; 32],
                nonce: 0,
            },
            proof: Vec::new(),
        }
    }

    /// The difficulty that a child of this header must have.
    pub fn difficulty_after(&self, parent: &Header) -> CompactDifficulty {
        let target = self.asert.next(&self.anchor, parent.height, parent.time);
        CompactDifficulty::new(target.difficulty())
    }

    /// The rules for times.
    pub fn times(&self) -> &TimeRules {
        &self.times
    }

    /// The digest of the rules, which is in a connection's first message. Nodes
    /// with other rules disconnect at once.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("poai example-node v1 network");
        hasher.update(&RULES.digest().0);
        hasher.update(&self.genesis().id().0);
        hasher.update(&self.asert.block_time().to_le_bytes());
        hasher.update(&self.asert.half_life().to_le_bytes());
        hasher.update(&(self.times.ancestors() as u64).to_le_bytes());
        *hasher.finalize().as_bytes()
    }
}
