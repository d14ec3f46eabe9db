//! Which tiles an audit looks at (spec §14).

use crate::digest::TraceRoot;
use crate::program::ops::Local;
use crate::program::{Extent, Program, RunShape, ValueId};
use alloc::vec::Vec;

/// A tile of a step's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sample {
    /// The step's value.
    pub value: ValueId,
    /// The tile, counted row by row.
    pub tile: u64,
}

/// What each step weighs when samples are drawn: its MACs, and a floor of a
/// quarter of the mean, so that no step is free to fake. In the order of steps.
pub fn weights(program: &Program, run: &RunShape) -> Vec<u128> {
    let inputs = program.inputs().len() as u32;
    let steps = program.steps().len() as u32;
    let macs: Vec<u128> =
        (inputs..inputs + steps).map(|value| program.macs(ValueId(value), run).into()).collect();
    let floor = macs.iter().sum::<u128>() / (4 * u128::from(steps).max(1)) + 1;
    macs.into_iter().map(|macs| macs + floor).collect()
}

/// `count` samples under a 32-byte beacon: from the extendable output of
/// `H("audit", trace_root ‖ beacon)`, 32 bytes a sample: a u128 modulo the
/// total weight picks the step, a u128 modulo its tiles the tile.
///
/// The beacon has to be fixed after the trace root was published. A beacon
/// that the prover can influence, the trace root itself included (Fiat–Shamir),
/// lets it grind: see `soundness` in `poai-verify`.
pub fn samples(
    program: &Program,
    extents: &[Extent],
    run: &RunShape,
    root: &TraceRoot,
    beacon: &[u8; 32],
    count: u32,
) -> Vec<Sample> {
    let weights = weights(program, run);
    let total: u128 = weights.iter().sum();
    let mut xof = blake3::Hasher::new_derive_key("poai-1 audit")
        .update(root.as_bytes())
        .update(beacon)
        .finalize_xof();
    let mut draw = |modulus: u128| {
        let mut bytes = [0; 16];
        xof.fill(&mut bytes);
        u128::from_le_bytes(bytes) % modulus.max(1)
    };
    let mut samples = Vec::new();
    for _ in 0..count {
        let mut at = draw(total);
        let mut step = 0;
        for (index, &weight) in weights.iter().enumerate() {
            step = index;
            if at < weight {
                break;
            }
            at -= weight;
        }
        let value = ValueId((program.inputs().len() + step) as u32);
        let local = Local::new(program, extents, *run, value);
        let tiles = local.map_or(1, |local| local.grid().tiles());
        // Exact: below a u64.
        samples.push(Sample { value, tile: draw(tiles.into()) as u64 });
    }
    samples
}
