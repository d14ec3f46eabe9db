use super::*;
use crate::block::Id;
use crate::chain::tests::{branch, chain, child};
use crate::miner::Layer;
use crate::wire::codec;
use futures_util::StreamExt;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

type Inbox = mpsc::Receiver<(PeerId, Heard)>;

/// A node without a miner, and the events of its peers.
fn node(folder: &Path) -> (Node, Inbox) {
    node_of(folder, 0)
}

/// The same in a network that began at `epoch`.
fn node_of(folder: &Path, epoch: u64) -> (Node, Inbox) {
    let network = Network::new(epoch).unwrap();
    let chain = Chain::open(network, Store::open(&folder.join("chain.redb")).unwrap()).unwrap();
    let ((job, _), (inbox, heard)) = (watch::channel(Job::default()), mpsc::channel(64));
    let ((dialled, _), (events, _)) = (mpsc::channel(4), Events::start(tokio::io::sink()));
    let node = Node::new(1, network, chain, job, inbox, dialled, events);
    (node, heard)
}

/// Makes `count` connections to the node, whose other ends read nothing.
async fn connect(node: &mut Node, count: usize, incoming: bool) -> Vec<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut ends = Vec::new();
    for _ in 0..count {
        ends.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        node.meet(listener.accept().await.unwrap().0, incoming);
    }
    ends
}

fn say(node: &mut Node, from: PeerId, message: Message) {
    node.hear(from, Heard::Message(message)).unwrap();
}

fn hello(node: &mut Node, from: PeerId) {
    let network = node.network.digest();
    say(node, from, Message::Hello { network });
}

/// A claim of a better tip than any.
fn claim() -> Message {
    Message::Tip { id: Id([1; 32]), work: [0xff; 32] }
}

fn answer(node: &mut Node, from: PeerId, blocks: impl IntoIterator<Item = Block>) {
    blocks.into_iter().for_each(|block| say(node, from, Message::Block(block)));
    say(node, from, Message::End);
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
    // The peer repeats its earlier tip, which is enough.
    say(&mut node, 0, Message::Tip { id: Id([1; 32]), work: [0; 32] });
    node.look_after_peers().unwrap();
    assert_eq!(node.peers.keys().copied().collect::<Vec<_>>(), [0]);
}

type Frames = Framed<TcpStream, LengthDelimitedCodec>;

/// A peer that said hello some time ago, and has read the greeting.
async fn greeted(node: &mut Node) -> (PeerId, Frames) {
    let from = node.next_peer;
    let end = connect(node, 1, true).await.remove(0);
    hello(node, from);
    node.go_on().unwrap();
    let mut frames = Framed::new(end, codec());
    assert!(matches!(received(&mut frames).await, Message::Hello { .. }));
    assert!(matches!(received(&mut frames).await, Message::Tip { .. }));
    (from, frames)
}

/// The next message of the node to a peer.
async fn received(frames: &mut Frames) -> Message {
    let next = tokio::time::timeout(Duration::from_secs(60), frames.next()).await;
    Message::from_bytes(&next.expect("expected a message, got none").unwrap().unwrap()).unwrap()
}

fn tip_of(chain: &Chain) -> Message {
    Message::Tip { id: chain.tip(), work: chain.tip_work().to_be_bytes() }
}

/// A node on a branch of `own` blocks, and a chain of `other` blocks, both from the genesis.
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
    (node, inbox, heavy)
}

