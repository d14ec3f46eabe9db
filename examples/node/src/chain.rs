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
mod tests {
    use super::*;
    use crate::miner::Layer;

    /// A chain whose clock is far ahead of every block's time.
    fn chain(folder: &std::path::Path) -> Result<Chain, ChainError> {
        Chain::open(Network::new(0).unwrap(), Store::open(&folder.join("chain.redb"))?)
    }

    /// A child of `parent`, 15 seconds after it, of this miner.
    fn child(layer: &Layer, parent: &Block, miner: u32) -> Block {
        let network = Network::new(0).unwrap();
        let mut header = Header {
            parent: parent.id(),
            height: parent.header.height + 1,
            time: parent.header.time + 15,
            difficulty: network.difficulty_after(&parent.header).bits(),
            miner,
            transactions: [0; 32],
            nonce: 0,
        };
        loop {
            if let Some(block) = layer.attempt(&header).unwrap() {
                return block;
            }
            header.nonce += 1;
        }
    }

    fn branch(layer: &Layer, miner: u32, length: usize) -> Vec<Block> {
        let mut blocks = vec![Network::new(0).unwrap().genesis()];
        for _ in 0..length {
            blocks.push(child(layer, blocks.last().unwrap(), miner));
        }
        blocks.split_off(1)
    }

    #[test]
    fn the_heaviest_branch_is_the_chain_and_is_there_after_opening_again() {
        let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
        let (light, heavy) = (branch(&layer, 1, 2), branch(&layer, 2, 3));
        let mut chain_one = chain(folder.path()).unwrap();
        for block in &light {
            assert_eq!(chain_one.accept(block.clone()).unwrap(), Ok(Accepted::Tip { left: 0 }));
        }
        assert_eq!(chain_one.accept(light[0].clone()).unwrap(), Ok(Accepted::Known));
        let orphan = chain_one.accept(heavy[1].clone()).unwrap();
        assert_eq!(orphan, Err(Refusal::Parent(heavy[0].id())));
        assert!(!orphan.unwrap_err().is_fault());
        assert_eq!(chain_one.accept(heavy[0].clone()).unwrap(), Ok(Accepted::Branch));
        let second = chain_one.accept(heavy[1].clone()).unwrap();
        // Of equal work the lower id is the tip.
        let lower = heavy[1].id() < light[1].id();
        assert_eq!(second, Ok(if lower { Accepted::Tip { left: 2 } } else { Accepted::Branch }));
        let left = if lower { 0 } else { 2 };
        assert_eq!(chain_one.accept(heavy[2].clone()).unwrap(), Ok(Accepted::Tip { left }));
        assert_eq!(chain_one.tip(), heavy[2].id());
        assert_eq!(chain_one.after(&[light[0].id(), heavy[0].id()], 9), heavy[1..]);
        assert_eq!(chain_one.after(&[light[0].id()], 2), heavy[..2]);
        assert_eq!(chain_one.locator(None).last(), Some(&Network::new(0).unwrap().genesis().id()));

        drop(chain_one);
        let opened = chain(folder.path()).unwrap();
        assert_eq!((opened.tip(), opened.len()), (heavy[2].id(), 6));
        assert_eq!(opened.best().1.to_string(), (3 * (1u64 << 26)).to_string());
    }

    #[test]
    fn a_branch_longer_than_an_answer_is_got_in_parts() {
        let (layer, folders) = (Layer::new().unwrap(), [(); 2].map(|()| tempfile::tempdir()));
        let mut chains =
            folders.each_ref().map(|folder| chain(folder.as_ref().unwrap().path()).unwrap());
        for (chain, (miner, length)) in chains.iter_mut().zip([(1, 7), (2, 8)]) {
            for block in branch(&layer, miner, length) {
                chain.accept(block).unwrap().unwrap();
            }
        }
        // Three blocks an answer: the first answers are no heavier than the chain.
        let [light, heavy] = &mut chains;
        let (mut last, mut answers) = (None, 0);
        while light.tip() != heavy.tip() {
            answers += 1;
            assert!(answers <= 3, "the same blocks again");
            for block in heavy.after(&light.locator(last), 3) {
                last = Some(block.id());
                light.accept(block).unwrap().unwrap();
            }
        }
        assert_eq!(answers, 3);
        assert_eq!(light.len(), 1 + 7 + 8);
    }

