//! A node: one task that owns the chain and receives all events in order.

use crate::block::Block;
use crate::branch::Shown;
use crate::chain::{Accepted, Chain, ChainError, Refusal};
use crate::control::{Command, Event, Tip};
use crate::events::Events;
use crate::miner::{self, Job};
use crate::network::Network;
use crate::peer::{Answer, HELLO, Heard, Peer, PeerId};
use crate::store::{Store, StoreError};
use crate::wire::{BLOCKS_PER_REQUEST, Message};
use poai_verify::chain::Work;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The largest number of connections at once.
const PEERS_MAX: usize = 16;
/// The largest number of connections that others dialled, so that the node keeps places for peers
/// that it dials itself.
const INCOMING_MAX: usize = 12;
/// The interval at which all peers receive the tip, which shows them that this node is alive.
const ROUND: Duration = Duration::from_secs(10);
/// The number of rounds after which the node disconnects from a peer that is silent, or that owes
/// an answer and sends no block of it.
const SILENT_MAX: u32 = 6;
/// The largest number of requests for blocks that are answered in a round, each
/// with at most two megabytes. One more waits for the next round.
const REQUESTS_MAX: u32 = 512;
/// The largest number of messages that may wait for a peer, beyond the system's buffers, when its
/// request is answered. A peer that asks and does not read soon gets no more answers.
const UNREAD_MAX: usize = 8;
/// The longest pause before the node asks a peer again.
///
/// The node pauses after an empty answer, and after a rejected block, such as one that is too early
/// for this node's clock. It also pauses after light blocks that are not kept, and after the peer
/// has dialled. Verifying and forgetting a block costs the node more than the peer, which may show
/// it repeatedly.
const PAUSE: Duration = Duration::from_secs(1);
/// The time that dialling may take.
const DIAL: Duration = Duration::from_secs(5);

/// Why a node ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("expected a command: {0}")]
    Command(#[from] serde_json::Error),
}

struct Node {
    name: u32,
    network: Network,
    chain: Chain,
    peers: BTreeMap<PeerId, Peer>,
    next_peer: PeerId,
    isolated: bool,
    rate: f64,
    job: watch::Sender<Job>,
    inbox: mpsc::Sender<(PeerId, Heard)>,
    dialled: mpsc::Sender<(SocketAddr, std::io::Result<TcpStream>)>,
    events: Events,
}

/// Runs the node `name`, whose database is in `folder`, until its standard
/// input ends or holds the command to quit.
pub async fn run(name: u32, folder: &Path, epoch: u64) -> Result<(), NodeError> {
    let (events, writer) = Events::start(tokio::io::stdout());
    let result = serve(name, folder, epoch, events).await;
    writer.finish().await;
    result
}

async fn serve(name: u32, folder: &Path, epoch: u64, mut events: Events) -> Result<(), NodeError> {
    let network = Network::new(epoch)?;
    let chain = Chain::open(network, Store::open(&folder.join("chain.redb"))?)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (job, jobs) = watch::channel(Job::default());
    let (mined, mut found) = mpsc::channel(4);
    let (inbox, mut heard) = mpsc::channel(64);
    let (dialled, mut reached) = mpsc::channel(4);
    std::thread::spawn(move || miner::run(jobs, mined));
    let (address, blocks, height) = (listener.local_addr()?, chain.len() - 1, chain.height());
    events.answer(&Event::Ready { address, blocks, height }).await?;
    let mut node = Node::new(name, network, chain, job, inbox, dialled, events);
    let mut rounds = interval(ROUND);
    let mut pauses = interval(PAUSE);
    for ticks in [&mut rounds, &mut pauses] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            order = orders.next_line() => match order?.as_deref().map(serde_json::from_str).transpose()? {
                None | Some(Command::Quit) => return Ok(()),
                Some(command) => node.obey(command).await?,
            },
            Ok((stream, _)) = listener.accept() => {
                node.meet(stream, true);
            }
            Some((address, stream)) = reached.recv() => node.reach(address, stream)?,
            _ = rounds.tick() => node.look_after_peers()?,
            _ = pauses.tick() => node.go_on()?,
            Some((from, heard)) = heard.recv() => node.hear(from, heard)?,
            Some(block) = found.recv() => node.take(None, block)?,
        }
    }
}

impl Node {
    fn new(
        name: u32,
        network: Network,
        chain: Chain,
        job: watch::Sender<Job>,
        inbox: mpsc::Sender<(PeerId, Heard)>,
        dialled: mpsc::Sender<(SocketAddr, std::io::Result<TcpStream>)>,
        events: Events,
    ) -> Node {
        let (peers, next_peer, isolated, rate) = (BTreeMap::new(), 0, false, 0.0);
        Node { name, network, chain, peers, next_peer, isolated, rate, job, inbox, dialled, events }
    }

