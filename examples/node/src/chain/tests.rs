use super::*;
use crate::miner::Layer;

/// A chain whose clock is far ahead of every block's time.
pub fn chain(folder: &std::path::Path) -> Result<Chain, ChainError> {
    Chain::open(Network::new(0).unwrap(), Store::open(&folder.join("chain.redb"))?)
}

/// A child of `parent`, 15 seconds later, by this miner.
pub fn child(layer: &Layer, parent: &Block, miner: u32) -> Block {
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

pub fn branch(layer: &Layer, miner: u32, length: usize) -> Vec<Block> {
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
        assert_eq!(
            chain_one.accept(block.clone(), &mut Shown::default()).unwrap(),
            Ok(Accepted::Tip { left: 0 })
        );
    }
    assert_eq!(
        chain_one.accept(light[0].clone(), &mut Shown::default()).unwrap(),
        Ok(Accepted::Known)
    );
    let orphan = chain_one.accept(heavy[1].clone(), &mut Shown::default()).unwrap();
    assert_eq!(orphan, Err(Refusal::Parent(heavy[0].id())));
    assert!(orphan.unwrap_err().is_fault()); // answers contain no orphan
    assert_eq!(
        chain_one.accept(heavy[0].clone(), &mut Shown::default()).unwrap(),
        Ok(Accepted::Branch)
    );
    let second = chain_one.accept(heavy[1].clone(), &mut Shown::default()).unwrap();
    // Of equal work, the lower id is the tip.
    let lower = heavy[1].id() < light[1].id();
    assert_eq!(second, Ok(if lower { Accepted::Tip { left: 2 } } else { Accepted::Branch }));
    let left = if lower { 0 } else { 2 };
    assert_eq!(
        chain_one.accept(heavy[2].clone(), &mut Shown::default()).unwrap(),
        Ok(Accepted::Tip { left })
    );
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
            chain.accept(block, &mut Shown::default()).unwrap().unwrap();
        }
    }
    // Three blocks an answer: the first answers are not heavier than the chain.
    let [light, heavy] = &mut chains;
    let (mut last, mut answers) = (None, 0);
    while light.tip() != heavy.tip() {
        answers += 1;
        assert!(answers <= 3, "the same blocks again");
        for block in heavy.after(&light.locator(last), 3) {
            last = Some(block.id());
            light.accept(block, &mut Shown::default()).unwrap().unwrap();
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
        let mut one = chain(folder.path()).unwrap();
        for index in order {
            one.accept(blocks[index].clone(), &mut Shown::default()).unwrap().unwrap();
        }
        let tip = one.tip();
        // In one of the orders, the last block that was written is not the tip.
        drop(one);
        assert_eq!(chain(folder.path()).unwrap().tip(), tip);
        tip
    });
    assert_eq!(tips, [blocks[0].id().min(blocks[1].id()); 2]);
}

/// A branch from the genesis, and a chain that has long passed it.
fn deep() -> (tempfile::TempDir, Chain, Vec<Block>, Vec<Block>) {
    let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
    let mut chain_one = chain(folder.path()).unwrap();
    let (own, other) = (branch(&layer, 1, REACH + 4), branch(&layer, 2, REACH + 6));
    for block in &own {
        chain_one.accept(block.clone(), &mut Shown::default()).unwrap().unwrap();
    }
    (folder, chain_one, own, other)
}

/// The state of a peer that claims this much work.
fn claiming(work: Work) -> Shown {
    let mut shown = Shown::default();
    shown.claim = Some((work, Id([0xff; 32])));
    shown
}

const NOT_ENOUGH: Accepted = Accepted::Shown { enough: false };

fn heaviest() -> Work {
    Work::from_be_bytes([0xff; 32])
}

#[test]
fn light_blocks_of_who_claims_no_more_are_refused_before_their_proof() {
    let (_folder, mut chain_one, own, other) = deep();
    let mut shown = claiming(chain_one.tip_work());
    let mut forged = other[0].clone();
    forged.proof[1000] ^= 1;
    for block in [&other[0], &forged] {
        let refusal = chain_one.accept(block.clone(), &mut shown).unwrap().unwrap_err();
        assert_eq!(refusal, Refusal::Light);
        assert!(!refusal.is_fault());
    }
    // With a better claim, the proof is checked.
    let forged = chain_one.accept(forged, &mut claiming(heaviest())).unwrap();
    assert!(matches!(forged, Err(Refusal::Proof(_))));
    // At the edge, a branch with as much work as the chain's is not light.
    let layer = Layer::new().unwrap();
    let edge = |above: usize| child(&layer, &own[own.len() - 1 - REACH - 2 + above], 3);
    assert_eq!(chain_one.accept(edge(0), &mut Shown::default()).unwrap(), Err(Refusal::Light));
    assert_eq!(chain_one.accept(edge(1), &mut Shown::default()).unwrap(), Ok(Accepted::Branch));
}

#[test]
fn a_claim_without_its_work_has_nothing_kept() {
    let (folder, mut chain_one, own, other) = deep();
    let mut shown = claiming(heaviest());
    // Shown repeatedly, up to the chain's own work.
    for _ in 0..3 {
        for block in &other[..own.len()] {
            let answer = chain_one.accept(block.clone(), &mut shown).unwrap();
            assert_eq!(answer, Ok(NOT_ENOUGH));
        }
    }
    assert_eq!(chain_one.len(), 1 + own.len());
    // The times of shown blocks count as ancestors' times.
    let mut early = other[own.len()].clone();
    early.header.time -= 15 * 7;
    let early = chain_one.accept(early, &mut shown).unwrap();
    assert!(matches!(early, Err(Refusal::Time(TimeError::Past { .. }))), "{early:?}");
    // A gap is not accepted either.
    let gap = chain_one.accept(other[own.len() + 1].clone(), &mut shown).unwrap();
    assert_eq!(gap, Err(Refusal::Parent(other[own.len()].id())));
    drop(chain_one);
    assert_eq!(chain(folder.path()).unwrap().len(), 1 + own.len());
}

