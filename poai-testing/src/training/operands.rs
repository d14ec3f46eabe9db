//! Scaled products, operands with exponents, and random steps.

use super::{
    BASES, EXPONENTS, I8, I16, I32, Input, MAX, MIN, ONE, Programs, TYPES, by_rows, clamp, column,
    items, number, seed, shared, transposed,
};
use crate::zoo::entries;
use poai_core::program::training::{Shift, Sign};
use poai_core::program::{BatchAxis, Clamp, ConstantId, Dim, Form, TrainingOp};

pub(super) fn products(programs: &mut Programs) {
    for (index, base) in BASES.into_iter().enumerate() {
        for (batch, m, n, k) in [(1, 1, 1, 1), (3, 11, 37, 130)] {
            let bias = index % 2 == 0;
            let bias_shift = if bias { [0, 1, 62, 7][index / 2 % 4] } else { 0 };
            let op = |signs: &[Sign]| TrainingOp::ScaledProduct {
                shift: Shift::new(base, signs),
                bias,
                bias_shift,
                clamp: clamp(index),
            };
            let mut own = vec![items("a", batch, m, k, I8), shared("b", n, k, I8)];
            own.extend(bias.then(|| shared("bias", n, 1, I32)));
            let about = format!("base {base}, {m}×{n}×{k}");
            let run = (batch, 1);
            programs.add(&about, run, &own, &[], |_| op(&[]));
            let with = |own: &[Input], more: &[Input]| [own, more].concat();
            let rows = Dim::fixed(m);
            let all = with(&own, &[number(EXPONENTS[index % 8]), by_rows(batch, rows, m, index)]);
            programs.add(&about, run, &all, &[], |_| op(&[Sign::Minus, Sign::Plus]));
        }
    }
    // Sums over the batch, whose output is shared.
    let turned = [transposed(items("a", 3, 11, 5, I8)), transposed(items("b", 3, 11, 40, I8))];
    let far = [1, 2, 3, 4].map(|exponent| number(exponent * exponent));
    let all = [&turned[..], &far].concat();
    programs.add("over the batch", (3, 1), &all, &[], |_| TrainingOp::ScaledProduct {
        shift: Shift::new(4, &[Sign::Plus, Sign::Minus, Sign::Plus, Sign::Minus]),
        bias: false,
        bias_shift: 0,
        clamp: Clamp::full(I8),
    });
}

