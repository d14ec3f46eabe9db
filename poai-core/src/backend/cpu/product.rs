//! The walk over all tiles of a product.
//!
//! Work is cut into blocks of strips: within a block each step of side B is
//! read once into the nearest cache and serves several strips of side A.

use super::noised::NoisedEntries;
use super::packed::Steps;
use super::recover::Correction;
use crate::backend::{Job, Watch, Winner};
use crate::kernel::Kernel;
use crate::params::Params;
use crate::statement::{Shape, Tile};
use crate::ticket::TicketKey;
use crate::transcript::Transcript;
use core::ops::ControlFlow;
use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Strips of A in a block: their steps stay in the second cache.
const BLOCK_ROWS: usize = 8;
/// Strips of B in a block: enough work to be worth a task.
const BLOCK_COLUMNS: usize = 8;

/// One multiplication under way.
pub(super) struct Product<'a> {
    pub(super) kernel: &'a dyn Kernel,
    pub(super) job: &'a Job<'a>,
    pub(super) shape: Shape,
    pub(super) a: &'a NoisedEntries,
    pub(super) b: &'a NoisedEntries,
    pub(super) correction: Option<Correction>,
    pub(super) key: TicketKey,
    pub(super) watch: &'a dyn Watch,
}

/// A tile in the making.
#[derive(Clone)]
struct Making {
    sums: Vec<i32>,
    transcript: Transcript,
}

impl Product<'_> {
    /// Goes through all blocks.
    pub(super) fn run(&self, memory: Option<&mut [i32]>) -> ControlFlow<()> {
        let (m, n) = (self.shape.m as usize, self.shape.n as usize);
        let t = self.job.params().tile();
        // The size was checked: the view always exists where memory does.
        let view = memory.and_then(|memory| ArrayViewMut2::from_shape((m, n), memory).ok());
        let (height, width) = (t * BLOCK_ROWS, t * BLOCK_COLUMNS);
        match view {
            Some(mut view) => {
                view.axis_chunks_iter_mut(Axis(0), height).into_par_iter().enumerate().try_for_each(
                    |(row, mut rows)| {
                        rows.axis_chunks_iter_mut(Axis(1), width)
                            .into_par_iter()
                            .enumerate()
                            .try_for_each_init(
                                || self.making(),
                                |making, (column, target)| {
                                    self.block(making, row, column, Some(target))
                                },
                            )
                    },
                )
            }
            None => (0..m.div_ceil(height)).into_par_iter().try_for_each(|row| {
                (0..n.div_ceil(width)).into_par_iter().try_for_each_init(
                    || self.making(),
                    |making, column| self.block(making, row, column, None),
                )
            }),
        }
    }

    fn making(&self) -> Vec<Making> {
        let t = self.job.params().tile();
        vec![Making { sums: vec![0; t * t], transcript: Transcript::default() }; BLOCK_ROWS]
    }

    /// One block, a column of tiles at a time.
    fn block(
        &self,
        making: &mut [Making],
        row: usize,
        column: usize,
        mut target: Option<ArrayViewMut2<'_, i32>>,
    ) -> ControlFlow<()> {
        let (rows, columns) = self.shape.tiles(self.job.params());
        let first_row = row * BLOCK_ROWS;
        let making = &mut making[..BLOCK_ROWS.min(rows as usize - first_row)];
        let first_column = column * BLOCK_COLUMNS;
        let columns = BLOCK_COLUMNS.min(columns as usize - first_column);
        for column in first_column..first_column + columns {
            self.multiply(making, first_row, column);
            for (row, making) in (first_row..).zip(making.iter_mut()) {
                let tile = Tile { row: row as u32, column: column as u32 };
                self.draw(tile, &making.transcript);
                if let Some(target) = &mut target {
                    self.write(
                        making,
                        row,
                        column,
                        (row - first_row, column - first_column),
                        target,
                    );
                }
            }
            self.watch.advance(making.len() as u64)?;
        }
        ControlFlow::Continue(())
    }

    /// The sums and transcripts of a column of tiles.
    fn multiply(&self, making: &mut [Making], first_row: usize, column: usize) {
        let t = self.job.params().tile();
        for making in making.iter_mut() {
            making.sums.fill(0);
            making.transcript = Transcript::default();
        }
        for step in 0..self.a.steps.count() {
            let b = self.b.steps.step(column, step);
            for (row, making) in (first_row..).zip(making.iter_mut()) {
                let x = self.kernel.step(t, self.a.steps.step(row, step), b, &mut making.sums);
                making.transcript.fold(step as u32, x);
            }
        }
    }

    /// Draws a tile's ticket.
    fn draw(&self, tile: Tile, transcript: &Transcript) {
        let ticket = self.key.ticket(transcript);
        if self.job.target.is_met_by(&ticket) {
            self.watch.winner(Winner { tile, transcript: *transcript, ticket });
        }
    }

    /// Recovers a tile where that is asked for, and writes it into its place
    /// in the block, counted in tiles.
    fn write(
        &self,
        making: &mut Making,
        row: usize,
        column: usize,
        (i, j): (usize, usize),
        target: &mut ArrayViewMut2<'_, i32>,
    ) {
        let (t, rank) = (self.job.params().tile(), self.job.params().rank());
        if let Some(correction) = &self.correction {
            correction.apply(self.kernel, t, row, column, rank, &mut making.sums);
        }
        let mut place = target.slice_mut(ndarray::s![i * t..(i + 1) * t, j * t..(j + 1) * t]);
        for (mut to, from) in place.rows_mut().into_iter().zip(making.sums.chunks_exact(t)) {
            if let Some(to) = to.as_slice_mut() {
                to.copy_from_slice(from);
            }
        }
    }
}

/// The plain product of two packed operands, m×n, on every thread.
pub(super) fn plain(
    kernel: &dyn Kernel,
    params: &Params,
    shape: &Shape,
    a: &Steps,
    b: &Steps,
    memory: &mut [i32],
) {
    let (t, n) = (params.tile(), shape.n as usize);
    let (_, columns) = shape.tiles(params);
    memory.par_chunks_mut(BLOCK_ROWS * t * n).enumerate().for_each_init(
        || vec![0; t * t],
        |sums, (block, memory)| {
            for column in 0..columns as usize {
                for (row, memory) in memory.chunks_exact_mut(t * n).enumerate() {
                    sums.fill(0);
                    kernel.accumulate(
                        t,
                        a.strip(block * BLOCK_ROWS + row),
                        b.strip(column),
                        a.count(),
                        sums,
                    );
                    for (to, from) in memory.chunks_exact_mut(n).zip(sums.chunks_exact(t)) {
                        to[column * t..][..t].copy_from_slice(from);
                    }
                }
            }
        },
    );
}
