//! A connection: one task that reads frames, one that writes them.

use crate::block::Id;
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
const HELLO: Duration = Duration::from_secs(5);

/// Names a connection within one node.
pub type PeerId = u64;

/// What a node keeps of a connection. Dropped, the connection closes.
pub struct Peer {
    queue: mpsc::Sender<Message>,
    tasks: [tokio::task::JoinHandle<()>; 2],
    /// Whether it said the right hello.
    pub greeted: bool,
    /// Whether an answer to a request is due; there is one at a time.
    pub asked: bool,
    /// Blocks of no use yet that it sent since its last good one.
    pub strays: u32,
    /// The last block from it that is known here: where its answers go on.
    pub last: Option<Id>,
}

/// What a connection tells its node.
pub enum Heard {
    /// A message.
    Message(Message),
    /// It is over; why, if by a fault.
    Gone(Option<WireError>),
}

impl Peer {
    /// Starts both tasks.
    pub fn start(id: PeerId, stream: TcpStream, node: mpsc::Sender<(PeerId, Heard)>) -> Peer {
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
            let mut patience = Some(HELLO);
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
        Peer { queue, tasks, greeted: false, asked: false, strays: 0, last: None }
    }

    /// Queues a message; `false` where the peer is too slow or gone.
    pub fn send(&self, message: Message) -> bool {
        self.queue.try_send(message).is_ok()
    }
}

impl Drop for Peer {
    /// Ends both, the writer too: it may be waiting for one who never reads.
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.abort());
    }
}
