//! Each step on explicit inputs.

use crate::sketch::{Item, Sketch};
use poai_core::program::RunShape;
use poai_core::program::training::{BlockKind, Shift, Sign};
use poai_core::program::{
    BatchAxis, Builder, Clamp, ConstantId, Dim, Dtype, Form, Op, TrainingOp, ValueId, Window,
};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::{Constants, Inputs, Network, Tensor};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
    #[serde(rename = "next exponent")]
    next_exponent: Vec<Next>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    step: String,
    inputs: Vec<Entries>,
    output: Entries,
}

#[derive(Clone, Deserialize)]
struct Entries {
    #[serde(rename = "type")]
    dtype: u8,
    rows: Vec<Vec<i32>>,
    #[serde(default)]
    root: String,
}

#[derive(Deserialize)]
struct Next {
    e: i32,
    max: i32,
    next: i32,
}

impl Entries {
    fn tensor(&self) -> Tensor {
        let dtype = Dtype::of_tag(self.dtype).unwrap();
        let entries: Vec<i32> = self.rows.concat();
        Tensor::new(self.rows.len(), self.rows[0].len(), dtype, &entries).unwrap()
    }

    fn of(dtype: Dtype, rows: &[Vec<i32>]) -> Entries {
        Entries { dtype: dtype.tag(), rows: rows.to_vec(), root: String::new() }
    }
}

/// Runs one step. `batch` items have their rows in each input that is not in
/// `shared`.
fn run(
    op: impl FnOnce(&mut dyn FnMut(Dtype, &[i32]) -> ConstantId) -> TrainingOp,
    inputs: &[Entries],
    axes: &[BatchAxis],
    batch: u32,
) -> Tensor {
    let forms: Vec<Form> = inputs
        .iter()
        .zip(axes)
        .map(|(entries, &batch_axis)| {
            let rows = entries.rows.len() as u32;
            let rows = if batch_axis == BatchAxis::Rows { rows / batch } else { rows };
            let dtype = Dtype::of_tag(entries.dtype).unwrap();
            let columns = Dim::fixed(entries.rows[0].len() as u32);
            Form { rows: Dim::fixed(rows), columns, dtype, batch: batch_axis }
        })
        .collect();
    let mut builder = Builder::new(&forms);
    let mut constants = Constants::default();
    let op = op(&mut |dtype, entries| {
        constants.add(&mut builder, "table", (entries.len(), 1), dtype, entries).unwrap()
    });
    let values: Vec<ValueId> = (0..inputs.len()).map(|index| builder.input(index)).collect();
    builder.step("step", Op::Training(op), &values).unwrap();
    let program = builder.finish().unwrap();
    // The program survives its own bytes.
    let bytes = program.to_bytes();
    assert_eq!(poai_core::program::Program::from_bytes(&bytes).unwrap(), program);
    let network = Network::new(program, constants.into_tensors()).unwrap();
    let session = network.on(Arc::new(Cpu::new())).unwrap();
    let shape = RunShape::new(batch, 1);
    let tensors: Vec<Tensor> = inputs.iter().map(Entries::tensor).collect();
    let run = session.run(Inputs::from((shape, tensors))).unwrap();
    Arc::unwrap_or_clone(run.output)
}

fn clamp(item: &Item) -> Clamp {
    let [dtype, min, max] = item.numbers()[..] else { panic!("{item:?}") };
    let dtype = Dtype::of_tag(dtype as u8).unwrap();
    Clamp { dtype, min: min as i32, max: max as i32 }
}

fn shift(base: &Item, signs: &Item) -> Shift {
    let signs = signs.list().iter().map(|pair| match pair.numbers()[0] {
        1 => Sign::Plus,
        _ => Sign::Minus,
    });
    Shift { base: base.number() as i32, signs: signs.collect() }
}

fn window(items: &[Item]) -> Window {
    let numbers: Vec<u32> = items.iter().map(|item| item.number() as u32).collect();
    let [height, width, kernel, stride, pad] = numbers[..] else { panic!("{items:?}") };
    Window { height, width, kernel: [kernel; 2], stride: [stride; 2], pads: [pad; 4] }
}

