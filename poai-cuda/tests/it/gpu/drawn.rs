//! Random programs: chains of steps of any kind, with constants and inputs.

mod training;

use super::Draw;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, GroupWindow, Op, ProgramError, RunShape,
    ValueId, Window,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};
use training::{Given, RECIPES};

/// A program under construction; each step is drawn and added after the one
/// before.
struct Chain<'a> {
    draw: &'a mut Draw,
    builder: Builder,
    constants: Constants,
    run: RunShape,
    steps: usize,
}

impl Chain<'_> {
    /// Entries: some are the type's extremes, some are small, and the others
    /// are random.
    fn entries(draw: &mut Draw, count: usize, dtype: Dtype) -> Vec<i32> {
        let (min, max) = dtype.range();
        let mut entry = || match draw.below(8) {
            0 => min,
            1 => max,
            2..=4 => draw.within((-5, 5)),
            _ => draw.within((min, max)),
        };
        (0..count).map(|_| entry()).collect()
    }

    fn constant(&mut self, rows: u32, columns: u32, dtype: Dtype) -> ConstantId {
        let entries = Chain::entries(self.draw, (rows * columns) as usize, dtype);
        self.given(rows, columns, dtype, &entries)
    }

    fn given(&mut self, rows: u32, columns: u32, dtype: Dtype, entries: &[i32]) -> ConstantId {
        let shape = (rows as usize, columns as usize);
        self.constants.add(&mut self.builder, "κ", shape, dtype, entries).unwrap()
    }

    /// Entries in 0..=127, the first positive.
    fn exponentials(&mut self) -> ConstantId {
        let entries: Vec<i32> =
            (0..256).map(|at| self.draw.within((i32::from(at == 0), 127))).collect();
        self.given(256, 1, Dtype::I16, &entries)
    }

    fn clamp(&mut self) -> Clamp {
        let dtype = self.draw.of(&[Dtype::I8, Dtype::I8, Dtype::I16, Dtype::I32]);
        let (min, max) = dtype.range();
        let (a, b) = (self.draw.within((min, max)), self.draw.within((min, max)));
        match self.draw.below(4) {
            0 => Clamp { dtype, min: a.min(b), max: a.max(b) },
            _ => Clamp::full(dtype),
        }
    }

    fn shift(&mut self) -> u8 {
        let most = self.draw.of(&[4, 12, 32, 62]);
        self.draw.below(most + 1) as u8
    }

    /// Adds a step if the draw fits its inputs, or returns `None`.
    fn step(&mut self, op: Op, inputs: &[ValueId]) -> Option<ValueId> {
        let value = self.builder.step(op.name(), op, inputs).ok()?;
        self.steps += 1;
        Some(value)
    }

    /// A window on an image of `pixels` pixels.
    fn window(&mut self, pixels: u32) -> Window {
        let heights: Vec<u32> = (1..=pixels).filter(|side| pixels.is_multiple_of(*side)).collect();
        let height = self.draw.of(&heights);
        let (draw, width) = (&mut *self.draw, pixels / height);
        let kernel = [height, width].map(|side| 1 + draw.below(u64::from(side.min(4))) as u32);
        let stride = [(); 2].map(|()| 1 + draw.below(3) as u32);
        let pads = [0, 1, 0, 1].map(|side: usize| draw.below(kernel[side].into()) as u32);
        Window { height, width, kernel, stride, pads }
    }

    /// Adds one or a few steps to a value, of any kind except an embedding.
    fn more(&mut self, x: ValueId, given: Given) -> Option<ValueId> {
        let lengths = given.lengths;
        let Form { rows, columns, .. } = self.builder.form(x)?;
        let width = columns.units;
        let numbers = (self.draw.within((i32::MIN, i32::MAX)), self.draw.within((-99, 99)));
        let multiplier = if self.draw.below(2) == 0 { numbers.0 } else { numbers.1 };
        let (shift, clamp) = (self.shift(), self.clamp());
        let op = match self.draw.below(24 + RECIPES) {
            0 => Op::Requantise { multiplier, shift, clamp },
            1 => {
                let relu = self.step(Op::Relu, &[x])?;
                let multipliers = [multiplier, numbers.0];
                return self.step(Op::Add { multipliers, shift, clamp }, &[x, relu]);
            }
            2 => Op::ScaleColumns { scale: self.constant(width, 1, Dtype::I32), shift, clamp },
            3 => {
                let table = self.constant(256, 1, clamp.dtype);
                Op::Table { table, shift, pass_above: multiplier % 2 == 0 }
            }
            4 => {
                let (table, one) = (self.exponentials(), self.draw.within((1, 1 << 15)));
                let multiplier = multiplier.checked_abs()?;
                Op::Softmax { table, multiplier, shift, one, clamp }
            }
            5..=8 => return self.linear(x, clamp),
            9 => {
                let affine = self.constant(width, 2, Dtype::I32);
                Op::Normalise { affine, centre: multiplier % 2 == 0, shift }
            }
            10 => {
                let tokens = if rows.is_fixed() { 1 } else { self.run.sequence };
                Op::AddRows { table: self.constant(rows.units * tokens, width, Dtype::I16) }
            }
            11 => Op::Transpose,
            12 => Op::Reshape {
                rows: Dim { units: 1, ..rows },
                columns: Dim { units: rows.units * width, ..columns },
            },
            13 => Op::MaxPool(self.window(rows.units)),
            14 => Op::AveragePool(self.window(rows.units)),
            15 => Op::Unfold(self.window(rows.units)),
            16 => return self.attention(x, lengths),
            17 => {
                let relu = self.step(Op::Relu, &[x])?;
                return self.step(Op::Mul { shift, clamp }, &[x, relu]);
            }
            18 => {
                let (table, shift) = (self.constant(257, 1, Dtype::I16), shift % 24);
                Op::Curve { table, shift, pass_above: multiplier % 2 == 0 }
            }
            19 => Op::Arrange { index: self.index(rows.units * width) },
            20 => {
                let window = self.window(rows.units);
                let dilation = [(); 2].map(|()| 1 + self.draw.below(2) as u32);
                let (groups, fill) = (self.divisor(width), self.draw.below(128) as i32 - 64);
                Op::GroupUnfold(GroupWindow { window, dilation, groups, fill })
            }
            21 => return self.group_linear(x, clamp),
            22 => {
                let blocks = self.divisor(rows.units);
                return self.step(Op::Product { blocks, shift, clamp }, &[x, x]);
            }
            23 if self.draw.below(2) == 0 => Op::L2Normalise,
            23 => {
                let inputs: Vec<ValueId> = [x].into_iter().chain(lengths).collect();
                return self.step(Op::MeanPool, &inputs);
            }
            recipe => return self.training(recipe - 24, x, given),
        };
        self.step(op, &[x])
    }

    /// A product with weights, on a value that is an operand or is made one.
    fn linear(&mut self, x: ValueId, clamp: Clamp) -> Option<ValueId> {
        let width = self.builder.form(x)?.columns.units;
        let n = 1 + self.draw.below(70) as u32;
        let weights = self.constant(n, width, Dtype::I8);
        let requantise = self.constant(n, 3, Dtype::I32);
        let op = Op::Linear { weights, requantise, shifts: [(); 3].map(|()| self.shift()), clamp };
        if self.draw.below(2) == 0 && self.builder.form(x)?.dtype == Dtype::I8 {
            return self.step(op, &[x]);
        }
        let m = self.step(Op::RowScale, &[x])?;
        let operand = self.step(Op::Quantise, &[x, m])?;
        self.step(op, &[operand, m])
    }

    /// A number that divides `of`.
    fn divisor(&mut self, of: u32) -> u32 {
        let all: Vec<u32> = (1..=of).filter(|number| of.is_multiple_of(*number)).collect();
        self.draw.of(&all)
    }

    /// An index of entries of one input, some of them none.
    fn index(&mut self, entries: u32) -> ConstantId {
        let (rows, columns) = (1 + self.draw.below(40) as u32, 1 + self.draw.below(40) as u32);
        let numbers: Vec<i32> =
            (0..rows * columns).map(|_| self.draw.within((-1, entries as i32 - 1))).collect();
        self.given(rows, columns, Dtype::I32, &numbers)
    }

    /// A product of groups of columns with weights, on a value that is an
    /// operand.
    fn group_linear(&mut self, x: ValueId, clamp: Clamp) -> Option<ValueId> {
        let width = self.builder.form(x)?.columns.units;
        let groups = self.divisor(width);
        let n = groups * (1 + self.draw.below(3) as u32);
        let weights = self.constant(n, width / groups, Dtype::I8);
        let requantise = self.constant(n, 3, Dtype::I32);
        let shifts = [(); 3].map(|()| self.shift());
        self.step(Op::GroupLinear { weights, requantise, groups, shifts, clamp }, &[x])
    }

    /// A value's attention to itself, if it is an operand with one row per
    /// token.
    fn attention(&mut self, x: ValueId, lengths: Option<ValueId>) -> Option<ValueId> {
        let width = self.builder.form(x)?.columns.units;
        let heads = self.draw.of(&[1, 2, 3, 4]);
        let alphas: Vec<i32> = (0..heads).map(|_| self.draw.within((0, 1 << 20))).collect();
        let (alpha, table) = (self.given(heads, 1, Dtype::I32, &alphas), self.exponentials());
        let (shift, causal) = (self.shift(), self.draw.below(2) == 0);
        let inputs: Vec<ValueId> = [x, x].into_iter().chain(lengths).collect();
        let op = match self.draw.below(2) {
            0 => Op::AttentionWeights { heads, alpha, shift, table, causal },
            _ => {
                let columns = 1 + 2 * self.draw.below(20) as usize;
                let biases = heads as usize * columns;
                let biases: Vec<i32> = (0..biases).map(|_| self.draw.within((-400, 400))).collect();
                let bias = self.given(heads, columns as u32, Dtype::I32, &biases);
                Op::RelativeAttentionWeights { heads, alpha, shift, table, causal, bias }
            }
        };
        let weights = self.step(op, &inputs)?;
        let values = self.step(Op::Transpose, &[x])?;
        let scale = self.constant(width, 1, Dtype::I32);
        let shifts = [(); 2].map(|()| self.shift());
        self.step(Op::AttentionContext { heads, scale, shifts }, &[weights, values])
    }
}

