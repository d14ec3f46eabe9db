//! Tests of the conditions on steps that imported networks need (spec §12).
//!
//! Each condition is tested at its edges, and each is violated alone.

use crate::program_checks::{I8, I16, I32, fixed, refused, step, tokens};
use poai_core::Root;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, GroupWindow, Op, Program,
    ProgramDecodeError, ValueId, Window,
};

#[test]
fn shapes_of_mul() {
    let mul = |inputs: &[Form], shift, clamp| step(Op::Mul { shift, clamp }, inputs, &[]);
    let clamp = Clamp::full(I16);
    assert_eq!(mul(&[fixed(4, 3, I32), fixed(4, 3, I8)], 62, clamp), Ok(fixed(4, 3, I16)));
    assert_eq!(mul(&[tokens(3, I8); 2], 0, clamp), Ok(tokens(3, I16)));
    let x = fixed(4, 3, I8);
    for other in [fixed(3, 3, I8), fixed(4, 1, I8), tokens(3, I8)] {
        refused(mul(&[x, other], 0, clamp), "input 1 expected batch·4×3");
    }
    refused(mul(&[x; 2], 63, clamp), "expected shifts up to 62");
    let wide = Clamp { dtype: I8, min: -65, max: 0 };
    refused(mul(&[x; 2], 0, wide), "expected a clamp within the range");
    for count in [1, 3] {
        refused(mul(&vec![x; count], 0, clamp), "expected 2 inputs");
    }
}

#[test]
fn shapes_of_curves() {
    let curve = |x, shift, table| {
        step(Op::Curve { table: ConstantId(0), shift, pass_above: false }, &[x], &[table])
    };
    for x in [fixed(4, 3, I32), tokens(3, I8)] {
        assert_eq!(curve(x, 23, (257, 1, I16)), Ok(Form { dtype: I16, ..x }));
    }
    let x = fixed(4, 3, I32);
    refused(curve(x, 24, (257, 1, I16)), "expected a shift up to 23");
    for table in [(256, 1, I16), (258, 1, I16), (257, 2, I16), (257, 1, I8), (257, 1, I32)] {
        refused(curve(x, 0, table), "table expected 257×1 i16");
    }
    let op = Op::Curve { table: ConstantId(0), shift: 0, pass_above: true };
    refused(step(op.clone(), &[x, x], &[(257, 1, I16)]), "expected 1 inputs, got 2");
    refused(step(op, &[x], &[]), "expected an existing constant, got 0");
}

#[test]
fn shapes_of_arrangements() {
    let arrange =
        |inputs: &[Form], index| step(Op::Arrange { index: ConstantId(0) }, inputs, &[index]);
    let index = (5, 7, I32);
    assert_eq!(arrange(&[fixed(4, 3, I16)], index), Ok(fixed(5, 7, I16)));
    assert_eq!(arrange(&[fixed(4, 3, I16); 16], index), Ok(fixed(5, 7, I16)));
    refused(arrange(&[], index), "expected 1 to 16 inputs, got 0");
    refused(arrange(&[fixed(4, 3, I16); 17], index), "expected 1 to 16 inputs, got 17");
    refused(arrange(&[fixed(4, 3, I16), fixed(4, 3, I8)], index), "input 1 expected i16 of a size");
    let columns = Form::new(Dim::fixed(1), Dim::TOKENS, I16);
    for input in [tokens(3, I16), columns] {
        refused(arrange(&[fixed(4, 3, I16), input], index), "input 1 expected i16 of a size");
    }
    for dtype in [I8, I16] {
        refused(arrange(&[fixed(4, 3, I16)], (5, 7, dtype)), "index expected i32");
    }
    // Numbers are i32, and the sums of forms of any size do not overflow.
    let (most, many) = (fixed(i32::MAX as u32, 1, I8), fixed(1 << 31, 1, I8));
    assert_eq!(arrange(&[most], index), Ok(fixed(5, 7, I8)));
    let huge = fixed(u32::MAX, u32::MAX, I8);
    for inputs in [vec![many], vec![most, fixed(1, 1, I8)], vec![huge; 2], vec![huge; 16]] {
        refused(arrange(&inputs, index), "expected inputs of fewer than 2^31 entries an item");
    }
}

