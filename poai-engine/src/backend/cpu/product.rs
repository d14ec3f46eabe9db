//! The loop over all tiles of a product, with or without tickets.
//!
//! Work is cut into blocks of tiles, one task each. Within a block, a few
//! rank-steps of one strip of side B stay in the nearest cache and serve all
//! strips of side A. Then the same steps of the next strip follow, and then the
//! next few steps. The loop allocates nothing: each thread takes its scratch
//! memory from a pool.

use super::aligned::Aligned;
use super::packed::RankSteps;
use super::recover::Correction;
use crate::backend::{Watch, Winner};
use core::ops::{ControlFlow, Range};
use ndarray::{ArrayViewMut2, Axis};
use poai_core::difficulty::Target;
use poai_core::params::Params;
use poai_core::puzzle::statement::{Shape, Tile};
use poai_core::puzzle::ticket::TicketKey;
use poai_core::puzzle::transcript::Transcript;
use poai_core::simd::{Block, Kernel};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Tasks per thread: enough that all threads finish at about the same time.
const TASKS: usize = 4;

/// One multiplication.
pub(super) struct Product<'a> {
    pub(super) kernel: &'a dyn Kernel,
    pub(super) params: &'a Params,
    pub(super) shape: Shape,
    pub(super) a: &'a RankSteps,
    pub(super) b: &'a RankSteps,
    /// How tickets are drawn; `None` for a product without tickets.
    pub(super) tickets: Option<Tickets<'a>>,
    /// The correction that is subtracted from the tiles before they are
    /// written, if any.
    pub(super) correction: Option<Correction>,
}

/// The inputs and outputs of ticket drawing.
pub(super) struct Tickets<'a> {
    pub(super) key: TicketKey,
    pub(super) target: Target,
    pub(super) watch: &'a dyn Watch,
}

/// The partial sums and transcripts of a block's tiles, column by column.
struct Scratch {
    sums: Aligned<i32>,
    transcripts: Vec<Transcript>,
}

/// The rows and columns of one block of tiles.
struct Place {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'a> Product<'a> {
    /// The product of two packed operands, without tickets.
    pub(super) fn new(
        kernel: &'a dyn Kernel,
        params: &'a Params,
        shape: Shape,
        a: &'a RankSteps,
        b: &'a RankSteps,
    ) -> Product<'a> {
        Product { kernel, params, shape, a, b, tickets: None, correction: None }
    }

