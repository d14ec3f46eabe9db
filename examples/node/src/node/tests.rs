use super::*;
use crate::chain::tests::{branch, chain};
use crate::miner::Layer;
use crate::wire::codec;
use futures_util::StreamExt;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

type Inbox = mpsc::Receiver<(PeerId, Heard)>;

/// A node without a miner, and what its peers tell it.
fn node(folder: &Path) -> (Node, Inbox) {
    let network = Network::new(0).unwrap();
    let chain = Chain::open(network, Store::open(&folder.join("chain.redb")).unwrap()).unwrap();
    let ((job, _), (inbox, heard)) = (watch::channel(Job::default()), mpsc::channel(64));
    let (dialled, _) = mpsc::channel(4);
    let (peers, told) = (BTreeMap::new(), chain.tip());
    let (name, next_peer, isolated, rate) = (1, 0, false, 0.0);
    let (events, _) = Events::start(tokio::io::sink());
    let node = Node {
        name,
        network,
        chain,
        peers,
        next_peer,
        told,
        isolated,
        rate,
        job,
        inbox,
        dialled,
        events,
    };
    (node, heard)
}

/// So many connections to the node, whose other ends read nothing.
async fn connect(node: &mut Node, count: usize, incoming: bool) -> Vec<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut ends = Vec::new();
    for _ in 0..count {
        ends.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        node.meet(listener.accept().await.unwrap().0, incoming);
    }
    ends
}

fn hello(node: &mut Node, from: PeerId) {
    let network = node.network.digest();
    node.hear(from, Heard::Message(Message::Hello { network })).unwrap();
}

#[tokio::test]
async fn places_are_left_for_whom_the_node_dials() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let _in = connect(&mut node, PEERS_MAX + 4, true).await;
    assert_eq!(node.peers.len(), INCOMING_MAX);
    let _out = connect(&mut node, PEERS_MAX, false).await;
    assert_eq!(node.peers.len(), PEERS_MAX);
    assert_eq!(node.peers.values().filter(|peer| peer.incoming).count(), INCOMING_MAX);
}

#[tokio::test]
async fn who_says_nothing_leaves_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let _ends = connect(&mut node, 2, true).await;
    for from in [0, 1] {
        hello(&mut node, from);
    }
    for _ in 0..SILENT_MAX {
        node.look_after_peers().unwrap();
    }
    assert_eq!(node.peers.len(), 2);
    // The first tells what it has told before, which is enough.
    let tip = Message::Tip { id: Id([1; 32]), work: [0; 32] };
    node.hear(0, Heard::Message(tip)).unwrap();
    node.look_after_peers().unwrap();
    assert_eq!(node.peers.keys().copied().collect::<Vec<_>>(), [0]);
}

type Frames = Framed<TcpStream, LengthDelimitedCodec>;

/// A peer that said hello, and has read the greeting.
async fn greeted(node: &mut Node) -> (PeerId, Frames) {
    let from = node.next_peer;
    let end = connect(node, 1, true).await.remove(0);
    hello(node, from);
    let mut frames = Framed::new(end, codec());
    assert!(matches!(told(&mut frames).await, Message::Hello { .. }));
    assert!(matches!(told(&mut frames).await, Message::Tip { .. }));
    (from, frames)
}

/// What the node says next to a peer.
async fn told(frames: &mut Frames) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(60), frames.next()).await;
    Message::decode(&next.expect("nothing is told").unwrap().unwrap()).unwrap()
}

fn tip_of(chain: &Chain) -> Message {
    Message::Tip { id: chain.tip(), work: chain.tip_work().to_be_bytes() }
}

/// A node on a branch of `own` blocks, and a chain of `other`, both from the genesis.
fn two_sides(folder: &Path, other: &Path, lengths: [usize; 2]) -> (Node, Inbox, Chain) {
    let layer = Layer::new().unwrap();
    let ((mut node, inbox), mut heavy) = (node(folder), chain(other).unwrap());
    for (chain, (miner, length)) in
        [&mut node.chain, &mut heavy].into_iter().zip([1, 2].into_iter().zip(lengths))
    {
        for block in branch(&layer, miner, length) {
            chain.accept(block, &mut Shown::default()).unwrap().unwrap();
        }
    }
    node.told = node.chain.tip();
    (node, inbox, heavy)
}

