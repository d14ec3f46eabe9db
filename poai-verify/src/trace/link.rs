//! Links: messages which show that a mined product is a step of a trace.

use super::checker::Checker;
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use crate::Verified;
use poai_core::program::{Op, ValueId};
use poai_core::trace::Link;
use poai_core::{ProgramId, TraceRoot};

/// A win whose operands are those of a trace's step: its activations and the
/// program's weights, including their shapes.
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
        let Op::Linear { weights, .. } = step.op else { return Err(no_step.into()) };
        let weights = self.program().constants().get(weights.0 as usize).ok_or(no_step)?;
        let bytes = self.opened_record(&head, value, &mut from)?;
        let record = self.record(&head, value, bytes)?;
        from.end()?;
        let x = step.inputs.first().and_then(|input| head.extents.get(input.0 as usize));
        let (x, a) = x.zip(record.inputs.first()).ok_or(no_step)?;
        let statement = &win.statement;
        let differs = |what, root| Err(TraceInvalid::Link { what, root }.into());
        if statement.root_a != *a {
            return differs("A", statement.root_a);
        }
        if statement.root_b != weights.root {
            return differs("Bᵀ", statement.root_b);
        }
        let shape = &statement.shape;
        if (shape.m, shape.k) != (x.padded_rows(), x.padded_columns()) {
            return differs("m or k", *a);
        }
        if shape.n != weights.extent.padded_rows() {
            return differs("n", weights.root);
        }
        Ok(Useful { program: *self.program_id(), trace: head.root, value })
    }
}
