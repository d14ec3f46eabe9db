//! All blocks that a node accepted, and which branch is the chain.

use crate::block::{Block, Header, Id};
use crate::network::{Network, RULES};
use crate::store::{Store, StoreError};
use poai_core::Difficulty;
use poai_verify::chain::{CompactDifficulty, CompactError, TimeError, Work};
use poai_verify::{RulesError, Seal, Verifier, VerifyError};
use std::collections::HashMap;

/// How far below the tip's height a block may be that is new. Blocks of side
/// branches are kept for ever, and far down they may cost as little as the
/// least difficulty. A network that was cut in two for longer than this does
/// not heal by itself: somebody has to say which side goes on.
pub const DEPTH_MAX: u64 = 288;

/// A node's blocks. Every one of them was verified, this time or before.
pub struct Chain {
    network: Network,
    verifier: Verifier,
    blocks: HashMap<Id, Entry>,
    genesis: Id,
    tip: Id,
    store: Store,
}

struct Entry {
    block: Block,
    /// Of the block and all its ancestors.
    work: Work,
}

/// Why a block is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("its parent {0} is unknown")]
    Parent(Id),
    #[error("height {got}, not {asked}")]
    Height { got: u64, asked: u64 },
    #[error("{0} blocks below the tip, at most {DEPTH_MAX}")]
    Deep(u64),
    #[error(transparent)]
    Compact(#[from] CompactError),
    #[error("difficulty {got}, not {asked}")]
    Difficulty { got: CompactDifficulty, asked: CompactDifficulty },
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    Proof(#[from] VerifyError),
}

impl Refusal {
    /// Whether whoever sent it must have known. A peer whose clock is ahead, that
    /// knows a parent which this node lacks, or that is on another side of a long
    /// cut, may be honest.
    pub fn is_fault(&self) -> bool {
        use Refusal::{Deep, Parent, Time};
        !matches!(self, Parent(_) | Deep(_) | Time(TimeError::Future { .. }))
    }
}

/// Why a chain cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error("a stored block is refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the stored tip {stored} is not the heaviest block {heaviest}")]
    Tip { stored: Id, heaviest: Id },
}

/// What an accepted block changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Known already.
    Known,
    /// Beside the chain.
    Branch,
    /// The new tip; so many blocks left the chain for it.
    Tip { left: u64 },
}

impl Chain {
    /// Opens a database and verifies every block in it again, as if it arrived.
    pub fn open(network: Network, store: Store) -> Result<Chain, ChainError> {
        let stored = store.read()?;
        let genesis = network.genesis();
        let id = genesis.id();
        let entry = Entry { block: genesis, work: Work::ZERO };
        let mut chain = Chain {
            network,
            verifier: Verifier::new(RULES, Difficulty::BLOCK_MIN)?,
            blocks: HashMap::from([(id, entry)]),
            genesis: id,
            tip: id,
            store,
        };
        for block in stored.blocks {
            chain.check(&block)?;
            chain.insert(block.id(), block);
        }
        match stored.tip {
            Some(stored) if stored != chain.tip => {
                Err(ChainError::Tip { stored, heaviest: chain.tip })
            }
            _ => Ok(chain),
        }
    }

    /// Takes a block: verified, on disk, and the tip if it is the heaviest. The
    /// clock is asked here, where blocks arrive, and never of stored ones.
    pub fn accept(&mut self, block: Block) -> Result<Result<Accepted, Refusal>, StoreError> {
        let id = block.id();
        if self.blocks.contains_key(&id) {
            return Ok(Ok(Accepted::Known));
        }
        // A claim, which `check` holds against the parent's.
        let depth = self.height().saturating_sub(block.header.height);
        if depth > DEPTH_MAX {
            return Ok(Err(Refusal::Deep(depth)));
        }
        // The clock last, so that a block from the future has cost its work.
        let arrives = |()| {
            let times = self.network.times();
            Ok(times.check_future(block.header.time, self.network.now())?)
        };
        if let Err(refusal) = self.check(&block).and_then(arrives) {
            return Ok(Err(refusal));
        }
        let stored = block.clone();
        let before = self.tip;
        let accepted = self.insert(id, block);
        if let Err(error) = self.store.write(&id, &stored, &self.tip) {
            // What is not on disk was not accepted.
            self.blocks.remove(&id);
            self.tip = before;
            return Err(error);
        }
        Ok(Ok(accepted))
    }

    /// Everything but the clock, the cheapest first.
    fn check(&self, block: &Block) -> Result<(), Refusal> {
        let header = &block.header;
        let claimed = CompactDifficulty::decode(header.difficulty)?;
        let seal = Seal {
            challenge: header.challenge(),
            difficulty: claimed.difficulty(),
            proof: &block.proof,
        };
        let Some(parent) = self.blocks.get(&header.parent) else {
            // Worth asking for its ancestors only if some work is behind it.
            self.verifier.preliminary_verify_seal(&seal)?;
            return Err(Refusal::Parent(header.parent));
        };
        let parent = &parent.block.header;
        if header.height != parent.height + 1 {
            return Err(Refusal::Height { got: header.height, asked: parent.height + 1 });
        }
        let asked = self.network.difficulty_after(parent);
        if claimed != asked {
            return Err(Refusal::Difficulty { got: claimed, asked });
        }
        self.network.times().check_past(header.time, &self.times(&header.parent))?;
        self.verifier.preliminary_verify_seal(&seal)?;
        self.verifier.verify_seal(&seal)?;
        Ok(())
    }

