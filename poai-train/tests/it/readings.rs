//! Every other step in real numbers: the integers are as near as their rounding is.

use crate::small::{FULL, Given, Small, noise, reals, rows, shared, table};
use ndarray::{Array2, arr2};
use poai_core::program::training::{Shift, Sign};
use poai_core::program::{
    Builder, Clamp, Dim, Dtype, GroupWindow, Op, RunShape, TrainingOp, ValueId, Window,
};
use poai_engine::execute::{Constants, Network};
use poai_train::real::{RealError, RealNetwork, RealValue};

fn wide(label: &str) -> Given {
    rows(Dtype::I32, noise(label, 6, 8, 1 << 20))
}

fn operand(label: &str, height: usize, width: usize) -> Given {
    rows(Dtype::I8, noise(label, height, width, 63))
}

/// A step that reads constants of these shapes and entries.
fn with(
    batch: u32,
    inputs: &[&Given],
    constants: &[(Dtype, &Array2<i32>)],
    op: impl FnOnce(&[poai_core::program::ConstantId]) -> Op,
) -> Small {
    Small::new(batch, inputs, |builder, held, values| {
        let mut add = |(dtype, entries): &(Dtype, &Array2<i32>)| {
            let all: Vec<i32> = entries.iter().copied().collect();
            held.add(builder, "constant", entries.dim(), *dtype, &all).unwrap()
        };
        let ids: Vec<_> = constants.iter().map(&mut add).collect();
        builder.step("step", op(&ids), values).unwrap();
    })
}

#[test]
fn entries() {
    let (a, b) = (wide("a"), wide("b"));
    let add = Op::Add { multipliers: [256, -100], shift: 7, clamp: FULL };
    Small::step(6, &[&a, &b], add).compared(&[&a, &b], 0.5);
    Small::step(6, &[&a, &b], Op::Mul { shift: 14, clamp: FULL }).compared(&[&a, &b], 0.5);
    let op = Op::Requantise { multiplier: -77, shift: 9, clamp: FULL };
    Small::step(6, &[&a], op).compared(&[&a], 0.5);
    let scale = noise("scale", 8, 1, 900);
    let op = |ids: &[_]| Op::ScaleColumns { scale: ids[0], shift: 6, clamp: FULL };
    with(6, &[&a], &[(Dtype::I32, &scale)], op).compared(&[&a], 0.5);
    Small::step(6, &[&a], Op::Relu).compared(&[&a], 0.0);
    Small::step(6, &[&a], Op::RowScale).compared(&[&a], 0.0);
    Small::step(6, &[&a], Op::Training(TrainingOp::RowSum)).compared(&[&a], 0.0);
    let m = rows(Dtype::I32, noise("m", 6, 1, 1000).mapv(|m| m.abs() + (1 << 20)));
    // The reciprocal 63·2^20/m is an integer of about 63, and an operand at most 63.
    let x = rows(Dtype::I32, noise("x", 6, 8, 1 << 20));
    Small::step(6, &[&x, &m], Op::Quantise).compared(&[&x, &m], 1.01);
}

