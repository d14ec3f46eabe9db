//! Networks that were made in integers: nothing was quantised.

use super::{Numbers, QuantiseError, Quantised, QuantisedInput, RangeMethod, SampleErrors};
use crate::graph::{Input, ValueShape};
use poai_core::program::{Form, Program};
use poai_engine::execute::Network;

impl QuantisedInput {
    /// An input whose integers stand for real numbers or ids. `scale` is the real value
    /// of 1, and `top` the largest integer: 63 in i8 or 2^14 in i16. Both do not count
    /// for ids.
    pub fn new(input: Input, scale: f64, top: i32) -> QuantisedInput {
        let (scale, top) = if input.ids.is_some() { (1.0, 0) } else { (scale, top) };
        QuantisedInput { input, scale, top, columns: vec![] }
    }

    /// The same, with a number for each entry of the last axis by which it is divided
    /// before the scale applies.
    pub fn divided(mut self, columns: Vec<f64>) -> QuantisedInput {
        self.columns = columns;
        self
    }
}

impl Quantised {
    /// A network that was made in integers, as an exported one of a training run. It is
    /// stored and proven like a quantised one. There are no floats to compare with, so
    /// that the report is empty.
    ///
    /// # Errors
    /// [`QuantiseError::Part`] if inputs, output or scales do not fit the program.
    pub fn from_integers(
        network: Network,
        inputs: Vec<QuantisedInput>,
        output: impl Into<ValueShape>,
        output_scale: f64,
        numbers: Numbers,
    ) -> Result<Quantised, QuantiseError> {
        let output = output.into();
        if let Some(misfit) = Misfit::of(network.program(), &inputs, &output, output_scale) {
            let Misfit { field, expected, got } = misfit;
            return Err(QuantiseError::Part { field, expected, got });
        }
        Ok(Quantised {
            network,
            report: vec![],
            samples: SampleErrors::default(),
            inputs,
            output,
            output_scale,
            tail: None,
            range: RangeMethod::MinMax,
            numbers,
            values: vec![],
            levels: vec![],
        })
    }
}

/// A part that does not fit a program.
pub(crate) struct Misfit {
    pub(crate) field: &'static str,
    pub(crate) expected: String,
    pub(crate) got: String,
}

impl Misfit {
    /// The first part that does not fit.
    pub(crate) fn of(
        program: &Program,
        inputs: &[QuantisedInput],
        output: &ValueShape,
        output_scale: f64,
    ) -> Option<Misfit> {
        let misfit = |field, expected, got| Some(Misfit { field, expected, got });
        let forms: Option<Vec<Form>> = inputs.iter().map(QuantisedInput::form).collect();
        let Some(forms) = forms else {
            return misfit("inputs", "sizes below 2^28 entries".to_owned(), "more".to_owned());
        };
        if program.inputs() != forms {
            let list =
                |forms: &[Form]| -> Vec<String> { forms.iter().map(Form::to_string).collect() };
            let (expected, got) = (list(program.inputs()), list(&forms));
            return misfit("inputs", expected.join(" and "), got.join(" and "));
        }
        let made = program
            .form(program.output())
            .map(|form| u64::from(form.rows.units) * u64::from(form.columns.units));
        let entries = output.entries();
        if made != Some(entries as u64) {
            let expected = format!("a shape of {} entries", made.unwrap_or(0));
            return misfit("output", expected, entries.to_string());
        }
        let all = inputs.iter().map(|input| ("inputs", input.scale));
        let mut all = all.chain([("output_scale", output_scale)]);
        let (field, scale) = all.find(|(_, scale)| !(scale.is_finite() && *scale > 0.0))?;
        misfit(field, "a positive finite scale".to_owned(), scale.to_string())
    }
}
