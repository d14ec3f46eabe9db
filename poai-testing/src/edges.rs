//! Programs of one step each, at the ends of the step's ranges: extreme
//! entries, ties, shifts of 0 and 62, single rows, lengths, masks, pads.

mod decoder;
mod imported;
mod relative;

pub use decoder::{decoder_cases, decoder_cases_without_output, wide_cases};

use super::zoo::entries;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, RunShape, Window,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};

const TYPES: [Dtype; 3] = [Dtype::I8, Dtype::I16, Dtype::I32];
const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;
const ONE: Dim = Dim::fixed(1);
const MIN: i32 = i32::MIN;
const MAX: i32 = i32::MAX;

/// A network, and a run of it.
pub struct ProgramCase {
    pub name: String,
    /// Details that the name leaves out.
    pub about: String,
    pub network: Network,
    pub inputs: Vec<Tensor>,
    pub run: RunShape,
}

/// The entries of a constant.
struct Given(usize, usize, Dtype, Vec<i32>);

/// The entries of an input.
struct Input(Form, Vec<i32>);

/// The cases so far.
struct Edges(Vec<ProgramCase>);

impl Edges {
    /// Adds a case of one step on all inputs and constants.
    fn add(
        &mut self,
        about: &str,
        (batch, sequence): (u32, u32),
        inputs: &[Input],
        constants: &[Given],
        op: impl FnOnce(&[ConstantId]) -> Op,
    ) {
        self.add_run(about, RunShape::new(batch, sequence), inputs, constants, op);
    }

    /// Adds a case of one step, in a run that also has answers.
    fn add_run(
        &mut self,
        about: &str,
        run: RunShape,
        inputs: &[Input],
        constants: &[Given],
        op: impl FnOnce(&[ConstantId]) -> Op,
    ) {
        let forms: Vec<Form> = inputs.iter().map(|input| input.0).collect();
        let mut builder = Builder::new(&forms);
        let mut held = Constants::default();
        let ids: Vec<ConstantId> = constants
            .iter()
            .map(|Given(rows, columns, dtype, entries)| {
                held.add(&mut builder, "κ", (*rows, *columns), *dtype, entries).unwrap()
            })
            .collect();
        let op = op(&ids);
        let kind = op.name();
        let index = self.0.iter().filter(|case| case.name.starts_with(kind)).count();
        let (name, about) = (format!("{kind} {index}"), about.to_owned());
        let values: Vec<_> = (0..inputs.len()).map(|index| builder.input(index)).collect();
        builder.step(kind, op, &values).unwrap_or_else(|error| panic!("{name}: {error}"));
        let network = Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap();
        // A run without tokens has a sequence of one, and without rows of answers
        // it has none.
        let sequence = if network.program().has_tokens() { run.sequence } else { 1 };
        let answers = if network.program().has_answers() { run.answers } else { 0 };
        let run = RunShape::new(run.batch, sequence).answers(answers);
        let tensor = |Input(form, entries): &Input| {
            let Extent { rows, columns, dtype } = Extent::of(form, &run).unwrap();
            Tensor::new(rows as usize, columns as usize, dtype, entries).unwrap()
        };
        let inputs = inputs.iter().map(tensor).collect();
        self.0.push(ProgramCase { name, about, network, inputs, run });
    }
}

/// Entries: many are extreme or small, the others random.
fn mixed(seed: &str, count: usize, dtype: Dtype) -> Vec<i32> {
    let (min, max) = dtype.range();
    let anything = entries(seed, count, min, max);
    let small = entries(&format!("{seed} small"), count, -5, 5);
    let choice = entries(&format!("{seed} choice"), count, 0, 7);
    let entry = |index: usize| match choice[index] {
        0 => min,
        1 => max,
        2 => min + 1,
        3 | 4 => small[index],
        _ => anything[index],
    };
    (0..count).map(entry).collect()
}

/// An input of `rows` fixed rows per item, with mixed entries.
fn fixed(seed: &str, batch: u32, rows: u32, columns: u32, dtype: Dtype) -> Input {
    let form = Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype);
    Input(form, mixed(seed, (batch * rows * columns) as usize, dtype))
}

