//! Programs of one step of training, of any size, for the tests of bounds; and
//! what tiles open at the sizes of large networks.

use crate::bounds::{Bounded, worst};
use poai_core::Root;
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{
    Builder, Clamp, Dim, Dtype, Extent, Form, Op, Program, RunShape, TrainingOp, ValueId, Window,
};
use poai_testing::traces::RULES;
use poai_verify::trace::{Checker, TraceRules};

const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;
const FULL: Clamp = Clamp::full(Dtype::I32);

/// The number of kinds whose rows are numbers, which
/// `test_vectors/trace-bounds.txt` has.
pub const FIXED: u32 = 26;

/// The number of all kinds: the last have rows for every token.
pub const ALL: u32 = FIXED + 5;

fn fixed(rows: u32, columns: u32, dtype: Dtype) -> Form {
    Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype)
}

fn shared(rows: u32, columns: u32, dtype: Dtype) -> Form {
    Form::shared(Dim::fixed(rows), Dim::fixed(columns), dtype)
}

/// A single number that no batch changes.
fn one() -> Form {
    shared(1, 1, I32)
}

/// One step of a kind, given by number, of any size.
///
/// Of two exponents, the first is for all rows and the second for each row.
pub fn program(kind: u32, sizes: [u32; 4], window: Window) -> Option<Program> {
    let [a, b, c, d] = sizes;
    let hidden = c.checked_mul(d)?;
    let shift = || Shift::new(3, &[Sign::Plus, Sign::Minus]);
    let [height, width] = window.output()?;
    let area = window.kernel[0] * window.kernel[1];
    let block = |kind| TrainingOp::Block {
        kind,
        heads: c,
        shift: shift(),
        offset: 64,
        multiplier: 3,
        clamp: FULL,
    };
    let table = |extent: (u32, u32, Dtype)| Some(extent);
    let exponentials = table((256, 1, I16));
    let id = poai_core::program::ConstantId(0);
    let row = fixed(a, 1, I32);
    let x = fixed(a, b * c, I32);
    let per_token = |units| Dim::per_token(units);
    let (tokens, scores) =
        (Form::new(Dim::TOKENS, Dim::fixed(hidden), I8), Form::new(per_token(c), Dim::TOKENS, I8));
    let (op, inputs, constant) = match kind {
        0 => {
            let op = TrainingOp::ScaledProduct {
                shift: shift(),
                bias: true,
                bias_shift: 2,
                clamp: FULL,
            };
            let operands = [fixed(a, 8 * b, I8), shared(hidden, 8 * b, I8), shared(hidden, 1, I32)];
            (op, [&operands[..], &[one(), row]].concat(), None)
        }
        1 => (TrainingOp::TransposeTiles, vec![fixed(a, b * c, I8)], None),
        2 => (TrainingOp::Exponent { per_row: false }, vec![row], None),
        3 => (TrainingOp::Exponent { per_row: true }, vec![row], None),
        4 => (TrainingOp::NextExponent, vec![one(), row], None),
        5 => {
            let clamp = Clamp::full(I8);
            let op = TrainingOp::Rescale { shift: shift(), stream: Some(7), multiplier: 3, clamp };
            (op, vec![x, one(), row, shared(8, 1, I32), one()], None)
        }
        6 => {
            let w = shared(a, b * c, I32);
            (TrainingOp::Descend { shift: 9, decay: 3, clamp: FULL }, vec![w, w, one()], None)
        }
        7 => (TrainingOp::RowSum, vec![x], None),
        8 => (TrainingOp::SecondMoment { shift: 5 }, vec![x; 2], None),
        9 => (TrainingOp::Ratio { clamp: FULL }, vec![x; 2], None),
        10 => (TrainingOp::SoftmaxGradient, vec![fixed(a, b * c, I8), x], None),
        11 => {
            let op = TrainingOp::NormaliseGradient { centre: true, shift: 9, clamp: FULL };
            (op, vec![fixed(a, b * c, I16), x], None)
        }
        12 => {
            let op = TrainingOp::Gate { table: id, index_shift: 3, shift: 5, clamp: FULL };
            (op, vec![x; 2], exponentials)
        }
        13 => {
            let op = TrainingOp::CrossEntropy { table: id, multiplier: 3, shift: 5, fraction: 12 };
            (op, vec![x, row], exponentials)
        }
        14 | 26 => {
            let op = TrainingOp::Exponentials { table: id, causal: true, multiplier: 3, shift: 5 };
            let x = if kind == 14 { fixed(a * b, b, I32) } else { Form { dtype: I32, ..scores } };
            (op, vec![x], exponentials)
        }
        15 => {
            let op = TrainingOp::Gather { table: None };
            (op, vec![shared(a, b, I16), fixed(d, 1, I32)], None)
        }
        16 => (TrainingOp::ScatterAdd { rows: hidden }, vec![fixed(a, b, I16), row], None),
        17 => {
            let dy = fixed(height * width, area * hidden, I32);
            (TrainingOp::UnfoldGradient(window), vec![dy], None)
        }
        18 => {
            let inputs = vec![fixed(a * b, hidden, I32), fixed(height * width, hidden, I32)];
            (TrainingOp::MaxPoolGradient(window), inputs, None)
        }
        19 => {
            let x = fixed(a, hidden, I8);
            let inputs = vec![x, x, one(), fixed(c * a, 1, I32)];
            (block(BlockKind::Scores), inputs, None)
        }
        20 | 21 => {
            let kind = if kind == 20 { BlockKind::Mix } else { BlockKind::MixBack };
            let inputs = vec![fixed(c * a, a, I8), fixed(a, hidden, I8), one(), row];
            (block(kind), inputs, None)
        }
        22 => {
            let inputs = vec![fixed(a, hidden, I32), fixed(c * a, a, I8)];
            (TrainingOp::DivideBySums { shift: 9, clamp: FULL }, inputs, None)
        }
        23 | 24 => {
            let mut inputs = vec![fixed(1, b * c, I32)];
            inputs.extend((kind == 24).then_some(fixed(1, 1, I32)));
            (TrainingOp::MeanPoolGradient { rows: Dim::fixed(a) }, inputs, None)
        }
        25 => (TrainingOp::Draw { samples: a }, vec![shared(8, 1, I32), one()], None),
        27 => {
            let exponents = [one(), Form::new(per_token(c), Dim::fixed(1), I32)];
            (block(BlockKind::Scores), [&[tokens; 2][..], &exponents].concat(), None)
        }
        28 | 29 => {
            let kind = if kind == 28 { BlockKind::Mix } else { BlockKind::MixBack };
            let exponents = [one(), Form::new(Dim::TOKENS, Dim::fixed(1), I32)];
            (block(kind), [&[scores, tokens][..], &exponents].concat(), None)
        }
        _ => {
            let x = Form { dtype: I32, ..tokens };
            (TrainingOp::DivideBySums { shift: 9, clamp: FULL }, vec![x, scores], None)
        }
    };
    let mut builder = Builder::new(&inputs);
    if let Some((rows, columns, dtype)) = constant {
        builder.constant("table", Root([0; 32]), Extent::new(rows, columns, dtype)?);
    }
    let values: Vec<ValueId> = (0..inputs.len() as u32).map(ValueId).collect();
    builder.step("step", Op::Training(op), &values).ok()?;
    builder.finish().ok()
}