#[test]
fn tables() {
    let x = rows(Dtype::I32, noise("x", 6, 8, 40_000));
    let with_table = |entries: &[i32], dtype, pass_above| {
        Small::new(6, &[&x], |builder, constants, values| {
            let table = table(builder, constants, dtype, entries);
            builder.step("table", Op::Table { table, shift: 8, pass_above }, values).unwrap();
        })
    };
    let signs: Vec<i32> = (0..256).map(|i: i32| (i - 128).signum()).collect();
    let small = with_table(&signs, Dtype::I8, false);
    // The sign of any number but 0, however small.
    let given = arr2(&[[0.001, -0.001, 0.0, 1e6, -1e6, 255.0, -255.0, 3.0]]);
    let given = Array2::from_shape_fn((6, 8), |(_, column)| given[(0, column)]);
    let signum = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    assert_eq!(small.real(&[&given]), given.mapv(signum));
    // A straight line at the middle of intervals of 2^8, and x itself above.
    let line: Vec<i32> = (0..256).map(|i| (i - 128) * 256 + 128).collect();
    let real = with_table(&line, Dtype::I32, true).compared(&[&x], 128.0);
    for (real, x) in real.iter().zip(&x.entries) {
        let x = f64::from(*x);
        assert!((real - x.max(-32640.0)).abs() <= 0.5, "{x}: {real}");
    }
    // 257 points with straight lines between them.
    let points = Array2::from_shape_fn((257, 1), |(i, _)| (i as i32 - 128).pow(2));
    let narrow = rows(Dtype::I32, noise("x", 6, 8, 40_000));
    for pass_above in [false, true] {
        let op = |ids: &[_]| Op::Curve { table: ids[0], shift: 8, pass_above };
        let small = Small::new(6, &[&narrow], |builder, held, values| {
            let all: Vec<i32> = points.iter().copied().collect();
            let id = held.add(builder, "points", (257, 1), Dtype::I16, &all).unwrap();
            builder.step("curve", op(&[id]), values).unwrap();
        });
        let real = small.real(&[&reals(&narrow)]);
        let integers = small.integers(&[&narrow]);
        for ((real, integer), x) in real.iter().zip(&integers).zip(&narrow.entries) {
            // Integers saturate to i16 where x passes.
            let saturated = pass_above && *x > 32767;
            assert!((real - integer).abs() <= 0.5 || saturated, "{x}: {real} {integer}");
        }
    }
}

#[test]
fn moves() {
    // Two items of 3 rows and 8 columns.
    let (a, b) = (operand("a", 6, 8), operand("b", 6, 4));
    Small::step(2, &[&a], Op::Transpose).compared(&[&a], 0.0);
    let (four, six) = (Dim::fixed(4), Dim::fixed(6));
    Small::step(2, &[&a], Op::Reshape { rows: four, columns: six }).compared(&[&a], 0.0);
    // Columns of both, some twice, and zeros.
    let index = arr2(&[[0, 24, 1, -1], [35, 8, 23, 8], [-1, 30, 16, 17]]);
    let op = |ids: &[_]| Op::Arrange { index: ids[0] };
    with(2, &[&a, &b], &[(Dtype::I32, &index)], op).compared(&[&a, &b], 0.0);
    let places = noise("places", 4, 8, 500);
    let op = |ids: &[_]| Op::AddRows { table: ids[0] };
    let stream = rows(Dtype::I16, noise("stream", 6, 8, 5000));
    with(2, &[&stream], &[(Dtype::I16, &places)], op).compared(&[&stream], 0.0);
    let ids = rows(Dtype::I32, arr2(&[[3], [0], [4], [4], [1], [2]]));
    let (words, scales) = (noise("words", 5, 8, 63), noise("scales", 5, 1, 3000));
    let op = |ids: &[_]| Op::Embed { table: ids[0], scales: ids[1], shift: 4 };
    let constants = [(Dtype::I8, &words), (Dtype::I32, &scales)];
    with(6, &[&ids], &constants, op).compared(&[&ids], 0.5);
    let window = Window { height: 3, width: 4, kernel: [2, 2], stride: [1; 2], pads: [1; 4] };
    let window = GroupWindow { window, dilation: [2, 1], groups: 2, fill: 5 };
    let image = operand("image", 24, 6);
    Small::step(2, &[&image], Op::GroupUnfold(window)).compared(&[&image], 0.0);
    // Drawn samples are integers, whatever the seed.
    let seed = shared(Dtype::I32, noise("seed", 8, 1, 1 << 30));
    let t = shared(Dtype::I32, arr2(&[[77]]));
    let op = Op::Training(TrainingOp::Draw { samples: 1 << 30 });
    Small::step(9, &[&seed, &t], op).compared(&[&seed, &t], 0.0);
}

