//! One program on given inputs.

use super::error::RealError;
use super::steps::{Reading, RealConstant};
use super::value::{Real, RealValue, entries};
use poai_core::program::ops::Local;
use poai_core::program::{Program, RunShape, ValueId};
use poai_engine::execute::Network;
use poai_engine::execute::options::last_uses;

/// A program with its constants, read in real numbers.
///
/// ```
/// use poai_core::program::{Builder, Dim, Dtype, Form, Op, RunShape};
/// use poai_engine::execute::Network;
/// use poai_train::real::{RealNetwork, RealValue};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let mut builder = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(3), Dtype::I32)]);
///     let x = builder.input(0);
///     builder.step("relu", Op::Relu, &[x])?;
///     let network = RealNetwork::<f64>::new(&Network::new(builder.finish()?, vec![])?);
///     let x = RealValue::Real(ndarray::arr2(&[[0.25, -0.5, 3.0]]));
///     let outputs = network.run(&RunShape::new(1, 1), vec![x])?;
///     assert_eq!(outputs[0].reals(), ndarray::arr2(&[[0.25, 0.0, 3.0]]));
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RealNetwork<F> {
    program: Program,
    constants: Vec<RealConstant<F>>,
    last: Vec<u32>,
}

impl<F: Real> RealNetwork<F> {
    /// The real reading of a network.
    pub fn new(network: &Network) -> RealNetwork<F> {
        let program = network.program().clone();
        let constants = network.constants().iter();
        let constants = constants.map(|held| RealConstant::new(entries(&held.tensor))).collect();
        let last = last_uses(&program);
        RealNetwork { program, constants, last }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Runs the program, and returns its outputs in order.
    ///
    /// # Errors
    /// [`RealError`] names the step without a real reading, or the input that does
    /// not fit.
    pub fn run(
        &self,
        run: &RunShape,
        inputs: Vec<RealValue<F>>,
    ) -> Result<Vec<RealValue<F>>, RealError> {
        let program = &self.program;
        let extents = program.extents(run)?;
        let (expected, got) = (program.inputs().len(), inputs.len());
        if expected != got {
            return Err(RealError::Inputs { expected, got });
        }
        for (input, (value, extent)) in inputs.iter().zip(&extents).enumerate() {
            let expected = (extent.rows as usize, extent.columns as usize);
            let got = value.dim();
            if expected != got {
                return Err(RealError::Shape { input, expected, got });
            }
        }
        let mut values: Vec<Option<RealValue<F>>> = inputs.into_iter().map(Some).collect();
        for (index, step) in program.steps().iter().enumerate() {
            // Exact: fewer than 2^17 values.
            let id = (expected + index) as u32;
            let internal = || RealError::Internal(step.name.clone());
            let local = Local::new(program, &extents, *run, ValueId(id)).ok_or_else(internal)?;
            let read = |value: &ValueId| values.get(value.0 as usize)?.as_ref();
            let inputs: Option<Vec<&RealValue<F>>> = step.inputs.iter().map(read).collect();
            let (ids, count) = step.op.constants();
            let constants = ids.iter().take(count);
            let constants: Option<Vec<&RealConstant<F>>> =
                constants.map(|id| self.constants.get(id.0 as usize)).collect();
            let reading = Reading {
                name: &step.name,
                local,
                inputs: inputs.ok_or_else(internal)?,
                constants: constants.ok_or_else(internal)?,
            };
            let value = F::compute(&reading)?;
            debug_assert_eq!(value.dim(), reading.output());
            values.push(Some(value));
            // What no later step reads is freed.
            for input in &step.inputs {
                let at = input.0 as usize;
                if self.last.get(at) == Some(&id)
                    && let Some(value) = values.get_mut(at)
                {
                    *value = None;
                }
            }
        }
        let take = |output: &ValueId| {
            let value = values.get_mut(output.0 as usize).and_then(Option::take);
            value.ok_or_else(|| RealError::Internal("output".into()))
        };
        program.outputs().iter().map(take).collect()
    }
}
