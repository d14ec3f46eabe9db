//! The memory that mining takes, measured by a separate program.

use crate::child;
use crate::run::Run;
use poai_benches::Failure;
use poai_benches::lines::{Section, Share};
use std::process::Command;
use std::time::Duration;

pub fn measure(run: &mut Run, section: &mut Section) -> Result<(), Failure> {
    let size = run.full_or(4096, 1024);
    let id = format!("peak-to-matrices/{size}");
    let what = format!("{size}³ mined, most memory at once / A, B, A', B' and C together");
    let mut command = super::cargo(&["run", "-p", "poai-benches", "--bin", "peak-memory", "--"]);
    command.arg(size.to_string());
    match peak(&mut command) {
        Ok((peak, matrices)) => {
            let share = Share { kept: 1, taken: 1 };
            section.figure(id, what, peak / matrices, "", share);
            let what = format!("{size}³ mined, most memory at once");
            section.figure(format!("peak/{size}"), what, peak / f64::from(1 << 20), "MiB", share);
        }
        Err(why) => section.skipped(id, what, why),
    }
    Ok(())
}

/// The peak bytes of mining, and the bytes of the matrices.
fn peak(command: &mut Command) -> Result<(f64, f64), String> {
    let line = child::output("peak-memory", command, Duration::from_secs(120))?;
    let numbers = line
        .split_once(' ')
        .and_then(|(peak, matrices)| Some((peak.parse().ok()?, matrices.parse().ok()?)));
    numbers.ok_or_else(|| format!("peak-memory: expected two numbers, got {line:?}"))
}
