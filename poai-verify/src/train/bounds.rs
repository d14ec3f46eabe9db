//! Bounds of messages about segments: with them a node refuses longer messages
//! before it hashes them.

use super::checker::RunChecker;
use super::error::TrainingMalformed;
use crate::trace::bounds::PLACE;
use poai_core::program::ValueId;
use poai_core::trace::TraceHeader;
use poai_core::training_run::{IterationClaim, Segment, chain_path_len};

/// The bytes of a message's version.
const VERSION: u64 = 4;

impl RunChecker {
    /// The most bytes that an audit of a segment has.
    ///
    /// # Errors
    /// [`TrainingMalformed::Segment`] if the run has no such segment.
    pub fn audit_bytes_max(&self, segment: &Segment) -> Result<u64, TrainingMalformed> {
        let checker = self.checker();
        let roots = 32 * (self.program().states() + self.outputs()) as u64;
        let draws = self.program().draws().len() as u64;
        let tiles = checker.rules().tiles_max(self.outputs());
        // A draw and a tile each open their records at most.
        let worst = self.trace_bytes_max();
        let opened = worst.saturating_mul(draws.saturating_add(tiles));
        let each = self
            .claim_bytes(segment)?
            .saturating_add(TraceHeader::LEN as u64 + roots)
            .saturating_add(opened);
        let samples = u64::from(self.rules().iteration_samples);
        Ok(each.saturating_mul(samples).saturating_add(VERSION))
    }

    /// The most bytes that a fraud proof against a segment has.
    ///
    /// # Errors
    /// [`TrainingMalformed::Segment`] if the run has no such segment.
    pub fn fraud_bytes_max(&self, segment: &Segment) -> Result<u64, TrainingMalformed> {
        let roots = 32 * self.program().states().max(self.outputs()) as u64;
        let own = (TraceHeader::LEN as u64 + roots).max(self.trace_bytes_max());
        let claims = self.claim_bytes(segment)?.saturating_mul(2);
        Ok(claims.saturating_add(own).saturating_add(VERSION + PLACE))
    }

    /// The most bytes that an answer about a segment has.
    ///
    /// # Errors
    /// [`TrainingMalformed::Segment`] if the run has no such segment.
    pub fn answer_bytes_max(&self, segment: &Segment) -> Result<u64, TrainingMalformed> {
        let own = self.checker().records_bytes().max(self.trace_bytes_max());
        Ok(self.claim_bytes(segment)?.saturating_add(own).saturating_add(VERSION))
    }

    /// The most bytes of a fraud proof of §14 about an iteration.
    fn trace_bytes_max(&self) -> u64 {
        self.checker().fraud_bytes(&self.parameters().run, self.extents())
    }

    /// The most bytes of a claim and its path.
    fn claim_bytes(&self, segment: &Segment) -> Result<u64, TrainingMalformed> {
        let range = self.iterations_of(segment)?;
        // The path of the first leaf is the longest.
        let depth = chain_path_len(range.end - range.start, 0) as u64;
        Ok(IterationClaim::LEN as u64 + 32 * depth)
    }

    /// Refuses an audit that is longer than the bound.
    pub(super) fn check_audit_bytes(
        &self,
        segment: &Segment,
        got: usize,
    ) -> Result<(), TrainingMalformed> {
        within(self.audit_bytes_max(segment)?, got)
    }

    /// Refuses a fraud proof that is longer than the bound.
    pub(super) fn check_fraud_bytes(
        &self,
        segment: &Segment,
        got: usize,
    ) -> Result<(), TrainingMalformed> {
        within(self.fraud_bytes_max(segment)?, got)
    }

    /// Refuses an answer that is longer than the bound.
    pub(super) fn check_answer_bytes(
        &self,
        segment: &Segment,
        got: usize,
    ) -> Result<(), TrainingMalformed> {
        within(self.answer_bytes_max(segment)?, got)
    }

    /// The most bytes of an answer about a tile.
    pub(super) fn tile_answer_bytes(
        &self,
        segment: &Segment,
        value: ValueId,
    ) -> Result<u64, TrainingMalformed> {
        let (checker, extents) = (self.checker(), self.extents());
        let tile = checker.worst(&self.parameters().run, extents, value);
        let own = checker.fraud_bytes_of(extents, value, tile.bytes);
        Ok(self.claim_bytes(segment)?.saturating_add(own).saturating_add(VERSION))
    }

    /// The bytes of an answer of all records.
    pub(super) fn records_answer_bytes(&self, segment: &Segment) -> Result<u64, TrainingMalformed> {
        let own = self.checker().records_bytes();
        Ok(self.claim_bytes(segment)?.saturating_add(own).saturating_add(VERSION))
    }
}

fn within(max: u64, got: usize) -> Result<(), TrainingMalformed> {
    if got as u64 > max { Err(TrainingMalformed::Size { max, got }) } else { Ok(()) }
}