fn check(case: &Case) {
    let sketch = Sketch::parse(&case.step);
    let items = &sketch.items;
    let int = |at: usize| items[at].number() as i32;
    let byte = |at: usize| items[at].number() as u8;
    let entries =
        |at: usize| -> Vec<i32> { items[at].numbers().iter().map(|&entry| entry as i32).collect() };
    let mut inputs: Vec<Entries> =
        sketch.inputs.iter().map(|&at| case.inputs[at].clone()).collect();
    let rows = sketch.extent[0] as u32;
    let (all, none) = (BatchAxis::Rows, BatchAxis::None);
    let by_row = |count: usize| vec![BatchAxis::Rows; count];
    let one_or_row = |entries: &Entries| if entries.rows.len() == 1 { none } else { all };
    let mut exponents: Vec<BatchAxis> = vec![];
    // Shapes of items: each run has three items where a step needs items.
    let output = match sketch.name.as_str() {
        "product" => {
            let bias = inputs.get(2).is_some_and(|bias| bias.rows.len() == inputs[1].rows.len())
                && items[2].list().len() + 2 < inputs.len();
            let first = if bias { 3 } else { 2 };
            exponents.extend(inputs[first..].iter().map(one_or_row));
            let mut axes = vec![all, none];
            axes.extend(bias.then_some(none));
            axes.extend(exponents);
            let op = |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::ScaledProduct {
                shift: shift(&items[1], &items[2]),
                bias,
                bias_shift: if bias { byte(0) } else { 0 },
                clamp: clamp(&items[3]),
            };
            run(op, &inputs, &axes, rows)
        }
        "transpose" => run(|_| TrainingOp::TransposeTiles, &inputs, &[none], 1),
        "exponent" => {
            run(|_| TrainingOp::Exponent { per_row: int(0) == 1 }, &inputs, &by_row(1), 9)
        }
        "rescale" => {
            let stochastic = items[4].number() == 1;
            let mut axes = vec![all];
            axes.extend(inputs[1..].iter().map(one_or_row));
            if stochastic {
                inputs.push(Entries::of(Dtype::I32, &vec![vec![0]; 8]));
                inputs.push(Entries::of(Dtype::I32, &[vec![0]]));
                axes.extend([none, none]);
            }
            let op = |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::Rescale {
                shift: shift(&items[1], &items[2]),
                stream: stochastic.then_some(0),
                multiplier: int(0),
                clamp: clamp(&items[3]),
            };
            run(op, &inputs, &axes, rows)
        }
        "row sum" => run(|_| TrainingOp::RowSum, &inputs, &by_row(1), rows),
        "gate" => {
            let op = |add: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::Gate {
                table: add(Dtype::I16, &entries(2)),
                index_shift: byte(0),
                shift: byte(1),
                clamp: clamp(&items[3]),
            };
            run(op, &inputs, &by_row(2), rows)
        }
        "cross entropy" => {
            let op = |add: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::CrossEntropy {
                table: add(Dtype::I16, &entries(3)),
                multiplier: int(0),
                shift: byte(1),
                fraction: byte(2),
            };
            run(op, &inputs, &by_row(2), rows)
        }
        "normalise gradient" => {
            let op =
                |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::NormaliseGradient {
                    centre: int(2) == 1,
                    shift: byte(0),
                    clamp: clamp(&items[1]),
                };
            run(op, &inputs, &by_row(2), rows)
        }
        "mean pool gradient" => {
            let each = Dim::fixed(rows / 3);
            run(|_| TrainingOp::MeanPoolGradient { rows: each }, &inputs, &by_row(2), 3)
        }
        "gather" => run(|_| TrainingOp::Gather { table: None }, &inputs, &[none, all], rows),
        "scatter add" => run(|_| TrainingOp::ScatterAdd { rows }, &inputs, &by_row(2), 12),
        "fold" => {
            let window = window(items);
            let batch = rows / (window.height * window.width);
            run(|_| TrainingOp::UnfoldGradient(window), &inputs, &by_row(1), batch)
        }
        "max pool gradient" => {
            let window = window(items);
            let batch = rows / (window.height * window.width);
            run(|_| TrainingOp::MaxPoolGradient(window), &inputs, &by_row(2), batch)
        }
        name @ ("block scores" | "block mix" | "block mix back") => {
            let kind = match name {
                "block scores" => BlockKind::Scores,
                "block mix" => BlockKind::Mix,
                _ => BlockKind::MixBack,
            };
            let op = |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::Block {
                kind,
                heads: int(0) as u32,
                shift: shift(&items[4], &items[5]),
                offset: int(2),
                multiplier: int(3),
                clamp: clamp(&items[6]),
            };
            let batch = inputs[1].rows.len() as u32 / int(1) as u32;
            run(op, &inputs, &by_row(2), batch)
        }
        "exponentials" => {
            let op = |add: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::Exponentials {
                table: add(Dtype::I16, &entries(3)),
                causal: int(2) == 1,
                multiplier: int(0),
                shift: byte(1),
            };
            run(op, &inputs, &by_row(1), 3)
        }
        "divide by sums" => {
            let op = |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::DivideBySums {
                shift: byte(0),
                clamp: clamp(&items[1]),
            };
            run(op, &inputs, &by_row(2), 3)
        }
        "softmax gradient" => run(|_| TrainingOp::SoftmaxGradient, &inputs, &by_row(2), 3),
        "descend" => {
            let op = |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::Descend {
                shift: int(1),
                decay: byte(0),
                clamp: clamp(&items[3]),
            };
            run(op, &inputs, &[none, none, none], 1)
        }
        "second moment" => {
            run(|_| TrainingOp::SecondMoment { shift: byte(0) }, &inputs, &[none, none], 1)
        }
        "ratio" => {
            run(|_| TrainingOp::Ratio { clamp: clamp(&items[0]) }, &inputs, &[none, none], 1)
        }
        other => panic!("case {}: unknown step {other}", case.name),
    };
    let expected: Vec<i32> = case.output.rows.concat();
    let columns = case.output.rows[0].len();
    let got = output.entries();
    if let Some(at) = expected.iter().zip(&got).position(|(expected, got)| expected != got) {
        let (row, column) = (at / columns, at % columns);
        panic!("{}: expected {} in [{row}, {column}], got {}", case.name, expected[at], got[at]);
    }
    assert_eq!(expected.len(), got.len(), "{}", case.name);
    assert_eq!(output.root().to_string(), case.output.root, "{}", case.name);
}

