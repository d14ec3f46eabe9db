//! The gradient steps against central differences of the real-valued functions that
//! the forward steps approximate, and the integers against the real numbers.
//!
//! Each forward step f has a weight dy for each entry of its output. The gradient of
//! Σ dy·f(x) by x is what the gradient step has to give for dy.

use crate::small::{FULL, Given, Small, noise, reals, rows, shared, table};
use ndarray::{Array2, arr2};
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{Builder, Clamp, Dim, Dtype, Op, TrainingOp, ValueId, Window};
use poai_engine::execute::Constants;
use poai_train::numbers::{exponentials_7, exponentials_15};

/// How far a gradient may be from differences, as a part of the largest entry.
const NEAR: f64 = 1e-6;
const BOTH: [bool; 2] = [false, true];

/// The gradient of Σ dy·f(x) by x, by central differences of width 2h.
fn differences(
    x: &Array2<f64>,
    dy: &Array2<f64>,
    h: f64,
    f: impl Fn(&Array2<f64>) -> Array2<f64>,
) -> Array2<f64> {
    let mut moved = x.clone();
    Array2::from_shape_fn(x.dim(), |at| {
        let mut along = |distance: f64| {
            moved[at] = x[at] + distance;
            let sum = (f(&moved) * dy).sum();
            moved[at] = x[at];
            sum
        };
        (along(h) - along(-h)) / (2.0 * h)
    })
}

/// Checks that a gradient is what differences say.
fn near(got: &Array2<f64>, expected: &Array2<f64>) {
    assert_eq!(got.dim(), expected.dim());
    let largest = expected.fold(0.0, |max: f64, x| max.max(x.abs()));
    let far = (got - expected).fold(0.0, |max: f64, x| max.max(x.abs()));
    assert!(largest > 0.0 && far <= NEAR * largest, "{far} of {largest}: {got} {expected}");
}

#[test]
fn products_and_their_sums() {
    let operand = |label, rows, columns| noise(label, rows, columns, 63);
    let x = rows(Dtype::I8, operand("x", 6, 5));
    let w = shared(Dtype::I8, operand("w", 4, 5));
    let b = shared(Dtype::I32, noise("b", 4, 1, 90_000));
    let g = rows(Dtype::I8, operand("g", 6, 4));
    let e = [3, 4].map(|e| shared(Dtype::I32, arr2(&[[e]])));
    let minus = [Sign::Minus; 2];
    let product = |bias, base| TrainingOp::ScaledProduct {
        shift: Shift::new(base, &minus),
        bias,
        bias_shift: if bias { 5 } else { 0 },
        clamp: FULL,
    };
    let inputs = [&x, &w, &b, &e[0], &e[1]];
    let forward = Small::step(6, &inputs, Op::Training(product(true, 9)));
    // The product and the bias are each rounded.
    forward.compared(&inputs, 1.0);
    let [x_real, w_real, b_real, g_real] = [&x, &w, &b, &g].map(reals);
    let [e0, e1] = [&e[0], &e[1]].map(reals);
    let y = |x: &_, w: &_, b: &_| forward.real(&[x, w, b, &e0, &e1]);

    // The gradient of x: by the transpose of w.
    let inputs = [&g, &w, &e[0], &e[1]];
    let backward = Small::new(6, &inputs, |builder, _, values| {
        let w = builder.step("w", Op::Training(TrainingOp::TransposeTiles), &[values[1]]).unwrap();
        let all = [values[0], w, values[2], values[3]];
        builder.step("dx", Op::Training(product(false, 9)), &all).unwrap();
    });
    let dx = backward.compared(&inputs, 0.5);
    near(&dx, &differences(&x_real, &g_real, 1.0, |x| y(x, &w_real, &b_real)));

    // The gradient of w: the transposes of g and x. The rows of the batch are summed.
    let inputs = [&g, &x, &e[0], &e[1]];
    let backward = Small::new(6, &inputs, |builder, _, values| {
        let transpose = Op::Training(TrainingOp::TransposeTiles);
        let g = builder.step("g", transpose.clone(), &[values[0]]).unwrap();
        let x = builder.step("x", transpose, &[values[1]]).unwrap();
        let all = [g, x, values[2], values[3]];
        builder.step("dw", Op::Training(product(false, 9)), &all).unwrap();
    });
    let dw = backward.compared(&inputs, 0.5);
    near(&dw, &differences(&w_real, &g_real, 1.0, |w| y(&x_real, w, &b_real)));

    // The gradient of the bias: row sums, shifted as the bias is.
    let backward = Small::new(6, &[&g], |builder, _, values| {
        let transpose = Op::Training(TrainingOp::TransposeTiles);
        let g = builder.step("g", transpose, &[values[0]]).unwrap();
        let sums = builder.step("sums", Op::Training(TrainingOp::RowSum), &[g]).unwrap();
        let op = rescale(Shift::fixed(5), None, 1);
        builder.step("db", Op::Training(op), &[sums]).unwrap();
    });
    let db = backward.compared(&[&g], 0.5);
    near(&db, &differences(&b_real, &g_real, 1.0, |b| y(&x_real, &w_real, b)));
}

