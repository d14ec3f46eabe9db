//! Forced opening: a prover opens what is demanded of an iteration, or its segment
//! fails (spec §19).

use super::checker::RunChecker;
use super::error::{TrainingError, TrainingInvalid, TrainingMalformed};
use super::fraud::{TrainingConviction, TrainingWrong};
use crate::trace::cursor::Cursor;
use crate::trace::{Answered, TraceInvalid, TraceMalformed};
use alloc::vec::Vec;
use poai_core::program::ValueId;
use poai_core::trace::{Record, record};
use poai_core::training_run::{Demanded, Segment, TrainingAnswer, TrainingDemand};

/// The result of an answer to a demand about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an answer may convict the prover"]
#[non_exhaustive]
pub enum TrainingAnswered {
    /// The records are the header's. They may still lie, which a fraud proof shows.
    Records,
    /// The tile is right, given what its step read.
    Right,
    /// The answer convicts the segment's prover.
    Convicted(TrainingConviction),
}

impl RunChecker {
    /// Checks that a demand is about a segment and what an iteration of it has.
    /// Returns the most bytes that the answer can have.
    ///
    /// # Errors
    /// [`TrainingError`]: another segment, or a place, value or tile that does not
    /// exist.
    pub fn demand(&self, segment: &Segment, demand: &TrainingDemand) -> Result<u64, TrainingError> {
        self.demanded(segment, demand)?;
        Ok(match demand.what {
            Demanded::Records => self.records_answer_bytes(segment)?,
            Demanded::Tile { value, .. } => self.tile_answer_bytes(segment, value)?,
        })
    }

    /// Checks an answer to a demand.
    ///
    /// # Errors
    /// [`TrainingError`]: the bytes do not answer this demand, which stays open
    /// until its deadline. Then the segment fails.
    pub fn answer(
        &self,
        segment: &Segment,
        demand: &TrainingDemand,
        answer: &TrainingAnswer,
    ) -> Result<TrainingAnswered, TrainingError> {
        self.demanded(segment, demand)?;
        self.check_answer_bytes(segment, answer.as_bytes().len())?;
        let mut from = Cursor::new(answer.body());
        let claim = self.opened_claim(segment, demand.place, &mut from)?;
        // Exact: the place lies in the segment.
        let (t, got) = (self.iterations_of(segment)?.start + demand.place, claim.t);
        let convicted = |wrong| Ok(TrainingAnswered::Convicted(TrainingConviction { t, wrong }));
        if got != t {
            return convicted(TrainingWrong::Number { got });
        }
        if let Demanded::Tile { value, tile } = demand.what {
            let answered = self.checker().answer_of(&claim.trace, value, tile, from.rest());
            return match answered.map_err(TrainingError::of_trace(t))? {
                Answered::Right => Ok(TrainingAnswered::Right),
                Answered::Fraud(fraud) => convicted(TrainingWrong::Trace(fraud)),
            };
        }
        let header = self.opened_header(&claim, &mut from)?;
        if let Err(TrainingInvalid::Header { what, .. }) = self.check_header(t, &header) {
            return convicted(TrainingWrong::Header { what });
        }
        let checker = self.checker();
        let mut leaves = Vec::new();
        // Exact: at most 2^16 + 4096 values.
        for value in (0..checker.program().values() as u32).map(ValueId) {
            leaves.push(Record::leaf(checker.record_bytes(value, &mut from)?));
        }
        from.end()?;
        if record::records_root(&leaves) != header.records {
            let source = TraceInvalid::Records;
            return Err(TrainingInvalid::Trace { t, source }.into());
        }
        Ok(TrainingAnswered::Records)
    }

    /// Checks that a demand is about this segment and what it has.
    fn demanded(&self, segment: &Segment, demand: &TrainingDemand) -> Result<(), TrainingError> {
        let (expected, got) = (segment.root(self.parameters()), demand.segment);
        if expected != got {
            return Err(TrainingInvalid::Demand { expected, got }.into());
        }
        let range = self.iterations_of(segment)?;
        if demand.place >= range.end - range.start {
            return Err(TrainingMalformed::Place(demand.place).into());
        }
        if let Demanded::Tile { value, tile } = demand.what
            && !self.checker().has_tile(&self.parameters().run, self.extents(), value, tile)
        {
            return Err(TraceMalformed::Tile { value, tile }.into());
        }
        Ok(())
    }
}
