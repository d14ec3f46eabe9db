//! The scenarios' commands on a node's standard input, and its events on
//! standard output.
//!
//! Each is one JSON object on a line.

use crate::block::Id;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A command from the scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Dial a peer.
    Connect(SocketAddr),
    /// Disconnect from all peers, and accept no new ones until `join`.
    Isolate,
    /// Accept peers again.
    Join,
    /// Mine this many products a second, each of [`crate::network::PRODUCT_MACS`], at least a
    /// tenth. 0 stops mining.
    Mine(f64),
    /// Answer with [`Event::Tip`].
    Tip,
    /// Answer with [`Event::Times`].
    Times,
    /// End the process.
    Quit,
}

/// An answer, or an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The node listens, and has verified all blocks in its database again.
    Ready {
        /// The address on which it listens.
        address: SocketAddr,
        /// Number of blocks in the database.
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
        /// Number of blocks that left the chain.
        left: u64,
        /// The new tip's height.
        height: u64,
    },
    /// A peer's message or a block of this node's miner was rejected, or a peer could not be
    /// reached.
    Refused {
        /// The reason.
        reason: String,
        /// Whether the node disconnected from the peer.
        parted: bool,
    },
    /// Number of events that were dropped, because the earlier ones were not
    /// read.
    Missed(u64),
}

/// The best block of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The block's id.
    pub id: Id,
    /// The block's height.
    pub height: u64,
    /// The expected MACs behind it, as a decimal number.
    pub work: String,
    /// The difficulty that its child must have, in MACs.
    pub difficulty: u64,
}