/// A cut longer than an answer and than light branches may be deep. The heavier
/// side's peer answers as a node does; the third reads what it is told meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_cut_heals_in_answers_that_go_on_where_the_last_ended() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let lengths = [2 * BLOCKS_PER_REQUEST + 2, 2 * BLOCKS_PER_REQUEST + 6];
    let (mut node, _heard, heavy) = two_sides(folders[0].path(), folders[1].path(), lengths);
    let (from, mut frames) = greeted(&mut node).await;
    let (_, mut third) = greeted(&mut node).await;

    node.hear(from, Heard::Message(tip_of(&heavy))).unwrap();
    let mut firsts = Vec::new();
    while node.chain.tip() != heavy.tip() {
        assert!(firsts.len() < 6, "the same blocks again: {firsts:?}");
        let Message::GetBlocks { locator } = told(&mut frames).await else { panic!("no request") };
        let blocks = heavy.after(&locator, BLOCKS_PER_REQUEST);
        firsts.push(blocks[0].header.height);
        let heard = blocks.into_iter().map(Message::Block).chain([tip_of(&heavy)]);
        heard.for_each(|message| node.hear(from, Heard::Message(message)).unwrap());
        assert!(node.peers.contains_key(&from));
        // Three answers show that the branch is the heavier; nothing of it is kept before.
        if firsts.len() < 4 {
            assert_eq!(node.chain.len(), 1 + lengths[0]);
        }
    }
    assert_eq!(firsts, [1, 33, 65, 1, 33, 65]);
    assert_eq!(node.chain.len(), 1 + lengths[0] + lengths[1]);
    // No block of it: it would lack the parent.
    assert_eq!(told(&mut third).await, tip_of(&node.chain));
}

/// Blocks that nobody asked for are passed on as they come, but no light ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn light_blocks_are_neither_kept_nor_relayed_and_too_many_part() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let lengths = [crate::branch::REACH + 4, 2];
    let (mut node, _heard, light) = two_sides(folders[0].path(), folders[1].path(), lengths);
    let (from, _frames) = greeted(&mut node).await;
    let (_, mut third) = greeted(&mut node).await;
    node.hear(from, Heard::Message(tip_of(&light))).unwrap();
    let blocks = light.after(&[], 1);
    for _ in 0..STRAYS_MAX {
        node.hear(from, Heard::Message(Message::Block(blocks[0].clone()))).unwrap();
        assert!(node.peers.contains_key(&from));
    }
    node.hear(from, Heard::Message(Message::Block(blocks[0].clone()))).unwrap();
    assert!(!node.peers.contains_key(&from));
    assert_eq!(node.chain.len(), 1 + lengths[0]);

    // A good one is relayed, and is the first that the third is told of.
    let layer = Layer::new().unwrap();
    let good = loop {
        let mut header = node.chain.template(2);
        (header.time, header.nonce) = (header.time.min(node.network.now()), rand::random());
        if let Some(block) = layer.attempt(&header).unwrap() {
            break block;
        }
    };
    let (from, _frames) = greeted(&mut node).await;
    node.hear(from, Heard::Message(Message::Block(good.clone()))).unwrap();
    assert_eq!(told(&mut third).await, Message::Block(good));
}

/// The lighter side may be asked for its branch, and answers all that it is asked
/// for: it stays, since it is yet to follow the heavier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_with_a_light_branch_stays() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let length = BLOCKS_PER_REQUEST + 4;
    let (mut node, _heard, light) =
        two_sides(folders[0].path(), folders[1].path(), [length + 4, length]);
    let (from, mut frames) = greeted(&mut node).await;
    node.hear(from, Heard::Message(tip_of(&light))).unwrap();
    // It relays its newest block, whose parent is not known.
    for _ in 0..2 {
        let newest = light.best().0;
        node.hear(from, Heard::Message(Message::Block(newest))).unwrap();
        let Message::GetBlocks { locator } = told(&mut frames).await else { panic!("no request") };
        let blocks = light.after(&locator, BLOCKS_PER_REQUEST);
        assert_eq!(blocks.len(), BLOCKS_PER_REQUEST);
        let heard = blocks.into_iter().map(Message::Block).chain([tip_of(&light)]);
        heard.for_each(|message| node.hear(from, Heard::Message(message)).unwrap());
        assert!(node.peers.contains_key(&from));
    }
    assert_eq!(node.chain.len(), 1 + length + 4);
    // But an answer has an end: one orphan asks, so many are the answer's, and then
    // they count as what nobody asked for.
    let newest = light.best().0;
    let orphans = (0..1000).take_while(|_| {
        node.hear(from, Heard::Message(Message::Block(newest.clone()))).unwrap();
        node.peers.contains_key(&from)
    });
    // Two counted before, of the relayed blocks.
    assert_eq!(orphans.count(), BLOCKS_PER_REQUEST + STRAYS_MAX as usize - 2);
}

