//! The plain product of rows with packed weights, handed over tile by tile.
//!
//! A task packs a few strips of side A, which then stay in the second-level
//! cache while all of side B passes. Sums stay in a cache until the caller has
//! converted them, and no product is ever whole in memory.

use super::aligned::Aligned;
use super::packed::{RankSteps, pack_strip};
use super::product::sized;
use crate::operand::OperandView;
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
    let (t, rank, k) = (a.params().tile(), a.params().rank(), a.k());
    let (strips, columns, count) = (a.rows() / t, b.strips(), b.count());
    let len = kernel.packed_len(a.params(), a.side());
    let most = Block { rows: STRIPS, columns, steps: kernel.block().steps };
    let block = sized(most, (strips, columns), rayon::current_num_threads());
    let pool = Mutex::new(Vec::new());
    let across = columns.div_ceil(block.columns);
    let task = |index: usize| {
        let (down, right) = (index / across, index % across);
        let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = lock().pop();
        let mut scratch = taken.unwrap_or_else(|| Scratch {
            rows: vec![0; t * rank],
            a: Aligned::zeros(block.rows * count * len),
            sums: Aligned::zeros(block.rows * t * t),
        });
        let first = down * block.rows;
        let height = block.rows.min(strips - first);
        let own = &a.as_slice()[first * t * k..][..height * t * k];
        for (strip, packed) in own.chunks_exact(t * k).zip(scratch.a.chunks_exact_mut(count * len))
        {
            pack_strip(kernel, a.side(), (t, rank, k), strip, &mut scratch.rows, packed);
        }
        let sums = &mut scratch.sums[..height * t * t];
        for column in right * block.columns..columns.min((right + 1) * block.columns) {
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
                // Exact: an operand's rows fit 32 bits.
                each(Tile { row: row as u32, column: column as u32 }, sums);
            }
        }
        lock().push(scratch);
    };
    (0..strips.div_ceil(block.rows) * across).into_par_iter().for_each(task);
}
