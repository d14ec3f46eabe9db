//! Tests of programs with steps of decoders: the conditions on them (spec §12),
//! their encoding, and which of them are causal (spec §11).

mod causal;
mod checks;
mod encoding;

use crate::program_checks::{I8, I16, I32};
use poai_core::Root;
use poai_core::program::{
    Builder, Clamp, ConstantId, DecoderOp, Dim, Dtype, Extent, Form, Op, Program, ValueId,
};

const NARROW: Clamp = Clamp { dtype: I16, min: -9, max: 300 };
const FIRST: ConstantId = ConstantId(0);

/// A number for each item.
const AN_ITEM: Form = Form::new(Dim::fixed(1), Dim::fixed(1), I32);
const REQUEST: Form = Form::new(Dim::fixed(1), Dim::fixed(11), I32);

fn heads(heads: u32, columns: u32, dtype: Dtype) -> Form {
    Form::new(Dim::per_token(heads), Dim::fixed(columns), dtype)
}

fn attention(heads: u32, key_heads: u32, window: u32, shifts: [u8; 4]) -> DecoderOp {
    let [alpha, table, scale] = [0, 1, 2].map(ConstantId);
    DecoderOp::Attention { heads, key_heads, window, alpha, table, scale, shifts }
}

/// The inputs of attention: heads of queries and of keys, of some columns.
fn operands(queries: u32, keys: u32, width: u32) -> Vec<Form> {
    vec![
        heads(queries, width, I8),
        heads(queries, 1, I32),
        heads(keys, width, I8),
        heads(keys, 1, I32),
        Form::new(Dim::fixed(keys * width), Dim::TOKENS, I8),
    ]
}

/// The constants of attention.
fn constants(queries: u32, width: u32) -> [(u32, u32, Dtype); 3] {
    [(queries, 1, I32), (256, 1, I16), (queries * width, 1, I32)]
}

/// A program of one step of decoders.
fn program(op: DecoderOp, inputs: &[Form], constants: &[(u32, u32, Dtype)]) -> Program {
    let mut builder = Builder::new(inputs);
    for &(rows, columns, dtype) in constants {
        let extent = Extent::new(rows, columns, dtype).unwrap();
        builder.constant("κ", Root([7; 32]), extent);
    }
    let values: Vec<ValueId> = (0..inputs.len() as u32).map(ValueId).collect();
    builder.step("it", Op::Decoder(op), &values).unwrap();
    builder.finish().unwrap()
}
