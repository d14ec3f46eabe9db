//! Tests of the limits of programs, steps and shapes of tensors (spec §11,
//! §12).
//!
//! Each condition is tested at its edges, and each is violated alone.

use poai_core::Root;
use poai_core::program::standard::shift;
use poai_core::program::tensor::Rows;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, Program, ProgramError, RunShape,
    RunShapeError, ValueId, Window,
};
use proptest::prelude::*;

pub const I8: Dtype = Dtype::I8;
pub const I16: Dtype = Dtype::I16;
pub const I32: Dtype = Dtype::I32;

pub fn fixed(rows: u32, columns: u32, dtype: Dtype) -> Form {
    Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype)
}

pub fn tokens(columns: u32, dtype: Dtype) -> Form {
    Form::new(Dim::TOKENS, Dim::fixed(columns), dtype)
}

/// The form of a step's output, or the reason why the step is refused.
pub fn step(op: Op, inputs: &[Form], constants: &[(u32, u32, Dtype)]) -> Result<Form, String> {
    let mut builder = Builder::new(inputs);
    for &(rows, columns, dtype) in constants {
        builder.constant("constant", Root([0; 32]), Extent { rows, columns, dtype });
    }
    let values: Vec<ValueId> = (0..inputs.len()).map(|input| builder.input(input)).collect();
    let value = builder.step("it", op, &values).map_err(|error| error.to_string())?;
    Ok(builder.form(value).unwrap())
}

pub fn refused(result: Result<Form, String>, why: &str) {
    let error = result.expect_err(why);
    assert!(error.contains(why), "{error}, not {why}");
}

#[test]
fn programs_have_sizes() {
    let form = fixed(1, 1, I8);
    let build = |inputs: usize, constants: usize, steps: usize| {
        let mut builder = Builder::new(&vec![form; inputs]);
        for _ in 0..constants {
            builder.constant("", Root([0; 32]), Extent { rows: 256, columns: 1, dtype: I8 });
        }
        // All inputs are added up, then all tables are read.
        let mut value = ValueId(0);
        for step in 0..steps {
            let add = Op::Add { multipliers: [1; 2], shift: 0, clamp: Clamp::SYMMETRIC };
            let table = ConstantId((step + 1).saturating_sub(inputs) as u32);
            value = if step + 1 < inputs {
                builder.step("", add, &[value, ValueId(step as u32 + 1)])
            } else if (table.0 as usize) < constants {
                builder.step("", Op::Table { table, shift: 0, pass_above: false }, &[value])
            } else {
                builder.step("", Op::Relu, &[value])
            }
            .unwrap();
        }
        builder.finish()
    };
    let most = 1 << 16;
    for (inputs, constants, steps) in [(1, 0, 1), (16, 0, 16), (1, most, most), (1, 0, most)] {
        let program = build(inputs, constants, steps).unwrap();
        assert_eq!(program.values(), inputs + steps);
        assert_eq!(program.output(), ValueId((inputs + steps) as u32 - 1));
        assert_eq!(Program::from_bytes(&program.to_bytes()).as_ref(), Ok(&program));
    }
    for (inputs, constants, steps) in
        [(17, 0, 1), (1, (1 << 16) + 1, 1), (1, 0, (1 << 16) + 1), (1, 0, 0)]
    {
        let size = ProgramError::Size { inputs, constants, steps };
        assert_eq!(build(inputs, constants, steps), Err(size));
    }
    // What no step reads would change only a run's identifier.
    let unread = |what: &str| Err(ProgramError::Unread(what.into()));
    assert_eq!(build(3, 0, 1), unread("input 2"));
    assert_eq!(build(1, 2, 1), unread("constant "));
    let mut dead = Builder::new(&[form]);
    for name in ["dead", "last"] {
        dead.step(name, Op::Relu, &[ValueId(0)]).unwrap();
    }
    assert_eq!(dead.finish(), unread("step dead"));
    let none = Builder::new(&[]).finish();
    assert_eq!(none, Err(ProgramError::Size { inputs: 0, constants: 0, steps: 0 }));
    // With a list of outputs, more inputs fit.
    let listed = |inputs: usize| {
        let mut builder = Builder::new(&vec![form; inputs]);
        let steps = 0..inputs as u32;
        let outputs = steps.map(|input| builder.step("", Op::Relu, &[ValueId(input)]).unwrap());
        let outputs: Vec<ValueId> = outputs.collect();
        builder.finish_with(&outputs[..inputs.min(4096)], 0)
    };
    assert_eq!(listed(4096).unwrap().inputs().len(), 4096);
    let size = listed(4097).unwrap_err();
    assert_eq!(size, ProgramError::Size { inputs: 4097, constants: 0, steps: 4097 });
    let text = "expected 1..=16 inputs (1..=4096 if outputs are listed), 0..=65536 constants and \
                1..=65536 steps, got 4097, 0 and 4097";
    assert_eq!(size.to_string(), text);
}

