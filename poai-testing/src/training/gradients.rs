//! Gradients of rows and of windows.

use super::{
    Column, I8, I16, I32, Input, MAX, MIN, ONE, Programs, TYPES, clamp, column, falling, items,
    mixed, shared,
};
use crate::zoo::entries;
use poai_core::program::{BatchAxis, Clamp, Dim, Dtype, Form, TrainingOp, Window};

pub(super) fn row_gradients(programs: &mut Programs) {
    for (index, shift) in [0, 1, 7, 20, 31, 62].into_iter().enumerate() {
        for dtype in TYPES {
            for table in [I8, I16] {
                let inputs = [
                    items("g", 2, 3, 35, TYPES[(index + table.size()) % 3]),
                    items("x", 2, 3, 35, dtype),
                ];
                let index_shift = [0, 1, 8, 24, 31, 62][(index + dtype.size()) % 6];
                let entries = Column(table, mixed("gate", 256, table));
                let about = format!("shifts {index_shift}, {shift}");
                programs.add(&about, (2, 1), &inputs, &[entries], |ids| TrainingOp::Gate {
                    table: ids[0],
                    index_shift,
                    shift,
                    clamp: clamp(index),
                });
            }
        }
    }
    let both = [shared("g", 9, 15, I32), shared("x", 9, 15, I8)];
    let table = Column(I16, mixed("gate", 256, I16));
    programs.add("shared", (9, 1), &both, &[table], |ids| TrainingOp::Gate {
        table: ids[0],
        index_shift: 0,
        shift: 3,
        clamp: Clamp::full(I8),
    });
    let labels = [0, 1, 6, 7, -1, MIN, MAX, 3];
    for (multiplier, shift, fraction) in
        [(0, 0, 0), (1, 0, 30), (3, 4, 14), (MAX, 31, 7), (MAX, 62, 30), (1 << 20, 45, 1)]
    {
        for (dtype, columns) in [(I8, 7), (I16, 1), (I32, 130), (I32, 7)] {
            for table in [falling(), Column(I16, vec![32767; 256]), Column(I16, vec![-3; 256])] {
                let x = items("x", 8, 1, columns, dtype);
                let inputs = [x, column(BatchAxis::Rows, ONE, &labels)];
                let about = format!("·{multiplier}, shift {shift}, fraction {fraction}");
                programs.add(&about, (8, 1), &inputs, &[table], |ids| TrainingOp::CrossEntropy {
                    table: ids[0],
                    multiplier,
                    shift,
                    fraction,
                });
            }
        }
    }
    for (index, shift) in [0, 1, 8, 20, 40, 62].into_iter().enumerate() {
        for columns in [1, 2, 64, 131] {
            for centre in [false, true] {
                let x = special(columns, I16);
                let Dim { units: rows, .. } = x.form.rows;
                let about = format!("shift {shift}, centre {centre}");
                for dz in [shared("dz", rows, columns as u32, I32), same_sign(&x)] {
                    programs.add(&about, (1, 1), &[x.clone(), dz], &[], |_| {
                        TrainingOp::NormaliseGradient { centre, shift, clamp: clamp(index) }
                    });
                }
            }
        }
    }
    for dtype in TYPES {
        let rows = || Dim::fixed(4);
        let dy = items("dy", 3, 1, 21, dtype);
        programs.add("all", (3, 1), std::slice::from_ref(&dy), &[], |_| {
            TrainingOp::MeanPoolGradient { rows: rows() }
        });
        let lengths = column(BatchAxis::Rows, ONE, &[4, 1, 3]);
        programs.add("lengths", (3, 1), &[dy.clone(), lengths], &[], |_| {
            TrainingOp::MeanPoolGradient { rows: rows() }
        });
        let lengths = column(BatchAxis::Rows, ONE, &[5, 1, 2]);
        programs.add("tokens", (3, 5), &[dy, lengths], &[], |_| TrainingOp::MeanPoolGradient {
            rows: Dim::TOKENS,
        });
    }
}

/// Rows that are all zero, all one extreme, alternating, small and mixed. No
/// batch changes them.
fn special(columns: usize, dtype: Dtype) -> Input {
    let (min, max) = dtype.range();
    let alternating = (0..columns).map(|column| if column % 2 == 0 { min } else { max });
    let mut all: Vec<i32> =
        [0, min, max, 5, -1].into_iter().flat_map(|x| vec![x; columns]).collect();
    all.extend(alternating);
    all.extend(entries("small", columns, -3, 3));
    // One small entry: too little, relative to the others, to have a variance.
    all.extend((0..columns).map(|column| i32::from(column == 0)));
    all.extend((0..columns).map(|column| -i32::from(column + 1 == columns)));
    all.extend(mixed("row", columns, dtype));
    let rows = (all.len() / columns) as u32;
    let form = Form::shared(Dim::fixed(rows), Dim::fixed(columns as u32), dtype);
    Input { form, entries: all, transposed: false }
}

/// The largest gradients of x's signs, whose sums are largest.
fn same_sign(x: &Input) -> Input {
    let entry = |&x: &i32| if x < 0 { MIN } else { MAX };
    let form = Form { dtype: I32, ..x.form };
    Input { form, entries: x.entries.iter().map(entry).collect(), transposed: false }
}

pub(super) fn windows(programs: &mut Programs) {
    let all = [
        (1, 1, [1, 1], [1, 1], [0, 0, 0, 0]),
        (1, 1, [3, 3], [1, 1], [1, 1, 1, 1]),
        (5, 4, [3, 2], [2, 1], [2, 1, 0, 0]),
        (5, 4, [3, 4], [2, 3], [0, 3, 1, 2]),
        (6, 7, [2, 3], [3, 2], [1, 2, 0, 1]),
        (3, 8, [2, 5], [1, 4], [0, 0, 1, 4]),
        (4, 4, [2, 2], [3, 3], [0, 0, 0, 0]),
    ];
    for (height, width, kernel, stride, pads) in all {
        let window = Window { height, width, kernel, stride, pads };
        let about = format!("{height}×{width} {kernel:?} {stride:?} {pads:?}");
        let [down, right] = window.output().unwrap();
        let (pixels, places, area) = (height * width, down * right, kernel[0] * kernel[1]);
        for dtype in TYPES {
            for channels in [1, 3] {
                let dy = items("dy", 2, places, area * channels, dtype);
                programs.add(&about, (2, 1), &[dy], &[], |_| TrainingOp::UnfoldGradient(window));
            }
            let image = items("image", 2, pixels, 3, dtype);
            // Ties: the first largest pixel counts.
            let level = Input {
                entries: image.entries.iter().map(|&x| x.clamp(-1, 1)).collect(),
                ..image.clone()
            };
            for x in [image, level] {
                let dy = items("dy", 2, places, 3, TYPES[(dtype.size() + 1) % 3]);
                programs
                    .add(&about, (2, 1), &[x, dy], &[], |_| TrainingOp::MaxPoolGradient(window));
            }
        }
    }
}
