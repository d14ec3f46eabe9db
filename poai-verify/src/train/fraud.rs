//! Fraud proofs against segments: messages which show that an iteration lies.

use super::checker::RunChecker;
use super::error::{TrainingError, TrainingInvalid, TrainingMalformed};
use crate::trace::cursor::Cursor;
use crate::trace::{Fraud, TraceError, TraceInvalid};
use poai_core::StateRoot;
use poai_core::program::ValueId;
use poai_core::training_run::{FraudKind, IterationClaim, Segment, TrainingFraud};

/// A proven fraud: the segment's prover did not train as the job says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrainingConviction {
    /// The iteration. A link is that of the iteration after it; the number of the
    /// iteration after the last stands for the segment's last state.
    pub t: u64,
    /// What is wrong.
    pub wrong: TrainingWrong,
}

/// What a fraud proof against a segment shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainingWrong {
    /// The claim at the iteration's place has another number.
    Number {
        /// The number in the claim.
        got: u64,
    },
    /// The state before the iteration is not the one after the iteration before it.
    Link,
    /// The trace is of another program, run or number of MACs than the job.
    Header {
        /// What differs.
        what: &'static str,
    },
    /// The trace does not begin with the claim's state, the seed, the iteration's
    /// number and the dataset.
    Inputs,
    /// The claim's next state is not the trace's output.
    Outputs,
    /// A draw gives other samples than seed and number.
    Order {
        /// The step draw.
        value: ValueId,
    },
    /// The trace lies: a record, its wiring, or a tile is wrong.
    Trace(Fraud),
}

impl RunChecker {
    /// Checks a fraud proof against an admitted segment: on `Ok` it convicts its
    /// prover. No proof convicts a right segment, given a dataset and a first state
    /// that are clean (spec §19). Withheld data cannot be proven wrong;
    /// [`RunChecker::demand`] forces it open.
    ///
    /// # Errors
    /// [`TrainingError`]: the bytes prove nothing. [`TrainingInvalid::NoFraud`] if
    /// what they are about is right.
    pub fn fraud(
        &self,
        segment: &Segment,
        proof: &TrainingFraud,
    ) -> Result<TrainingConviction, TrainingError> {
        self.check_fraud_bytes(segment, proof.as_bytes().len())?;
        let mut from = Cursor::new(proof.body());
        let place = u64::from_le_bytes(from.array()?);
        let [tag] = from.array()?;
        let kind = FraudKind::of_tag(tag).ok_or(TrainingMalformed::Kind(tag))?;
        if kind == FraudKind::Link {
            return self.link_fraud(segment, place, from);
        }
        let claim = self.opened_claim(segment, place, &mut from)?;
        // Exact: the place lies in the segment.
        let (t, got) = (self.iterations_of(segment)?.start + place, claim.t);
        let convicted = |wrong| Ok(TrainingConviction { t, wrong });
        if kind == FraudKind::Number {
            from.end()?;
            return match got == t {
                true => Err(TrainingInvalid::NoFraud { t }.into()),
                false => convicted(TrainingWrong::Number { got }),
            };
        }
        // Each lie has one message: a wrong number is proven as such.
        if got != t {
            return Err(TrainingInvalid::Number { expected: t, got }.into());
        }
        if kind == FraudKind::Trace {
            return match self.checker().fraud_of(&claim.trace, from.rest()) {
                Ok(fraud) => convicted(TrainingWrong::Trace(fraud)),
                Err(TraceError::Invalid(TraceInvalid::NoFraud { .. })) => {
                    Err(TrainingInvalid::NoFraud { t }.into())
                }
                Err(why) => Err(TrainingError::of_trace(t)(why)),
            };
        }
        let wrong = self.iteration_fraud(kind, &claim, &mut from)?;
        from.end()?;
        wrong.map_or_else(|| Err(TrainingInvalid::NoFraud { t }.into()), convicted)
    }

    /// What is wrong with an iteration, by the header and what follows it.
    fn iteration_fraud(
        &self,
        kind: FraudKind,
        claim: &IterationClaim,
        from: &mut Cursor<'_>,
    ) -> Result<Option<TrainingWrong>, TrainingError> {
        let header = self.opened_header(claim, from)?;
        let checked = self.check_header(claim.t, &header);
        if kind == FraudKind::Header {
            return Ok(match checked {
                Err(TrainingInvalid::Header { what, .. }) => Some(TrainingWrong::Header { what }),
                _ => None,
            });
        }
        // A header that lies is proven as such.
        checked?;
        Ok(match kind {
            FraudKind::Inputs => {
                let states = self.opened_states(claim, from)?;
                let right = self.check_input(claim, &header, &states).is_ok();
                (!right).then_some(TrainingWrong::Inputs)
            }
            FraudKind::Outputs => {
                let outputs = self.opened_outputs(claim.t, &header, from)?;
                let right = self.check_after(claim, &outputs).is_ok();
                (!right).then_some(TrainingWrong::Outputs)
            }
            _ => {
                let value = ValueId(u32::from_le_bytes(from.array()?));
                if !self.program().draws().contains(&value) {
                    return Err(TrainingMalformed::Draw(value).into());
                }
                let of_trace = TrainingError::of_trace(claim.t);
                let head = self.head(header, claim.trace);
                let checker = self.checker();
                let bytes = checker.opened_record(&head, value, from).map_err(&of_trace)?;
                // A record that lies is a fraud of the trace.
                let record =
                    checker.record(&head, value, bytes).map_err(|why| of_trace(why.into()))?;
                let right = self.draw_root(value, claim.t) == Some(record.root);
                (!right).then_some(TrainingWrong::Order { value })
            }
        })
    }

    /// Checks the link before a place: the state after the claim before it, or the
    /// segment's first, against the state before its claim, or the segment's last.
    fn link_fraud(
        &self,
        segment: &Segment,
        place: u64,
        mut from: Cursor<'_>,
    ) -> Result<TrainingConviction, TrainingError> {
        let range = self.iterations_of(segment)?;
        let count = range.end - range.start;
        if place > count {
            return Err(TrainingMalformed::Place(place).into());
        }
        let before: StateRoot = match place.checked_sub(1) {
            None => segment.before,
            Some(last) => self.opened_claim(segment, last, &mut from)?.after,
        };
        let after = match place == count {
            true => segment.after,
            false => self.opened_claim(segment, place, &mut from)?.before,
        };
        from.end()?;
        // Exact: the place lies in the segment, or just behind it.
        let t = range.start + place;
        match before == after {
            true => Err(TrainingInvalid::NoFraud { t }.into()),
            false => Ok(TrainingConviction { t, wrong: TrainingWrong::Link }),
        }
    }
}