/// An input with one row per token.
fn tokens((batch, sequence): (u32, u32), columns: u32, dtype: Dtype, seed: &str) -> Input {
    let form = Form::new(Dim::TOKENS, Dim::fixed(columns), dtype);
    Input(form, mixed(seed, (batch * sequence * columns) as usize, dtype))
}

fn lengths(entries: &[i32]) -> Input {
    Input(Form::new(ONE, ONE, I32), entries.to_vec())
}

fn given(seed: &str, rows: usize, columns: usize, dtype: Dtype) -> Given {
    Given(rows, columns, dtype, mixed(seed, rows * columns, dtype))
}

/// A decreasing table that begins above 127 and ends below 0.
fn exponentials() -> Given {
    let falls = (0..256).map(|i| 300 - 3 * i).collect();
    Given(256, 1, I16, falls)
}

/// All cases, of every kind of step.
pub fn cases() -> Vec<ProgramCase> {
    let mut edges = Edges(Vec::new());
    linear(&mut edges);
    windows(&mut edges);
    entrywise(&mut edges);
    tables(&mut edges);
    rows(&mut edges);
    embeddings(&mut edges);
    attention(&mut edges);
    shapes(&mut edges);
    imported::cases(&mut edges);
    relative::cases(&mut edges);
    edges.0
}

fn linear(edges: &mut Edges) {
    let tight = Clamp { dtype: I32, min: -7, max: 100_000 };
    let full = Clamp::full(I32);
    for (shifts, clamp) in [
        ([0, 0, 0], full),
        ([1, 1, 1], Clamp::full(I16)),
        ([62, 62, 62], full),
        ([31, 20, 3], Clamp::full(I8)),
        ([20, 14, 1], tight),
        ([20, 14, 1], full),
        ([20, 62, 0], full),
        ([12, 31, 0], full),
    ] {
        for (rows, n, k) in [(1, 1, 1), (3, 5, 129)] {
            let [rows_, n_, k_] = [rows, n, k].map(|dimension| dimension as usize);
            let constants = || [given("weights", n_, k_, I8), given("channels", n_, 3, I32)];
            let op = |ids: &[ConstantId]| Op::Linear {
                weights: ids[0],
                requantise: ids[1],
                shifts,
                clamp,
            };
            let x = || fixed("x", 2, rows, k, I8);
            edges.add(&format!("{shifts:?}"), (2, 1), &[x()], &constants(), op);
            let form = Form::new(Dim::fixed(rows), ONE, I32);
            let scales = Input(form, mixed("scales", 2 * rows_, I32));
            edges.add(&format!("{shifts:?}, scaled"), (2, 1), &[x(), scales], &constants(), op);
        }
    }
}

fn windows(edges: &mut Edges) {
    let all = [
        (1, 1, [1, 1], [1, 1], [0, 0, 0, 0]),
        (1, 1, [3, 3], [1, 1], [1, 1, 1, 1]),
        (5, 4, [3, 2], [2, 1], [2, 1, 0, 0]),
        (5, 4, [3, 4], [2, 3], [0, 3, 1, 2]),
        (6, 7, [2, 3], [3, 2], [1, 2, 0, 1]),
        (3, 8, [2, 5], [1, 4], [0, 0, 1, 4]),
        (4, 4, [2, 2], [3, 3], [0, 0, 0, 0]),
    ];
    for (height, width, kernel, stride, pads) in all {
        let window = Window { height, width, kernel, stride, pads };
        let name = format!("{height}×{width} {kernel:?} {stride:?} {pads:?}");
        for dtype in TYPES {
            let x = || fixed("image", 2, height * width, 3, dtype);
            if dtype == I8 {
                edges.add(&name, (2, 1), &[x()], &[], |_| Op::Unfold(window));
            }
            edges.add(&name, (2, 1), &[x()], &[], |_| Op::MaxPool(window));
            edges.add(&name, (2, 1), &[x()], &[], |_| Op::AveragePool(window));
        }
    }
}

