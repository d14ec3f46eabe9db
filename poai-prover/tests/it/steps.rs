//! Small programs of steps whose two inputs come from one value: their circuits
//! compute what the executor does, and accept no other witness.
use crate::circuits::{check_case, visibilities};
use crate::shared::{SALTS, rng};
use poai_core::inference::{TensorVisibility, Visibility, WeightsVisibility};
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Form, GroupWindow, Op, RunShape, ValueId, Window,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};
use poai_prover::{Circuit, CircuitError, Committed, Hashed, commit_weights};
use poai_testing::edges::ProgramCase;

const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;

/// A program under construction, with its constants.
struct Draft {
    builder: Builder,
    held: Constants,
    last: ValueId,
}

impl Draft {
    /// A program with one input of an item's rows and columns.
    fn new(rows: u32, columns: u32, dtype: Dtype) -> Draft {
        let form = Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype);
        let builder = Builder::new(&[form]);
        let last = builder.input(0);
        Draft { builder, held: Constants::default(), last }
    }

    fn constant(&mut self, rows: usize, dtype: Dtype, entries: &[i32]) -> ConstantId {
        let size = (rows, entries.len() / rows);
        self.held.add(&mut self.builder, "constant", size, dtype, entries).unwrap()
    }

    fn step(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.last = self.builder.step(op.name(), op, inputs).unwrap();
        self.last
    }

    /// An arrangement of values in rows.
    fn arranged(&mut self, index: &[i32], rows: usize, inputs: &[ValueId]) -> ValueId {
        let index = self.constant(rows, I32, index);
        self.step(Op::Arrange { index }, inputs)
    }

    fn network(self) -> Network {
        Network::new(self.builder.finish().unwrap(), self.held.into_tensors()).unwrap()
    }

    fn case(self, name: &str, batch: u32, entries: &[i32]) -> ProgramCase {
        let network = self.network();
        let run = RunShape::new(batch, 1);
        let extent = network.program().extents(&run).unwrap()[0];
        let (rows, columns) = (extent.rows as usize, extent.columns as usize);
        let input = Tensor::new(rows, columns, extent.dtype, entries).unwrap();
        ProgramCase {
            name: name.to_owned(),
            about: String::new(),
            network,
            inputs: vec![input],
            run,
        }
    }
}

/// Checks a case with fixed and with committed weights.
#[track_caller]
fn check(case: &ProgramCase) {
    let mut rng = rng(8);
    for visibility in visibilities() {
        assert_eq!(check_case(case, visibility, &mut rng), Some(true), "{}", case.name);
    }
}

/// Entries that differ, within ±`most`.
fn entries(seed: i32, count: usize, most: i32) -> Vec<i32> {
    let mixed = |i: i32| (i * 7_919 + seed * 104_729 + i * i * 31) % (2 * most + 1) - most;
    (0..count as i32).map(mixed).collect()
}

#[test]
fn arrange_is_the_executors() {
    let mut draft = Draft::new(2, 3, I16);
    let input = draft.last;
    let reversed = draft.arranged(&[5, 4, 3, 2], 1, &[input]);
    // Both inputs, a repetition and a zero.
    draft.arranged(&[9, -1, 0, 6, 6, 5], 3, &[input, reversed]);
    let ends = [-32_768, 32_767, 0, 1, -1, 7, 2, 3, 4, 5, 6, 8];
    check(&draft.case("arrange", 2, &ends));
}

#[test]
fn mul_is_the_executors() {
    for (dtype, shift, clamp) in [
        (I16, 7, Clamp::full(I16)),
        (I32, 62, Clamp::full(I8)),
        (I32, 0, Clamp { dtype: I32, min: -9, max: i32::MAX }),
    ] {
        let (min, max) = dtype.range();
        let ends = [min, max, min, -1, min, max, 3, 0];
        let mut draft = Draft::new(1, 8, dtype);
        let input = draft.last;
        let a = draft.arranged(&[0, 1, 2, 3], 1, &[input]);
        let b = draft.arranged(&[4, 5, 6, 7], 1, &[input]);
        draft.step(Op::Mul { shift, clamp }, &[a, b]);
        check(&draft.case("mul", 1, &ends));
    }
}

#[test]
fn add_rows_and_scale_columns_are_the_executors() {
    let mut draft = Draft::new(2, 2, I16);
    let table = draft.constant(3, I16, &[32_767, -32_768, 1, -1, 5, 5]);
    let scale = draft.constant(2, I32, &[i32::MAX, -3]);
    let input = draft.last;
    let sum = draft.step(Op::AddRows { table }, &[input]);
    draft.step(Op::ScaleColumns { scale, shift: 31, clamp: Clamp::full(I8) }, &[sum]);
    let ends = [1, -1, -32_768, 32_767, 32_767, -32_768, 0, 9];
    check(&draft.case("add rows", 2, &ends));
}

