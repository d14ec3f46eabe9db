//! Columns of one value as several values, and numbers under another fraction.

use super::{Carrier, Note, Operand, Tape};
use crate::error::LayersError;
use crate::numbers::{ACTIVATION, FULL, NARROW, RESIDUAL};
use poai_core::program::training::{Shift, Sign};
use poai_core::program::{Dtype, Op, TrainingOp, ValueId};

impl Tape {
    /// The columns of a carrier in equal parts.
    pub(crate) fn split(&mut self, x: Carrier, parts: u32) -> Result<Vec<Carrier>, LayersError> {
        let values = self.split_value(x.value, parts)?;
        Ok(values.into_iter().map(|value| Carrier { value, ..x }).collect())
    }

    /// The columns of an operand in equal parts, which have its exponent.
    pub(crate) fn split_operand(
        &mut self,
        x: Operand,
        parts: u32,
    ) -> Result<Vec<Operand>, LayersError> {
        let values = self.split_value(x.value, parts)?;
        Ok(values.into_iter().map(|value| Operand { value, ..x }).collect())
    }

    fn split_value(&mut self, x: ValueId, parts: u32) -> Result<Vec<ValueId>, LayersError> {
        let form = self.form(x)?;
        let (rows, columns) = (form.rows.units, form.columns.units);
        let width = columns / parts.max(1);
        let mut values = vec![];
        for part in 0..parts {
            let number = |row: u32, column: u32| {
                u64::from(row) * u64::from(columns) + u64::from(part * width + column)
            };
            let name = format!("columns {part} of {parts} in {rows}×{columns}");
            values.push(self.arranged(&name, [rows, width], &[x], number)?);
        }
        self.notes.push(Note::Split { x, parts: values.clone() });
        values.iter().for_each(|&value| self.follow(x, value));
        Ok(values)
    }

    /// The gradients of all parts, side by side.
    pub(super) fn split_rule(&mut self, x: ValueId, parts: &[ValueId]) -> Result<(), LayersError> {
        if !self.live.contains(&x) {
            return Ok(());
        }
        let gradients: Option<Vec<ValueId>> =
            parts.iter().map(|part| self.gradients.get(part).copied()).collect();
        let Some(gradients) = gradients else { return Ok(()) };
        let form = self.form(x)?;
        let (rows, columns) = (form.rows.units, form.columns.units);
        let width = (columns / (parts.len() as u32).max(1)).max(1);
        let number = |row: u32, column: u32| {
            let (part, column) = (column / width, column % width);
            u64::from(part) * u64::from(rows) * u64::from(width)
                + u64::from(row) * u64::from(width)
                + u64::from(column)
        };
        let name = format!("{} parts in {rows}×{columns}", parts.len());
        let dx = self.arranged(&name, [rows, columns], &gradients, number)?;
        self.accumulate(x, dx)
    }

    fn arranged(
        &mut self,
        name: &str,
        [rows, columns]: [u32; 2],
        inputs: &[ValueId],
        number: impl Fn(u32, u32) -> u64,
    ) -> Result<ValueId, LayersError> {
        let all = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let numbers: Result<Vec<i32>, _> =
            all.map(|(row, column)| i32::try_from(number(row, column))).collect();
        let too_large = LayersError::Internal("items of fewer than 2^31 entries");
        let numbers = numbers.map_err(|_| too_large)?;
        let size = (rows as usize, columns as usize);
        let index = self.sized(name, size, Dtype::I32, &numbers)?;
        self.step(Op::Arrange { index }, inputs)
    }

    /// Notes that y has the numbers of x.
    pub(super) fn same(&mut self, x: ValueId, y: ValueId) {
        self.notes.push(Note::Same { x, y });
        self.follow(x, y);
    }

    /// A carrier as a residual stream.
    pub(crate) fn narrow(&mut self, x: Carrier) -> Result<Carrier, LayersError> {
        if self.form(x.value)?.dtype == Dtype::I16 && x.fraction == RESIDUAL {
            return Ok(x);
        }
        let shift = Shift::fixed(x.fraction - RESIDUAL);
        let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: NARROW };
        let y = self.train(op, &[x.value])?;
        self.same(x.value, y);
        Ok(Carrier { value: y, fraction: RESIDUAL })
    }

    /// An operand as activations.
    pub(crate) fn carrier(&mut self, x: Operand) -> Result<Carrier, LayersError> {
        let signs: Vec<Sign> = x.exponent.map(|_| Sign::Minus).into_iter().collect();
        let shift = Shift::new(x.fraction - ACTIVATION, &signs);
        let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp: FULL };
        let inputs: Vec<ValueId> = [x.value].into_iter().chain(x.exponent).collect();
        let y = self.train(op, &inputs)?;
        self.same(x.value, y);
        Ok(Carrier { value: y, fraction: ACTIVATION })
    }
}
