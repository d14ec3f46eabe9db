//! All blocks that a node accepted, and the branch that is the chain.

use crate::block::{Block, Header, Id};
use crate::branch::{End, REACH, Shown};
use crate::network::{Network, RULES};
use crate::store::{Store, StoreError};
use poai_core::Difficulty;
use poai_verify::chain::{CompactDifficulty, CompactError, TimeError, Work};
use poai_verify::{RulesError, Seal, Verifier, VerifyError};
use std::cmp::Reverse;
use std::collections::HashMap;

/// A node's blocks. Each was verified, in this run or when it was read.
pub struct Chain {
    network: Network,
    verifier: Verifier,
    blocks: HashMap<Id, Entry>,
    genesis: Id,
    /// The chain's ids by height, from the genesis to the tip.
    by_height: Vec<Id>,
    store: Store,
}

struct Entry {
    block: Block,
    /// The work of the block and all its ancestors.
    work: Work,
}

/// Why a block is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("expected a known parent, got {0}, which is unknown")]
    Parent(Id),
    #[error("expected height {asked}, got {got}")]
    Height { got: u64, asked: u64 },
    #[error("expected a branch with enough work or a better tip, got a light one")]
    Light,
    #[error(transparent)]
    Compact(#[from] CompactError),
    #[error("expected difficulty {asked}, got {got}")]
    Difficulty { got: CompactDifficulty, asked: CompactDifficulty },
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    Proof(#[from] VerifyError),
}

impl Refusal {
    /// Whether an honest peer would not have sent the block in an answer.
    ///
    /// A peer whose clock is ahead may be honest. So may a peer whose claim the chain has surpassed
    /// in the meantime.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Refusal::Light | Refusal::Time(TimeError::Future { .. }))
    }
}

/// Why a chain cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error("a stored block is invalid: {0}")]
    Refused(#[from] Refusal),
    #[error("expected the heaviest block {heaviest} as the stored tip, got {stored}")]
    Tip { stored: Id, heaviest: Id },
}

/// The change that an accepted block made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The block was known already.
    Known,
    /// The block is on another branch than the chain.
    Branch,
    /// The block is on a light branch, and was not kept.
    ///
    /// With `enough`, the branch ends in a better tip than the chain's, and must be fetched again
    /// from its beginning.
    Shown { enough: bool },
    /// The block is the new tip, and `left` blocks left the chain for it.
    Tip { left: u64 },
}

