//! The parallel CPU backend, spread over tiles by rayon.
//!
//! - this file: the backend, one unit of work per tile;
//! - `noised`: operands with their noise, and the factors kept for recovery;
//! - `recover`: the thin products that turn a noised tile into an exact one.
//!
//! The product itself is [`crate::tile::TileSums`], which verifiers share.

mod noised;
mod recover;

use super::{
    Backend, BackendError, Completion, Job, Noised, Output, Prepared, Unsupported, Watch, Winner,
};
use crate::commitment::Tree;
use crate::digest::Seed;
use crate::operand::Operand;
use crate::params::Params;
use crate::statement::{Shape, Tile};
use crate::ticket::TicketKey;
use crate::tile::{StepRows, TileSums};
use core::ops::ControlFlow;
use ndarray::{ArrayViewMut2, Axis};
use noised::NoisedEntries;
use rayon::prelude::*;
use recover::Correction;
use std::sync::Arc;

/// The name of the portable kernel.
pub const SCALAR: &str = "cpu-scalar";

/// The parallel CPU backend with portable code. Takes every permitted
/// (rank, tile).
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    /// Its own threads, or those of whoever calls.
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Cpu {
    /// A backend that works on the caller's rayon pool, by default one thread
    /// per core.
    pub fn new() -> Cpu {
        Cpu::default()
    }

    /// A backend with so many threads of its own.
    ///
    /// # Errors
    /// [`BackendError::Threads`] where they cannot be started.
    pub fn with_threads(threads: usize) -> Result<Cpu, BackendError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| BackendError::Threads(error.to_string()))?;
        Ok(Cpu { pool: Some(Arc::new(pool)) })
    }

    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        SCALAR
    }

    fn supports(&self, _: &Params) -> Result<(), Unsupported> {
        Ok(())
    }

    fn prepare(&self, _: &Params, operand: Operand) -> Result<Prepared, BackendError> {
        let tree = self.run(|| Tree::new(operand.as_bytes()));
        // Row-major is the layout of the portable kernel: nothing to pack.
        Ok(Prepared::new(SCALAR, operand, tree, ()))
    }

    fn noise(
        &self,
        params: &Params,
        seed: &Seed,
        prepared: &Prepared,
    ) -> Result<Noised, BackendError> {
        let () = prepared.data(SCALAR)?;
        let entries = self.run(|| NoisedEntries::new(params, seed, prepared.operand()));
        Ok(Noised::new(prepared, seed, entries))
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let entries: &NoisedEntries = noised.data(SCALAR)?;
        Ok(entries.entries.clone())
    }

    fn multiply(
        &self,
        job: &Job<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = job.shape()?;
        job.check_output(&shape, &output)?;
        let a: &NoisedEntries = job.a.data(SCALAR)?;
        let b: &NoisedEntries = job.b.data(SCALAR)?;
        self.run(|| {
            let (memory, correction) = match output {
                Output::Tickets => (None, None),
                Output::Noised(memory) => (Some(memory), None),
                Output::Exact(memory) => (Some(memory), Some(Correction::new(job, a, b))),
            };
            let product =
                Product { job, shape, a, b, correction, key: TicketKey::new(job.a.seed()), watch };
            Ok(match product.run(memory) {
                ControlFlow::Continue(()) => Completion::Complete,
                ControlFlow::Break(()) => Completion::Stopped,
            })
        })
    }
}

/// One multiplication under way.
struct Product<'a> {
    job: &'a Job<'a>,
    shape: Shape,
    a: &'a NoisedEntries,
    b: &'a NoisedEntries,
    correction: Option<Correction<'a>>,
    key: TicketKey,
    watch: &'a dyn Watch,
}

impl Product<'_> {
    /// Goes through all tiles, strips of A outside, strips of B inside.
    fn run(&self, memory: Option<&mut [i32]>) -> ControlFlow<()> {
        let (m, n) = (self.shape.m as usize, self.shape.n as usize);
        // The size was checked: the view always exists where memory does.
        let view = memory.and_then(|memory| ArrayViewMut2::from_shape((m, n), memory).ok());
        let edge = self.job.params.tile();
        let (rows, columns) = self.shape.tiles(self.job.params);
        let scratch = || TileSums::new(self.job.params);
        match view {
            Some(mut view) => {
                view.axis_chunks_iter_mut(Axis(0), edge).into_par_iter().enumerate().try_for_each(
                    |(row, mut strip)| {
                        strip
                            .axis_chunks_iter_mut(Axis(1), edge)
                            .into_par_iter()
                            .enumerate()
                            .try_for_each_init(scratch, |sums, (column, target)| {
                                self.tile(sums, row as u32, column as u32, Some(target))
                            })
                    },
                )
            }
            None => (0..rows).into_par_iter().try_for_each(|row| {
                (0..columns)
                    .into_par_iter()
                    .try_for_each_init(scratch, |sums, column| self.tile(sums, row, column, None))
            }),
        }
    }

    /// Computes one tile, draws its ticket and writes its entries.
    fn tile(
        &self,
        sums: &mut TileSums,
        row: u32,
        column: u32,
        target: Option<ArrayViewMut2<'_, i32>>,
    ) -> ControlFlow<()> {
        let params = self.job.params;
        let (edge, rank, k) = (params.tile(), params.rank(), self.shape.k as usize);
        let a = self.a.strip(row as usize, edge, k);
        let b = self.b.strip(column as usize, edge, k);
        sums.reset();
        for first in (0..k).step_by(rank) {
            sums.add_step(
                StepRows { entries: &a[first..], stride: k },
                StepRows { entries: &b[first..], stride: k },
            );
        }
        let ticket = self.key.ticket(sums.transcript());
        if self.job.target.is_met_by(&ticket) {
            let (tile, transcript) = (Tile { row, column }, *sums.transcript());
            self.watch.winner(Winner { tile, transcript, ticket });
        }
        if let Some(mut target) = target {
            let noised = sums.sums().chunks_exact(edge);
            for (mut to, from) in target.rows_mut().into_iter().zip(noised) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            if let Some(correction) = &self.correction {
                correction.apply(row as usize, column as usize, &mut target);
            }
        }
        self.watch.advance(1)
    }
}
