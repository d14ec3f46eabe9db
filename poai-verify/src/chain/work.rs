//! The work of a branch, which decides between two branches.

use core::fmt;
use poai_core::Difficulty;
use ruint::aliases::U256;

/// The sum of the difficulties of a block and all its ancestors: the expected
/// MACs behind it. The branch with more work is the chain, not the longer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Work(U256);

impl Work {
    /// No work.
    pub const ZERO: Work = Work(U256::ZERO);

    /// The work with one more block. `difficulty` is the one that the block was
    /// *checked against*: a ticket far below the target counts no more. `None`
    /// beyond 256 bits, which takes 2^128 blocks.
    pub fn with(&self, difficulty: Difficulty) -> Option<Work> {
        self.0.checked_add(U256::from(difficulty.macs())).map(Work)
    }

    /// 32 bytes, the most significant first.
    pub fn to_be_bytes(&self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// Reads 32 bytes, the most significant first. Every value is valid.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Work {
        Work(U256::from_be_bytes(bytes))
    }
}

impl fmt::Display for Work {
    /// Writes the work in MACs, as a decimal number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