fn window(height: u32, width: u32, kernel: [u32; 2]) -> Window {
    Window { height, width, kernel, stride: [1; 2], pads: [0; 4] }
}

#[test]
fn shapes_of_windows_with_gaps() {
    let unfold = |window, dilation, groups, x: Form| {
        step(Op::GroupUnfold(GroupWindow { window, dilation, groups, fill: 0 }), &[x], &[])
    };
    let (image, x) = (window(9, 8, [3, 2]), fixed(72, 6, I8));
    assert_eq!(unfold(image, [1, 1], 3, x), Ok(fixed(7 * 7, 36, I8)));
    // 2·3 + 1 rows and 7·1 + 1 columns are covered.
    assert_eq!(unfold(image, [3, 7], 6, x), Ok(fixed(3, 36, I8)));
    for dilation in [[4, 8], [5, 1], [1, 8]] {
        refused(unfold(image, dilation, 3, x), "expected a window that fits the image");
    }
    // A pad is smaller than what the kernel covers.
    let padded = |pads| unfold(Window { pads, ..image }, [4, 3], 1, x);
    assert_eq!(padded([8, 3, 8, 3]), Ok(fixed(17 * 11, 36, I8)));
    for pads in [[9, 0, 0, 0], [0, 4, 0, 0], [0, 0, 9, 0], [0, 0, 0, 4]] {
        refused(padded(pads), "expected a window that fits the image");
    }
    for groups in [0, 4, 5, 7, 12] {
        refused(unfold(image, [1, 1], groups, x), "expected groups that divide the channels");
    }
    let positive = "expected a positive kernel and dilation that fit 32 bits";
    for (kernel, dilation) in [
        ([0, 2], [1, 1]),
        ([3, 0], [1, 1]),
        ([3, 2], [0, 1]),
        ([3, 2], [1, 0]),
        ([3, 2], [u32::MAX, 1]),
        ([2, 2], [1, u32::MAX]),
        ([u32::MAX, 1], [2, 1]),
    ] {
        refused(unfold(window(9, 8, kernel), dilation, 3, x), positive);
    }
    // What is covered has a limit, and so have the entries of a row.
    let wide = |kernel, dilation, channels| {
        unfold(window(1, 70_000, kernel), dilation, 1, fixed(70_000, channels, I8))
    };
    assert_eq!(wide([1, 2], [1, 65_535], 1), Ok(fixed(70_000 - 65_535, 2, I8)));
    refused(wide([1, 2], [1, 65_536], 1), "expected a window of at most 65536 pixels");
    assert_eq!(wide([1, 2], [1, 9], 1 << 15), Ok(fixed(70_000 - 9, 1 << 16, I8)));
    refused(wide([1, 2], [1, 9], (1 << 15) + 1), "expected a window of at most 65536 entries");
    refused(unfold(image, [1, 1], 3, fixed(71, 6, I8)), "input 0 expected 9×8 pixels");
    refused(unfold(image, [1, 1], 3, fixed(72, 6, I16)), "input 0 expected i8");
    let filled =
        |fill| Op::GroupUnfold(GroupWindow { window: image, dilation: [1, 1], groups: 3, fill });
    for fill in [-64, 63] {
        assert_eq!(step(filled(fill), &[x], &[]), Ok(fixed(7 * 7, 36, I8)));
    }
    for fill in [-65, 64, i32::MIN, i32::MAX] {
        refused(step(filled(fill), &[x], &[]), "expected a fill in −64..=63");
    }
    refused(step(filled(0), &[x, x], &[]), "expected 1 inputs, got 2");
}

