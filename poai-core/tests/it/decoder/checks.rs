//! The conditions on steps of decoders. Each is tested at its edges, and each
//! is violated alone.

use super::{AN_ITEM, FIRST, NARROW, REQUEST, attention, constants, heads, operands, program};
use crate::program_checks::{I8, I16, I32, fixed, refused, tokens};
use poai_core::program::{
    Clamp, DecoderOp, Dim, Dtype, Extent, Form, Op, RunShape, RunShapeError, ValueId,
};

fn step(op: DecoderOp, inputs: &[Form], constants: &[(u32, u32, Dtype)]) -> Result<Form, String> {
    crate::program_checks::step(Op::Decoder(op), inputs, constants)
}

/// Checks that a step takes exactly these inputs: neither fewer nor more, and
/// only such as have rows for every item.
fn count(op: &DecoderOp, inputs: &[Form], constants: &[(u32, u32, Dtype)]) {
    step(op.clone(), inputs, constants).unwrap();
    let fewer = &inputs[..inputs.len() - 1];
    let more = [inputs, &[AN_ITEM; 2]].concat();
    for inputs in [fewer, &more, &[]] {
        refused(step(op.clone(), inputs, constants), "inputs, got");
    }
    for input in 0..inputs.len() {
        let mut shared = inputs.to_vec();
        let Form { rows, columns, dtype, .. } = inputs[input];
        shared[input] = Form::shared(rows, columns, dtype);
        refused(step(op.clone(), &shared, constants), "expected");
    }
}

#[test]
fn norms_take_wide_rows() {
    let op = |epsilon, shift| DecoderOp::RmsNorm { affine: FIRST, epsilon, shift };
    let affine = [(7, 2, I32)];
    for x in [fixed(4, 7, I16), fixed(4, 7, I32), tokens(7, I32)] {
        assert_eq!(step(op(0, 62), &[x], &affine), Ok(Form { dtype: I16, ..x }));
    }
    let x = fixed(4, 7, I32);
    count(&op(i32::MAX, 0), &[x], &affine);
    refused(step(op(-1, 0), &[x], &affine), "expected an epsilon of at least 0");
    refused(step(op(0, 63), &[x], &affine), "expected shifts up to 62");
    refused(step(op(0, 0), &[fixed(4, 7, I8)], &affine), "input 0 expected i16 or i32");
    for affine in [(6, 2, I32), (7, 1, I32), (7, 2, I16)] {
        refused(step(op(0, 0), &[x], &[affine]), "constant affine expected 7×2 i32");
    }
    let wide = Form { columns: Dim::TOKENS, ..x };
    refused(step(op(0, 0), &[wide], &affine), "columns that no run changes");
}

#[test]
fn turns_make_rows_of_heads() {
    let op = |heads, shift| DecoderOp::Rotary { turns: FIRST, heads, shift };
    let x = tokens(24, I16);
    for turned in [2, 8] {
        assert_eq!(step(op(3, 62), &[x], &[(5, turned, I16)]), Ok(heads(3, 8, I16)));
    }
    count(&op(3, 0), &[x], &[(5, 8, I16)]);
    refused(step(op(3, 63), &[x], &[(5, 8, I16)]), "expected shifts up to 62");
    for turns in [(5, 7, I16), (5, 10, I16), (5, 8, I32)] {
        refused(step(op(3, 0), &[x], &[turns]), "an even number of columns up to 8");
    }
    for heads in [0, 5, 48] {
        refused(step(op(heads, 0), &[x], &[(5, 2, I16)]), "columns");
    }
    refused(step(op(3, 0), &[tokens(24, I32)], &[(5, 8, I16)]), "input 0 expected i16");
    for x in [fixed(4, 24, I16), heads(2, 24, I16)] {
        refused(step(op(3, 0), &[x], &[(5, 8, I16)]), "one row for each token");
    }
    // The table has a row for each place.
    let program = program(op(3, 0), &[x], &[(5, 8, I16)]);
    let run = |sequence| program.extents(&RunShape::new(2, sequence)).map(drop);
    assert_eq!(run(5), Ok(()));
    let long = RunShapeError::TooLong { value: ValueId(1), sequence: 6, length: 5 };
    assert_eq!(run(6), Err(long));
}