fn rescale(shift: Shift, stream: Option<u32>, multiplier: i32) -> TrainingOp {
    TrainingOp::Rescale { shift, stream, multiplier, clamp: FULL }
}

#[test]
fn rescales_to_the_nearest_and_by_random_bytes() {
    let x = rows(Dtype::I32, noise("x", 8, 6, 1 << 20));
    let dy = rows(Dtype::I32, noise("dy", 8, 6, 1 << 20));
    let e = shared(Dtype::I32, arr2(&[[3]]));
    let seed = shared(Dtype::I32, noise("seed", 8, 1, 1 << 30));
    let t = shared(Dtype::I32, arr2(&[[5]]));
    let shift = || Shift::new(6, &[Sign::Plus]);
    let nearest = Small::step(8, &[&x, &e], Op::Training(rescale(shift(), None, 11)));
    nearest.compared(&[&x, &e], 0.5);
    let random = [&dy, &e, &seed, &t];
    let stochastic = Small::step(8, &random, Op::Training(rescale(shift(), Some(2), 11)));
    // Bytes round to one of the two neighbours. The gradient is scaled as x is.
    let gradient = stochastic.compared(&random, 1.0);
    let f = |x: &_| nearest.real(&[x, &reals(&e)]);
    near(&gradient, &differences(&reals(&x), &reals(&dy), 1.0, f));
    // A mask of a dropout is drawn, not scaled: the same zeros and ones.
    let eight = rows(Dtype::I32, Array2::from_elem((8, 6), 180));
    let clamp = Clamp { dtype: Dtype::I8, min: 0, max: 1 };
    let mask = |clamp| TrainingOp::Rescale {
        shift: Shift::fixed(8),
        stream: Some(2),
        multiplier: 1,
        clamp,
    };
    let mask = Small::step(8, &[&eight, &seed, &t], Op::Training(mask(clamp)));
    let drawn = mask.compared(&[&eight, &seed, &t], 0.0);
    let ones = drawn.sum();
    assert!((20.0..46.0).contains(&ones) && drawn.iter().all(|&x| x == 0.0 || x == 1.0), "{ones}");
}

#[test]
fn gates() {
    // No entry is near the kink at 0.
    let x = rows(Dtype::I32, noise("x", 5, 7, 900).mapv(|x| 2 * x + 1));
    let g = rows(Dtype::I32, noise("g", 5, 7, 1 << 20));
    let step: Vec<i32> = (0..256).map(|index| i32::from(index > 128)).collect();
    let gate = |entries: Vec<i32>, index_shift, shift| {
        move |builder: &mut Builder, constants: &mut Constants, values: &[ValueId]| {
            let table = table(builder, constants, Dtype::I16, &entries);
            let op = TrainingOp::Gate { table, index_shift, shift, clamp: FULL };
            builder.step("gate", Op::Training(op), values).unwrap();
        }
    };
    let backward = Small::new(5, &[&g, &x], gate(step, 0, 0));
    let dx = backward.compared(&[&g, &x], 0.0);
    let relu = Small::step(5, &[&x], Op::Relu);
    near(&dx, &differences(&reals(&x), &reals(&g), 0.5, |x| relu.real(&[x])));

    // GELU and SiLU: x times a table. The gradient is by a table of the derivative. Here
    // 2^9 stands for 1, and an interval is 2^4.
    let normal = |x: f64| 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let gelu = |x: f64| [normal(x), normal(x) + x * density(x)];
    let silu = |x: f64| {
        let p = logistic(x);
        [p, p + x * p * (1.0 - p)]
    };
    let entries = |function: &dyn Fn(f64) -> f64| -> Vec<i32> {
        let middle = |index: i32| (f64::from(index) - 127.5) / 32.0;
        let entry = |index| match index {
            // The limits.
            0 => 0,
            255 => 16384,
            _ => libm::round(function(middle(index)) * 16384.0) as i32,
        };
        (0..256).map(entry).collect()
    };
    let functions: [&dyn Fn(f64) -> [f64; 2]; 2] = [&gelu, &silu];
    for function in functions {
        let forward = entries(&|x| function(x)[0]);
        let derivative = entries(&|x| function(x)[1]);
        let y = Small::new(5, &[&x, &x], gate(forward, 4, 14));
        // An interval has entries up to 8 from its middle, where the table may differ by
        // 8·0.4/512. The largest x is 1801.
        let real = y.compared(&[&x, &x], 12.0);
        for (real, x) in real.iter().zip(reals(&x).iter()) {
            let exact = x * function(x / 512.0)[0];
            assert!((real - exact).abs() < 1e-6, "{x}: expected {exact}, got {real}");
        }
        let backward = Small::new(5, &[&g, &x], gate(derivative, 4, 14));
        // A derivative differs by at most 8·0.8/512, and g is below 2^20.
        let dx = backward.compared(&[&g, &x], f64::from(1 << 20) / 80.0);
        near(&dx, &differences(&reals(&x), &reals(&g), 0.5, |x| y.real(&[x, x])));
    }
}

