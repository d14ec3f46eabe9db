//! The exporter: the program that makes trained constants of states.

use super::TrainingExportError;
use crate::numbers::FULL;
use poai_core::program::training::Shift;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dtype, Extent, Form, Op, TrainingOp, ValueId,
};
use poai_engine::execute::{Constants, Network};
use std::collections::{BTreeMap, BTreeSet};

/// The range of a bias among the sums of a product. A sum of both fits i32.
const BIAS: Clamp = Clamp { dtype: Dtype::I32, min: -(1 << 30) + 1, max: (1 << 30) - 1 };

/// What a trained constant is of its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// `clamp(shift(x, p))` of every entry.
    Rescaled {
        /// p.
        shift: i32,
        clamp: Clamp,
    },
    /// (b0, M, 0) for each entry of a bias, where b0 is `shift(x, p)`.
    Requantise {
        /// p.
        shift: i32,
        /// M.
        multiplier: i32,
    },
}

/// A constant of the frozen network that training made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrainedConstant {
    /// The parameter's number among those of the forward pass.
    pub(super) parameter: usize,
    pub(super) made: Made,
}

impl TrainedConstant {
    /// The constant's extent, for a parameter of this extent.
    pub(super) fn extent(&self, parameter: &Form) -> Option<Extent> {
        let (rows, columns) = (parameter.rows.units, parameter.columns.units);
        match self.made {
            Made::Rescaled { clamp, .. } => Extent::new(rows, columns, clamp.dtype),
            Made::Requantise { .. } => Extent::new(rows, 3, Dtype::I32),
        }
    }
}

/// The exporter, and the numbers of the parameters that it reads, ascending.
#[derive(Debug)]
pub(super) struct Exporter {
    pub(super) network: Network,
    pub(super) read: Vec<usize>,
}

impl Exporter {
    /// The exporter of constants. `forms` and `names` are those of all parameters.
    pub(super) fn new(
        forms: &[Form],
        names: &[String],
        all: &[TrainedConstant],
    ) -> Result<Exporter, TrainingExportError> {
        let missing = || TrainingExportError::Internal("an exporter of parameters");
        let set: BTreeSet<usize> = all.iter().map(|constant| constant.parameter).collect();
        let read: Vec<usize> = set.into_iter().collect();
        // The steps that follow take rows for every item, of which there is one.
        let form = |&at: &usize| {
            let Form { rows, columns, .. } = forms.get(at)?;
            Some(Form::new(*rows, *columns, Dtype::I32))
        };
        let inputs: Option<Vec<Form>> = read.iter().map(form).collect();
        let inputs = inputs.ok_or_else(missing)?;
        let mut making = Making {
            builder: Builder::new(&inputs),
            constants: Constants::default(),
            multipliers: BTreeMap::new(),
            indices: BTreeMap::new(),
        };
        let mut outputs = vec![];
        for TrainedConstant { parameter, made } in all {
            let place = read.binary_search(parameter).map_err(|_| missing())?;
            let input = making.builder.input(place);
            let (form, name) = (inputs.get(place), names.get(*parameter));
            let (form, name) = form.zip(name).ok_or_else(missing)?;
            outputs.push(match *made {
                Made::Rescaled { shift, clamp } => making.rescaled(name, input, shift, clamp)?,
                Made::Requantise { shift, multiplier } => {
                    making.requantise(name, input, form.rows.units, shift, multiplier)?
                }
            });
        }
        let Making { builder, constants, .. } = making;
        let program = builder.finish_with(&outputs, 0)?;
        Ok(Exporter { network: Network::new(program, constants.into_tensors())?, read })
    }
}

/// The exporter under construction.
struct Making {
    builder: Builder,
    constants: Constants,
    /// Tables whose entries are all the same multiplier.
    multipliers: BTreeMap<i32, ConstantId>,
    /// Indices of tables of (b0, M, b1), by their rows.
    indices: BTreeMap<u32, ConstantId>,
}

impl Making {
    fn rescaled(
        &mut self,
        name: &str,
        x: ValueId,
        shift: i32,
        clamp: Clamp,
    ) -> Result<ValueId, TrainingExportError> {
        let shift = Shift::fixed(shift);
        let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp };
        Ok(self.builder.step(name, Op::Training(op), &[x])?)
    }

    /// (b0, M, 0) of a bias.
    fn requantise(
        &mut self,
        name: &str,
        bias: ValueId,
        rows: u32,
        shift: i32,
        multiplier: i32,
    ) -> Result<ValueId, TrainingExportError> {
        let sums = self.rescaled(&format!("{name} sums"), bias, shift, BIAS)?;
        // Only a step's output is a value, so a table makes M of any entry.
        let table = match self.multipliers.get(&multiplier) {
            Some(id) => *id,
            None => {
                let (named, entries) = (format!("multiplier {multiplier}"), [multiplier; 256]);
                let size = (256, 1);
                let builder = &mut self.builder;
                let id = self.constants.add(builder, &named, size, Dtype::I32, &entries)?;
                self.multipliers.insert(multiplier, id);
                id
            }
        };
        let op = Op::Table { table, shift: 0, pass_above: false };
        let multipliers = self.builder.step(&format!("{name} multipliers"), op, &[sums])?;
        let index = match self.indices.get(&rows) {
            Some(id) => *id,
            None => {
                // Exact: a tensor has fewer than 2^31 rows.
                let rows_i32 = i32::try_from(rows)
                    .map_err(|_| TrainingExportError::Internal("an index of rows"))?;
                let entries: Vec<i32> =
                    (0..rows_i32).flat_map(|row| [row, rows_i32.saturating_add(row), -1]).collect();
                let (named, size) = (format!("requantise {rows}"), (rows as usize, 3));
                let builder = &mut self.builder;
                let id = self.constants.add(builder, &named, size, Dtype::I32, &entries)?;
                self.indices.insert(rows, id);
                id
            }
        };
        let op = Op::Arrange { index };
        Ok(self.builder.step(&format!("{name} requantise"), op, &[sums, multipliers])?)
    }
}

/// A parameter's state as it is.
pub(super) const COPIED: Made = Made::Rescaled { shift: 0, clamp: FULL };