/// A node that answers a request sends the blocks, then its tip.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_what_follows_the_locator_and_then_the_tip() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, _) = two_sides(folders[0].path(), folders[1].path(), [3, 0]);
    let (from, mut frames) = greeted(&mut node).await;
    let blocks = node.chain.after(&[], 3);
    let locator = vec![blocks[0].id()];
    node.hear(from, Heard::Message(Message::GetBlocks { locator })).unwrap();
    for block in &blocks[1..] {
        assert_eq!(told(&mut frames).await, Message::Block(block.clone()));
    }
    assert_eq!(told(&mut frames).await, tip_of(&node.chain));
}

/// What is beyond a round's allowance is answered in the next round, once.
#[tokio::test]
async fn requests_have_an_allowance() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let (from, mut frames) = greeted(&mut node).await;
    let request = || Heard::Message(Message::GetBlocks { locator: vec![] });
    for _ in 0..REQUESTS_MAX {
        node.hear(from, request()).unwrap();
        assert_eq!(told(&mut frames).await, tip_of(&node.chain));
    }
    node.hear(from, request()).unwrap();
    node.hear(from, request()).unwrap();
    assert_eq!(node.peers[&from].queued(), 0);
    node.look_after_peers().unwrap();
    // The round's own, and the answer.
    assert_eq!(node.peers[&from].queued(), 2);
    assert!(node.peers[&from].request.is_none());
}

/// Who asks again and again without reading gets no more than one answer, whatever
/// the system's buffers take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_not_answered() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, _) = two_sides(folders[0].path(), folders[1].path(), [32, 0]);
    let (from, mut frames) = greeted(&mut node).await;
    let mut most = 0;
    for _ in 0..300 {
        node.hear(from, Heard::Message(Message::GetBlocks { locator: vec![] })).unwrap();
        most = most.max(node.peers[&from].queued());
    }
    assert!((BLOCKS_PER_REQUEST..=UNREAD_MAX + BLOCKS_PER_REQUEST + 1).contains(&most), "{most}");
    assert!(node.peers[&from].request.is_some());
    // It reads, and the next round answers.
    while node.peers[&from].queued() > 0 {
        told(&mut frames).await;
    }
    node.look_after_peers().unwrap();
    assert!(node.peers[&from].request.is_none() && node.peers[&from].queued() > 0);
}

/// Of two branches only the tip is told, and a block only to those who have its
/// parent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_relayed_only_on_what_was_told() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, other) = two_sides(folders[0].path(), folders[1].path(), [2, 4]);
    let (from, _frames) = greeted(&mut node).await;
    let (_, mut third) = greeted(&mut node).await;
    let take = |node: &mut Node, block: &Block| {
        node.hear(from, Heard::Message(Message::Block(block.clone()))).unwrap();
    };
    let blocks = other.after(&[], 4);
    let before = node.chain.tip();
    take(&mut node, &blocks[0]);
    assert_eq!(node.chain.tip(), before);
    take(&mut node, &blocks[1]);
    take(&mut node, &blocks[2]);
    assert_eq!(node.chain.tip(), blocks[2].id());
    // Nothing of the first two, unless the second has the lower id.
    let mut next = told(&mut third).await;
    if blocks[1].id().0 < before.0 {
        assert!(matches!(next, Message::Tip { id, .. } if id == blocks[1].id()));
        next = told(&mut third).await;
        assert_eq!(next, Message::Block(blocks[2].clone()));
    } else {
        assert_eq!(next, tip_of(&node.chain));
    }
    take(&mut node, &blocks[3]);
    assert_eq!(told(&mut third).await, Message::Block(blocks[3].clone()));
}

