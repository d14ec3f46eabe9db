//! A network that trains: one iteration of stochastic gradient descent with
//! momentum on a perceptron of two layers, as a program with state.

use crate::zoo::entries;
use poai_core::program::training::{Shift, Sign};
use poai_core::program::{
    Builder, Clamp, Dim, Dtype, Form, Op, RunShape, Step, TrainingOp, ValueId,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};

/// The entries of a sample, the units of the hidden layer, and the classes.
const SAMPLE: u32 = 64;
const HIDDEN: u32 = 40;
const CLASSES: u32 = 10;
/// The number of states: a bias and a matrix of each layer, each with its
/// momentum.
pub const STATES: u32 = 8;

/// A program under construction.
struct Training {
    builder: Builder,
    constants: Constants,
    streams: u32,
    seed: ValueId,
    t: ValueId,
}

impl Training {
    fn step(&mut self, op: TrainingOp, inputs: &[ValueId]) -> ValueId {
        let name = op.name();
        self.builder.step(name, Op::Training(op), inputs).unwrap()
    }

    fn table(&mut self, name: &str, table: &[i32]) -> poai_core::program::ConstantId {
        self.constants.add(&mut self.builder, name, (256, 1), Dtype::I16, table).unwrap()
    }

    /// A value as an operand, and its exponent.
    fn operand(&mut self, x: ValueId, stochastic: bool) -> (ValueId, ValueId) {
        let m = self.builder.step("row scale", Op::RowScale, &[x]).unwrap();
        let exponent = self.step(TrainingOp::Exponent { per_row: false }, &[m]);
        let mut inputs = vec![x, exponent];
        let mut stream = None;
        if stochastic {
            stream = Some(self.streams);
            self.streams += 1;
            inputs.extend([self.seed, self.t]);
        }
        let clamp = Clamp::SYMMETRIC;
        let shift = Shift::new(0, &[Sign::Plus]);
        let op = TrainingOp::Rescale { shift, stream, multiplier: 1, clamp };
        (self.step(op, &inputs), exponent)
    }

    /// A product of two operands with exponents, which make the entries larger.
    fn product(
        &mut self,
        base: i32,
        operands: [ValueId; 2],
        bias: Option<ValueId>,
        exponents: &[ValueId],
    ) -> ValueId {
        let op = TrainingOp::ScaledProduct {
            shift: Shift::new(base, &vec![Sign::Minus; exponents.len()]),
            bias: bias.is_some(),
            bias_shift: if bias.is_some() { 8 } else { 0 },
            clamp: Clamp::full(Dtype::I32),
        };
        let inputs = [&operands[..], bias.as_slice(), exponents].concat();
        self.step(op, &inputs)
    }

    fn transpose(&mut self, x: ValueId) -> ValueId {
        self.step(TrainingOp::TransposeTiles, &[x])
    }

    /// A bias's gradient: the sums of the transposed gradient's rows.
    fn bias_gradient(&mut self, transposed: ValueId, exponent: ValueId) -> ValueId {
        let sums = self.step(TrainingOp::RowSum, &[transposed]);
        let shift = Shift::new(4, &[Sign::Minus]);
        let clamp = Clamp::full(Dtype::I32);
        let op = TrainingOp::Rescale { shift, stream: None, multiplier: 1, clamp };
        self.step(op, &[sums, exponent])
    }

    /// The next weights and the next momentum.
    fn descend(
        &mut self,
        [weights, momentum, gradient, rate]: [ValueId; 4],
        decay: u8,
    ) -> [ValueId; 2] {
        let clamp = Clamp::full(Dtype::I32);
        let add = Op::Add { multipliers: [29491, 32768], shift: 15, clamp };
        let momentum = self.builder.step("momentum", add, &[momentum, gradient]).unwrap();
        let op = TrainingOp::Descend { shift: 24, decay, clamp };
        [self.step(op, &[weights, momentum, rate]), momentum]
    }
}

