//! Which rows a tile reads: the table of docs/spec.md §14, entry by entry.

use crate::{reads_decoder, reads_training};
use poai_core::program::ops::{Local, Read, Region, RowSource, StepError};
use poai_core::program::{Op, RunShape, ValueId, Window};
use poai_engine::execute::{Network, Tensor};
use poai_testing::edges;
use poai_testing::runs;
use poai_testing::{training, training_network};
use std::collections::BTreeSet;

/// The rows of image `item` that the windows of these rows cover. The result
/// has whole rows of pixels, from the first to the last.
fn image_rows(window: &Window, item_rows: u32, per_item: u32, rows: &[u32]) -> BTreeSet<u32> {
    let [_, across] = window.output().unwrap();
    let items: BTreeSet<u32> = rows.iter().map(|row| row / per_item).collect();
    let mut pixels = BTreeSet::new();
    for item in items {
        let mut reached = BTreeSet::new();
        for row in rows.iter().filter(|&row| row / per_item == item) {
            let down = row % per_item / across;
            for y in 0..window.kernel[0] {
                let y = i64::from(down * window.stride[0] + y) - i64::from(window.pads[0]);
                reached.extend(u32::try_from(y).ok().filter(|&y| y < window.height));
            }
        }
        let (first, last) = (*reached.first().unwrap(), *reached.last().unwrap());
        pixels.extend(
            (first * window.width..(last + 1) * window.width).map(|pixel| item * item_rows + pixel),
        );
    }
    pixels
}

/// The table of docs/spec.md §14, row by row. Returns each (slot, row) that a
/// region reads, except the rows that its entries name.
fn table(local: &Local<'_>, region: &Region) -> BTreeSet<(usize, u32)> {
    let mut read = BTreeSet::new();
    let rows: Vec<u32> = region.rows.clone().collect();
    let columns: Vec<u32> = region.columns.clone().collect();
    let (batch, sequence) = (local.run.batch, local.run.sequence);
    let slot_rows = |slot: usize| local.slots[slot].rows;
    let constant = local.inputs;
    let mut add = |slot: usize, rows: &[u32]| read.extend(rows.iter().map(|&row| (slot, row)));
    let all = |slot: usize| (0..slot_rows(slot)).collect::<Vec<u32>>();
    match local.op {
        Op::Linear { .. } | Op::GroupLinear { .. } => {
            (0..local.inputs).for_each(|slot| add(slot, &rows));
            add(constant, &columns);
            add(constant + 1, &columns);
        }
        Op::Unfold(window) | Op::MaxPool(window) | Op::AveragePool(window) => {
            let [down, across] = window.output().unwrap();
            let pixels = image_rows(window, slot_rows(0) / batch, down * across, &rows);
            add(0, &pixels.into_iter().collect::<Vec<_>>());
        }
        Op::GroupUnfold(moved) => {
            let kernel = [0, 1].map(|at| moved.dilation[at] * (moved.window.kernel[at] - 1) + 1);
            let covered = Window { kernel, ..moved.window };
            let [down, across] = covered.output().unwrap();
            let pixels = image_rows(&covered, slot_rows(0) / batch, down * across, &rows);
            add(0, &pixels.into_iter().collect::<Vec<_>>());
        }
        Op::Table { .. } | Op::Softmax { .. } | Op::Normalise { .. } | Op::Curve { .. } => {
            add(0, &rows);
            add(1, &all(1));
        }
        Op::ScaleColumns { .. } => {
            add(0, &rows);
            add(1, &columns);
        }
        Op::Add { .. } | Op::Mul { .. } | Op::Quantise => {
            [0, 1].into_iter().for_each(|slot| add(slot, &rows))
        }
        Op::Requantise { .. } | Op::Relu | Op::RowScale | Op::L2Normalise | Op::Embed { .. } => {
            add(0, &rows);
        }
        Op::AddRows { .. } => {
            add(0, &rows);
            let per_item = slot_rows(0) / batch;
            add(1, &rows.iter().map(|row| row % per_item).collect::<Vec<_>>());
        }
        Op::Arrange { .. } => {
            let per_item = local.output.rows / batch;
            add(constant, &rows.iter().map(|row| row % per_item).collect::<Vec<_>>());
        }
        Op::Product { blocks, .. } => {
            add(0, &rows);
            let (own, other) = (slot_rows(0) / batch / blocks, slot_rows(1) / batch / blocks);
            for row in &rows {
                columns.iter().for_each(|column| add(1, &[row / own * other + column]));
            }
        }
        Op::AttentionWeights { heads, .. } | Op::RelativeAttentionWeights { heads, .. } => {
            for &row in &rows {
                let (item, head) = (row / sequence / heads, row / sequence % heads);
                add(0, &[item * sequence + row % sequence]);
                (0..sequence).for_each(|key| add(1, &[item * sequence + key]));
                if local.inputs == 3 {
                    add(2, &[item]);
                }
                add(constant, &[head]);
                if let Op::RelativeAttentionWeights { .. } = local.op {
                    add(constant + 2, &[head]);
                }
            }
            add(constant + 1, &all(constant + 1));
        }
        Op::AttentionContext { heads, .. } => {
            let hidden = local.output.columns;
            for &row in &rows {
                let (item, place) = (row / sequence, row % sequence);
                for &column in &columns {
                    let head = column / (hidden / heads);
                    add(0, &[(item * heads + head) * sequence + place]);
                    add(1, &[item * hidden + column]);
                }
            }
            add(2, &columns);
        }
        Op::Transpose => {
            let (own, per_item) = (local.output.rows / batch, slot_rows(0) / batch);
            for row in &rows {
                (0..per_item).for_each(|of| add(0, &[row / own * per_item + of]));
            }
        }
        Op::Reshape { .. } => {
            let (own, other) = (u64::from(local.output.columns), u64::from(local.slots[0].columns));
            for &row in &rows {
                for column in 0..own {
                    add(0, &[((u64::from(row) * own + column) / other) as u32]);
                }
            }
        }
        Op::MeanPool => {
            let per_item = slot_rows(0) / batch;
            for &row in &rows {
                (0..per_item).for_each(|token| add(0, &[row * per_item + token]));
                (1..local.inputs).for_each(|slot| add(slot, &[row]));
            }
        }
        Op::Training(op) => return reads_training::table(local, op, region),
        Op::Decoder(op) => return reads_decoder::table(local, op, region),
        _ => panic!("{}: not in the table", local.op.name()),
    }
    read
}

