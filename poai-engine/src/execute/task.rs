//! One step of a program, on every thread.
//!
//! The backend computes sums of products. [`Local::compute`] does everything
//! else, a few rows at a time.

use super::error::RunError;
use super::fast;
use super::host::Host;
use super::tensor::{Tensor, rows_operand};
use crate::backend::PRODUCT_ROWS;
use core::ops::Range;
use poai_core::params::Params;
use poai_core::program::ops::{Local, Region, RowSource, StepError};
use poai_core::program::tensor::{Rows, write_row};
use poai_core::program::{ConstantId, Op};
use poai_core::puzzle::statement::Side;
use rayon::prelude::*;

/// Rows of a group linear step that are computed at once.
pub(super) const GROUP_ROWS: usize = 64;

/// Output channels of a group from which on a backend multiplies the group. A
/// depthwise convolution has one, too few for a backend's tiles.
const GROUP_CHANNELS: usize = 8;

/// Entries of 32 bits that take a third of the nearest cache.
const NEAR_ENTRIES: usize = 4096;

/// The whole tensors that a step reads.
pub(super) struct Slots<'a>(pub(super) Vec<Rows<'a>>);

impl RowSource for Slots<'_> {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        let missing = StepError::Missing { slot, row };
        self.0.get(slot).and_then(|rows| rows.read(row, to)).ok_or(missing)
    }

    fn read_from(
        &self,
        slot: usize,
        row: u32,
        first: u32,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        let missing = StepError::Missing { slot, row };
        self.0.get(slot).and_then(|rows| rows.read_from(row, first, to)).ok_or(missing)
    }

    /// Reads constants' rows without a call per row, because these rows are
    /// short.
    fn read_rows(
        &self,
        slot: usize,
        rows: Range<u32>,
        width: usize,
        to: &mut [i32],
    ) -> Result<(), StepError> {
        let missing = |row| StepError::Missing { slot, row };
        let from = self.0.get(slot).ok_or(missing(rows.start))?;
        for (row, to) in rows.zip(to.chunks_exact_mut(width.max(1))) {
            from.read(row, to).ok_or(missing(row))?;
        }
        Ok(())
    }
}

/// A thread's memory, reused from block to block.
#[derive(Default)]
pub(super) struct Scratch {
    entries: Vec<i32>,
    pub(super) sums: Vec<i32>,
    pub(super) own: Vec<i32>,
    pub(super) a: Vec<i8>,
    pub(super) b: Vec<i8>,
}

/// A step that is ready to run.
pub(super) struct Task<'a> {
    pub(super) host: &'a Host,
    pub(super) local: Local<'a>,
    pub(super) slots: Slots<'a>,
    /// Whether to return the sums of a product with weights as well.
    pub(super) keep_sums: bool,
}

/// A step's output and, if they are kept, its product's sums.
pub(super) type Done = (Tensor, Option<Vec<i32>>);