/// A cut that is longer than an answer and than the depth of light branches. The heavier side's
/// peer answers as a node does. The third node reads its messages meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_cut_heals_in_answers_that_go_on_where_the_last_ended() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let lengths = [2 * BLOCKS_PER_REQUEST + 2, 2 * BLOCKS_PER_REQUEST + 6];
    let (mut node, _heard, heavy) = two_sides(folders[0].path(), folders[1].path(), lengths);
    let (from, mut frames) = greeted(&mut node).await;
    let (_, mut third) = greeted(&mut node).await;

    say(&mut node, from, tip_of(&heavy));
    let mut firsts = Vec::new();
    while node.chain.tip() != heavy.tip() {
        assert!(firsts.len() < 6, "expected new blocks, got {firsts:?}");
        // Meanwhile, the node makes no other request.
        say(&mut node, from, tip_of(&heavy));
        let Message::GetBlocks { locator } = received(&mut frames).await else {
            panic!("expected a request")
        };
        let blocks = heavy.after(&locator, BLOCKS_PER_REQUEST);
        firsts.push(blocks[0].header.height);
        answer(&mut node, from, blocks);
        // The node pauses after shown blocks, and not after kept ones.
        assert_eq!(node.peers[&from].paused, firsts.len() < 4);
        node.go_on().unwrap();
        // Three answers show that the branch is the heavier. None of it is kept before.
        if firsts.len() < 4 {
            assert_eq!(node.chain.len(), 1 + lengths[0]);
        }
    }
    assert_eq!(firsts, [1, 33, 65, 1, 33, 65]);
    assert_eq!(node.chain.len(), 1 + lengths[0] + lengths[1]);
    // The others receive each tip that the node had.
    let mut tips = 0;
    loop {
        let next = received(&mut third).await;
        tips += 1;
        if next == tip_of(&node.chain) {
            break;
        }
    }
    assert!(tips <= 6, "expected at most 6 tips, got {tips}");
    assert!(node.peers[&from].answer.is_none());
}

/// Two whole nodes, connected, that mine blocks while they sync.
async fn heal(lengths: [usize; 2], mined: usize) -> [Node; 2] {
    let layer = Layer::new().unwrap();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let ((mut one, mut heard_one), (mut other, mut heard_other)) =
        (node(folders[0].path()), node(folders[1].path()));
    for (node, miner, length) in [(&mut one, 1, lengths[0]), (&mut other, 2, lengths[1])] {
        for block in branch(&layer, miner, length) {
            node.take(None, block).unwrap();
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    one.meet(dialled, false);
    other.meet(listener.accept().await.unwrap().0, true);
    let (mut left, mut pauses) = ([mined; 2], 0);
    for message in 0.. {
        assert!(message < 5000, "expected the nodes to agree, got endless messages");
        let next = async {
            tokio::select! {
                Some((from, heard)) = heard_one.recv() => one.hear(from, heard).unwrap(),
                Some((from, heard)) = heard_other.recv() => other.hear(from, heard).unwrap(),
            }
        };
        // No message is pending: there is a pause, or both are done.
        if tokio::time::timeout(Duration::from_millis(500), next).await.is_err() {
            pauses += 1;
            assert!(pauses < 20, "expected the nodes to agree, got endless pauses");
            for node in [&mut one, &mut other] {
                node.go_on().unwrap();
            }
        }
        assert!(one.peers.len() == 1 && other.peers.len() == 1, "disconnected at {message}");
        if message % 7 == 0 {
            for (node, left) in [&mut one, &mut other].into_iter().zip(&mut left) {
                if *left > 0 {
                    let parent = node.chain.best().0;
                    node.take(None, child(&layer, &parent, 3 + *left as u32)).unwrap();
                    *left -= 1;
                }
            }
        }
        if left == [0; 2] && one.chain.tip() == other.chain.tip() {
            break;
        }
    }
    [one, other]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_mine_while_they_sync_come_together() {
    let deep = 3 * crate::branch::REACH;
    let [one, _] = heal([deep, deep + 9], 40).await;
    assert!(one.chain.len() > 2 * deep);
    heal([0, 40], 8).await;
    heal([crate::branch::REACH + 4, crate::branch::REACH + 5], 30).await;
}

/// Of equal work, the lower id wins, at any depth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_fork_of_equal_work_is_decided() {
    let length = crate::branch::REACH + 8;
    let [one, other] = heal([length; 2], 0).await;
    assert_eq!(one.chain.tip_work(), other.chain.tip_work());
}

/// The node's chain may surpass a peer's claim before the peer answers. The peer stays, and the
/// rest of its answer is read and dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_with_a_branch_that_is_light_by_now_stays() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let length = BLOCKS_PER_REQUEST + 4;
    let (mut node, _heard, light) =
        two_sides(folders[0].path(), folders[1].path(), [length, length + 2]);
    let (from, mut frames) = greeted(&mut node).await;
    say(&mut node, from, tip_of(&light));
    let Message::GetBlocks { locator } = received(&mut frames).await else {
        panic!("expected a request")
    };
    for number in 0..4 {
        let parent = node.chain.best().0;
        node.take(None, child(&Layer::new().unwrap(), &parent, 9 + number)).unwrap();
    }
    answer(&mut node, from, light.after(&locator, BLOCKS_PER_REQUEST));
    assert_eq!(node.chain.len(), 1 + length + 4);
    let peer = &node.peers[&from];
    assert!(peer.paused && peer.answer.is_none());
}

/// Blocks are sent in answers, no more than an answer may have, each on a known block.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_node_sends_parts() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, other) = two_sides(folders[0].path(), folders[1].path(), [0, 3]);
    let blocks = other.after(&[], 3);
    let parts = async |node: &mut Node, messages: Vec<Message>| {
        let (from, _frames) = greeted(node).await;
        let Some((last, before)) = messages.split_last() else { return };
        for message in before {
            say(node, from, message.clone());
            assert!(node.peers.contains_key(&from), "{message:?}");
        }
        say(node, from, last.clone());
        assert!(!node.peers.contains_key(&from), "{last:?}");
    };
    let block = |index: usize| Message::Block(blocks[index].clone());
    parts(&mut node, vec![block(0)]).await;
    parts(&mut node, vec![Message::End]).await;
    parts(&mut node, vec![claim(), block(1)]).await;
    parts(&mut node, vec![claim(), Message::End, block(0)]).await;
    assert_eq!(node.chain.len(), 1);
    parts(&mut node, vec![claim(), block(0), Message::End, claim(), block(2)]).await;
    let long = [vec![claim()], vec![block(0); BLOCKS_PER_REQUEST + 1]].concat();
    parts(&mut node, long).await;
    assert_eq!(node.chain.len(), 2);
}

