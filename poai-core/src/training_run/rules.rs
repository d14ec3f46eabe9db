//! How much an audit of a segment opens.

use crate::digest::{RulesDigest, derive};
use crate::trace::TraceRules;

/// How much an audit of a segment of a training run opens (spec §19). The node
/// chooses all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrainingRules {
    /// The rules of each sampled iteration: which runs are permitted, and how many
    /// tiles are opened.
    pub trace: TraceRules,
    /// How many iterations are drawn, independently of each other. One that is
    /// drawn twice is opened twice, with other tiles.
    pub iteration_samples: u32,
}

impl TrainingRules {
    /// Draws 40 iterations, and of each one tile by MACs, one by steps, and one of
    /// each output. More tiles of one iteration find little: a prover that skips
    /// work skips whole iterations.
    pub const DEFAULT: TrainingRules = TrainingRules {
        trace: TraceRules {
            product_samples: 1,
            step_samples: 1,
            output_tiles: 1,
            ..TraceRules::DEFAULT
        },
        iteration_samples: 40,
    };

    /// The digest that names these rules: `H("train rules", digest of the trace
    /// rules ‖ u32 iteration_samples)`.
    pub fn digest(&self) -> RulesDigest {
        let trace = self.trace.digest();
        let samples = self.iteration_samples.to_le_bytes();
        RulesDigest(derive!("train rules", trace.as_bytes(), &samples))
    }
}
