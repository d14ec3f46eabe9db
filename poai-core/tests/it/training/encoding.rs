//! Tests of the encoding of steps of training, and of programs with lists of
//! outputs (spec §11). Every program has exactly one encoding.

use crate::program_checks::{I8, I16, I32, fixed};
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, Program, ProgramDecodeError,
    ProgramError, TrainingOp, ValueId, Window,
};
use poai_core::{ProgramId, Root};
use std::collections::BTreeSet;

const CLAMP: Clamp = Clamp { dtype: I16, min: -9, max: 300 };
const TABLE: &[(u32, u32, Dtype)] = &[(256, 1, I16)];
const KAPPA: ConstantId = ConstantId(0);

fn shared(rows: u32, columns: u32, dtype: Dtype) -> Form {
    Form::shared(Dim::fixed(rows), Dim::fixed(columns), dtype)
}

fn one() -> Form {
    shared(1, 1, I32)
}

fn shift(base: i32) -> Shift {
    Shift::new(base, &[Sign::Minus, Sign::Plus])
}

/// A program of one step.
fn program(op: TrainingOp, inputs: &[Form], constants: &[(u32, u32, Dtype)]) -> Program {
    let mut builder = Builder::new(inputs);
    for &(rows, columns, dtype) in constants {
        let extent = Extent::new(rows, columns, dtype).unwrap();
        builder.constant("κ", Root([7; 32]), extent);
    }
    let values: Vec<ValueId> = (0..inputs.len() as u32).map(ValueId).collect();
    builder.step("it", Op::Training(op), &values).unwrap();
    builder.finish().unwrap()
}

