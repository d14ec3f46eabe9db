//! Attention in training: its products, its weights and their gradients.

use super::arithmetic::{rdiv, row_shift};
use super::loops;
use crate::program::TrainingOp;
use crate::program::ops::arithmetic::{clamp, rdiv as rdiv64, rsh};
use crate::program::ops::rows::OFFSET;
use crate::program::ops::{Local, Region, RowSource, StepError, dot, read_rows, table};
use crate::program::training::BlockKind;
use alloc::vec;
use alloc::vec::Vec;

/// The shape of a block step's items.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of an item of the values.
    pub(super) rows: u32,
    /// The number of heads.
    pub(super) heads: u32,
    /// Columns of a head.
    pub(super) width: u32,
}

impl Blocks {
    /// The shape of a block product.
    pub(super) fn new(local: &Local<'_>, heads: u32) -> Blocks {
        let heads = heads.max(1);
        let width = (local.slot(1).columns / heads).max(1);
        Blocks { rows: local.item_rows(1), heads, width }
    }

    /// The shape of a division by sums: values in slot 0, weights in slot 1.
    pub(super) fn of_division(local: &Local<'_>) -> Blocks {
        let rows = local.item_rows(0);
        let heads = (local.item_rows(1) / rows).max(1);
        let width = (local.slot(0).columns / heads).max(1);
        Blocks { rows, heads, width }
    }

    /// The row of scores of an item's head, for a row of the item.
    pub(super) fn score(&self, item: u32, head: u32, row: u32) -> u32 {
        (item * self.heads + head) * self.rows + row
    }

    /// The heads of some columns, each with its columns of the region.
    pub(super) fn heads_of(
        &self,
        region: &Region,
    ) -> impl Iterator<Item = (u32, core::ops::Range<u32>)> + use<> {
        let (columns, width) = (region.columns.clone(), self.width);
        (columns.start / width..columns.end.div_ceil(width)).map(move |head| {
            let own = head * width..(head + 1) * width;
            (head, own.start.max(columns.start)..own.end.min(columns.end))
        })
    }
}

/// Multiplies two values, item by item and head by head.
pub(super) fn product(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    sums: Option<&[i32]>,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::Block { kind, heads, shift: by, offset, multiplier, clamp: to } = op else {
        return Err(StepError::Region);
    };
    match sums {
        Some(sums) => out.copy_from_slice(sums),
        None => {
            let blocks = Blocks::new(local, *heads);
            match kind {
                BlockKind::Scores => scores(local, &blocks, *offset, source, region, out)?,
                BlockKind::Mix => mix(&blocks, *offset, source, region, out)?,
                BlockKind::MixBack => mix_back(&blocks, *offset, source, region, out)?,
            }
        }
    }
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let p = row_shift(source, local, by, 2, row)?;
        loops::scale(out, *multiplier, p, to);
    }
    Ok(())
}

/// An item's rows of b, which are read once.
struct Held {
    item: Option<u32>,
    entries: Vec<i32>,
}

impl Held {
    const NONE: Held = Held { item: None, entries: vec![] };

    fn load(
        &mut self,
        source: &dyn RowSource,
        blocks: &Blocks,
        item: u32,
        width: usize,
    ) -> Result<(), StepError> {
        if self.item.replace(item) != Some(item) {
            let rows = item * blocks.rows..(item + 1) * blocks.rows;
            self.entries = read_rows(source, 1, rows, width)?;
        }
        Ok(())
    }
}

fn scores(
    local: &Local<'_>,
    blocks: &Blocks,
    offset: i32,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let columns = local.slot(1).columns.max(1) as usize;
    let d = blocks.width as usize;
    let mut held = Held::NONE;
    let mut a = vec![0; d];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        let (block, i) = (row / blocks.rows, row % blocks.rows);
        let (item, head) = (block / blocks.heads, block % blocks.heads);
        held.load(source, blocks, item, columns)?;
        source.read_from(0, item * blocks.rows + i, head * blocks.width, &mut a)?;
        a.iter_mut().for_each(|a| *a += offset);
        let b = held.entries.chunks_exact(columns).skip(region.columns.start as usize);
        for (out, b) in out.iter_mut().zip(b) {
            *out = dot(&a, &b[head as usize * d..][..d]);
        }
    }
    Ok(())
}

fn mix(
    blocks: &Blocks,
    offset: i32,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    weighted(blocks, offset, source, region, out, |weights, item, head, i| {
        source.read(0, blocks.score(item, head, i), weights)
    })
}

