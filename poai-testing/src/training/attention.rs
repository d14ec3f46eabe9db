//! Products of blocks, weights and their gradients.

use super::{I8, Input, MAX, MIN, Programs, TYPES, by_rows, clamp, falling, mixed, number};
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Dim, Dtype, Form, TrainingOp};

pub(super) fn blocks(programs: &mut Programs) {
    let kinds = [BlockKind::Scores, BlockKind::Mix, BlockKind::MixBack];
    // Rows of an item: a number, or one for every token.
    for (index, (batch, l, per_token)) in
        [(1, 1, true), (2, 5, true), (3, 6, false), (1, 40, true)].into_iter().enumerate()
    {
        let rows =
            |units: u32| if per_token { Dim::per_token(units) } else { Dim::fixed(l * units) };
        let input = |seed: &str, rows: Dim, columns: Dim, count: u32| Input {
            form: Form::new(rows, columns, I8),
            entries: mixed(seed, (batch * count) as usize, I8),
            transposed: false,
        };
        for kind in kinds {
            for (heads, columns, base, offset, multiplier) in [
                (1, 3, 0, 0, 1),
                (2, 8, 10, 64, MAX),
                (4, 136, -62, 63, MIN),
                (2, 2, 62, 64, -3),
                (1, 16, 31, 1, 1 << 20),
            ] {
                let b = input("b", rows(1), Dim::fixed(columns), l * columns);
                let (a, output) = match kind {
                    BlockKind::Scores => {
                        (input("a", rows(1), Dim::fixed(columns), l * columns), heads * l)
                    }
                    _ => (input("a", rows(heads), rows(1), heads * l * l), l),
                };
                let op = |signs: &[Sign]| TrainingOp::Block {
                    kind,
                    heads,
                    shift: Shift::new(base, signs),
                    offset,
                    multiplier,
                    clamp: clamp(index + heads as usize),
                };
                let about = format!("{batch}×{l}, {heads} heads of {columns}, base {base}");
                let run = (batch, l);
                programs.add(&about, run, &[a.clone(), b.clone()], &[], |_| op(&[]));
                let of_output = rows(output / l);
                let exponents = by_rows(batch, of_output, output, index);
                let inputs = [a, b, number(2), exponents];
                programs.add(&about, run, &inputs, &[], |_| op(&[Sign::Minus, Sign::Plus]));
            }
        }
    }
}

pub(super) fn weights(programs: &mut Programs) {
    for (index, (batch, l, heads, per_token)) in
        [(1, 1, 1, true), (2, 5, 2, true), (3, 6, 4, false), (1, 40, 1, true)]
            .into_iter()
            .enumerate()
    {
        let run = (batch, l);
        let rows =
            |units: u32| if per_token { Dim::per_token(units) } else { Dim::fixed(l * units) };
        let scores = |seed: &str, dtype: Dtype| Input {
            form: Form::new(rows(heads), rows(1), dtype),
            entries: mixed(seed, (batch * heads * l * l) as usize, dtype),
            transposed: false,
        };
        for (multiplier, shift) in
            [(0, 0), (1, 0), (3, 4), (MAX, 31), (MAX, 62), (1 << 20, 45), (1, 24)]
        {
            for causal in [false, true] {
                let about = format!("·{multiplier}, shift {shift}, causal {causal}");
                let x = scores("x", TYPES[(shift as usize + index) % 3]);
                programs.add(&about, run, &[x], &[falling()], |ids| TrainingOp::Exponentials {
                    table: ids[0],
                    causal,
                    multiplier,
                    shift,
                });
            }
        }
        let alike = |entry: i32| Input {
            entries: vec![entry; (batch * heads * l * l) as usize],
            ..scores("w", I8)
        };
        for (w, about) in
            [(scores("w", I8), "mixed"), (alike(-64), "no weights"), (alike(63), "largest")]
        {
            for (at, shift) in [0, 1, 7, 31, 32, 40, 62].into_iter().enumerate() {
                let columns = heads * [1, 5, 33][at % 3];
                let x = Input {
                    form: Form::new(rows(1), Dim::fixed(columns), TYPES[at % 3]),
                    entries: mixed("x", (batch * l * columns) as usize, TYPES[at % 3]),
                    transposed: false,
                };
                let about = format!("{about}, shift {shift}");
                programs.add(&about, run, &[x, w.clone()], &[], |_| TrainingOp::DivideBySums {
                    shift,
                    clamp: clamp(at + index),
                });
            }
            for dtype in TYPES {
                programs.add(about, run, &[w.clone(), scores("d", dtype)], &[], |_| {
                    TrainingOp::SoftmaxGradient
                });
            }
        }
    }
}
