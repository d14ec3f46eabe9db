//! The table of docs/spec.md §14 for the steps of decoders, entry by entry.

use crate::reads::joined;
use poai_core::program::DecoderOp;
use poai_core::program::ops::{Local, Read, Region, RowSource, StepError};
use std::collections::BTreeSet;

type Rows = BTreeSet<(usize, u32)>;

/// Each (slot, row) that a region reads, except the rows that its entries name.
pub fn table(local: &Local<'_>, op: &DecoderOp, region: &Region) -> Rows {
    let mut read = Rows::new();
    let rows: Vec<u32> = region.rows.clone().collect();
    let columns: Vec<u32> = region.columns.clone().collect();
    let (batch, sequence) = (local.run.batch, local.run.sequence);
    let slot_rows = |slot: usize| local.slots[slot].rows;
    let constant = local.inputs;
    let mut add = |slot: usize, rows: &[u32]| read.extend(rows.iter().map(|&row| (slot, row)));
    let all = |slot: usize| (0..slot_rows(slot)).collect::<Vec<u32>>();
    let items: Vec<u32> = rows.iter().map(|row| row / (local.output.rows / batch)).collect();
    match *op {
        DecoderOp::RmsNorm { .. } | DecoderOp::Mix { .. } => {
            add(0, &rows);
            add(constant, &all(constant));
        }
        DecoderOp::Limb { .. } => [0, 1].into_iter().for_each(|slot| add(slot, &rows)),
        DecoderOp::Tail => add(1, &items),
        DecoderOp::Sample { .. } => {
            add(0, &rows);
            add(1, &items);
            add(constant, &all(constant));
        }
        DecoderOp::Rotary { heads, .. } => {
            for &row in &rows {
                let (item, i) = (row / sequence / heads, row % sequence);
                add(0, &[item * sequence + i]);
                add(constant, &[i]);
            }
        }
        DecoderOp::Attention { heads, key_heads, window, .. } => {
            let width = local.output.columns / heads;
            // The first of the tile's places in each item may see the most
            // keys before the others.
            let first = |item: u32| rows.iter().find(|&row| row / sequence == item).unwrap();
            for &row in &rows {
                let (item, i) = (row / sequence, row % sequence);
                for &column in &columns {
                    let (head, own) = (column / width, column % width);
                    let group = head * key_heads / heads;
                    let query = (item * heads + head) * sequence + i;
                    (0..2).for_each(|slot| add(slot, &[query]));
                    add(4, &[(item * key_heads + group) * width + own]);
                    add(constant, &[head]);
                    let least = match window {
                        0 => 0,
                        _ => (i64::from(first(item) % sequence) - i64::from(window) + 1).max(0),
                    };
                    for j in least as u32..=i {
                        let key = (item * key_heads + group) * sequence + j;
                        (2..4).for_each(|slot| add(slot, &[key]));
                    }
                }
                (5..constant).for_each(|slot| add(slot, &[item]));
            }
            add(constant + 1, &all(constant + 1));
            add(constant + 2, &columns);
        }
        ref other => panic!("{}: not in the table", other.name()),
    }
    read
}

/// The rows of x that a tail copies, or its first start that is negative.
pub fn named(
    local: &Local<'_>,
    op: &DecoderOp,
    region: &Region,
    source: &dyn RowSource,
) -> Result<Vec<Read>, StepError> {
    let mut rows = Rows::new();
    if let DecoderOp::Tail = op {
        let (answers, sequence) = (local.run.answers, local.run.sequence);
        for row in region.rows.clone() {
            let (item, answer) = (row / answers, row % answers);
            let mut start = [0];
            source.read(1, item, &mut start)?;
            let [value] = start;
            if value < 0 {
                let max = i32::MAX as u32;
                return Err(StepError::Index { slot: 1, row: item, value, min: 0, max });
            }
            let from = (i64::from(value) + i64::from(answer)).min(i64::from(sequence) - 1);
            rows.insert((0, item * sequence + from as u32));
        }
    }
    Ok(joined(&rows))
}
