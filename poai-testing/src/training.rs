//! Programs of one step of training each (spec §12), at the ends of the step's
//! ranges: extreme entries, exponents far outside the shifts, every batch axis.

use super::zoo::entries;
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{
    BatchAxis, Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, RunShape, TrainingOp,
    ValueId, Window,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};

/// A program with its name, and a run of it.
pub type OneStep = (String, Network, Vec<Tensor>, RunShape);

const TYPES: [Dtype; 3] = [Dtype::I8, Dtype::I16, Dtype::I32];
const I8: Dtype = Dtype::I8;
const I16: Dtype = Dtype::I16;
const I32: Dtype = Dtype::I32;
const ONE: Dim = Dim::fixed(1);
const MIN: i32 = i32::MIN;
const MAX: i32 = i32::MAX;

/// Shifts at which rounding changes its kind.
const BASES: [i32; 9] = [-62, -31, -1, 0, 1, 9, 10, 31, 62];
/// Exponents with which shifts reach and leave −62..=62.
const EXPONENTS: [i32; 8] = [0, 3, -3, 61, -64, 20, MAX, MIN];

/// An input of a program.
#[derive(Clone)]
struct Input {
    form: Form,
    entries: Vec<i32>,
    /// Whether the step takes the transpose of this input.
    transposed: bool,
}

/// A constant of one column.
struct Column(Dtype, Vec<i32>);

/// The programs so far.
struct Programs(Vec<OneStep>);