#[test]
fn names_have_lengths() {
    let named = |step: usize, constant: usize| {
        let mut builder = Builder::new(&[fixed(1, 1, I8)]);
        let extent = Extent { rows: 256, columns: 1, dtype: I8 };
        let table = builder.constant(&"c".repeat(constant), Root([0; 32]), extent);
        let op = Op::Table { table, shift: 0, pass_above: false };
        builder.step(&"s".repeat(step), op, &[ValueId(0)]).unwrap();
        builder.finish()
    };
    assert!(named(255, 255).is_ok() && named(0, 0).is_ok());
    assert_eq!(named(256, 0), Err(ProgramError::Name(256)));
    assert_eq!(named(0, 300), Err(ProgramError::Name(300)));
}

#[test]
fn nothing_is_empty() {
    for form in [fixed(0, 1, I8), fixed(1, 0, I8)] {
        // A step of an empty input, and an empty input that no step reads.
        refused(step(Op::Relu, &[form], &[]), "expected entries in its output, got none");
        let mut builder = Builder::new(&[fixed(1, 1, I8), form]);
        builder.step("it", Op::Relu, &[ValueId(0)]).unwrap();
        assert_eq!(
            builder.finish().unwrap_err().to_string(),
            "step input 1: expected entries, got none"
        );
    }
}

#[test]
fn tables_of_positions_end() {
    let mut builder = Builder::new(&[tokens(3, I16), tokens(3, I16)]);
    let extent = Extent { rows: 5, columns: 3, dtype: I16 };
    let table = builder.constant("positions", Root([0; 32]), extent);
    let add = Op::Add { multipliers: [1; 2], shift: 0, clamp: Clamp::full(I16) };
    let sum = builder.step("sum", add, &[ValueId(0), ValueId(1)]).unwrap();
    builder.step("positions", Op::AddRows { table }, &[sum]).unwrap();
    let program = builder.finish().unwrap();
    let run = |sequence| program.extents(&RunShape::new(1, sequence));
    assert_eq!(run(5).unwrap().len(), 4);
    let long = RunShapeError::TooLong { value: ValueId(3), sequence: 6, length: 5 };
    assert_eq!(run(6), Err(long));
}