impl Chain {
    /// Opens a database, and verifies every block in it again, as if it had
    /// just arrived.
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
            by_height: vec![id],
            store,
        };
        for block in stored.blocks {
            let (seal, claimed) = seal(&block)?;
            let parent = block.header.parent;
            let parent = chain.end(&parent).ok_or(Refusal::Parent(parent))?;
            let end = chain.check_header(&block.header, claimed, &parent)?;
            chain.check_seal(&seal)?;
            chain.insert(block.id(), block, end.work);
        }
        match stored.tip {
            Some(stored) if stored != chain.tip() => {
                Err(ChainError::Tip { stored, heaviest: chain.tip() })
            }
            _ => Ok(chain),
        }
    }

    /// Accepts a block: verifies it, writes it to disk, and makes it the tip if it is the heaviest.
    ///
    /// `shown` belongs to the block's sender. A block on a light branch is kept only if `shown`
    /// admits it.
    pub fn accept(
        &mut self,
        block: Block,
        shown: &mut Shown,
    ) -> Result<Result<Accepted, Refusal>, StoreError> {
        let id = block.id();
        if self.blocks.contains_key(&id) {
            return Ok(Ok(Accepted::Known));
        }
        let (end, kept) = match self.check(&id, &block, shown) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let better = self.is_surpassed_by(end.work, id);
        if !kept {
            shown.extend(end, better);
            return Ok(Ok(Accepted::Shown { enough: better }));
        }
        // Write first: a block that is not on disk is not accepted.
        self.store.write(&id, &block, &if better { id } else { self.tip() })?;
        Ok(Ok(self.insert(id, block, end.work)))
    }

    /// Runs all checks, the cheapest first. Returns the block as a parent, and whether to keep it.
    fn check(&self, id: &Id, block: &Block, shown: &Shown) -> Result<(End, bool), Refusal> {
        let header = &block.header;
        let (seal, claimed) = seal(block)?;
        let known = self.end(&header.parent);
        let Some(parent) = known.as_ref().or(shown.end(&header.parent)) else {
            return Err(Refusal::Parent(header.parent));
        };
        let end = self.check_header(header, claimed, parent)?;
        let light = self.is_light(end.work);
        let kept = known.is_some() && (!light || shown.admits(id));
        // This comes before the proof, which costs a thousand times as much as
        // everything above.
        let claims_better = shown.claim.is_some_and(|(work, id)| self.is_surpassed_by(work, id));
        if !kept && !claims_better {
            return Err(Refusal::Light);
        }
        self.check_seal(&seal)?;
        // The clock comes last, so that a block from the future has cost its work. It is checked
        // only here, for arriving blocks, and never for stored ones.
        self.network.times().check_future(header.time, self.network.now())?;
        Ok((End { id: *id, ..end }, kept))
    }

    /// Checks a header against its parent.
    fn check_header(
        &self,
        header: &Header,
        claimed: CompactDifficulty,
        parent: &End,
    ) -> Result<End, Refusal> {
        let height = parent.header.height + 1;
        if header.height != height {
            return Err(Refusal::Height { got: header.height, asked: height });
        }
        let asked = self.network.difficulty_after(&parent.header);
        if claimed != asked {
            return Err(Refusal::Difficulty { got: claimed, asked });
        }
        self.network.times().check_past(header.time, &parent.times)?;
        let ancestors = parent.times.iter().copied();
        let times = std::iter::once(header.time).chain(ancestors);
        Ok(End {
            id: Id([0; 32]),
            header: header.clone(),
            times: times.take(self.network.times().ancestors()).collect(),
            // No chain reaches 2^128 blocks.
            work: parent.work.with(claimed.difficulty()).unwrap_or(parent.work),
        })
    }

    fn check_seal(&self, seal: &Seal<'_>) -> Result<(), Refusal> {
        self.verifier.preliminary_verify_seal(seal)?;
        self.verifier.verify_seal(seal)?;
        Ok(())
    }

    /// A kept block, as a parent.
    fn end(&self, id: &Id) -> Option<End> {
        let entry = self.blocks.get(id)?;
        let header = entry.block.header.clone();
        Some(End { id: *id, header, times: self.times(id), work: entry.work })
    }

    /// Whether a block with this much work behind it is light: see [`REACH`].
    fn is_light(&self, work: Work) -> bool {
        let then = self.by_height.iter().rev().nth(REACH);
        then.is_some_and(|id| work < self.work(id))
    }

    /// Adds a checked block whose parent is known.
    fn insert(&mut self, id: Id, block: Block, work: Work) -> Accepted {
        self.blocks.insert(id, Entry { block, work });
        if !self.is_surpassed_by(work, id) {
            return Accepted::Branch;
        }
        let left = self.depth_below(&self.tip(), &id);
        self.follow(id);
        Accepted::Tip { left }
    }

    /// Makes a known block the tip.
    fn follow(&mut self, tip: Id) {
        let joined = |(id, block): &(Id, &Block)| {
            self.by_height.get(block.header.height as usize) == Some(id)
        };
        let newer = self.ancestors(&tip).take_while(|ancestor| !joined(ancestor));
        let mut newer: Vec<Id> = newer.map(|(id, _)| id).collect();
        newer.reverse();
        let height = self.blocks.get(&tip).map_or(0, |tip| tip.block.header.height as usize);
        self.by_height.truncate(height + 1 - newer.len());
        self.by_height.extend(newer);
    }

    /// Number of blocks on the branch up to `old` that are not on the branch up to `new`.
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
        self.by_height.last().copied().unwrap_or(self.genesis)
    }

    /// The best block, and the work behind it.
    pub fn best(&self) -> (Block, Work) {
        let genesis = || (self.network.genesis(), Work::ZERO);
        self.blocks.get(&self.tip()).map_or_else(genesis, |tip| (tip.block.clone(), tip.work))
    }

    /// The best block's height.
    pub fn height(&self) -> u64 {
        self.by_height.len() as u64 - 1
    }

    /// The work behind the best block.
    pub fn tip_work(&self) -> Work {
        self.work(&self.tip())
    }

    /// Whether a block with this much work behind it would be the tip.
    ///
    /// Of equal work, the block with the lower id is the tip, so that all nodes agree for any order
    /// of arrival.
    pub fn is_surpassed_by(&self, work: Work, id: Id) -> bool {
        (work, Reverse(id)) > (self.tip_work(), Reverse(self.tip()))
    }

    /// Number of known blocks, branches and the genesis included.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The chain's times, the tip's first.
    pub fn chain_times(&self) -> Vec<u64> {
        self.ancestors(&self.tip()).map(|(_, block)| block.header.time).collect()
    }

    /// A header to mine: the tip's child. Its time is the clock's, or just
    /// after the median of its ancestors' times.
    pub fn template(&self, miner: u32) -> Header {
        let (tip, _) = self.best();
        let median = poai_verify::chain::median_time_past(&self.times(&self.tip())).unwrap_or(0);
        Header {
            parent: self.tip(),
            height: tip.header.height + 1,
            time: self.network.now().max(median + 1),
            difficulty: self.network.difficulty_after(&tip.header).bits(),
            miner,
            transactions: [0; 32],
            nonce: 0,
        }
    }

    /// Ids of the chain for a request, the tip's first and the genesis's last, with growing
    /// distances.
    ///
    /// Before them is the last block that was received, if there is one, kept or not. On a branch
    /// that is not yet the heaviest, the answer then continues from that block.
    pub fn locator(&self, last: Option<Id>) -> Vec<Id> {
        let (mut ids, mut next, mut step) = (Vec::from_iter(last), 0, 1);
        while let Some(id) = self.by_height.iter().rev().nth(next) {
            ids.push(*id);
            step *= if ids.len() > 8 { 2 } else { 1 };
            next += step;
        }
        if ids.last() != Some(&self.genesis) {
            ids.push(self.genesis);
        }
        ids
    }

    /// The chain's blocks after the highest block of `locator` that is on it,
    /// oldest first, at most `count`.
    ///
    /// The genesis is never sent.
    pub fn after(&self, locator: &[Id], count: usize) -> Vec<Block> {
        let on_chain = |id: &Id| {
            let height = self.blocks.get(id)?.block.header.height as usize;
            (self.by_height.get(height) == Some(id)).then_some(height)
        };
        let first = locator.iter().filter_map(on_chain).max().unwrap_or(0);
        let newer = self.by_height.iter().skip(first + 1).take(count);
        newer.filter_map(|id| Some(self.blocks.get(id)?.block.clone())).collect()
    }
}

/// The seal for the verifier, and the difficulty that the header claims.
fn seal(block: &Block) -> Result<(Seal<'_>, CompactDifficulty), Refusal> {
    let header = &block.header;
    let claimed = CompactDifficulty::from_bits(header.difficulty)?;
    let (challenge, difficulty) = (header.challenge(), claimed.difficulty());
    Ok((Seal { challenge, difficulty, proof: &block.proof }, claimed))
}

#[cfg(test)]
pub mod tests;
