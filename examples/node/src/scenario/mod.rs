//! The scenarios that the nodes run. Each has its own nodes and network, and
//! ends with its observations, or with the reason why it failed.

mod forged;
mod gossip;
mod kill;
mod partition;
mod retarget;

use crate::child::{Child, Failed, World};
use crate::control::{Command, Tip};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The scenarios, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Three nodes in a line mine, and agree.
    Gossip,
    /// A network is cut in two, and heals.
    Partition,
    /// The hashrate rises tenfold.
    Retarget,
    /// Forged blocks and messages, each over its own connection.
    Forged,
    /// A node is killed repeatedly while it writes.
    Kill,
}

impl Scenario {
    /// Runs the scenario with databases below `folder`, for at most [`LIMIT`]. The first line is
    /// the summary.
    pub async fn run(self, folder: &Path) -> Result<Vec<String>, Failed> {
        let world = World::new(folder);
        let run = async {
            match self {
                Scenario::Gossip => gossip::run(&world).await,
                Scenario::Partition => partition::run(&world).await,
                Scenario::Retarget => retarget::run(&world).await,
                Scenario::Forged => forged::run(&world).await,
                Scenario::Kill => kill::run(&world).await,
            }
        };
        let late = |_| Err(Failed::Unmet(format!("expected an end within {} s", LIMIT.as_secs())));
        timeout(LIMIT, run).await.unwrap_or_else(late)
    }
}

/// The longest time of a scenario.
const LIMIT: Duration = Duration::from_secs(300);
/// The longest time until a state is reached.
const PATIENCE: Duration = Duration::from_secs(40);

/// Three nodes in a line. The first and the last are connected only through the
/// second.
async fn line_of_three(world: &World) -> Result<[Child; 3], Failed> {
    let [mut a, b, mut c] = [world.start(1).await?, world.start(2).await?, world.start(3).await?];
    a.order(Command::Connect(b.address)).await?;
    c.order(Command::Connect(b.address)).await?;
    Ok([a, b, c])
}

async fn mine(nodes: &mut [Child], rate: f64) -> Result<(), Failed> {
    for node in nodes {
        node.order(Command::Mine(rate)).await?;
    }
    Ok(())
}

async fn tips(nodes: &mut [Child]) -> Result<Vec<Tip>, Failed> {
    let mut tips = Vec::new();
    for node in nodes {
        tips.push(node.tip().await?);
    }
    Ok(tips)
}

/// Asks for tips until `reached` returns true.
async fn until(
    nodes: &mut [Child],
    what: &str,
    reached: impl Fn(&[Tip]) -> bool,
) -> Result<Vec<Tip>, Failed> {
    let start = Instant::now();
    loop {
        let tips = tips(nodes).await?;
        if reached(&tips) {
            return Ok(tips);
        }
        if start.elapsed() > PATIENCE {
            return Err(Failed::Unmet(format!(
                "expected {what} within {} s, got {tips:?}",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether all nodes have the same tip.
fn agreed(tips: &[Tip]) -> bool {
    tips.windows(2).all(|pair| matches!(pair, [one, other] if one.id == other.id))
}

/// Fails unless the condition holds.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::Unmet(what())) }
}
