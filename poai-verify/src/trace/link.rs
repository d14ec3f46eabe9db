//! Links: messages which show that a mined product is a step of a trace.

use super::checker::Checker;
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use crate::Verified;
use poai_core::program::{Op, TrainingOp, ValueId};
use poai_core::trace::Link;
use poai_core::{ProgramId, TraceRoot};

/// A win whose operands are those of a trace's step, including their shapes: its
/// activations and the program's weights, or both inputs of a scaled product.
///
/// It does not show that the trace is right (an audit does), nor that a
/// requester asked for it. If the step reads an input of the program, the
/// input's maker also wrote its padding rows. No audit sees these rows. A party
/// that has the input can check that they are zero. If they are not, it
/// convicts the trace ([`poai_core::trace::unclean`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Useful {
    /// The program.
    pub program: ProgramId,
    /// The trace.
    pub trace: TraceRoot,
    /// The step.
    pub value: ValueId,
}

impl Checker {
    /// Checks that a verified win multiplied the operands of a step.
    ///
    /// # Errors
    /// [`TraceError`]; [`TraceInvalid::Link`] names what differs.
    pub fn link(
        &self,
        trace: &TraceRoot,
        win: &Verified,
        link: &Link,
    ) -> Result<Useful, TraceError> {
        let link = link.as_bytes();
        self.check_link_bytes(link.len())?;
        let mut from = Cursor::new(link);
        let head = self.head(trace, &mut from)?;
        let value = ValueId(u32::from_le_bytes(from.array()?));
        let no_step = TraceMalformed::Value(value);
        let step = self.program().step_of(value).ok_or(no_step)?;
        let weights = match step.op {
            Op::Linear { weights, .. } => Some(weights),
            Op::Training(TrainingOp::ScaledProduct { .. }) => None,
            _ => return Err(no_step.into()),
        };
        let bytes = self.opened_record(&head, value, &mut from)?;
        let record = self.record(&head, value, bytes)?;
        from.end()?;
        let input = |slot: usize| {
            let extent = head.extents.get(step.inputs.get(slot)?.0 as usize)?;
            Some((*extent, *record.inputs.get(slot)?))
        };
        let (x, a) = input(0).ok_or(no_step)?;
        let (y, b) = match weights {
            Some(weights) => {
                let held = self.program().constants().get(weights.0 as usize).ok_or(no_step)?;
                (held.extent, held.root)
            }
            None => input(1).ok_or(no_step)?,
        };
        let statement = &win.statement;
        let differs = |what, root| Err(TraceInvalid::Link { what, root }.into());
        if statement.root_a != a {
            return differs("A", statement.root_a);
        }
        if statement.root_b != b {
            return differs("Bᵀ", statement.root_b);
        }
        let shape = &statement.shape;
        if (shape.m, shape.k) != (x.padded_rows(), x.padded_columns()) {
            return differs("m or k", a);
        }
        if shape.n != y.padded_rows() {
            return differs("n", b);
        }
        Ok(Useful { program: *self.program_id(), trace: head.root, value })
    }
}