/// Programs of every kind of step. Those of a kind differ in one field each.
fn programs() -> Vec<Program> {
    let mut all = vec![];
    let mut add = |ops: Vec<TrainingOp>, inputs: &[Form], constants: &[(u32, u32, Dtype)]| {
        all.extend(ops.into_iter().map(|op| program(op, inputs, constants)));
    };
    let product = |base, signs: [Sign; 2], bias_shift, clamp| TrainingOp::ScaledProduct {
        shift: Shift::new(base, &signs),
        bias: true,
        bias_shift,
        clamp,
    };
    let (minus, plus) = (Sign::Minus, Sign::Plus);
    let other = Clamp { max: 301, ..CLAMP };
    let ops = vec![
        product(-62, [minus, plus], 5, CLAMP),
        product(62, [minus, plus], 5, CLAMP),
        product(-62, [plus, minus], 5, CLAMP),
        product(-62, [minus, plus], 6, CLAMP),
        product(-62, [minus, plus], 5, other),
        product(-62, [minus, plus], 5, Clamp { dtype: I32, ..CLAMP }),
        product(-62, [minus, plus], 5, Clamp { min: -10, ..CLAMP }),
    ];
    let bias = shared(3, 1, I32);
    let by_row = fixed(4, 1, I32);
    add(ops, &[fixed(4, 7, I8), shared(3, 7, I8), bias, one(), by_row], &[]);
    let plain = TrainingOp::ScaledProduct {
        shift: Shift::fixed(3),
        bias: false,
        bias_shift: 0,
        clamp: CLAMP,
    };
    add(vec![plain], &[fixed(4, 7, I8), shared(3, 7, I8)], &[]);
    add(vec![TrainingOp::TransposeTiles, TrainingOp::RowSum], &[fixed(4, 7, I8)], &[]);
    let exponents = [false, true].map(|per_row| TrainingOp::Exponent { per_row });
    add(exponents.to_vec(), &[by_row], &[]);
    let rescale = |stream, multiplier| TrainingOp::Rescale {
        shift: shift(9),
        stream,
        multiplier,
        clamp: CLAMP,
    };
    let x = fixed(4, 7, I32);
    let random = [x, one(), by_row, shared(8, 1, I32), one()];
    add(vec![rescale(Some(0), 3), rescale(Some(u32::MAX), 3), rescale(Some(0), -3)], &random, &[]);
    add(vec![rescale(None, 3)], &random[..3], &[]);
    let gate =
        |index_shift, shift| TrainingOp::Gate { table: KAPPA, index_shift, shift, clamp: CLAMP };
    add(vec![gate(1, 2), gate(2, 2), gate(1, 3)], &[x, x], TABLE);
    let loss = |multiplier, shift, fraction| TrainingOp::CrossEntropy {
        table: KAPPA,
        multiplier,
        shift,
        fraction,
    };
    add(vec![loss(1, 2, 3), loss(2, 2, 3), loss(1, 3, 3), loss(1, 2, 4)], &[x, by_row], TABLE);
    let norm = |centre, shift| TrainingOp::NormaliseGradient { centre, shift, clamp: CLAMP };
    add(vec![norm(true, 1), norm(false, 1), norm(true, 2)], &[fixed(4, 7, I16), x], &[]);
    add(vec![TrainingOp::Gather { table: None }], &[shared(9, 5, I8), by_row], &[]);
    add(vec![TrainingOp::Gather { table: Some(KAPPA) }], &[by_row], &[(9, 5, I8)]);
    let scatter = |rows| TrainingOp::ScatterAdd { rows };
    add(vec![scatter(9), scatter(10)], &[x, by_row], &[]);
    let window = Window { height: 9, width: 8, kernel: [3, 2], stride: [2, 3], pads: [1, 0, 2, 1] };
    let positions = window.output().unwrap().iter().product();
    add(vec![TrainingOp::UnfoldGradient(window)], &[fixed(positions, 18, I16)], &[]);
    let pool = [fixed(72, 3, I8), fixed(positions, 3, I32)];
    add(vec![TrainingOp::MaxPoolGradient(window)], &pool, &[]);
    let block = |kind, offset, multiplier| TrainingOp::Block {
        kind,
        heads: 3,
        shift: shift(-9),
        offset,
        multiplier,
        clamp: CLAMP,
    };
    let (value, scores) = (fixed(4, 6, I8), fixed(12, 4, I8));
    let of = |kind| vec![block(kind, 1, 2), block(kind, 2, 2), block(kind, 1, 3)];
    add(of(BlockKind::Scores), &[value, value, one(), fixed(12, 1, I32)], &[]);
    for kind in [BlockKind::Mix, BlockKind::MixBack] {
        add(of(kind), &[scores, value, one(), by_row], &[]);
    }
    let weights = |causal, multiplier, shift| TrainingOp::Exponentials {
        table: KAPPA,
        causal,
        multiplier,
        shift,
    };
    let ops =
        vec![weights(false, 1, 2), weights(true, 1, 2), weights(false, 2, 2), weights(false, 1, 3)];
    add(ops, &[fixed(12, 4, I32)], TABLE);
    let divide = |shift| TrainingOp::DivideBySums { shift, clamp: CLAMP };
    add(vec![divide(1), divide(2)], &[fixed(4, 6, I32), scores], &[]);
    add(vec![TrainingOp::SoftmaxGradient], &[scores, scores], &[]);
    let descend = |shift, decay| TrainingOp::Descend { shift, decay, clamp: CLAMP };
    let w = shared(4, 7, I32);
    add(vec![descend(-62, 0), descend(62, 0), descend(-62, 1)], &[w, w, one()], &[]);
    let moment = |shift| TrainingOp::SecondMoment { shift };
    add(vec![moment(1), moment(30)], &[w, w], &[]);
    let ratio = |clamp| TrainingOp::Ratio { clamp };
    add(vec![ratio(CLAMP), ratio(other)], &[w, w], &[]);
    let spread = |rows| TrainingOp::MeanPoolGradient { rows };
    add(
        vec![spread(Dim::fixed(4)), spread(Dim::TOKENS)],
        &[fixed(1, 7, I16), fixed(1, 1, I32)],
        &[],
    );
    let draw = |samples| TrainingOp::Draw { samples };
    add(vec![draw(1), draw(1 << 31)], &[shared(8, 1, I32), one()], &[]);
    add(vec![TrainingOp::NextExponent], &[one(), by_row], &[]);
    all
}

#[test]
fn encodings_of_training_bind_every_field() {
    let (mut ids, mut kinds) = (BTreeSet::<ProgramId>::new(), BTreeSet::new());
    for program in programs() {
        let bytes = program.to_bytes();
        let name = program.steps()[0].op.name();
        kinds.insert(name);
        assert_eq!(Program::from_bytes(&bytes).as_ref(), Ok(&program), "{name}");
        assert!(ids.insert(program.program_id()), "{name}");
        for len in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..len]).is_err(), "{name}: {len} bytes");
        }
        // What still decodes after a change of a byte is another program with
        // these bytes.
        for at in 0..bytes.len() {
            for mask in [1, 2, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                if let Ok(other) = Program::from_bytes(&changed) {
                    assert_eq!(other.to_bytes(), changed, "{name}: byte {at}");
                }
            }
        }
    }
    assert_eq!(kinds.len(), 24, "{kinds:?}");
}