/// The loss of cross entropy of logits with 16 bits, summed over rows.
fn cross_entropy(logits: &Array2<f64>, labels: &[usize]) -> f64 {
    let rows = logits.rows().into_iter().zip(labels);
    let one = f64::from(1 << 16);
    rows.map(|(row, &label)| {
        let total: f64 = row.iter().map(|x| ((x - row[label]) / one).exp()).sum();
        total.ln()
    })
    .sum()
}

#[test]
fn cross_entropies() {
    let x = rows(Dtype::I32, noise("x", 7, 9, 4 << 16));
    let labels = [0, 3, 8, 2, 2, 5, 1];
    let entries = labels.iter().map(|&label| label as i32).collect();
    let given = rows(Dtype::I32, Array2::from_shape_vec((7, 1), entries).unwrap());
    let backward = Small::new(7, &[&x, &given], |builder, constants, values| {
        let table = table(builder, constants, Dtype::I16, &exponentials_15());
        let op = TrainingOp::CrossEntropy { table, multiplier: 1, shift: 11, fraction: 24 };
        builder.step("gradient", Op::Training(op), values).unwrap();
    });
    // An index of the table is a thirty-second, and rounded: an exponential is wrong by
    // at most a 64th part, and so is a sum of them. p·(1 − p) is at most a quarter.
    let dx = backward.compared(&[&x, &given], f64::from(1 << 24) / 4.0 * 2.1 / 64.0);
    let one = arr2(&[[1.0]]);
    let f = |x: &_| arr2(&[[cross_entropy(x, &labels)]]);
    // The gradient has 24 bits, and x has 16.
    let scaled = differences(&reals(&x), &one, 1.0, f) * f64::from(1 << 16) * f64::from(1 << 24);
    near(&dx, &scaled);
    // A label that is no column has no gradient.
    let none = Array2::from_elem((7, 1), -1.0);
    assert!(backward.real(&[&reals(&x), &none]).iter().all(|&x| x == 0.0));
}

#[test]
fn norms() {
    for centre in BOTH {
        let x = rows(Dtype::I16, noise("x", 4, 12, 3000).mapv(|x| x + 700));
        let dz = rows(Dtype::I32, noise("dz", 4, 12, 1 << 22));
        let op = TrainingOp::NormaliseGradient { centre, shift: 14, clamp: FULL };
        let backward = Small::step(4, &[&x, &dz], Op::Training(op));
        // 2^14/σ is about 2^14/(16·1700), so entries are below 2^22. σ is an integer
        // of about 27000, and z·c is a sum of 12 products.
        let dx = backward.compared(&[&x, &dz], f64::from(1 << 22) / 4000.0);
        let forward = Small::new(4, &[&x], |builder, constants, values| {
            let ones: Vec<i32> = (0..12).flat_map(|_| [1, 0]).collect();
            let affine = constants.add(builder, "affine", (12, 2), Dtype::I32, &ones).unwrap();
            let op = Op::Normalise { affine, centre, shift: 4 };
            builder.step("z", op, values).unwrap();
        });
        // z has 10 bits, and the gradient is 2^14/σ for σ in sixteenths.
        let z = |x: &_| forward.real(&[x]) / f64::from(1 << 10);
        let dx_of_z = differences(&reals(&x), &reals(&dz), 0.01, z) * f64::from(1 << 10);
        near(&dx, &dx_of_z);
        // ⌊2^26/σ⌋ is about 2500, and z below 4·2^10.
        forward.compared(&[&x], 2.0);
    }
}

