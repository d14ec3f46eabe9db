//! The same training in floating point, for comparison.

use poai::train::run::Loss;

/// What training in floating point came to: same weights, batches and rates.
pub struct Float {
    /// The losses of all iterations.
    pub history: Vec<Loss>,
    /// Loss and accuracy on the samples that were kept.
    pub test: Loss,
    pub seconds: f64,
}