#[test]
fn shapes_of_products_of_groups() {
    let linear = |groups, inputs: &[Form], weights: (u32, u32, Dtype), requantise| {
        let op = Op::GroupLinear {
            weights: ConstantId(0),
            requantise: ConstantId(1),
            groups,
            shifts: [0; 3],
            clamp: Clamp::full(I16),
        };
        step(op, inputs, &[weights, requantise])
    };
    let (x, scale) = (fixed(4, 21, I8), fixed(4, 1, I32));
    let (weights, channels) = ((6, 7, I8), (6, 3, I32));
    assert_eq!(linear(3, &[x], weights, channels), Ok(fixed(4, 6, I16)));
    assert_eq!(linear(3, &[x, scale], weights, channels), Ok(fixed(4, 6, I16)));
    assert_eq!(linear(1, &[fixed(4, 7, I8)], weights, channels), Ok(fixed(4, 6, I16)));
    let wrong = "weights expected i8 of 21 columns in";
    for weights in [(6, 7, I16), (6, 6, I8), (6, 21, I8)] {
        refused(linear(3, &[x], weights, channels), wrong);
    }
    for groups in [0, 1, 2, u32::MAX] {
        refused(linear(groups, &[x], weights, channels), wrong);
    }
    for rows in [5, 7] {
        let refusal = "expected groups that divide the output channels";
        refused(linear(3, &[x], (rows, 7, I8), (rows, 3, I32)), refusal);
    }
    for channels in [(5, 3, I32), (6, 2, I32), (6, 3, I16)] {
        refused(linear(3, &[x], weights, channels), "requantise expected");
    }
    for scale in [fixed(3, 1, I32), fixed(4, 2, I32), fixed(4, 1, I16)] {
        refused(linear(3, &[x, scale], weights, channels), "input 1 expected");
    }
    refused(linear(3, &[x, scale, scale], weights, channels), "expected 1 or 2 inputs, got 3");
    refused(linear(3, &[fixed(4, 21, I16)], weights, channels), "input 0 expected i8");
    // An empty constant, which a builder's caller may state, has no output.
    refused(linear(3, &[x], (0, 7, I8), (0, 3, I32)), "expected entries in its output, got none");
}

#[test]
fn shapes_of_products_of_values() {
    let product = |blocks, inputs: &[Form]| {
        step(Op::Product { blocks, shift: 0, clamp: Clamp::full(I16) }, inputs, &[])
    };
    let (a, b) = (fixed(6, 7, I8), fixed(12, 7, I8));
    assert_eq!(product(1, &[a, b]), Ok(fixed(6, 12, I16)));
    assert_eq!(product(6, &[a, b]), Ok(fixed(6, 2, I16)));
    for blocks in [0, 4, 5, 12] {
        refused(product(blocks, &[a, b]), "input 0 expected i8 of 7 columns and rows in");
    }
    for other in [fixed(12, 6, I8), fixed(12, 7, I16), fixed(11, 7, I8)] {
        refused(product(3, &[a, other]), "input 1 expected i8 of 7 columns and rows in 3 blocks");
    }
    let columns = Form::new(Dim::fixed(6), Dim::TOKENS, I8);
    refused(product(3, &[columns; 2]), "input 0 expected i8");
    // Rows for every token: blocks of a token's rows, and columns for every
    // token.
    let heads = |units| Form::new(Dim::per_token(units), Dim::fixed(7), I8);
    let expected = Form::new(Dim::per_token(6), Dim::per_token(2), I16);
    assert_eq!(product(3, &[heads(6), heads(6)]), Ok(expected));
    let mixed = Form::new(Dim::per_token(6), Dim::fixed(4), I16);
    assert_eq!(product(3, &[heads(6), b]), Ok(mixed));
    let wide = |rows| product(1, &[a, fixed(rows, 7, I8)]);
    assert_eq!(wide(1 << 20), Ok(fixed(6, 1 << 20, I16)));
    refused(wide((1 << 20) + 1), "expected a product of at most 65536 columns of i8 or 2^20");
    for count in [1, 3] {
        refused(product(1, &vec![a; count]), "expected 2 inputs");
    }
    let op = Op::Product { blocks: 1, shift: 63, clamp: Clamp::full(I16) };
    refused(step(op, &[a, b], &[]), "expected shifts up to 62");
}