fn entrywise(edges: &mut Edges) {
    for (index, shift) in [0, 1, 7, 20, 31, 45, 61, 62].into_iter().enumerate() {
        let name = format!("shift {shift}");
        let clamp = Clamp::full(TYPES[index % 3]);
        let wide = Clamp::full(I32);
        for dtype in TYPES {
            let x = |seed| fixed(seed, 1, 3, 21, dtype);
            for multiplier in [1, -1, 3, MIN, MAX] {
                let op = Op::Requantise { multiplier, shift, clamp };
                edges.add(&name, (1, 1), &[x("x")], &[], |_| op);
            }
            for multipliers in [[MIN, MIN], [MAX, MAX], [MIN, MAX], [1, -1], [5, 1 << 20]] {
                let op = Op::Add { multipliers, shift, clamp: wide };
                edges.add(&name, (1, 1), &[x("a"), x("b")], &[], |_| op);
            }
            let scale = given("scale", 21, 1, I32);
            edges.add(&name, (1, 1), &[x("x")], &[scale], |ids| Op::ScaleColumns {
                scale: ids[0],
                shift,
                clamp: wide,
            });
        }
        // Both products at their largest, and at their smallest.
        for (multiplier, entry) in [(MIN, MIN), (MIN, MAX), (MAX, MAX), (MAX, MIN)] {
            let x = || Input(Form::new(ONE, ONE, I32), vec![entry]);
            let op = Op::Add { multipliers: [multiplier; 2], shift, clamp: wide };
            edges.add(&name, (1, 1), &[x(), x()], &[], |_| op);
        }
        // Ties, below and above zero, when the shift is small.
        let ties = || Input(Form::new(ONE, Dim::fixed(257), I16), (-128..=128).collect());
        let op = Op::Requantise { multiplier: 1, shift, clamp: wide };
        edges.add(&name, (1, 1), &[ties()], &[], |_| op);
    }
    for dtype in TYPES {
        edges.add("", (2, 3), &[fixed("x", 2, 1, 40, dtype)], &[], |_| Op::Relu);
    }
}

fn tables(edges: &mut Edges) {
    for (index, shift) in [0, 1, 3, 8, 24, 62].into_iter().enumerate() {
        for dtype in TYPES {
            let out = TYPES[(index + dtype.size()) % 3];
            for pass_above in [false, true] {
                // Both ends of the table, and the values just beyond.
                let (min, max) = dtype.range();
                let around = [-129i64, -128, -127, 126, 127, 128, 129].map(|i| i << shift.min(30));
                let near = around.into_iter().flat_map(|x| [x - 1, x, x + 1]);
                let near = near.map(|x| x.clamp(min.into(), max.into()) as i32);
                let x: Vec<i32> = near.chain(mixed("x", 19, dtype)).collect();
                let x = Input(Form::new(ONE, Dim::fixed(x.len() as u32), dtype), x);
                let table = given("table", 256, 1, out);
                let name = format!("shift {shift}, pass above {pass_above}");
                edges.add(&name, (1, 1), &[x], &[table], |ids| Op::Table {
                    table: ids[0],
                    shift,
                    pass_above,
                });
            }
        }
    }
    for (multiplier, shift, one, columns) in [
        (0, 0, 1 << 14, 3),
        (1, 0, 1 << 14, 1),
        (1, 0, 1 << 14, 7),
        (3, 4, MAX, 300),
        (MAX, 31, 127, 33),
        (MAX, 62, MAX, 8),
        (1 << 20, 45, 1, 9),
        (5, 1, 32767, 2),
    ] {
        for dtype in TYPES {
            let clamp = Clamp::full(if one > 32767 { I32 } else { I16 });
            let x = fixed("x", 2, 2, columns, dtype);
            let name = format!("·{multiplier}, shift {shift}, one {one}");
            edges.add(&name, (2, 1), &[x], &[exponentials()], |ids| Op::Softmax {
                table: ids[0],
                multiplier,
                shift,
                one,
                clamp,
            });
        }
    }
    // Exponentials of zero: the sum is taken as 1.
    let none = Given(256, 1, I16, vec![-3; 256]);
    let clamp = Clamp::full(I16);
    edges.add("all zero", (1, 1), &[fixed("x", 1, 2, 5, I8)], &[none], |ids| Op::Softmax {
        table: ids[0],
        multiplier: 1,
        shift: 0,
        one: 9,
        clamp,
    });
}

