//! The share of an iteration's MACs whose products draw tickets.

use crate::Failure;
use crate::networks::Name;
use poai_core::program::ValueId;
use poai_core::program::ops::Local;
use poai_engine::execute::options::mineable;
use serde_json::json;

/// Counts MACs of the program, without running it.
pub fn share(network: Name) -> Result<(), Failure> {
    let iteration = network.iteration(1, false)?;
    let (program, run) = (iteration.network().program(), iteration.shape());
    let extents = program.extents(&run)?;
    let (mut mined, mut all) = (0, 0);
    // Exact: programs have fewer than 2^17 values.
    for value in (0..program.values() as u32).map(ValueId) {
        let Some(local) = Local::new(program, &extents, run, value) else { continue };
        let macs = program.macs(value, &run);
        all += macs;
        if mineable(&local) {
            mined += macs;
        }
    }
    println!("{}", json!({ "mined": mined, "all": all, "share": mined as f64 / all as f64 }));
    Ok(())
}
