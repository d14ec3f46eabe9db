//! The edges of steps that imported networks need: products of two activations,
//! curves, moves, and convolutions of groups.

use super::{Edges, Given, I8, I16, I32, Input, MAX, MIN, ONE, TYPES, fixed, given, mixed, tokens};
use poai_core::program::{Clamp, Dim, Form, GroupWindow, Op, Window};

pub(super) fn cases(edges: &mut Edges) {
    mul(edges);
    curve(edges);
    arrange(edges);
    group_unfold(edges);
    group_linear(edges);
    product(edges);
}

fn mul(edges: &mut Edges) {
    for (index, shift) in [0, 1, 7, 20, 31, 45, 61, 62].into_iter().enumerate() {
        let name = format!("shift {shift}");
        for (at, dtype) in TYPES.into_iter().enumerate() {
            let clamp = Clamp::full(TYPES[(index + at) % 3]);
            let other = TYPES[(index + at * 2) % 3];
            let inputs = [fixed("a", 1, 3, 21, dtype), fixed("b", 1, 3, 21, other)];
            edges.add(&name, (1, 1), &inputs, &[], |_| Op::Mul { shift, clamp });
        }
        // Products at their largest, at their smallest, and ties.
        let form = Form::new(ONE, Dim::fixed(8), I32);
        let a = Input(form, vec![MIN, MIN, MAX, MAX, 1, -1, 3, -3]);
        let b = Input(form, vec![MIN, MAX, MAX, MIN, 1, 1, 1 << 6, 1 << 6]);
        let clamp = Clamp { dtype: I32, min: -1_000_000, max: MAX };
        edges.add(&name, (1, 1), &[a, b], &[], |_| Op::Mul { shift, clamp });
    }
    let inputs = [tokens((2, 3), 5, I16, "a"), tokens((2, 3), 5, I8, "b")];
    let clamp = Clamp::SYMMETRIC;
    edges.add("tokens", (2, 3), &inputs, &[], |_| Op::Mul { shift: 9, clamp });
}

fn curve(edges: &mut Edges) {
    for shift in [0, 1, 3, 8, 22, 23] {
        for dtype in TYPES {
            for pass_above in [false, true] {
                // Both ends of the table, the middles of lines, and beyond.
                let (min, max) = dtype.range();
                let around = [-129i64, -128, -127, -1, 0, 1, 126, 127, 128, 129, 255, 256];
                let near = around.into_iter().flat_map(|i| {
                    let point = i << shift;
                    let middle = point + (1 << shift) / 2;
                    [point - 1, point, point + 1, middle - 1, middle, middle + 1]
                });
                let near = near.map(|x| x.clamp(min.into(), max.into()) as i32);
                let x: Vec<i32> = near.chain(mixed("x", 19, dtype)).collect();
                let x = Input(Form::new(ONE, Dim::fixed(x.len() as u32), dtype), x);
                let table = given("curve", 257, 1, I16);
                let name = format!("shift {shift}, pass above {pass_above}");
                edges.add(&name, (1, 1), &[x], &[table], |ids| Op::Curve {
                    table: ids[0],
                    shift,
                    pass_above,
                });
            }
        }
    }
    // Lines from one end of the range to the other.
    let points = (0..257).map(|at| if at % 2 == 0 { -32768 } else { 32767 }).collect();
    let table = Given(257, 1, I16, points);
    let x = Input(Form::new(Dim::TOKENS, Dim::fixed(40), I32), mixed("steep", 240, I32));
    edges.add("steep", (2, 3), &[x], &[table], |ids| Op::Curve {
        table: ids[0],
        shift: 23,
        pass_above: true,
    });
}

/// An index of an item's output: entries of the inputs by their numbers.
fn index(rows: usize, columns: usize, entry: impl Fn(usize, usize) -> i32) -> Given {
    let all = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    Given(rows, columns, I32, all.map(|(row, column)| entry(row, column)).collect())
}

fn arrange(edges: &mut Edges) {
    let op = |ids: &[_]| Op::Arrange { index: ids[0] };
    for dtype in TYPES {
        // The transpose, with a frame of zeros; one item and the next.
        let x = |batch| fixed("x", batch, 5, 37, dtype);
        let framed = index(39, 7, |row, column| match (row, column) {
            (1..38, 1..6) => ((column - 1) * 37 + row - 1) as i32,
            _ => -1,
        });
        edges.add("transposed, padded", (3, 1), &[x(3)], &[framed], op);
        // A slice of every other row, from the last to the first.
        let slice = index(3, 30, |row, column| ((4 - 2 * row) * 37 + column + 4) as i32);
        edges.add("slice", (2, 1), &[x(2)], &[slice], op);
        // Two images side by side, channels joined.
        let other = fixed("other", 2, 5, 3, dtype);
        let joined = index(5, 40, |row, column| match column {
            0..37 => (row * 37 + column) as i32,
            _ => (5 * 37 + row * 3 + column - 37) as i32,
        });
        edges.add("joined", (2, 1), &[x(2), other], &[joined], op);
        edges.add("nothing", (1, 1), &[x(1)], &[index(2, 3, |_, _| -1)], op);
        let last = index(1, 1, |_, _| 5 * 37 - 1);
        edges.add("the last", (60, 1), &[x(60)], &[last], op);
    }
    // As many inputs as a step may have, in reverse.
    let inputs: Vec<Input> = (1..=16).map(|columns| fixed("many", 2, 2, columns, I16)).collect();
    let entries = 2 * (16 * 17 / 2);
    let reverse = index(34, 8, |row, column| entries - 1 - (row * 8 + column) as i32);
    edges.add("sixteen inputs", (2, 1), &inputs, &[reverse], op);
    for number in [-2, 10, MIN, MAX] {
        let x = fixed("x", 2, 2, 5, I8);
        let outside = index(3, 4, |row, column| match (row, column) {
            (1, 2) => number,
            _ => (row * 3 + column) as i32,
        });
        edges.add("outside", (2, 1), &[x], &[outside], op);
    }
}