#[test]
fn products_of_constants_and_blocks() {
    let (x, w) = (operand("x", 6, 8), noise("w", 4, 8, 63));
    let channels = noise("channels", 4, 3, 4000).mapv(|x| x + 4500);
    let m = rows(Dtype::I32, noise("m", 6, 1, 1000).mapv(|m| m + 2000));
    let constants = [(Dtype::I8, &w), (Dtype::I32, &channels)];
    let op = |shifts| {
        move |ids: &[_]| Op::Linear { weights: ids[0], requantise: ids[1], shifts, clamp: FULL }
    };
    // Each of the roundings, as much as the shifts behind it leave.
    with(6, &[&x], &constants, op([4, 0, 3])).compared(&[&x], 0.5 + 0.5 / 8.0);
    let scaled = with(6, &[&x, &m], &constants, op([12, 8, 3]));
    scaled.compared(&[&x, &m], 0.5 + 0.5 / 8.0 + 0.5 * 3000.0 / 256.0 / 8.0);
    let halves = noise("w", 4, 4, 63);
    let op = |ids: &[_]| Op::GroupLinear {
        weights: ids[0],
        requantise: ids[1],
        groups: 2,
        shifts: [4, 0, 3],
        clamp: FULL,
    };
    let constants = [(Dtype::I8, &halves), (Dtype::I32, &channels)];
    with(6, &[&x], &constants, op).compared(&[&x], 0.5 + 0.5 / 8.0);
    // Two items of two blocks.
    let (a, b) = (operand("a", 12, 7), operand("b", 8, 7));
    let op = Op::Product { blocks: 2, shift: 5, clamp: FULL };
    Small::step(2, &[&a, &b], op).compared(&[&a, &b], 0.5);
}

#[test]
fn rows_of_softmax_and_length() {
    let x = wide("x");
    let op = |ids: &[_]| Op::Softmax {
        table: ids[0],
        multiplier: 1,
        shift: 14,
        one: 1 << 20,
        clamp: FULL,
    };
    let entries = poai_train::numbers::exponentials_7();
    let entries = Array2::from_shape_vec((256, 1), entries.to_vec()).unwrap();
    // An exponential is wrong by a 32nd part and by half of 1 in 127, and so is a sum of
    // eight.
    let bound = f64::from(1 << 20) * (2.1 / 32.0 / 4.0 + 4.5 / 127.0);
    with(6, &[&x], &[(Dtype::I16, &entries)], op).compared(&[&x], bound);
    Small::step(6, &[&x], Op::L2Normalise).compared(&[&x], 0.51);
}

#[test]
fn updates() {
    let (w, d) = (wide("w"), wide("d"));
    let rate = shared(Dtype::I32, arr2(&[[70_000]]));
    for (decay, bound) in [(0, 0.5), (19, 1.0)] {
        let op = Op::Training(TrainingOp::Descend { shift: 18, decay, clamp: FULL });
        Small::step(6, &[&w, &d, &rate], op).compared(&[&w, &d, &rate], bound);
    }
    let r = rows(Dtype::I32, noise("r", 6, 8, 1 << 22).mapv(i32::abs));
    let small = rows(Dtype::I32, noise("g", 6, 8, 1 << 18));
    let op = Op::Training(TrainingOp::SecondMoment { shift: 7 });
    // The root is rounded down, and so are two quotients below it.
    let root = Small::step(6, &[&r, &small], op);
    root.compared(&[&r, &small], 1.1);
    let op = Op::Training(TrainingOp::Ratio { clamp: FULL });
    let first = rows(Dtype::I32, noise("m", 6, 8, 2000));
    Small::step(6, &[&first, &r], op).compared(&[&first, &r], 0.5);
    // Exponents are integers, of real scales as well.
    for per_row in [false, true] {
        let m = rows(Dtype::I32, noise("m", 6, 1, 1 << 20).mapv(i32::abs));
        let op = Op::Training(TrainingOp::Exponent { per_row });
        Small::step(6, &[&m], op).compared(&[&m], 0.0);
    }
    for largest in [0, 1, 20, 31, 32, 62, 63, 64] {
        let e = shared(Dtype::I32, arr2(&[[9]]));
        let m = rows(Dtype::I32, Array2::from_elem((6, 1), largest));
        let op = Op::Training(TrainingOp::NextExponent);
        Small::step(6, &[&e, &m], op).compared(&[&e, &m], 0.0);
    }
    // An exponent takes its own value out of a product.
    let e = shared(Dtype::I32, arr2(&[[4]]));
    let up = TrainingOp::Rescale {
        shift: Shift::new(0, &[Sign::Minus]),
        stream: None,
        multiplier: 1,
        clamp: Clamp::full(Dtype::I32),
    };
    let real = Small::step(6, &[&w, &e], Op::Training(up)).real(&[&reals(&w), &reals(&e)]);
    assert_eq!(real, reals(&w) * 16.0);
}

