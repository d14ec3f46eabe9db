//! Bounds of messages and tiles: how long messages can be, and how much memory
//! a tile can take. With them a node refuses longer messages before it reads or
//! hashes them.
//!
//! All bounds are arithmetic on the program and the run's shape. They are never
//! below an honest message; a test checks how far above they are.

use super::checker::{Checker, Head};
use super::error::TraceMalformed;
use super::reach::{TileBound, strip_bytes, worst};
use alloc::vec::Vec;
use poai_core::Params;
use poai_core::program::ops::Local;
use poai_core::program::{Extent, Op, RunShape, TrainingOp, ValueId};
use poai_core::trace::{Demand, Record, TraceHeader, record};

/// The bytes of the numbers of a value and of a tile.
pub(crate) const PLACE: u64 = 4 + 8;

impl Checker {
    /// The most bytes that an audit of a run of this shape has. The shape is in
    /// a message's first [`TraceHeader::len_at`] bytes.
    ///
    /// # Errors
    /// [`TraceMalformed`] if the rules do not permit the run.
    pub fn audit_bytes_max(&self, run: &RunShape) -> Result<u64, TraceMalformed> {
        let extents = self.permitted(run)?;
        Ok(self.audit_bytes(run, &extents))
    }

    /// The most bytes that a fraud proof about a run of this shape has.
    ///
    /// # Errors
    /// [`TraceMalformed`] if the rules do not permit the run.
    pub fn fraud_bytes_max(&self, run: &RunShape) -> Result<u64, TraceMalformed> {
        let extents = self.permitted(run)?;
        Ok(self.fraud_bytes(run, &extents))
    }

    /// The most bytes that a link has, for every run.
    pub fn link_bytes_max(&self) -> u64 {
        let program = self.program();
        let mined = |value: &ValueId| {
            let step = program.step_of(*value);
            step.is_some_and(|step| {
                matches!(
                    step.op,
                    Op::Linear { .. } | Op::Training(TrainingOp::ScaledProduct { .. })
                )
            })
        };
        let records = self.values().filter(mined).map(|value| self.opened_record_bytes(value));
        self.header_bytes() + 4 + records.max().unwrap_or(0)
    }

    /// Bounds of a value's worst tile in a run of this shape. `None` for an
    /// input or a value that the program does not have. It also answers for
    /// runs whose tiles take more memory than the rules permit.
    ///
    /// # Errors
    /// [`TraceMalformed`] if the rules do not permit batch or sequence.
    pub fn tile_bound(
        &self,
        run: &RunShape,
        value: ValueId,
    ) -> Result<Option<TileBound>, TraceMalformed> {
        let extents = self.extents(run)?;
        let local = Local::new(self.program(), &extents, *run, value);
        Ok(local.as_ref().map(worst))
    }

    /// Refuses an audit that is longer than the bound, before it hashes
    /// anything.
    pub(super) fn check_audit_bytes(&self, head: &Head, got: usize) -> Result<(), TraceMalformed> {
        // The cheaper check comes first: long programs have long audits.
        if (got as u64) < self.records_bytes() {
            return Err(TraceMalformed::Short);
        }
        self.check_memory(&head.run, &head.extents)?;
        within(self.audit_bytes(&head.run, &head.extents), got)
    }

    /// Refuses a fraud proof that is longer than the bound for its value.
    pub(super) fn check_fraud_bytes(
        &self,
        head: &Head,
        value: ValueId,
        got: usize,
    ) -> Result<(), TraceMalformed> {
        self.check_tile_memory(&head.run, &head.extents, value)?;
        within(self.answer_bytes(head, value), got)
    }

    /// The most bytes of a fraud proof about a value, and so of an answer to a
    /// demand for one of its tiles.
    pub(super) fn answer_bytes(&self, head: &Head, value: ValueId) -> u64 {
        let tile = self.worst(&head.run, &head.extents, value);
        self.fraud_bytes_of(&head.extents, value, tile.bytes)
    }

    /// Refuses a link that is longer than the bound.
    pub(super) fn check_link_bytes(&self, got: usize) -> Result<(), TraceMalformed> {
        within(self.link_bytes_max(), got)
    }

    fn permitted(&self, run: &RunShape) -> Result<Vec<Extent>, TraceMalformed> {
        let extents = self.extents(run)?;
        self.check_memory(run, &extents)?;
        Ok(extents)
    }

    pub(crate) fn check_memory(
        &self,
        run: &RunShape,
        extents: &[Extent],
    ) -> Result<(), TraceMalformed> {
        self.values().try_for_each(|value| self.check_tile_memory(run, extents, value))
    }

