//! The two products of attention, one item and head at a time: the sums of a
//! head stay in a cache until they are entries.

use super::super::error::RunError;
use super::super::task::{Task, columns};
use super::super::tensor::Tensor;
use super::entries::Entry;
use super::vectorise;
use poai_core::program::Op;
use poai_core::program::ops::RowSource;
use poai_core::program::ops::arithmetic::{rdiv, rsh, rsh_product, sat16, sat32};
use poai_core::simd;
use rayon::prelude::*;

/// The offset of stored weights.
const OFFSET: i32 = 64;

/// A thread's memory.
#[derive(Default)]
struct Scratch {
    a: Vec<i8>,
    b: Vec<i8>,
    sums: Vec<i32>,
    scores: Vec<i32>,
    indices: Vec<u8>,
}

/// Computes the weights of attention.
pub(in crate::execute) fn weights(task: &Task<'_>, output: &mut Tensor) -> Result<(), RunError> {
    let (Op::AttentionWeights { heads, shift, causal, .. }
    | Op::RelativeAttentionWeights { heads, shift, causal, .. }) = *task.local.op
    else {
        return Err(RunError::Layout);
    };
    let (sequence, heads) = (task.local.run.sequence as usize, heads as usize);
    let [q, k] = task.pair()?;
    let d = q.extent.columns as usize / heads;
    let alphas = constant(task, task.local.inputs, heads)?;
    let biases = biases(task, heads, sequence)?;
    let entries = constant(task, task.local.inputs + 1, 256)?;
    let mut table = [0; 256];
    for (to, entry) in table.iter_mut().zip(entries) {
        // A table may hold entries that are not weights. Those are clipped.
        *to = (entry.clamp(0, 127) - OFFSET) as u8;
    }
    let row_bytes = task.local.output.row_bytes();
    let used = task.local.output.rows as usize * row_bytes;
    let blocks = output.bytes_mut()[..used].par_chunks_exact_mut(sequence * row_bytes);
    blocks.enumerate().try_for_each_init(Scratch::default, |scratch, (block, bytes)| {
        let (item, head) = (block / heads, block % heads);
        // Exact: a batch fits 32 bits.
        let length = task.local.length(&task.slots, 2, item as u32).map_err(RunError::Local)?;
        let Scratch { a, b, sums, scores, indices } = scratch;
        columns(q, item * sequence, sequence, head * d, d, a);
        columns(k, item * sequence, sequence, head * d, d, b);
        sums.resize(sequence * sequence, 0);
        task.host.device.product_small(a, b, d, sums)?;
        scores.resize(sequence, 0);
        indices.resize(sequence, 0);
        let of_head = biases.get(head * (2 * sequence - 1)..).unwrap_or_default();
        let rows = bytes.chunks_exact_mut(row_bytes).zip(sums.chunks_exact(sequence));
        for (i, (to, sums)) in rows.enumerate() {
            let seen = if causal { (i + 1).min(length as usize) } else { length as usize };
            // The biases of this query's keys; none if scores have no bias.
            let bias = of_head.get(sequence - 1 - i..).unwrap_or_default();
            let of_row = Scores { sums, bias, alpha: alphas[head], shift };
            distances(&mut indices[..seen], &mut scores[..seen], &of_row);
            let (seen, masked) = to[..sequence].split_at_mut(seen);
            simd::look_up_bytes(&table, indices, seen);
            masked.fill(-OFFSET as i8 as u8);
        }
        Ok(())
    })
}

/// The first rows of a constant of one column.
fn constant(task: &Task<'_>, slot: usize, rows: usize) -> Result<Vec<i32>, RunError> {
    rows_of(task, slot, rows, 1)
}

/// The first rows of a constant.
fn rows_of(
    task: &Task<'_>,
    slot: usize,
    rows: usize,
    columns: usize,
) -> Result<Vec<i32>, RunError> {
    let mut entries = vec![0; rows * columns];
    // Exact: constants have at most 2^32 rows.
    task.slots.read_rows(slot, 0..rows as u32, columns, &mut entries).map_err(RunError::Local)?;
    Ok(entries)
}