impl Programs {
    /// Adds a program of one step on all inputs and constants.
    fn add(
        &mut self,
        about: &str,
        (batch, sequence): (u32, u32),
        inputs: &[Input],
        constants: &[Column],
        op: impl FnOnce(&[ConstantId]) -> TrainingOp,
    ) {
        let forms: Vec<Form> = inputs.iter().map(|input| input.form).collect();
        let mut builder = Builder::new(&forms);
        let mut held = Constants::default();
        let ids: Vec<ConstantId> = constants
            .iter()
            .map(|Column(dtype, entries)| {
                held.add(&mut builder, "κ", (entries.len(), 1), *dtype, entries).unwrap()
            })
            .collect();
        let op = Op::Training(op(&ids));
        let kind = op.name();
        let index = self.0.iter().filter(|(name, ..)| name.starts_with(kind)).count();
        let name = format!("{kind} {index} ({about})");
        let mut values: Vec<ValueId> = vec![];
        for (index, input) in inputs.iter().enumerate() {
            let mut value = builder.input(index);
            if input.transposed {
                let transpose = Op::Training(TrainingOp::TransposeTiles);
                value = builder.step("turn", transpose, &[value]).unwrap();
            }
            values.push(value);
        }
        builder.step(kind, op, &values).unwrap_or_else(|error| panic!("{name}: {error}"));
        let program = builder.finish().unwrap_or_else(|error| panic!("{name}: {error}"));
        let network = Network::new(program, held.into_tensors()).unwrap();
        // A run without tokens has a sequence of one.
        let sequence = if network.program().has_tokens() { sequence } else { 1 };
        let run = RunShape { batch, sequence };
        let tensor = |input: &Input| {
            let Extent { rows, columns, dtype } = Extent::of(&input.form, &run).unwrap();
            Tensor::new(rows as usize, columns as usize, dtype, &input.entries).unwrap()
        };
        let inputs = inputs.iter().map(tensor).collect();
        self.0.push((name, network, inputs, run));
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

/// An input with rows for each of `batch` items.
fn items(seed: &str, batch: u32, rows: u32, columns: u32, dtype: Dtype) -> Input {
    let form = Form::new(Dim::fixed(rows), Dim::fixed(columns), dtype);
    let entries = mixed(seed, (batch * rows * columns) as usize, dtype);
    Input { form, entries, transposed: false }
}

/// An input that no batch changes.
fn shared(seed: &str, rows: u32, columns: u32, dtype: Dtype) -> Input {
    let form = Form::shared(Dim::fixed(rows), Dim::fixed(columns), dtype);
    let entries = mixed(seed, (rows * columns) as usize, dtype);
    Input { form, entries, transposed: false }
}

/// An input of these entries in one column.
fn column(batch: BatchAxis, rows: Dim, entries: &[i32]) -> Input {
    let form = Form { rows, columns: ONE, dtype: I32, batch };
    Input { form, entries: entries.to_vec(), transposed: false }
}

/// A number for the whole run.
fn number(entry: i32) -> Input {
    column(BatchAxis::None, ONE, &[entry])
}

/// Exponents for `batch` items of `rows` rows each.
fn by_rows(batch: u32, rows: Dim, count: u32, from: usize) -> Input {
    let entry = |at: usize| EXPONENTS[(at + from) % EXPONENTS.len()];
    let entries: Vec<i32> = (0..(batch * count) as usize).map(entry).collect();
    column(BatchAxis::Rows, rows, &entries)
}

fn transposed(input: Input) -> Input {
    Input { transposed: true, ..input }
}

fn seed(entries: [i32; 8]) -> Input {
    column(BatchAxis::None, Dim::fixed(8), &entries)
}

/// A decreasing table that begins above 127 and ends below 0.
fn falling() -> Column {
    Column(I16, (0..256).map(|i| 300 - 3 * i).collect())
}

/// A clamp, narrower than its type for some indices.
fn clamp(index: usize) -> Clamp {
    match index % 4 {
        0 => Clamp::full(I32),
        1 => Clamp::full(I8),
        2 => Clamp::full(I16),
        _ => Clamp { dtype: I32, min: -1000, max: 70_000 },
    }
}

/// Programs of one step each, of every kind, with inputs that have an output.
///
/// A step that takes a value whose batch axis is columns follows transposes.
pub fn one_step_programs() -> Vec<OneStep> {
    let mut programs = Programs(Vec::new());
    products(&mut programs);
    operands(&mut programs);
    stochastic(&mut programs);
    row_gradients(&mut programs);
    moved_rows(&mut programs);
    windows(&mut programs);
    blocks(&mut programs);
    weights(&mut programs);
    updates(&mut programs);
    programs.0
}

/// Programs of one step each with an entry that has no output.
pub fn programs_without_output() -> Vec<OneStep> {
    let mut programs = Programs(Vec::new());
    let all = BatchAxis::Rows;
    for id in [-1, 9, MIN, MAX] {
        let about = format!("id {id}");
        let ids = column(all, ONE, &[3, 8, id, 0, id]);
        let table = shared("table", 9, 5, I16);
        programs.add(&about, (5, 1), &[table, ids.clone()], &[], |_| TrainingOp::Gather {
            table: None,
        });
        let table = Column(I8, mixed("table", 9, I8));
        programs.add(&about, (5, 1), std::slice::from_ref(&ids), &[table], |constants| {
            TrainingOp::Gather { table: Some(constants[0]) }
        });
        let x = items("x", 5, 1, 40, I16);
        programs.add(&about, (5, 1), &[x, ids], &[], |_| TrainingOp::ScatterAdd { rows: 9 });
    }
    for length in [0, -1, 5, MIN, MAX] {
        let lengths = column(all, ONE, &[4, 1, length]);
        let dy = items("dy", 3, 1, 7, I32);
        programs.add(&format!("length {length}"), (3, 1), &[dy, lengths], &[], |_| {
            TrainingOp::MeanPoolGradient { rows: Dim::fixed(4) }
        });
    }
    for t in [-1, MIN] {
        let about = format!("t {t}");
        let inputs = [seed([1, 2, 3, 4, 5, 6, 7, 8]), number(t)];
        programs.add(&about, (3, 1), &inputs, &[], |_| TrainingOp::Draw { samples: 10 });
        let [seed, t] = inputs;
        programs.add(&about, (3, 1), &[items("x", 3, 1, 9, I32), seed, t], &[], |_| {
            let shift = Shift::fixed(3);
            TrainingOp::Rescale { shift, stream: Some(1), multiplier: 3, clamp: clamp(0) }
        });
    }
    programs.0
}

fn products(programs: &mut Programs) {
    for (index, base) in BASES.into_iter().enumerate() {
        for (batch, m, n, k) in [(1, 1, 1, 1), (3, 11, 37, 130)] {
            let bias = index % 2 == 0;
            let bias_shift = if bias { [0, 1, 62, 7][index / 2 % 4] } else { 0 };
            let op = |signs: &[Sign]| TrainingOp::ScaledProduct {
                shift: Shift::new(base, signs),
                bias,
                bias_shift,
                clamp: clamp(index),
            };
            let mut own = vec![items("a", batch, m, k, I8), shared("b", n, k, I8)];
            own.extend(bias.then(|| shared("bias", n, 1, I32)));
            let about = format!("base {base}, {m}×{n}×{k}");
            let run = (batch, 1);
            programs.add(&about, run, &own, &[], |_| op(&[]));
            let with = |own: &[Input], more: &[Input]| [own, more].concat();
            let rows = Dim::fixed(m);
            let all = with(&own, &[number(EXPONENTS[index % 8]), by_rows(batch, rows, m, index)]);
            programs.add(&about, run, &all, &[], |_| op(&[Sign::Minus, Sign::Plus]));
        }
    }
    // Sums over the batch, whose output is shared.
    let turned = [transposed(items("a", 3, 11, 5, I8)), transposed(items("b", 3, 11, 40, I8))];
    let far = [1, 2, 3, 4].map(|exponent| number(exponent * exponent));
    let all = [&turned[..], &far].concat();
    programs.add("over the batch", (3, 1), &all, &[], |_| TrainingOp::ScaledProduct {
        shift: Shift::new(4, &[Sign::Plus, Sign::Minus, Sign::Plus, Sign::Minus]),
        bias: false,
        bias_shift: 0,
        clamp: Clamp::full(I8),
    });
}

fn operands(programs: &mut Programs) {
    for dtype in TYPES {
        let x = [items("x", 3, 13, 37, dtype), items("x", 1, 1, 1, dtype)];
        for (x, batch) in x.into_iter().zip([3, 1]) {
            let turn = |_: &[ConstantId]| TrainingOp::TransposeTiles;
            programs.add("of items", (batch, 1), std::slice::from_ref(&x), &[], turn);
            programs.add("back", (batch, 1), &[transposed(x)], &[], turn);
        }
        programs.add("shared", (2, 1), &[shared("x", 5, 200, dtype)], &[], |_| {
            TrainingOp::TransposeTiles
        });
        for (x, about) in [
            (items("x", 2, 5, 131, dtype), "of items"),
            (transposed(items("x", 40, 5, 3, dtype)), "of the batch"),
            (shared("x", 33, 1, dtype), "shared"),
        ] {
            let batch = if x.transposed { 40 } else { 2 };
            programs.add(about, (batch, 1), &[x], &[], |_| TrainingOp::RowSum);
        }
        let alike = [dtype.range().0, dtype.range().1].map(|entry| vec![entry; 300]).concat();
        let form = Form::new(ONE, Dim::fixed(300), dtype);
        let x = Input { form, entries: alike, transposed: false };
        programs.add("extreme", (2, 1), &[x], &[], |_| TrainingOp::RowSum);
    }
    for (index, base) in BASES.into_iter().enumerate() {
        for (dtype, multiplier) in [(I8, MIN), (I16, 3), (I32, MAX), (I32, MIN), (I32, -1)] {
            let op = |signs: &[Sign]| TrainingOp::Rescale {
                shift: Shift::new(base, signs),
                stream: None,
                multiplier,
                clamp: clamp(index),
            };
            let about = format!("base {base}, ·{multiplier}");
            let x = items("x", 2, 5, 21, dtype);
            programs.add(&about, (2, 1), std::slice::from_ref(&x), &[], |_| op(&[]));
            let rows = by_rows(2, Dim::fixed(5), 5, index);
            let inputs = [x, rows, number(EXPONENTS[(index + 3) % 8])];
            programs.add(&about, (2, 1), &inputs, &[], |_| op(&[Sign::Plus, Sign::Minus]));
        }
        let x = transposed(items("x", 5, 3, 7, I32));
        let inputs = [x, number(-(index as i32))];
        programs.add("of the batch", (5, 1), &inputs, &[], |_| TrainingOp::Rescale {
            shift: Shift::new(base, &[Sign::Minus]),
            stream: None,
            multiplier: 5,
            clamp: clamp(index),
        });
    }
    let scales = [
        vec![0, 1, 63, 64, 65, 127, 128],
        vec![MAX, MIN, -5, 1 << 30, (1 << 30) - 1, 4, 2],
        vec![-1; 7],
        (0..7).collect(),
        (25..32).collect(),
        (26..33).collect(),
        (57..64).collect(),
    ];
    for (index, m) in scales.iter().enumerate() {
        for batch in [BatchAxis::Rows, BatchAxis::None] {
            let [items, rows] = if batch == BatchAxis::Rows { [7, 1] } else { [2, 7] };
            let m = column(batch, Dim::fixed(rows), m);
            for per_row in [false, true] {
                programs.add("", (items, 1), std::slice::from_ref(&m), &[], |_| {
                    TrainingOp::Exponent { per_row }
                });
            }
            for e in [0, 1, 7, MAX, MIN, -2] {
                let about = format!("e {e}, scales {index}");
                programs.add(&about, (items, 1), &[number(e), m.clone()], &[], |_| {
                    TrainingOp::NextExponent
                });
            }
        }
    }
    // More rows than a block has threads.
    let many = column(BatchAxis::Rows, ONE, &entries("many", 1000, MIN, 1 << 20));
    for per_row in [false, true] {
        programs.add("many", (1000, 1), std::slice::from_ref(&many), &[], |_| {
            TrainingOp::Exponent { per_row }
        });
    }
    programs.add("many", (1000, 1), &[number(17), many], &[], |_| TrainingOp::NextExponent);
}

fn stochastic(programs: &mut Programs) {
    let words = [MIN, MAX, 0, -1, 1, 0x0102_0304, 77, -77];
    for (index, base) in [-62, 0, 1, 2, 8, 9, 10, 40, 62].into_iter().enumerate() {
        let op = |signs: &[Sign]| TrainingOp::Rescale {
            shift: Shift::new(base, signs),
            stream: Some([0, 1, u32::MAX][index % 3]),
            multiplier: [MIN, 1, -7, MAX][index % 4],
            clamp: clamp(index + 1),
        };
        let about = format!("stochastic, base {base}");
        let random = [seed(words), number([0, 5, MAX][index % 3])];
        let x = shared("x", 40, 131, TYPES[index % 3]);
        let own = [std::slice::from_ref(&x), &random].concat();
        programs.add(&about, (2, 1), &own, &[], |_| op(&[]));
        let rows = by_rows(3, Dim::fixed(2), 2, index);
        let x = items("x", 3, 2, 64, I32);
        let own = [&[x, rows, number(4)][..], &random].concat();
        programs.add(&about, (3, 1), &own, &[], |_| op(&[Sign::Plus, Sign::Minus]));
    }
    // Longer rows than a warp's share of random bytes.
    let own = [shared("x", 2, 4200, I32), seed(words), number(1)];
    programs.add("stochastic, wide", (1, 1), &own, &[], |_| TrainingOp::Rescale {
        shift: Shift::fixed(26),
        stream: Some(3),
        multiplier: 1,
        clamp: Clamp::full(I8),
    });
    for samples in [1, 2, 3, 4, 5, 17, 64, 65, 60_000, 1 << 31] {
        for (t, batch) in [(0, 40), (7, 3), (MAX, 1), (1 << 30, 33)] {
            let about = format!("{samples} samples, t {t}");
            programs.add(&about, (batch, 1), &[seed(words), number(t)], &[], |_| {
                TrainingOp::Draw { samples }
            });
        }
    }
}

fn row_gradients(programs: &mut Programs) {
    for (index, shift) in [0, 1, 7, 20, 31, 62].into_iter().enumerate() {
        for dtype in TYPES {
            for table in [I8, I16] {
                let inputs = [
                    items("g", 2, 3, 35, TYPES[(index + table.size()) % 3]),
                    items("x", 2, 3, 35, dtype),
                ];
                let index_shift = [0, 1, 8, 24, 31, 62][(index + dtype.size()) % 6];
                let entries = Column(table, mixed("gate", 256, table));
                let about = format!("shifts {index_shift}, {shift}");
                programs.add(&about, (2, 1), &inputs, &[entries], |ids| TrainingOp::Gate {
                    table: ids[0],
                    index_shift,
                    shift,
                    clamp: clamp(index),
                });
            }
        }
    }
    let both = [shared("g", 9, 15, I32), shared("x", 9, 15, I8)];
    let table = Column(I16, mixed("gate", 256, I16));
    programs.add("shared", (9, 1), &both, &[table], |ids| TrainingOp::Gate {
        table: ids[0],
        index_shift: 0,
        shift: 3,
        clamp: Clamp::full(I8),
    });
    let labels = [0, 1, 6, 7, -1, MIN, MAX, 3];
    for (multiplier, shift, fraction) in
        [(0, 0, 0), (1, 0, 30), (3, 4, 14), (MAX, 31, 7), (MAX, 62, 30), (1 << 20, 45, 1)]
    {
        for (dtype, columns) in [(I8, 7), (I16, 1), (I32, 130), (I32, 7)] {
            for table in [falling(), Column(I16, vec![32767; 256]), Column(I16, vec![-3; 256])] {
                let x = items("x", 8, 1, columns, dtype);
                let inputs = [x, column(BatchAxis::Rows, ONE, &labels)];
                let about = format!("·{multiplier}, shift {shift}, fraction {fraction}");
                programs.add(&about, (8, 1), &inputs, &[table], |ids| TrainingOp::CrossEntropy {
                    table: ids[0],
                    multiplier,
                    shift,
                    fraction,
                });
            }
        }
    }
    for (index, shift) in [0, 1, 8, 20, 40, 62].into_iter().enumerate() {
        for columns in [1, 2, 64, 131] {
            for centre in [false, true] {
                let x = special(columns, I16);
                let Dim { units: rows, .. } = x.form.rows;
                let about = format!("shift {shift}, centre {centre}");
                for dz in [shared("dz", rows, columns as u32, I32), same_sign(&x)] {
                    programs.add(&about, (1, 1), &[x.clone(), dz], &[], |_| {
                        TrainingOp::NormaliseGradient { centre, shift, clamp: clamp(index) }
                    });
                }
            }
        }
    }
    for dtype in TYPES {
        let rows = || Dim::fixed(4);
        let dy = items("dy", 3, 1, 21, dtype);
        programs.add("all", (3, 1), std::slice::from_ref(&dy), &[], |_| {
            TrainingOp::MeanPoolGradient { rows: rows() }
        });
        let lengths = column(BatchAxis::Rows, ONE, &[4, 1, 3]);
        programs.add("lengths", (3, 1), &[dy.clone(), lengths], &[], |_| {
            TrainingOp::MeanPoolGradient { rows: rows() }
        });
        let lengths = column(BatchAxis::Rows, ONE, &[5, 1, 2]);
        programs.add("tokens", (3, 5), &[dy, lengths], &[], |_| TrainingOp::MeanPoolGradient {
            rows: Dim::TOKENS,
        });
    }
}

/// Rows that are all zero, all one extreme, alternating, small and mixed. No
/// batch changes them.
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
    let form = Form::shared(Dim::fixed(rows), Dim::fixed(columns as u32), dtype);
    Input { form, entries: all, transposed: false }
}

/// The largest gradients of x's signs, whose sums are largest.
fn same_sign(x: &Input) -> Input {
    let entry = |&x: &i32| if x < 0 { MIN } else { MAX };
    let form = Form { dtype: I32, ..x.form };
    Input { form, entries: x.entries.iter().map(entry).collect(), transposed: false }
}

fn moved_rows(programs: &mut Programs) {
    for dtype in TYPES {
        for columns in [1, 131] {
            let ids = column(BatchAxis::Rows, Dim::TOKENS, &[3, 8, 0, 0, 8, 1]);
            let table = shared("table", 9, columns, dtype);
            programs.add("", (2, 3), &[table, ids.clone()], &[], |_| TrainingOp::Gather {
                table: None,
            });
            let x = Form::new(Dim::TOKENS, Dim::fixed(columns), dtype);
            let x = Input {
                form: x,
                entries: mixed("x", 6 * columns as usize, dtype),
                transposed: false,
            };
            for rows in [9, 40] {
                programs.add("", (2, 3), &[x.clone(), ids.clone()], &[], |_| {
                    TrainingOp::ScatterAdd { rows }
                });
            }
        }
        let ids = column(BatchAxis::Rows, ONE, &[3, 8, 0, 1]);
        let table = Column(dtype, mixed("table", 9, dtype));
        programs.add("a constant", (4, 1), std::slice::from_ref(&ids), &[table], |constants| {
            TrainingOp::Gather { table: Some(constants[0]) }
        });
        let ids = column(BatchAxis::None, Dim::fixed(4), &[3, 8, 0, 1]);
        programs.add("shared", (2, 1), &[shared("table", 9, 7, dtype), ids], &[], |_| {
            TrainingOp::Gather { table: None }
        });
    }
    // Sums that saturate, of many rows and wide ones.
    for entry in [MIN, MAX] {
        let form = Form::new(ONE, Dim::fixed(3), I32);
        let x = Input { form, entries: vec![entry; 300], transposed: false };
        let ids = column(BatchAxis::Rows, ONE, &entries("ids", 100, 0, 2));
        programs.add("saturated", (100, 1), &[x, ids], &[], |_| TrainingOp::ScatterAdd { rows: 4 });
    }
    let ids = column(BatchAxis::Rows, ONE, &entries("ids", 70, 0, 4));
    programs.add("wide", (70, 1), &[items("x", 70, 1, 600, I16), ids], &[], |_| {
        TrainingOp::ScatterAdd { rows: 5 }
    });
}

fn windows(programs: &mut Programs) {
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
        let about = format!("{height}×{width} {kernel:?} {stride:?} {pads:?}");
        let [down, right] = window.output().unwrap();
        let (pixels, places, area) = (height * width, down * right, kernel[0] * kernel[1]);
        for dtype in TYPES {
            for channels in [1, 3] {
                let dy = items("dy", 2, places, area * channels, dtype);
                programs.add(&about, (2, 1), &[dy], &[], |_| TrainingOp::UnfoldGradient(window));
            }
            let image = items("image", 2, pixels, 3, dtype);
            // Ties: the first largest pixel counts.
            let level = Input {
                entries: image.entries.iter().map(|&x| x.clamp(-1, 1)).collect(),
                ..image.clone()
            };
            for x in [image, level] {
                let dy = items("dy", 2, places, 3, TYPES[(dtype.size() + 1) % 3]);
                programs
                    .add(&about, (2, 1), &[x, dy], &[], |_| TrainingOp::MaxPoolGradient(window));
            }
        }
    }
}

