//! How much memory quantisation of an encoder takes, computed before it starts.

use super::float::GROUP_TOKENS;
use super::quantise::COMPARED;
use super::relative::DISTANCES;
use super::{Encoder, EncoderKind};

/// Bytes of small things.
const BASE: u64 = 4 << 20;

impl Encoder {
    /// A bound of the memory in bytes that [`Encoder::quantise`] takes at its
    /// peak, beyond the encoder and the sequences: activations on every thread,
    /// their ranges, the integer network, and its comparison with the floats.
    pub fn memory_bytes(&self, calibration: &[Vec<u32>]) -> u64 {
        let config = &self.config;
        let [hidden, inner, layers, heads] =
            [config.hidden, config.intermediate, config.layers, config.heads].map(|n| n as u64);
        let total: u64 = calibration.iter().map(|ids| ids.len() as u64).sum();
        let longest = calibration.iter().map(|ids| ids.len() as u64).max().unwrap_or(0);
        let threads = rayon::current_num_threads() as u64;

        let tokens = (GROUP_TOKENS as u64).max(longest).min(total);
        let forward = 4 * (tokens * (12 * hidden + 3 * inner) + 2 * longest * longest);
        // Each thread's ranges, and those that they are merged into.
        let ranges = 4 * layers * (6 * heads * total + 4 * hidden * (threads + 1));

        let dense = layers * (4 * hidden * hidden + 2 * hidden * inner);
        let tables = (config.vocabulary + config.positions) as u64 * hidden;
        // Those of MPNet's scores, as integers and while they are made.
        let biases = if config.kind == EncoderKind::Mpnet { heads * DISTANCES as u64 } else { 0 };
        // Integers with their trees, and one constant's entries and floats.
        let constants = 2 * dense + 3 * tables + 16 * tables.max(hidden * inner) + 16 * biases;

        let compared = (COMPARED.1 as u64).max(longest).min(total);
        let scores = heads * longest.next_multiple_of(128);
        let floats = 4 * compared * hidden * (layers + 1) * 2;
        // The head's products, in floats, in integers and while they are made.
        // Rows are those of one item a thread, and of the compared items.
        let rows = threads + COMPARED.0 as u64;
        let products = self.head.products().map(|(inputs, outputs, _)| {
            let [inputs, outputs] = [inputs, outputs].map(|columns| columns as u64);
            16 * inputs * outputs + 64 * rows * (inputs + outputs)
        });
        let head: u64 = products.sum();
        let trace = compared * (layers + 1) * (12 * hidden + 3 * inner + 4 * scores);
        BASE + constants + ranges + head + threads * forward + floats + trace
    }
}
