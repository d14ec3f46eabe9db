//! Programs of one step of decoders, of any size, for the tests of bounds.

use poai_core::Root;
use poai_core::program::{
    Builder, Clamp, DecoderOp, Dim, Dtype, Extent, Form, Op, Program, RunShape, ValueId,
};

const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;

/// The number of kinds.
pub const ALL: u32 = 9;

/// The kinds whose rows are tokens or answers, for tests of the largest costs.
pub const GROWING: [u32; 6] = [1, 3, 4, 5, 6, 8];

/// A run of a program: as many answers as `answers`, if it takes any.
pub fn run(program: &Program, batch: u32, sequence: u32, answers: u32) -> RunShape {
    let sequence = if program.has_tokens() { sequence } else { 1 };
    RunShape::new(batch, sequence).answers(if program.has_answers() { answers } else { 0 })
}

/// One step of a kind, given by number, of any size.
pub fn program(kind: u32, [a, b, c, d]: [u32; 4]) -> Option<Program> {
    let fixed = |rows: u32, columns: u32, dtype: Dtype| {
        Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype)
    };
    let tokens = |heads: u32, columns: u32, dtype: Dtype| {
        Form::new(Dim::per_token(heads), Dim::fixed(columns), dtype)
    };
    let an_item = fixed(1, 1, I32);
    let request = fixed(1, 11, I32);
    let key_heads = 1 + a % c;
    let inputs = match kind {
        0 => vec![fixed(a, b * c, I32)],
        1 => vec![tokens(c, 8 * b, I16)],
        2 => vec![fixed(a, b * c, I16), fixed(a, 1, I32)],
        3 => vec![tokens(1, c * d, I16)],
        4 | 5 => {
            let mut inputs = vec![
                tokens(c, d, I8),
                tokens(c, 1, I32),
                tokens(key_heads, d, I8),
                tokens(key_heads, 1, I32),
                Form::new(Dim::fixed(key_heads * d), Dim::TOKENS, I8),
            ];
            inputs.extend((kind == 5).then_some(an_item));
            inputs
        }
        6 => vec![tokens(1, a * b, I16), an_item],
        7 => vec![fixed(a, b * c, I32), request],
        _ => vec![Form { rows: Dim::ANSWERS, ..fixed(1, b * c, I16) }, request],
    };
    let mut builder = Builder::new(&inputs);
    let values: Vec<ValueId> = (0..inputs.len()).map(|input| builder.input(input)).collect();
    let mut constant = |rows, columns, dtype| {
        let extent = Extent::new(rows, columns, dtype)?;
        Some(builder.constant("constant", Root([0; 32]), extent))
    };
    let op = match kind {
        0 => DecoderOp::RmsNorm { affine: constant(b * c, 2, I32)?, epsilon: 1, shift: 3 },
        1 => {
            let (scale, clamp) = (constant(8 * b * c, 1, I32)?, Clamp::full(I16));
            DecoderOp::Mix { scale, block: 8, shift: 3, clamp }
        }
        2 => DecoderOp::Limb { low: true },
        3 => {
            let turns = constant(150, d / 2 * 2, I16)?;
            DecoderOp::Rotary { turns, heads: c, shift: 14 }
        }
        4 | 5 => DecoderOp::Attention {
            heads: c,
            key_heads,
            window: if kind == 5 { b } else { 0 },
            alpha: constant(c, 1, I32)?,
            table: constant(256, 1, I16)?,
            scale: constant(c * d, 1, I32)?,
            shifts: [4, 15, 40, 24],
        },
        6 => DecoderOp::Tail,
        _ => DecoderOp::Sample { table: constant(256, 1, I32)?, shift: 8 },
    };
    builder.step("step", Op::Decoder(op), &values).ok()?;
    builder.finish().ok()
}