    /// Computes all blocks.
    pub(super) fn run(&self, memory: Option<&mut [i32]>) -> ControlFlow<()> {
        let t = self.params.tile();
        let (rows, columns) = self.shape.tiles(self.params);
        let (rows, columns) = (rows as usize, columns as usize);
        let block = sized(self.kernel.block(), (rows, columns), rayon::current_num_threads());
        let pool = Mutex::new(Vec::new());
        let place = |i: usize, j: usize| Place {
            rows: i * block.rows..rows.min((i + 1) * block.rows),
            columns: j * block.columns..columns.min((j + 1) * block.columns),
        };
        let task = |place: Place, target: Option<ArrayViewMut2<'_, i32>>| {
            let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = lock().pop();
            let mut scratch = taken.unwrap_or_else(|| self.scratch(&block));
            self.multiply(&place, block.steps, &mut scratch);
            self.finish(&place, &mut scratch, target);
            lock().push(scratch);
            match &self.tickets {
                Some(tickets) => {
                    tickets.watch.advance((place.rows.len() * place.columns.len()) as u64)
                }
                None => ControlFlow::Continue(()),
            }
        };
        let dim = (rows * t, columns * t);
        let view = memory.map(|memory| {
            ArrayViewMut2::from_shape(dim, memory).expect("the backend has checked the size")
        });
        match view {
            Some(mut view) => {
                let bands = view.axis_chunks_iter_mut(Axis(0), block.rows * t).into_par_iter();
                bands.enumerate().try_for_each(|(i, mut band)| {
                    let targets =
                        band.axis_chunks_iter_mut(Axis(1), block.columns * t).into_par_iter();
                    targets.enumerate().try_for_each(|(j, target)| task(place(i, j), Some(target)))
                })
            }
            None => (0..rows.div_ceil(block.rows)).into_par_iter().try_for_each(|i| {
                let columns = (0..columns.div_ceil(block.columns)).into_par_iter();
                columns.try_for_each(|j| task(place(i, j), None))
            }),
        }
    }

    fn scratch(&self, block: &Block) -> Scratch {
        let tiles = block.rows * block.columns;
        let sums = Aligned::zeros(tiles * self.params.tile().pow(2));
        Scratch { sums, transcripts: vec![Transcript::default(); tiles] }
    }

    /// Computes the sums and transcripts of a block.
    fn multiply(&self, place: &Place, steps: usize, scratch: &mut Scratch) {
        let t = self.params.tile();
        let height = place.rows.len();
        let tiles = height * place.columns.len();
        scratch.sums[..tiles * t * t].fill(0);
        scratch.transcripts[..tiles].fill(Transcript::default());
        for first in (0..self.a.count()).step_by(steps) {
            let steps = first..self.a.count().min(first + steps);
            let mut a: [&[i8]; Block::ROWS_MAX] = [&[]; _];
            let a = &mut a[..height];
            for (a, row) in a.iter_mut().zip(place.rows.clone()) {
                *a = self.a.steps(row, steps.clone());
            }
            let sums = scratch.sums.chunks_exact_mut(height * t * t);
            let transcripts = scratch.transcripts.chunks_exact_mut(height);
            for (column, (sums, transcripts)) in place.columns.clone().zip(sums.zip(transcripts)) {
                let b = self.b.steps(column, steps.clone());
                if self.tickets.is_none() {
                    self.kernel.accumulate(t, a, b, steps.len(), sums);
                    continue;
                }
                let mut xs = [0; Block::ROWS_MAX * Block::STEPS_MAX];
                let xs = &mut xs[..height * steps.len()];
                self.kernel.fold(t, a, b, sums, xs);
                for (transcript, xs) in transcripts.iter_mut().zip(xs.chunks_exact(steps.len())) {
                    for (step, &x) in steps.clone().zip(xs) {
                        // Exact: fewer than 2^17 steps.
                        transcript.fold(step as u32, x);
                    }
                }
            }
        }
    }

    /// Draws a block's tickets, recovers its tiles if requested, and writes
    /// them into their place.
    fn finish(
        &self,
        place: &Place,
        scratch: &mut Scratch,
        mut target: Option<ArrayViewMut2<'_, i32>>,
    ) {
        let t = self.params.tile();
        let height = place.rows.len();
        let sums = scratch.sums.chunks_exact_mut(height * t * t);
        let transcripts = scratch.transcripts.chunks_exact(height);
        for (j, (column, (sums, transcripts))) in
            place.columns.clone().zip(sums.zip(transcripts)).enumerate()
        {
            if let Some(tickets) = &self.tickets {
                for (row, transcript) in place.rows.clone().zip(transcripts) {
                    // Exact: there are at most 2^32 − 1 rows and columns.
                    tickets.draw(Tile { row: row as u32, column: column as u32 }, transcript);
                }
            }
            let Some(target) = &mut target else { continue };
            if let Some(correction) = &self.correction {
                correction.apply(self.kernel, self.params, place.rows.clone(), column, sums);
            }
            // The column's tiles are stacked vertically, both in scratch memory
            // and in the product.
            let mut target = target.slice_mut(ndarray::s![.., j * t..(j + 1) * t]);
            for (mut to, from) in target.rows_mut().into_iter().zip(sums.chunks_exact(t)) {
                to.as_slice_mut().expect("rows are contiguous").copy_from_slice(from);
            }
        }
    }
}

impl Tickets<'_> {
    /// Draws a tile's ticket.
    fn draw(&self, tile: Tile, transcript: &Transcript) {
        let ticket = self.key.ticket(transcript);
        if self.target.is_met_by(&ticket) {
            self.watch.winner(Winner { tile, transcript: *transcript, ticket });
        }
    }
}

/// A kernel's block, halved until every thread gets its tasks. This also
/// spreads products of few rows or columns.
pub(super) fn sized(block: Block, (rows, columns): (usize, usize), threads: usize) -> Block {
    let mut block =
        Block { rows: block.rows.min(rows), columns: block.columns.min(columns), ..block };
    let tasks = |block: &Block| rows.div_ceil(block.rows) * columns.div_ceil(block.columns);
    while block.rows * block.columns > 1 && tasks(&block) < TASKS * threads {
        if block.rows > block.columns {
            block.rows = block.rows.div_ceil(2);
        } else {
            block.columns = block.columns.div_ceil(2);
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks every kernel's block for every small product. No block is without
    /// tiles or larger than the kernel's, and there are enough blocks to feed
    /// every thread.
    #[test]
    fn blocks_feed_every_thread() {
        const SIZES: Range<usize> = 1..if cfg!(miri) { 8 } else { 40 };
        let kernels = poai_core::simd::ALL.iter().filter_map(|entry| (entry.find)());
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        let kernels = kernels.chain(poai_testing::amx::emulated());
        for kernel in kernels {
            let most = kernel.block();
            assert!(most.rows <= Block::ROWS_MAX && most.steps <= Block::STEPS_MAX);
            for (rows, columns) in SIZES.flat_map(|rows| SIZES.map(move |columns| (rows, columns)))
            {
                let block = sized(most, (rows, columns), 4);
                assert!((1..=most.rows).contains(&block.rows));
                assert!((1..=most.columns).contains(&block.columns));
                let tasks = rows.div_ceil(block.rows) * columns.div_ceil(block.columns);
                assert!(tasks >= (TASKS * 4).min(rows * columns), "{rows}×{columns}: {block:?}");
            }
        }
    }
}
