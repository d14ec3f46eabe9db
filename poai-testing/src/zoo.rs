//! Small programs that together use every kind of step, with pseudo-random
//! constants and inputs.

use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Form, GroupWindow, Op, ProgramError, RunShape, ValueId,
    Window,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};

/// A program under construction.
struct Zoo {
    builder: Builder,
    constants: Constants,
    drawn: u32,
}

/// Entries uniform in min..=max.
pub fn entries(seed: &str, count: usize, min: i32, max: i32) -> Vec<i32> {
    let mut bytes = vec![0; 4 * count];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    let span = (i64::from(max) - i64::from(min) + 1) as u64;
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    words.map(|word| (i64::from(min) + (u64::from(word) % span) as i64) as i32).collect()
}

impl Zoo {
    fn new(inputs: &[Form]) -> Zoo {
        Zoo { builder: Builder::new(inputs), constants: Constants::default(), drawn: 0 }
    }

    fn constant(
        &mut self,
        (rows, columns): (usize, usize),
        dtype: Dtype,
        min: i32,
        max: i32,
    ) -> ConstantId {
        self.drawn += 1;
        let entries = entries(&format!("constant {}", self.drawn), rows * columns, min, max);
        self.given((rows, columns), dtype, &entries)
    }

    fn given(&mut self, shape: (usize, usize), dtype: Dtype, entries: &[i32]) -> ConstantId {
        let name = format!("constant {}", self.drawn);
        self.constants.add(&mut self.builder, &name, shape, dtype, entries).unwrap()
    }

    fn step(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = op.name();
        self.try_step(name, op, inputs).unwrap()
    }

    fn try_step(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[ValueId],
    ) -> Result<ValueId, ProgramError> {
        self.builder.step(name, op, inputs)
    }

    fn linear(&mut self, inputs: &[ValueId], n: usize, k: usize, clamp: Clamp) -> ValueId {
        let (weights, requantise) = self.weights(n, k);
        let shifts = if inputs.len() > 1 { [25, 14, 1] } else { [26, 0, 1] };
        self.step(Op::Linear { weights, requantise, shifts, clamp }, inputs)
    }

    /// Weights, and the numbers of their output channels.
    fn weights(&mut self, n: usize, k: usize) -> (ConstantId, ConstantId) {
        let weights = self.constant((n, k), Dtype::I8, -63, 63);
        let channels: Vec<i32> = entries("before", n, -500, 500)
            .into_iter()
            .zip(entries("multiplier", n, 1 << 18, 1 << 19))
            .zip(entries("after", n, -9, 9))
            .flat_map(|((before, multiplier), after)| [before, multiplier, after])
            .collect();
        (weights, self.given((n, 3), Dtype::I32, &channels))
    }

    /// `rnd(127·exp(−i/40))`.
    fn exponentials(&mut self) -> ConstantId {
        let table: Vec<i32> =
            (0..256).map(|i| (127.0 * (-f64::from(i) / 40.0).exp()).round() as i32).collect();
        self.given((256, 1), Dtype::I16, &table)
    }

    fn finish(self) -> Network {
        Network::new(self.builder.finish().unwrap(), self.constants.into_tensors()).unwrap()
    }
}