/// Rows that are all zero, all one extreme, alternating, small and mixed.
fn special(columns: usize, dtype: Dtype) -> Input {
    let (min, max) = dtype.range();
    let alternating = (0..columns).map(|column| if column % 2 == 0 { min } else { max });
    let mut all: Vec<i32> =
        [0, min, max, 5, -1].into_iter().flat_map(|x| vec![x; columns]).collect();
    all.extend(alternating);
    all.extend(entries("small", columns, -3, 3));
    // One small entry: too little, relative to the others, to have a variance.
    all.extend((0..columns).map(|column| i32::from(column == 0)));
    all.extend((0..columns).map(|column| -i32::from(column + 1 == columns)));
    all.extend(mixed("row", columns, dtype));
    let rows = (all.len() / columns) as u32;
    Input(Form::new(Dim::fixed(rows), Dim::fixed(columns as u32), dtype), all)
}

fn rows(edges: &mut Edges) {
    for columns in [1, 2, 3, 64, 131] {
        for (shift, centre) in
            [(0, true), (1, false), (18, true), (24, false), (40, true), (62, true)]
        {
            let affine = given("affine", columns, 2, I32);
            let name = format!("shift {shift}, centre {centre}");
            edges.add(&name, (1, 1), &[special(columns, I16)], &[affine], |ids| Op::Normalise {
                affine: ids[0],
                centre,
                shift,
            });
        }
        for dtype in TYPES {
            edges.add("", (1, 1), &[special(columns, dtype)], &[], |_| Op::RowScale);
            edges.add("", (1, 1), &[special(columns, dtype)], &[], |_| Op::L2Normalise);
            let m = [1, -5, 3, 0, MAX, 32768, MIN, 126, 2, 1];
            let m = Input(Form::new(Dim::fixed(10), ONE, I32), m.to_vec());
            edges.add("", (1, 1), &[special(columns, dtype), m], &[], |_| Op::Quantise);
        }
    }
}

fn embeddings(edges: &mut Edges) {
    for (name, id) in [("first", 0), ("last", 8), ("beyond", 9), ("before", -1), ("far", MIN)] {
        for shift in [0, 1, 12, 31, 62] {
            let ids = Input(Form::new(Dim::TOKENS, ONE, I32), vec![3, id, 8, 0]);
            let constants = [given("table", 9, 17, I8), given("scales", 9, 1, I32)];
            let name = format!("{name}, shift {shift}");
            edges.add(&name, (2, 2), &[ids], &constants, |ids| Op::Embed {
                table: ids[0],
                scales: ids[1],
                shift,
            });
        }
    }
    for (run, rows) in [((1, 1), 1), ((2, 3), 3), ((3, 2), 5)] {
        let (x, table) = (tokens(run, 40, I16, "x"), given("table", rows, 40, I16));
        edges.add("", run, &[x], &[table], |ids| Op::AddRows { table: ids[0] });
    }
}

