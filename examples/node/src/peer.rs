//! A connection: one task that reads frames, one that writes them.

use crate::block::Id;
use crate::branch::Shown;
use crate::wire::{Message, WireError, codec};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{FramedRead, FramedWrite};

/// Messages that wait for a slow peer, at most; beyond it is sent away.
const QUEUE: usize = 256;

/// How long a peer may take for its first message.
pub const HELLO: Duration = Duration::from_secs(5);

/// Names a connection within one node.
pub type PeerId = u64;

/// What a node keeps of a connection. Dropped, the connection closes.
pub struct Peer {
    queue: mpsc::Sender<Message>,
    tasks: [tokio::task::JoinHandle<()>; 2],
    /// Whether it said the right hello.
    pub greeted: bool,
    /// The answer that it owes; there is one at a time.
    pub answer: Option<Answer>,
    /// Whether it is asked only after a pause: for what its last answer was, or as
    /// it has just dialled.
    pub paused: bool,
    /// Where its answers go on: the last block from it that was verified.
    pub last: Option<Id>,
    /// What it shows of a branch too light to be kept.
    pub shown: Shown,
    /// Whether it dialled.
    pub incoming: bool,
    /// Rounds since its last message.
    pub silent: u32,
    /// Requests since the last round.
    pub requests: u32,
    /// What it asks for, where that waits.
    pub request: Option<Vec<Id>>,
}

/// An answer that is awaited.
pub struct Answer {
    /// Blocks that it may yet have.
    pub left: usize,
    /// Whether one was refused: what follows has no parent.
    pub refused: bool,
    /// Whether one was verified and not kept.
    pub shown: bool,
    /// Rounds since its last block, or since it was asked for.
    pub rounds: u32,
}

/// What a connection tells its node.
pub enum Heard {
    /// A message.
    Message(Message),
    /// It is over; why, if by a fault.
    Gone(Option<WireError>),
}

impl Peer {
    /// Starts both tasks; `hello` is how long the first message may take.
    pub fn start(
        id: PeerId,
        stream: TcpStream,
        node: mpsc::Sender<(PeerId, Heard)>,
        hello: Duration,
    ) -> Peer {
        let (read, write) = stream.into_split();
        let (queue, mut waiting) = mpsc::channel::<Message>(QUEUE);
        let writer = tokio::spawn(async move {
            let mut frames = FramedWrite::new(write, codec());
            while let Some(message) = waiting.recv().await {
                let Ok(bytes) = message.encode() else { break };
                if frames.send(Bytes::from(bytes)).await.is_err() {
                    break;
                }
            }
            let _ = frames.into_inner().shutdown().await; // the other side may be gone
        });
        let reader = tokio::spawn(async move {
            let mut frames = FramedRead::new(read, codec());
            let mut patience = Some(hello);
            let fault = loop {
                // Who says nothing keeps a place from others.
                let next = match patience.take() {
                    Some(patience) => timeout(patience, frames.next()).await.unwrap_or(None),
                    None => frames.next().await,
                };
                let message = match next {
                    None => break None,
                    Some(frame) => frame.map_err(WireError::from).and_then(|f| Message::decode(&f)),
                };
                match message {
                    // A full channel slows the peer down, by TCP's own means.
                    Ok(message) => {
                        if node.send((id, Heard::Message(message))).await.is_err() {
                            return;
                        }
                    }
                    // A reset connection is no fault of anybody's.
                    Err(WireError::Frame(error))
                        if error.kind() != std::io::ErrorKind::InvalidData =>
                    {
                        break None;
                    }
                    Err(error) => break Some(error),
                }
            };
            let _ = node.send((id, Heard::Gone(fault))).await; // the node may be gone
        });
        let tasks = [reader, writer];
        Peer {
            queue,
            tasks,
            greeted: false,
            answer: None,
            paused: false,
            last: None,
            shown: Shown::default(),
            incoming: false,
            silent: 0,
            requests: 0,
            request: None,
        }
    }

    /// Queues a message; `false` where the peer is too slow or gone.
    pub fn send(&self, message: Message) -> bool {
        self.queue.try_send(message).is_ok()
    }

    /// Messages that wait to be written to it.
    pub fn queued(&self) -> usize {
        QUEUE - self.queue.capacity()
    }
}

impl Drop for Peer {
    /// Ends both, the writer too: it may be waiting for one who never reads.
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// Two ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (dialled, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn who_never_says_hello_is_gone() {
        let ((near, _far), (node, mut heard)) = (pair().await, mpsc::channel(4));
        let _peer = Peer::start(7, near, node, Duration::from_millis(20));
        let (id, said) = heard.recv().await.unwrap();
        assert!(id == 7 && matches!(said, Heard::Gone(None)));
        assert!(heard.recv().await.is_none(), "its reader has ended");
    }

    /// Who said hello may take its time.
    #[tokio::test]
    async fn a_greeted_peer_is_waited_for() {
        let ((near, far), (node, mut heard)) = (pair().await, mpsc::channel(4));
        let _peer = Peer::start(7, near, node, Duration::from_millis(100));
        let mut far = FramedWrite::new(far, codec());
        let hello = Message::Hello { network: [1; 32] };
        far.send(Bytes::from(hello.encode().unwrap())).await.unwrap();
        assert!(
            matches!(heard.recv().await, Some((7, Heard::Message(message))) if message == hello)
        );
        assert!(timeout(Duration::from_millis(400), heard.recv()).await.is_err(), "it is there");
        drop(far);
        assert!(matches!(heard.recv().await, Some((7, Heard::Gone(None)))));
    }

    /// A peer that never reads: its queue fills, and when it is sent away both
    /// tasks end, whatever they were waiting for. Nothing is read before they have:
    /// that would let a writer go on to its end.
    #[tokio::test]
    async fn who_never_reads_is_left_with_nothing_running() {
        let ((near, mut far), (node, mut heard)) = (pair().await, mpsc::channel(4));
        let peer = Peer::start(7, near, node, HELLO);
        let long = Message::GetBlocks { locator: vec![Id([9; 32]); crate::wire::LOCATOR_MAX] };
        // The system's buffers first, some megabytes, then the queue.
        let mut sent = 0u64;
        loop {
            sent += 1;
            if !peer.send(long.clone()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if !peer.send(long.clone()) {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        assert!(sent > QUEUE as u64);
        let tasks = peer.tasks.each_ref().map(|task| task.abort_handle());
        drop(peer);
        let ended = async {
            while !tasks.iter().all(|task| task.is_finished()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), ended).await.expect("a task is left");
        assert!(heard.recv().await.is_none(), "nobody has the node's channel any more");
        let mut bytes = Vec::new();
        let _ = far.read_to_end(&mut bytes).await; // to the end, or cut off
    }
}
