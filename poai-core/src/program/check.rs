//! The form of a step's output, and every check of its inputs, constants and
//! numbers.

use super::error::ProgramError;
use super::op::{Clamp, ConstantId, GroupWindow, Op, Window};
use super::tensor::{BatchAxis, COLUMNS_MAX, Dim, Dtype, Extent, Form, Per};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

/// The longest shift.
pub const SHIFT_MAX: u8 = 62;
/// The longest shift of a curve: 128·2²³ and every i32 beyond it fit i64, and
/// `(T[j+1] − T[j])·f` fits i64.
const CURVE_SHIFT_MAX: u8 = 23;
/// The largest number of inputs of a step.
pub(super) const STEP_INPUTS_MAX: usize = 16;
/// The most entries of an item's inputs of arrange, which i32 numbers.
const ARRANGE_ENTRIES_MAX: u64 = i32::MAX as u64;

/// The most columns of a step's output whose columns do not grow with the run.
///
/// Operands have at most 2^16 columns. Only transposed batches have more.
const fn columns_max(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::I8 => COLUMNS_MAX,
        Dtype::I16 | Dtype::I32 => dtype.columns_max(),
    }
}

/// A step with the forms and extents that it is checked against.
pub(super) struct Check<'a> {
    pub(super) step: &'a str,
    pub(super) op: &'a Op,
    pub(super) inputs: &'a [Form],
    pub(super) constants: &'a [Extent],
}