fn group_unfold(edges: &mut Edges) {
    let all = [
        (1, 1, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
        (5, 4, [3, 2], [2, 1], [2, 1, 0, 0], [1, 1], 3),
        (9, 8, [3, 3], [1, 1], [2, 1, 2, 1], [2, 1], 2),
        (7, 6, [2, 3], [1, 2], [0, 4, 3, 0], [3, 2], 6),
        (8, 3, [4, 1], [3, 1], [5, 0, 1, 0], [2, 9], 1),
        // A kernel that sees only its gaps.
        (1, 2, [2, 1], [1, 1], [2, 0, 2, 0], [4, 1], 2),
    ];
    for fill in [0, -64, 63, 5] {
        for (height, width, kernel, stride, pads, dilation, groups) in all {
            let window = Window { height, width, kernel, stride, pads };
            let name = format!("{height}×{width} {kernel:?}·{dilation:?} {stride:?} {pads:?}");
            let name = format!("{name}, {groups} groups, fill {fill}");
            for batch in [1, 3] {
                let x = fixed("image", batch, height * width, 6, I8);
                let op = Op::GroupUnfold(GroupWindow { window, dilation, groups, fill });
                edges.add(&name, (batch, 1), &[x], &[], |_| op);
            }
        }
    }
}

fn group_linear(edges: &mut Edges) {
    for (shifts, clamp) in [
        ([0, 0, 0], Clamp::full(I32)),
        ([62, 62, 62], Clamp::full(I32)),
        ([20, 14, 1], Clamp::full(I16)),
        ([12, 20, 3], Clamp::full(I8)),
    ] {
        // Depthwise; with two outputs a channel; few groups of many channels.
        for (rows, groups, each, k) in [(3, 1, 1, 1), (2, 5, 1, 9), (3, 4, 2, 3), (33, 3, 12, 45)] {
            let [rows_, n, k_] = [rows, groups * each, k].map(|dimension| dimension as usize);
            let constants = || [given("weights", n, k_, I8), given("channels", n, 3, I32)];
            let op = |ids: &[_]| Op::GroupLinear {
                weights: ids[0],
                requantise: ids[1],
                groups,
                shifts,
                clamp,
            };
            let name = format!("{groups} groups of {k}, {shifts:?}");
            let x = || fixed("x", 2, rows, groups * k, I8);
            edges.add(&name, (2, 1), &[x()], &constants(), op);
            let form = Form::new(Dim::fixed(rows), ONE, I32);
            let scales = Input(form, mixed("scales", 2 * rows_, I32));
            edges.add(&format!("{name}, scaled"), (2, 1), &[x(), scales], &constants(), op);
        }
    }
}

fn product(edges: &mut Edges) {
    for (index, shift) in [0, 1, 8, 31, 62].into_iter().enumerate() {
        let clamp = Clamp::full(TYPES[index % 3]);
        for (batch, blocks, m, n, k) in [(1, 1, 1, 1, 1), (2, 3, 2, 5, 7), (3, 2, 17, 35, 130)] {
            let inputs =
                [fixed("a", batch, blocks * m, k, I8), fixed("b", batch, blocks * n, k, I8)];
            let name = format!("{blocks} blocks of {m}×{n}×{k}, shift {shift}");
            let op = Op::Product { blocks, shift, clamp };
            edges.add(&name, (batch, 1), &inputs, &[], |_| op);
        }
    }
    // Both at their largest magnitude, over 1000 columns.
    let least = || Input(Form::new(ONE, Dim::fixed(1000), I8), vec![-64; 1000]);
    let op = Op::Product { blocks: 1, shift: 0, clamp: Clamp { dtype: I32, min: 0, max: MAX } };
    edges.add("extreme", (1, 1), &[least(), least()], &[], |_| op);
    // Rows of heads, for every token.
    let run = (2, 19);
    let heads = |seed: &str| {
        Input(
            Form::new(Dim::per_token(3), Dim::fixed(6), I8),
            mixed(seed, (3 * run.0 * run.1 * 6) as usize, I8),
        )
    };
    let op = Op::Product { blocks: 3, shift: 3, clamp: Clamp::full(I16) };
    edges.add("tokens", run, &[heads("a"), heads("b")], &[], |_| op);
    let op = Op::Product { blocks: 1, shift: 3, clamp: Clamp::full(I32) };
    let inputs = [tokens(run, 6, I8, "a"), fixed("b", run.0, 4, 6, I8)];
    edges.add("tokens by rows", run, &inputs, &[], |_| op);
}