#[test]
fn curve_is_the_executors() {
    for (dtype, shift, pass_above) in
        [(I16, 8, false), (I16, 4, true), (I32, 6, true), (I8, 0, false)]
    {
        let mut draft = Draft::new(1, 6, dtype);
        let table = draft.constant(257, I16, &entries(3, 257, 32_767));
        let input = draft.last;
        draft.step(Op::Curve { table, shift, pass_above }, &[input]);
        let (min, max) = dtype.range();
        let end = 128 << shift;
        let ends = [min, max, 0, -1, end - 1, -end].map(|x: i32| x.clamp(min, max));
        check(&draft.case("curve", 1, &ends));
    }
}

/// A convolution of two groups with gaps, and one with a group for each
/// channel.
#[test]
fn groups_are_the_executors() {
    for (groups, outputs, fill) in [(2u32, 4usize, 0), (4, 4, 0), (2, 4, -64), (4, 4, 63)] {
        let mut draft = Draft::new(9, 4, I8);
        let (kernel, pads) = ([2, 2], [1, 0, 1, 2]);
        let window = Window { height: 3, width: 3, kernel, stride: [2, 1], pads };
        let per_group = 4 * 4 / groups as usize;
        let weights = draft.constant(outputs, I8, &entries(1, outputs * per_group, 63));
        let channels = entries(2, outputs, 90).iter().flat_map(|&b| [b, 1_000 + b, -b]).collect();
        let channels: Vec<i32> = channels;
        let requantise = draft.constant(outputs, I32, &channels);
        let input = draft.last;
        let window = GroupWindow { window, dilation: [2, 2], groups, fill };
        let unfolded = draft.step(Op::GroupUnfold(window), &[input]);
        let (shifts, clamp) = ([12, 0, 1], Clamp::full(I8));
        draft.step(Op::GroupLinear { weights, requantise, groups, shifts, clamp }, &[unfolded]);
        check(&draft.case("group linear", 1, &entries(5, 36, 63)));
    }
}

/// A fill is a part of the circuit, like shifts. A network with another needs a
/// circuit of its own, even with committed weights.
#[test]
fn a_fill_belongs_to_the_circuit() {
    let network = |fill| {
        let mut draft = Draft::new(4, 1, I8);
        let window = Window { height: 2, width: 2, kernel: [2; 2], stride: [1; 2], pads: [1; 4] };
        let input = draft.last;
        let moved = GroupWindow { window, dilation: [1; 2], groups: 1, fill };
        draft.step(Op::GroupUnfold(moved), &[input]);
        draft.network()
    };
    let described = |network: &Network| {
        Circuit::new(network).output(Hashed).weights(Committed).build().unwrap()
    };
    let circuit = described(&network(-64));
    assert!(circuit.for_network(&network(-64)).is_ok());
    for fill in [0, -63, 63] {
        assert!(matches!(circuit.for_network(&network(fill)), Err(CircuitError::Numbers)));
        assert_ne!(circuit.digest(), described(&network(fill)).digest());
    }
}

/// Blocks whose sums are made product by product, and one that Freivalds'
/// method checks.
#[test]
fn product_is_the_executors() {
    for (blocks, [m, n, k], batch) in [(2, [2, 1, 3], 2), (1, [8, 12, 24], 1)] {
        let mut draft = Draft::new(blocks * (m + n), k, I8);
        let input = draft.last;
        let split = (blocks * m * k) as i32;
        let first: Vec<i32> = (0..split).collect();
        let second: Vec<i32> = (split..split + (blocks * n * k) as i32).collect();
        let a = draft.arranged(&first, (blocks * m) as usize, &[input]);
        let b = draft.arranged(&second, (blocks * n) as usize, &[input]);
        draft.step(Op::Product { blocks, shift: 6, clamp: Clamp::full(I8) }, &[a, b]);
        let count = (batch * blocks * (m + n) * k) as usize;
        check(&draft.case("product", batch, &entries(4, count, 63)));
    }
}

