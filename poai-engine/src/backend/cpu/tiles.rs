//! The plain product of rows with packed weights, handed over tile by tile.
//!
//! A task packs a few strips of side A, which then stay in the second-level
//! cache while all of side B passes. Sums stay in a cache until the caller has
//! converted them, and no product is ever whole in memory.

use super::super::{EachPart, cut};
use super::aligned::Aligned;
use super::packed::{RankSteps, pack_strip};
use super::product::sized;
use crate::operand::OperandView;
use ndarray::{ArrayViewMut2, Axis, s};
use poai_core::puzzle::statement::Tile;
use poai_core::simd::{Block, Kernel};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Strips of side A that a task multiplies.
const STRIPS: usize = 8;

/// A thread's memory.
struct Scratch {
    /// One step, row-major.
    rows: Vec<i8>,
    /// The packed strips.
    a: Aligned<i8>,
    /// The sums of a column of tiles.
    sums: Aligned<i32>,
}

/// Multiplies `a` by packed weights and hands over every tile.
pub(super) fn run(
    kernel: &dyn Kernel,
    a: &OperandView<'_>,
    b: &RankSteps,
    each: &(dyn Fn(Tile, &[i32]) + Sync),
) {
    let (block, [down, across]) = divided(kernel, a, b);
    tasks(kernel, a, b, &block, vec![(); down * across], |(), _, tile, sums| each(tile, sums));
}

/// Multiplies `a` by packed weights, and hands over every tile with its part of an
/// output, which has `entry` bytes an entry.
///
/// Tasks own their parts, so no lock is taken for a tile. A lock would wait until all
/// that was written is out of the processor's core.
pub(super) fn run_into(
    kernel: &dyn Kernel,
    a: &OperandView<'_>,
    b: &RankSteps,
    (output, entry): (ArrayViewMut2<'_, u8>, usize),
    each: &EachPart<'_>,
) {
    let t = a.params().tile();
    let (block, _) = divided(kernel, a, b);
    let bands = cut(output, Axis(0), block.rows * t).into_iter();
    let parts = bands.flat_map(|band| cut(band, Axis(1), block.columns * t * entry)).collect();
    tasks(kernel, a, b, &block, parts, |part, first, tile, sums| {
        // Exact: tiles follow the task's first one.
        let row = (tile.row - first.row) as usize * t;
        let column = (tile.column - first.column) as usize * t * entry;
        let rows = row..part.nrows().min(row + t);
        let columns = column..part.ncols().min(column + t * entry);
        each(tile, sums, part.slice_mut(s![rows, columns]));
    });
}

/// The tiles of a task, and the number of tasks down and across.
fn divided(kernel: &dyn Kernel, a: &OperandView<'_>, b: &RankSteps) -> (Block, [usize; 2]) {
    let (strips, columns) = (a.rows() / a.params().tile(), b.strips());
    let most = Block { rows: STRIPS, columns, steps: kernel.block().steps };
    let block = sized(most, (strips, columns), rayon::current_num_threads());
    (block, [strips.div_ceil(block.rows), columns.div_ceil(block.columns)])
}

/// Computes the tiles of every task, row by row of tasks. Each task has its own part
/// of what the caller writes. `each` also gets the task's first tile.
fn tasks<S: Send>(
    kernel: &dyn Kernel,
    a: &OperandView<'_>,
    b: &RankSteps,
    block: &Block,
    parts: Vec<S>,
    each: impl Fn(&mut S, Tile, Tile, &[i32]) + Sync,
) {
    let (t, rank, k) = (a.params().tile(), a.params().rank(), a.k());
    let (strips, columns, count) = (a.rows() / t, b.strips(), b.count());
    let len = kernel.packed_len(a.params(), a.side());
    let pool = Mutex::new(Vec::new());
    let across = columns.div_ceil(block.columns);
    let task = |(index, mut own): (usize, S)| {
        let (down, right) = (index / across, index % across);
        let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = lock().pop();
        let mut scratch = taken.unwrap_or_else(|| Scratch {
            rows: vec![0; t * rank],
            a: Aligned::zeros(block.rows * count * len),
            sums: Aligned::zeros(block.rows * t * t),
        });
        let (first, left) = (down * block.rows, right * block.columns);
        let height = block.rows.min(strips - first);
        // Exact: an operand's rows fit 32 bits.
        let tile = |row: usize, column: usize| Tile { row: row as u32, column: column as u32 };
        let entries = &a.as_slice()[first * t * k..][..height * t * k];
        let packed = scratch.a.chunks_exact_mut(count * len);
        for (strip, packed) in entries.chunks_exact(t * k).zip(packed) {
            pack_strip(kernel, a.side(), (t, rank, k), strip, &mut scratch.rows, packed);
        }
        let sums = &mut scratch.sums[..height * t * t];
        for column in left..columns.min(left + block.columns) {
            for step in (0..count).step_by(block.steps) {
                let steps = step..count.min(step + block.steps);
                let mut parts: [&[i8]; STRIPS] = [&[]; _];
                let parts = &mut parts[..height];
                for (part, packed) in parts.iter_mut().zip(scratch.a.chunks_exact(count * len)) {
                    *part = &packed[steps.start * len..steps.end * len];
                }
                let b = b.steps(column, steps.clone());
                match step {
                    0 => kernel.multiply(t, parts, b, steps.len(), sums),
                    _ => kernel.accumulate(t, parts, b, steps.len(), sums),
                }
            }
            for (row, sums) in (first..).zip(sums.chunks_exact(t * t)) {
                each(&mut own, tile(first, left), tile(row, column), sums);
            }
        }
        lock().push(scratch);
    };
    parts.into_par_iter().enumerate().for_each(task);
}