/// A false claim costs the node an answer now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_nothing_useful_is_asked_after_a_pause() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let lengths = [crate::branch::REACH + 4, 2];
    let (mut node, _heard, light) = two_sides(folders[0].path(), folders[1].path(), lengths);
    let (from, _frames) = greeted(&mut node).await;
    say(&mut node, from, claim());
    let asked = |node: &Node| node.peers[&from].answer.is_some();
    assert!(asked(&node));
    answer(&mut node, from, []);
    assert!(!asked(&node));
    say(&mut node, from, claim());
    assert!(!asked(&node));
    node.go_on().unwrap();
    assert!(asked(&node));
    // Light blocks do not help by themselves, with any other blocks. Known blocks cost nothing.
    let (blocks, own) = (light.after(&[], 2), node.chain.after(&[], 1));
    for shown in [blocks.clone(), [own.clone(), blocks].concat()] {
        answer(&mut node, from, shown);
        assert!(!asked(&node));
        node.go_on().unwrap();
    }
    answer(&mut node, from, own);
    assert!(asked(&node));
    // The node does not wait forever for an answer.
    for _ in 0..SILENT_MAX {
        say(&mut node, from, claim());
        node.look_after_peers().unwrap();
        assert!(node.peers.contains_key(&from));
    }
    say(&mut node, from, claim());
    node.look_after_peers().unwrap();
    assert!(node.peers.is_empty());
}

/// Otherwise, dialling again would end a pause.
#[tokio::test]
async fn who_dials_is_asked_after_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let _ends = (connect(&mut node, 1, true).await, connect(&mut node, 1, false).await);
    for from in [0, 1] {
        hello(&mut node, from);
        say(&mut node, from, claim());
    }
    let asked = |node: &Node| [0, 1].map(|from| node.peers[&from].answer.is_some());
    assert_eq!(asked(&node), [false, true]);
    node.go_on().unwrap();
    assert_eq!(asked(&node), [true; 2]);
}

/// The other's clock is ahead: the peer stays, and the node asks it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_early_blocks_and_their_children_stays() {
    let folder = tempfile::tempdir().unwrap();
    // The node's clock shows the genesis's time.
    let (mut node, _heard) = node_of(folder.path(), Network::machine_clock() + 600_000);
    let blocks = branch(&Layer::new().unwrap(), 1, 12);
    let (from, mut frames) = greeted(&mut node).await;
    say(&mut node, from, claim());
    answer(&mut node, from, blocks.clone());
    let kept = node.chain.len() - 1;
    assert!((1..12).contains(&kept), "{kept}");
    assert!(node.peers[&from].answer.is_none());
    let Message::GetBlocks { .. } = received(&mut frames).await else {
        panic!("expected a request")
    };
    node.go_on().unwrap();
    let Message::GetBlocks { locator } = received(&mut frames).await else {
        panic!("expected a request")
    };
    assert_eq!(locator[0], blocks[kept - 1].id());
}

