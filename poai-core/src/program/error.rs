//! Errors of programs and of their runs.

use super::op::{ConstantId, ValueId};
use super::tensor::{Extent, Form};
use alloc::string::String;

/// Why a step does not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A step got the wrong number of inputs.
    #[error("step {step}: {op}: expected {expected} inputs, got {got}; pass as many")]
    Inputs {
        /// The step's name.
        step: String,
        /// The step's kind.
        op: &'static str,
        /// The number of inputs that it takes.
        expected: &'static str,
        /// The number of inputs that it got.
        got: usize,
    },
    /// A step reads a value that does not exist before it.
    #[error("step {step}: expected an earlier value, got {}; add its step first", value.0)]
    Value {
        /// The step's name.
        step: String,
        /// The value.
        value: ValueId,
    },
    /// A step reads a constant that does not exist.
    #[error("step {step}: expected an existing constant, got {}; add it before the step", constant.0)]
    Constant {
        /// The step's name.
        step: String,
        /// The constant.
        constant: ConstantId,
    },
    /// A step's input has the wrong form.
    #[error("step {step}: input {input} expected {expected}, got {got}")]
    Form {
        /// The step's name.
        step: String,
        /// Which input.
        input: usize,
        /// What the step takes.
        expected: String,
        /// What the step got.
        got: Form,
    },
    /// A step's constant has the wrong extent.
    #[error("step {step}: constant {which} expected {expected}, got {got}")]
    Extent {
        /// The step's name.
        step: String,
        /// Which constant.
        which: &'static str,
        /// What the step takes.
        expected: String,
        /// What the step got.
        got: Extent,
    },
    /// A number of a step is not permitted.
    #[error("step {step}: {what}")]
    Number {
        /// The step's name.
        step: String,
        /// What was expected, and what was found if it helps.
        what: &'static str,
    },
    /// A program has no inputs or no steps, or too many inputs, constants or
    /// steps.
    #[error(
        "expected 1..=16 inputs (1..=4096 if outputs are listed), 0..=65536 constants and 1..=65536 steps, got {inputs}, {constants} and {steps}"
    )]
    Size {
        /// The number of inputs.
        inputs: usize,
        /// The number of constants.
        constants: usize,
        /// The number of steps.
        steps: usize,
    },
    /// No step reads an input, a constant, or the value of a step before the last.
    ///
    /// It would change a run's identifier without changing its output.
    #[error("expected a step that reads {0}, got none; remove it")]
    Unread(String),
    /// A list of outputs is empty or too long, or has fewer outputs than states.
    #[error(
        "expected 1..=4096 outputs, of which the first continue states, got {outputs} and {states} states"
    )]
    Outputs {
        /// The number of outputs.
        outputs: usize,
        /// The number of states.
        states: usize,
    },
    /// An output is no step's value, or is listed twice.
    #[error("expected each output to be a step's value, listed once, got value {}", .0.0)]
    Output(ValueId),
    /// A state has another form than the output that continues it, or is not
    /// shared.
    #[error(
        "state {state}: expected a shared input and an output of its form, got {expected:?} and {got:?}"
    )]
    State {
        /// The state's number.
        state: usize,
        /// The form of its input, if there is one.
        expected: Option<Form>,
        /// The form of its output.
        got: Option<Form>,
    },
    /// A name is too long.
    #[error("expected a name of at most 255 bytes, got {0}; shorten it")]
    Name(usize),
}

/// Why a program has no run of the given shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunShapeError {
    /// The run has no items or no tokens.
    #[error("expected at least 1 item and 1 token, got {batch} items of {sequence} tokens")]
    Empty {
        /// The items of the batch.
        batch: u32,
        /// The tokens of each item.
        sequence: u32,
    },
    /// The sequence is not 1, although no form of the program is per token.
    ///
    /// Such a sequence would change a run's identifier without changing what
    /// the run computes.
    #[error(
        "expected a sequence of 1, because no form of the program is per token, got {sequence}; use 1"
    )]
    Tokens {
        /// The tokens of each item.
        sequence: u32,
    },
    /// The answers are not 0, although no form of the program is per answer, or
    /// are 0, although one is.
    #[error(
        "expected {expected} answers, because of the program's forms, got {answers}; use as many"
    )]
    Answers {
        /// What the program takes.
        expected: &'static str,
        /// The answers of each item.
        answers: u32,
    },
    /// The multiply-accumulates of all steps are 2^64 or more.
    #[error(
        "expected fewer than 2^64 multiply-accumulates, got more in {batch} items of {sequence} tokens; run fewer"
    )]
    Macs {
        /// The items of the batch.
        batch: u32,
        /// The tokens of each item.
        sequence: u32,
    },
    /// A tensor would exceed the limits of spec §11.
    #[error(
        "value {}: expected a tensor within the limits, got {batch} items of {sequence} tokens; run fewer",
        value.0
    )]
    TooLarge {
        /// The value.
        value: ValueId,
        /// The items of the batch.
        batch: u32,
        /// The tokens of each item.
        sequence: u32,
    },
    /// The sequence is longer than a table of positions.
    #[error("value {}: expected at most {length} tokens, got {sequence}; shorten the sequence", value.0)]
    TooLong {
        /// The value.
        value: ValueId,
        /// The tokens of each item.
        sequence: u32,
        /// The positions in the table.
        length: u32,
    },
}