/// An encoder of token ids with lengths.
pub fn encoder() -> Network {
    let one = Dim::fixed(1);
    let mut zoo =
        Zoo::new(&[Form::new(Dim::TOKENS, one, Dtype::I32), Form::new(one, one, Dtype::I32)]);
    let (ids, lengths) = (zoo.builder.input(0), zoo.builder.input(1));
    let (vocabulary, hidden, heads) = (300, 64, 2);
    let table = zoo.constant((vocabulary, hidden), Dtype::I8, -63, 63);
    let scales = zoo.constant((vocabulary, 1), Dtype::I32, 1 << 14, 1 << 16);
    let x = zoo.step(Op::Embed { table, scales, shift: 12 }, &[ids]);
    let table = zoo.constant((70, hidden), Dtype::I16, -200, 200);
    let x = zoo.step(Op::AddRows { table }, &[x]);
    let affine = zoo.constant((hidden, 2), Dtype::I32, -4096, 4096);
    let x = zoo.step(Op::Normalise { affine, centre: true, shift: 18 }, &[x]);
    let scale = zoo.constant((hidden, 1), Dtype::I32, 1 << 13, 1 << 15);
    let full = Clamp::full(Dtype::I16);
    let smooth = zoo.step(Op::ScaleColumns { scale, shift: 14, clamp: full }, &[x]);
    let m = zoo.step(Op::RowScale, &[smooth]);
    let operand = zoo.step(Op::Quantise, &[smooth, m]);
    let query = zoo.linear(&[operand, m], hidden, hidden, Clamp::SYMMETRIC);
    let key = zoo.linear(&[operand, m], hidden, hidden, Clamp::SYMMETRIC);
    let value = zoo.linear(&[operand, m], hidden, hidden, Clamp::SYMMETRIC);
    let value = zoo.step(Op::Transpose, &[value]);
    let alpha = zoo.constant((heads, 1), Dtype::I32, 1 << 15, 1 << 16);
    let table = zoo.exponentials();
    let heads = heads as u32;
    let weights = Op::AttentionWeights { heads, alpha, shift: 20, table, causal: false };
    let weights = zoo.step(weights, &[query, key, lengths]);
    let scale = zoo.constant((hidden, 1), Dtype::I32, 1 << 13, 1 << 15);
    let context = Op::AttentionContext { heads, scale, shifts: [12, 20] };
    let context = zoo.step(context, &[weights, value]);
    let m = zoo.step(Op::RowScale, &[context]);
    let operand = zoo.step(Op::Quantise, &[context, m]);
    let out = zoo.linear(&[operand, m], hidden, hidden, full);
    let x = zoo.step(Op::Add { multipliers: [3, 2], shift: 1, clamp: full }, &[x, out]);
    let affine = zoo.constant((hidden, 2), Dtype::I32, -4096, 4096);
    let x = zoo.step(Op::Normalise { affine, centre: false, shift: 18 }, &[x]);
    let table = zoo.constant((256, 1), Dtype::I16, -1000, 1000);
    let x = zoo.step(Op::Table { table, shift: 3, pass_above: true }, &[x]);
    let causal =
        zoo.step(Op::Requantise { multiplier: 5, shift: 6, clamp: Clamp::full(Dtype::I8) }, &[x]);
    let alpha = zoo.constant((1, 1), Dtype::I32, 1 << 7, 1 << 8);
    let table = zoo.exponentials();
    let op = Op::AttentionWeights { heads: 1, alpha, shift: 20, table, causal: true };
    let weights = zoo.step(op, &[causal, causal]);
    let value = zoo.step(Op::Transpose, &[causal]);
    let scale = zoo.constant((hidden, 1), Dtype::I32, 1 << 13, 1 << 15);
    let op = Op::AttentionContext { heads: 1, scale, shifts: [12, 18] };
    let x = zoo.step(op, &[weights, value]);
    let x = zoo.step(Op::MeanPool, &[x, lengths]);
    zoo.step(Op::L2Normalise, &[x]);
    zoo.finish()
}

/// Ids and lengths for [`encoder`].
pub fn tokens(run: &RunShape) -> Vec<Tensor> {
    let (batch, sequence) = (run.batch as usize, run.sequence as usize);
    let ids = entries("ids", batch * sequence, 0, 299);
    let lengths = entries("lengths", batch, 1, sequence as i32);
    vec![
        Tensor::new(batch * sequence, 1, Dtype::I32, &ids).unwrap(),
        Tensor::new(batch, 1, Dtype::I32, &lengths).unwrap(),
    ]
}

/// A classifier of 9×7 images of 3 channels.
pub fn classifier() -> Network {
    let mut zoo = Zoo::new(&[Form::new(Dim::fixed(63), Dim::fixed(3), Dtype::I8)]);
    let x = zoo.builder.input(0);
    let window = |height, width, kernel, stride, pads| Window {
        height,
        width,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pads: [pads; 4],
    };
    let x = zoo.step(Op::Unfold(window(9, 7, 3, 1, 1)), &[x]);
    let x = zoo.linear(&[x], 40, 27, Clamp::SYMMETRIC);
    let x = zoo.step(Op::Relu, &[x]);
    let x = zoo.step(Op::MaxPool(window(9, 7, 3, 2, 1)), &[x]);
    let x = zoo.step(Op::AveragePool(window(5, 4, 2, 1, 1)), &[x]);
    let (rows, columns) = (Dim::fixed(1), Dim::fixed(30 * 40));
    let x = zoo.step(Op::Reshape { rows, columns }, &[x]);
    let x = zoo.linear(&[x], 10, 1200, Clamp::full(Dtype::I16));
    let table = zoo.exponentials();
    let clamp = Clamp::full(Dtype::I16);
    zoo.step(Op::Softmax { table, multiplier: 3, shift: 4, one: 1 << 14, clamp }, &[x]);
    zoo.finish()
}

/// Images for [`classifier`].
pub fn images(run: &RunShape) -> Vec<Tensor> {
    let rows = 63 * run.batch as usize;
    vec![Tensor::new(rows, 3, Dtype::I8, &entries("images", rows * 3, -64, 63)).unwrap()]
}

