//! Trace rules: which runs a node permits, and how many tiles an audit opens.

use crate::digest::RulesDigest;
use crate::program::RunShape;

/// The largest runs that a node checks, and how many tiles an audit opens (spec
/// §14). The node chooses all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TraceRules {
    /// The most items.
    pub batch_max: u32,
    /// The most tokens of an item, and the most answers.
    pub sequence_max: u32,
    /// The most bytes of heap that recomputing a tile may take. If a tile's
    /// bound is above it, the run is inadmissible, and so is its receipt.
    pub tile_memory_max: u64,
    /// How many tiles an audit draws by the MACs of their products. They bound
    /// the MACs in wrong tiles.
    pub product_samples: u32,
    /// How many tiles an audit draws from the steps whose values are no outputs: the same number
    /// from each step, and the remainder from some steps. They bound what is wrong in steps of few
    /// or no MACs, and so the work that a prover can skip. A prover may make later steps correctly
    /// from one wrong early step.
    pub step_samples: u32,
    /// How many tiles of each output an audit opens; all of them if there are no
    /// more.
    pub output_tiles: u32,
}

impl TraceRules {
    /// Permits runs of up to 65536 items and 16384 tokens, whose tiles take 256
    /// MiB at most. The keys of 16384 tokens of 2048 columns take half of that.
    /// Audits draw 40 tiles by MACs, 128 by steps, and open 32 of each output.
    pub const DEFAULT: TraceRules = TraceRules {
        batch_max: 1 << 16,
        sequence_max: 1 << 14,
        tile_memory_max: 1 << 28,
        product_samples: 40,
        step_samples: 128,
        output_tiles: 32,
    };

    /// Whether batch, sequence and answers are within the limits. An item has at
    /// most as many answers as it may have tokens. The memory of tiles also
    /// depends on the program; `Checker` of poai-verify checks it.
    pub fn permits(&self, run: &RunShape) -> bool {
        let longest = run.sequence.max(run.answers);
        run.batch <= self.batch_max && longest <= self.sequence_max
    }

    /// The most tiles that an audit of a program with this number of outputs
    /// opens.
    pub fn tiles_max(&self, outputs: usize) -> u64 {
        let of_outputs = u64::from(self.output_tiles).saturating_mul(outputs as u64);
        let drawn = u64::from(self.product_samples) + u64::from(self.step_samples);
        drawn.saturating_add(of_outputs)
    }

    /// The digest that names these rules in a receipt: `H("trace rules",
    /// u32 batch_max ‖ u32 sequence_max ‖ u64 tile_memory_max ‖
    /// u32 product_samples ‖ u32 step_samples ‖ u32 output_tiles)`.
    pub fn digest(&self) -> RulesDigest {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 trace rules");
        hasher.update(&self.batch_max.to_le_bytes());
        hasher.update(&self.sequence_max.to_le_bytes());
        hasher.update(&self.tile_memory_max.to_le_bytes());
        for number in [self.product_samples, self.step_samples, self.output_tiles] {
            hasher.update(&number.to_le_bytes());
        }
        RulesDigest(*hasher.finalize().as_bytes())
    }
}