/// Work alone does not say whose tip stands: of equal work the lower id does, and
/// who has the other has to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tip_of_equal_work_and_a_lower_id_is_asked_for() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, _) = two_sides(folders[0].path(), folders[1].path(), [2, 0]);
    let (from, mut frames) = greeted(&mut node).await;
    let work = node.chain.tip_work().to_be_bytes();
    for id in [Id([0xff; 32]), node.chain.tip(), Id([0; 32])] {
        node.hear(from, Heard::Message(Message::Tip { id, work })).unwrap();
    }
    assert_eq!(node.peers[&from].asks, 1);
    assert!(matches!(told(&mut frames).await, Message::GetBlocks { .. }));
}

/// A peer that shows a long branch relays meanwhile what it gets itself, whose
/// parents this node lacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_a_long_branch_may_relay_meanwhile() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, heavy) = two_sides(folders[0].path(), folders[1].path(), [236, 240]);
    let (from, mut frames) = greeted(&mut node).await;
    node.hear(from, Heard::Message(tip_of(&heavy))).unwrap();
    let mut answers = 0;
    while node.chain.tip() != heavy.tip() {
        let Message::GetBlocks { locator } = told(&mut frames).await else { panic!("no request") };
        for block in heavy.after(&locator, BLOCKS_PER_REQUEST) {
            for block in [block, heavy.best().0] {
                node.hear(from, Heard::Message(Message::Block(block))).unwrap();
                assert!(node.peers.contains_key(&from), "parted in answer {answers}");
            }
        }
        node.hear(from, Heard::Message(tip_of(&heavy))).unwrap();
        answers += 1;
        assert!(answers < 20);
    }
    assert_eq!(answers, 16);
}

/// Early blocks are nobody's fault, however many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_relays_early_blocks_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let layer = Layer::new().unwrap();
    let early = loop {
        let mut header = node.chain.template(2);
        (header.time, header.nonce) = (header.time + 100_000, rand::random());
        if let Some(block) = layer.attempt(&header).unwrap() {
            break block;
        }
    };
    let (from, _frames) = greeted(&mut node).await;
    for _ in 0..10 * STRAYS_MAX {
        node.hear(from, Heard::Message(Message::Block(early.clone()))).unwrap();
        assert_eq!(node.peers[&from].strays, 0);
    }
    assert_eq!(node.chain.len(), 1);
}

/// Blocks of a light branch that was shown are kept, but not relayed: to others
/// they would be of no use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn light_blocks_that_are_kept_are_not_relayed() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let lengths = [crate::branch::REACH + 4, crate::branch::REACH + 6];
    let (mut node, _heard, heavy) = two_sides(folders[0].path(), folders[1].path(), lengths);
    let (from, mut answers) = greeted(&mut node).await;
    tokio::spawn(async move { while answers.next().await.is_some() {} });
    let (_, mut third) = greeted(&mut node).await;
    let claim = |work: u8| Message::Tip { id: Id([1; 32]), work: [work; 32] };
    node.hear(from, Heard::Message(claim(0xff))).unwrap();
    let blocks = heavy.after(&[], lengths[1]);
    for block in &blocks {
        node.hear(from, Heard::Message(Message::Block(block.clone()))).unwrap();
    }
    // Nothing is asked for any more.
    node.hear(from, Heard::Message(claim(0))).unwrap();
    assert_eq!(node.chain.len(), 1 + lengths[0]);
    node.hear(from, Heard::Message(Message::Block(blocks[0].clone()))).unwrap();
    assert_eq!(node.chain.len(), 2 + lengths[0]);
    node.look_after_peers().unwrap();
    assert_eq!(told(&mut third).await, tip_of(&node.chain));
}

/// A claim excuses the blocks of a few answers, unless something of them is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_claims_and_sends_orphans_parts() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, light) = two_sides(folders[0].path(), folders[1].path(), [4, 3]);
    let (from, mut answers) = greeted(&mut node).await;
    tokio::spawn(async move { while answers.next().await.is_some() {} });
    let (orphan, _) = light.best();
    let mut sent = 0;
    while node.peers.contains_key(&from) && sent < 10 * BLOCKS_PER_REQUEST {
        if sent % BLOCKS_PER_REQUEST == 0 {
            let claim = Message::Tip { id: Id([1; 32]), work: [0xff; 32] };
            node.hear(from, Heard::Message(claim)).unwrap();
        }
        node.hear(from, Heard::Message(Message::Block(orphan.clone()))).unwrap();
        sent += 1;
    }
    let excused = EXCUSED_MAX as usize * BLOCKS_PER_REQUEST;
    assert_eq!(sent, excused + STRAYS_MAX as usize + 1);
}