/// A gated, dilated convolution of 8×6 images of 4 channels, joined with its
/// input and multiplied by itself.
pub fn gates() -> Network {
    let mut zoo = Zoo::new(&[Form::new(Dim::fixed(48), Dim::fixed(4), Dtype::I8)]);
    let image = zoo.builder.input(0);
    let window = Window { height: 8, width: 6, kernel: [3; 2], stride: [1; 2], pads: [2, 1, 2, 1] };
    let moved = GroupWindow { window, dilation: [2, 1], groups: 4, fill: -64 };
    let x = zoo.step(Op::GroupUnfold(moved), &[image]);
    let (weights, requantise) = zoo.weights(8, 9);
    let clamp = Clamp::full(Dtype::I16);
    let op = Op::GroupLinear { weights, requantise, groups: 4, shifts: [22, 0, 1], clamp };
    let x = zoo.step(op, &[x]);
    let table: Vec<i32> =
        (-128..=128).map(|at: i32| 16384 + at * 16384 / (32 + at.abs())).collect();
    let table = zoo.given((257, 1), Dtype::I16, &table);
    let gate = zoo.step(Op::Curve { table, shift: 2, pass_above: false }, &[x]);
    let x = zoo.step(Op::Mul { shift: 18, clamp: Clamp::SYMMETRIC }, &[x, gate]);
    // Channels first, the 8 of the product and then the 4 of the image, in
    // rows of 9 with a column of zeros.
    let numbers: Vec<i32> = (0..80 * 9)
        .map(|at| match (at / 9 * 8 + at % 9, at % 9) {
            (_, 8) => -1,
            (at @ ..384, _) => at % 48 * 8 + at / 48,
            (at @ 384..576, _) => 384 + (at - 384) % 48 * 4 + (at - 384) / 48,
            _ => -1,
        })
        .collect();
    let index = zoo.given((80, 9), Dtype::I32, &numbers);
    let x = zoo.step(Op::Arrange { index }, &[x, image]);
    zoo.step(Op::Product { blocks: 2, shift: 4, clamp }, &[x, x]);
    zoo.finish()
}

/// Images for [`gates`].
pub fn small_images(run: &RunShape) -> Vec<Tensor> {
    let rows = 48 * run.batch as usize;
    vec![Tensor::new(rows, 4, Dtype::I8, &entries("small images", rows * 4, -64, 63)).unwrap()]
}

/// Attention whose scores have biases by distance, once with lengths and few
/// distances, and once of earlier tokens and with more distances than tokens.
pub fn relative() -> Network {
    let (hidden, heads, one) = (24, 3, Dim::fixed(1));
    let states = Form::new(Dim::TOKENS, Dim::fixed(hidden as u32), Dtype::I8);
    let mut zoo = Zoo::new(&[states, Form::new(one, one, Dtype::I32)]);
    let (x, lengths) = (zoo.builder.input(0), zoo.builder.input(1));
    let query = zoo.linear(&[x], hidden, hidden, Clamp::SYMMETRIC);
    let key = zoo.linear(&[x], hidden, hidden, Clamp::SYMMETRIC);
    let value = zoo.linear(&[x], hidden, hidden, Clamp::SYMMETRIC);
    let value = zoo.step(Op::Transpose, &[value]);
    let alpha = zoo.constant((heads, 1), Dtype::I32, 1 << 15, 1 << 16);
    let table = zoo.exponentials();
    let bias = zoo.constant((heads, 2 * 6 - 1), Dtype::I32, -90, 90);
    let (heads, shift) = (heads as u32, 20);
    let causal = false;
    let op = Op::RelativeAttentionWeights { heads, alpha, shift, table, causal, bias };
    let weights = zoo.step(op, &[query, key, lengths]);
    let scale = zoo.constant((hidden, 1), Dtype::I32, 1 << 13, 1 << 15);
    let x = zoo.step(Op::AttentionContext { heads, scale, shifts: [12, 20] }, &[weights, value]);
    let clamp = Clamp::full(Dtype::I8);
    let x = zoo.step(Op::Requantise { multiplier: 5, shift: 3, clamp }, &[x]);
    let alpha = zoo.constant((1, 1), Dtype::I32, 1 << 13, 1 << 14);
    let bias = zoo.constant((1, 2 * 90 - 1), Dtype::I32, -90, 90);
    let (heads, causal) = (1, true);
    let op = Op::RelativeAttentionWeights { heads, alpha, shift, table, causal, bias };
    let weights = zoo.step(op, &[x, x]);
    let value = zoo.step(Op::Transpose, &[x]);
    let scale = zoo.constant((hidden, 1), Dtype::I32, 1 << 13, 1 << 15);
    zoo.step(Op::AttentionContext { heads, scale, shifts: [12, 18] }, &[weights, value]);
    zoo.finish()
}

/// States and lengths for [`relative`].
pub fn states(run: &RunShape) -> Vec<Tensor> {
    let (batch, sequence) = (run.batch as usize, run.sequence as usize);
    let states = entries("states", batch * sequence * 24, -64, 63);
    let lengths = entries("lengths of states", batch, 1, sequence as i32);
    vec![
        Tensor::new(batch * sequence, 24, Dtype::I8, &states).unwrap(),
        Tensor::new(batch, 1, Dtype::I32, &lengths).unwrap(),
    ]
}
