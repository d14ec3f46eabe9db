//! Building programs. Every shape is checked when a step is added.

use super::check::Check;
use super::tensor::BatchAxis;
use super::{Constant, ConstantId, Extent, Form, Op, Program, ProgramError, Step, ValueId};
use crate::digest::Root;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// The largest number of inputs of a program without a list of outputs.
pub(super) const INPUTS_MAX: usize = 16;
/// The largest number of inputs, and of outputs, of a program with a list of
/// outputs.
pub(super) const LISTED_MAX: usize = 4096;
/// The largest number of steps, and of constants.
const STEPS_MAX: usize = 1 << 16;
/// The largest length of a name in bytes.
const NAME_MAX: usize = 255;

/// Builds a program step by step.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    inputs: Vec<Form>,
    constants: Vec<Constant>,
    extents: Vec<Extent>,
    steps: Vec<Step>,
}

impl Builder {
    /// A builder of a program with these inputs.
    pub fn new(inputs: &[Form]) -> Builder {
        Builder { inputs: inputs.to_vec(), ..Builder::default() }
    }

    /// The value of input number `index`.
    pub fn input(&self, index: usize) -> ValueId {
        ValueId(index as u32)
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, root: Root, extent: Extent) -> ConstantId {
        // `finish` refuses too many constants.
        let id = ConstantId(u32::try_from(self.constants.len()).unwrap_or(u32::MAX));
        self.constants.push(Constant { name: name.to_owned(), root, extent });
        self.extents.push(extent);
        id
    }

    /// Adds a step and returns its value.
    ///
    /// # Errors
    /// [`ProgramError`] if the step does not fit. It names the step, what the
    /// step expected and what it got.
    pub fn step(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[ValueId],
    ) -> Result<ValueId, ProgramError> {
        let forms: Vec<Form> = inputs
            .iter()
            .map(|&value| {
                let missing = || ProgramError::Value { step: name.to_owned(), value };
                self.form(value).ok_or_else(missing)
            })
            .collect::<Result<_, _>>()?;
        let check = Check { step: name, op: &op, inputs: &forms, constants: &self.extents };
        let form = check.form()?;
        if form.rows.units == 0 || form.columns.units == 0 {
            let what = "expected entries in its output, got none";
            return Err(ProgramError::Number { step: name.to_owned(), what });
        }
        let value = ValueId((self.inputs.len() + self.steps.len()) as u32);
        self.steps.push(Step { name: String::from(name), op, inputs: inputs.to_vec(), form });
        Ok(value)
    }

    /// The form of a value, or `None` if the value does not exist.
    pub fn form(&self, value: ValueId) -> Option<Form> {
        let index = value.0 as usize;
        match self.inputs.get(index) {
            Some(form) => Some(*form),
            None => self.steps.get(index - self.inputs.len()).map(|step| step.form),
        }
    }

    /// The first input, constant or value that is no output and that no step
    /// reads.
    fn unread(&self, outputs: &[ValueId]) -> Option<String> {
        let mut values = vec![false; self.inputs.len() + self.steps.len()];
        let mut constants = vec![false; self.constants.len()];
        for output in outputs {
            if let Some(read) = values.get_mut(output.0 as usize) {
                *read = true;
            }
        }
        for step in &self.steps {
            let (ids, count) = step.op.constants();
            for id in ids.iter().take(count) {
                if let Some(read) = constants.get_mut(id.0 as usize) {
                    *read = true;
                }
            }
            for value in &step.inputs {
                if let Some(read) = values.get_mut(value.0 as usize) {
                    *read = true;
                }
            }
        }
        if let Some(value) = values.iter().position(|read| !read) {
            return Some(match self.steps.get(value.wrapping_sub(self.inputs.len())) {
                Some(step) => alloc::format!("step {}", step.name),
                None => alloc::format!("input {value}"),
            });
        }
        let constant = constants.iter().position(|read| !read)?;
        self.constants.get(constant).map(|unread| alloc::format!("constant {}", unread.name))
    }

