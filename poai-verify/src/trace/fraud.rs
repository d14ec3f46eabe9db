//! Fraud proofs: messages which show that one record or one tile of a trace is
//! wrong.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use super::tile::{Verdict, open_rows};
use alloc::vec::Vec;
use poai_core::program::ValueId;
use poai_core::trace::{Demand, FraudProof, Sample, header, unclean};
use poai_core::{Root, TraceRoot};

/// A proven fraud: the party that published the trace root did not run the
/// program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fraud {
    /// The trace.
    pub trace: TraceRoot,
    /// The value where the trace lies. [`poai_core::trace::Demand::of_outputs`]
    /// stands for the header's listed outputs.
    pub value: ValueId,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What a fraud proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The header's MACs, input or listed outputs are not what the program and
    /// the records of inputs and outputs imply.
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
    pub(crate) fn fraud_of(&self, trace: &TraceRoot, proof: &[u8]) -> Result<Fraud, TraceError> {
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
        let tile = u64::from_le_bytes(from.array()?);
        let is_input = (value.0 as usize) < self.program().inputs().len();
        let is_outputs = Demand::of_outputs(self.program()) == Some(value);
        // Each lie has one message: the first input's carries all inputs' records.
        if (is_input && value.0 > 0 && tile == 0) || (is_outputs && tile > 0) {
            return Err(TraceMalformed::Tile { value, tile }.into());
        }
        self.check_fraud_bytes(&head, value, proof.len())?;
        if is_outputs {
            return self.output_fraud(&head, value, from);
        }
        if is_input {
            return match tile.checked_sub(1) {
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
            // Listed outputs have a message of their own.
            let alone = !self.program().has_list() && value == self.program().output();
            if alone && !head.ends_in(self.program(), &[own.root]) {
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
        let inputs = (0..self.program().inputs().len() as u32).map(ValueId);
        let fraud = |wrong| Ok(Fraud { trace: head.root, value, wrong });
        match self.opened_roots(head, inputs, &mut from)? {
            Err((_, why)) => fraud(Wrong::Record(why)),
            Ok(roots) if header::input_root(&head.header.run, &roots) != head.header.input => {
                fraud(Wrong::Header(TraceInvalid::Input))
            }
            Ok(_) => Err(TraceInvalid::NoFraud { value, tile: 0 }.into()),
        }
    }

    /// Checks the records of all listed outputs against the program and the
    /// header.
    fn output_fraud(
        &self,
        head: &Head,
        value: ValueId,
        mut from: Cursor<'_>,
    ) -> Result<Fraud, TraceError> {
        let outputs = self.program().outputs().iter().copied();
        let fraud = |value, wrong| Ok(Fraud { trace: head.root, value, wrong });
        match self.opened_roots(head, outputs, &mut from)? {
            Err((output, why)) => fraud(output, Wrong::Record(why)),
            Ok(roots) if !head.ends_in(self.program(), &roots) => {
                fraud(value, Wrong::Header(TraceInvalid::Output))
            }
            Ok(_) => Err(TraceInvalid::NoFraud { value, tile: 0 }.into()),
        }
    }

    /// Reads the records of some values, with which a message ends. Returns their
    /// roots, or the first record that is not as the program implies.
    fn opened_roots(
        &self,
        head: &Head,
        values: impl Iterator<Item = ValueId>,
        from: &mut Cursor<'_>,
    ) -> Result<Result<Vec<Root>, (ValueId, TraceInvalid)>, TraceError> {
        let mut records = Vec::new();
        for value in values {
            records.push((value, self.opened_record(head, value, from)?));
        }
        from.end()?;
        let roots = records.into_iter().map(|(value, bytes)| {
            let record = self.record(head, value, bytes).map_err(|why| (value, why))?;
            Ok(record.root)
        });
        Ok(roots.collect())
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
