//! What the scenarios tell a node on its standard input, and what it answers
//! on its standard output: one JSON object a line.

use crate::block::Id;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// An order, from the scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Dial a peer.
    Connect(SocketAddr),
    /// Part from all peers, and take no new ones until `join`.
    Isolate,
    /// Take peers again.
    Join,
    /// Mine so many products a second, each of [`crate::network::PRODUCT_MACS`], a tenth
    /// at least; 0 stops.
    Mine(f64),
    /// Answer with [`Event::Tip`].
    Tip,
    /// Answer with [`Event::Times`].
    Times,
    /// End.
    Quit,
}

/// An answer, or something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The node listens; all that its database held was verified again.
    Ready {
        /// Where.
        address: SocketAddr,
        /// Blocks in the database.
        blocks: usize,
        /// The tip's height.
        height: u64,
    },
    /// The best block.
    Tip(Tip),
    /// The times of the chain's blocks, the tip's first.
    Times(Vec<u64>),
    /// The tip is on another branch now.
    Reorganised {
        /// Blocks that left the chain.
        left: u64,
        /// The new tip's height.
        height: u64,
    },
    /// What a peer sent was refused, or what this node's miner found, or a peer is not
    /// to be had any more.
    Refused {
        /// Why.
        reason: String,
        /// Whether the peer was sent away for it.
        parted: bool,
    },
    /// So many events were not said here, because nobody read those before.
    Missed(u64),
}

/// A best block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Its id.
    pub id: Id,
    /// Its height.
    pub height: u64,
    /// Expected MACs behind it, decimal.
    pub work: String,
    /// What its child is held against, in MACs.
    pub difficulty: u64,
}