/// One step of a kind with its constants, and every field other than zero.
fn program(op: Op, inputs: &[Form], constants: &[(u32, u32, Dtype)]) -> Program {
    let mut builder = Builder::new(inputs);
    for &(rows, columns, dtype) in constants {
        builder.constant("κ", Root([7; 32]), Extent { rows, columns, dtype });
    }
    let values: Vec<ValueId> = (0..inputs.len()).map(|input| builder.input(input)).collect();
    builder.step("it", op, &values).unwrap();
    builder.finish().unwrap()
}

#[test]
fn encodings_bind_every_field() {
    let clamp = Clamp { dtype: I16, min: -9, max: 300 };
    let moved = GroupWindow {
        window: Window { stride: [2, 3], pads: [1, 2, 0, 1], ..window(9, 8, [3, 2]) },
        dilation: [2, 3],
        groups: 3,
        fill: -64,
    };
    let linear = |groups, shifts| Op::GroupLinear {
        weights: ConstantId(0),
        requantise: ConstantId(1),
        groups,
        shifts,
        clamp,
    };
    let constants = [(6, 7, I8), (6, 3, I32)];
    let x = [fixed(72, 6, I8)];
    let curve = |shift, pass_above| Op::Curve { table: ConstantId(0), shift, pass_above };
    let programs = [
        program(Op::Mul { shift: 5, clamp }, &[fixed(4, 3, I8); 2], &[]),
        program(Op::Mul { shift: 6, clamp }, &[fixed(4, 3, I8); 2], &[]),
        program(curve(3, true), &[fixed(4, 3, I32)], &[(257, 1, I16)]),
        program(curve(3, false), &[fixed(4, 3, I32)], &[(257, 1, I16)]),
        program(Op::Arrange { index: ConstantId(0) }, &[fixed(4, 3, I8); 16], &[(5, 7, I32)]),
        program(Op::GroupUnfold(moved), &x, &[]),
        program(Op::GroupUnfold(GroupWindow { dilation: [3, 2], ..moved }), &x, &[]),
        program(Op::GroupUnfold(GroupWindow { groups: 2, ..moved }), &x, &[]),
        program(Op::GroupUnfold(GroupWindow { fill: 63, ..moved }), &x, &[]),
        program(linear(3, [1, 2, 3]), &[fixed(4, 21, I8)], &constants),
        program(linear(3, [1, 2, 4]), &[fixed(4, 21, I8)], &constants),
        program(Op::Product { blocks: 3, shift: 5, clamp }, &[fixed(6, 7, I8); 2], &[]),
        program(Op::Product { blocks: 2, shift: 5, clamp }, &[fixed(6, 7, I8); 2], &[]),
    ];
    for (index, program) in programs.iter().enumerate() {
        let bytes = program.to_bytes();
        assert_eq!(Program::from_bytes(&bytes).as_ref(), Ok(program));
        for len in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..len]).is_err(), "{index}: {len} bytes");
        }
        for (other, same) in programs.iter().enumerate() {
            assert_eq!(program.program_id() == same.program_id(), index == other);
        }
    }
    // A fill is a number of the program, and no part of its architecture. Its
    // four bytes end the numbers.
    let [own, other] = [&programs[5], &programs[8]];
    assert_eq!(own.architecture_id(), other.architecture_id());
    let bytes = own.to_bytes();
    let at = bytes.windows(4).position(|own| own == (-64i32).to_le_bytes()).unwrap();
    let with = |fill: i32| {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&fill.to_le_bytes());
        Program::from_bytes(&bytes)
    };
    assert_eq!(with(63).as_ref(), Ok(other));
    for fill in [-65, 64, i32::MIN, i32::MAX] {
        let refused = with(fill).unwrap_err().to_string();
        assert!(refused.contains("expected a fill in −64..=63"), "{refused}");
    }
    // A number of inputs above the limit is refused before they are read. It
    // follows the tag and the index.
    let mut bytes = programs[4].to_bytes();
    let inputs: Vec<u8> = (0..16u32).flat_map(u32::to_le_bytes).collect();
    let at = bytes.windows(inputs.len()).position(|own| own == inputs).unwrap() - 1;
    assert_eq!(bytes[at], 16);
    bytes[at] = 17;
    let refused = ProgramDecodeError::Field { what: "inputs", value: 17 };
    assert_eq!(Program::from_bytes(&bytes), Err(refused));
}