#[test]
fn mixes_have_blocks_that_divide() {
    let op = |block, shift, clamp| DecoderOp::Mix { scale: FIRST, block, shift, clamp };
    let x = fixed(4, 24, I32);
    for block in [1, 2, 4, 8] {
        let output = step(op(block, 62, NARROW), &[x], &[(24, 1, I32)]);
        assert_eq!(output, Ok(fixed(4, 24, I16)));
    }
    count(&op(8, 0, NARROW), &[x], &[(24, 1, I32)]);
    for block in [0, 3, 16, 24, 32, 1 << 31] {
        let why = "expected a block of a power of two that divides the columns";
        refused(step(op(block, 0, NARROW), &[x], &[(24, 1, I32)]), why);
    }
    refused(step(op(8, 63, NARROW), &[x], &[(24, 1, I32)]), "expected shifts up to 62");
    let wide = Clamp { dtype: I8, min: -65, max: 0 };
    refused(step(op(8, 0, wide), &[x], &[(24, 1, I32)]), "expected a clamp");
    // Only rows of heads have scales for each head.
    let of_heads = heads(3, 24, I8);
    for (x, rows) in [(of_heads, 24), (of_heads, 72), (tokens(24, I8), 24)] {
        let output = step(op(8, 0, NARROW), &[x], &[(rows, 1, I32)]);
        assert_eq!(output, Ok(Form { dtype: I16, ..x }));
    }
    for (x, rows) in [(of_heads, 48), (tokens(24, I8), 72), (x, 96), (x, 23)] {
        refused(step(op(8, 0, NARROW), &[x], &[(rows, 1, I32)]), "constant scale expected");
    }
    for scale in [(24, 2, I32), (24, 1, I16)] {
        refused(step(op(8, 0, NARROW), &[x], &[scale]), "constant scale expected");
    }
}

#[test]
fn attention_takes_heads_of_queries_and_keys() {
    let op = |heads, key_heads| attention(heads, key_heads, 3, [0, 62, 0, 62]);
    let output = Ok(tokens(32, I16));
    assert_eq!(step(op(4, 2), &operands(4, 2, 8), &constants(4, 8)), output);
    let with_lengths = [&operands(4, 3, 8)[..], &[AN_ITEM]].concat();
    assert_eq!(step(op(4, 3), &with_lengths, &constants(4, 8)), output);
    count(&op(4, 2), &operands(4, 2, 8), &constants(4, 8));
    for (queries, keys) in [(4, 0), (4, 5), (0, 0)] {
        let why = "expected 1 or more heads of keys";
        refused(step(op(queries, keys), &operands(4, 2, 8), &constants(4, 8)), why);
    }
    for at in 0..4 {
        let mut shifts = [0; 4];
        shifts[at] = 63;
        let op = attention(4, 2, 0, shifts);
        refused(step(op, &operands(4, 2, 8), &constants(4, 8)), "expected shifts up to 62");
    }
    // Every input has one form.
    for input in 0..6 {
        let inputs = [&operands(4, 2, 8)[..], &[AN_ITEM]].concat();
        let own = inputs[input];
        for other in [
            Form { rows: Dim { units: own.rows.units + 1, ..own.rows }, ..own },
            Form { columns: Dim { units: own.columns.units + 1, ..own.columns }, ..own },
            Form { dtype: I16, ..own },
            Form { rows: Dim::per_answer(own.rows.units), ..own },
        ] {
            let mut inputs = inputs.clone();
            inputs[input] = other;
            let result = step(op(4, 2), &inputs, &constants(4, 8));
            assert!(result.is_err(), "input {input}: {other}");
        }
    }
    for at in 0..3 {
        for changed in 0..3 {
            let mut constants = constants(4, 8);
            let (rows, columns, dtype) = &mut constants[at];
            match changed {
                0 => *rows += 1,
                1 => *columns += 1,
                _ => *dtype = I8,
            }
            refused(step(op(4, 2), &operands(4, 2, 8), &constants), "constant");
        }
    }
    let wide = step(op(1 << 10, 1), &operands(1 << 10, 1, 1 << 10), &constants(1 << 10, 1 << 10));
    assert_eq!(wide, Ok(tokens(1 << 20, I16)));
    let wider = operands(1 << 10, 1, (1 << 10) + 1);
    let why = "expected at most 2^20 columns of all heads";
    refused(step(op(1 << 10, 1), &wider, &constants(1 << 10, 1 << 10)), why);
    // Both products count.
    let program = program(op(4, 2), &operands(4, 2, 8), &constants(4, 8));
    let run = RunShape::new(3, 5);
    assert_eq!(program.macs(ValueId(5), &run), 2 * 3 * 5 * 5 * 32);
    assert_eq!(program.macs_with_weights(&run), 0);
    assert!(program.steps()[0].op.is_product());
}

