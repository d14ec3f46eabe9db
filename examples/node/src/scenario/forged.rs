//! Forged messages and blocks, each over its own connection. The node gives a
//! reason for each, keeps its tip, and continues.

use super::{Failed, World, ensure, mine, until};
use crate::block::{Block, Id};
use crate::network::{INITIAL_RATE, Network};
use crate::wire::{LOCATOR_MAX, Message, WireError, codec};
use futures_util::{SinkExt, StreamExt};
use poai_core::Difficulty;
use poai_verify::chain::CompactDifficulty;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// The data that is sent after the connection is made.
enum Sent {
    /// Bytes, without a frame.
    Raw(Vec<u8>),
    /// One frame, before any hello.
    Frame(Vec<u8>),
    /// A message after the right hello.
    Message(Message),
    /// A block in answer to the request that a false claim causes.
    Answer(Block),
}

struct Forgery {
    name: &'static str,
    sent: Sent,
    /// The reason must contain one of these.
    because: &'static [&'static str],
}

pub async fn run(world: &World) -> Result<Vec<String>, Failed> {
    let mut nodes = [world.start(1).await?];
    mine(&mut nodes, INITIAL_RATE).await?;
    until(&mut nodes, "a chain", |tips| tips.iter().all(|tip| tip.height >= 14)).await?;
    mine(&mut nodes, 0.0).await?;
    let [node] = &mut nodes;
    let before = loop {
        // The miner may be in the middle of a product.
        let tip = node.tip().await?;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        if node.tip().await? == tip {
            break tip;
        }
    };

    let hello = Message::Hello { network: network()?.digest() };
    let chain = fetch(node.address, &hello).await?;
    let [.., earlier, _, tip] = chain.as_slice() else {
        return Err(Failed::Unmet(format!("{} blocks fetched", chain.len())));
    };
    let forgeries = forgeries(tip, earlier)?;
    let mut lines = vec![String::new()];
    for Forgery { name, sent, because } in &forgeries {
        let connection = send(node.address, &hello, sent).await?;
        let (reason, parted) = node.refusal().await?;
        drop(connection);
        ensure(because.iter().any(|part| reason.contains(part)), || format!("{name}: {reason}"))?;
        ensure(parted, || {
            format!("{name}: expected the node to disconnect, got a kept connection")
        })?;
        lines.push(format!("  {name:<34} {reason}"));
    }
    ensure(node.tip().await? == before, || "expected the same tip, got another".into())?;
    mine(&mut nodes, INITIAL_RATE).await?;
    let on = |tips: &[crate::control::Tip]| tips.iter().all(|tip| tip.height > before.height);
    until(&mut nodes, "mining to go on", on).await?;
    if let Some(summary) = lines.first_mut() {
        *summary = format!(
            "{} forgeries refused, each for its reason, and their peers disconnected; the tip stayed",
            forgeries.len()
        );
    }
    Ok(lines)
}

fn network() -> Result<Network, Failed> {
    Network::new(0).map_err(|error| Failed::Unmet(error.to_string()))
}

/// Fetches the chain as a peer does.
async fn fetch(address: SocketAddr, hello: &Message) -> Result<Vec<Block>, Failed> {
    let mut frames = Framed::new(TcpStream::connect(address).await?, codec());
    let genesis = network()?.genesis().id();
    let mut chain: Vec<Block> = Vec::new();
    write(&mut frames, hello).await?;
    loop {
        let locator = vec![chain.last().map_or(genesis, Block::id)];
        write(&mut frames, &Message::GetBlocks { locator }).await?;
        let known = chain.len();
        loop {
            let frame = frames.next().await.ok_or_else(|| {
                Failed::Unmet("expected an answer, got a closed connection".into())
            })?;
            match Message::from_bytes(&frame?)? {
                Message::Block(block) => chain.push(block),
                Message::End if chain.len() > known => break,
                Message::End => return Ok(chain),
                _ => {}
            }
        }
    }
}

async fn write(
    frames: &mut Framed<TcpStream, LengthDelimitedCodec>,
    message: &Message,
) -> Result<(), Failed> {
    Ok(frames.send(Bytes::from(message.to_bytes()?)).await?)
}