/// The file with the known answers of steps.
fn file() -> String {
    match std::env::var_os("POAI_TRAINING") {
        Some(path) => std::fs::read_to_string(&path).expect("the file that POAI_TRAINING names"),
        None => include_str!("../../../test_vectors/training/steps.json").into(),
    }
}

/// Every step gives the known answers.
#[test]
fn steps() {
    let file: File = serde_json::from_str(&file()).unwrap();
    assert!(!file.cases.is_empty());
    file.cases.iter().for_each(check);
    for Next { e, max, next } in file.next_exponent {
        let one = |entry: i32| Entries::of(Dtype::I32, &[vec![entry]]);
        let axes = [BatchAxis::None, BatchAxis::Rows];
        let got = run(|_| TrainingOp::NextExponent, &[one(e), one(max)], &axes, 1).entries();
        assert_eq!(got, [next], "the exponent after {e}, if the largest entry is {max}");
    }
}

/// The widest operands, whose padding no backend takes, are multiplied as the
/// step is defined.
#[test]
fn the_widest_products_are_exact() {
    let k = (1 << 17) - 1;
    let rows = |entries: &[i32]| -> Vec<Vec<i32>> {
        entries.iter().map(|&entry| vec![entry; k]).collect()
    };
    let (a, b) = ([-64, 63], [63, -64, 1]);
    let inputs = [Entries::of(Dtype::I8, &rows(&a)), Entries::of(Dtype::I8, &rows(&b))];
    let op = |_: &mut dyn FnMut(Dtype, &[i32]) -> ConstantId| TrainingOp::ScaledProduct {
        shift: Shift::fixed(0),
        bias: false,
        bias_shift: 0,
        clamp: Clamp::full(Dtype::I32),
    };
    let got = run(op, &inputs, &[BatchAxis::Rows, BatchAxis::None], 2).entries();
    let expected: Vec<i32> = a.iter().flat_map(|a| b.map(|b| a * b * k as i32)).collect();
    assert_eq!(got, expected);
}