#[test]
fn windows() {
    let window = |kernel, stride, pad| Window {
        height: 5,
        width: 4,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [pad; 4],
    };
    for window in [window(3, 1, 1), window(2, 2, 0), window(3, 2, 1)] {
        let [down, right] = window.output().unwrap();
        let (positions, area) = ((down * right) as usize, (window.kernel[0].pow(2)) as usize);
        let x = rows(Dtype::I8, noise("x", 2 * 20, 3, 63));
        let dy = rows(Dtype::I32, noise("dy", 2 * positions, 3 * area, 1 << 20));
        let forward = Small::step(2, &[&x], Op::Unfold(window));
        forward.compared(&[&x], 0.0);
        let op = TrainingOp::UnfoldGradient(window);
        let dx = Small::step(2, &[&dy], Op::Training(op)).compared(&[&dy], 0.0);
        near(&dx, &differences(&reals(&x), &reals(&dy), 1.0, |x| forward.real(&[x])));

        // No two pixels are equal, so that the largest stays the largest.
        let x = rows(
            Dtype::I16,
            Array2::from_shape_fn((40, 3), |(row, column)| {
                ((row * 3 + column) * 47 % 121) as i32 - 60
            }),
        );
        let dy = rows(Dtype::I32, noise("dy", 2 * positions, 3, 1 << 20));
        let forward = Small::step(2, &[&x], Op::MaxPool(window));
        forward.compared(&[&x], 0.0);
        let op = TrainingOp::MaxPoolGradient(window);
        let dx = Small::step(2, &[&x, &dy], Op::Training(op)).compared(&[&x, &dy], 0.0);
        near(&dx, &differences(&reals(&x), &reals(&dy), 0.25, |x| forward.real(&[x])));

        Small::step(2, &[&x], Op::AveragePool(window)).compared(&[&x], 0.5);
    }
    // The first of equal pixels takes the gradient.
    let (x, dy) = (Array2::zeros((4, 1)), arr2(&[[9]]));
    let (x, dy) = (rows(Dtype::I8, x), rows(Dtype::I32, dy));
    let all = Window { height: 2, width: 2, kernel: [2; 2], stride: [2; 2], pads: [0; 4] };
    let op = TrainingOp::MaxPoolGradient(all);
    let dx = Small::step(1, &[&x, &dy], Op::Training(op)).compared(&[&x, &dy], 0.0);
    assert_eq!(dx, arr2(&[[9.0], [0.0], [0.0], [0.0]]));
}

/// Items, heads, rows of an item and columns of a head.
const ATTENTION: [usize; 4] = [2, 3, 5, 4];

fn block(kind: BlockKind, offset: i32, multiplier: i32, base: i32) -> Op {
    let shift = Shift::fixed(base);
    Op::Training(TrainingOp::Block { kind, heads: 3, shift, offset, multiplier, clamp: FULL })
}

#[test]
fn blocks() {
    let [items, heads, l, d] = ATTENTION;
    let values = |label| rows(Dtype::I8, noise(label, items * l, heads * d, 63));
    let scores = |label| rows(Dtype::I8, noise(label, items * heads * l, l, 63));
    let (q, k, v, dy) = (values("q"), values("k"), values("v"), values("dy"));
    let (w, ds) = (scores("w"), scores("ds"));
    let step = |op, a: &Given, b: &Given| {
        let small = Small::step(2, &[a, b], op);
        (small.compared(&[a, b], 0.5), small)
    };
    let (kinds, numbers) = ([BlockKind::Scores, BlockKind::Mix, BlockKind::MixBack], (3, 2));
    let [by_rows, mix, mix_back] =
        kinds.map(|kind| move |offset| block(kind, offset, numbers.0, numbers.1));
    let [q_real, k_real, v_real, dy_real, w_real, ds_real] = [&q, &k, &v, &dy, &w, &ds].map(reals);

    // Scores of queries and keys: the gradients of both.
    let (_, forward) = step(by_rows(0), &q, &k);
    let (dq, _) = step(mix(0), &ds, &k);
    near(&dq, &differences(&q_real, &ds_real, 1.0, |q| forward.real(&[q, &k_real])));
    let (dk, _) = step(mix_back(0), &ds, &q);
    near(&dk, &differences(&k_real, &ds_real, 1.0, |k| forward.real(&[&q_real, k])));
    // Weighted values: the gradients of weights and values.
    let (_, forward) = step(mix(64), &w, &v);
    let (dw, _) = step(by_rows(0), &dy, &v);
    near(&dw, &differences(&w_real, &dy_real, 1.0, |w| forward.real(&[w, &v_real])));
    let (dv, _) = step(mix_back(64), &w, &dy);
    near(&dv, &differences(&v_real, &dy_real, 1.0, |v| forward.real(&[&w_real, v])));
}

