//! What can be wrong with a program.

use super::op::{ConstantId, ValueId};
use super::tensor::{Extent, Form};
use alloc::string::String;

/// Why a step does not fit a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A step got another number of inputs.
    #[error("step {step}: {op} takes {expected} inputs, got {got}")]
    Inputs {
        /// The step's name.
        step: String,
        /// Its kind.
        op: &'static str,
        /// How many it takes.
        expected: &'static str,
        /// How many it got.
        got: usize,
    },
    /// A step reads a value that is not there before it.
    #[error("step {step}: value {} does not exist before it", value.0)]
    Value {
        /// The step's name.
        step: String,
        /// The value.
        value: ValueId,
    },
    /// A step reads a constant that is not there.
    #[error("step {step}: constant {} does not exist", constant.0)]
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
        /// What it takes.
        expected: String,
        /// What it got.
        got: Form,
    },
    /// A step's constant has the wrong extent.
    #[error("step {step}: constant {which} expected {expected}, got {got}")]
    Extent {
        /// The step's name.
        step: String,
        /// Which constant.
        which: &'static str,
        /// What it takes.
        expected: String,
        /// What it got.
        got: Extent,
    },
    /// A number of a step is not permitted.
    #[error("step {step}: {what}")]
    Number {
        /// The step's name.
        step: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A program without inputs or steps, or with too many.
    #[error(
        "a program of {inputs} inputs, {constants} constants and {steps} steps; permitted are 1..=16, 0..=65536 and 1..=65536"
    )]
    Size {
        /// Inputs.
        inputs: usize,
        /// Constants.
        constants: usize,
        /// Steps.
        steps: usize,
    },
    /// No step reads an input: it would change what a run is called, and nothing
    /// of what the run computes.
    #[error("input {0} is read by no step; remove it")]
    Unread(usize),
    /// A name is too long.
    #[error("a name of {0} bytes: at most 255")]
    Name(usize),
}

/// Why a program has no run of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunShapeError {
    /// No items or no tokens.
    #[error("a batch of {batch} items of {sequence} tokens is empty")]
    Empty {
        /// Items.
        batch: u32,
        /// Tokens.
        sequence: u32,
    },
    /// Tokens of a program without a form per token: they would change what a
    /// run is called, and nothing of what it computes.
    #[error(
        "expected a sequence of 1, because no form of the program is per token; got {sequence}"
    )]
    Tokens {
        /// Tokens.
        sequence: u32,
    },
    /// A tensor would pass the limits of spec §11.
    #[error("value {} would be too large at a batch of {batch} items of {sequence} tokens", value.0)]
    TooLarge {
        /// The value.
        value: ValueId,
        /// Items.
        batch: u32,
        /// Tokens.
        sequence: u32,
    },
    /// Longer than a table of positions.
    #[error("{sequence} tokens, where value {} has {length} positions", value.0)]
    TooLong {
        /// The value.
        value: ValueId,
        /// Tokens.
        sequence: u32,
        /// Positions.
        length: u32,
    },
}