fn blocks(programs: &mut Programs) {
    let kinds = [BlockKind::Scores, BlockKind::Mix, BlockKind::MixBack];
    // Rows of an item: a number, or one for every token.
    for (index, (batch, l, per_token)) in
        [(1, 1, true), (2, 5, true), (3, 6, false), (1, 40, true)].into_iter().enumerate()
    {
        let rows = |units: u32| Dim { units: if per_token { units } else { l * units }, per_token };
        let input = |seed: &str, rows: Dim, columns: Dim, count: u32| Input {
            form: Form::new(rows, columns, I8),
            entries: mixed(seed, (batch * count) as usize, I8),
            transposed: false,
        };
        for kind in kinds {
            for (heads, columns, base, offset, multiplier) in [
                (1, 3, 0, 0, 1),
                (2, 8, 10, 64, MAX),
                (4, 136, -62, 63, MIN),
                (2, 2, 62, 64, -3),
                (1, 16, 31, 1, 1 << 20),
            ] {
                let b = input("b", rows(1), Dim::fixed(columns), l * columns);
                let (a, output) = match kind {
                    BlockKind::Scores => {
                        (input("a", rows(1), Dim::fixed(columns), l * columns), heads * l)
                    }
                    _ => (input("a", rows(heads), rows(1), heads * l * l), l),
                };
                let op = |signs: &[Sign]| TrainingOp::Block {
                    kind,
                    heads,
                    shift: Shift::new(base, signs),
                    offset,
                    multiplier,
                    clamp: clamp(index + heads as usize),
                };
                let about = format!("{batch}×{l}, {heads} heads of {columns}, base {base}");
                let run = (batch, l);
                programs.add(&about, run, &[a.clone(), b.clone()], &[], |_| op(&[]));
                let of_output = rows(output / l);
                let exponents = by_rows(batch, of_output, output, index);
                let inputs = [a, b, number(2), exponents];
                programs.add(&about, run, &inputs, &[], |_| op(&[Sign::Minus, Sign::Plus]));
            }
        }
    }
}

