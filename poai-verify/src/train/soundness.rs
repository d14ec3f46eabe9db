//! Soundness: how likely a false segment passes an audit (spec §19).

use super::checker::RunChecker;
use super::error::TrainingMalformed;
use crate::trace::escape;
use poai_core::training_run::Segment;

/// The chances that an audit passes a false segment: upper bounds, in 0..=1.
///
/// A prover that fakes work fakes whole iterations: more tiles of one iteration
/// find little of that, and more iterations find it. One wrong update of a weight
/// passes nearly every audit, so no audit shows that a model can be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainingSoundness {
    /// The chance if the given fraction of the iterations has a wrong claim, header,
    /// input, order of data or next state, or overwrites a whole state.
    pub iterations_wrong: f64,
    /// The chance if the given fraction of the segment's MACs is in wrong tiles.
    pub macs_wrong: f64,
    /// The chance if the given fraction of the segment's work was skipped, in the
    /// iterations and steps in which it is found most rarely.
    pub work_skipped: f64,
    /// The chance if any one tile of one iteration is wrong.
    pub update_wrong: f64,
}

impl RunChecker {
    /// How likely an audit of a segment passes if its prover fakes `fraction` of it
    /// and can try `2^grinding_bits` segments or beacons.
    ///
    /// A `fraction` outside 0..=1 is taken as the nearer end, NaN as 0.
    ///
    /// # Errors
    /// [`TrainingMalformed`]: the run has no such segment.
    pub fn soundness(
        &self,
        segment: &Segment,
        fraction: f64,
        grinding_bits: u32,
    ) -> Result<TrainingSoundness, TrainingMalformed> {
        let range = self.iterations_of(segment)?;
        let (run, samples) = (&self.parameters().run, self.rules().iteration_samples);
        let rules = self.checker().rules();
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        // Of an iteration that is false as a whole, or in one tile.
        let all = self.checker().soundness(run, 1.0, 0)?;
        // An audit finds what is wrong in `part` of the iterations, if it draws one
        // and then does not pass with chance `escapes`. The number that is rounded
        // down is what is found.
        let found =
            |part: f64, escapes: f64| (part * (1.0 - escapes).max(0.0) * ROUNDING).clamp(0.0, 1.0);
        let of = |found: f64| escape(samples, found, grinding_bits);
        let by_macs = if rules.product_samples == 0 || self.macs() == 0 { 1.0 } else { 0.0 };
        let one = 1.0 / (range.end - range.start).max(1) as f64;
        Ok(TrainingSoundness {
            iterations_wrong: of(found(fraction, 0.0)),
            macs_wrong: of(found(fraction, by_macs)),
            work_skipped: of(found(fraction, all.work_skipped)),
            update_wrong: of(found(one, all.answer_wrong)),
        })
    }
}

/// Above the relative errors of this module's few operations, and of the modulus of
/// a u128.
const ROUNDING: f64 = 1.0 - 1.0 / 4294967296.0;
