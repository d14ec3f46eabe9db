//! A connection: one task that reads frames, and one that writes them.

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

/// The largest number of messages that wait for a slow peer. Beyond it, the
/// node disconnects from the peer.
const QUEUE: usize = 256;

/// The time that a peer may take for its first message.
pub const HELLO: Duration = Duration::from_secs(5);

/// The id of a connection within one node.
pub type PeerId = u64;

/// A node's state for a connection. Dropping it closes the connection.
pub struct Peer {
    queue: mpsc::Sender<Message>,
    tasks: [tokio::task::JoinHandle<()>; 2],
    /// Whether the peer sent the right hello.
    pub greeted: bool,
    /// The answer that the peer owes. There is one at a time.
    pub answer: Option<Answer>,
    /// Whether the node asks the peer only after a pause, because of its last answer, or because it
    /// has just dialled.
    pub paused: bool,
    /// The last block from the peer that was verified. Its next answer
    /// continues there.
    pub last: Option<Id>,
    /// The peer's branch that is too light to be kept.
    pub shown: Shown,
    /// Whether the peer dialled.
    pub incoming: bool,
    /// Number of rounds since its last message.
    pub silent: u32,
    /// Number of requests since the last round.
    pub requests: u32,
    /// The peer's request, while it waits.
    pub request: Option<Vec<Id>>,
}

/// An answer that the node awaits.
pub struct Answer {
    /// Number of blocks that it may still have.
    pub left: usize,
    /// Whether a block was rejected: the blocks after it have no parent.
    pub refused: bool,
    /// Whether a block was verified and not kept.
    pub shown: bool,
    /// Number of rounds since its last block, or since the request.
    pub rounds: u32,
}

/// An event of a connection for its node.
pub enum Heard {
    /// A message arrived.
    Message(Message),
    /// The connection ended. It holds the error, if the peer was at fault.
    Gone(Option<WireError>),
}

impl Peer {
    /// Starts both tasks. `hello` is the time that the first message may take.
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
                let Ok(bytes) = message.to_bytes() else { break };
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
                // A silent peer would take a place from others.
                let next = match patience.take() {
                    Some(patience) => timeout(patience, frames.next()).await.unwrap_or(None),
                    None => frames.next().await,
                };
                let message = match next {
                    None => break None,
                    Some(frame) => {
                        frame.map_err(WireError::from).and_then(|f| Message::from_bytes(&f))
                    }
                };
                match message {
                    // A full channel slows the peer down, by TCP's flow
                    // control.
                    Ok(message) => {
                        if node.send((id, Heard::Message(message))).await.is_err() {
                            return;
                        }
                    }
                    // A reset connection is not the peer's fault.
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

    /// Queues a message. Returns `false` if the peer is too slow or gone.
    pub fn send(&self, message: Message) -> bool {
        self.queue.try_send(message).is_ok()
    }

    /// Number of messages that wait to be written to the peer.
    pub fn queued(&self) -> usize {
        QUEUE - self.queue.capacity()
    }
}

impl Drop for Peer {
    /// Ends both tasks. The writer must be ended too, because it may wait for a
    /// peer that never reads.
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// The two ends of a connection.
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

    /// A peer that said hello may take its time.
    #[tokio::test]
    async fn a_greeted_peer_is_waited_for() {
        let ((near, far), (node, mut heard)) = (pair().await, mpsc::channel(4));
        let _peer = Peer::start(7, near, node, Duration::from_millis(100));
        let mut far = FramedWrite::new(far, codec());
        let hello = Message::Hello { network: [1; 32] };
        far.send(Bytes::from(hello.to_bytes().unwrap())).await.unwrap();
        assert!(
            matches!(heard.recv().await, Some((7, Heard::Message(message))) if message == hello)
        );
        assert!(
            timeout(Duration::from_millis(400), heard.recv()).await.is_err(),
            "expected the peer to stay"
        );
        drop(far);
        assert!(matches!(heard.recv().await, Some((7, Heard::Gone(None)))));
    }

    /// A peer that never reads. Its queue fills, and when the node disconnects, both tasks end, in
    /// any state. The test reads nothing before they have ended, because reading would let a writer
    /// finish.
    #[tokio::test]
    async fn who_never_reads_is_left_with_nothing_running() {
        let ((near, mut far), (node, mut heard)) = (pair().await, mpsc::channel(4));
        let peer = Peer::start(7, near, node, HELLO);
        let long = Message::GetBlocks { locator: vec![Id([9; 32]); crate::wire::LOCATOR_MAX] };
        // First the system's buffers fill, which hold some megabytes, then the
        // queue.
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
        timeout(Duration::from_secs(60), ended).await.expect("expected both tasks to end");
        assert!(heard.recv().await.is_none(), "expected no sender of the node's channel");
        let mut bytes = Vec::new();
        let _ = far.read_to_end(&mut bytes).await; // to the end, or cut off
    }
}
