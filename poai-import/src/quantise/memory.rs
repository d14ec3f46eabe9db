//! How much memory quantisation takes, computed before it starts.

use crate::graph::{Graph, GraphError, ImageExtent, Kind};
use poai_core::program::{Dtype, Extent};

/// Bytes of small things, and of scratch on every thread.
const BASE: u64 = 4 << 20;

/// A bound of the memory in bytes that [`super::quantise`] takes at its peak,
/// beyond the graph and the samples: every float of every value, the integer
/// network, and its trace.
///
/// # Errors
/// [`GraphError`] if the network does not fit together.
pub fn memory_bytes(graph: &Graph, samples: u32) -> Result<u64, GraphError> {
    let shapes = graph.shapes()?;
    let samples = u64::from(samples);
    let entries = |extent: &ImageExtent| extent.entries() as u64 * samples;
    let floats: u64 = shapes.iter().map(|extent| entries(extent) * 4).sum();
    let values: u64 = shapes
        .iter()
        .map(|extent| {
            // i8 entries have padding columns, and i16 entries have two bytes.
            let of = |dtype| traced(extent.rows() as u64 * samples, extent.channels as u64, dtype);
            of(Dtype::I8).max(of(Dtype::I16))
        })
        .sum();
    let (mut constants, mut unfolded, mut sums) = (0, 0, 0);
    for (layer, to) in graph.layers.iter().zip(shapes.iter().skip(1)) {
        let rows = to.rows() as u64 * samples;
        match &layer.kind {
            Kind::Gemm { weights, .. } => constants += weights.len() as u64 * 8,
            Kind::Conv { weights, .. } => {
                constants += weights.len() as u64 * 8;
                let columns = weights.ncols() as u64;
                unfolded += traced(rows, columns, Dtype::I8);
                // One sample in floats, and its entries while a step runs.
                sums = sums.max(to.rows() as u64 * columns * 8);
            }
            _ => {}
        }
        // Entries as i32 while values are compared, and their magnitudes.
        sums = sums.max(entries(to) * 8);
    }
    // Up to three steps bring the output into its order.
    let ordered =
        shapes.last().map_or(0, |extent| 3 * traced(samples, extent.entries() as u64, Dtype::I16));
    // A layer takes up to two steps.
    Ok(BASE + floats + 2 * values + ordered + unfolded + constants + sums)
}

/// The bytes of a traced tensor with its tree. A number that no tensor has
/// saturates.
fn traced(rows: u64, columns: u64, dtype: Dtype) -> u64 {
    let [rows, columns] = [rows, columns].map(|number| u32::try_from(number).unwrap_or(1 << 31));
    let bytes = Extent { rows, columns, dtype }.bytes();
    bytes + bytes / 16 + 1024
}