/// The start of the structure: magic, and two lengths before it.
const STRUCTURE: usize = 15 + 8;

/// The bytes of a program with its structure replaced.
fn with_structure(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let len = u32::from_le_bytes(bytes[15..19].try_into().unwrap()) as usize;
    let mut structure = bytes[STRUCTURE..STRUCTURE + len].to_vec();
    change(&mut structure);
    let count = (structure.len() as u32).to_le_bytes();
    [&bytes[..15], &count, &bytes[19..STRUCTURE], &structure, &bytes[STRUCTURE + len..]].concat()
}

fn field(what: &'static str, value: u64) -> Result<Program, ProgramDecodeError> {
    Err(ProgramDecodeError::Field { what, value })
}

/// The place of a step's first field, before which are the forms of `inputs`
/// inputs of 11 bytes, and no constants.
fn first_field(inputs: usize) -> usize {
    1 + 11 * inputs + 4 + 4 + 1
}

#[test]
fn fields_have_one_encoding() {
    let changed = |op: TrainingOp, inputs: &[Form], at: usize, byte: u8| {
        let program = program(op, inputs, &[]);
        let bytes = with_structure(&program.to_bytes(), |structure| {
            assert_ne!(structure[first_field(inputs.len()) + at], byte);
            structure[first_field(inputs.len()) + at] = byte;
        });
        Program::from_bytes(&bytes)
    };
    let x = fixed(4, 7, I32);
    let rescale = |stream, signs: &[Sign]| TrainingOp::Rescale {
        shift: Shift::new(0, signs),
        stream,
        multiplier: 1,
        clamp: CLAMP,
    };
    // A stream without the flag; the stream follows no signs and the flag.
    for at in 2..6 {
        let value = 1 << (8 * (at - 2));
        assert_eq!(changed(rescale(None, &[]), &[x], at as usize, 1), field("a stream", value));
    }
    assert_eq!(changed(rescale(None, &[]), &[x], 1, 2), field("a flag", 2));
    // Signs: their number, and each of them.
    for signs in [5, 255] {
        assert_eq!(changed(rescale(None, &[]), &[x], 0, signs), field("signs", signs.into()));
    }
    let signed = rescale(None, &[Sign::Plus]);
    assert_eq!(changed(signed, &[x, one()], 1, 2), field("a flag", 2));
    // Flags of other steps.
    let product = TrainingOp::ScaledProduct {
        shift: Shift::fixed(0),
        bias: false,
        bias_shift: 0,
        clamp: CLAMP,
    };
    let operands = [fixed(4, 7, I8), shared(3, 7, I8)];
    assert_eq!(changed(product, &operands, 1, 2), field("a flag", 2));
    let exponent = TrainingOp::Exponent { per_row: true };
    assert_eq!(changed(exponent, &[fixed(4, 1, I32)], 0, 2), field("a flag", 2));
    let norm = TrainingOp::NormaliseGradient { centre: true, shift: 0, clamp: CLAMP };
    assert_eq!(changed(norm, &[fixed(4, 7, I16), x], 0, 3), field("a flag", 3));
    let gather = [shared(9, 5, I8), fixed(4, 1, I32)];
    assert_eq!(changed(TrainingOp::Gather { table: None }, &gather, 0, 2), field("a flag", 2));
    let spread = TrainingOp::MeanPoolGradient { rows: Dim::fixed(4) };
    let kind = field("a dimension's kind", 3);
    assert_eq!(changed(spread, &[fixed(1, 7, I8)], 4, 3), kind);
    // Tags before the first kind and beyond the last.
    let next = [one(), fixed(4, 1, I32)];
    for tag in [0, 60, 255] {
        let bytes = program(TrainingOp::NextExponent, &next, &[]).to_bytes();
        let bytes = with_structure(&bytes, |structure| structure[first_field(2) - 1] = tag);
        assert_eq!(Program::from_bytes(&bytes), field("a step's tag", tag.into()));
    }
}

