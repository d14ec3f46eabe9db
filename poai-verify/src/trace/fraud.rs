//! Fraud proofs: one record or one tile of a trace is wrong.

use super::checker::Checker;
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use super::tile::Verdict;
use alloc::vec::Vec;
use poai_core::TraceRoot;
use poai_core::program::ValueId;
use poai_core::trace::Sample;

/// A fraud that was proven: whoever published the trace root did not run the
/// program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fraud {
    /// The trace.
    pub trace: TraceRoot,
    /// Where.
    pub value: ValueId,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What a fraud proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A record is not what the program and its producers' records imply.
    Record(TraceInvalid),
    /// A tile is not what its step computes.
    Tile(TraceInvalid),
}

impl Checker {
    /// Checks a fraud proof: on `Ok` the trace is fraudulent. A tile that is
    /// right can not be proven fraudulent, and one that is wrong always can by
    /// whoever has the tensors.
    ///
    /// # Errors
    /// [`TraceError`]: the bytes prove nothing;
    /// [`TraceInvalid::NoFraud`] where what they are about is right.
    pub fn fraud(&self, trace: &TraceRoot, proof: &[u8]) -> Result<Fraud, TraceError> {
        let mut from = Cursor::new(proof);
        let head = self.head(trace, &mut from)?;
        let value = ValueId(u32::from_le_bytes(from.array()?));
        let tile = u64::from_le_bytes(from.array()?);
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
            Err(why) => return fraud(Wrong::Record(why)),
        };
        let sample = Sample { value, tile };
        let verdict = self.tile(&head, sample, &own.inputs, &own.root, &mut from)?;
        from.end()?;
        match verdict {
            Verdict::Wrong(why) => fraud(Wrong::Tile(why)),
            Verdict::Right => Err(TraceInvalid::NoFraud { value, tile }.into()),
        }
    }
}
