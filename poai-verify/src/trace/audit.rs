//! Audits: sampled tiles of a trace hold.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid};
use super::tile::Verdict;
use alloc::vec::Vec;
use poai_core::program::ValueId;
use poai_core::trace::{Record, TraceHeader, header, record, sample};
use poai_core::{Root, RulesDigest, TraceRoot};

/// An audit that holds: every record follows from the program and is wired to
/// its producers, and every sampled tile is what its step computes.
///
/// It does not say that tiles which were not sampled are right;
/// [`super::soundness()`] says how likely a fault escapes. It binds no
/// requester, no prover, and nothing of what the inputs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Audited {
    /// The trace.
    pub trace: TraceRoot,
    /// Its head.
    pub header: TraceHeader,
    /// How many tiles were recomputed.
    pub samples: u32,
    /// The rules it was checked under.
    pub rules: RulesDigest,
}

impl Checker {
    /// Checks an audit of a trace under a beacon. The beacon must have been
    /// fixed after the trace root was published.
    ///
    /// # Errors
    /// [`TraceError`] names the first thing that does not hold.
    pub fn audit(
        &self,
        trace: &TraceRoot,
        beacon: &[u8; 32],
        audit: &[u8],
    ) -> Result<Audited, TraceError> {
        let mut from = Cursor::new(audit);
        let head = self.head(trace, &mut from)?;
        self.check_audit_bytes(&head, audit.len())?;
        self.check_macs(&head)?;
        let records = self.all_records(&head, &mut from)?;
        let samples = self.rules().samples;
        let program = self.program();
        let drawn = sample::samples(program, &head.extents, &head.run, &head.root, beacon, samples);
        for sample in drawn {
            let index = sample.value.0 as usize;
            let Some(own) = records.get(index) else { return Err(TraceInvalid::Records.into()) };
            match self.tile(&head, sample, &own.inputs, &own.root, &mut from)? {
                Verdict::Right => {}
                Verdict::Wrong(why) => return Err(why.into()),
            }
        }
        from.end()?;
        let (header, rules) = (head.header, self.rules().digest());
        Ok(Audited { trace: head.root, header, samples, rules })
    }

    /// All records: under the header, as the program implies, wired.
    fn all_records(&self, head: &Head, from: &mut Cursor<'_>) -> Result<Vec<Record>, TraceError> {
        let program = self.program();
        let (mut leaves, mut records) = (Vec::new(), Vec::<Record>::new());
        for value in (0..program.values() as u32).map(ValueId) {
            let bytes = self.record_bytes(value, from)?;
            leaves.push(Record::leaf(bytes));
            let record = self.record(head, value, bytes)?;
            let inputs = program.step_of(value).map_or(&[][..], |step| &step.inputs);
            let producers = inputs
                .iter()
                .filter_map(|input| records.get(input.0 as usize))
                .map(|made| &made.root);
            record.check_wiring(producers).map_err(TraceInvalid::Record)?;
            records.push(record);
        }
        if record::records_root(&leaves) != head.header.records {
            return Err(TraceInvalid::Records.into());
        }
        let inputs: Vec<Root> =
            records.iter().take(program.inputs().len()).map(|record| record.root).collect();
        if header::input_root(&head.header.run, &inputs) != head.header.input {
            return Err(TraceInvalid::Input.into());
        }
        if records.last().map(|record| record.root) != Some(head.header.output) {
            return Err(TraceInvalid::Output.into());
        }
        Ok(records)
    }
}
