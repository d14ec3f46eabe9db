//! The table of docs/spec.md §14 for the steps of training, entry by entry.

use crate::reads::joined;
use poai_core::program::ops::{Local, Read, Region, RowSource, StepError};
use poai_core::program::training::{BlockKind, Shift};
use poai_core::program::{TrainingOp, Window};
use std::collections::BTreeSet;

type Rows = BTreeSet<(usize, u32)>;

/// Each (slot, row) that a region reads, except the rows that its entries name.
pub fn table(local: &Local<'_>, op: &TrainingOp, region: &Region) -> Rows {
    let mut read = Rows::new();
    let rows: Vec<u32> = region.rows.clone().collect();
    let columns: Vec<u32> = region.columns.clone().collect();
    let batch = local.run.batch;
    let slot_rows = |slot: usize| local.slots[slot].rows;
    let constant = local.inputs;
    let mut add = |slot: usize, rows: &[u32]| read.extend(rows.iter().map(|&row| (slot, row)));
    let all = |slot: usize| (0..slot_rows(slot)).collect::<Vec<u32>>();
    let exponents = |shift: &Shift, first: usize| {
        let slots = first..first + shift.signs.len();
        slots
            .flat_map(|slot| {
                let by_row = slot_rows(slot) == local.output.rows;
                let own = if by_row { rows.clone() } else { vec![0] };
                own.into_iter().map(move |row| (slot, row))
            })
            .collect::<Vec<_>>()
    };
    match op {
        TrainingOp::ScaledProduct { shift, bias, .. } => {
            add(0, &rows);
            add(1, &columns);
            if *bias {
                add(2, &columns);
            }
            let first = if *bias { 3 } else { 2 };
            exponents(shift, first).into_iter().for_each(|(slot, row)| add(slot, &[row]));
        }
        TrainingOp::TransposeTiles => add(0, &columns),
        TrainingOp::Exponent { per_row: true } | TrainingOp::RowSum => add(0, &rows),
        TrainingOp::Exponent { per_row: false } => add(0, &all(0)),
        TrainingOp::NextExponent | TrainingOp::Draw { .. } => {
            [0, 1].into_iter().for_each(|slot| add(slot, &all(slot)));
        }
        TrainingOp::Rescale { shift, .. } => {
            add(0, &rows);
            exponents(shift, 1).into_iter().for_each(|(slot, row)| add(slot, &[row]));
            (1 + shift.signs.len()..constant).for_each(|slot| add(slot, &all(slot)));
        }
        TrainingOp::Gate { .. } | TrainingOp::CrossEntropy { .. } => {
            [0, 1].into_iter().for_each(|slot| add(slot, &rows));
            add(constant, &all(constant));
        }
        TrainingOp::Exponentials { .. } => {
            add(0, &rows);
            add(constant, &all(constant));
        }
        TrainingOp::NormaliseGradient { .. }
        | TrainingOp::SoftmaxGradient
        | TrainingOp::SecondMoment { .. }
        | TrainingOp::Ratio { .. } => [0, 1].into_iter().for_each(|slot| add(slot, &rows)),
        TrainingOp::Descend { .. } => {
            [0, 1].into_iter().for_each(|slot| add(slot, &rows));
            add(2, &[0]);
        }
        TrainingOp::Gather { table } => add(if table.is_some() { 0 } else { 1 }, &rows),
        TrainingOp::ScatterAdd { .. } => add(1, &all(1)),
        TrainingOp::UnfoldGradient(window) => {
            read.extend(gradient(local, window, &rows, 0));
        }
        TrainingOp::MaxPoolGradient(window) => {
            read.extend(gradient(local, window, &rows, 1));
        }
        TrainingOp::Block { kind, heads, shift, .. } => {
            let l = slot_rows(1) / batch;
            for &row in &rows {
                match kind {
                    BlockKind::Scores => {
                        let item = row / l / heads;
                        add(0, &[item * l + row % l]);
                        (0..l).for_each(|of| add(1, &[item * l + of]));
                    }
                    BlockKind::Mix | BlockKind::MixBack => {
                        let (item, place) = (row / l, row % l);
                        for column in &columns {
                            let head = column / (local.output.columns / heads);
                            let first = (item * heads + head) * l;
                            match kind {
                                BlockKind::Mix => add(0, &[first + place]),
                                _ => (0..l).for_each(|of| add(0, &[first + of])),
                            }
                        }
                        (0..l).for_each(|of| add(1, &[item * l + of]));
                    }
                }
            }
            exponents(shift, 2).into_iter().for_each(|(slot, row)| add(slot, &[row]));
        }
        TrainingOp::DivideBySums { .. } => {
            add(0, &rows);
            let l = slot_rows(0) / batch;
            let heads = slot_rows(1) / batch / l;
            for &row in &rows {
                for column in &columns {
                    let head = column / (local.output.columns / heads);
                    add(1, &[(row / l * heads + head) * l + row % l]);
                }
            }
        }
        TrainingOp::MeanPoolGradient { .. } => {
            let per_item = local.output.rows / batch;
            let items: Vec<u32> = rows.iter().map(|row| row / per_item).collect();
            (0..constant).for_each(|slot| add(slot, &items));
        }
        other => panic!("{}: not in the table", other.name()),
    }
    read
}