    fn check_tile_memory(
        &self,
        run: &RunShape,
        extents: &[Extent],
        value: ValueId,
    ) -> Result<(), TraceMalformed> {
        self.permitted_tile(run, extents, value).map(drop)
    }

    /// A value's worst tile, if the rules permit its memory.
    pub(super) fn permitted_tile(
        &self,
        run: &RunShape,
        extents: &[Extent],
        value: ValueId,
    ) -> Result<TileBound, TraceMalformed> {
        let tile = self.worst(run, extents, value);
        let (bytes, max) = (tile.memory, self.rules().tile_memory_max);
        if bytes > max { Err(TraceMalformed::Memory { value, bytes, max }) } else { Ok(tile) }
    }

    /// The bytes of the header of every run of the program.
    fn header_bytes(&self) -> u64 {
        // Every run has answers, or none has.
        let answers = u32::from(self.program().has_answers());
        TraceHeader::len_in(&RunShape::new(1, 1).answers(answers)) as u64
    }

    /// The bytes of the header and all records.
    pub(crate) fn records_bytes(&self) -> u64 {
        let records = self.values().map(|value| self.record_len(value));
        records.fold(self.header_bytes(), u64::saturating_add)
    }

    fn audit_bytes(&self, run: &RunShape, extents: &[Extent]) -> u64 {
        let tiles = self.values().map(|value| self.worst(run, extents, value).bytes);
        self.audit_bytes_of(tiles.max().unwrap_or(0))
    }

    /// The bytes of an audit whose tiles open `tile` bytes each.
    pub(super) fn audit_bytes_of(&self, tile: u64) -> u64 {
        let tiles = self.rules().tiles_max(self.program().outputs().len());
        self.records_bytes().saturating_add(tile.saturating_mul(tiles))
    }

    pub(crate) fn fraud_bytes(&self, run: &RunShape, extents: &[Extent]) -> u64 {
        let of_value =
            |value| self.fraud_bytes_of(extents, value, self.worst(run, extents, value).bytes);
        let outputs = Demand::of_outputs(self.program());
        self.values().chain(outputs).map(of_value).max().unwrap_or(0)
    }

    /// The bytes of a fraud proof about a value. For an input, its own record
    /// and a strip follow the value and the tile; for the first input also all
    /// inputs' records, and after the last value all outputs' records. For a
    /// step, its record, its inputs' records and a tile follow; the tile opens
    /// `tile` bytes.
    pub(crate) fn fraud_bytes_of(&self, extents: &[Extent], value: ValueId, tile: u64) -> u64 {
        let opened = |value: ValueId| self.opened_record_bytes(value);
        let program = self.program();
        let most = match program.step_of(value) {
            None if Demand::of_outputs(program) == Some(value) => {
                program.outputs().iter().copied().map(opened).fold(0, u64::saturating_add)
            }
            None => {
                let rows = Params::CONSENSUS.tile() as u32;
                let extent = extents.get(value.0 as usize);
                let strip = extent.map_or(0, |extent| strip_bytes(extent, rows, rows));
                let own = opened(value).saturating_add(strip);
                // A program may have thousands of inputs, so only the first one's
                // bound adds their records up.
                let all = if value.0 == 0 { program.inputs().len() } else { 0 };
                let all = self.values().take(all).map(opened).fold(0, u64::saturating_add);
                all.max(own)
            }
            Some(step) => {
                let records = step.inputs.iter().chain([&value]).map(|&value| opened(value));
                records.fold(tile, u64::saturating_add)
            }
        };
        most.saturating_add(self.header_bytes() + PLACE)
    }

    /// A value's worst tile; `None` for an input.
    pub(crate) fn worst(&self, run: &RunShape, extents: &[Extent], value: ValueId) -> TileBound {
        let local = Local::new(self.program(), extents, *run, value);
        local.as_ref().map_or_else(TileBound::default, worst)
    }

    fn values(&self) -> impl Iterator<Item = ValueId> + Clone + use<> {
        // Exact: at most 2^16 + 4096 values.
        (0..self.program().values() as u32).map(ValueId)
    }

    fn record_len(&self, value: ValueId) -> u64 {
        Record::len(self.program().step_of(value).map_or(0, |step| step.inputs.len())) as u64
    }

    /// The bytes of a record and its path.
    pub(crate) fn opened_record_bytes(&self, value: ValueId) -> u64 {
        let count = self.program().values() as u64;
        self.record_len(value) + 32 * record::path_len(count, value.0.into()) as u64
    }
}

fn within(max: u64, got: usize) -> Result<(), TraceMalformed> {
    if got as u64 > max { Err(TraceMalformed::Size { max, got }) } else { Ok(()) }
}