/// One iteration of training on samples of 64 entries and 10 classes, with 40
/// hidden units.
///
/// Inputs: the [`STATES`] (each layer's bias and its momentum, then each layer's
/// weights and their momentum), the samples, their labels, the learning rate,
/// seed and t. Outputs: the next states, then the samples' logits.
pub fn perceptron() -> Network {
    let shared = |rows, columns| Form::shared(Dim::fixed(rows), Dim::fixed(columns), Dtype::I32);
    let one = Dim::fixed(1);
    let forms = [
        shared(HIDDEN, 1),
        shared(HIDDEN, 1),
        shared(CLASSES, 1),
        shared(CLASSES, 1),
        shared(HIDDEN, SAMPLE),
        shared(HIDDEN, SAMPLE),
        shared(CLASSES, HIDDEN),
        shared(CLASSES, HIDDEN),
        Form::new(one, Dim::fixed(SAMPLE), Dtype::I8),
        Form::new(one, one, Dtype::I32),
        shared(1, 1),
        shared(8, 1),
        shared(1, 1),
    ];
    let builder = Builder::new(&forms);
    let inputs: [ValueId; 13] = std::array::from_fn(|index| builder.input(index));
    let [bias1, bias1_m, bias2, bias2_m, w1, w1_m, w2, w2_m, x, labels, rate, seed, t] = inputs;
    let constants = Constants::default();
    let mut net = Training { builder, constants, streams: 0, seed, t };

    // Forward.
    let (w1_i8, w1_e) = net.operand(w1, false);
    let (w2_i8, w2_e) = net.operand(w2, false);
    let hidden = net.product(14, [x, w1_i8], Some(bias1), &[w1_e]);
    let hidden = net.builder.step("relu", Op::Relu, &[hidden]).unwrap();
    let (hidden, hidden_e) = net.operand(hidden, false);
    let logits = net.product(24, [hidden, w2_i8], Some(bias2), &[hidden_e, w2_e]);

    // Backward.
    let table: Vec<i32> =
        (0..256).map(|i| (32767.0 * (-f64::from(i) / 32.0).exp()) as i32).collect();
    let table = net.table("exponentials", &table);
    let op = TrainingOp::CrossEntropy { table, multiplier: 1, shift: 11, fraction: 24 };
    let loss = net.step(op, &[logits, labels]);
    let (loss, loss_e) = net.operand(loss, true);
    let (loss_t, hidden_t) = (net.transpose(loss), net.transpose(hidden));
    let w2_g = net.product(20, [loss_t, hidden_t], None, &[loss_e, hidden_e]);
    let w2_t = net.transpose(w2_i8);
    let back = net.product(24, [loss, w2_t], None, &[loss_e, w2_e]);
    let bias2_g = net.bias_gradient(loss_t, loss_e);
    let table: Vec<i32> = (0..256).map(|i| i32::from(i > 128)).collect();
    let table = net.table("slope of relu", &table);
    let clamp = Clamp::full(Dtype::I32);
    let back =
        net.step(TrainingOp::Gate { table, index_shift: 0, shift: 0, clamp }, &[back, hidden]);
    let (back, back_e) = net.operand(back, true);
    let (back_t, x_t) = (net.transpose(back), net.transpose(x));
    let w1_g = net.product(10, [back_t, x_t], None, &[back_e]);
    let bias1_g = net.bias_gradient(back_t, back_e);

    // Descent.
    let [bias1, bias1_m] = net.descend([bias1, bias1_m, bias1_g, rate], 0);
    let [bias2, bias2_m] = net.descend([bias2, bias2_m, bias2_g, rate], 0);
    let [w1, w1_m] = net.descend([w1, w1_m, w1_g, rate], 20);
    let [w2, w2_m] = net.descend([w2, w2_m, w2_g, rate], 20);
    let outputs = [bias1, bias1_m, bias2, bias2_m, w1, w1_m, w2, w2_m, logits];
    let Training { builder, constants, .. } = net;
    let program = builder.finish_with(&outputs, STATES).unwrap();
    Network::new(program, constants.into_tensors()).unwrap()
}