pub(super) fn operands(programs: &mut Programs) {
    for dtype in TYPES {
        let x = [items("x", 3, 13, 37, dtype), items("x", 1, 1, 1, dtype)];
        for (x, batch) in x.into_iter().zip([3, 1]) {
            let turn = |_: &[ConstantId]| TrainingOp::TransposeTiles;
            programs.add("of items", (batch, 1), std::slice::from_ref(&x), &[], turn);
            programs.add("back", (batch, 1), &[transposed(x)], &[], turn);
        }
        programs.add("shared", (2, 1), &[shared("x", 5, 200, dtype)], &[], |_| {
            TrainingOp::TransposeTiles
        });
        for (x, about) in [
            (items("x", 2, 5, 131, dtype), "of items"),
            (transposed(items("x", 40, 5, 3, dtype)), "of the batch"),
            (shared("x", 33, 1, dtype), "shared"),
        ] {
            let batch = if x.transposed { 40 } else { 2 };
            programs.add(about, (batch, 1), &[x], &[], |_| TrainingOp::RowSum);
        }
        let alike = [dtype.range().0, dtype.range().1].map(|entry| vec![entry; 300]).concat();
        let form = Form::new(ONE, Dim::fixed(300), dtype);
        let x = Input { form, entries: alike, transposed: false };
        programs.add("extreme", (2, 1), &[x], &[], |_| TrainingOp::RowSum);
    }
    for (index, base) in BASES.into_iter().enumerate() {
        for (dtype, multiplier) in [(I8, MIN), (I16, 3), (I32, MAX), (I32, MIN), (I32, -1)] {
            let op = |signs: &[Sign]| TrainingOp::Rescale {
                shift: Shift::new(base, signs),
                stream: None,
                multiplier,
                clamp: clamp(index),
            };
            let about = format!("base {base}, ·{multiplier}");
            let x = items("x", 2, 5, 21, dtype);
            programs.add(&about, (2, 1), std::slice::from_ref(&x), &[], |_| op(&[]));
            let rows = by_rows(2, Dim::fixed(5), 5, index);
            let inputs = [x, rows, number(EXPONENTS[(index + 3) % 8])];
            programs.add(&about, (2, 1), &inputs, &[], |_| op(&[Sign::Plus, Sign::Minus]));
        }
        let x = transposed(items("x", 5, 3, 7, I32));
        let inputs = [x, number(-(index as i32))];
        programs.add("of the batch", (5, 1), &inputs, &[], |_| TrainingOp::Rescale {
            shift: Shift::new(base, &[Sign::Minus]),
            stream: None,
            multiplier: 5,
            clamp: clamp(index),
        });
    }
    let scales = [
        vec![0, 1, 63, 64, 65, 127, 128],
        vec![MAX, MIN, -5, 1 << 30, (1 << 30) - 1, 4, 2],
        vec![-1; 7],
        (0..7).collect(),
        (25..32).collect(),
        (26..33).collect(),
        (57..64).collect(),
    ];
    for (index, m) in scales.iter().enumerate() {
        for batch in [BatchAxis::Rows, BatchAxis::None] {
            let [items, rows] = if batch == BatchAxis::Rows { [7, 1] } else { [2, 7] };
            let m = column(batch, Dim::fixed(rows), m);
            for per_row in [false, true] {
                programs.add("", (items, 1), std::slice::from_ref(&m), &[], |_| {
                    TrainingOp::Exponent { per_row }
                });
            }
            for e in [0, 1, 7, MAX, MIN, -2] {
                let about = format!("e {e}, scales {index}");
                programs.add(&about, (items, 1), &[number(e), m.clone()], &[], |_| {
                    TrainingOp::NextExponent
                });
            }
        }
    }
    // More rows than a block has threads.
    let mut many = entries("many", 1000, MIN, 100);
    many[999] = 1 << 20;
    let many = column(BatchAxis::Rows, ONE, &many);
    for per_row in [false, true] {
        programs.add("many", (1000, 1), std::slice::from_ref(&many), &[], |_| {
            TrainingOp::Exponent { per_row }
        });
    }
    programs.add("many", (1000, 1), &[number(17), many], &[], |_| TrainingOp::NextExponent);
}

pub(super) fn stochastic(programs: &mut Programs) {
    let words = [MIN, MAX, 0, -1, 1, 0x0102_0304, 77, -77];
    for (index, base) in [-62, 0, 1, 2, 8, 9, 10, 40, 62].into_iter().enumerate() {
        let op = |signs: &[Sign]| TrainingOp::Rescale {
            shift: Shift::new(base, signs),
            stream: Some([0, 1, u32::MAX][index % 3]),
            multiplier: [MIN, 1, -7, MAX][index % 4],
            clamp: clamp(index + 1),
        };
        let about = format!("stochastic, base {base}");
        let random = [seed(words), number([0, 5, MAX][index % 3])];
        let x = shared("x", 40, 131, TYPES[index % 3]);
        let own = [std::slice::from_ref(&x), &random].concat();
        programs.add(&about, (2, 1), &own, &[], |_| op(&[]));
        let rows = by_rows(3, Dim::fixed(2), 2, index);
        let x = items("x", 3, 2, 64, I32);
        let own = [&[x, rows, number(4)][..], &random].concat();
        programs.add(&about, (3, 1), &own, &[], |_| op(&[Sign::Plus, Sign::Minus]));
    }
    // Longer rows than a warp's share of random bytes.
    let own = [shared("x", 2, 4200, I32), seed(words), number(1)];
    programs.add("stochastic, wide", (1, 1), &own, &[], |_| TrainingOp::Rescale {
        shift: Shift::fixed(26),
        stream: Some(3),
        multiplier: 1,
        clamp: Clamp::full(I8),
    });
    for samples in [1, 2, 3, 4, 5, 17, 64, 65, 60_000, (1 << 31) - 1, 1 << 31] {
        for (t, batch) in [(0, 40), (7, 3), (MAX, 1), (1 << 30, 33)] {
            let about = format!("{samples} samples, t {t}");
            programs.add(&about, (batch, 1), &[seed(words), number(t)], &[], |_| {
                TrainingOp::Draw { samples }
            });
        }
    }
}