#[test]
fn inputs_have_flags() {
    // Rows a number, for every token or for every answer, of items or shared.
    for (flags, form) in [
        (0, fixed(4, 7, I8)),
        (1, Form::new(Dim::per_token(4), Dim::fixed(7), I8)),
        (2, shared(4, 7, I8)),
        (3, Form::shared(Dim::per_token(4), Dim::fixed(7), I8)),
        (4, Form::new(Dim::per_answer(4), Dim::fixed(7), I8)),
        (6, Form::shared(Dim::per_answer(4), Dim::fixed(7), I8)),
    ] {
        let program = program(TrainingOp::RowSum, &[form], &[]);
        let bytes = program.to_bytes();
        assert_eq!(bytes[STRUCTURE + 5], flags);
        assert_eq!(Program::from_bytes(&bytes).unwrap(), program);
        for other in [5].into_iter().chain(7..=255) {
            let bytes = with_structure(&bytes, |structure| structure[5] = other);
            assert_eq!(Program::from_bytes(&bytes), field("an input's flags", other.into()));
        }
    }
}

/// A program of as many inputs, whose sums are listed, or else added up.
fn of_inputs(count: usize, listed: bool) -> Program {
    let mut builder = Builder::new(&vec![shared(2, 3, I32); count]);
    let inputs: Vec<ValueId> = (0..count as u32).map(ValueId).collect();
    if listed {
        let sum = |input: &ValueId| {
            builder.step("sum", Op::Training(TrainingOp::RowSum), &[*input]).unwrap()
        };
        let outputs: Vec<ValueId> = inputs.iter().map(sum).collect();
        return builder.finish_with(&outputs, 0).unwrap();
    }
    let add = |value, &input: &ValueId| {
        let op = Op::Add { multipliers: [1; 2], shift: 0, clamp: Clamp::full(I32) };
        builder.step("add", op, &[value, input]).unwrap()
    };
    inputs[1..].iter().fold(inputs[0], add);
    builder.finish().unwrap()
}

#[test]
fn the_number_of_inputs_has_one_encoding() {
    let long = |count: u32| [&[0u8][..], &count.to_le_bytes()].concat();
    for count in [2, 3, 16, 17, 255, 256, 4096] {
        for listed in [false, true] {
            if !listed && count > 16 {
                continue;
            }
            let program = of_inputs(count, listed);
            let bytes = program.to_bytes();
            assert_eq!(Program::from_bytes(&bytes).as_ref(), Ok(&program));
            let own = if count > 16 { 5 } else { 1 };
            let expected = if count > 16 { long(count as u32) } else { vec![count as u8] };
            assert_eq!(bytes[STRUCTURE..STRUCTURE + own], expected);
            // The other form of the same number.
            let Ok(short) = u8::try_from(count) else { continue };
            let other = if count > 16 { vec![short] } else { long(count as u32) };
            let bytes = with_structure(&bytes, |structure| {
                structure.splice(..own, other);
            });
            assert_eq!(Program::from_bytes(&bytes), field("inputs", count as u64));
        }
    }
    // No inputs, and more than any program has, before anything is read.
    let bytes = of_inputs(16, true).to_bytes();
    for count in [0, 4097, u32::MAX] {
        let bytes = with_structure(&bytes, |structure| {
            structure.splice(..1, long(count));
        });
        assert_eq!(Program::from_bytes(&bytes), field("inputs", count.into()));
    }
    let refused = |count: usize| {
        let mut builder = Builder::new(&vec![one(); count]);
        let outputs: Vec<ValueId> = (0..count as u32)
            .map(|input| {
                let op = Op::Training(TrainingOp::RowSum);
                builder.step("sum", op, &[ValueId(input)]).unwrap()
            })
            .collect();
        builder.finish_with(&outputs[..2], 0)
    };
    let size = ProgramError::Size { inputs: 4097, constants: 0, steps: 4097 };
    assert_eq!(refused(4097), Err(size));
}

/// A state that halves, and a sum of an input beside it.
fn stateful(states: u32, outputs: &[ValueId]) -> Result<Program, ProgramError> {
    let mut builder = Builder::new(&[shared(2, 3, I32), shared(2, 3, I32), fixed(4, 3, I32)]);
    for input in 0..3 {
        let op = Op::Requantise { multiplier: 1, shift: 1, clamp: Clamp::full(I32) };
        builder.step("half", op, &[ValueId(input)]).unwrap();
    }
    builder.finish_with(outputs, states)
}

