//! A network is cut in two, both sides mine, and the cut heals: all nodes
//! follow the heavier branch.

use super::{Failed, World, agreed, ensure, line_of_three, mine, until};
use crate::branch::REACH;
use crate::control::{Command, Tip};
use crate::network::INITIAL_RATE;
use crate::wire::BLOCKS_PER_REQUEST;

/// Number of blocks that each side must find.
///
/// It is more than an answer holds, and more than the depth of a light branch. The losing side
/// therefore fetches the other's branch in parts, and must see that it is the heavier before it
/// keeps any of it.
const BLOCKS: u64 = BLOCKS_PER_REQUEST as u64 + 4;
const _: () = assert!(BLOCKS > REACH as u64);

pub async fn run(world: &World) -> Result<Vec<String>, Failed> {
    let mut nodes = line_of_three(world).await?;
    let rate = INITIAL_RATE / 3.0;
    mine(&mut nodes, rate).await?;
    until(&mut nodes, "three blocks", |tips| tips.iter().all(|tip| tip.height >= 3)).await?;
    mine(&mut nodes, 0.0).await?;
    let tips = until(&mut nodes, "one tip before the cut", agreed).await?;
    let fork = tips.iter().map(|tip| tip.height).max().unwrap_or(0);

    let [a, b, c] = &mut nodes;
    c.order(Command::Isolate).await?;
    for (node, share) in [(&mut *a, 1.0), (&mut *b, 1.0), (&mut *c, 0.7)] {
        node.order(Command::Mine(rate * share)).await?;
    }
    let far = |tips: &[Tip]| tips.iter().all(|tip| tip.height >= fork + BLOCKS);
    until(&mut nodes, "both sides to mine", far).await?;
    mine(&mut nodes, 0.0).await?;
    let sides = |tips: &[Tip]| matches!(tips, [a, b, c] if a.id == b.id && b.id != c.id);
    let tips = until(&mut nodes, "two sides", sides).await?;
    let work = |tip: &Tip| tip.work.parse::<u128>().unwrap_or(0);
    let best =
        tips.iter().max_by_key(|tip| work(tip)).ok_or_else(|| Failed::Unmet("no node".into()))?;
    for node in &mut nodes {
        node.deepest().await?; // forget the reorganisations before
    }

    let [a, _, c] = &mut nodes;
    let address = a.address;
    c.order(Command::Join).await?;
    c.order(Command::Connect(address)).await?;
    let healed = until(&mut nodes, "one tip after the cut", agreed).await?;
    ensure(healed.iter().all(|tip| work(tip) >= work(best)), || {
        "expected the heavier branch, got the lighter".into()
    })?;
    let mut left = Vec::new();
    for node in &mut nodes {
        left.push(node.deepest().await?);
    }
    ensure(left.iter().any(|left| *left >= BLOCKS), || {
        format!("expected a reorganisation, got {left:?}")
    })?;
    let works: Vec<_> = tips.iter().map(|tip| tip.work.as_str()).collect();
    let summary = format!(
        "cut at height {fork}; sides of {} and {} MACs; all nodes follow the heavier, {} blocks left the loser's chain",
        works.first().unwrap_or(&""),
        works.last().unwrap_or(&""),
        left.iter().max().unwrap_or(&0),
    );
    Ok(vec![summary])
}