/// Ranges of rows, ordered by slot and row, with adjacent ranges joined.
pub fn joined(rows: &BTreeSet<(usize, u32)>) -> Vec<Read> {
    let mut reads: Vec<Read> = vec![];
    for &(slot, row) in rows {
        match reads.last_mut() {
            Some(last) if last.slot == slot && last.rows.end == row => last.rows.end += 1,
            _ => reads.push(Read { slot, rows: row..row + 1 }),
        }
    }
    reads
}

/// The networks of the zoo, one per edge, and those of training, with their
/// runs.
fn networks() -> Vec<(String, Network, RunShape, Vec<Tensor>)> {
    let of_zoo = runs::runs().into_iter();
    let of_zoo = of_zoo.map(|case| (case.name.into(), case.network, case.run, case.inputs));
    let all = edges::cases().into_iter().chain(edges::decoder_cases());
    let edges = all.chain(edges::decoder_cases_without_output()).map(|case| {
        let name = format!("{}, {}", case.name, case.about);
        (name, case.network, case.run, case.inputs)
    });
    let training = training::one_step_programs().into_iter();
    let training = training.chain(training::programs_without_output());
    let training = training.map(|(name, network, inputs, run)| (name, network, run, inputs));
    // A program with a list of outputs has tiles of fewer rows.
    let run = RunShape::new(33, 1);
    let inputs = training_network::samples(&run);
    let listed = ("perceptron".to_owned(), training_network::perceptron(), run, inputs);
    of_zoo.chain(edges).chain(training).chain([listed]).collect()
}

