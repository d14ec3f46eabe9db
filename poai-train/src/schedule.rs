//! Learning rates, iteration by iteration.

use crate::optimiser::Optimiser;

/// How the learning rate changes over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// The same rate in every iteration.
    Constant,
    /// From the rate to 0 along half a cosine (Loshchilov and Hutter 2017).
    Cosine,
    /// From 0 to the rate in a number of iterations, then as
    /// [`Schedule::Cosine`].
    Warm {
        /// The iterations in which it rises.
        iterations: u64,
    },
    /// From the rate to 0 along a line.
    Linear,
}

impl Schedule {
    /// The part of the learning rate in iteration t of `total`, in 0..=1. After
    /// the last iteration it stays as in iteration `total`.
    pub fn part(&self, t: u64, total: u64) -> f64 {
        let t = t.min(total);
        // Exact: runs have fewer than 2^31 iterations.
        let share = |t: u64, total: u64| t as f64 / total.max(1) as f64;
        let cosine = |share: f64| 0.5 * (1.0 + libm::cos(core::f64::consts::PI * share));
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - share(t, total),
            Schedule::Cosine => cosine(share(t, total)),
            Schedule::Warm { iterations } if t < iterations => share(t + 1, iterations),
            Schedule::Warm { iterations } => {
                cosine(share(t - iterations, total.saturating_sub(iterations)))
            }
        }
    }

    /// The rates of a run, as [`Source::Drawn`](crate::Source::Drawn) takes them.
    ///
    /// `rate` is the learning rate for mean gradients.
    pub fn rates(&self, optimiser: &Optimiser, rate: f64, total: u64, batch: u32) -> Vec<i32> {
        (0..total).map(|t| optimiser.rate(rate * self.part(t, total), t, batch)).collect()
    }
}