fn mix_back(
    blocks: &Blocks,
    offset: i32,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    // A column of weights for each row of the region: the weights of an item's
    // head are read once.
    let mut read: Option<(u32, u32)> = None;
    let size = blocks.rows as usize;
    let mut all = vec![];
    weighted(blocks, offset, source, region, out, |weights, item, head, j| {
        if read.replace((item, head)) != Some((item, head)) {
            let first = blocks.score(item, head, 0);
            all = read_rows(source, 0, first..first + blocks.rows, size)?;
        }
        for (weight, row) in weights.iter_mut().zip(all.chunks_exact(size)) {
            *weight = row[j as usize];
        }
        Ok(())
    })
}

/// Weights the rows of b, head by head.
///
/// `read` gives the weights of the item's rows for an item, a head and a row
/// of the item.
fn weighted(
    blocks: &Blocks,
    offset: i32,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
    mut read: impl FnMut(&mut [i32], u32, u32, u32) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let width = region.width();
    let mut weights = vec![0; blocks.rows as usize];
    for (head, columns) in blocks.heads_of(region) {
        let mut held = (None, vec![]);
        let at = (columns.start - region.columns.start) as usize;
        for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(width)) {
            let (item, i) = (row / blocks.rows, row % blocks.rows);
            if held.0.replace(item) != Some(item) {
                held.1 = vec![0; blocks.rows as usize * columns.len()];
                let rows = item * blocks.rows..(item + 1) * blocks.rows;
                for (row, to) in rows.zip(held.1.chunks_exact_mut(columns.len())) {
                    source.read_from(1, row, columns.start, to)?;
                }
            }
            read(&mut weights, item, head, i)?;
            let out = &mut out[at..at + columns.len()];
            out.fill(0);
            for (&weight, b) in weights.iter().zip(held.1.chunks_exact(columns.len())) {
                for (out, &b) in out.iter_mut().zip(b) {
                    // Exact: fewer than 2^17·127·64.
                    *out = out.wrapping_add((weight + offset).wrapping_mul(b));
                }
            }
        }
    }
    Ok(())
}

/// Turns scores into weights, by their distance from the largest.
pub(super) fn exponentials(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::Exponentials { causal, multiplier, shift, .. } = *op else {
        return Err(StepError::Region);
    };
    let table = table(source, local.inputs)?;
    let columns = local.output.columns;
    let mut x = vec![0; columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut x)?;
        let seen = if causal { row % columns + 1 } else { columns } as usize;
        let max = i64::from(x[..seen].iter().copied().max().unwrap_or(0));
        for (column, out) in region.columns.clone().zip(out) {
            let column = column as usize;
            *out = if column < seen {
                let distance = (max - i64::from(x[column])) * i64::from(multiplier);
                let index = rsh(distance, shift).clamp(0, 255);
                // A table may hold entries that are not weights. Those are clipped.
                table[index as usize].clamp(0, 127) - OFFSET
            } else {
                -OFFSET
            };
        }
    }
    Ok(())
}

/// Divides by the sums of weights.
pub(super) fn divide(
    local: &Local<'_>,
    op: &TrainingOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let TrainingOp::DivideBySums { shift, clamp: to } = op else {
        return Err(StepError::Region);
    };
    let blocks = Blocks::of_division(local);
    let mut weights = vec![0; local.slot(1).columns as usize];
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read_from(0, row, region.columns.start, out)?;
        let (item, i) = (row / blocks.rows, row % blocks.rows);
        for (head, columns) in blocks.heads_of(region) {
            source.read(1, blocks.score(item, head, i), &mut weights)?;
            let sum = total(&weights);
            let at = (columns.start - region.columns.start) as usize;
            let out = &mut out[at..at + columns.len()];
            if *shift < 20 {
                loops::divide(out, *shift, sum, to);
                continue;
            }
            for out in out {
                let quotient = rdiv(i128::from(*out) << shift, sum.into());
                *out = clamp(quotient.clamp(i64::MIN.into(), i64::MAX.into()) as i64, to);
            }
        }
    }
    Ok(())
}

/// The sum of stored weights, at least 1.
fn total(weights: &[i32]) -> i64 {
    weights.iter().map(|&w| i64::from(w + OFFSET)).sum::<i64>().max(1)
}

/// Computes the gradient of scores.
pub(super) fn softmax_gradient(
    local: &Local<'_>,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    let columns = local.output.columns as usize;
    let (mut w, mut d) = (vec![0; columns], vec![0; columns]);
    for (row, out) in region.rows.clone().zip(out.chunks_exact_mut(region.width())) {
        source.read(0, row, &mut w)?;
        source.read(1, row, &mut d)?;
        let sum = total(&w);
        w.iter_mut().for_each(|w| *w += OFFSET);
        // Fewer than 2^17 terms of 2^38.
        let mean = rdiv64(loops::along(&w, &d), sum);
        let at = region.columns.start as usize;
        loops::softmax_gradient(out, &w[at..], &d[at..], mean, sum);
    }
    Ok(())
}
