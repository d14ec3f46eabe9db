//! The form of a training step's output, and every check of its inputs and
//! numbers.

use super::{BlockKind, EXPONENT_SHIFT_MAX, EXPONENTS_MAX, Shift, TrainingOp};
use crate::program::check::Check;
use crate::program::error::ProgramError;
use crate::program::op::{Clamp, ConstantId, Window};
use crate::program::tensor::{BatchAxis, COLUMNS_MAX, Dim, Dtype, Form};
use alloc::borrow::ToOwned;
use alloc::format;

/// The largest offset of a block's a, which keeps its sums in i32.
const OFFSET_MAX: i32 = 64;
/// The largest power of two that stands for 1 in a loss's gradient.
const FRACTION_MAX: u8 = 30;
/// The most samples of a dataset, so that i32 numbers them.
const SAMPLES_MAX: u32 = 1 << 31;
/// The largest shift of a second moment.
const MOMENT_SHIFT_MAX: u8 = 30;

/// A number or a number for each of several rows: 1×1 and shared.
const ONE: Form = Form::shared(Dim::fixed(1), Dim::fixed(1), Dtype::I32);
/// The form of a seed.
const SEED: Form = Form::shared(Dim::fixed(8), Dim::fixed(1), Dtype::I32);

impl Check<'_> {
    /// The form of a training step's output.
    pub(in crate::program) fn training(&self, op: &TrainingOp) -> Result<Form, ProgramError> {
        match op {
            TrainingOp::ScaledProduct { shift, bias, bias_shift, clamp } => {
                self.scaled_product(shift, *bias, *bias_shift, clamp)
            }
            TrainingOp::TransposeTiles => {
                let x = self.one()?;
                let batch = match x.batch {
                    BatchAxis::Rows => BatchAxis::Columns,
                    BatchAxis::Columns => BatchAxis::Rows,
                    BatchAxis::None => BatchAxis::None,
                };
                Ok(Form { rows: x.columns, columns: x.rows, batch, ..x })
            }
            TrainingOp::Exponent { per_row } => {
                let m = self.one()?;
                self.column(0, &m)?;
                Ok(if *per_row { m } else { ONE })
            }
            TrainingOp::Rescale { shift, stream, clamp, .. } => {
                self.numbers(&[], Some(clamp))?;
                let random = if stream.is_some() { 2 } else { 0 };
                let exponents = self.exponents(shift, 1, random)?;
                let x = self.input(0)?;
                self.exponent_forms(exponents, &x)?;
                if random > 0 {
                    self.seed_and_t(1 + shift.signs.len())?;
                }
                Ok(Form { dtype: clamp.dtype, ..x })
            }
            TrainingOp::RowSum => Ok(rows_of(&self.one()?)),
            TrainingOp::Gate { table, index_shift, shift, clamp } => {
                self.numbers(&[*index_shift, *shift], Some(clamp))?;
                let extent = self.constant(*table)?;
                let small = extent.dtype != Dtype::I32;
                if (extent.rows, extent.columns) != (256, 1) || !small {
                    return Err(self.extent("table", "256×1 i8 or i16".to_owned(), extent));
                }
                let [g, x] = self.two()?;
                self.like(1, &g, &x)?;
                Ok(Form { dtype: clamp.dtype, ..g })
            }
            TrainingOp::CrossEntropy { table, multiplier, shift, fraction } => {
                self.numbers(&[*shift], None)?;
                self.exponentials(*table)?;
                self.require(
                    *multiplier >= 0 && *fraction <= FRACTION_MAX,
                    "expected a multiplier of at least 0 and a fraction of at most 30",
                )?;
                let [x, labels] = self.two()?;
                self.ids(1, &labels, &x)?;
                Ok(Form { dtype: Dtype::I32, ..x })
            }
            TrainingOp::NormaliseGradient { shift, clamp, .. } => {
                self.numbers(&[*shift], Some(clamp))?;
                let [x, dz] = self.two()?;
                self.typed(0, Dtype::I16)?;
                self.typed(1, Dtype::I32)?;
                self.like(1, &x, &dz)?;
                Ok(Form { dtype: clamp.dtype, ..x })
            }
            TrainingOp::Gather { table } => self.gather(*table),
            TrainingOp::ScatterAdd { rows } => {
                let [x, ids] = self.two()?;
                self.batched(0, &x)?;
                self.ids(1, &ids, &x)?;
                Ok(Form::shared(Dim::fixed(*rows), x.columns, Dtype::I32))
            }
            TrainingOp::UnfoldGradient(window) => {
                let dy = self.one()?;
                let [down, right] = window.kernel;
                let area = down
                    .checked_mul(right)
                    .filter(|area| (1..=COLUMNS_MAX).contains(area))
                    .ok_or_else(|| self.number("expected a window of 1 to 65536 pixels"))?;
                let columns = self.fixed(&dy)?;
                if !columns.is_multiple_of(area) {
                    return Err(self.bad(0, format!("a multiple of {area} columns"), dy));
                }
                self.positions(0, window, &dy)?;
                let rows = self.area(window.height, window.width)?;
                let columns = Dim::fixed(columns / area);
                Ok(Form { rows, columns, dtype: Dtype::I32, ..dy })
            }
            TrainingOp::MaxPoolGradient(window) => {
                let [x, dy] = self.two()?;
                self.batched(0, &x)?;
                self.window(window, &x)?;
                self.positions(1, window, &dy)?;
                if dy.columns != x.columns {
                    return Err(self.bad(1, format!("{} columns", x.columns), dy));
                }
                Ok(Form { dtype: Dtype::I32, ..x })
            }
            TrainingOp::Block { kind, heads, shift, offset, clamp, .. } => {
                self.require((0..=OFFSET_MAX).contains(offset), "expected an offset in 0..=64")?;
                self.block(*kind, *heads, shift, clamp)
            }
            TrainingOp::Exponentials { table, multiplier, shift, .. } => {
                self.numbers(&[*shift], None)?;
                self.exponentials(*table)?;
                self.require(*multiplier >= 0, "expected a multiplier of at least 0")?;
                let x = self.one()?;
                self.scores(0, &x)?;
                Ok(Form { dtype: Dtype::I8, ..x })
            }
            TrainingOp::DivideBySums { shift, clamp } => {
                self.numbers(&[*shift], Some(clamp))?;
                let [x, w] = self.two()?;
                self.batched(0, &x)?;
                let heads = self.scores(1, &w)?;
                self.typed(1, Dtype::I8)?;
                if w.columns != x.rows {
                    return Err(self.bad(1, format!("{} columns", x.rows), w));
                }
                self.head_width(heads, &x, 0)?;
                Ok(Form { dtype: clamp.dtype, ..x })
            }
            TrainingOp::SoftmaxGradient => {
                let [w, d] = self.two()?;
                self.typed(0, Dtype::I8)?;
                self.like(1, &w, &d)?;
                Ok(Form { dtype: Dtype::I32, ..w })
            }
            TrainingOp::Descend { shift, decay, clamp } => {
                self.base(*shift)?;
                self.numbers(&[*decay], Some(clamp))?;
                let [w, d, rate] = self.three()?;
                self.like(1, &w, &d)?;
                self.exactly(2, &ONE, &rate)?;
                Ok(Form { dtype: clamp.dtype, ..w })
            }
            TrainingOp::SecondMoment { shift } => {
                self.require((1..=MOMENT_SHIFT_MAX).contains(shift), "expected a shift in 1..=30")?;
                let [r, g] = self.two()?;
                self.typed(0, Dtype::I32)?;
                self.typed(1, Dtype::I32)?;
                self.like(1, &r, &g)?;
                Ok(r)
            }
            TrainingOp::Ratio { clamp } => {
                self.numbers(&[], Some(clamp))?;
                let [a, r] = self.two()?;
                self.typed(0, Dtype::I32)?;
                self.typed(1, Dtype::I32)?;
                self.like(1, &a, &r)?;
                Ok(Form { dtype: clamp.dtype, ..a })
            }
            TrainingOp::MeanPoolGradient { rows } => {
                let dy = self.input(0)?;
                self.batched(0, &dy)?;
                if dy.rows != Dim::fixed(1) {
                    return Err(self.bad(0, "one row an item".to_owned(), dy));
                }
                match self.inputs {
                    [_] => {}
                    [_, lengths] => {
                        let one = Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I32);
                        self.exactly(1, &one, lengths)?;
                    }
                    _ => return Err(self.count("1 or 2")),
                }
                Ok(Form { rows: *rows, dtype: Dtype::I32, ..dy })
            }
            TrainingOp::Draw { samples } => {
                let permitted = 1..=SAMPLES_MAX;
                self.require(permitted.contains(samples), "expected 1 to 2^31 samples")?;
                self.two()?;
                self.seed_and_t(0)?;
                Ok(Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I32))
            }
            TrainingOp::NextExponent => {
                let [exponent, m] = self.two()?;
                self.exactly(0, &ONE, &exponent)?;
                self.column(1, &m)?;
                Ok(ONE)
            }
        }
    }

    fn scaled_product(
        &self,
        shift: &Shift,
        bias: bool,
        bias_shift: u8,
        clamp: &Clamp,
    ) -> Result<Form, ProgramError> {
        self.numbers(&[bias_shift], Some(clamp))?;
        self.require(bias || bias_shift == 0, "expected a shift of 0 without a bias")?;
        let own = if bias { 3 } else { 2 };
        let exponents = self.exponents(shift, own, 0)?;
        let (a, b) = (self.typed(0, Dtype::I8)?, self.typed(1, Dtype::I8)?);
        let expected = match a.batch {
            BatchAxis::Columns => BatchAxis::Columns,
            BatchAxis::Rows | BatchAxis::None => BatchAxis::None,
        };
        if b.columns != a.columns || b.batch != expected {
            let expected = Form { rows: b.rows, batch: expected, ..a };
            return Err(self.bad(1, format!("{expected}"), b));
        }
        self.require(b.rows.is_fixed(), "expected rows of b that are a number")?;
        let batch = match a.batch {
            BatchAxis::Rows => BatchAxis::Rows,
            BatchAxis::Columns | BatchAxis::None => BatchAxis::None,
        };
        if bias {
            let expected = Form::shared(b.rows, Dim::fixed(1), Dtype::I32);
            self.exactly(2, &expected, &self.input(2)?)?;
        }
        let output = Form { rows: a.rows, columns: b.rows, dtype: clamp.dtype, batch };
        self.require(
            output.columns.units <= output.dtype.columns_max(),
            "expected a product of fewer columns",
        )?;
        self.exponent_forms(exponents, &output)?;
        Ok(output)
    }

    fn gather(&self, table: Option<ConstantId>) -> Result<Form, ProgramError> {
        let (columns, dtype, ids) = match table {
            Some(table) => {
                let table = self.constant(table)?;
                (Dim::fixed(table.columns), table.dtype, self.one()?)
            }
            None => {
                let [table, ids] = self.two()?;
                if table.batch != BatchAxis::None || !table.rows.is_fixed() {
                    return Err(self.bad(0, "a shared value".to_owned(), table));
                }
                (table.columns, table.dtype, ids)
            }
        };
        let input = self.inputs.len() - 1;
        self.typed(input, Dtype::I32)?;
        if ids.columns != Dim::fixed(1) || ids.batch == BatchAxis::Columns {
            return Err(self.bad(input, "one column of ids".to_owned(), ids));
        }
        Ok(Form { columns, dtype, ..ids })
    }

    fn block(
        &self,
        kind: BlockKind,
        heads: u32,
        shift: &Shift,
        clamp: &Clamp,
    ) -> Result<Form, ProgramError> {
        self.numbers(&[], Some(clamp))?;
        let exponents = self.exponents(shift, 2, 0)?;
        let (a, b) = (self.typed(0, Dtype::I8)?, self.typed(1, Dtype::I8)?);
        self.batched(0, &a)?;
        self.batched(1, &b)?;
        self.head_width(heads, &b, 1)?;
        let rows = b.rows.units.checked_mul(heads).map(|units| Dim { units, ..b.rows });
        let rows = rows.ok_or_else(|| self.number("expected fewer than 2^32 rows of scores"))?;
        let output = match kind {
            BlockKind::Scores => {
                self.like(1, &a, &b)?;
                Form { rows, columns: b.rows, dtype: clamp.dtype, ..a }
            }
            BlockKind::Mix | BlockKind::MixBack => {
                let expected = Form { rows, columns: b.rows, ..a };
                self.exactly(0, &expected, &a)?;
                Form { dtype: clamp.dtype, ..b }
            }
        };
        self.require(
            output.columns.units <= output.dtype.columns_max(),
            "expected a product of fewer columns",
        )?;
        self.exponent_forms(exponents, &output)?;
        Ok(output)
    }

    /// The number of heads of scores: rows of an item that the columns divide.
    fn scores(&self, input: usize, x: &Form) -> Result<u32, ProgramError> {
        self.batched(input, x)?;
        let divided = x.columns.units > 0
            && x.rows.units.is_multiple_of(x.columns.units)
            && x.rows.per == x.columns.per;
        if !divided {
            let expected = "scores: rows an item that the columns divide".to_owned();
            return Err(self.bad(input, expected, *x));
        }
        Ok(x.rows.units / x.columns.units)
    }

    /// The slots of a step's exponents, which follow `own` inputs, and before
    /// the last `after` inputs.
    fn exponents(
        &self,
        shift: &Shift,
        own: usize,
        after: usize,
    ) -> Result<core::ops::Range<usize>, ProgramError> {
        self.base(shift.base)?;
        self.require(shift.signs.len() <= EXPONENTS_MAX, "expected at most 4 exponents")?;
        let end = own + shift.signs.len();
        if self.inputs.len() != end + after {
            return Err(self.count("as many as its operands, signs and random inputs are"));
        }
        Ok(own..end)
    }

    fn exponent_forms(
        &self,
        slots: core::ops::Range<usize>,
        output: &Form,
    ) -> Result<(), ProgramError> {
        for slot in slots {
            let exponent = self.input(slot)?;
            let by_row = rows_of(output);
            if exponent != ONE && exponent != by_row {
                return Err(self.bad(slot, format!("{ONE}, or {by_row}"), exponent));
            }
        }
        Ok(())
    }

    fn seed_and_t(&self, first: usize) -> Result<(), ProgramError> {
        self.exactly(first, &SEED, &self.input(first)?)?;
        self.exactly(first + 1, &ONE, &self.input(first + 1)?)
    }

    fn base(&self, shift: i32) -> Result<(), ProgramError> {
        let permitted = -EXPONENT_SHIFT_MAX..=EXPONENT_SHIFT_MAX;
        self.require(permitted.contains(&shift), "expected a shift in −62..=62")
    }

    /// Checks that an input is i32 in one column, for each row of `x`.
    fn ids(&self, input: usize, ids: &Form, x: &Form) -> Result<(), ProgramError> {
        let expected = Form { columns: Dim::fixed(1), dtype: Dtype::I32, ..*x };
        self.require(x.batch != BatchAxis::Columns, "expected rows that the batch multiplies")?;
        self.exactly(input, &expected, ids)
    }

    /// Checks that an input is i32 in one column.
    fn column(&self, input: usize, m: &Form) -> Result<(), ProgramError> {
        if m.columns != Dim::fixed(1) || m.dtype != Dtype::I32 || m.batch == BatchAxis::Columns {
            return Err(self.bad(input, "row scales: i32, one column".to_owned(), *m));
        }
        Ok(())
    }

    /// Checks that an input has the positions of a window as the rows of an
    /// item.
    fn positions(&self, input: usize, window: &Window, dy: &Form) -> Result<(), ProgramError> {
        self.batched(input, dy)?;
        let [height, width] = self.window_positions(window)?;
        if self.area(height, width)? != dy.rows {
            return Err(self.bad(input, format!("{height}×{width} positions"), *dy));
        }
        Ok(())
    }

    /// Checks that an input has rows for every item.
    fn batched(&self, input: usize, x: &Form) -> Result<(), ProgramError> {
        if x.batch == BatchAxis::Rows {
            return Ok(());
        }
        Err(self.bad(input, "rows for every item".to_owned(), *x))
    }

    /// Checks that an input has the shape of the first, x, of any type. No such
    /// step takes the transpose of a batch.
    fn like(&self, input: usize, x: &Form, got: &Form) -> Result<(), ProgramError> {
        if x.batch == BatchAxis::Columns {
            return Err(self.bad(0, "rows for every item, or a shared value".to_owned(), *x));
        }
        self.exactly(input, &Form { dtype: got.dtype, ..*x }, got)
    }

    pub(in crate::program) fn exactly(
        &self,
        input: usize,
        expected: &Form,
        got: &Form,
    ) -> Result<(), ProgramError> {
        if got == expected {
            return Ok(());
        }
        Err(self.bad(input, format!("{expected}"), *got))
    }

    fn input(&self, input: usize) -> Result<Form, ProgramError> {
        self.inputs.get(input).copied().ok_or_else(|| self.count("more"))
    }

    fn three(&self) -> Result<[Form; 3], ProgramError> {
        let [a, b, c] = self.inputs else { return Err(self.count("3")) };
        Ok([*a, *b, *c])
    }
}

/// A number for each row of a value, i32.
fn rows_of(x: &Form) -> Form {
    let batch = if x.batch == BatchAxis::Rows { BatchAxis::Rows } else { BatchAxis::None };
    Form { rows: x.rows, columns: Dim::fixed(1), dtype: Dtype::I32, batch }
}