#[test]
fn shapes_of_tables_and_embeddings() {
    let table = |rows, columns| {
        let op = Op::Table { table: ConstantId(0), shift: 0, pass_above: false };
        step(op, &[fixed(2, 3, I32)], &[(rows, columns, I16)])
    };
    assert_eq!(table(256, 1), Ok(fixed(2, 3, I16)));
    for (rows, columns) in [(255, 1), (256, 2), (1, 256)] {
        refused(table(rows, columns), "table expected 256×1");
    }
    let add = |x: Form, rows, columns, dtype| {
        step(Op::AddRows { table: ConstantId(0) }, &[x], &[(rows, columns, dtype)])
    };
    let x = fixed(4, 3, I16);
    for rows in [4, 5] {
        assert_eq!(add(x, rows, 3, I16), Ok(x));
    }
    // The number of positions of tokens is checked when the program runs.
    assert_eq!(add(tokens(3, I16), 1, 3, I16), Ok(tokens(3, I16)));
    let wide = Form::new(Dim::per_token(9), Dim::fixed(3), I16);
    assert_eq!(add(wide, 2, 3, I16), Ok(wide));
    for (rows, columns, dtype) in [(3, 3, I16), (4, 2, I16), (4, 4, I16), (4, 3, I8), (4, 3, I32)] {
        refused(add(x, rows, columns, dtype), "table expected i16 like");
    }
    let softmax = |multiplier, one, rows, columns, dtype| {
        let (table, clamp) = (ConstantId(0), Clamp::full(I8));
        let op = Op::Softmax { table, multiplier, shift: 0, one, clamp };
        step(op, &[fixed(2, 3, I32)], &[(rows, columns, dtype)])
    };
    assert_eq!(softmax(0, 1, 256, 1, I16), Ok(fixed(2, 3, I8)));
    for (multiplier, one) in [(-1, 1), (0, 0), (0, -1)] {
        refused(softmax(multiplier, one, 256, 1, I16), "expected multiplier ≥ 0 and one > 0");
    }
    for (rows, columns, dtype) in [(255, 1, I16), (256, 2, I16), (256, 1, I8)] {
        refused(softmax(1, 1, rows, columns, dtype), "table expected");
    }
}

#[test]
fn shapes_of_products() {
    let linear = |inputs: &[Form], weights: (u32, u32, Dtype), requantise| {
        let (clamp, shifts) = (Clamp::full(I16), [0; 3]);
        let op = Op::Linear { weights: ConstantId(0), requantise: ConstantId(1), shifts, clamp };
        step(op, inputs, &[weights, requantise])
    };
    let (x, scale) = (fixed(4, 7, I8), fixed(4, 1, I32));
    let (weights, channels) = ((5, 7, I8), (5, 3, I32));
    assert_eq!(linear(&[x], weights, channels), Ok(fixed(4, 5, I16)));
    assert_eq!(linear(&[x, scale], weights, channels), Ok(fixed(4, 5, I16)));
    for weights in [(5, 7, I16), (5, 6, I8), (5, 8, I8)] {
        refused(linear(&[x], weights, channels), "weights expected i8 of 7 columns");
    }
    for channels in [(4, 3, I32), (5, 2, I32), (5, 3, I16)] {
        refused(linear(&[x], weights, channels), "requantise expected");
    }
    for scale in [fixed(3, 1, I32), fixed(4, 2, I32), fixed(4, 1, I16)] {
        refused(linear(&[x, scale], weights, channels), "input 1 expected");
    }
    refused(linear(&[x, scale, scale], weights, channels), "expected 1 or 2 inputs, got 3");
    refused(linear(&[fixed(4, 7, I16)], weights, channels), "input 0 expected i8");
    let quantise = |scale| step(Op::Quantise, &[x, scale], &[]);
    assert_eq!(quantise(scale), Ok(x));
    for scale in [fixed(3, 1, I32), fixed(4, 2, I32), fixed(4, 1, I16)] {
        refused(quantise(scale), "input 1 expected");
    }
}

