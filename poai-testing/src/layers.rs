//! Small networks whose steps inference proofs support.

use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape, ValueId, Window};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};
use std::sync::Arc;

/// The run of every network here.
pub const RUN: RunShape = RunShape::new(1, 1);
const RECTIFIED: Clamp = Clamp { dtype: Dtype::I8, min: 0, max: 63 };

/// Pseudo-random entries.
pub fn entries(seed: i64, count: usize, least: i64, most: i64) -> Vec<i32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state.cast_unsigned().wrapping_shr(7).cast_signed();
        state ^= state << 17;
        (least + state.rem_euclid(most - least + 1)) as i32
    };
    (0..count).map(|_| next()).collect()
}

/// A network under construction, layer by layer.
pub struct Layers {
    pub builder: Builder,
    held: Constants,
    seed: i64,
}

impl Layers {
    pub fn new(rows: u32, columns: u32, seed: i64) -> Layers {
        let form = Form::new(Dim::fixed(rows), Dim::fixed(columns), Dtype::I8);
        Layers { builder: Builder::new(&[form]), held: Constants::default(), seed }
    }

    pub fn step(&mut self, op: Op, x: ValueId) -> ValueId {
        self.builder.step("step", op, &[x]).unwrap()
    }

    pub fn linear(&mut self, x: ValueId, [k, n]: [usize; 2], clamp: Clamp) -> ValueId {
        self.seed += 1;
        let weights = entries(self.seed, n * k, -63, 63);
        let channels: Vec<i32> = entries(self.seed + 50, n, -500, 500)
            .into_iter()
            .flat_map(|bias| [bias, (1 << 20) + 7 * bias, 0])
            .collect();
        let Layers { builder, held, .. } = self;
        let weights = held.add(builder, "w", (n, k), Dtype::I8, &weights).unwrap();
        let requantise = held.add(builder, "r", (n, 3), Dtype::I32, &channels).unwrap();
        self.step(Op::Linear { weights, requantise, shifts: [27, 0, 0], clamp }, x)
    }

    pub fn finish(self) -> Arc<Network> {
        let program = self.builder.finish().unwrap();
        Arc::new(Network::new(program, self.held.into_tensors()).unwrap())
    }
}

/// Two dense layers.
pub fn mlp(seed: i64) -> Arc<Network> {
    let mut layers = Layers::new(1, 24, seed);
    let x = layers.builder.input(0);
    let x = layers.linear(x, [24, 12], RECTIFIED);
    layers.linear(x, [12, 10], Clamp::full(Dtype::I8));
    layers.finish()
}

/// Convolution, maximum and mean, a table, and a dense layer.
pub fn cnn() -> Arc<Network> {
    let window = |size: u32, kernel: u32, stride: u32| Window {
        height: size,
        width: size,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [0; 4],
    };
    let mut layers = Layers::new(64, 1, 90);
    let x = layers.builder.input(0);
    let x = layers.step(Op::Unfold(window(8, 3, 1)), x);
    let x = layers.linear(x, [9, 4], Clamp::full(Dtype::I8));
    let x = layers.step(Op::Relu, x);
    let x = layers.step(Op::MaxPool(window(6, 2, 2)), x);
    let x = layers.step(Op::AveragePool(window(3, 2, 1)), x);
    let table: Vec<i32> = (0..256).map(|i| ((i - 128) * (i - 128) / 80).min(63)).collect();
    let Layers { builder, held, .. } = &mut layers;
    let table = held.add(builder, "t", (256, 1), Dtype::I8, &table).unwrap();
    let x = layers.step(Op::Table { table, shift: 0, pass_above: false }, x);
    let flat = Op::Reshape { rows: Dim::fixed(1), columns: Dim::fixed(16) };
    let x = layers.step(flat, x);
    layers.linear(x, [16, 5], Clamp::full(Dtype::I16));
    layers.finish()
}

/// One dense layer of many rows; Freivalds' method checks its sums with
/// committed weights.
pub fn wide() -> Arc<Network> {
    let mut layers = Layers::new(32, 48, 17);
    let x = layers.builder.input(0);
    layers.linear(x, [48, 48], Clamp::full(Dtype::I8));
    layers.finish()
}

/// An input for one of these networks.
pub fn input(network: &Network, seed: i64) -> Tensor {
    let extent = network.program().extents(&RUN).unwrap()[0];
    let (rows, columns) = (extent.rows as usize, extent.columns as usize);
    Tensor::new(rows, columns, Dtype::I8, &entries(seed, rows * columns, -64, 63)).unwrap()
}