/// The bound of a step, the last but one of a program with a list of outputs,
/// and what its worst tile opens. The step takes all inputs; those of `turned`
/// are transposed first.
fn opens(inputs: &[Form], turned: usize, op: TrainingOp, run: RunShape) -> Bounded {
    let mut builder = Builder::new(inputs);
    let mut values: Vec<ValueId> = (0..inputs.len() as u32).map(ValueId).collect();
    for value in &mut values[..turned] {
        let turn = Op::Training(TrainingOp::TransposeTiles);
        *value = builder.step("turn", turn, &[*value]).unwrap();
    }
    let value = builder.step("step", Op::Training(op), &values).unwrap();
    let sums = builder.step("sums", Op::Training(TrainingOp::RowSum), &[value]).unwrap();
    let program = builder.finish_with(&[value, sums], 0).unwrap();
    let rules = TraceRules { batch_max: 4096, ..RULES };
    let checker = Checker::new(program.clone(), rules);
    Bounded {
        bound: checker.tile_bound(&run, value).unwrap().unwrap().bytes,
        worst: worst(&program, run, value),
    }
}

/// The sizes for which tiles of training were designed: weights of 4096×4096,
/// and batches of 2048.
#[test]
fn tiles_of_large_networks_are_small() {
    let run = RunShape::new(2048, 1);
    let (n, kib) = (4096, 1024);
    // The gradient of weights, from transposes of the batch.
    let operand = fixed(1, n, I8);
    let shift = Shift::new(3, &[Sign::Plus; 2]);
    let product = TrainingOp::ScaledProduct { shift, bias: false, bias_shift: 0, clamp: FULL };
    let Bounded { bound, worst } = opens(&[operand, operand, one(), one()], 2, product, run);
    // Two operands of 32 rows, 32 chunks of the output, and siblings.
    assert!(worst >= (2 * 64 + 32) * kib && worst <= 166 * kib, "{worst}");
    assert!(bound <= 169 * kib, "{bound}");
    // A step of a state downhill.
    let (w, descend) = (shared(n, n, I32), TrainingOp::Descend { shift: 9, decay: 3, clamp: FULL });
    let Bounded { bound, worst } = opens(&[w, w, one()], 0, descend, run);
    assert!(worst >= 48 * kib && worst <= 50 * kib, "{worst}");
    assert!(bound <= 51 * kib, "{bound}");
}

