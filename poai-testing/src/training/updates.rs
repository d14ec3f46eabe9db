//! Rows that ids name, and optimisers.

use super::{
    BASES, Column, I16, I32, Input, MAX, MIN, ONE, Programs, TYPES, clamp, column, items, mixed,
    number, shared,
};
use crate::zoo::entries;
use poai_core::program::{BatchAxis, Dim, Form, TrainingOp};

pub(super) fn moved_rows(programs: &mut Programs) {
    for dtype in TYPES {
        for columns in [1, 131] {
            let ids = column(BatchAxis::Rows, Dim::TOKENS, &[3, 8, 0, 0, 8, 1]);
            let table = shared("table", 9, columns, dtype);
            programs.add("", (2, 3), &[table, ids.clone()], &[], |_| TrainingOp::Gather {
                table: None,
            });
            let x = Form::new(Dim::TOKENS, Dim::fixed(columns), dtype);
            let x = Input {
                form: x,
                entries: mixed("x", 6 * columns as usize, dtype),
                transposed: false,
            };
            for rows in [9, 40] {
                programs.add("", (2, 3), &[x.clone(), ids.clone()], &[], |_| {
                    TrainingOp::ScatterAdd { rows }
                });
            }
        }
        let ids = column(BatchAxis::Rows, ONE, &[3, 8, 0, 1]);
        let table = Column(dtype, mixed("table", 9, dtype));
        programs.add("a constant", (4, 1), std::slice::from_ref(&ids), &[table], |constants| {
            TrainingOp::Gather { table: Some(constants[0]) }
        });
        let ids = column(BatchAxis::None, Dim::fixed(4), &[3, 8, 0, 1]);
        programs.add("shared", (2, 1), &[shared("table", 9, 7, dtype), ids], &[], |_| {
            TrainingOp::Gather { table: None }
        });
    }
    // Sums that saturate, of many rows and wide ones.
    for entry in [MIN, MAX] {
        let form = Form::new(ONE, Dim::fixed(3), I32);
        let x = Input { form, entries: vec![entry; 300], transposed: false };
        let ids = column(BatchAxis::Rows, ONE, &entries("ids", 100, 0, 2));
        programs.add("saturated", (100, 1), &[x, ids], &[], |_| TrainingOp::ScatterAdd { rows: 4 });
    }
    let ids = column(BatchAxis::Rows, ONE, &entries("ids", 70, 0, 4));
    programs.add("wide", (70, 1), &[items("x", 70, 1, 600, I16), ids], &[], |_| {
        TrainingOp::ScatterAdd { rows: 5 }
    });
}

pub(super) fn updates(programs: &mut Programs) {
    for (index, shift) in BASES.into_iter().enumerate() {
        for rate in [0, 1, -3, MIN, MAX, 1 << 20] {
            let decay = [0, 1, 20, 62][(index + rate as usize % 4) % 4];
            let (w, d) = (TYPES[index % 3], TYPES[(index + 1 + index / 3) % 3]);
            let inputs = [shared("w", 9, 35, w), shared("d", 9, 35, d), number(rate)];
            let about = format!("λ {rate}, shift {shift}, decay {decay}");
            programs.add(&about, (2, 1), &inputs, &[], |_| TrainingOp::Descend {
                shift,
                decay,
                clamp: clamp(index),
            });
        }
    }
    let extreme = |first: bool| {
        let all = [0, 1, -1, MIN, MAX, MIN + 1, 1 << 22, -(1 << 22), (1 << 22) - 1, 46341];
        let count = all.len();
        let entry = |at: usize| all[if first { at / count } else { at % count }];
        let form = Form::shared(Dim::fixed(count as u32), Dim::fixed(count as u32), I32);
        let entries = (0..count * count).map(entry).collect();
        Input { form, entries, transposed: false }
    };
    for shift in [1, 2, 10, 29, 30] {
        let about = format!("k {shift}");
        for inputs in [
            [extreme(true), extreme(false)],
            [items("r", 3, 2, 40, I32), items("g", 3, 2, 40, I32)],
        ] {
            programs.add(&about, (3, 1), &inputs, &[], |_| TrainingOp::SecondMoment { shift });
        }
    }
    for index in 0..4 {
        for inputs in [
            [extreme(true), extreme(false)],
            [items("a", 3, 2, 40, I32), items("r", 3, 2, 40, I32)],
        ] {
            programs.add("", (3, 1), &inputs, &[], |_| TrainingOp::Ratio { clamp: clamp(index) });
        }
    }
}
