//! Headers, blocks and their ids.
//!
//! The challenge is the hash of the whole header, so no part of it can change
//! after the work is done. The id also covers the proof: another winning tile
//! of the same product makes another block.

use poai_core::Challenge;
use poai_verify::proof_hash;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A block's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub [u8; 32]);

/// The block without its proof. This example has no body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The id of the parent block.
    pub parent: Id,
    /// The parent's height plus one.
    pub height: u64,
    /// Seconds of the network's clock.
    pub time: u64,
    /// The block's [`poai_verify::chain::CompactDifficulty`], which a node computes from the
    /// ancestors.
    pub difficulty: u32,
    /// The miner that is paid.
    pub miner: u32,
    /// The commitment to a body.
    pub transactions: [u8; 32],
    /// A number that the miner chooses: every value gives another challenge.
    pub nonce: u64,
}

/// A header with its proof's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The header that was mined.
    pub header: Header,
    /// The bytes of the proof.
    pub proof: Vec<u8>,
}

impl Header {
    /// The challenge that the proof is made for: the hash of every field.
    ///
    /// Integers have their full width, so that one header has one encoding.
    pub fn challenge(&self) -> Challenge {
        let mut hasher = blake3::Hasher::new_derive_key("poai example-node v1 challenge");
        hasher.update(&self.parent.0);
        hasher.update(&self.height.to_le_bytes());
        hasher.update(&self.time.to_le_bytes());
        hasher.update(&self.difficulty.to_le_bytes());
        hasher.update(&self.miner.to_le_bytes());
        hasher.update(&self.transactions);
        hasher.update(&self.nonce.to_le_bytes());
        Challenge(*hasher.finalize().as_bytes())
    }
}

impl Block {
    /// The id: the challenge and the proof's hash.
    pub fn id(&self) -> Id {
        let mut hasher = blake3::Hasher::new_derive_key("poai example-node v1 block id");
        hasher.update(&self.header.challenge().0);
        hasher.update(&proof_hash(&self.proof));
        Id(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Id {
    /// The first eight digits, which are enough to distinguish blocks in a
    /// table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
