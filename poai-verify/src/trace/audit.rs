//! Audits: checks that the outputs' tiles and sampled tiles of a trace are
//! right.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid};
use super::tile::Verdict;
use alloc::vec::Vec;
use poai_core::program::ValueId;
use poai_core::trace::{Audit, Receipt, Record, Sampling, TraceHeader, header, record};
use poai_core::{Beacon, ReceiptDigest, Root, RulesDigest, TraceRoot};

/// An audit that holds. Every record follows from the program and is wired to its producers, and
/// every tile that the audit opens is what its step computes. These tiles are each output's (all, or
/// [`poai_core::trace::TraceRules::output_tiles`]) and the drawn ones.
///
/// It does not show that other tiles are right; [`super::Soundness`] states how
/// likely skipped work and a wrong answer escape. It shows neither what the
/// inputs mean nor that the prover of the receipt agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Audited {
    /// The trace.
    pub trace: TraceRoot,
    /// Its header.
    pub header: TraceHeader,
    /// [`Receipt::digest`] of the receipt. The audit's tiles follow from it, so
    /// the audit is valid for this job and prover only.
    pub receipt: ReceiptDigest,
    /// The number of tiles that were recomputed.
    pub tiles: u32,
    /// The rules under which the audit was checked.
    pub rules: RulesDigest,
}

impl Checker {
    /// Checks an audit of a receipt's trace under a beacon. The beacon must
    /// have been fixed after the receipt was admitted (spec §14). Only a
    /// signature shows that the prover of the receipt agrees.
    ///
    /// # Errors
    /// [`TraceError`] names the first check that fails. A receipt that is not
    /// of this trace is [`TraceInvalid::Receipt`]. An audit of another receipt
    /// or beacon opens other tiles, so the first opening does not hold.
    pub fn audit(
        &self,
        receipt: &Receipt,
        beacon: &Beacon,
        audit: &Audit,
    ) -> Result<Audited, TraceError> {
        let audit = audit.as_bytes();
        let mut from = Cursor::new(audit);
        let head = self.head(&receipt.trace, &mut from)?;
        self.check_audit_bytes(&head, audit.len())?;
        self.check_receipt(&head, receipt)?;
        let records = self.all_records(&head, &mut from)?;
        let (program, digest) = (self.program(), receipt.digest());
        let Head { header, root, run, extents } = &head;
        let sampling = Sampling { program, extents, run, rules: self.rules() };
        let mut tiles = 0;
        for sample in sampling.tiles(root, &digest, beacon) {
            let index = sample.value.0 as usize;
            let Some(own) = records.get(index) else { return Err(TraceInvalid::Records.into()) };
            match self.tile(&head, sample, &own.inputs, &own.root, &mut from)? {
                Verdict::Right => tiles += 1,
                Verdict::Wrong(why) => return Err(why.into()),
            }
        }
        from.end()?;
        let rules = self.rules().digest();
        Ok(Audited { trace: *root, header: *header, receipt: digest, tiles, rules })
    }

    /// Reads all records and checks them against the header, the program and
    /// each other.
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
        let outputs = program.outputs().iter();
        let outputs = outputs.map(|output| Some(records.get(output.0 as usize)?.root));
        let outputs: Option<Vec<Root>> = outputs.collect();
        if !outputs.is_some_and(|outputs| head.ends_in(program, &outputs)) {
            return Err(TraceInvalid::Output.into());
        }
        Ok(records)
    }
}
