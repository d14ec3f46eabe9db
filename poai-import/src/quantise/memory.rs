//! How much memory quantisation takes, computed before it starts.

use super::lower::{self, NARROW_TOP};
use super::plan::{ALL, Plan, Planned};
use super::{QuantiseError, QuantiseOptions};
use crate::graph::{Graph, Kind};
use poai_core::program::{Extent, RunShape};

/// Bytes of small things, and of scratch on every thread.
const BASE: u64 = 4 << 20;

/// A bound of the memory in bytes that [`super::quantise`] takes at its peak,
/// beyond the graph and the samples: every float of every value, the integer
/// network, and its trace. It makes the network once, with ranges of 1, so it
/// takes the memory of the network itself.
///
/// # Errors
/// [`QuantiseError`] if the network does not fit together, or has no program.
pub fn memory_bytes(graph: &Graph, samples: u32) -> Result<u64, QuantiseError> {
    let shapes = graph.shapes()?;
    let planned =
        Planned { range: NARROW_TOP, narrow: false, seen: ALL, offset: false, rectified: None };
    let plan = Plan { values: vec![planned; graph.values()] };
    let network = lower::lower(graph, &shapes, &plan, &QuantiseOptions::default())?.network;
    let program = network.program();
    let run = RunShape::new(samples.max(1), 1);
    let count = u64::from(samples);
    let entries = |value: usize| shapes[value].entries() as u64;
    let floats: u64 = (0..graph.values()).map(|value| entries(value) * count * 4).sum();
    let maps: u64 = (0..graph.values()).map(|value| entries(value) * 12).sum();
    let traced = |extent: Extent| extent.bytes() + extent.bytes() / 16 + 1024;
    let forms = program.inputs().iter().chain(program.steps().iter().map(|step| &step.form));
    let values: u64 = forms.filter_map(|form| Extent::of(form, &run)).map(traced).sum();
    let constants: u64 = program.constants().iter().map(|one| traced(one.extent) * 3).sum();
    // One sample's unfolded rows on every thread, and a value's entries as i32
    // and as floats while they are compared.
    let threads = rayon::current_num_threads() as u64;
    let scratch = graph.layers.iter().enumerate().map(|(at, layer)| {
        let to = graph.inputs.len() + at;
        let unfolded = match &layer.kind {
            Kind::Conv { weights, .. } => {
                let rows = entries(to) / weights.nrows().max(1) as u64;
                rows * weights.ncols() as u64 * 4 * threads
            }
            _ => 0,
        };
        unfolded + entries(to) * (count * 8 + 64)
    });
    Ok(BASE + floats + maps + 2 * values + constants + scratch.max().unwrap_or(0))
}
