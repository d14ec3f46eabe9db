//! Programs: networks as steps of exact integer arithmetic (spec §11 and §12).
//!
//! A [`Program`] holds structure and numbers. It names its constants (weights,
//! tables) by (root, extent); their bytes are stored elsewhere. A [`Builder`]
//! makes a program and checks every shape. [`Program::from_bytes`] reads canonical
//! bytes with the same checks.
//!
//! - [`tensor`]: forms, extents, and the layout in which tensors are committed.
//! - [`op`]: the kinds of steps.
//! - [`decoder`], [`training`]: the kinds of two families of steps.
//! - [`ops`]: the computation of each kind.
//! - [`encoding`]: canonical bytes, `architecture_id` and `program_id`.
//! - [`standard`]: numbers that depend only on the architecture.

mod builder;
mod check;
pub mod decoder;
pub mod encoding;
mod error;
pub mod op;
pub mod ops;
pub mod standard;
pub mod tensor;
pub mod training;

pub use builder::Builder;
pub use check::SHIFT_MAX;
pub use decoder::{CausalityError, DecoderOp, Uncausal};
pub use encoding::ProgramDecodeError;
pub use error::{ProgramError, RunShapeError};
pub use op::{Clamp, ConstantId, GroupWindow, Op, ValueId, Window};
pub use tensor::{BatchAxis, Dim, Dtype, Extent, Form, Per, RunShape};
pub use training::TrainingOp;

use crate::digest::Root;
use alloc::string::String;
use alloc::vec::Vec;

/// A constant of a program: its commitment and its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Constant {
    /// A name, such as the layer's. No identifier binds it.
    pub name: String,
    /// The plain BLAKE3 hash of the padded bytes.
    pub root: Root,
    /// The true extent.
    pub extent: Extent,
}

/// A step of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Step {
    /// A name, such as the layer's. No identifier binds it.
    pub name: String,
    /// The kind of the step, with its numbers.
    pub op: Op,
    /// The values that the step reads.
    pub inputs: Vec<ValueId>,
    /// The form of the output.
    pub form: Form,
}

/// A network as steps of exact integer arithmetic.
///
/// The last step's value is the output, unless the program lists its outputs.
/// Every program has passed the builder's checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Program {
    inputs: Vec<Form>,
    constants: Vec<Constant>,
    steps: Vec<Step>,
    outputs: Vec<ValueId>,
    states: u32,
}

impl Program {
    /// The forms of the inputs.
    pub fn inputs(&self) -> &[Form] {
        &self.inputs
    }