#[test]
fn shapes_of_attention() {
    let exponentials = (256, 1, I16);
    let weights = |heads: u32, inputs: &[Form], alpha, table| {
        let (alpha_id, table_id) = (ConstantId(0), ConstantId(1));
        let op = Op::AttentionWeights {
            heads,
            alpha: alpha_id,
            shift: 0,
            table: table_id,
            causal: false,
        };
        step(op, inputs, &[alpha, table])
    };
    let (q, lengths) = (tokens(6, I8), fixed(1, 1, I32));
    let scores = |heads| Form::new(Dim::per_token(heads), Dim::TOKENS, I8);
    for heads in [1, 2, 3, 6] {
        let alpha = (heads, 1, I32);
        assert_eq!(weights(heads, &[q, q], alpha, exponentials), Ok(scores(heads)));
        assert_eq!(weights(heads, &[q, q, lengths], alpha, exponentials), Ok(scores(heads)));
    }
    let two = (2, 1, I32);
    for heads in [4, 5] {
        let alpha = (heads, 1, I32);
        refused(weights(heads, &[q, q], alpha, exponentials), "columns, got");
    }
    refused(weights(2, &[q], two, exponentials), "expected 2 or 3 inputs, got 1");
    refused(
        weights(2, &[q, q, lengths, lengths], two, exponentials),
        "expected 2 or 3 inputs, got 4",
    );
    for other in [tokens(6, I16), tokens(4, I8), fixed(6, 6, I8)] {
        refused(weights(2, &[q, other], two, exponentials), "input 1 expected queries and keys");
    }
    for other in [tokens(6, I16), fixed(6, 6, I8)] {
        let both = weights(2, &[other, other], two, exponentials);
        refused(both, "input 0 expected queries and keys");
    }
    let columns = Form::new(Dim::TOKENS, Dim::TOKENS, I8);
    refused(weights(2, &[columns, columns], two, exponentials), "a multiple of 2 columns");
    // Columns that grow with the sequence do not divide even into one head.
    let one = (1, 1, I32);
    refused(weights(1, &[columns, columns], one, exponentials), "a multiple of 1 columns");
    for lengths in [fixed(1, 1, I16), fixed(2, 1, I32), fixed(1, 2, I32), tokens(1, I32)] {
        refused(weights(2, &[q, q, lengths], two, exponentials), "input 2 expected batch·1×1 i32");
    }
    for table in [(255, 1, I16), (256, 1, I8)] {
        refused(weights(2, &[q, q], two, table), "table expected");
    }
    refused(weights(2, &[q, q], (3, 1, I32), exponentials), "alpha expected");

    let relative = |inputs: &[Form], bias| {
        let op = Op::RelativeAttentionWeights {
            heads: 2,
            alpha: ConstantId(0),
            shift: 0,
            table: ConstantId(1),
            causal: false,
            bias: ConstantId(2),
        };
        step(op, inputs, &[two, exponentials, bias])
    };
    for columns in [1, 3, 65535] {
        assert_eq!(relative(&[q, q, lengths], (2, columns, I32)), Ok(scores(2)));
    }
    for bias in [(1, 3, I32), (3, 3, I32), (2, 4, I32), (2, 3, I16)] {
        refused(relative(&[q, q], bias), "bias expected i32 of 2 rows and an odd number");
    }
    refused(relative(&[q], (2, 3, I32)), "expected 2 or 3 inputs, got 1");

    let context = |heads: u32, weights, values, scale| {
        let op = Op::AttentionContext { heads, scale: ConstantId(0), shifts: [0; 2] };
        step(op, &[weights, values], &[scale])
    };
    let values = Form::new(Dim::fixed(6), Dim::TOKENS, I8);
    assert_eq!(context(2, scores(2), values, (6, 1, I32)), Ok(tokens(6, I16)));
    for weights in [scores(3), tokens(6, I8), Form { dtype: I16, ..scores(2) }] {
        refused(context(2, weights, values, (6, 1, I32)), "input 0 expected");
    }
    for other in [
        Form { dtype: I16, ..values },
        Form { rows: Dim::per_token(6), ..values },
        Form { columns: Dim::fixed(1), ..values },
        Form { columns: Dim::per_token(2), ..values },
    ] {
        refused(context(2, scores(2), other, (6, 1, I32)), "input 1 expected values, transposed");
    }
    refused(context(4, scores(4), values, (6, 1, I32)), "a multiple of 4 columns");
    refused(context(2, scores(2), values, (5, 1, I32)), "scale expected");
    // Zero heads are refused, even if all else fits.
    let none = Form::new(Dim::per_token(0), Dim::TOKENS, I8);
    refused(context(0, none, values, (6, 1, I32)), "a multiple of 0 columns");

    let pool = |inputs: &[Form]| step(Op::MeanPool, inputs, &[]);
    assert_eq!(pool(&[tokens(6, I16)]), Ok(fixed(1, 6, I32)));
    assert_eq!(pool(&[tokens(6, I8), lengths]), Ok(fixed(1, 6, I32)));
    // Rows that are not tokens have no lengths.
    assert_eq!(pool(&[fixed(4, 6, I8)]), Ok(fixed(1, 6, I32)));
    refused(pool(&[fixed(4, 6, I8), lengths]), "one row per token");
    refused(pool(&[tokens(6, I8), fixed(1, 1, I16)]), "input 1 expected");
    refused(pool(&[tokens(6, I32)]), "i8 or i16");
    refused(pool(&[]), "expected 1 or 2 inputs, got 0");
    refused(pool(&[tokens(6, I8), lengths, lengths]), "expected 1 or 2 inputs, got 3");
}