#[test]
fn tails_have_rows_of_answers() {
    let tail = |inputs: &[Form]| step(DecoderOp::Tail, inputs, &[]);
    let output = Form::new(Dim::ANSWERS, Dim::fixed(7), I8);
    assert_eq!(tail(&[tokens(7, I8), AN_ITEM]), Ok(output));
    count(&DecoderOp::Tail, &[tokens(7, I8), AN_ITEM], &[]);
    for x in [fixed(4, 7, I8), heads(2, 7, I8), output] {
        refused(tail(&[x, AN_ITEM]), "one row for each token");
    }
    for starts in [fixed(1, 1, I16), fixed(2, 1, I32), fixed(1, 2, I32), tokens(1, I32)] {
        refused(tail(&[tokens(7, I8), starts]), "input 1 expected batch·1×1 i32");
    }
}

#[test]
fn samples_take_requests() {
    let op = |shift| DecoderOp::Sample { table: FIRST, shift };
    let table = [(256, 1, I32)];
    let answers = Form::new(Dim::ANSWERS, Dim::fixed(7), I16);
    for x in [answers, tokens(7, I32), fixed(4, 7, I8)] {
        let output = Form { columns: Dim::fixed(1), dtype: I32, ..x };
        assert_eq!(step(op(62), &[x, REQUEST], &table), Ok(output));
    }
    count(&op(0), &[answers, REQUEST], &table);
    refused(step(op(63), &[answers, REQUEST], &table), "expected shifts up to 62");
    for table in [(255, 1, I32), (256, 2, I32), (256, 1, I16)] {
        refused(step(op(0), &[answers, REQUEST], &[table]), "constant table expected 256×1 i32");
    }
    for request in [fixed(1, 10, I32), fixed(2, 11, I32), fixed(1, 11, I16), tokens(11, I32)] {
        refused(step(op(0), &[answers, request], &table), "input 1 expected batch·1×11 i32");
    }
    let wide = Form { columns: Dim::TOKENS, ..answers };
    refused(step(op(0), &[wide, REQUEST], &table), "columns that no run changes");
}

#[test]
fn limbs_take_scales_of_rows() {
    for low in [false, true] {
        let op = DecoderOp::Limb { low };
        for x in [fixed(4, 7, I32), tokens(7, I16), heads(3, 7, I8)] {
            let scale = Form { columns: Dim::fixed(1), dtype: I32, ..x };
            assert_eq!(step(op.clone(), &[x, scale], &[]), Ok(Form { dtype: I8, ..x }));
        }
        count(&op, &[fixed(4, 7, I32), fixed(4, 1, I32)], &[]);
        for scale in [fixed(4, 2, I32), fixed(3, 1, I32), fixed(4, 1, I16), tokens(1, I32)] {
            refused(step(op.clone(), &[fixed(4, 7, I32), scale], &[]), "input 1 expected");
        }
    }
}

/// Columns of i16 and i32 go up to 2^20, those of operands to 2^16, and those of
/// transposed batches to 2^17 − 1.
#[test]
fn columns_have_limits() {
    let extent = |columns, dtype| Extent::new(1, columns, dtype).is_some();
    for (dtype, most) in [(I8, (1 << 17) - 1), (I16, 1 << 20), (I32, 1 << 20)] {
        assert!(extent(most, dtype) && !extent(most + 1, dtype), "{dtype}");
    }
    let reshape = |columns, dtype| {
        let op = Op::Reshape { rows: Dim::fixed(2), columns: Dim::fixed(columns) };
        crate::program_checks::step(op, &[fixed(2 * columns, 1, dtype)], &[])
    };
    for (dtype, most) in [(I8, 1 << 16), (I16, 1 << 20), (I32, 1 << 20)] {
        assert_eq!(reshape(most, dtype), Ok(fixed(2, most, dtype)));
        refused(reshape(most + 1, dtype), "as many entries as");
    }
}

/// A run has answers exactly if a form is per answer.
#[test]
fn runs_have_answers() {
    let tail = program(DecoderOp::Tail, &[tokens(7, I8), AN_ITEM], &[]);
    let run = RunShape::new(3, 5);
    assert!(tail.has_answers() && tail.has_tokens());
    let extents = tail.extents(&run.answers(9)).unwrap();
    assert_eq!(extents.last().copied(), Extent::new(27, 7, I8));
    let error = RunShapeError::Answers { expected: "1 or more", answers: 0 };
    assert_eq!(tail.extents(&run), Err(error));
    let other = program(DecoderOp::Limb { low: true }, &[tokens(7, I8), tokens(1, I32)], &[]);
    assert!(!other.has_answers());
    other.extents(&run).unwrap();
    let error = RunShapeError::Answers { expected: "no", answers: 1 };
    assert_eq!(other.extents(&run.answers(1)), Err(error));
    let large = tail.extents(&RunShape::new(1 << 20, 1).answers(1 << 20));
    assert!(matches!(large, Err(RunShapeError::TooLarge { value: ValueId(2), .. })), "{large:?}");
}
