//! The two products of attention, each with what follows it.

use super::arithmetic::{rdiv, rsh, sat16, sat32};
use super::{Local, Region, Source, StepError, dot, read_rows};
use crate::program::Op;
use alloc::vec;
use alloc::vec::Vec;

/// What weights are stored less: they are 0..=127 and operands −64..=63.
const OFFSET: i32 = 64;

/// Scores and their exponentials: rows (item, head, i), columns j.
pub(super) fn weights(
    local: &Local<'_>,
    source: &dyn Source,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let Op::AttentionWeights { heads, shift, causal, .. } = *local.op else {
        return Err(StepError::Region);
    };
    let sequence = local.run.sequence;
    // A maximum is over the whole row.
    if region.columns != (0..sequence) {
        return Err(StepError::Region);
    }
    let columns = local.slot(0).columns as usize;
    let d = columns / heads as usize;
    let table = read_rows(source, local.inputs + 1, 0..256, 1)?;
    let mut q = vec![0; columns];
    let mut keys = Keys { item: None, entries: vec![] };
    let rows = region.rows.clone().zip(out.chunks_exact_mut(sequence as usize));
    for (index, (row, out)) in rows.enumerate() {
        let (item, head, i) = place(row, heads, sequence);
        match sums {
            Some(sums) => out.copy_from_slice(&sums[index * sequence as usize..][..out.len()]),
            None => {
                source.read(0, item * sequence + i, &mut q)?;
                keys.load(source, item, sequence, columns)?;
                let own = head as usize * d..(head as usize + 1) * d;
                for (out, k) in out.iter_mut().zip(keys.entries.chunks_exact(columns)) {
                    *out = dot(&q[own.clone()], &k[own.clone()]);
                }
            }
        }
        let mut alpha = [0];
        source.read(local.inputs, head, &mut alpha)?;
        let length = local.length(source, 2, item)?;
        let seen = if causal { length.min(i + 1) } else { length } as usize;
        let (seen, masked) = out.split_at_mut(seen);
        exponentials(seen, alpha[0], shift, &table);
        masked.fill(-OFFSET);
    }
    Ok(())
}

/// One item's keys, read once.
struct Keys {
    item: Option<u32>,
    entries: Vec<i32>,
}

impl Keys {
    fn load(
        &mut self,
        source: &dyn Source,
        item: u32,
        sequence: u32,
        columns: usize,
    ) -> Result<(), StepError> {
        if self.item.replace(item) != Some(item) {
            let rows = item * sequence..(item + 1) * sequence;
            self.entries = read_rows(source, 1, rows, columns)?;
        }
        Ok(())
    }
}

/// Turns sums into stored weights, by their distance from the largest.
fn exponentials(row: &mut [i32], alpha: i32, shift: u8, table: &[i32]) {
    for sum in row.iter_mut() {
        *sum = sat32(rsh(i64::from(*sum) * i64::from(alpha), shift));
    }
    let max = row.iter().copied().max().unwrap_or(0);
    for score in row {
        let distance = (i64::from(max) - i64::from(*score)).min(255) as usize;
        // Entries of another sign than a table's own are no weights.
        *score = table[distance].clamp(0, 127) - OFFSET;
    }
}

/// Weighted means of values: rows (item, i), columns (head, channel).
pub(super) fn context(
    local: &Local<'_>,
    source: &dyn Source,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let Op::AttentionContext { heads, shifts, .. } = *local.op else {
        return Err(StepError::Region);
    };
    let (sequence, width) = (local.run.sequence, region.width());
    let hidden = local.output.columns;
    let d = hidden / heads;
    let scale = read_rows(source, local.inputs, region.columns.clone(), 1)?;
    let mut item_now = None;
    let mut values = vec![];
    let mut totals = vec![0i64; width];
    let mut weights = vec![0; sequence as usize];
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        let (item, i) = (row / sequence, row % sequence);
        if item_now.replace(item) != Some(item) {
            let rows = item * hidden + region.columns.start..item * hidden + region.columns.end;
            values = read_rows(source, 1, rows, sequence as usize)?;
            for (total, values) in totals.iter_mut().zip(values.chunks_exact(sequence as usize)) {
                *total = values.iter().map(|&value| i64::from(value)).sum();
            }
        }
        let mut head_now = None;
        let mut reciprocal = 0;
        for (at, (column, out)) in region.columns.clone().zip(out.iter_mut()).enumerate() {
            let head = column / d;
            if head_now.replace(head) != Some(head) {
                source.read(0, (item * heads + head) * sequence + i, &mut weights)?;
                let sum: i64 = weights.iter().map(|&weight| i64::from(weight + OFFSET)).sum();
                reciprocal = rdiv(1 << 22, sum.max(1));
            }
            let sum = match sums {
                Some(sums) => sums[index * width + at],
                None => dot(&weights, &values[at * sequence as usize..][..sequence as usize]),
            };
            let sum = i64::from(sum) + i64::from(OFFSET) * totals[at];
            let v = sat32(rsh(sum * reciprocal, shifts[0]));
            *out = sat16(rsh(i64::from(v) * i64::from(scale[at]), shifts[1]));
        }
    }
    Ok(())
}

/// Item, head and token of a row of weights.
fn place(row: u32, heads: u32, sequence: u32) -> (u32, u32, u32) {
    let (block, i) = (row / sequence, row % sequence);
    (block / heads, block % heads, i)
}