fn attention(edges: &mut Edges) {
    let runs = [((1, 1), vec![1]), ((1, 6), vec![6]), ((3, 5), vec![1, 5, 3])];
    for (run, seen) in &runs {
        let run = *run;
        for (heads, shift, causal) in [
            (1, 20, false),
            (2, 0, true),
            (4, 62, false),
            (2, 24, true),
            (1, 1, false),
            (4, 18, true),
        ] {
            let alphas: &[fn(usize) -> Vec<i32>] =
                &[|heads| mixed("alpha", heads, I32), |heads| vec![1 << 15; heads]];
            for alpha in alphas {
                for masked in [false, true] {
                    let mut inputs = vec![tokens(run, 8, I8, "query"), tokens(run, 8, I8, "key")];
                    inputs.extend(masked.then(|| lengths(seen)));
                    let alpha = Given(heads, 1, I32, alpha(heads));
                    let name = format!("{run:?}, shift {shift}, causal {causal}, masked {masked}");
                    edges.add(&name, run, &inputs, &[alpha, exponentials()], |ids| {
                        let heads = heads as u32;
                        Op::AttentionWeights { heads, alpha: ids[0], shift, table: ids[1], causal }
                    });
                }
            }
        }
        for (heads, shifts) in
            [(1, [0, 0]), (2, [12, 20]), (4, [1, 1]), (2, [22, 31]), (1, [62, 62])]
        {
            let form = Form::new(Dim::per_token(heads), Dim::TOKENS, I8);
            let count = (heads * run.0 * run.1 * run.1) as usize;
            let values = Input(
                Form::new(Dim::fixed(8), Dim::TOKENS, I8),
                mixed("values", (8 * run.0 * run.1) as usize, I8),
            );
            for weights in [mixed("weights", count, I8), vec![-64; count], vec![63; count]] {
                let weights = Input(form, weights);
                let values = Input(values.0, values.1.clone());
                let scale = given("scale", 8, 1, I32);
                let name = format!("{run:?}, shifts {shifts:?}");
                edges.add(&name, run, &[weights, values], &[scale], |ids| Op::AttentionContext {
                    heads,
                    scale: ids[0],
                    shifts,
                });
            }
        }
        for dtype in [I8, I16] {
            edges.add("fixed", run, &[fixed("x", run.0, 4, 9, dtype)], &[], |_| Op::MeanPool);
            edges.add("all", run, &[tokens(run, 9, dtype, "x")], &[], |_| Op::MeanPool);
            let inputs = [tokens(run, 9, dtype, "x"), lengths(seen)];
            edges.add("lengths", run, &inputs, &[], |_| Op::MeanPool);
        }
    }
    for length in [0, -1, 4, MIN, MAX] {
        let run = (2, 3);
        let inputs = [tokens(run, 2, I8, "x"), lengths(&[3, length])];
        edges.add("a false length", run, &inputs, &[], |_| Op::MeanPool);
        let x = tokens(run, 2, I8, "x");
        let inputs = [Input(x.0, x.1.clone()), x, lengths(&[length, 2])];
        let constants = [Given(1, 1, I32, vec![1]), exponentials()];
        edges.add("a false length", run, &inputs, &constants, |ids| {
            let (alpha, table) = (ids[0], ids[1]);
            Op::AttentionWeights { heads: 1, alpha, shift: 0, table, causal: false }
        });
    }
}

fn shapes(edges: &mut Edges) {
    // Columns that are tokens.
    let form = Form::new(Dim::per_token(2), Dim::TOKENS, I16);
    let x = || Input(form, mixed("x", 2 * 2 * 25, I16));
    for op in [Op::Transpose, Op::Relu, Op::RowScale, Op::L2Normalise, Op::MeanPool] {
        edges.add("columns a token", (2, 5), &[x()], &[], |_| op);
    }
    for dtype in TYPES {
        edges.add("", (1, 1), &[fixed("x", 1, 1, 1, dtype)], &[], |_| Op::Transpose);
        edges.add("", (3, 1), &[fixed("x", 3, 2, 5, dtype)], &[], |_| Op::Transpose);
        edges.add("", (2, 4), &[tokens((2, 4), 33, dtype, "x")], &[], |_| Op::Transpose);
        let op = Op::Reshape { rows: Dim::fixed(5), columns: Dim::fixed(2) };
        edges.add("", (3, 1), &[fixed("x", 3, 2, 5, dtype)], &[], |_| op);
        let op = Op::Reshape { rows: Dim::per_token(3), columns: Dim::fixed(11) };
        edges.add("", (2, 4), &[tokens((2, 4), 33, dtype, "x")], &[], |_| op);
    }
}