/// Each head's biases at the 2·sequence − 1 distances of two tokens, from the
/// least on. Nothing if scores have no bias.
fn biases(task: &Task<'_>, heads: usize, sequence: usize) -> Result<Vec<i32>, RunError> {
    let Op::RelativeAttentionWeights { .. } = task.local.op else { return Ok(vec![]) };
    let slot = task.local.inputs + 2;
    let columns = task.local.slot(slot).columns as usize;
    let given = rows_of(task, slot, heads, columns)?;
    // The program's check guarantees an odd number of columns.
    let farthest = columns / 2;
    let mut all = Vec::with_capacity(heads * (2 * sequence - 1));
    for given in given.chunks_exact(columns) {
        let column = |at: usize| (at + farthest).saturating_sub(sequence - 1).min(2 * farthest);
        all.extend((0..2 * sequence - 1).map(|at| given[column(at)]));
    }
    Ok(all)
}

/// What turns sums of queries with keys into scores.
struct Scores<'a> {
    sums: &'a [i32],
    /// What is added to each score; empty if nothing is.
    bias: &'a [i32],
    alpha: i32,
    shift: u8,
}

/// What turns sums of weights with values into means.
struct Means<'a> {
    /// The sums of each column's values.
    totals: &'a [i64],
    scales: &'a [i32],
    shifts: [u8; 2],
}

/// Computes the means of attention.
pub(in crate::execute) fn context(task: &Task<'_>, output: &mut Tensor) -> Result<(), RunError> {
    let Op::AttentionContext { heads, shifts, .. } = *task.local.op else {
        return Err(RunError::Layout);
    };
    let (sequence, heads) = (task.local.run.sequence as usize, heads as usize);
    let [weights, values] = task.pair()?;
    let hidden = task.local.output.columns as usize;
    let d = hidden / heads;
    let scales = constant(task, task.local.inputs, hidden)?;
    let row_bytes = task.local.output.row_bytes();
    let used = task.local.output.rows as usize * row_bytes;
    let items = output.bytes_mut()[..used].par_chunks_exact_mut(sequence * row_bytes);
    items.enumerate().try_for_each_init(Scratch::default, |scratch, (item, bytes)| {
        let Scratch { a, b, sums, .. } = scratch;
        let mut totals = vec![0; d];
        sums.resize(sequence * d, 0);
        for head in 0..heads {
            let rows = (item * heads + head) * sequence;
            columns(weights, rows, sequence, 0, sequence, a);
            columns(values, item * hidden + head * d, d, 0, sequence, b);
            task.host.device.product_small(a, b, sequence, sums)?;
            for (to, values) in totals.iter_mut().zip(b.chunks_exact(sequence)) {
                *to = i64::from(total(values));
            }
            let of_head = head * d..(head + 1) * d;
            let how = Means { totals: &totals, scales: &scales[of_head.clone()], shifts };
            let rows = bytes.chunks_exact_mut(row_bytes).zip(a.chunks_exact(sequence));
            for ((to, weights), sums) in rows.zip(sums.chunks_exact(d)) {
                let sum = i64::from(total(weights)) + i64::from(OFFSET) * sequence as i64;
                let reciprocal = rdiv(1 << 22, sum.max(1));
                means(&mut i16::of_mut(to)[of_head.clone()], sums, &how, reciprocal);
            }
        }
        Ok(())
    })
}

vectorise! {
    /// The place in the table of each score, by its distance from the largest.
    fn distances(to: &mut [u8], scores: &mut [i32], how: &Scores<'_>) {
        let mut most = i32::MIN;
        if how.bias.is_empty() {
            for (score, &sum) in scores.iter_mut().zip(how.sums) {
                *score = sat32(rsh_product(sum, how.alpha, how.shift));
                most = most.max(*score);
            }
        } else {
            for ((score, &sum), &bias) in scores.iter_mut().zip(how.sums).zip(how.bias) {
                let own = sat32(rsh_product(sum, how.alpha, how.shift));
                *score = own.saturating_add(bias);
                most = most.max(*score);
            }
        }
        for (to, &score) in to.iter_mut().zip(&*scores) {
            // Exact: no score is above the largest.
            *to = (most.wrapping_sub(score) as u32).min(255) as u8;
        }
    }

    /// Sums a row of at most 2^16 entries.
    fn total(row: &[i8]) -> i32 {
        row.iter().map(|&x| i32::from(x)).sum()
    }

    /// Turns one head's sums into means.
    fn means(to: &mut [[u8; 2]], sums: &[i32], how: &Means<'_>, reciprocal: i64) {
        let columns = sums.iter().zip(how.totals).zip(how.scales);
        for (to, ((&sum, &total), &scale)) in to.iter_mut().zip(columns) {
            let sum = i64::from(sum) + i64::from(OFFSET) * total;
            let mean = sat32(rsh(sum * reciprocal, how.shifts[0]));
            *to = i16::write(sat16(rsh_product(mean, scale, how.shifts[1])));
        }
    }
}
