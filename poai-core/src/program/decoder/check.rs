//! The form of the output of a step of decoders, and every check of its inputs
//! and numbers.

use super::{DecoderOp, REQUEST_COLUMNS};
use crate::program::check::Check;
use crate::program::error::ProgramError;
use crate::program::op::ConstantId;
use crate::program::tensor::{Dim, Dtype, Form, Per};
use alloc::borrow::ToOwned;
use alloc::format;

/// A number for each item.
const AN_ITEM: Form = Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I32);
/// The request of each item.
const REQUEST: Form = Form::new(Dim::fixed(1), Dim::fixed(REQUEST_COLUMNS), Dtype::I32);

/// The numbers of grouped attention that its forms depend on.
struct Heads {
    heads: u32,
    key_heads: u32,
    alpha: ConstantId,
    table: ConstantId,
    scale: ConstantId,
}

impl Check<'_> {
    /// The form of the output of a step of decoders.
    pub(in crate::program) fn decoder(&self, op: &DecoderOp) -> Result<Form, ProgramError> {
        match op {
            DecoderOp::RmsNorm { affine, epsilon, shift } => {
                self.numbers(&[*shift], None)?;
                self.require(*epsilon >= 0, "expected an epsilon of at least 0")?;
                let x = self.one()?;
                if x.dtype == Dtype::I8 {
                    return Err(self.bad(0, "i16 or i32".to_owned(), x));
                }
                self.table("affine", *affine, self.fixed(&x)?, 2, Dtype::I32)?;
                Ok(Form { dtype: Dtype::I16, ..x })
            }
            DecoderOp::Rotary { turns, heads, shift } => self.rotary(*turns, *heads, *shift),
            DecoderOp::Mix { scale, block, shift, clamp } => {
                self.numbers(&[*shift], Some(clamp))?;
                let x = self.one()?;
                let columns = self.fixed(&x)?;
                self.require(
                    block.is_power_of_two() && columns.is_multiple_of(*block),
                    "expected a block of a power of two that divides the columns",
                )?;
                let heads = if x.rows.per == Per::Token { x.rows.units } else { 1 };
                let got = self.constant(*scale)?;
                let of_heads = columns.checked_mul(heads) == Some(got.rows);
                let fits = (got.rows == columns || of_heads) && got.columns == 1;
                if got.dtype != Dtype::I32 || !fits {
                    let expected = format!("i32 of {columns} rows, or as many for each head");
                    return Err(self.extent("scale", expected, got));
                }
                Ok(Form { dtype: clamp.dtype, ..x })
            }
            DecoderOp::Attention { heads, key_heads, alpha, table, scale, shifts, .. } => {
                self.numbers(shifts, None)?;
                let (heads, key_heads) = (*heads, *key_heads);
                let (alpha, table, scale) = (*alpha, *table, *scale);
                self.attention(&Heads { heads, key_heads, alpha, table, scale })
            }
            DecoderOp::Tail => {
                let [x, starts] = self.two()?;
                self.tokens(0, &x)?;
                self.fixed(&x)?;
                self.exactly(1, &AN_ITEM, &starts)?;
                Ok(Form { rows: Dim::ANSWERS, ..x })
            }
            DecoderOp::Sample { table, shift } => {
                self.numbers(&[*shift], None)?;
                self.table("table", *table, 256, 1, Dtype::I32)?;
                let [x, request] = self.two()?;
                self.fixed(&x)?;
                self.exactly(1, &REQUEST, &request)?;
                Ok(Form { columns: Dim::fixed(1), dtype: Dtype::I32, ..x })
            }
            DecoderOp::Limb { .. } => {
                let [x, scale] = self.two()?;
                self.row_scale(1, &x, &scale)?;
                Ok(Form { dtype: Dtype::I8, ..x })
            }
        }
    }

    fn rotary(&self, turns: ConstantId, heads: u32, shift: u8) -> Result<Form, ProgramError> {
        self.numbers(&[shift], None)?;
        let x = self.typed(0, Dtype::I16)?;
        self.one()?;
        self.tokens(0, &x)?;
        self.head_width(heads, &x, 0)?;
        let width = x.columns.units / heads;
        let turns = self.constant(turns)?;
        let fits = turns.columns.is_multiple_of(2) && turns.columns <= width;
        if turns.dtype != Dtype::I16 || !fits {
            let expected = format!("i16 of an even number of columns up to {width}");
            return Err(self.extent("turns", expected, turns));
        }
        Ok(Form { rows: Dim::per_token(heads), columns: Dim::fixed(width), ..x })
    }

    fn attention(&self, shape: &Heads) -> Result<Form, ProgramError> {
        let Heads { heads, key_heads, .. } = *shape;
        if !(5..=6).contains(&self.inputs.len()) {
            return Err(self.count("5 or 6"));
        }
        self.require(
            (1..=heads).contains(&key_heads),
            "expected 1 or more heads of keys, and at most as many as of queries",
        )?;
        let q = self.typed(0, Dtype::I8)?;
        let width = self.fixed(&q)?;
        let operand = |heads| Form::new(Dim::per_token(heads), Dim::fixed(width), Dtype::I8);
        let scales = |heads| Form { columns: Dim::fixed(1), dtype: Dtype::I32, ..operand(heads) };
        let too_many = || self.number("expected at most 2^20 columns of all heads");
        let columns = heads.checked_mul(width).filter(|&n| n <= Dtype::I16.columns_max());
        let columns = columns.ok_or_else(too_many)?;
        // Exact: there are not more heads of keys than of queries.
        let rows = Dim::fixed(key_heads * width);
        let forms = [
            operand(heads),
            scales(heads),
            operand(key_heads),
            scales(key_heads),
            Form::new(rows, Dim::TOKENS, Dtype::I8),
            AN_ITEM,
        ];
        for (input, (expected, got)) in forms.iter().zip(self.inputs).enumerate() {
            self.exactly(input, expected, got)?;
        }
        self.table("alpha", shape.alpha, heads, 1, Dtype::I32)?;
        self.exponentials(shape.table)?;
        self.table("scale", shape.scale, columns, 1, Dtype::I32)?;
        Ok(Form::new(Dim::TOKENS, Dim::fixed(columns), Dtype::I16))
    }

    /// Checks that an input has one row for each token.
    fn tokens(&self, input: usize, x: &Form) -> Result<(), ProgramError> {
        if x.rows.per == Per::Token && x.rows.units == 1 {
            return Ok(());
        }
        Err(self.bad(input, "one row for each token".to_owned(), *x))
    }
}