/// A random program of up to about a dozen steps, with its constants and
/// inputs: of token ids, of rows of tokens or of images. A program without
/// tokens has a sequence of one, which the run then has.
pub fn program(draw: &mut Draw, run: &mut RunShape) -> (Network, Vec<Tensor>) {
    loop {
        if let Some((network, inputs)) = attempt(draw, *run) {
            if !network.program().has_tokens() {
                run.sequence = 1;
            }
            return (network, inputs);
        }
    }
}

/// A random program, or `None` if its steps leave an input unread.
fn attempt(draw: &mut Draw, run: RunShape) -> Option<(Network, Vec<Tensor>)> {
    let one = Dim::fixed(1);
    let dtype = draw.of(&[Dtype::I8, Dtype::I16, Dtype::I32]);
    // One in four is wide enough for its products to be mined.
    let width = if draw.below(4) == 0 { 1025 + draw.below(200) } else { 1 + draw.below(48) } as u32;
    let kind = draw.below(3);
    let first = match kind {
        0 => Form::new(Dim::TOKENS, one, Dtype::I32),
        1 => Form::new(Dim::TOKENS, Dim::fixed(width), dtype),
        _ => Form::new(Dim::fixed(1 + draw.below(40) as u32), Dim::fixed(width), dtype),
    };
    let masked = kind < 2 && draw.below(2) == 0;
    let random = draw.below(4) == 0;
    let mut forms = vec![first];
    forms.extend(masked.then(|| Form::new(one, one, Dtype::I32)));
    let of_random = [Dim::fixed(8), one].map(|rows| Form::shared(rows, one, Dtype::I32));
    forms.extend(of_random.into_iter().filter(|_| random));
    let (builder, constants) = (Builder::new(&forms), Constants::default());
    let mut chain = Chain { draw, builder, constants, run, steps: 0 };
    let mut x = chain.builder.input(0);
    let lengths = masked.then(|| chain.builder.input(1));
    let second = 1 + usize::from(masked);
    let random = random.then(|| [chain.builder.input(second), chain.builder.input(second + 1)]);
    let given = Given { lengths, random };
    let vocabulary = 1 + chain.draw.below(99) as u32;
    if kind == 0 {
        let table = chain.constant(vocabulary, width, Dtype::I8);
        let (scales, shift) = (chain.constant(vocabulary, 1, Dtype::I32), chain.shift());
        x = chain.step(Op::Embed { table, scales, shift }, &[x]).unwrap();
    }
    let least = 1 + chain.draw.below(9) as usize;
    while chain.steps < least {
        let before = (chain.builder.clone(), chain.constants.clone(), chain.steps);
        match chain.more(x, given) {
            Some(value) => x = value,
            // What no step reads makes a program invalid.
            None => (chain.builder, chain.constants, chain.steps) = before,
        }
    }
    let Chain { draw, builder, constants, .. } = chain;
    let program = match builder.finish() {
        Err(ProgramError::Unread(_)) => return None,
        program => program.unwrap(),
    };
    let network = Network::new(program, constants.into_tensors()).unwrap();

    let Extent { rows, columns, dtype } = Extent::of(&first, &run).unwrap();
    let mut entries = Chain::entries(draw, (rows * columns) as usize, dtype);
    if kind == 0 {
        // One run in sixteen may have an id beyond the table.
        let beyond = i32::from(draw.below(16) == 0);
        entries.fill_with(|| draw.within((0, vocabulary as i32 - 1 + beyond)));
    }
    let lengths: Vec<i32> = (0..run.batch).map(|_| draw.within((1, run.sequence as i32))).collect();
    let tensor = |rows: u32, columns: u32, dtype, entries: &[i32]| {
        Tensor::new(rows as usize, columns as usize, dtype, entries).unwrap()
    };
    let mut inputs = vec![tensor(rows, columns, dtype, &entries)];
    inputs.extend(masked.then(|| tensor(run.batch, 1, Dtype::I32, &lengths)));
    if random.is_some() {
        inputs.push(tensor(8, 1, Dtype::I32, &Chain::entries(draw, 8, Dtype::I32)));
        inputs.push(tensor(1, 1, Dtype::I32, &[draw.within((0, i32::MAX))]));
    }
    Some((network, inputs))
}