    async fn obey(&mut self, command: Command) -> Result<(), NodeError> {
        match command {
            Command::Connect(address) => self.dial(address),
            Command::Isolate => {
                self.isolated = true;
                self.peers.clear();
            }
            Command::Join => self.isolated = false,
            Command::Mine(rate) => {
                self.rate = rate;
                self.set_job();
            }
            Command::Tip => self.events.answer(&Event::Tip(self.tip())).await?,
            Command::Times => self.events.answer(&Event::Times(self.chain.chain_times())).await?,
            Command::Quit => {}
        }
        Ok(())
    }

    fn tip(&self) -> Tip {
        let (block, work) = self.chain.best();
        let macs = self.network.difficulty_after(&block.header).difficulty().macs();
        Tip {
            id: self.chain.tip(),
            height: block.header.height,
            work: work.to_string(),
            difficulty: u64::try_from(macs).unwrap_or(u64::MAX),
        }
    }

    fn set_job(&self) {
        let header = (self.rate > 0.0).then(|| self.chain.template(self.name));
        self.job.send_replace(Job { header, rate: self.rate });
    }

    /// Dials in a separate task, so that an address that does not answer delays nothing.
    fn dial(&self, address: SocketAddr) {
        let dialled = self.dialled.clone();
        tokio::spawn(async move {
            let stream = timeout(DIAL, TcpStream::connect(address)).await;
            let stream = stream.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            let _ = dialled.send((address, stream)).await; // the node may be gone
        });
    }

    fn reach(
        &mut self,
        address: SocketAddr,
        stream: std::io::Result<TcpStream>,
    ) -> Result<(), NodeError> {
        let why = match stream {
            Ok(stream) => match self.meet(stream, false) {
                true => return Ok(()),
                false => "expected a free place, got none".into(),
            },
            Err(error) => error.to_string(),
        };
        self.note(format!("{address}: {why}"), false)
    }

    /// Starts a connection in either direction, if there is room.
    fn meet(&mut self, stream: TcpStream, incoming: bool) -> bool {
        let others = self.peers.values().filter(|peer| peer.incoming).count();
        let full = self.peers.len() >= PEERS_MAX || incoming && others >= INCOMING_MAX;
        if self.isolated || full {
            return false;
        }
        let id = self.next_peer;
        self.next_peer += 1;
        let mut peer = Peer::start(id, stream, self.inbox.clone(), HELLO);
        // A peer cannot end a pause by dialling again.
        (peer.incoming, peer.paused) = (incoming, incoming);
        // A new queue has room.
        peer.send(Message::Hello { network: self.network.digest() });
        peer.send(self.tip_message());
        self.peers.insert(id, peer);
        true
    }

    fn tip_message(&self) -> Message {
        Message::Tip { id: self.chain.tip(), work: self.chain.tip_work().to_be_bytes() }
    }

    /// Sends the tip to all peers, and disconnects from those that are silent
    /// or do not read.
    fn look_after_peers(&mut self) -> Result<(), NodeError> {
        let mut leaving = Vec::new();
        for (id, peer) in &mut self.peers {
            (peer.silent, peer.requests) = (peer.silent + 1, 0);
            let rounds = peer.answer.as_mut().map_or(0, |answer| {
                answer.rounds += 1;
                answer.rounds
            });
            if peer.silent.max(rounds) > SILENT_MAX {
                leaving.push((
                    *id,
                    if rounds > SILENT_MAX {
                        "expected an answer in time"
                    } else {
                        "expected a message in time"
                    },
                ));
            }
        }
        leaving.into_iter().try_for_each(|(id, why)| self.part(id, why))?;
        self.tell_tip(None)
    }