impl Check<'_> {
    /// The form of the output.
    pub(super) fn form(&self) -> Result<Form, ProgramError> {
        self.batch_axes()?;
        match self.op {
            Op::Training(op) => self.training(op),
            Op::Decoder(op) => self.decoder(op),
            Op::Linear { weights, requantise, shifts, clamp } => {
                self.linear(*weights, *requantise, shifts, clamp)
            }
            Op::Unfold(window) => self.unfold(window),
            Op::Add { shift, clamp, .. } | Op::Mul { shift, clamp } => {
                let [a, b] = self.two()?;
                let expected = Form { dtype: b.dtype, ..a };
                if b != expected {
                    return Err(self.bad(1, format!("{expected}"), b));
                }
                self.numbers(&[*shift], Some(clamp))?;
                Ok(Form { dtype: clamp.dtype, ..a })
            }
            Op::Requantise { shift, clamp, .. } => {
                self.numbers(&[*shift], Some(clamp))?;
                Ok(Form { dtype: clamp.dtype, ..self.one()? })
            }
            Op::ScaleColumns { scale, shift, clamp } => {
                self.numbers(&[*shift], Some(clamp))?;
                let x = self.one()?;
                self.table("scale", *scale, self.fixed(&x)?, 1, Dtype::I32)?;
                Ok(Form { dtype: clamp.dtype, ..x })
            }
            Op::Relu => self.one(),
            Op::Table { table, shift, .. } => {
                self.numbers(&[*shift], None)?;
                let table = self.constant(*table)?;
                if (table.rows, table.columns) != (256, 1) {
                    return Err(self.extent("table", "256×1".to_owned(), table));
                }
                Ok(Form { dtype: table.dtype, ..self.one()? })
            }
            Op::MaxPool(window) | Op::AveragePool(window) => {
                let x = self.one()?;
                let [height, width] = self.window(window, &x)?;
                Ok(Form { rows: self.area(height, width)?, ..x })
            }
            Op::Softmax { table, multiplier, shift, one, clamp } => {
                self.numbers(&[*shift], Some(clamp))?;
                self.exponentials(*table)?;
                self.require(*multiplier >= 0 && *one > 0, "expected multiplier ≥ 0 and one > 0")?;
                Ok(Form { dtype: clamp.dtype, ..self.one()? })
            }
            Op::Normalise { affine, shift, .. } => {
                self.numbers(&[*shift], None)?;
                let x = self.typed(0, Dtype::I16)?;
                self.one()?;
                self.table("affine", *affine, self.fixed(&x)?, 2, Dtype::I32)?;
                Ok(x)
            }
            Op::Embed { table, scales, shift } => {
                self.numbers(&[*shift], None)?;
                let ids = self.typed(0, Dtype::I32)?;
                self.one()?;
                if ids.columns != Dim::fixed(1) {
                    return Err(self.bad(0, "one column".to_owned(), ids));
                }
                let table = self.constant(*table)?;
                if table.dtype != Dtype::I8 {
                    return Err(self.extent("table", "i8".to_owned(), table));
                }
                self.table("scales", *scales, table.rows, 1, Dtype::I32)?;
                Ok(Form::new(ids.rows, Dim::fixed(table.columns), Dtype::I16))
            }
            Op::AddRows { table } => {
                let x = self.typed(0, Dtype::I16)?;
                self.one()?;
                let table = self.constant(*table)?;
                let short = x.rows.is_fixed() && x.rows.units > table.rows;
                if table.dtype != Dtype::I16 || x.columns != Dim::fixed(table.columns) || short {
                    return Err(self.extent("table", format!("i16 like {x}"), table));
                }
                Ok(x)
            }
            Op::AttentionWeights { heads, alpha, shift, table, .. } => {
                self.weights(*heads, *alpha, *shift, *table)
            }
            Op::RelativeAttentionWeights { heads, alpha, shift, table, bias, .. } => {
                let form = self.weights(*heads, *alpha, *shift, *table)?;
                let bias = self.constant(*bias)?;
                let odd = !bias.columns.is_multiple_of(2);
                if bias.dtype != Dtype::I32 || bias.rows != *heads || !odd {
                    let expected = format!("i32 of {heads} rows and an odd number of columns");
                    return Err(self.extent("bias", expected, bias));
                }
                Ok(form)
            }
            Op::AttentionContext { heads, scale, shifts } => self.context(*heads, *scale, shifts),
            Op::Transpose => {
                let x = self.one()?;
                Ok(Form { rows: x.columns, columns: x.rows, ..x })
            }
            Op::Reshape { rows, columns } => self.reshape(*rows, *columns),
            Op::RowScale => {
                let x = self.one()?;
                let batch = match x.batch {
                    BatchAxis::Rows => BatchAxis::Rows,
                    BatchAxis::Columns | BatchAxis::None => BatchAxis::None,
                };
                Ok(Form { columns: Dim::fixed(1), dtype: Dtype::I32, batch, ..x })
            }
            Op::Quantise => {
                let [x, scale] = self.two()?;
                self.row_scale(1, &x, &scale)?;
                Ok(Form { dtype: Dtype::I8, ..x })
            }
            Op::MeanPool => {
                let x = self.lengths(1)?;
                if x.dtype == Dtype::I32 {
                    return Err(self.bad(0, "i8 or i16".to_owned(), x));
                }
                Ok(Form { rows: Dim::fixed(1), dtype: Dtype::I32, ..x })
            }
            Op::L2Normalise => Ok(Form { dtype: Dtype::I16, ..self.one()? }),
            Op::Curve { table, shift, .. } => {
                self.require(*shift <= CURVE_SHIFT_MAX, "expected a shift up to 23")?;
                self.table("table", *table, 257, 1, Dtype::I16)?;
                Ok(Form { dtype: Dtype::I16, ..self.one()? })
            }
            Op::Arrange { index } => self.arrange(*index),
            Op::GroupUnfold(window) => self.group_unfold(window),
            Op::GroupLinear { weights, requantise, groups, shifts, clamp } => {
                self.group_linear(*weights, *requantise, *groups, shifts, clamp)
            }
            Op::Product { blocks, shift, clamp } => self.product(*blocks, *shift, clamp),
        }
    }

    /// Checks that the batch multiplies what the step takes (spec §12).
    fn batch_axes(&self) -> Result<(), ProgramError> {
        let permitted: &[BatchAxis] = match self.op {
            // Each checks its own.
            Op::Training(_) => return Ok(()),
            Op::RowScale => return Ok(()),
            // Steps that compute a row from the same row.
            Op::Add { .. }
            | Op::Requantise { .. }
            | Op::Relu
            | Op::Table { .. }
            | Op::ScaleColumns { .. }
            | Op::Quantise
            | Op::Softmax { .. }
            | Op::Normalise { .. }
            | Op::L2Normalise
            | Op::Mul { .. }
            | Op::Curve { .. }
            | Op::Linear { .. } => &[BatchAxis::Rows, BatchAxis::None],
            _ => &[BatchAxis::Rows],
        };
        let first = self.inputs.first().map(|input| input.batch);
        let bad = |input: &Form| !permitted.contains(&input.batch) || Some(input.batch) != first;
        match self.inputs.iter().position(bad) {
            Some(input) => {
                let expected = "the batch axis of the step's other inputs".to_owned();
                Err(self.bad(input, expected, self.inputs[input]))
            }
            None => Ok(()),
        }
    }

    fn linear(
        &self,
        weights: ConstantId,
        requantise: ConstantId,
        shifts: &[u8; 3],
        clamp: &Clamp,
    ) -> Result<Form, ProgramError> {
        self.numbers(shifts, Some(clamp))?;
        let x = self.typed(0, Dtype::I8)?;
        let weights = self.constant(weights)?;
        if weights.dtype != Dtype::I8 || Dim::fixed(weights.columns) != x.columns {
            return Err(self.extent("weights", format!("i8 of {} columns", x.columns), weights));
        }
        self.table("requantise", requantise, weights.rows, 3, Dtype::I32)?;
        match self.inputs {
            [_] => {}
            [_, scale] => self.row_scale(1, &x, scale)?,
            _ => return Err(self.count("1 or 2")),
        }
        Ok(Form { columns: Dim::fixed(weights.rows), dtype: clamp.dtype, ..x })
    }

    fn unfold(&self, window: &Window) -> Result<Form, ProgramError> {
        let x = self.typed(0, Dtype::I8)?;
        self.one()?;
        let [height, width] = self.window(window, &x)?;
        let [down, right] = window.kernel;
        let columns =
            down.checked_mul(right).and_then(|area| area.checked_mul(self.fixed(&x).ok()?));
        let Some(columns) = columns.filter(|&columns| columns <= COLUMNS_MAX) else {
            return Err(self.number("expected a window of at most 65536 entries, got more"));
        };
        Ok(Form { rows: self.area(height, width)?, columns: Dim::fixed(columns), ..x })
    }

    fn arrange(&self, index: ConstantId) -> Result<Form, ProgramError> {
        let Some(first) = self.inputs.first().filter(|_| self.inputs.len() <= STEP_INPUTS_MAX)
        else {
            return Err(self.count("1 to 16"));
        };
        let mut entries = 0u64;
        for (number, input) in self.inputs.iter().enumerate() {
            if input.dtype != first.dtype || !input.rows.is_fixed() || !input.columns.is_fixed() {
                let expected = format!("{} of a size that no run changes", first.dtype);
                return Err(self.bad(number, expected, *input));
            }
            let own = u64::from(input.rows.units) * u64::from(input.columns.units);
            // Forms of inputs are as large as their fields permit.
            entries = entries.saturating_add(own);
        }
        self.require(
            entries <= ARRANGE_ENTRIES_MAX,
            "expected inputs of fewer than 2^31 entries an item",
        )?;
        let index = self.constant(index)?;
        if index.dtype != Dtype::I32 {
            return Err(self.extent("index", "i32".to_owned(), index));
        }
        Ok(Form::new(Dim::fixed(index.rows), Dim::fixed(index.columns), first.dtype))
    }

    fn group_unfold(&self, moved: &GroupWindow) -> Result<Form, ProgramError> {
        let x = self.typed(0, Dtype::I8)?;
        self.one()?;
        let channels = self.fixed(&x)?;
        let covered = moved.covered().ok_or_else(|| {
            self.number("expected a positive kernel and dilation that fit 32 bits")
        })?;
        let [height, width] = self.window(&covered, &x)?;
        let groups = moved.groups;
        self.require(
            groups > 0 && channels.is_multiple_of(groups),
            "expected groups that divide the channels",
        )?;
        let (least, most) = Dtype::I8.range();
        self.require((least..=most).contains(&moved.fill), "expected a fill in −64..=63")?;
        let [down, right] = moved.window.kernel;
        let columns = down.checked_mul(right).and_then(|area| area.checked_mul(channels));
        let Some(columns) = columns.filter(|&columns| columns <= COLUMNS_MAX) else {
            return Err(self.number("expected a window of at most 65536 entries, got more"));
        };
        Ok(Form { rows: self.area(height, width)?, columns: Dim::fixed(columns), ..x })
    }

    fn group_linear(
        &self,
        weights: ConstantId,
        requantise: ConstantId,
        groups: u32,
        shifts: &[u8; 3],
        clamp: &Clamp,
    ) -> Result<Form, ProgramError> {
        self.numbers(shifts, Some(clamp))?;
        let x = self.typed(0, Dtype::I8)?;
        let weights = self.constant(weights)?;
        let columns = groups.checked_mul(weights.columns).map(Dim::fixed);
        if weights.dtype != Dtype::I8 || columns != Some(x.columns) {
            let expected = format!("i8 of {} columns in {groups} groups", x.columns);
            return Err(self.extent("weights", expected, weights));
        }
        self.require(
            weights.rows.is_multiple_of(groups),
            "expected groups that divide the output channels",
        )?;
        self.table("requantise", requantise, weights.rows, 3, Dtype::I32)?;
        match self.inputs {
            [_] => {}
            [_, scale] => self.row_scale(1, &x, scale)?,
            _ => return Err(self.count("1 or 2")),
        }
        Ok(Form { columns: Dim::fixed(weights.rows), dtype: clamp.dtype, ..x })
    }

    fn product(&self, blocks: u32, shift: u8, clamp: &Clamp) -> Result<Form, ProgramError> {
        self.numbers(&[shift], Some(clamp))?;
        let [a, b] = self.two()?;
        for (number, input) in [a, b].into_iter().enumerate() {
            let divided = blocks > 0 && input.rows.units.is_multiple_of(blocks);
            let fixed = input.columns.is_fixed() && input.columns == a.columns;
            if input.dtype != Dtype::I8 || !divided || !fixed {
                let expected = format!("i8 of {} columns and rows in {blocks} blocks", a.columns);
                return Err(self.bad(number, expected, input));
            }
        }
        let columns = Dim { units: b.rows.units / blocks, ..b.rows };
        self.require(
            columns.units <= columns_max(clamp.dtype),
            "expected a product of at most 65536 columns of i8 or 2^20 of others, got more",
        )?;
        Ok(Form { columns, dtype: clamp.dtype, ..a })
    }

    fn weights(
        &self,
        heads: u32,
        alpha: ConstantId,
        shift: u8,
        table: ConstantId,
    ) -> Result<Form, ProgramError> {
        self.numbers(&[shift], None)?;
        self.table("alpha", alpha, heads, 1, Dtype::I32)?;
        self.exponentials(table)?;
        let q = self.lengths(2)?;
        for (index, input) in self.inputs.iter().take(2).enumerate() {
            if *input != q || q.dtype != Dtype::I8 || q.rows != Dim::TOKENS {
                return Err(self.bad(
                    index,
                    "queries and keys: i8, batch·seq rows".to_owned(),
                    *input,
                ));
            }
        }
        self.head_width(heads, &q, 0)?;
        Ok(Form { rows: Dim::per_token(heads), columns: Dim::TOKENS, ..q })
    }

    fn context(
        &self,
        heads: u32,
        scale: ConstantId,
        shifts: &[u8; 2],
    ) -> Result<Form, ProgramError> {
        self.numbers(shifts, None)?;
        let [weights, values] = self.two()?;
        let expected = Form::new(Dim::per_token(heads), Dim::TOKENS, Dtype::I8);
        if weights != expected {
            return Err(self.bad(0, format!("{expected}"), weights));
        }
        let transposed = values.columns == Dim::TOKENS && values.rows.is_fixed();
        if values.dtype != Dtype::I8 || !transposed {
            return Err(self.bad(1, "values, transposed: i8, seq columns".to_owned(), values));
        }
        let form = Form::new(Dim::TOKENS, values.rows, Dtype::I16);
        self.head_width(heads, &form, 1)?;
        self.table("scale", scale, values.rows.units, 1, Dtype::I32)?;
        Ok(form)
    }

    fn reshape(&self, rows: Dim, columns: Dim) -> Result<Form, ProgramError> {
        let x = self.one()?;
        let entries = |rows: Dim, columns: Dim| {
            let grown = |per| u32::from(rows.per == per) + u32::from(columns.per == per);
            let entries = u64::from(rows.units) * u64::from(columns.units);
            (entries, grown(Per::Token), grown(Per::Answer))
        };
        let fits = columns.units <= columns_max(x.dtype);
        if entries(rows, columns) != entries(x.rows, x.columns) || !fits {
            return Err(self.bad(0, format!("as many entries as {rows}×{columns}"), x));
        }
        Ok(Form { rows, columns, ..x })
    }

    /// The first input of a step whose last input, the lengths, is optional.
    ///
    /// The step takes `optional` inputs, or one more with the lengths.
    fn lengths(&self, optional: usize) -> Result<Form, ProgramError> {
        let expected = if optional == 1 { "1 or 2" } else { "2 or 3" };
        if !(optional..=optional + 1).contains(&self.inputs.len()) {
            return Err(self.count(expected));
        }
        let lengths = Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I32);
        match self.inputs.get(optional) {
            Some(input) if *input != lengths => {
                Err(self.bad(optional, format!("{lengths}"), *input))
            }
            Some(_) if self.inputs[0].rows != Dim::TOKENS => Err(self.bad(
                0,
                "one row per token if lengths are given".to_owned(),
                self.inputs[0],
            )),
            _ => Ok(self.inputs[0]),
        }
    }

    pub(super) fn head_width(
        &self,
        heads: u32,
        form: &Form,
        input: usize,
    ) -> Result<(), ProgramError> {
        if heads == 0 || !form.columns.is_fixed() || !form.columns.units.is_multiple_of(heads) {
            return Err(self.bad(input, format!("a multiple of {heads} columns"), *form));
        }
        Ok(())
    }

    pub(super) fn window(&self, window: &Window, x: &Form) -> Result<[u32; 2], ProgramError> {
        self.fixed(x)?;
        let pixels = window.height.checked_mul(window.width).map(Dim::fixed);
        if pixels != Some(x.rows) {
            return Err(self.bad(0, format!("{}×{} pixels", window.height, window.width), *x));
        }
        let area = window.kernel[0].checked_mul(window.kernel[1]);
        self.require(
            area.is_some_and(|area| area <= COLUMNS_MAX),
            "expected a window of at most 65536 pixels",
        )?;
        self.window_positions(window)
    }

    /// The height and width of a window's positions.
    pub(super) fn window_positions(&self, window: &Window) -> Result<[u32; 2], ProgramError> {
        window.output().ok_or_else(|| self.number("expected a window that fits the image"))
    }

    pub(super) fn area(&self, height: u32, width: u32) -> Result<Dim, ProgramError> {
        height
            .checked_mul(width)
            .map(Dim::fixed)
            .ok_or_else(|| self.number("expected fewer than 2^32 pixels"))
    }

    pub(super) fn exponentials(&self, table: ConstantId) -> Result<(), ProgramError> {
        self.table("table", table, 256, 1, Dtype::I16)
    }

    pub(super) fn row_scale(
        &self,
        input: usize,
        x: &Form,
        scale: &Form,
    ) -> Result<(), ProgramError> {
        let expected = Form { columns: Dim::fixed(1), dtype: Dtype::I32, ..*x };
        if *scale != expected {
            return Err(self.bad(input, format!("{expected}"), *scale));
        }
        Ok(())
    }

    pub(super) fn table(
        &self,
        which: &'static str,
        id: ConstantId,
        rows: u32,
        columns: u32,
        dtype: Dtype,
    ) -> Result<(), ProgramError> {
        let got = self.constant(id)?;
        let expected = Extent { rows, columns, dtype };
        if got != expected {
            return Err(self.extent(which, format!("{expected}"), got));
        }
        Ok(())
    }

    pub(super) fn numbers(&self, shifts: &[u8], clamp: Option<&Clamp>) -> Result<(), ProgramError> {
        self.require(shifts.iter().all(|&shift| shift <= SHIFT_MAX), "expected shifts up to 62")?;
        let Some(clamp) = clamp else { return Ok(()) };
        let (min, max) = clamp.dtype.range();
        let fits = min <= clamp.min && clamp.min <= clamp.max && clamp.max <= max;
        self.require(fits, "expected a clamp within the range of its type")
    }

    pub(super) fn constant(&self, id: ConstantId) -> Result<Extent, ProgramError> {
        let constant = self.constants.get(id.0 as usize).copied();
        constant.ok_or_else(|| ProgramError::Constant { step: self.step.to_owned(), constant: id })
    }

    pub(super) fn one(&self) -> Result<Form, ProgramError> {
        let [x] = self.inputs else { return Err(self.count("1")) };
        Ok(*x)
    }

    pub(super) fn two(&self) -> Result<[Form; 2], ProgramError> {
        let [a, b] = self.inputs else { return Err(self.count("2")) };
        Ok([*a, *b])
    }

    pub(super) fn typed(&self, input: usize, dtype: Dtype) -> Result<Form, ProgramError> {
        let Some(form) = self.inputs.get(input) else { return Err(self.count("more")) };
        if form.dtype != dtype {
            return Err(self.bad(input, format!("{dtype}"), *form));
        }
        Ok(*form)
    }

    /// The columns of a form whose columns do not depend on the run.
    pub(super) fn fixed(&self, form: &Form) -> Result<u32, ProgramError> {
        if !form.columns.is_fixed() {
            return Err(self.bad(0, "columns that no run changes".to_owned(), *form));
        }
        Ok(form.columns.units)
    }

    pub(super) fn require(&self, holds: bool, what: &'static str) -> Result<(), ProgramError> {
        if holds { Ok(()) } else { Err(self.number(what)) }
    }

    pub(super) fn number(&self, what: &'static str) -> ProgramError {
        ProgramError::Number { step: self.step.to_owned(), what }
    }

    pub(super) fn count(&self, expected: &'static str) -> ProgramError {
        let (step, got) = (self.step.to_owned(), self.inputs.len());
        ProgramError::Inputs { step, op: self.op.name(), expected, got }
    }

    pub(super) fn bad(&self, input: usize, expected: String, got: Form) -> ProgramError {
        ProgramError::Form { step: self.step.to_owned(), input, expected, got }
    }

    pub(super) fn extent(
        &self,
        which: &'static str,
        expected: String,
        got: Extent,
    ) -> ProgramError {
        ProgramError::Extent { step: self.step.to_owned(), which, expected, got }
    }
}
