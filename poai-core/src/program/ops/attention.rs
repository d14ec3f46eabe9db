//! The two products of attention, each with the arithmetic that follows it.

use super::arithmetic::rdiv;
use super::rows::{self, OFFSET, Scores};
use super::{Local, Region, RowSource, StepError, dot, read_rows, table};
use crate::program::Op;
use alloc::vec;
use alloc::vec::Vec;

/// Computes scores and their exponentials. Rows are (item, head, i), columns
/// are j.
pub(super) fn weights(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let (Op::AttentionWeights { heads, shift, causal, .. }
    | Op::RelativeAttentionWeights { heads, shift, causal, .. }) = *local.op
    else {
        return Err(StepError::Region);
    };
    let sequence = local.run.sequence;
    // The maximum is over the whole row.
    if region.columns != (0..sequence) {
        return Err(StepError::Region);
    }
    let columns = local.slot(0).columns as usize;
    let d = columns / heads as usize;
    let table = table(source, local.inputs + 1)?;
    let (mut q, mut own) = (vec![0; columns], vec![0; sequence as usize]);
    let mut keys = Keys { item: None, entries: vec![] };
    let mut biases = Biases { head: None, entries: vec![] };
    let rows = region.rows.clone().zip(out.chunks_exact_mut(sequence as usize));
    for (index, (row, out)) in rows.enumerate() {
        let (item, head, i) = place(row, heads, sequence);
        let sums = match sums {
            Some(sums) => &sums[index * sequence as usize..][..sequence as usize],
            None => {
                source.read(0, item * sequence + i, &mut q)?;
                keys.load(source, item, sequence, columns)?;
                let head = head as usize * d..(head as usize + 1) * d;
                for (sum, k) in own.iter_mut().zip(keys.entries.chunks_exact(columns)) {
                    *sum = dot(&q[head.clone()], &k[head.clone()]);
                }
                &own
            }
        };
        let mut alpha = [0];
        source.read(local.inputs, head, &mut alpha)?;
        if let Op::RelativeAttentionWeights { .. } = local.op {
            biases.load(local, source, head)?;
        }
        let length = local.length(source, 2, item)?;
        let seen = if causal { length.min(i + 1) } else { length } as usize;
        let (seen, masked) = out.split_at_mut(seen);
        let scores = Scores { alpha: alpha[0], shift, bias: biases.of(i, sequence) };
        rows::exponentials(seen, sums, &scores, &table);
        masked.fill(-OFFSET);
    }
    Ok(())
}

/// The keys of one item, which are read once.
struct Keys {
    item: Option<u32>,
    entries: Vec<i32>,
}

impl Keys {
    fn load(
        &mut self,
        source: &dyn RowSource,
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

/// One head's biases at the distances of a run, which are read once.
struct Biases {
    head: Option<u32>,
    /// An entry for each distance j − i of two tokens, from the least on. Empty
    /// if scores have no bias.
    entries: Vec<i32>,
}

impl Biases {
    fn load(
        &mut self,
        local: &Local<'_>,
        source: &dyn RowSource,
        head: u32,
    ) -> Result<(), StepError> {
        if self.head == Some(head) {
            return Ok(());
        }
        let slot = local.inputs + 2;
        let mut given = vec![0; local.slot(slot).columns as usize];
        source.read(slot, head, &mut given)?;
        // The program's check guarantees an odd number of columns: both signs
        // of L − 1 distances, and 0.
        let (farthest, last) = (given.len() / 2, local.run.sequence as usize - 1);
        let at = |distance: usize| {
            let from_first = (distance + farthest).saturating_sub(last);
            given.get(from_first.min(2 * farthest)).copied().unwrap_or(0)
        };
        self.entries.clear();
        self.entries.extend((0..=2 * last).map(at));
        self.head = Some(head);
        Ok(())
    }

    /// The biases of all keys, for the query `i`.
    fn of(&self, i: u32, sequence: u32) -> &[i32] {
        let first = (sequence - 1 - i) as usize;
        self.entries.get(first..first + sequence as usize).unwrap_or_default()
    }
}

/// Computes weighted means of values. Rows are (item, i), columns are (head,
/// channel).
pub(super) fn context(
    local: &Local<'_>,
    source: &dyn RowSource,
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
    let (mut totals, mut own) = (vec![0i64; width], vec![0; width]);
    let mut weights = vec![0; sequence as usize];
    for (index, (row, out)) in region.rows.clone().zip(out.chunks_exact_mut(width)).enumerate() {
        let (item, i) = (row / sequence, row % sequence);
        if item_now.replace(item) != Some(item) {
            let rows = item * hidden + region.columns.start..item * hidden + region.columns.end;
            values = read_rows(source, 1, rows, sequence as usize)?;
            for (total, values) in totals.iter_mut().zip(values.chunks_exact(sequence as usize)) {
                *total = rows::total(values);
            }
        }
        // The columns are processed head by head.
        let mut at = 0;
        while at < width {
            let head = (region.columns.start + at as u32) / d;
            let end = width.min(((head + 1) * d - region.columns.start) as usize);
            source.read(0, (item * heads + head) * sequence + i, &mut weights)?;
            let sum = rows::total(&weights) + i64::from(OFFSET) * i64::from(sequence);
            let reciprocal = rdiv(1 << 22, sum.max(1));
            let sums = match sums {
                Some(sums) => &sums[index * width..][at..end],
                None => {
                    let values = values[at * sequence as usize..].chunks_exact(sequence as usize);
                    for (sum, values) in own[at..end].iter_mut().zip(values) {
                        *sum = dot(&weights, values);
                    }
                    &own[at..end]
                }
            };
            let (totals, scale) = (&totals[at..end], &scale[at..end]);
            rows::context(&mut out[at..end], sums, totals, scale, reciprocal, &shifts);
            at = end;
        }
    }
    Ok(())
}

/// The item, head and token of a row of weights.
fn place(row: u32, heads: u32, sequence: u32) -> (u32, u32, u32) {
    let (block, i) = (row / sequence, row % sequence);
    (block / heads, block % heads, i)
}