fn weights(programs: &mut Programs) {
    for (index, (batch, l, heads, per_token)) in
        [(1, 1, 1, true), (2, 5, 2, true), (3, 6, 4, false), (1, 40, 1, true)]
            .into_iter()
            .enumerate()
    {
        let run = (batch, l);
        let rows = |units: u32| Dim { units: if per_token { units } else { l * units }, per_token };
        let scores = |seed: &str, dtype: Dtype| Input {
            form: Form::new(rows(heads), rows(1), dtype),
            entries: mixed(seed, (batch * heads * l * l) as usize, dtype),
            transposed: false,
        };
        for (multiplier, shift) in
            [(0, 0), (1, 0), (3, 4), (MAX, 31), (MAX, 62), (1 << 20, 45), (1, 24)]
        {
            for causal in [false, true] {
                let about = format!("·{multiplier}, shift {shift}, causal {causal}");
                let x = scores("x", TYPES[(shift as usize + index) % 3]);
                programs.add(&about, run, &[x], &[falling()], |ids| TrainingOp::Exponentials {
                    table: ids[0],
                    causal,
                    multiplier,
                    shift,
                });
            }
        }
        let alike = |entry: i32| Input {
            entries: vec![entry; (batch * heads * l * l) as usize],
            ..scores("w", I8)
        };
        for (w, about) in
            [(scores("w", I8), "mixed"), (alike(-64), "no weights"), (alike(63), "largest")]
        {
            for (at, shift) in [0, 1, 7, 31, 32, 40, 62].into_iter().enumerate() {
                let columns = heads * [1, 5, 33][at % 3];
                let x = Input {
                    form: Form::new(rows(1), Dim::fixed(columns), TYPES[at % 3]),
                    entries: mixed("x", (batch * l * columns) as usize, TYPES[at % 3]),
                    transposed: false,
                };
                let about = format!("{about}, shift {shift}");
                programs.add(&about, run, &[x, w.clone()], &[], |_| TrainingOp::DivideBySums {
                    shift,
                    clamp: clamp(at + index),
                });
            }
            for dtype in TYPES {
                programs.add(about, run, &[w.clone(), scores("d", dtype)], &[], |_| {
                    TrainingOp::SoftmaxGradient
                });
            }
        }
    }
}

