//! Programs of one step of training each (spec §12), at the ends of the step's
//! ranges: extreme entries, exponents far outside the shifts, every batch axis.

mod attention;
mod gradients;
mod operands;
mod updates;

use super::zoo::entries;
use poai_core::program::training::Shift;
use poai_core::program::{
    BatchAxis, Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, RunShape, TrainingOp,
    ValueId,
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
        let run = RunShape::new(batch, sequence);
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
    operands::products(&mut programs);
    operands::operands(&mut programs);
    operands::stochastic(&mut programs);
    gradients::row_gradients(&mut programs);
    updates::moved_rows(&mut programs);
    gradients::windows(&mut programs);
    attention::blocks(&mut programs);
    attention::weights(&mut programs);
    updates::updates(&mut programs);
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
