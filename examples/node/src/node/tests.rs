use super::*;
use crate::block::Id;

type Inbox = mpsc::Receiver<(PeerId, Heard)>;

/// A node without a miner, and what its peers tell it.
fn node(folder: &Path) -> (Node, Inbox) {
    let network = Network::new(0).unwrap();
    let chain = Chain::open(network, Store::open(&folder.join("chain.redb")).unwrap()).unwrap();
    let ((job, _), (inbox, heard)) = (watch::channel(Job::default()), mpsc::channel(64));
    let peers = BTreeMap::new();
    let (name, next_peer, isolated, rate) = (1, 0, false, 0.0);
    let (events, _) = Events::start(tokio::io::sink());
    (Node { name, network, chain, peers, next_peer, isolated, rate, job, inbox, events }, heard)
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

#[tokio::test]
async fn requests_have_an_allowance() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _heard) = node(folder.path());
    let ends = connect(&mut node, 1, true).await;
    // Read what the node answers: the queue is not what is tested here.
    let reader = tokio::spawn(async move {
        let mut to = vec![0; 1 << 16];
        while let Some(end) = ends.first() {
            end.readable().await.unwrap();
            if matches!(end.try_read(&mut to), Ok(0)) {
                break;
            }
        }
    });
    hello(&mut node, 0);
    for round in 0..2 {
        for _ in 0..REQUESTS_MAX {
            let locator = node.chain.locator(None);
            node.hear(0, Heard::Message(Message::GetBlocks { locator })).unwrap();
            tokio::time::sleep(Duration::from_micros(10)).await;
            assert_eq!(node.peers.len(), 1, "round {round}");
        }
        if round == 0 {
            node.look_after_peers().unwrap();
        }
    }
    node.hear(0, Heard::Message(Message::GetBlocks { locator: vec![] })).unwrap();
    assert!(node.peers.is_empty());
    reader.await.unwrap();
}
