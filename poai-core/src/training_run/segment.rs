//! Segments of a run, and the whole run.

use super::error::{Fields, TrainingDecodeError};
use super::parameters::RunParameters;
use crate::digest::{ChainRoot, RunRoot, SegmentRoot, StateRoot, derive};
use alloc::vec::Vec;

/// A part of a training run, which a prover posts before the beacon of its audit is
/// known (spec §19). Its canonical bytes are `u32 version ‖ previous ‖ u32 index ‖
/// before ‖ chain ‖ after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Segment {
    /// The segment before; zeros for the first.
    pub previous: SegmentRoot,
    /// The segment's number, from 0.
    pub index: u32,
    /// The state before its first iteration.
    pub before: StateRoot,
    /// The tree over its iterations' claims.
    pub chain: ChainRoot,
    /// The state after its last iteration.
    pub after: StateRoot,
}

impl Segment {
    /// The length of a segment's bytes.
    pub const LEN: usize = 4 + 32 + 4 + 3 * 32;

    /// The fields' bytes, which follow the version or the run's parameters.
    fn fields(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Segment::LEN);
        bytes.extend(self.previous.as_bytes());
        bytes.extend(self.index.to_le_bytes());
        for hash in [&self.before.0, &self.chain.0, &self.after.0] {
            bytes.extend(hash);
        }
        bytes
    }

    /// The segment's identifier: `H("train segment", parameters ‖ previous ‖ u32
    /// index ‖ before ‖ chain ‖ after)`.
    pub fn root(&self, parameters: &RunParameters) -> SegmentRoot {
        SegmentRoot(derive!("train segment", &parameters.to_bytes(), &self.fields()))
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&super::TRAINING_VERSION.to_le_bytes()[..], &self.fields()].concat()
    }

    /// Reads exactly [`Segment::LEN`] bytes of this version. Every such string is a
    /// segment.
    ///
    /// # Errors
    /// [`TrainingDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Segment, TrainingDecodeError> {
        let mut fields = Fields::after_version(bytes, Segment::LEN)?;
        Ok(Segment {
            previous: SegmentRoot(fields.next()),
            index: fields.u32(),
            before: StateRoot(fields.next()),
            chain: ChainRoot(fields.next()),
            after: StateRoot(fields.next()),
        })
    }
}

/// What a whole training run came to (spec §19). Its canonical bytes are `u32
/// version ‖ last ‖ chain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrainedRun {
    /// The state after the last iteration.
    pub last: StateRoot,
    /// The tree over all iterations' claims.
    pub chain: ChainRoot,
}

impl TrainedRun {
    /// The length of its bytes.
    pub const LEN: usize = 4 + 2 * 32;

    /// The run's identifier: `H("train run", program ‖ job ‖ dataset ‖ seed ‖ u32
    /// batch ‖ u32 sequence ‖ u64 iterations ‖ first state ‖ last ‖ chain)`.
    pub fn root(&self, parameters: &RunParameters) -> RunRoot {
        let RunParameters { program, job, dataset, seed, run, iterations, first, .. } = parameters;
        RunRoot(derive!(
            "train run",
            program.as_bytes(),
            job.as_bytes(),
            dataset.as_bytes(),
            seed.as_bytes(),
            &run.batch.to_le_bytes(),
            &run.sequence.to_le_bytes(),
            &iterations.to_le_bytes(),
            first.as_bytes(),
            self.last.as_bytes(),
            self.chain.as_bytes(),
        ))
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let version = super::TRAINING_VERSION.to_le_bytes();
        [&version[..], self.last.as_bytes(), self.chain.as_bytes()].concat()
    }

    /// Reads exactly [`TrainedRun::LEN`] bytes of this version. Every such string
    /// is a run's result.
    ///
    /// # Errors
    /// [`TrainingDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<TrainedRun, TrainingDecodeError> {
        let mut fields = Fields::after_version(bytes, TrainedRun::LEN)?;
        Ok(TrainedRun { last: StateRoot(fields.next()), chain: ChainRoot(fields.next()) })
    }
}