#[test]
fn shapes_of_reshapes() {
    let reshape = |x: Form, rows, columns| step(Op::Reshape { rows, columns }, &[x], &[]);
    let (one, many) = (Dim::fixed, Dim::per_token);
    let x = fixed(4, 6, I8);
    assert_eq!(reshape(x, one(3), one(8)), Ok(fixed(3, 8, I8)));
    refused(reshape(x, one(5), one(5)), "as many entries as 5×5");
    // The same number of tokens on both sides, in rows or in columns.
    let tokens = Form::new(many(4), one(6), I8);
    for (rows, columns) in [(many(3), one(8)), (one(3), many(8))] {
        assert_eq!(reshape(tokens, rows, columns), Ok(Form::new(rows, columns, I8)));
    }
    for (rows, columns) in [(one(3), one(8)), (many(3), many(8))] {
        refused(reshape(tokens, rows, columns), "as many entries");
    }
    let square = Form::new(many(4), many(6), I8);
    assert_eq!(reshape(square, many(2), many(12)), Ok(Form::new(many(2), many(12), I8)));
    refused(reshape(square, many(2), one(12)), "as many entries");
    let long = fixed(4, 1 << 15, I8);
    assert_eq!(reshape(long, one(2), one(1 << 16)), Ok(fixed(2, 1 << 16, I8)));
    refused(reshape(long, one(1), one(1 << 17)), "as many entries");
}

#[test]
fn windows_fit_or_have_no_output() {
    let window = |height, kernel, stride, before, after| Window {
        height,
        width: 5,
        kernel: [kernel, 1],
        stride: [stride, 1],
        pads: [before, 0, after, 0],
    };
    let rows = |height, kernel, stride, before, after| {
        let down = window(height, kernel, stride, before, after).output();
        // The same, from left to right.
        let turned = window(height, kernel, stride, before, after);
        let turned = Window {
            height: turned.width,
            width: turned.height,
            kernel: [1, kernel],
            stride: [1, stride],
            pads: [0, before, 0, after],
        };
        assert_eq!(turned.output(), down.map(|[down, across]| [across, down]));
        down.map(|[down, _]| down)
    };
    for (numbers, expected) in [
        ((7, 3, 1, 0, 0), Some(5)),
        ((7, 3, 2, 0, 0), Some(3)),
        ((7, 3, 2, 1, 1), Some(4)),
        ((7, 3, 2, 2, 2), Some(5)),
        ((7, 7, 1, 0, 0), Some(1)),
        ((7, 8, 1, 0, 0), None),
        ((7, 8, 1, 1, 0), Some(1)),
        // Windows only in the padding, windows of no pixels, windows that do
        // not move.
        ((7, 3, 1, 3, 0), None),
        ((7, 3, 1, 0, 3), None),
        ((7, 3, 1, 3, 3), None),
        ((7, 0, 1, 0, 0), None),
        ((7, 3, 0, 0, 0), None),
        ((0, 2, 1, 1, 1), None),
        ((u32::MAX, 3, 1, 1, 0), None),
    ] {
        let (height, kernel, stride, before, after) = numbers;
        assert_eq!(rows(height, kernel, stride, before, after), expected, "{numbers:?}");
    }
}

#[test]
fn shifts_of_the_standard_form() {
    assert_eq!([I8, I16, I32].map(shift), [24, 20, 20]);
}

