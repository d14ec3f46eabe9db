//! The encoding of steps of decoders, and of forms with answers. Every program
//! has exactly one.

use super::{AN_ITEM, FIRST, NARROW, REQUEST, attention, constants, heads, operands, program};
use crate::program_checks::{I8, I16, I32, fixed, tokens};
use poai_core::program::{Clamp, ConstantId, DecoderOp, Dim, Form, Program, ProgramDecodeError};
use std::collections::BTreeSet;

/// Programs of every kind of step. Those of a kind differ in one field each.
fn programs() -> Vec<Program> {
    let mut all = vec![];
    let norm = |epsilon, shift| DecoderOp::RmsNorm { affine: FIRST, epsilon, shift };
    for op in [norm(0, 1), norm(1, 1), norm(0, 2), norm(i32::MAX, 62)] {
        all.push(program(op, &[fixed(4, 7, I32)], &[(7, 2, I32)]));
    }
    let rotary = |heads, shift| DecoderOp::Rotary { turns: FIRST, heads, shift };
    for op in [rotary(2, 14), rotary(3, 14), rotary(2, 13)] {
        all.push(program(op, &[tokens(24, I16)], &[(5, 8, I16)]));
    }
    let mix = |block, shift, clamp| DecoderOp::Mix { scale: FIRST, block, shift, clamp };
    let other = Clamp { max: 301, ..NARROW };
    let wide = Clamp { dtype: I32, ..NARROW };
    for op in
        [mix(4, 3, NARROW), mix(8, 3, NARROW), mix(4, 4, NARROW), mix(4, 3, other), mix(4, 3, wide)]
    {
        all.push(program(op, &[heads(2, 8, I8)], &[(16, 1, I32)]));
    }
    for op in [
        attention(4, 2, 0, [1, 2, 3, 4]),
        attention(4, 2, 7, [1, 2, 3, 4]),
        attention(4, 2, u32::MAX, [1, 2, 3, 4]),
        attention(4, 2, 0, [2, 2, 3, 4]),
        attention(4, 2, 0, [1, 3, 3, 4]),
        attention(4, 2, 0, [1, 2, 4, 4]),
        attention(4, 2, 0, [1, 2, 3, 5]),
    ] {
        all.push(program(op, &operands(4, 2, 8), &constants(4, 8)));
    }
    let with_lengths = [&operands(4, 1, 8)[..], &[AN_ITEM]].concat();
    all.push(program(attention(4, 1, 0, [0; 4]), &with_lengths, &constants(4, 8)));
    // α and the scale are of one extent.
    let DecoderOp::Attention { heads, key_heads, window, table, shifts, .. } =
        attention(4, 1, 0, [0; 4])
    else {
        panic!("another kind");
    };
    let (alpha, scale) = (ConstantId(2), ConstantId(0));
    let turned = DecoderOp::Attention { heads, key_heads, window, alpha, table, scale, shifts };
    all.push(program(turned, &operands(4, 1, 1), &constants(4, 1)));
    all.push(program(attention(4, 1, 0, [0; 4]), &operands(4, 1, 1), &constants(4, 1)));
    all.push(program(DecoderOp::Tail, &[tokens(7, I8), AN_ITEM], &[]));
    for shift in [0, 8] {
        let sample = DecoderOp::Sample { table: FIRST, shift };
        for rows in [Dim::TOKENS, Dim::ANSWERS, Dim::fixed(1), Dim::per_answer(2)] {
            let x = Form { rows, ..tokens(7, I16) };
            all.push(program(sample.clone(), &[x, REQUEST], &[(256, 1, I32)]));
        }
    }
    for low in [false, true] {
        all.push(program(DecoderOp::Limb { low }, &[tokens(7, I16), tokens(1, I32)], &[]));
    }
    all
}

#[test]
fn programs_of_decoders_have_one_encoding() {
    let (mut kinds, mut ids, mut architectures) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for program in programs() {
        let name = program.steps()[0].op.name();
        kinds.insert(name);
        let bytes = program.to_bytes();
        assert_eq!(Program::from_bytes(&bytes).as_ref(), Ok(&program), "{name}");
        assert!(ids.insert(program.program_id()), "{name}");
        architectures.insert(program.architecture_id());
        for len in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..len]).is_err(), "{name}: {len} bytes");
        }
        // What still decodes after a change of a byte is another program with
        // these bytes.
        for at in 0..bytes.len() {
            for mask in [1, 2, 4, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                if let Ok(other) = Program::from_bytes(&changed) {
                    assert_eq!(other.to_bytes(), changed, "{name}: byte {at}");
                }
            }
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    // Shifts, ε and bounds are numbers, and other fields belong to the
    // architecture.
    assert_eq!(architectures.len(), 1 + 2 + 3 + 3 + 1 + 2 + 1 + 4 + 2);
}

/// A dimension is per item, token or answer.
#[test]
fn dimensions_have_three_kinds() {
    let x = Form { rows: Dim::ANSWERS, ..fixed(1, 7, I16) };
    let sample = DecoderOp::Sample { table: FIRST, shift: 0 };
    let program = program(sample, &[x, REQUEST], &[(256, 1, I32)]);
    let bytes = program.to_bytes();
    // The structure begins after the magic and two lengths: the number of
    // inputs, then rows, flags, columns, per, type of the first.
    let (flags, per) = (15 + 8 + 1 + 4, 15 + 8 + 1 + 4 + 1 + 4);
    assert_eq!((bytes[flags], bytes[per]), (4, 0));
    let changed = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        Program::from_bytes(&bytes)
    };
    for (at, byte, what) in [
        (flags, 5, "an input's flags"),
        (flags, 7, "an input's flags"),
        (flags, 8, "an input's flags"),
        (per, 3, "a dimension's kind"),
        (per, 255, "a dimension's kind"),
    ] {
        let error = ProgramDecodeError::Field { what, value: byte.into() };
        assert_eq!(changed(at, byte), Err(error));
    }
    assert!(changed(flags, 1).is_ok());
}
