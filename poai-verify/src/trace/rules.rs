//! What a node permits of traces. All of it comes from the node.

use poai_core::RulesDigest;
use poai_core::program::RunShape;

/// The largest runs that a node checks, and how many tiles an audit opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceRules {
    /// The most items. With `sequence_max` it bounds the work of a tile.
    pub batch_max: u32,
    /// The most tokens of an item.
    pub sequence_max: u32,
    /// How many tiles an audit opens. [`super::samples_for`] says how many are
    /// needed.
    pub samples: u32,
}

impl TraceRules {
    /// Runs of up to 65536 items and 16384 tokens, 40 tiles an audit.
    pub const DEFAULT: TraceRules =
        TraceRules { batch_max: 1 << 16, sequence_max: 1 << 14, samples: 40 };

    /// Whether a run is permitted.
    pub fn permits(&self, run: &RunShape) -> bool {
        run.batch <= self.batch_max && run.sequence <= self.sequence_max
    }

    /// The digest that names these rules in a receipt: `H("trace rules",
    /// u32 batch_max ‖ u32 sequence_max ‖ u32 samples)`.
    pub fn digest(&self) -> RulesDigest {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 trace rules");
        for number in [self.batch_max, self.sequence_max, self.samples] {
            hasher.update(&number.to_le_bytes());
        }
        RulesDigest(*hasher.finalize().as_bytes())
    }
}
