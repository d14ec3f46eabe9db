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