#[test]
fn a_heavier_branch_wins_however_deep_it_begins() {
    let (folder, mut chain_one, own, other) = deep();
    let mut shown = claiming(heaviest());
    for (index, block) in other.iter().enumerate() {
        let answer = chain_one.accept(block.clone(), &mut shown).unwrap();
        assert_eq!(answer, Ok(Accepted::Shown { enough: index >= own.len() }));
    }
    assert_eq!(chain_one.tip(), own.last().unwrap().id());
    // It does not count as shown by another peer.
    let answer = chain_one.accept(other[0].clone(), &mut claiming(heaviest())).unwrap();
    assert_eq!(answer, Ok(NOT_ENOUGH));
    for block in &other {
        let answer = chain_one.accept(block.clone(), &mut shown).unwrap().unwrap();
        use Accepted::{Branch, Tip};
        assert!(matches!(answer, Branch | Tip { .. }), "{answer:?}");
    }
    assert_eq!(chain_one.tip(), other.last().unwrap().id());
    // Kept blocks are read again, at any depth below the tip.
    drop(chain_one);
    let opened = chain(folder.path()).unwrap();
    assert_eq!(
        (opened.tip(), opened.len()),
        (other.last().unwrap().id(), 1 + own.len() + other.len())
    );
}

#[test]
fn who_showed_a_heavier_branch_has_that_kept_and_nothing_else() {
    let (_folder, mut chain_one, own, other) = deep();
    let mut shown = claiming(heaviest());
    let layer = Layer::new().unwrap();
    let genesis = Network::new(0).unwrap().genesis();
    // Showing the branch again adds nothing.
    for number in 0..3 {
        for block in &other[..=own.len()] {
            let answer = chain_one.accept(block.clone(), &mut shown).unwrap();
            assert!(matches!(answer, Ok(Accepted::Shown { .. })), "{answer:?}");
        }
        // A child of the genesis instead, which costs the least.
        let sibling = child(&layer, &genesis, 100 + number);
        assert!(!shown.admits(&sibling.id()) && shown.admits(&other[0].id()));
        let answer = chain_one.accept(sibling, &mut shown).unwrap();
        assert_eq!(answer, Ok(NOT_ENOUGH));
        // It began another branch.
        assert!(!shown.admits(&other[0].id()));
    }
    assert_eq!(chain_one.len(), 1 + own.len());
    for block in &other[..=own.len()] {
        chain_one.accept(block.clone(), &mut shown).unwrap().unwrap();
    }
    assert_eq!(chain_one.accept(other[0].clone(), &mut shown).unwrap(), Ok(Accepted::Branch));
    assert_eq!(chain_one.accept(other[0].clone(), &mut shown).unwrap(), Ok(Accepted::Known));
}

/// Compares the chain by height with a walk from the tip.
#[test]
fn what_follows_a_locator_is_of_the_chain_whatever_it_was_before() {
    let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
    let mut chain_one = chain(folder.path()).unwrap();
    let (short, long) = (branch(&layer, 1, 3), branch(&layer, 2, 5));
    let take = |chain_one: &mut Chain, blocks: &[Block]| {
        for block in blocks {
            chain_one.accept(block.clone(), &mut Shown::default()).unwrap().unwrap();
            let mut walked: Vec<Id> =
                chain_one.ancestors(&chain_one.tip()).map(|(id, _)| id).collect();
            walked.reverse();
            assert_eq!(chain_one.by_height, walked);
        }
    };
    take(&mut chain_one, &short);
    take(&mut chain_one, &long);
    let ids = |blocks: Vec<Block>| blocks.iter().map(Block::id).collect::<Vec<_>>();
    let long = ids(long);
    assert_eq!(ids(chain_one.after(&[], 9)), long);
    // A block that left the chain is not on it. Of two blocks on it, the higher
    // counts.
    assert_eq!(ids(chain_one.after(&[short[2].id(), Id([9; 32])], 9)), long);
    assert_eq!(ids(chain_one.after(&[chain_one.genesis, long[1], short[2].id()], 9)), long[2..]);
    assert_eq!(ids(chain_one.after(&[long[0]], 2)), long[1..3]);
    assert_eq!(chain_one.after(&[long[4]], 9), []);
}

#[test]
fn a_changed_block_is_refused_where_it_arrives_and_where_it_was_stored() {
    let (layer, folder) = (Layer::new().unwrap(), tempfile::tempdir().unwrap());
    let good = branch(&layer, 1, 1).remove(0);
    let mut chain_one = chain(folder.path()).unwrap();
    let mut refused = |change: &dyn Fn(&mut Block)| {
        let mut block = good.clone();
        change(&mut block);
        chain_one.accept(block, &mut Shown::default()).unwrap().unwrap_err()
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
    // This network begins now, so its clock shows the genesis's time.
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
    let refusal = Chain::open(late(), store())
        .unwrap()
        .accept(early, &mut Shown::default())
        .unwrap()
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Time(TimeError::Future { .. })), "{refusal}");
    assert!(!refusal.is_fault());

    assert!(chain(folder.path()).unwrap().accept(good, &mut Shown::default()).unwrap().is_ok());
    assert_eq!(Chain::open(late(), store()).unwrap().len(), 2);
}