impl Task<'_> {
    /// Computes the step's output.
    pub(super) fn run(&self) -> Result<Done, RunError> {
        let mut output = Tensor::unwritten(self.local.output, &self.host.buffers);
        match *self.local.op {
            Op::Linear { weights, .. } if !self.keep_sums => {
                let weights = self.host.weights(weights).ok_or(RunError::Layout)?;
                fast::linear(self, &weights.plain, &mut output)?;
            }
            Op::Linear { weights, .. } => {
                let sums = self.linear(weights, &mut output)?;
                return Ok((output, Some(sums)));
            }
            Op::AttentionWeights { .. } | Op::RelativeAttentionWeights { .. } => {
                fast::weights(self, &mut output)?;
            }
            Op::AttentionContext { .. } => fast::context(self, &mut output)?,
            Op::GroupLinear { groups, .. } => self.group_linear(groups, &mut output)?,
            Op::Product { blocks, .. } => self.product(blocks, &mut output)?,
            Op::Training(ref op) => self.training(op, &mut output)?,
            _ if fast::rows(self, &mut output)? => {}
            _ => self.plain(&mut output)?,
        }
        Ok((output, None))
    }

    /// Computes the output by the definition of the step.
    pub(super) fn plain(&self, output: &mut Tensor) -> Result<(), RunError> {
        let rows = self.local.block_rows() as usize;
        let near = NEAR_ENTRIES / self.local.output.columns.max(1) as usize;
        // Rows that share no inputs are read and written while they are in the
        // nearest cache.
        let rows = if self.local.is_row_local() { rows.min(near.max(1)) } else { rows };
        self.blocks(rows, output, |_, _| Ok(false))
    }

    /// A product's output from given sums, rows×`stride`.
    pub(super) fn finish(&self, sums: &[i32], stride: usize) -> Result<Tensor, RunError> {
        let mut output = Tensor::unwritten(self.local.output, &self.host.buffers);
        self.finish_rows(0, sums, stride, &mut output)?;
        Ok(output)
    }

    fn finish_rows(
        &self,
        first: usize,
        sums: &[i32],
        stride: usize,
        output: &mut Tensor,
    ) -> Result<(), RunError> {
        let columns = self.local.output.columns as usize;
        let rows = (self.local.output.rows as usize).saturating_sub(first).min(sums.len() / stride);
        let row_bytes = self.local.output.row_bytes();
        let bytes = &mut output.bytes_mut()[first * row_bytes..][..rows * row_bytes];
        let tile = Params::CONSENSUS.tile();
        let blocks = bytes.par_chunks_mut(tile * row_bytes).enumerate();
        blocks.try_for_each_init(Scratch::default, |scratch, (index, bytes)| {
            let start = index * tile;
            let count = bytes.len() / row_bytes;
            let own = &sums[start * stride..(start + count) * stride];
            if stride == columns {
                return self.rows(first + start, Some(own), bytes, &mut scratch.entries);
            }
            scratch.sums.clear();
            for row in own.chunks_exact(stride) {
                scratch.sums.extend_from_slice(&row[..columns]);
            }
            self.rows(first + start, Some(&scratch.sums), bytes, &mut scratch.entries)
        })
    }

    /// A product whose sums are kept.
    fn linear(&self, weights: ConstantId, output: &mut Tensor) -> Result<Vec<i32>, RunError> {
        let weights = self.host.weights(weights).ok_or(RunError::Layout)?;
        let x = self.slots.0.first().ok_or(RunError::Layout)?;
        let row_bytes = x.extent.row_bytes();
        let stride = weights.plain.operand().rows() as usize;
        let mut kept = vec![0; x.bytes.len() / row_bytes * stride];
        let blocks = x.bytes.chunks(PRODUCT_ROWS * row_bytes);
        for (block, bytes) in blocks.enumerate() {
            let first = block * PRODUCT_ROWS;
            let sums = &mut kept[first * stride..][..bytes.len() / row_bytes * stride];
            let a = rows_operand(Side::A, bytes, row_bytes)?;
            self.host.device.apply(a, &weights.plain, sums)?;
            self.finish_rows(first, sums, stride, output)?;
        }
        Ok(kept)
    }

    /// Multiplies each group of columns by its own weights.
    fn group_linear(&self, groups: u32, output: &mut Tensor) -> Result<(), RunError> {
        let x = self.slots.0.first().ok_or(RunError::Layout)?;
        let weights = self.slots.0.get(self.local.inputs).ok_or(RunError::Layout)?;
        let (n, k) = (weights.extent.rows as usize, weights.extent.columns as usize);
        // Output channels of a group.
        let each = n / groups as usize;
        let mut dense = vec![];
        columns(weights, 0, n, 0, k, &mut dense);
        let device = &*self.host.device;
        self.blocks(GROUP_ROWS, output, |first, scratch| {
            let rows = GROUP_ROWS.min(self.local.output.rows as usize - first);
            scratch.sums.resize(rows * n, 0);
            if each < GROUP_CHANNELS {
                columns(x, first, rows, 0, groups as usize * k, &mut scratch.a);
                let all = scratch.sums.chunks_exact_mut(n);
                for (sums, x) in all.zip(scratch.a.chunks_exact(groups as usize * k)) {
                    group_sums(x, &dense, k, each, sums);
                }
                return Ok(true);
            }
            scratch.own.resize(rows * each, 0);
            for group in 0..groups as usize {
                columns(x, first, rows, group * k, k, &mut scratch.a);
                let weights = &dense[group * each * k..][..each * k];
                device.product_small(&scratch.a, weights, k, &mut scratch.own)?;
                scatter(&scratch.own, each, &mut scratch.sums, n, group * each);
            }
            Ok(true)
        })
    }

    /// Multiplies two values block by block.
    fn product(&self, blocks: u32, output: &mut Tensor) -> Result<(), RunError> {
        let [a, b] = self.pair()?;
        let all = (self.local.run.batch * blocks) as usize;
        let (own, other) = (a.extent.rows as usize / all, b.extent.rows as usize / all);
        let k = a.extent.columns as usize;
        let device = &*self.host.device;
        // Few enough rows for every thread to have some, and enough to pay for
        // the copy of b's rows.
        let together = own.clamp(PRODUCT_ROWS / 16, PRODUCT_ROWS);
        self.blocks(together, output, |first, scratch| {
            let end = (first + together).min(self.local.output.rows as usize);
            scratch.sums.resize((end - first) * other, 0);
            let mut from = first;
            while from < end {
                let block = from / own;
                let to = end.min((block + 1) * own);
                columns(a, from, to - from, 0, k, &mut scratch.a);
                columns(b, block * other, other, 0, k, &mut scratch.b);
                let sums = &mut scratch.sums[(from - first) * other..(to - first) * other];
                device.product_small(&scratch.a, &scratch.b, k, sums)?;
                from = to;
            }
            Ok(true)
        })
    }

    /// Computes the output in blocks of rows, on every thread. `sums` computes
    /// the sums of the block that starts at a given row, if the step has any.
    pub(super) fn blocks(
        &self,
        rows: usize,
        output: &mut Tensor,
        sums: impl Fn(usize, &mut Scratch) -> Result<bool, RunError> + Sync,
    ) -> Result<(), RunError> {
        let row_bytes = self.local.output.row_bytes();
        let used = self.local.output.rows as usize * row_bytes;
        let bytes = output.bytes_mut().get_mut(..used).ok_or(RunError::Layout)?;
        let blocks = bytes.par_chunks_mut(rows * row_bytes).enumerate();
        blocks.try_for_each_init(Scratch::default, |scratch, (index, bytes)| {
            let first = index * rows;
            let sums = sums(first, scratch)?.then_some(&*scratch.sums);
            self.rows(first, sums, bytes, &mut scratch.entries)
        })
    }

    /// Computes a range of rows of the output.
    fn rows(
        &self,
        first: usize,
        sums: Option<&[i32]>,
        bytes: &mut [u8],
        entries: &mut Vec<i32>,
    ) -> Result<(), RunError> {
        let output = &self.local.output;
        let count = bytes.len() / output.row_bytes();
        let columns = output.columns as usize;
        entries.resize(count * columns, 0);
        // Exact: a tensor's rows are numbered by u32.
        let rows = first as u32..(first + count) as u32;
        let region = Region { rows, columns: 0..output.columns };
        self.local.compute(&self.slots, &region, sums, entries)?;
        let rows = bytes.chunks_exact_mut(output.row_bytes()).zip(entries.chunks_exact(columns));
        for (bytes, entries) in rows {
            write_row(output.dtype, entries, bytes);
        }
        Ok(())
    }

    pub(super) fn pair(&self) -> Result<[&Rows<'_>; 2], RunError> {
        match self.slots.0.as_slice() {
            [a, b, ..] => Ok([a, b]),
            _ => Err(RunError::Layout),
        }
    }
}