fn updates(programs: &mut Programs) {
    for (index, shift) in BASES.into_iter().enumerate() {
        for rate in [0, 1, -3, MIN, MAX, 1 << 20] {
            let decay = [0, 1, 20, 62][(index + rate as usize % 4) % 4];
            let (w, d) = (TYPES[index % 3], TYPES[(index + 1 + index / 3) % 3]);
            let inputs = [shared("w", 9, 35, w), shared("d", 9, 35, d), number(rate)];
            let about = format!("λ {rate}, shift {shift}, decay {decay}");
            programs.add(&about, (2, 1), &inputs, &[], |_| TrainingOp::Descend {
                shift,
                decay,
                clamp: clamp(index),
            });
        }
    }
    let extreme = |first: bool| {
        let all = [0, 1, -1, MIN, MAX, MIN + 1, 1 << 22, -(1 << 22), (1 << 22) - 1, 46341];
        let count = all.len();
        let entry = |at: usize| all[if first { at / count } else { at % count }];
        let form = Form::shared(Dim::fixed(count as u32), Dim::fixed(count as u32), I32);
        let entries = (0..count * count).map(entry).collect();
        Input { form, entries, transposed: false }
    };
    for shift in [1, 2, 10, 29, 30] {
        let about = format!("k {shift}");
        for inputs in [
            [extreme(true), extreme(false)],
            [items("r", 3, 2, 40, I32), items("g", 3, 2, 40, I32)],
        ] {
            programs.add(&about, (3, 1), &inputs, &[], |_| TrainingOp::SecondMoment { shift });
        }
    }
    for index in 0..4 {
        for inputs in [
            [extreme(true), extreme(false)],
            [items("a", 3, 2, 40, I32), items("r", 3, 2, 40, I32)],
        ] {
            programs.add("", (3, 1), &inputs, &[], |_| TrainingOp::Ratio { clamp: clamp(index) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poai_engine::Cpu;
    use poai_engine::execute::{RunError, Session};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// Runs a program, and returns the name of its last step's kind.
    fn run((name, network, inputs, shape): OneStep) -> (&'static str, Result<(), RunError>) {
        let kind = network.program().steps().last().unwrap().op.name();
        let session = Session::new(network, Arc::new(Cpu::new())).unwrap();
        assert!(name.starts_with(kind));
        (kind, session.run((shape, inputs)).map(drop))
    }

    #[test]
    fn every_kind_has_outputs() {
        let kinds: BTreeSet<_> = one_step_programs()
            .into_iter()
            .map(|program| {
                let name = program.0.clone();
                let (kind, result) = run(program);
                result.unwrap_or_else(|error| panic!("{name}: {error}"));
                kind
            })
            .collect();
        assert_eq!(kinds.len(), 24);
    }

    #[test]
    fn programs_without_output_fail() {
        for program in programs_without_output() {
            let name = program.0.clone();
            assert!(matches!(run(program).1, Err(RunError::Step { .. })), "{name}");
        }
    }
}