#[test]
fn lists_of_outputs_have_one_encoding() {
    let all = [3, 4, 5].map(ValueId);
    let mut ids = BTreeSet::new();
    for states in 0..3 {
        let program = stateful(states, &all).unwrap();
        let bytes = program.to_bytes();
        assert_eq!(Program::from_bytes(&bytes).as_ref(), Ok(&program));
        assert!(ids.insert(program.program_id()));
        // The list is the structure's end.
        for cut in 1..=20 {
            let bytes =
                with_structure(&bytes, |structure| structure.truncate(structure.len() - cut));
            assert!(Program::from_bytes(&bytes).is_err(), "{states} states, {cut} bytes less");
        }
        let longer = with_structure(&bytes, |structure| structure.push(0));
        assert_eq!(Program::from_bytes(&longer), Err(ProgramDecodeError::Length));
    }
    let other = stateful(2, &[4, 3, 5].map(ValueId)).unwrap();
    assert!(ids.insert(other.program_id()), "the order of outputs counts");
    // A list of too many outputs, of which none are read.
    let bytes = stateful(2, &all).unwrap().to_bytes();
    for count in [4097, u32::MAX] {
        let bytes = with_structure(&bytes, |structure| {
            let at = structure.len() - 16;
            structure[at..at + 4].copy_from_slice(&count.to_le_bytes());
        });
        assert_eq!(Program::from_bytes(&bytes), field("outputs", count.into()));
    }
    // A list that names only the last value, without states.
    let plain = of_inputs(2, false);
    let list = [0u32, 1, plain.output().0].map(u32::to_le_bytes).concat();
    let listed = with_structure(&plain.to_bytes(), |structure| structure.extend(list));
    assert_eq!(Program::from_bytes(&listed), field("outputs", 1));
    // With a state it is a list.
    let mut builder = Builder::new(&[shared(2, 3, I32)]);
    let op = Op::Requantise { multiplier: 1, shift: 1, clamp: Clamp::full(I32) };
    let output = builder.step("half", op, &[ValueId(0)]).unwrap();
    let program = builder.finish_with(&[output], 1).unwrap();
    assert!(program.has_list());
    assert_eq!(Program::from_bytes(&program.to_bytes()), Ok(program));
}

#[test]
fn outputs_and_states_fit() {
    let all = [3, 4, 5].map(ValueId);
    for (states, outputs) in [(0, 0), (4, 3), (u32::MAX, 3)] {
        let error = ProgramError::Outputs { outputs, states: states as usize };
        assert_eq!(stateful(states, &all[..outputs]), Err(error));
    }
    // Outputs are steps' values, once each.
    for value in [0, 2, 6, u32::MAX] {
        let outputs = [3, 4, 5, value].map(ValueId);
        assert_eq!(stateful(0, &outputs), Err(ProgramError::Output(ValueId(value))));
    }
    let twice = [3, 4, 5, 4].map(ValueId);
    assert_eq!(stateful(0, &twice), Err(ProgramError::Output(ValueId(4))));
    // What is no output and what no step reads.
    let error = ProgramError::Unread("step half".into());
    assert_eq!(stateful(0, &[3, 5].map(ValueId)), Err(error));
    // The third input is not shared, and its form is not the first's.
    let batched = fixed(4, 3, I32);
    let error = ProgramError::State { state: 2, expected: Some(batched), got: Some(batched) };
    assert_eq!(stateful(3, &all), Err(error));
    let error =
        ProgramError::State { state: 0, expected: Some(shared(2, 3, I32)), got: Some(batched) };
    assert_eq!(stateful(1, &[5, 4, 3].map(ValueId)), Err(error));
    // No input is the transpose of a batch.
    let turned = Form { batch: poai_core::program::BatchAxis::Columns, ..batched };
    let mut builder = Builder::new(&[turned]);
    builder.step("sum", Op::Training(TrainingOp::RowSum), &[ValueId(0)]).unwrap();
    let what = "expected rows for every item, or a shared input";
    assert_eq!(builder.finish(), Err(ProgramError::Number { step: "input 0".into(), what }));
}