/// Tiles of products that are not as regular: odd widths, all types, and rows
/// whose parts share chunks.
#[test]
fn parts_of_rows_are_within_their_bounds() {
    for n in [1, 31, 33, 100, 255, 256, 257, 300, 512, 1000, 2049, 5000] {
        for (m, dtype) in [(1, I8), (33, I16), (100, I32), (64, I8), (200, I32)] {
            let clamp = Clamp::full(dtype);
            let shift = Shift::fixed(3);
            let product = TrainingOp::ScaledProduct { shift, bias: false, bias_shift: 0, clamp };
            let inputs = [fixed(m, 128, I8), shared(n, 128, I8)];
            let run = RunShape::new(1, 1);
            let Bounded { bound, worst } = opens(&inputs, 0, product, run);
            let name = format!("{m}×{n} {dtype}: {worst} {bound}");
            assert!(worst <= bound && bound as f64 <= 1.5 * worst as f64, "{name}");
        }
    }
}

/// Rows that grow with the run: in a smaller run a tile can have more of them,
/// and so more bytes.
#[test]
fn runs_of_shorter_rows_are_within_the_largest() {
    let sums = Op::Training(TrainingOp::RowSum);
    let halve = Op::Requantise { multiplier: 1, shift: 1, clamp: FULL };
    // Columns for every item, and columns for every token.
    let turned = |rows: u32| {
        let mut builder = Builder::new(&[fixed(1, rows, I32)]);
        let turn = Op::Training(TrainingOp::TransposeTiles);
        let x = builder.step("turn", turn, &[ValueId(0)]).unwrap();
        let x = builder.step("sums", sums.clone(), &[x]).unwrap();
        let y = builder.step("halve", halve.clone(), &[x]).unwrap();
        builder.finish_with(&[x, y], 0).unwrap()
    };
    let growing = |rows: u32| {
        let mut builder = Builder::new(&[Form::new(Dim::fixed(rows), Dim::per_token(3), I32)]);
        let x = builder.step("halve", halve.clone(), &[ValueId(0)]).unwrap();
        let y = builder.step("sums", sums.clone(), &[x]).unwrap();
        builder.finish_with(&[x, y], 0).unwrap()
    };
    let mut wider = 0;
    for rows in [33, 40, 64, 100] {
        for (program, batch_max, sequence_max) in
            [(turned(rows), 1420, 1), (turned(rows), 3000, 1), (growing(rows), 1, 700)]
        {
            let rules = TraceRules { batch_max, sequence_max, ..RULES };
            let checker = Checker::new(program.clone(), rules);
            let largest = checker.largest().unwrap();
            let last = RunShape::new(batch_max, sequence_max);
            let mut most = 0;
            for value in (1..program.values() as u32).map(ValueId) {
                let at_last = checker.tile_bound(&last, value).unwrap().unwrap();
                for batch in 1..=batch_max {
                    for sequence in 1..=sequence_max {
                        let run = RunShape::new(batch, sequence);
                        let bound = checker.tile_bound(&run, value).unwrap().unwrap();
                        assert!(bound.bytes <= largest.tile.bytes, "{run:?} {bound:?}");
                        assert!(bound.memory <= largest.tile.memory, "{run:?} {bound:?}");
                        wider += u32::from(bound.bytes > at_last.bytes);
                        most = most.max(bound.bytes);
                    }
                }
            }
            // The bound for all is not far above that of one.
            assert!(largest.tile.bytes <= 2 * most, "{most} {largest:?}");
        }
    }
    assert!(wider > 0, "the last run is always the largest");
}
