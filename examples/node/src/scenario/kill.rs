//! A node is killed (SIGKILL) at random moments, and started again on the same
//! database.
//!
//! It is killed while it makes its database, and while it writes blocks.
//! Opening verifies every stored block again, and compares the stored tip with
//! the heaviest block. A torn write would therefore end the node with an error.

use super::{Child, Failed, World, agreed, ensure, until};
use crate::control::Command;
use crate::network::INITIAL_RATE;
use std::time::Duration;

const KILLS: usize = 10;
/// Number of nodes that are killed before they are ready.
const BIRTHS: u32 = 20;

pub async fn run(world: &World) -> Result<Vec<String>, Failed> {
    for name in 100..100 + BIRTHS {
        let node = world.spawn(name)?;
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        node.kill().await?;
        let node = world.start(name).await?;
        ensure(node.blocks == 0, || "expected an empty database, got blocks".into())?;
        node.kill().await?;
    }
    let mut miner = world.start(1).await?;
    miner.order(Command::Mine(8.0 * INITIAL_RATE)).await?;
    let mut nodes = [miner];
    until(&mut nodes, "a chain to fetch", |tips| tips.iter().all(|tip| tip.height >= 100)).await?;
    let [miner] = &nodes;
    let address = miner.address;

    let (mut heights, mut reported) = (Vec::new(), 0);
    for _ in 0..KILLS {
        let mut node = fetching(world, address, reported).await?;
        heights.push(node.height);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..40))).await;
        // The node has written the blocks that it reports. It continues to write until it dies.
        reported = node.tip().await?.height;
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..8000))).await;
        node.kill().await?;
    }
    let node = fetching(world, address, reported).await?;
    heights.push(node.height);
    let [miner] = nodes;
    let mut nodes = [miner, node];
    super::mine(&mut nodes, 0.0).await?;
    let tips = until(&mut nodes, "the same tip", agreed).await?;
    let height = tips.first().map_or(0, |tip| tip.height);
    Ok(vec![format!(
        "{BIRTHS} nodes killed at their start; one killed {KILLS} times: its database held the chain up to heights {heights:?}, every block verified again; \
         it then caught up to {height}",
    )])
}

/// Starts the node, which must still have the height that it reported, and lets
/// it fetch.
async fn fetching(
    world: &World,
    from: std::net::SocketAddr,
    reported: u64,
) -> Result<Child, Failed> {
    let mut node = world.start(2).await?;
    ensure(node.height >= reported, || {
        format!("expected height {reported} or more, got {}", node.height)
    })?;
    ensure(node.blocks as u64 >= node.height, || {
        "expected a whole chain, got fewer blocks than its height".into()
    })?;
    node.order(Command::Connect(from)).await?;
    Ok(node)
}