/// A run's inputs and a network's constants as the slots of a step that names
/// rows.
struct Held<'a>(&'a [Tensor], &'a Network, ValueId);

impl RowSource for Held<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let step = self.1.program().step_of(self.2).unwrap();
        let tensor = match step.inputs.get(slot) {
            Some(input) => self.0.get(input.0 as usize),
            None => {
                let constant = step.op.constants().0[slot - step.inputs.len()];
                self.1.constants().get(constant.0 as usize).map(|held| &held.tensor)
            }
        };
        tensor
            .and_then(|tensor| tensor.rows().read(row, to))
            .ok_or(StepError::Missing { slot, row })
    }
}

/// The rows of an embedding's table and scales that its ids name, or the first
/// id that is out of range.
fn named(local: &Local<'_>, region: &Region, ids: &Tensor) -> Result<Vec<Read>, StepError> {
    let mut rows = BTreeSet::new();
    for row in region.rows.clone() {
        let id = ids.entries()[row as usize];
        let max = local.slots[1].rows - 1;
        match u32::try_from(id) {
            Ok(id) if id <= max => rows.extend([(1, id), (2, id)]),
            _ => return Err(StepError::Index { slot: 0, row, value: id, min: 0, max }),
        }
    }
    Ok(joined(&rows))
}

/// The rows of the inputs that hold the entries which an index names, or its
/// first number that names none.
fn arranged(local: &Local<'_>, region: &Region, index: &[i32]) -> Result<Vec<Read>, StepError> {
    let (batch, columns) = (local.run.batch, local.output.columns);
    let per_item = local.output.rows / batch;
    let inputs = &local.slots[..local.inputs];
    let entries: u32 = inputs.iter().map(|input| input.rows / batch * input.columns).sum();
    let mut rows = BTreeSet::new();
    for row in region.rows.clone() {
        let (item, place) = (row / per_item, row % per_item);
        for column in 0..columns {
            let value = index[(place * columns + column) as usize];
            if value == -1 {
                continue;
            }
            let mut rest = value as u32;
            if value < 0 || rest >= entries {
                let (slot, max) = (local.inputs, entries - 1);
                return Err(StepError::Index { slot, row: place, value, min: 0, max });
            }
            for (slot, input) in inputs.iter().enumerate() {
                let all = input.rows / batch;
                if rest < all * input.columns {
                    rows.insert((slot, item * all + rest / input.columns));
                    break;
                }
                rest -= all * input.columns;
            }
        }
    }
    Ok(joined(&rows))
}

#[test]
fn a_tile_reads_what_the_table_says() {
    let (mut kinds, mut refused) = (BTreeSet::new(), 0);
    for (name, network, run, inputs) in networks() {
        let program = network.program();
        let extents = program.extents(&run).unwrap();
        for value in (program.inputs().len() as u32..program.values() as u32).map(ValueId) {
            let local = Local::new(program, &extents, run, value).unwrap();
            let step = program.step_of(value).unwrap();
            let source = Held(&inputs, &network, value);
            kinds.insert(local.op.name());
            for tile in 0..local.grid().tiles() {
                let region = local.within(&local.grid().tile(tile).unwrap()).unwrap();
                let expected = joined(&table(&local, &region));
                let about = format!("{name}: {}, tile {tile}", local.op.name());
                assert_eq!(local.reads(&region), expected, "{about}");
                let expected = match local.op {
                    Op::Embed { .. } => named(&local, &region, &inputs[step.inputs[0].0 as usize]),
                    Op::Arrange { index } => {
                        let index = &network.constants()[index.0 as usize].tensor;
                        arranged(&local, &region, &index.entries())
                    }
                    Op::Training(op) => reads_training::named(&local, op, &region, &source),
                    Op::Decoder(op) => reads_decoder::named(&local, op, &region, &source),
                    _ => Ok(vec![]),
                };
                refused += u32::from(expected.is_err());
                assert_eq!(local.further_reads(&region, &source), expected, "{about}");
            }
        }
    }
    assert_eq!(kinds.len(), 29 + 24 + 7, "{kinds:?}");
    assert!(refused > 8, "no id and no number is out of range");
}