/// First states, samples and numbers for [`perceptron`].
pub fn samples(run: &RunShape) -> Vec<Tensor> {
    let i32s = |name: &str, rows: u32, columns: u32, most: i32| {
        let all = entries(name, (rows * columns) as usize, -most, most);
        Tensor::new(rows as usize, columns as usize, Dtype::I32, &all).unwrap()
    };
    let batch = run.batch as usize;
    let x = entries("samples", batch * SAMPLE as usize, -63, 63);
    let labels = entries("labels", batch, 0, CLASSES as i32 - 1);
    vec![
        i32s("first bias", HIDDEN, 1, 1 << 20),
        i32s("first bias's momentum", HIDDEN, 1, 1 << 12),
        i32s("second bias", CLASSES, 1, 1 << 20),
        i32s("second bias's momentum", CLASSES, 1, 1 << 12),
        i32s("first weights", HIDDEN, SAMPLE, 1 << 21),
        i32s("first weights' momentum", HIDDEN, SAMPLE, 1 << 12),
        i32s("second weights", CLASSES, HIDDEN, 1 << 21),
        i32s("second weights' momentum", CLASSES, HIDDEN, 1 << 12),
        Tensor::new(batch, SAMPLE as usize, Dtype::I8, &x).unwrap(),
        Tensor::new(batch, 1, Dtype::I32, &labels).unwrap(),
        Tensor::new(1, 1, Dtype::I32, &[1 << 18]).unwrap(),
        i32s("seed", 8, 1, i32::MAX),
        Tensor::new(1, 1, Dtype::I32, &[7]).unwrap(),
    ]
}

/// A program that multiplies two values of the depth that a block accepts, which
/// can be mined: samples of 1024 entries by 32 shared rows.
///
/// Inputs: the rows as a state (i32), and the samples (i8). Outputs: the next
/// state and the scores.
pub fn deep() -> Network {
    let rows = Form::shared(Dim::fixed(32), Dim::fixed(1024), Dtype::I32);
    let mut builder = Builder::new(&[rows, Form::new(Dim::fixed(1), Dim::fixed(1024), Dtype::I8)]);
    let (state, x) = (builder.input(0), builder.input(1));
    let requantise = |multiplier, shift, clamp| Op::Requantise { multiplier, shift, clamp };
    let operand = requantise(1, 15, Clamp::SYMMETRIC);
    let operand = builder.step("operand", operand, &[state]).unwrap();
    let clamp = Clamp::full(Dtype::I32);
    let shift = Shift::fixed(3);
    let op = TrainingOp::ScaledProduct { shift, bias: false, bias_shift: 0, clamp };
    let scores = builder.step("scores", Op::Training(op), &[x, operand]).unwrap();
    let next = builder.step("next", requantise(3, 1, clamp), &[state]).unwrap();
    Network::new(builder.finish_with(&[next, scores], 1).unwrap(), vec![]).unwrap()
}

/// The state and the samples for [`deep`].
pub fn deep_samples(run: &RunShape) -> Vec<Tensor> {
    let batch = run.batch as usize;
    let state = entries("deep state", 32 * 1024, -1 << 21, 1 << 21);
    let x = entries("deep samples", batch * 1024, -63, 63);
    vec![
        Tensor::new(32, 1024, Dtype::I32, &state).unwrap(),
        Tensor::new(batch, 1024, Dtype::I8, &x).unwrap(),
    ]
}

/// The first step of a kind.
pub fn step_named(network: &Network, name: &str) -> ValueId {
    let program = network.program();
    let named = |step: &Step| step.name == name;
    let at = program.steps().iter().position(named).unwrap();
    ValueId((program.inputs().len() + at) as u32)
}
