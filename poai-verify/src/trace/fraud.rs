//! Fraud proofs: messages which show that one record or one tile of a trace is
//! wrong.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use super::tile::{Verdict, open_rows};
use alloc::vec::Vec;
use poai_core::TraceRoot;
use poai_core::program::ValueId;
use poai_core::trace::{FraudProof, Sample, header, unclean};

/// A proven fraud: the party that published the trace root did not run the
/// program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fraud {
    /// The trace.
    pub trace: TraceRoot,
    /// The value where the trace lies.
    pub value: ValueId,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What a fraud proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The header's MACs or input are not what the program and the inputs'
    /// records imply.
    Header(TraceInvalid),
    /// A record is not what the program and its producers' records imply.
    Record(TraceInvalid),
    /// A tile is not what its step computes.
    Tile(TraceInvalid),
    /// An input of the program has entries out of range or non-zero padding. No
    /// honest run has such an input.
    Input(TraceInvalid),
}

impl Checker {
    /// Checks a fraud proof: on `Ok` the trace is fraudulent. No proof convicts
    /// a right tile. A party that has the tensors and records can prove every
    /// wrong tile. Withheld data cannot be proven wrong; [`Checker::demand`]
    /// forces it open.
    ///
    /// # Errors
    /// [`TraceError`]: the bytes prove nothing. [`TraceInvalid::NoFraud`] if
    /// what they are about is right, or clean.
    pub fn fraud(&self, trace: &TraceRoot, proof: &FraudProof) -> Result<Fraud, TraceError> {
        self.fraud_of(trace, proof.as_bytes())
    }

    /// As [`Checker::fraud`], for the bytes of a fraud proof or an answer.
    pub(super) fn fraud_of(&self, trace: &TraceRoot, proof: &[u8]) -> Result<Fraud, TraceError> {
        let mut from = Cursor::new(proof);
        let head = self.head(trace, &mut from)?;
        if from.end().is_ok() {
            // A header alone: its MACs follow from the program.
            let value = self.program().output();
            return match self.check_macs(&head) {
                Err(why) => Ok(Fraud { trace: head.root, value, wrong: Wrong::Header(why) }),
                Ok(()) => Err(TraceInvalid::NoFraud { value, tile: 0 }.into()),
            };
        }
        let value = ValueId(u32::from_le_bytes(from.array()?));
        self.check_fraud_bytes(&head, value, proof.len())?;
        let tile = u64::from_le_bytes(from.array()?);
        if (value.0 as usize) < self.program().inputs().len() {
            return match tile.checked_sub(1) {
                // Each lie has one message: the first input's carries all
                // inputs' records.
                None if value.0 > 0 => Err(TraceMalformed::Tile { value, tile }.into()),
                None => self.input_fraud(&head, value, from),
                Some(strip) => self.unclean_input(&head, value, strip, from),
            };
        }
        let step = self.program().step_of(value).ok_or(TraceMalformed::Value(value))?;
        let own = self.opened_record(&head, value, &mut from)?;
        let mut producers = Vec::new();
        for &input in &step.inputs {
            producers.push((input, self.opened_record(&head, input, &mut from)?));
        }
        let fraud = |wrong| Ok(Fraud { trace: head.root, value, wrong });
        // A record that is proven to be in the trace and is not what it has to
        // be is a fraud in itself.
        let checked = self.record(&head, value, own).and_then(|own| {
            let made = producers.iter().map(|&(input, bytes)| self.record(&head, input, bytes));
            let made = made.collect::<Result<Vec<_>, _>>()?;
            own.check_wiring(made.iter().map(|record| &record.root))?;
            if value == self.program().output() && own.root != head.header.output {
                return Err(TraceInvalid::Output);
            }
            Ok(own)
        });
        let own = match checked {
            Ok(own) => own,
            Err(why) => {
                // Each lie has one message: tile 0, and nothing after the
                // records.
                if tile != 0 {
                    return Err(TraceMalformed::Tile { value, tile }.into());
                }
                from.end()?;
                return fraud(Wrong::Record(why));
            }
        };
        let sample = Sample { value, tile };
        let verdict = self.tile(&head, sample, &own.inputs, &own.root, &mut from)?;
        from.end()?;
        match verdict {
            Verdict::Wrong(why) => fraud(Wrong::Tile(why)),
            Verdict::Right => Err(TraceInvalid::NoFraud { value, tile }.into()),
        }
    }

    /// Checks the records of all inputs against the program and the header.
    fn input_fraud(
        &self,
        head: &Head,
        value: ValueId,
        mut from: Cursor<'_>,
    ) -> Result<Fraud, TraceError> {
        let mut records = Vec::new();
        for input in (0..self.program().inputs().len() as u32).map(ValueId) {
            records.push((input, self.opened_record(head, input, &mut from)?));
        }
        from.end()?;
        let fraud = |wrong| Ok(Fraud { trace: head.root, value, wrong });
        let mut roots = Vec::new();
        for (input, bytes) in records {
            match self.record(head, input, bytes) {
                Ok(record) => roots.push(record.root),
                Err(why) => return fraud(Wrong::Record(why)),
            }
        }
        if header::input_root(&head.header.run, &roots) != head.header.input {
            return fraud(Wrong::Header(TraceInvalid::Input));
        }
        Err(TraceInvalid::NoFraud { value, tile: 0 }.into())
    }

    /// Checks a strip of an input: it is a fraud if one of its rows is unclean.
    fn unclean_input(
        &self,
        head: &Head,
        value: ValueId,
        strip: u64,
        mut from: Cursor<'_>,
    ) -> Result<Fraud, TraceError> {
        // Exact: the message carries the number above.
        let tile = strip + 1;
        let no_tile = TraceMalformed::Tile { value, tile };
        let extent = *head.extents.get(value.0 as usize).ok_or(no_tile)?;
        let rows = unclean::strip_rows(&extent, strip).ok_or(no_tile)?;
        let bytes = self.opened_record(head, value, &mut from)?;
        // If the record lies, tile 0 proves it.
        let record = self.record(head, value, bytes)?;
        let rows = open_rows(value, 0, extent, rows, &record.root, &mut from)?;
        from.end()?;
        match unclean::first_unclean(&extent, rows.first, rows.bytes) {
            Some(row) => {
                let wrong = Wrong::Input(TraceInvalid::UncleanInput { value, row });
                Ok(Fraud { trace: head.root, value, wrong })
            }
            None => Err(TraceInvalid::NoFraud { value, tile }.into()),
        }
    }
}