/// Steps without a real reading, and inputs that do not fit, are named.
#[test]
fn what_has_no_reading_is_an_error() {
    let run = RunShape::new(6, 1);
    let real = |given: &Given| RealValue::Real(reals(given));
    let network = |inputs: &[&Given], build: &dyn Fn(&mut Builder, &mut Constants, &[ValueId])| {
        RealNetwork::<f64>::new(&Small::new(6, inputs, build).network)
    };
    let x = wide("x");
    let labels = rows(Dtype::I32, Array2::zeros((6, 1)));
    let ramp: Vec<i32> = (0..256).collect();
    let of = network(&[&x, &labels], &|builder, constants, values| {
        let table = table(builder, constants, Dtype::I16, &ramp);
        let op = TrainingOp::CrossEntropy { table, multiplier: 1, shift: 1, fraction: 1 };
        builder.step("loss", Op::Training(op), values).unwrap();
    });
    let refused = of.run(&run, vec![real(&x), real(&labels)]).unwrap_err();
    assert!(matches!(refused, RealError::Table { ref step, .. } if step == "loss"), "{refused}");
    let refused = of.run(&run, vec![real(&x)]).unwrap_err();
    assert!(matches!(refused, RealError::Inputs { expected: 2, got: 1 }), "{refused}");
    let refused = of.run(&run, vec![real(&labels), real(&labels)]).unwrap_err();
    assert!(matches!(refused, RealError::Shape { input: 0, .. }), "{refused}");
    let refused = of.run(&RunShape::new(0, 1), vec![]).unwrap_err();
    assert!(matches!(refused, RealError::RunShape(_)), "{refused}");

    let few = shared(Dtype::I32, noise("few", 3, 2, 9));
    let ids = rows(Dtype::I32, arr2(&[[0], [1], [2], [3], [0], [0]]));
    let of = network(&[&few, &ids], &|builder, _, values| {
        let op = TrainingOp::Gather { table: None };
        builder.step("rows", Op::Training(op), values).unwrap();
    });
    let refused = of.run(&run, vec![real(&few), real(&ids)]).unwrap_err();
    assert!(matches!(refused, RealError::Index { end: 3, got: 3, .. }), "{refused}");

    // One token an item.
    let (q, k) = (operand("q", 6, 4), operand("k", 6, 4));
    let tokens = poai_core::program::Form::new(Dim::TOKENS, Dim::fixed(4), Dtype::I8);
    let mut builder = Builder::new(&[tokens; 2]);
    let mut constants = Constants::default();
    let alpha = constants.add(&mut builder, "alpha", (1, 1), Dtype::I32, &[3]).unwrap();
    let entries = poai_train::numbers::exponentials_7();
    let table = table(&mut builder, &mut constants, Dtype::I16, &entries);
    let op = Op::AttentionWeights { heads: 1, alpha, shift: 4, table, causal: false };
    builder.step("weights", op, &[ValueId(0), ValueId(1)]).unwrap();
    let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
    let of = RealNetwork::<f64>::new(&network);
    let refused = of.run(&run, vec![real(&q), real(&k)]).unwrap_err();
    assert!(matches!(refused, RealError::Kind { kind: "attention weights", .. }), "{refused}");
}