/// The peers receive the tip at once, from any source, except for the sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tip_is_told_at_once() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, other) = two_sides(folders[0].path(), folders[1].path(), [0, 2]);
    let (from, mut frames) = greeted(&mut node).await;
    let (_, mut third) = greeted(&mut node).await;
    let blocks = other.after(&[], 2);
    say(&mut node, from, claim());
    // The answer is never ended.
    for block in &blocks {
        say(&mut node, from, Message::Block(block.clone()));
        assert_eq!(received(&mut third).await, tip_of(&node.chain));
    }
    assert!(matches!(received(&mut frames).await, Message::GetBlocks { .. }));
    assert_eq!(node.peers[&from].queued(), 0);
    let own = child(&Layer::new().unwrap(), &blocks[1], 7);
    node.take(None, own.clone()).unwrap();
    for frames in [&mut frames, &mut third] {
        assert!(matches!(received(frames).await, Message::Tip { id, .. } if id == own.id()));
    }
}

/// A peer whose hello is still pending also receives a tip.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tip_found_before_the_hello_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let mut frames = Framed::new(connect(&mut node, 1, true).await.remove(0), codec());
    node.take(None, branch(&Layer::new().unwrap(), 1, 1).remove(0)).unwrap();
    hello(&mut node, 0);
    assert!(matches!(received(&mut frames).await, Message::Hello { .. }));
    assert_ne!(received(&mut frames).await, tip_of(&node.chain));
    assert_eq!(received(&mut frames).await, tip_of(&node.chain));
}

/// Of equal work, the lower id is the tip, and a node with the other must ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tip_of_equal_work_and_a_lower_id_is_asked_for() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, _) = two_sides(folders[0].path(), folders[1].path(), [2, 0]);
    let (from, _frames) = greeted(&mut node).await;
    let work = node.chain.tip_work().to_be_bytes();
    for (id, asked) in [(Id([0xff; 32]), false), (node.chain.tip(), false), (Id([0; 32]), true)] {
        say(&mut node, from, Message::Tip { id, work });
        assert_eq!(node.peers[&from].answer.is_some(), asked);
    }
}

/// A node that answers a request sends the blocks, then the answer's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_what_follows_the_locator() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, _) = two_sides(folders[0].path(), folders[1].path(), [3, 0]);
    let (from, mut frames) = greeted(&mut node).await;
    let blocks = node.chain.after(&[], 3);
    say(&mut node, from, Message::GetBlocks { locator: vec![blocks[0].id()] });
    for block in &blocks[1..] {
        assert_eq!(received(&mut frames).await, Message::Block(block.clone()));
    }
    assert_eq!(received(&mut frames).await, Message::End);
}

/// Requests beyond a round's allowance are answered in the next round, once.
#[tokio::test]
async fn requests_have_an_allowance() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let (from, mut frames) = greeted(&mut node).await;
    let request = || Message::GetBlocks { locator: vec![] };
    for _ in 0..REQUESTS_MAX {
        say(&mut node, from, request());
        assert_eq!(received(&mut frames).await, Message::End);
    }
    say(&mut node, from, request());
    say(&mut node, from, request());
    assert_eq!(node.peers[&from].queued(), 0);
    node.look_after_peers().unwrap();
    node.go_on().unwrap();
    // The round's own message, and the answer.
    assert_eq!(node.peers[&from].queued(), 2);
    assert!(node.peers[&from].request.is_none());
}

/// A peer that asks repeatedly without reading gets no further answer, once the
/// system's buffers are full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_not_answered() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (mut node, _heard, _) = two_sides(folders[0].path(), folders[1].path(), [32, 0]);
    let (from, mut frames) = greeted(&mut node).await;
    let mut most = 0;
    let mut left = false;
    for _ in 0..1000 {
        say(&mut node, from, Message::GetBlocks { locator: vec![] });
        most = most.max(node.peers[&from].queued());
        // Time to write what the system accepts.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let peer = &node.peers[&from];
        left = peer.request.is_some() && peer.queued() > UNREAD_MAX;
        if left {
            break;
        }
    }
    assert!(
        left,
        "expected a message that waits, got {} answers, all written",
        node.peers[&from].requests
    );
    assert!(most <= UNREAD_MAX + BLOCKS_PER_REQUEST + 1, "{most}");
    // The peer reads, and is answered.
    while node.peers[&from].queued() > 0 {
        received(&mut frames).await;
    }
    node.go_on().unwrap();
    assert!(node.peers[&from].request.is_none());
}