async fn send(address: SocketAddr, hello: &Message, sent: &Sent) -> Result<impl Sized, Failed> {
    let mut frames = Framed::new(TcpStream::connect(address).await?, codec());
    match sent {
        Sent::Raw(bytes) => frames.get_mut().write_all(bytes).await?,
        Sent::Frame(bytes) => frames.send(Bytes::from(bytes.clone())).await?,
        Sent::Message(message) => {
            write(&mut frames, hello).await?;
            write(&mut frames, message).await?;
        }
        Sent::Answer(block) => {
            write(&mut frames, hello).await?;
            write(&mut frames, &Message::Tip { id: Id([1; 32]), work: [0xff; 32] }).await?;
            while let Some(frame) = frames.next().await {
                if let Message::GetBlocks { .. } = Message::from_bytes(&frame?)? {
                    break;
                }
            }
            write(&mut frames, &Message::Block(block.clone())).await?;
        }
    }
    Ok(frames)
}

fn forgeries(tip: &Block, earlier: &Block) -> Result<Vec<Forgery>, WireError> {
    let frame = |name, bytes, because| Forgery { name, sent: Sent::Frame(bytes), because };
    let block = |name, because, change: &dyn Fn(&mut Block)| {
        let mut forged = tip.clone();
        change(&mut forged);
        Forgery { name, sent: Sent::Answer(forged), because }
    };
    let compact = |macs| Difficulty::new(macs).map_or(0, |d| CompactDifficulty::new(d).bits());
    let flip = |at: usize| {
        move |block: &mut Block| block.proof.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1)
    };
    let last = tip.proof.len().saturating_sub(1);
    let unwon: &[&str] = &["invalid"];
    let long = Message::GetBlocks { locator: vec![Id([1; 32]); LOCATOR_MAX + 1] };
    Ok(vec![
        Forgery {
            name: "a frame of two gigabytes",
            sent: Sent::Raw(vec![0x7f, 0xff, 0xff, 0xff]),
            because: &["frame"],
        },
        frame("bytes that are not a message", vec![0xff; 40], &["not a message"]),
        frame(
            "a block before any hello",
            Message::Block(tip.clone()).to_bytes()?,
            &["expected a hello"],
        ),
        frame(
            "another network's hello",
            Message::Hello { network: [1; 32] }.to_bytes()?,
            &["another network's"],
        ),
        Forgery { name: "a locator of 65 ids", sent: Sent::Message(long), because: &["locator"] },
        Forgery {
            name: "a good block without a request",
            sent: Sent::Message(Message::Block(tip.clone())),
            because: &["not asked for"],
        },
        Forgery {
            name: "an answer's end without a request",
            sent: Sent::Message(Message::End),
            because: &["answer's end"],
        },
        block("another height", &["height"], &|block| block.header.height += 1),
        block("a lower difficulty", &["difficulty"], &|block| {
            block.header.difficulty = compact(1 << 25)
        }),
        block("a difficulty in another encoding", &["expected the one encoding"], &|block| {
            block.header.difficulty = 0x0400_0001
        }),
        block("a difficulty below the least", &["difficulty"], &|block| {
            block.header.difficulty = compact(1000)
        }),
        block("an unknown parent", &["unknown"], &|block| block.header.parent = Id([5; 32])),
        block("a time far ahead, without its work", unwon, &|block| block.header.time += 1_000_000),
        block("a time before the median", &["median"], &|block| block.header.time -= 100_000),
        block("another beneficiary", unwon, &|block| block.header.miner ^= 1),
        block("other transactions", unwon, &|block| block.header.transactions[0] ^= 1),
        block("the next nonce", unwon, &|block| {
            block.header.nonce = block.header.nonce.wrapping_add(1)
        }),
        block("the proof of an earlier block", unwon, &|block| {
            block.proof.clone_from(&earlier.proof)
        }),
        block("a bit of the commitment flipped", unwon, &flip(20)),
        block("a bit of an opened row flipped", &["invalid", "malformed"], &flip(1000)),
        block("a bit of the last sibling flipped", unwon, &flip(last)),
        block("a proof cut short", &["malformed"], &|block| block.proof.truncate(last)),
        block("a byte after the proof", &["malformed"], &|block| block.proof.push(0)),
        block("no proof at all", &["malformed"], &|block| block.proof.clear()),
    ])
}
