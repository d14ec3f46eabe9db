//! Three nodes in a line mine and gossip: a block of one reaches all.

use super::{Failed, World, agreed, line_of_three, mine, until};
use crate::network::INITIAL_RATE;

pub async fn run(world: &World) -> Result<Vec<String>, Failed> {
    let mut nodes = line_of_three(world).await?;
    mine(&mut nodes, INITIAL_RATE / 3.0).await?;
    until(&mut nodes, "eight blocks", |tips| tips.iter().all(|tip| tip.height >= 8)).await?;
    mine(&mut nodes, 0.0).await?;
    let tips = until(&mut nodes, "one tip", agreed).await?;
    let tip = tips.first().ok_or_else(|| Failed::Unmet("no node".into()))?;
    Ok(vec![format!("three nodes agree on {} at height {}, {} MACs", tip.id, tip.height, tip.work)])
}
