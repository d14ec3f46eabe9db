//! The checker, and what every check starts with: the header and records.

use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use alloc::vec::Vec;
use poai_core::program::{Extent, Program, RunShape, ValueId};
use poai_core::trace::{Record, TraceDecodeError, TraceHeader, TraceRules, header, record};
use poai_core::{ProgramId, Root, TraceRoot};

/// Checks messages about traces of one program under a node's rules.
///
/// The program is the node's own, as it was registered.
#[derive(Clone, Debug)]
pub struct Checker {
    program: Program,
    program_id: ProgramId,
    rules: TraceRules,
}

/// A run whose header was checked.
pub(crate) struct Head {
    pub(crate) header: TraceHeader,
    pub(crate) root: TraceRoot,
    pub(crate) run: RunShape,
    pub(crate) extents: Vec<Extent>,
}

impl Head {
    /// Whether the header's output is that of the outputs' roots.
    pub(crate) fn ends_in(&self, program: &Program, outputs: &[Root]) -> bool {
        header::output_root(program, outputs) == Some(self.header.output)
    }
}

impl Checker {
    /// A checker of a program's traces. A tile of attention opens all keys of
    /// an item, so [`TraceRules::tile_memory_max`] bounds sequences by their
    /// width. [`Checker::largest`] checks whether every run fits that the other
    /// rules permit.
    pub fn new(program: Program, rules: TraceRules) -> Checker {
        Checker { program_id: program.program_id(), program, rules }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program's id.
    pub fn program_id(&self) -> &ProgramId {
        &self.program_id
    }

    /// The rules.
    pub fn rules(&self) -> &TraceRules {
        &self.rules
    }

    /// Reads a header and checks that it is of this program and of the given
    /// trace, within the limits.
    pub(crate) fn head(
        &self,
        trace: &TraceRoot,
        from: &mut Cursor<'_>,
    ) -> Result<Head, TraceError> {
        // The version comes first. Bytes of another version are unsupported,
        // whatever follows.
        let len = TraceHeader::len_at(from.peek(TraceHeader::LEN));
        let header = TraceHeader::from_bytes(from.peek(len)).map_err(|why| match why {
            TraceDecodeError::Length { .. } => TraceMalformed::Short,
            why => TraceMalformed::Decode(why),
        })?;
        from.take(len as u64)?;
        let (expected, got) = (*trace, header.root());
        if expected != got {
            return Err(TraceInvalid::Trace { expected, got }.into());
        }
        let (expected, got) = (self.program_id, header.program);
        if expected != got {
            return Err(TraceInvalid::Program { expected, got }.into());
        }
        let run = header.run;
        let extents = self.extents(&run)?;
        Ok(Head { header, root: *trace, run, extents })
    }

    /// The extents of a run, if batch, sequence and answers are within the
    /// limits.
    pub(crate) fn extents(&self, run: &RunShape) -> Result<Vec<Extent>, TraceMalformed> {
        let RunShape { batch, sequence, answers } = *run;
        if !self.rules.permits(run) {
            let max = self.rules.sequence_max;
            return Err(match answers > max {
                true => TraceMalformed::Answers { answers, max },
                false => TraceMalformed::Limit { batch, sequence },
            });
        }
        Ok(self.program.extents(run)?)
    }

    /// Reads the bytes of a value's record.
    pub(crate) fn record_bytes<'a>(
        &self,
        value: ValueId,
        from: &mut Cursor<'a>,
    ) -> Result<&'a [u8], TraceMalformed> {
        let inputs = self.program.step_of(value).map_or(0, |step| step.inputs.len());
        from.take(Record::len(inputs) as u64)
    }

    /// Reads a record and its path, and checks that it is under the header. The
    /// record itself may still differ from what the program implies.
    pub(crate) fn opened_record<'a>(
        &self,
        head: &Head,
        value: ValueId,
        from: &mut Cursor<'a>,
    ) -> Result<&'a [u8], TraceError> {
        let bytes = self.record_bytes(value, from)?;
        let (count, index) = (self.program.values() as u64, u64::from(value.0));
        let path = from.hashes(record::path_len(count, index) as u64)?;
        let root = record::path_root(Record::leaf(bytes), count, index, path);
        if root != Some(head.header.records) {
            return Err(TraceInvalid::Records.into());
        }
        Ok(bytes)
    }

    /// Checks a record's bytes against the program.
    pub(crate) fn record(
        &self,
        head: &Head,
        value: ValueId,
        bytes: &[u8],
    ) -> Result<Record, TraceInvalid> {
        Ok(Record::from_bytes(bytes, &self.program, &head.extents, &head.run, value)?)
    }

    /// Checks the header's total against the program.
    pub(crate) fn check_macs(&self, head: &Head) -> Result<(), TraceInvalid> {
        let (expected, got) = (self.program.total_macs(&head.run), head.header.macs);
        if expected != got {
            return Err(TraceInvalid::Macs { expected, got });
        }
        Ok(())
    }
}