    /// Finishes the program. Its output is the last step's value.
    ///
    /// # Errors
    /// [`ProgramError`] if the program is empty or too large, if no step reads
    /// an input, a constant or an earlier step, or if a name is too long.
    pub fn finish(self) -> Result<Program, ProgramError> {
        let (inputs, constants, steps) =
            (self.inputs.len(), self.constants.len(), self.steps.len());
        if inputs > INPUTS_MAX {
            return Err(ProgramError::Size { inputs, constants, steps });
        }
        // `finish_with` refuses a program without steps.
        let last = (self.inputs.len() + self.steps.len()).saturating_sub(1);
        self.finish_with(&[ValueId(u32::try_from(last).unwrap_or(u32::MAX))], 0)
    }

    /// Finishes a program that lists its outputs.
    ///
    /// The first `states` inputs are states. Output i is the value with which
    /// the next run continues state i.
    ///
    /// # Errors
    /// [`ProgramError`] as [`Builder::finish`]. It is also an error if an output
    /// is listed twice or is no step's value, if a state is not shared, or if it
    /// has another form than its output.
    pub fn finish_with(self, outputs: &[ValueId], states: u32) -> Result<Program, ProgramError> {
        let (inputs, constants, steps) =
            (self.inputs.len(), self.constants.len(), self.steps.len());
        let fits = (1..=LISTED_MAX).contains(&inputs)
            && constants <= STEPS_MAX
            && (1..=STEPS_MAX).contains(&steps);
        if !fits {
            return Err(ProgramError::Size { inputs, constants, steps });
        }
        let empty = |form: &Form| form.rows.units == 0 || form.columns.units == 0;
        if let Some(input) = self.inputs.iter().position(empty) {
            let step = alloc::format!("input {input}");
            return Err(ProgramError::Number { step, what: "expected entries, got none" });
        }
        self.check_outputs(outputs, states)?;
        self.check_streams()?;
        if let Some(unread) = self.unread(outputs) {
            return Err(ProgramError::Unread(unread));
        }
        let names = self.steps.iter().map(|step| &step.name);
        let mut names = names.chain(self.constants.iter().map(|constant| &constant.name));
        if let Some(name) = names.find(|name| name.len() > NAME_MAX) {
            return Err(ProgramError::Name(name.len()));
        }
        let Builder { inputs, constants, steps, .. } = self;
        Ok(Program { inputs, constants, steps, outputs: outputs.to_vec(), states })
    }

    fn check_outputs(&self, outputs: &[ValueId], states: u32) -> Result<(), ProgramError> {
        let states = states as usize;
        if !(1..=LISTED_MAX).contains(&outputs.len()) || states > outputs.len() {
            return Err(ProgramError::Outputs { outputs: outputs.len(), states });
        }
        let mut listed = vec![false; self.steps.len()];
        for output in outputs {
            let step = (output.0 as usize).checked_sub(self.inputs.len());
            match step.and_then(|step| listed.get_mut(step)) {
                Some(twice) if !*twice => *twice = true,
                _ => return Err(ProgramError::Output(*output)),
            }
        }
        if let Some(input) = self.inputs.iter().position(|form| form.batch == BatchAxis::Columns) {
            let what = "expected rows for every item, or a shared input";
            return Err(ProgramError::Number { step: alloc::format!("input {input}"), what });
        }
        for (state, output) in outputs.iter().enumerate().take(states) {
            let (expected, got) = (self.inputs.get(state).copied(), self.form(*output));
            let shared = expected.is_some_and(|form| form.batch == BatchAxis::None);
            if expected != got || !shared {
                return Err(ProgramError::State { state, expected, got });
            }
        }
        Ok(())
    }

    /// Checks that no two steps read one stream of random bytes.
    fn check_streams(&self) -> Result<(), ProgramError> {
        let mut seen = alloc::collections::BTreeSet::new();
        for step in &self.steps {
            if let Op::Training(op) = &step.op
                && let Some(stream) = op.stream()
                && !seen.insert(stream)
            {
                let what = "expected a stream that no other step has";
                return Err(ProgramError::Number { step: step.name.clone(), what });
            }
        }
        Ok(())
    }
}