/// The rows of dy, in slot `dy`, and of x in slot 0 if that is another: whole
/// lines of positions whose windows reach a line of the tile, and the whole
/// lines of pixels that the windows of these lines reach into.
fn gradient(local: &Local<'_>, window: &Window, rows: &[u32], dy: usize) -> Rows {
    let [down, across] = window.output().unwrap();
    let (places, pixels) = (down * across, window.height * window.width);
    let seen = |line: u32| {
        let of_window = (0..window.kernel[0])
            .map(move |at| i64::from(line * window.stride[0] + at) - i64::from(window.pads[0]));
        of_window.filter_map(|y| u32::try_from(y).ok().filter(|&y| y < window.height))
    };
    assert_eq!(local.output.rows / local.run.batch, pixels);
    let items: BTreeSet<u32> = rows.iter().map(|row| row / pixels).collect();
    let mut read = Rows::new();
    for item in items {
        let own = rows.iter().filter(|&row| row / pixels == item);
        let lines: BTreeSet<u32> = own.map(|row| row % pixels / window.width).collect();
        let reaching: Vec<u32> =
            (0..down).filter(|&line| seen(line).any(|y| lines.contains(&y))).collect();
        let [Some(&first), Some(&last)] = [reaching.first(), reaching.last()] else { continue };
        let of_dy = first * across..(last + 1) * across;
        read.extend(of_dy.map(|place| (dy, item * places + place)));
        if dy > 0 {
            let reached: BTreeSet<u32> = (first..=last).flat_map(seen).collect();
            let (top, bottom) = (*reached.first().unwrap(), *reached.last().unwrap());
            let of_x = top * window.width..(bottom + 1) * window.width;
            read.extend(of_x.map(|pixel| (0, item * pixels + pixel)));
        }
    }
    read
}

/// The rows that ids name, or the first id that names none.
pub fn named(
    local: &Local<'_>,
    op: &TrainingOp,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    let id = |slot: usize, row: u32, rows: u32| {
        let mut value = [0];
        source.read(slot, row, &mut value)?;
        let index = StepError::Index { slot, row, value: value[0], min: 0, max: rows - 1 };
        u32::try_from(value[0]).ok().filter(|&id| id < rows).ok_or(index)
    };
    let mut rows = Rows::new();
    match op {
        TrainingOp::Gather { table } => {
            let (table, ids) = if table.is_some() { (1, 0) } else { (0, 1) };
            for row in region.rows.clone() {
                rows.insert((table, id(ids, row, local.slots[table].rows)?));
            }
        }
        TrainingOp::ScatterAdd { .. } => {
            for row in 0..local.slots[1].rows {
                if region.rows.contains(&id(1, row, local.output.rows)?) {
                    rows.insert((0, row));
                }
            }
        }
        _ => {}
    }
    Ok(joined(&rows))
}