/// An index is a part of the circuit. With committed weights, a network with
/// another index needs a circuit of its own.
#[test]
fn an_index_belongs_to_the_circuit() {
    let network = |index: &[i32]| {
        let mut draft = Draft::new(1, 3, I16);
        let input = draft.last;
        draft.arranged(index, 1, &[input]);
        draft.network()
    };
    for number in [3, -2, i32::MAX, i32::MIN] {
        match Circuit::new(&network(&[0, number])).build().unwrap_err() {
            CircuitError::Step { source, .. } => {
                let CircuitError::Index { entry, most } = *source else { panic!("{source}") };
                assert_eq!((entry, most), (number, 2));
            }
            other => panic!("{other}"),
        }
    }
    let described = |network: &Network| Circuit::new(network).output(Hashed).weights(Committed);
    let circuit = described(&network(&[0, 2])).build().unwrap();
    assert!(circuit.for_network(&network(&[0, 2])).is_ok());
    let other = network(&[0, 1]);
    // Neither shows the commitment of the other, even with one salt.
    let [own, others] =
        [circuit.network(), &other].map(|network| commit_weights(network, &SALTS.weights));
    assert_ne!(own.unwrap(), others.unwrap());
    match circuit.for_network(&other) {
        Err(CircuitError::Arrangement { name }) => assert_eq!(name, "constant"),
        other => panic!("{other:?}"),
    }
    let other = described(&other).build().unwrap();
    assert_ne!(circuit.digest(), other.digest());
    assert_eq!(circuit.layout().visibility().weights, WeightsVisibility::Committed);
}

/// The costs in docs/proving.md: constraints for each entry of the output, with
/// fixed weights.
#[test]
fn entries_cost_what_the_guide_says() {
    let constraints = |draft: Draft| {
        let visibility = Visibility {
            input: TensorVisibility::Private,
            output: TensorVisibility::Private,
            weights: WeightsVisibility::Fixed,
        };
        let network = draft.network();
        let circuit = Circuit::new(&network).visibility(visibility).build().unwrap();
        circuit.estimate().constraints
    };
    const COLUMNS: u32 = 16;
    let cost = |dtype: Dtype, step: &dyn Fn(&mut Draft)| {
        let [mut plain, mut with] = [Draft::new(1, COLUMNS, dtype), Draft::new(1, COLUMNS, dtype)];
        let input = plain.last;
        plain.step(Op::Transpose, &[input]);
        step(&mut with);
        let all = constraints(with) - constraints(plain);
        all.div_ceil(COLUMNS.into())
    };
    let full = Clamp::full(I16);
    let of_input = |op: Op| {
        move |draft: &mut Draft| {
            draft.step(op.clone(), &[draft.last]);
        }
    };
    let mut got = vec![];
    got.push(("relu", cost(I16, &of_input(Op::Relu))));
    let op = Op::Requantise { multiplier: 1 << 20, shift: 20, clamp: Clamp::full(I8) };
    got.push(("requantise", cost(I16, &of_input(op))));
    let squared = |draft: &mut Draft| {
        let input = draft.last;
        draft.step(Op::Mul { shift: 15, clamp: full }, &[input, input]);
    };
    got.push(("mul", cost(I16, &squared)));
    let table = |draft: &mut Draft| {
        let table = draft.constant(256, I16, &entries(1, 256, 32_767));
        draft.step(Op::Table { table, shift: 8, pass_above: false }, &[draft.last]);
    };
    got.push(("table", cost(I16, &table)));
    let curve = |draft: &mut Draft| {
        let table = draft.constant(257, I16, &entries(1, 257, 32_767));
        draft.step(Op::Curve { table, shift: 8, pass_above: false }, &[draft.last]);
    };
    got.push(("curve", cost(I16, &curve)));
    let add_rows = |draft: &mut Draft| {
        let table = draft.constant(1, I16, &entries(1, COLUMNS as usize, 32_767));
        draft.step(Op::AddRows { table }, &[draft.last]);
    };
    got.push(("add rows", cost(I16, &add_rows)));
    let softmax = |draft: &mut Draft| {
        let falling: Vec<i32> = (0..256).map(|i| 127 - i / 2).collect();
        let table = draft.constant(256, I16, &falling);
        let op = Op::Softmax { table, multiplier: 1 << 12, shift: 16, one: 1 << 14, clamp: full };
        draft.step(op, &[draft.last]);
    };
    got.push(("softmax", cost(I16, &softmax)));
    for (name, centre) in [("layer norm", true), ("rms norm", false)] {
        let normalise = |draft: &mut Draft| {
            let of_column: Vec<i32> = (0..COLUMNS as i32).flat_map(|i| [1 << 14, i]).collect();
            let affine = draft.constant(COLUMNS as usize, I32, &of_column);
            draft.step(Op::Normalise { affine, centre, shift: 16 }, &[draft.last]);
        };
        got.push((name, cost(I16, &normalise)));
    }
    let expected = [
        ("relu", 18),
        ("requantise", 42),
        ("mul", 37),
        ("table", 70),
        ("curve", 95),
        ("add rows", 21),
        ("softmax", 146),
        ("layer norm", 87),
        ("rms norm", 85),
    ];
    assert_eq!(got, expected, "update docs/proving.md too");
}