#[test]
fn attention_weights() {
    let [items, heads, l, d] = ATTENTION;
    for causal in BOTH {
        let x = rows(Dtype::I32, noise("scores", items * heads * l, l, 3 << 16));
        let exponentials = Small::new(2, &[&x], |builder, constants, values| {
            let table = table(builder, constants, Dtype::I16, &exponentials_7());
            let op = TrainingOp::Exponentials { table, causal, multiplier: 1, shift: 12 };
            builder.step("weights", Op::Training(op), values).unwrap();
        });
        // An index is a sixteenth, and both it and an entry are rounded.
        let w = exponentials.compared(&[&x], 127.0 / 32.0 + 0.5);
        let mut masked = (0..l).flat_map(|i| (i + 1..l).map(move |j| (i, j)));
        assert!(masked.all(|at| (w[at] == -64.0) == causal), "{w}");

        let weights = |w: &Array2<f64>| {
            let e = w + 64.0;
            &e / &e.sum_axis(ndarray::Axis(1)).insert_axis(ndarray::Axis(1))
        };
        let dp = rows(Dtype::I32, noise("dp", items * heads * l, l, 1 << 24));
        let op = Op::Training(TrainingOp::SoftmaxGradient);
        let stored = rows(Dtype::I8, w.mapv(|w| w.round().min(63.0) as i32));
        let backward = Small::step(2, &[&stored, &dp], op);
        // The mean and the quotient are each rounded.
        backward.compared(&[&stored, &dp], 1.0);
        let ds = backward.real(&[&w, &reals(&dp)]);
        // Scores have 16 bits.
        let p = |x: &_| weights(&exponentials.real(&[x]));
        let scaled = differences(&reals(&x), &reals(&dp), 1.0, p) * f64::from(1 << 16);
        near(&ds, &scaled);

        // Over the sums of weights: a number for each row and head.
        let x = rows(Dtype::I32, noise("values", items * l, heads * d, 1 << 20));
        let dy = rows(Dtype::I32, noise("dy", items * l, heads * d, 1 << 20));
        let op = TrainingOp::DivideBySums { shift: 7, clamp: FULL };
        let divide = Small::step(2, &[&x, &stored], Op::Training(op));
        divide.compared(&[&x, &stored], 0.5);
        let f = |x: &_| divide.real(&[x, &reals(&stored)]);
        near(&f(&reals(&dy)), &differences(&reals(&x), &reals(&dy), 1.0, f));
    }
}

#[test]
fn rows_by_id_and_means() {
    let table = shared(Dtype::I32, noise("table", 5, 3, 1 << 20));
    let ids = rows(Dtype::I32, arr2(&[[4], [0], [4], [2], [4], [0]]));
    let dy = rows(Dtype::I32, noise("dy", 6, 3, 1 << 20));
    let gather = Small::step(6, &[&table, &ids], Op::Training(TrainingOp::Gather { table: None }));
    gather.compared(&[&table, &ids], 0.0);
    let scatter = Small::step(6, &[&dy, &ids], Op::Training(TrainingOp::ScatterAdd { rows: 5 }));
    let dt = scatter.compared(&[&dy, &ids], 0.0);
    let f = |table: &_| gather.real(&[table, &reals(&ids)]);
    near(&dt, &differences(&reals(&table), &reals(&dy), 1.0, f));

    let x = rows(Dtype::I16, noise("tokens", 3 * 4, 5, 9000));
    let dy = rows(Dtype::I32, noise("dy", 3, 5, 1 << 20));
    let mean = Small::step(3, &[&x], Op::MeanPool);
    mean.compared(&[&x], 0.5);
    let op = TrainingOp::MeanPoolGradient { rows: Dim::fixed(4) };
    let dx = Small::step(3, &[&dy], Op::Training(op)).compared(&[&dy], 0.5);
    // The mean itself has 8 bits more.
    let f = |x: &_| mean.real(&[x]) / 256.0;
    near(&dx, &differences(&reals(&x), &reals(&dy), 1.0, f));
}
