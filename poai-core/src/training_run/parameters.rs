//! What a job fixes before a training run starts.

use super::error::{Fields, RunParametersError, TrainingDecodeError};
use crate::digest::{
    Beacon, DatasetRoot, Job, ProgramId, RulesDigest, StateRoot, TrainingSeed, derive,
};
use crate::program::RunShape;
use alloc::vec::Vec;
use core::ops::Range;

/// The most iterations of a run: t is an i32.
pub const ITERATIONS_MAX: u64 = 1 << 31;

/// The most iterations of a segment.
pub const SEGMENT_MAX: u32 = 1 << 16;

/// What a job fixes before a training run starts (spec §19). Its canonical bytes
/// are `u32 version ‖ program ‖ job ‖ dataset ‖ seed ‖ u32 batch ‖ u32 sequence ‖
/// u64 iterations ‖ first state ‖ u32 segment ‖ rules`.
///
/// A verifier takes them from the job and never from a prover. All segments bind
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunParameters {
    /// The program of an iteration.
    pub program: ProgramId,
    /// The requester's name for the run.
    pub job: Job,
    /// The dataset.
    pub dataset: DatasetRoot,
    /// The seed, [`RunParameters::seed_of`].
    pub seed: TrainingSeed,
    /// The shape of an iteration's run.
    pub run: RunShape,
    /// The number of iterations, 1 to 2^31.
    pub iterations: u64,
    /// The state before the first iteration.
    pub first: StateRoot,
    /// The iterations of a segment, 1 to 2^16; the last may have fewer.
    pub segment: u32,
    /// The rules of the audits, [`super::TrainingRules::digest`].
    pub rules: RulesDigest,
}

impl RunParameters {
    /// The length of the canonical bytes.
    pub const LEN: usize = 4 + 4 * 32 + 2 * 4 + 8 + 32 + 4 + 32;

    /// The seed of a run: `H("train seed", job ‖ dataset ‖ program ‖ first state ‖
    /// beacon)`. The beacon has to be fixed after all four: who can choose the seed
    /// can choose the order of the data and the rounding.
    pub fn seed_of(
        job: &Job,
        dataset: &DatasetRoot,
        program: &ProgramId,
        first: &StateRoot,
        beacon: &Beacon,
    ) -> TrainingSeed {
        let (job, dataset, program) = (job.as_bytes(), dataset.as_bytes(), program.as_bytes());
        let (first, beacon) = (first.as_bytes(), beacon.as_bytes());
        TrainingSeed(derive!("train seed", job, dataset, program, first, beacon))
    }

    /// The same parameters with the seed that a beacon gives.
    #[must_use]
    pub fn with_beacon(self, beacon: &Beacon) -> RunParameters {
        let RunParameters { job, dataset, program, first, .. } = &self;
        let seed = RunParameters::seed_of(job, dataset, program, first, beacon);
        RunParameters { seed, ..self }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// [`RunParametersError`].
    pub fn check(&self) -> Result<(), RunParametersError> {
        if !(1..=ITERATIONS_MAX).contains(&self.iterations) {
            return Err(RunParametersError::Iterations(self.iterations));
        }
        if !(1..=SEGMENT_MAX).contains(&self.segment) {
            return Err(RunParametersError::Segment(self.segment));
        }
        Ok(())
    }

    /// The number of segments.
    pub fn segments(&self) -> u32 {
        // Exact within the limits: at most 2^31.
        self.iterations.div_ceil(u64::from(self.segment).max(1)) as u32
    }

    /// The iterations of a segment. `None` if the run has no such segment.
    pub fn iterations_of(&self, segment: u32) -> Option<Range<u64>> {
        let start = u64::from(segment).checked_mul(self.segment.into())?;
        let end = start.saturating_add(self.segment.into()).min(self.iterations);
        (start < end).then_some(start..end)
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RunParameters::LEN);
        bytes.extend(super::TRAINING_VERSION.to_le_bytes());
        for hash in [&self.program.0, &self.job.0, &self.dataset.0, &self.seed.0] {
            bytes.extend(hash);
        }
        bytes.extend(self.run.batch.to_le_bytes());
        bytes.extend(self.run.sequence.to_le_bytes());
        bytes.extend(self.iterations.to_le_bytes());
        bytes.extend(self.first.as_bytes());
        bytes.extend(self.segment.to_le_bytes());
        bytes.extend(self.rules.as_bytes());
        bytes
    }

    /// Reads exactly [`RunParameters::LEN`] bytes of this version.
    ///
    /// # Errors
    /// [`TrainingDecodeError`]: another length or version, or a number outside its
    /// limits.
    pub fn from_bytes(bytes: &[u8]) -> Result<RunParameters, TrainingDecodeError> {
        let mut fields = Fields::after_version(bytes, RunParameters::LEN)?;
        let parameters = RunParameters {
            program: ProgramId(fields.next()),
            job: Job(fields.next()),
            dataset: DatasetRoot(fields.next()),
            seed: TrainingSeed(fields.next()),
            run: RunShape::new(fields.u32(), fields.u32()),
            iterations: fields.u64(),
            first: StateRoot(fields.next()),
            segment: fields.u32(),
            rules: RulesDigest(fields.next()),
        };
        parameters.check()?;
        Ok(parameters)
    }
}
