//! The hashrate rises tenfold. Blocks come too fast, the difficulty follows,
//! and blocks come on time again.

use super::{Child, Failed, World, ensure, line_of_three, mine};
use crate::network::INITIAL_RATE;
use std::time::{Duration, Instant};

/// The permitted rise of the difficulty: ten, with a margin for the randomness
/// in the means of a few dozen blocks.
const RISE: std::ops::RangeInclusive<f64> = 4.0..=25.0;
/// Number of blocks over which intervals are averaged.
const WINDOW: usize = 16;

pub async fn run(world: &World) -> Result<Vec<String>, Failed> {
    let mut nodes = line_of_three(world).await?;
    mine(&mut nodes, INITIAL_RATE / 3.0).await?;
    difficulty(&mut nodes, Duration::from_secs(3)).await?;
    let before = difficulty(&mut nodes, Duration::from_secs(5)).await?;
    let height = nodes_first(&mut nodes)?.tip().await?.height;

    mine(&mut nodes, 10.0 * INITIAL_RATE / 3.0).await?;
    difficulty(&mut nodes, Duration::from_secs(14)).await?;
    let after = difficulty(&mut nodes, Duration::from_secs(6)).await?;
    mine(&mut nodes, 0.0).await?;

    let mut times = nodes_first(&mut nodes)?.times().await?;
    times.reverse();
    let rise = usize::try_from(height).unwrap_or(0);
    let intervals: Vec<f64> = times
        .windows(WINDOW + 1)
        .filter_map(|window| Some(window.last()?.abs_diff(*window.first()?) as f64 / WINDOW as f64))
        .collect();
    let fastest = intervals.get(rise..).unwrap_or(&[]).iter().copied().fold(f64::MAX, f64::min);
    let last = intervals.last().copied().unwrap_or(0.0);
    ensure(fastest < 7.5, || {
        format!("expected blocks under 7.5 s apart, got {fastest:.1} s at the fastest")
    })?;
    ensure(RISE.contains(&(after / before)), || {
        format!(
            "expected a rise within {RISE:?}, got {before:.3e} MACs before and {after:.3e} after"
        )
    })?;
    ensure((5.0..=45.0).contains(&last), || {
        format!("expected blocks 5 to 45 s apart at the end, got {last:.1} s")
    })?;
    Ok(vec![format!(
        "ten times the products a second (simulated): difficulty {before:.2e} to {after:.2e} MACs, ×{:.1}; \
         blocks {fastest:.1} s apart at the fastest, {last:.1} s in the end (target: 15 s of the network's clock)",
        after / before,
    )])
}

fn nodes_first(nodes: &mut [Child]) -> Result<&mut Child, Failed> {
    nodes.first_mut().ok_or_else(|| Failed::Unmet("no node".into()))
}

/// The mean of the next block's difficulty over some seconds.
async fn difficulty(nodes: &mut [Child], over: Duration) -> Result<f64, Failed> {
    let (start, mut sum, mut count) = (Instant::now(), 0.0, 0.0);
    while start.elapsed() < over {
        sum += nodes_first(nodes)?.tip().await?.difficulty as f64;
        count += 1.0;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(sum / count)
}