    #[test]
    fn two_nodes_take_the_same_of_two_blocks_whichever_came_first() {
        let layer = Layer::new().unwrap();
        let blocks = [branch(&layer, 1, 1).remove(0), branch(&layer, 2, 1).remove(0)];
        let tips = [[0, 1], [1, 0]].map(|order| {
            let folder = tempfile::tempdir().unwrap();
            let mut chain = chain(folder.path()).unwrap();
            for index in order {
                chain.accept(blocks[index].clone()).unwrap().unwrap();
            }
            chain.tip()
        });
        assert_eq!(tips, [blocks[0].id().min(blocks[1].id()); 2]);
    }

    #[test]
    fn branches_from_far_below_the_tip_are_not_kept() {
        let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
        let mut chain_one = chain(folder.path()).unwrap();
        let blocks = branch(&layer, 1, DEPTH_MAX as usize + 2);
        for block in &blocks {
            chain_one.accept(block.clone()).unwrap().unwrap();
        }
        let genesis = Network::new(0).unwrap().genesis();
        let (deep, within) = (child(&layer, &genesis, 2), child(&layer, &blocks[0], 2));
        let refusal = chain_one.accept(deep).unwrap().unwrap_err();
        assert_eq!(refusal, Refusal::Deep(DEPTH_MAX + 1));
        assert!(!refusal.is_fault());
        assert_eq!(chain_one.accept(within).unwrap(), Ok(Accepted::Branch));
        // What was kept is read again, however far below the tip it is by now.
        let top = child(&layer, blocks.last().unwrap(), 1);
        chain_one.accept(top).unwrap().unwrap();
        let kept = chain_one.len();
        drop(chain_one);
        assert_eq!(chain(folder.path()).unwrap().len(), kept);
    }

    #[test]
    fn a_changed_block_is_refused_where_it_arrives_and_where_it_was_stored() {
        let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
        let good = branch(&layer, 1, 1).remove(0);
        let mut chain_one = chain(folder.path()).unwrap();
        let mut refused = |change: &dyn Fn(&mut Block)| {
            let mut block = good.clone();
            change(&mut block);
            chain_one.accept(block).unwrap().unwrap_err()
        };
        let refusal = refused(&|block| block.header.height = 2);
        assert_eq!(refusal, Refusal::Height { got: 2, asked: 1 });
        let refusal = refused(&|block| block.header.time -= 15);
        assert!(matches!(refusal, Refusal::Time(TimeError::Past { .. })), "{refusal}");
        let refusal = refused(&|block| block.header.difficulty -= 1);
        assert!(matches!(refusal, Refusal::Difficulty { .. }), "{refusal}");
        let refusal = refused(&|block| block.header.nonce += 1);
        assert!(matches!(refusal, Refusal::Proof(VerifyError::Invalid(_))), "{refusal}");
        let refusal = refused(&|block| block.proof.truncate(100));
        assert!(matches!(refusal, Refusal::Proof(VerifyError::Malformed(_))), "{refusal}");

        let mut bad = good.clone();
        bad.proof[1000] ^= 1;
        chain_one.store.write(&bad.id(), &bad, &bad.id()).unwrap();
        drop(chain_one);
        assert!(matches!(chain(folder.path()), Err(ChainError::Refused(Refusal::Proof(_)))));
    }

    #[test]
    fn the_clock_is_asked_of_arriving_blocks_alone() {
        let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
        let good = branch(&layer, 1, 1).remove(0);
        // This network begins now: its clock shows the genesis' time.
        let late = || Network::new(Network::machine_clock() + 60_000).unwrap();
        let store = || Store::open(&folder.path().join("chain.redb")).unwrap();
        let mut header = good.header.clone();
        header.time += 100;
        let early = loop {
            header.nonce += 1;
            if let Some(block) = layer.attempt(&header).unwrap() {
                break block;
            }
        };
        let refusal = Chain::open(late(), store()).unwrap().accept(early).unwrap().unwrap_err();
        assert!(matches!(refusal, Refusal::Time(TimeError::Future { .. })), "{refusal}");
        assert!(!refusal.is_fault());

        assert!(chain(folder.path()).unwrap().accept(good).unwrap().is_ok());
        assert_eq!(Chain::open(late(), store()).unwrap().len(), 2);
    }
}