    /// Adds a checked block, whose parent is there.
    fn insert(&mut self, id: Id, block: Block) -> Accepted {
        let difficulty =
            CompactDifficulty::decode(block.header.difficulty).map(|compact| compact.difficulty());
        let parent = self.work(&block.header.parent);
        // Checked before: the difficulty decodes, and 2^128 blocks are not reached.
        let work = difficulty.ok().and_then(|macs| parent.with(macs)).unwrap_or(parent);
        self.blocks.insert(id, Entry { block, work });
        let best = (self.work(&self.tip), std::cmp::Reverse(self.tip));
        // Of equal work the lower id, so that all nodes agree whatever arrived first.
        if (work, std::cmp::Reverse(id)) <= best {
            return Accepted::Branch;
        }
        let left = self.depth_below(&self.tip, &id);
        self.tip = id;
        Accepted::Tip { left }
    }

    /// The blocks of the branch up to `old` that the branch up to `new` has not.
    fn depth_below(&self, old: &Id, new: &Id) -> u64 {
        let (mut old, mut new, mut left) = (self.ancestors(old), self.ancestors(new), 0);
        let (mut one, mut other) = (old.next(), new.next());
        while let (Some((id, block)), Some((other_id, other_block))) = (one, other) {
            if id == other_id {
                break;
            }
            let (height, other_height) = (block.header.height, other_block.header.height);
            if height >= other_height {
                left += 1;
                one = old.next();
            }
            if other_height >= height {
                other = new.next();
            }
        }
        left
    }

    fn work(&self, id: &Id) -> Work {
        self.blocks.get(id).map_or(Work::ZERO, |entry| entry.work)
    }

    /// A block and its ancestors, down to the genesis.
    fn ancestors(&self, id: &Id) -> impl Iterator<Item = (Id, &Block)> {
        let entry = |id: Id| self.blocks.get(&id).map(|entry| (id, &entry.block));
        std::iter::successors(entry(*id), move |(_, block)| entry(block.header.parent))
    }

    /// The times of a block and its ancestors, as many as the rules count.
    fn times(&self, id: &Id) -> Vec<u64> {
        let count = self.network.times().ancestors();
        self.ancestors(id).take(count).map(|(_, block)| block.header.time).collect()
    }

    /// The best block's id.
    pub fn tip(&self) -> Id {
        self.tip
    }

    /// The best block, and the work behind it.
    pub fn best(&self) -> (Block, Work) {
        let genesis = || (self.network.genesis(), Work::ZERO);
        self.blocks.get(&self.tip).map_or_else(genesis, |tip| (tip.block.clone(), tip.work))
    }

    /// The best block's height.
    pub fn height(&self) -> u64 {
        self.blocks.get(&self.tip).map_or(0, |tip| tip.block.header.height)
    }

    /// The work behind the best block.
    pub fn tip_work(&self) -> Work {
        self.work(&self.tip)
    }

    /// How many blocks are known, branches and the genesis included.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The chain's times, the tip's first.
    pub fn chain_times(&self) -> Vec<u64> {
        self.ancestors(&self.tip).map(|(_, block)| block.header.time).collect()
    }

    /// A header to mine: the tip's child, whose time is the clock's or just
    /// after the median of its ancestors'.
    pub fn template(&self, miner: u32) -> Header {
        let (tip, _) = self.best();
        let median = poai_verify::chain::median_time_past(&self.times(&self.tip)).unwrap_or(0);
        Header {
            parent: self.tip,
            height: tip.header.height + 1,
            time: self.network.now().max(median + 1),
            difficulty: self.network.difficulty_after(&tip.header).bits(),
            miner,
            transactions: [0; 32],
            nonce: 0,
        }
    }

    /// Ids of the chain, the tip's first, ever farther apart, the genesis' last;
    /// before them the block that was got last, where there is one: on a branch
    /// that is not the heaviest yet it is where to go on.
    pub fn locator(&self, last: Option<Id>) -> Vec<Id> {
        let last = last.filter(|last| self.blocks.contains_key(last));
        let (mut ids, mut next, mut step) = (Vec::from_iter(last), 0, 1);
        for (index, (id, _)) in self.ancestors(&self.tip).enumerate() {
            if index == next {
                ids.push(id);
                step *= if ids.len() > 8 { 2 } else { 1 };
                next += step;
            }
        }
        if ids.last() != Some(&self.genesis) {
            ids.push(self.genesis);
        }
        ids
    }

    /// The chain's blocks after the first of `locator` that is on it, oldest
    /// first, at most `count`. The genesis is in no message.
    pub fn after(&self, locator: &[Id], count: usize) -> Vec<Block> {
        let mut newer: Vec<&Block> = Vec::new();
        for (id, block) in self.ancestors(&self.tip) {
            if locator.contains(&id) || block.header.height == 0 {
                break;
            }
            newer.push(block);
        }
        newer.into_iter().rev().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
