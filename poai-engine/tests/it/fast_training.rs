//! Steps of training and steps of 32-bit entries with loops of their own, compared with
//! the definition of each step.

use super::fast::{Given, SIZES, check, mixed, tokens};
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Clamp, ConstantId, Dim, Dtype, Form, Op, RunShape, TrainingOp};

const DTYPES: [Dtype; 3] = [Dtype::I8, Dtype::I16, Dtype::I32];
/// Shifts on both sides of the bounds at which a loop chooses other arithmetic.
const SHIFTS: [i32; 14] = [-62, -32, -31, -4, 0, 1, 2, 9, 10, 29, 30, 31, 32, 62];

fn one(value: i32) -> (Form, Vec<i32>) {
    (Form::shared(Dim::fixed(1), Dim::fixed(1), Dtype::I32), vec![value])
}

fn seed() -> (Form, Vec<i32>) {
    let form = Form::shared(Dim::fixed(8), Dim::fixed(1), Dtype::I32);
    (form, mixed("seed", 8, Dtype::I32.range()))
}

/// A clamp whose range excludes numbers of both signs, and the full one.
fn clamps(dtype: Dtype) -> [Clamp; 2] {
    [Clamp::full(dtype), Clamp { dtype, min: -63, max: 60 }]
}

/// Every size of run and columns.
fn sizes() -> impl Iterator<Item = (RunShape, usize, usize)> {
    SIZES.into_iter().map(|(batch, sequence, columns)| {
        (RunShape::new(batch, sequence), (batch * sequence) as usize, columns)
    })
}

#[test]
fn rows_of_32_bits() {
    for (run, rows, columns) in sizes() {
        let x =
            |seed| (tokens(columns, Dtype::I32), mixed(seed, rows * columns, Dtype::I32.range()));
        check("row scale", run, &[x("x")], &[], |_| Op::RowScale);
        check("relu", run, &[x("x")], &[], |_| Op::Relu);
        for (multipliers, shift) in
            [([1, 1], 0), ([1, 1], 3), ([i32::MIN, i32::MIN], 31), ([29_491, 1 << 15], 15)]
        {
            for clamp in clamps(Dtype::I32) {
                let about = format!("add {multipliers:?} {shift}, {columns} columns");
                let op = |_: &[ConstantId]| Op::Add { multipliers, shift, clamp };
                check(&about, run, &[x("a"), x("b")], &[], op);
            }
        }
    }
}

#[test]
fn rescaled_rows() {
    for (run, rows, columns) in sizes() {
        let x = (tokens(columns, Dtype::I32), mixed("x", rows * columns, Dtype::I32.range()));
        for (base, dtype) in SHIFTS.into_iter().flat_map(|base| DTYPES.map(|dtype| (base, dtype))) {
            for multiplier in [1, -3, i32::MIN] {
                // The shift is the same with an exponent.
                let shift = Shift::new((base - 5).max(-62), &[Sign::Plus]);
                let e = one(base - shift.base);
                for (clamp, stream) in clamps(dtype).into_iter().zip([None, Some(3)]) {
                    let mut inputs = vec![x.clone(), e.clone()];
                    if stream.is_some() {
                        inputs.extend([seed(), one(i32::MAX)]);
                    }
                    let op =
                        TrainingOp::Rescale { shift: shift.clone(), stream, multiplier, clamp };
                    let about = format!("{op:?}, {columns} columns");
                    check(&about, run, &inputs, &[], |_| Op::Training(op));
                }
            }
        }
    }
}

#[test]
fn gates() {
    let switch: Given = (256, 1, Dtype::I16, (0..256).map(|i| i32::from(i > 128)).collect());
    let curve: Given = (256, 1, Dtype::I16, mixed("curve", 256, Dtype::I16.range()));
    for (run, rows, columns) in sizes() {
        let g = (tokens(columns, Dtype::I32), mixed("g", rows * columns, Dtype::I32.range()));
        for dtype in DTYPES {
            let x = (tokens(columns, dtype), mixed("x", rows * columns, dtype.range()));
            for (table, shift) in [(&switch, 0), (&switch, 1), (&curve, 0), (&curve, 15)] {
                for (index_shift, clamp) in [0, 9, 40].into_iter().zip(clamps(Dtype::I32)) {
                    let about = format!("gate of {dtype} by {index_shift}, {shift}");
                    let op = |ids: &[ConstantId]| {
                        let table = ids[0];
                        Op::Training(TrainingOp::Gate { table, index_shift, shift, clamp })
                    };
                    check(&about, run, &[g.clone(), x.clone()], std::slice::from_ref(table), op);
                }
            }
        }
    }
}