/// A block of an i8 tensor, dense.
pub(super) fn columns(
    from: &Rows<'_>,
    row: usize,
    rows: usize,
    column: usize,
    width: usize,
    to: &mut Vec<i8>,
) {
    to.clear();
    let row_bytes = from.extent.row_bytes();
    for row in from.bytes.chunks_exact(row_bytes).skip(row).take(rows) {
        to.extend_from_slice(bytemuck::cast_slice(&row[column..column + width]));
    }
}

/// Copies a block's sums, rows of `width`, into rows of `stride` from a column
/// on.
pub(super) fn scatter(sums: &[i32], width: usize, to: &mut [i32], stride: usize, column: usize) {
    for (to, sums) in to.chunks_exact_mut(stride).zip(sums.chunks_exact(width)) {
        to[column..][..width].copy_from_slice(sums);
    }
}

/// The sums of one row of groups of k columns, each with `each` rows of weights.
fn group_sums(x: &[i8], weights: &[i8], k: usize, each: usize, sums: &mut [i32]) {
    let groups = weights.chunks_exact(each * k).zip(sums.chunks_exact_mut(each));
    for (x, (weights, sums)) in x.chunks_exact(k).zip(groups) {
        for (weights, sum) in weights.chunks_exact(k).zip(sums) {
            *sum = x.iter().zip(weights).map(|(&x, &w)| i32::from(x) * i32::from(w)).sum();
        }
    }
}