    /// The constants.
    pub fn constants(&self) -> &[Constant] {
        &self.constants
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of values, which are the inputs and the outputs of the steps.
    pub fn values(&self) -> usize {
        self.inputs.len() + self.steps.len()
    }

    /// The outputs: the last step's value, or the listed values.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The number of states, which are the first inputs.
    ///
    /// Output i continues state i.
    pub fn states(&self) -> usize {
        self.states as usize
    }

    /// Whether the program lists its outputs, rather than have the last value
    /// as its only one.
    pub fn has_list(&self) -> bool {
        self.states > 0
            || self.outputs != [self.output()]
            || self.inputs.len() > builder::INPUTS_MAX
    }

    /// The last step's value, which is the output of a program without a list
    /// of outputs.
    pub fn output(&self) -> ValueId {
        // Exact: at most 2^16 + 4096 values, and at least one.
        ValueId(self.values() as u32 - 1)
    }

    /// The form of a value, or `None` if it does not exist.
    pub fn form(&self, value: ValueId) -> Option<&Form> {
        let index = value.0 as usize;
        match self.inputs.get(index) {
            Some(form) => Some(form),
            None => self.steps.get(index - self.inputs.len()).map(|step| &step.form),
        }
    }

    /// The step that computes a value, or `None` for an input.
    pub fn step_of(&self, value: ValueId) -> Option<&Step> {
        self.steps.get((value.0 as usize).checked_sub(self.inputs.len())?)
    }

    /// Whether a value's form grows with the sequence.
    ///
    /// If no form does, every run has a sequence of 1.
    pub fn has_tokens(&self) -> bool {
        self.grows(Per::Token)
    }

    /// Whether a value's form grows with the answers.
    ///
    /// If no form does, no run has answers. Otherwise every run has some.
    pub fn has_answers(&self) -> bool {
        self.grows(Per::Answer)
    }

    fn grows(&self, per: Per) -> bool {
        let mut forms = self.inputs.iter().chain(self.steps.iter().map(|step| &step.form));
        forms.any(|form| form.rows.per == per || form.columns.per == per)
    }

    /// The extents of all values in a run.
    ///
    /// # Errors
    /// [`RunShapeError`] if the run is empty, a tensor is too large, the MACs are
    /// 2^64 or more, or the sequence is longer than a table of positions. It is
    /// also an error if no form is per token and the sequence is not 1, or if the
    /// run has answers exactly when no form is per answer.
    pub fn extents(&self, run: &RunShape) -> Result<Vec<Extent>, RunShapeError> {
        let RunShape { batch, sequence, .. } = *run;
        if batch == 0 || sequence == 0 {
            return Err(RunShapeError::Empty { batch, sequence });
        }
        if sequence != 1 && !self.has_tokens() {
            return Err(RunShapeError::Tokens { sequence });
        }
        if (run.answers > 0) != self.has_answers() {
            let expected = if run.answers > 0 { "no" } else { "1 or more" };
            return Err(RunShapeError::Answers { expected, answers: run.answers });
        }
        // Sums of MACs are weights: one that saturates would hide steps.
        let macs = (0..self.values() as u32).map(|value| self.exact_macs(ValueId(value), run));
        if macs.fold(0, u128::saturating_add) > u64::MAX.into() {
            return Err(RunShapeError::Macs { batch, sequence });
        }
        let forms = self.inputs.iter().chain(self.steps.iter().map(|step| &step.form));
        let extents: Vec<Extent> = forms
            .enumerate()
            .map(|(index, form)| {
                let value = ValueId(index as u32);
                let too_large = RunShapeError::TooLarge { value, batch, sequence };
                Extent::of(form, run).ok_or(too_large)
            })
            .collect::<Result<_, _>>()?;
        for (index, step) in self.steps.iter().enumerate() {
            let value = ValueId((self.inputs.len() + index) as u32);
            let (table, rows) = match step.op {
                Op::AddRows { table } => (table, step.form.rows.of(run)),
                Op::Decoder(DecoderOp::Rotary { turns, .. }) => (turns, Some(sequence)),
                _ => continue,
            };
            if let Some(table) = self.constants.get(table.0 as usize)
                && rows.is_none_or(|rows| rows > table.extent.rows)
            {
                let length = table.extent.rows;
                return Err(RunShapeError::TooLong { value, sequence, length });
            }
        }
        Ok(extents)
    }

    /// The multiply-accumulates of a value's step.
    ///
    /// Only true entries of products count, not padding. Other steps count as
    /// 0.
    pub fn macs(&self, value: ValueId, run: &RunShape) -> u64 {
        u64::try_from(self.exact_macs(value, run)).unwrap_or(u64::MAX)
    }

    fn exact_macs(&self, value: ValueId, run: &RunShape) -> u128 {
        let Some(step) = self.step_of(value) else { return 0 };
        let (batch, sequence) = (u128::from(run.batch), u128::from(run.sequence));
        let units = |dim: Dim| {
            let times = match dim.per {
                Per::Item => 1,
                Per::Token => sequence,
                Per::Answer => u128::from(run.answers),
            };
            u128::from(dim.units) * times
        };
        let input = |slot: usize| step.inputs.get(slot).and_then(|&value| self.form(value));
        let product = |factors: [u128; 4]| factors.into_iter().fold(1, u128::saturating_mul);
        match step.op {
            Op::Linear { .. } => {
                let k = input(0).map_or(0, |form| units(form.columns));
                product([batch, units(step.form.rows), units(step.form.columns), k])
            }
            Op::GroupLinear { groups, .. } => {
                let k = input(0).map_or(0, |form| units(form.columns)) / u128::from(groups.max(1));
                product([batch, units(step.form.rows), units(step.form.columns), k])
            }
            Op::Product { .. } => {
                let k = input(0).map_or(0, |form| units(form.columns));
                product([batch, units(step.form.rows), units(step.form.columns), k])
            }
            Op::AttentionWeights { .. } | Op::RelativeAttentionWeights { .. } => {
                let columns = input(0).map_or(0, |form| units(form.columns));
                product([batch, sequence, sequence, columns])
            }
            Op::AttentionContext { .. } => {
                product([batch, sequence, sequence, units(step.form.columns)])
            }
            // Scores, and the weighted values.
            Op::Decoder(DecoderOp::Attention { .. }) => {
                product([2 * batch, sequence, sequence, units(step.form.columns)])
            }
            Op::Training(TrainingOp::ScaledProduct { .. }) => {
                let rows = if step.form.batch == BatchAxis::Rows { batch } else { 1 };
                let k = input(0).map_or(0, |form| {
                    let items = if form.batch == BatchAxis::Columns { batch } else { 1 };
                    items * units(form.columns)
                });
                product([rows, units(step.form.rows), units(step.form.columns), k])
            }
            Op::Training(TrainingOp::Block { .. }) => input(1).map_or(0, |form| {
                let rows = units(form.rows);
                product([batch, rows, rows, units(form.columns)])
            }),
            _ => 0,
        }
    }

    /// The multiply-accumulates of a run's products with weights.
    ///
    /// The products of two values, as those of attention, are not among them.
    pub fn macs_with_weights(&self, run: &RunShape) -> u64 {
        let linear = |step: &Step| matches!(step.op, Op::Linear { .. } | Op::GroupLinear { .. });
        (0..self.values() as u32)
            .map(ValueId)
            .filter(|&value| self.step_of(value).is_some_and(linear))
            .fold(0, |sum: u64, value| sum.saturating_add(self.macs(value, run)))
    }

    /// The multiply-accumulates of a whole run.
    pub fn total_macs(&self, run: &RunShape) -> u64 {
        (0..self.values() as u32)
            .fold(0, |sum: u64, value| sum.saturating_add(self.macs(ValueId(value), run)))
    }
}