proptest! {
    /// Rows are clean if i8 entries are in −64..=63 and padding is zero. For
    /// wider types only the padding counts.
    #[test]
    fn clean_rows_are_clean_byte_by_byte(
        rows in 1u32..70, columns in 1u32..140, which in 0usize..3, first in 0u32..96,
        spoilt in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let extent = Extent::new(rows, columns, [I8, I16, I32][which]).unwrap();
        let first = first % extent.padded_rows();
        let count = (extent.padded_rows() - first).min(3);
        let used = columns as usize * extent.dtype.size();
        let stride = extent.row_bytes();
        let mut bytes = vec![0u8; stride * count as usize];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let row = first + (place / stride) as u32;
            if row < rows && place % stride < used {
                *byte = if extent.dtype == I8 { [64u8.wrapping_neg(), 63][place % 2] } else { 0xee };
            }
        }
        prop_assert!(extent.is_clean(first, &bytes));
        if let Some((at, byte)) = spoilt {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let padding = first + (at / stride) as u32 >= rows || at % stride >= used;
            let good = match (padding, extent.dtype) {
                (true, _) => byte == 0,
                (false, Dtype::I8) => (-64..=63).contains(&(byte as i8)),
                (false, _) => true,
            };
            prop_assert_eq!(extent.is_clean(first, &bytes), good);
        }
        let held = Rows { extent, first, bytes: &bytes };
        for row in 0..extent.padded_rows() + 2 {
            prop_assert_eq!(held.has(row), (first..first + count).contains(&row));
        }
        let shorter = Rows { bytes: &bytes[1..], ..held };
        prop_assert!(!shorter.has(first + count - 1));
    }
}

/// Tests the last true row and column, and the first of the padding.
#[test]
fn padding_begins_where_rows_and_columns_end() {
    for (dtype, largest) in [(I8, 63), (I16, 0xff), (I32, 0xff)] {
        let extent = Extent::new(40, 130, dtype).unwrap();
        let (row, size) = (extent.row_bytes(), dtype.size());
        let clean = |at: usize, byte: u8| {
            let mut bytes = vec![0; extent.bytes() as usize];
            bytes[at] = byte;
            extent.is_clean(0, &bytes)
        };
        assert!(clean(39 * row + 129 * size, largest) && clean(130 * size - 1, largest));
        for at in [40 * row, 40 * row + 1, 41 * row - 1, 63 * row] {
            assert!(!clean(at, 1), "{dtype}: byte {at}");
        }
        // A padding column, or the first padding row if there are no padding
        // columns.
        assert!(!clean(39 * row + 130 * size, 1), "{dtype}");
    }
}

#[test]
fn extents_say_themselves_and_have_strips() {
    let extent = Extent::new(40, 130, I8).unwrap();
    assert_eq!(extent.to_string(), "40×130 i8");
    assert!(extent.strip(&(0..64)).is_some());
    assert!(extent.strip(&(0..65)).is_none());
}

/// The MACs of a run are weights of its samples: their sum fits 64 bits.
#[test]
fn multiply_accumulates_are_counted_to_the_unit() {
    let mut builder = Builder::new(&[fixed(1, 1 << 15, I8)]);
    let scales =
        builder.constant("s", Root([0; 32]), Extent { rows: 1 << 15, columns: 3, dtype: I32 });
    let mut value = ValueId(0);
    for step in 0..32u8 {
        let extent = Extent { rows: 1 << 15, columns: 1 << 15, dtype: I8 };
        let weights = builder.constant("w", Root([step; 32]), extent);
        let op =
            Op::Linear { weights, requantise: scales, shifts: [0; 3], clamp: Clamp::SYMMETRIC };
        value = builder.step("linear", op, &[value]).unwrap();
    }
    let program = builder.finish().unwrap();
    // 2^30 MACs an item and step, in 2^5 steps, are 2^64 at a batch of 2^29,
    // which no tensor holds: what is checked first says so.
    let run = |batch| program.extents(&RunShape::new(batch, 1));
    assert_eq!(run(1 << 29), Err(RunShapeError::Macs { batch: 1 << 29, sequence: 1 }));
    assert!(matches!(run((1 << 29) - 1), Err(RunShapeError::TooLarge { .. })));
}