    fn hear(&mut self, from: PeerId, heard: Heard) -> Result<(), NodeError> {
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(()) };
        peer.silent = 0;
        match heard {
            Heard::Gone(None) => {
                self.peers.remove(&from);
            }
            Heard::Gone(Some(fault)) => self.part(from, &fault.to_string())?,
            Heard::Message(Message::Hello { network }) => {
                if network != self.network.digest() {
                    return self
                        .part(from, "expected this network's digest, got another network's");
                }
                peer.greeted = true;
            }
            Heard::Message(_) if !peer.greeted => {
                self.part(from, "expected a hello first, got another message")?
            }
            Heard::Message(Message::Tip { id, work }) => {
                peer.shown.claim = Some((Work::from_be_bytes(work), id));
                self.ask(from);
            }
            Heard::Message(Message::GetBlocks { locator }) => {
                peer.request = Some(locator);
                self.answer(from)?;
            }
            Heard::Message(Message::Block(block)) => match &mut peer.answer {
                None | Some(Answer { left: 0, .. }) => {
                    self.part(
                        from,
                        "expected blocks only in answers, got one that was not asked for",
                    )?;
                }
                Some(answer) => {
                    (answer.left, answer.rounds) = (answer.left - 1, 0);
                    if !answer.refused {
                        self.take(Some(from), block)?;
                    }
                }
            },
            Heard::Message(Message::End) => match peer.answer.take() {
                None => self
                    .part(from, "expected an answer's end only after a request, got one before")?,
                Some(answer) => {
                    let empty = answer.left == BLOCKS_PER_REQUEST;
                    peer.paused = empty || answer.refused || answer.shown;
                    self.ask(from);
                }
            },
        }
        Ok(())
    }

    /// Answers a peer's request. The request waits if the peer must read more first, or until the
    /// next round.
    fn answer(&mut self, to: PeerId) -> Result<(), NodeError> {
        let Some(peer) = self.peers.get_mut(&to) else { return Ok(()) };
        if peer.requests >= REQUESTS_MAX || peer.queued() > UNREAD_MAX {
            return Ok(());
        }
        let Some(locator) = peer.request.take() else { return Ok(()) };
        peer.requests += 1;
        let blocks = self.chain.after(&locator, BLOCKS_PER_REQUEST);
        let mut messages = blocks.into_iter().map(Message::Block).chain([Message::End]);
        if messages.all(|message| peer.send(message)) {
            Ok(())
        } else {
            self.part(to, "expected the peer to read, got a full queue")
        }
    }

    /// Asks a peer for its blocks if it claims a better tip, one answer at a time.
    fn ask(&mut self, of: PeerId) {
        let Some(peer) = self.peers.get_mut(&of) else { return };
        let better = |(work, id)| self.chain.is_surpassed_by(work, id);
        if peer.answer.is_none() && !peer.paused && peer.shown.claim.is_some_and(better) {
            let locator = self.chain.locator(peer.last);
            let asked = peer.send(Message::GetBlocks { locator });
            let (left, refused, shown, rounds) = (BLOCKS_PER_REQUEST, false, false, 0);
            peer.answer = asked.then_some(Answer { left, refused, shown, rounds });
        }
    }

    /// Ends pauses, and answers peers that have read their messages.
    fn go_on(&mut self) -> Result<(), NodeError> {
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.paused = false;
            }
            self.ask(id);
            self.answer(id)?;
        }
        Ok(())
    }

    /// Verifies a block from a peer's answer or from the node's miner, and sends it to the peers if
    /// it is the tip.
    fn take(&mut self, from: Option<PeerId>, block: Block) -> Result<(), NodeError> {
        let (id, height) = (block.id(), block.header.height);
        let (mut none, mut sender) = (Shown::default(), None);
        if let Some(from) = from {
            sender = self.peers.get_mut(&from);
        }
        let shown = sender.as_deref_mut().map_or(&mut none, |peer| &mut peer.shown);
        // Verifying and syncing take milliseconds. The connections' tasks continue meanwhile.
        let taken = tokio::task::block_in_place(|| self.chain.accept(block, shown))?;
        let accepted = match taken {
            Ok(accepted) => accepted,
            Err(refusal) => {
                let Some(from) = from else {
                    // For instance, the clock was set back. The next header has another time.
                    self.set_job();
                    return self.note(refusal.to_string(), false);
                };
                return self.refuse(from, &refusal);
            }
        };
        if let Some(peer) = sender {
            let enough = matches!(accepted, Accepted::Shown { enough: true });
            peer.last = if enough { peer.shown.start() } else { Some(id) };
            if let (Accepted::Shown { .. }, Some(answer)) = (accepted, &mut peer.answer) {
                answer.shown = true;
            }
        }
        let Accepted::Tip { left } = accepted else { return Ok(()) };
        self.set_job();
        if left > 0 {
            self.events.say(&Event::Reorganised { left, height })?;
        }
        self.tell_tip(from)
    }

    /// Sends the tip to all peers except one that has it.
    fn tell_tip(&mut self, but: Option<PeerId>) -> Result<(), NodeError> {
        let tip = self.tip_message();
        // A peer that has not said hello yet has already received an older tip.
        let addressed = self.peers.iter().filter(|(id, _)| Some(**id) != but);
        let slow = addressed.filter(|(_, peer)| !peer.send(tip.clone()));
        let slow: Vec<PeerId> = slow.map(|(id, _)| *id).collect();
        slow.into_iter()
            .try_for_each(|id| self.part(id, "expected the peer to read, got a full queue"))
    }

    fn refuse(&mut self, from: PeerId, refusal: &Refusal) -> Result<(), NodeError> {
        if refusal.is_fault() {
            return self.part(from, &refusal.to_string());
        }
        if let Some(answer) = self.peers.get_mut(&from).and_then(|peer| peer.answer.as_mut()) {
            answer.refused = true;
        }
        self.note(refusal.to_string(), false)
    }

    fn part(&mut self, from: PeerId, reason: &str) -> Result<(), NodeError> {
        self.peers.remove(&from);
        self.note(reason.into(), true)
    }

    fn note(&mut self, reason: String, parted: bool) -> Result<(), NodeError> {
        Ok(self.events.say(&Event::Refused { reason, parted })?)
    }
}

#[cfg(test)]
mod tests;