#[test]
fn descents() {
    for (run, rows, columns) in sizes() {
        let x = |seed, dtype: Dtype| {
            (tokens(columns, dtype), mixed(seed, rows * columns, dtype.range()))
        };
        for (own, dtype) in
            [(Dtype::I32, Dtype::I8), (Dtype::I32, Dtype::I32), (Dtype::I16, Dtype::I32)]
        {
            for (rate, shift) in [i32::MIN, -7, 0, i32::MAX].into_iter().zip([62, -62, 24, 1]) {
                for (decay, clamp) in [0, 1, 62].into_iter().zip(clamps(Dtype::I32).repeat(2)) {
                    let inputs = [x("w", own), x("d", dtype), one(rate)];
                    let op = TrainingOp::Descend { shift, decay, clamp };
                    check(&format!("{op:?}, {rate}"), run, &inputs, &[], |_| Op::Training(op));
                }
            }
        }
    }
}

#[test]
fn weights_of_scores() {
    let table: Given = (256, 1, Dtype::I16, (0..256).map(|i| 300 - 3 * i).collect());
    for (batch, length) in [(1, 1), (2, 33), (1, 64), (1, 129)] {
        let run = RunShape::new(batch, 1);
        let form = Form::new(Dim::fixed(2 * length), Dim::fixed(length), Dtype::I32);
        let count = (2 * batch * length * length) as usize;
        for (multiplier, shift) in [(0, 0), (1, 12), (i32::MAX, 62), (i32::MAX, 20)] {
            for causal in [false, true] {
                let x = (form, mixed("x", count, Dtype::I32.range()));
                let op = |ids: &[ConstantId]| {
                    let table = ids[0];
                    Op::Training(TrainingOp::Exponentials { table, causal, multiplier, shift })
                };
                let about = format!("exponentials {multiplier} {shift} {causal}");
                check(&about, run, &[x], std::slice::from_ref(&table), op);
            }
        }
    }
}

#[test]
fn blocks() {
    for (batch, length, width) in [(1, 1, 1), (2, 33, 3), (1, 70, 64), (2, 5, 130)] {
        let (run, heads) = (RunShape::new(batch, 1), 2);
        let value = Form::new(Dim::fixed(length), Dim::fixed(heads * width), Dtype::I8);
        let scores = Form::new(Dim::fixed(heads * length), Dim::fixed(length), Dtype::I8);
        for kind in [BlockKind::Scores, BlockKind::Mix, BlockKind::MixBack] {
            let a = if kind == BlockKind::Scores { value } else { scores };
            let of = |form: Form, seed| {
                let count = batch * form.rows.units * form.columns.units;
                (form, mixed(seed, count as usize, Dtype::I8.range()))
            };
            for ((base, offset), dtype) in
                SHIFTS.into_iter().zip([0, 64].repeat(7)).zip(DTYPES.repeat(5))
            {
                for multiplier in [1, 512, i32::MIN] {
                    let op = TrainingOp::Block {
                        kind,
                        heads,
                        shift: Shift::fixed(base),
                        offset,
                        multiplier,
                        clamp: Clamp::full(dtype),
                    };
                    let about = format!("{op:?} of {length} rows, {width} columns");
                    check(&about, run, &[of(a, "a"), of(value, "b")], &[], |_| Op::Training(op));
                }
            }
        }
    }
}

#[test]
fn scaled_products() {
    for (batch, n, k) in [(1, 1, 1), (33, 31, 130), (64, 70, 64)] {
        let run = RunShape::new(batch, 1);
        let a = Form::new(Dim::fixed(1), Dim::fixed(k), Dtype::I8);
        let b = Form::shared(Dim::fixed(n), Dim::fixed(k), Dtype::I8);
        let a = (a, mixed("a", (batch * k) as usize, Dtype::I8.range()));
        let b = (b, mixed("b", (n * k) as usize, Dtype::I8.range()));
        for (base, dtype) in SHIFTS.into_iter().flat_map(|base| DTYPES.map(|dtype| (base, dtype))) {
            // None, calm ones and others.
            for most in [0, 1 << 30, i32::MAX] {
                let bias = Form::shared(Dim::fixed(n), Dim::fixed(1), Dtype::I32);
                let bias = (bias, mixed("bias", n as usize, (-most, most)));
                for clamp in clamps(dtype) {
                    let shift = Shift::fixed(base);
                    let bias_shift = u8::from(most == i32::MAX);
                    let (has_bias, mut inputs) = (most > 0, vec![a.clone(), b.clone()]);
                    let bias_shift = if base == 0 { 0 } else { bias_shift };
                    inputs.extend(has_bias.then(|| bias.clone()));
                    let op = TrainingOp::ScaledProduct { shift, bias: has_bias, bias_shift, clamp };
                    check(&format!("{op:?}, {batch}×{n}"), run, &inputs, &[], |_| {
                        Op::Training(op)
                    });
                }
            }
        }
    }
}

#[test]
fn transposes_of_tiles() {
    for (run, rows, columns) in sizes() {
        let x = (tokens(columns, Dtype::I8), mixed("x", rows * columns, Dtype::I8.range()));
        check("tiles", run, &[x], &[], |_| Op::Training(TrainingOp::TransposeTiles));
    }
}
