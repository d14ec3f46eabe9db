//! Backends: the expensive part of mining, behind one trait.
//!
//! A mined product takes three calls. [`Backend::prepare`] commits to an
//! operand and converts it to the backend's own layout, once per operand.
//! [`Backend::noise`] noises it, once per challenge. [`Backend::multiply`]
//! computes the noised product, draws every ticket and recovers the exact
//! product. For products that are not mined there are [`Backend::pack`] and
//! [`Backend::product`].
//!
//! - [`mod@reference`]: the plain backend, readable beside the spec.
//! - [`cpu`]: the parallel backend.
//!
//! The crate `poai-testing` has the tests that every backend must pass. It also
//! has a backend that runs two others in lock step and compares them at every
//! call.

pub mod cpu;
mod error;
mod handle;
pub mod reference;

pub use error::{BackendError, ChooseError, REFERENCE, Unsupported};
pub use handle::{Noised, Plain, Prepared};

use crate::operand::{Operand, OperandView};
use core::fmt;
use core::ops::ControlFlow;
use ndarray::{ArrayViewMut2, Axis, s};
use poai_core::Ticket;
use poai_core::difficulty::Target;
use poai_core::digest::Seed;
use poai_core::params::Params;
use poai_core::puzzle::statement::{Shape, Side, Tile};
use poai_core::puzzle::transcript::Transcript;
use std::sync::{Mutex, PoisonError};

/// A tile whose ticket meets the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Winner {
    /// The tile.
    pub tile: Tile,
    /// Its transcript.
    pub transcript: Transcript,
    /// Its ticket.
    pub ticket: Ticket,
}

/// Receives reports while a backend multiplies; called from any thread.
pub trait Watch: Sync {
    /// A tile has won. The backend calls this once per winning tile, in no
    /// particular order.
    fn winner(&self, winner: Winner);

    /// `tiles` more tiles are done. `Break` asks the backend to stop soon; it
    /// may still report winners of tiles in flight.
    fn advance(&self, tiles: u64) -> ControlFlow<()>;
}

/// What a multiplication leaves in addition to its tickets.
#[derive(Debug)]
pub enum Output<'a> {
    /// Nothing: only tickets are drawn.
    Tickets,
    /// The noised product `A'·B'`, row-major m×n.
    Noised(&'a mut [i32]),
    /// The exact product `A·B`, row-major m×n.
    Exact(&'a mut [i32]),
}

/// One multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Multiplication<'a> {
    /// Side A, noised.
    pub a: &'a Noised,
    /// Side B, noised.
    pub b: &'a Noised,
    /// The largest winning ticket.
    pub target: Target,
}

impl Multiplication<'_> {
    /// Rank and tile.
    pub fn params(&self) -> &Params {
        self.a.operand().params()
    }

    /// The shape of the product.
    ///
    /// # Errors
    /// [`BackendError::Pair`] if the operands do not form a pair.
    pub fn shape(&self) -> Result<Shape, BackendError> {
        shape_of(self.a.operand(), self.b.operand())
    }

    /// Checks that the output has the product's size.
    ///
    /// # Errors
    /// [`BackendError::Output`].
    pub fn check_output(&self, shape: &Shape, output: &Output<'_>) -> Result<(), BackendError> {
        match output {
            Output::Tickets => Ok(()),
            Output::Noised(memory) | Output::Exact(memory) => check_memory(shape, memory),
        }
    }
}

/// The shape of a product of two operands, if they form a pair.
pub fn shape_of(a: &Operand, b: &Operand) -> Result<Shape, BackendError> {
    if a.side() != Side::A || b.side() != Side::B || a.k() != b.k() || a.params() != b.params() {
        return Err(BackendError::Pair);
    }
    Ok(Shape { m: a.rows(), n: b.rows(), k: a.k() })
}

/// The shape of a plain product, for backends. Checks that `memory` has its
/// size.
///
/// # Errors
/// [`BackendError::Pair`], [`BackendError::Output`].
pub fn product_shape(a: &Operand, b: &Operand, memory: &[i32]) -> Result<Shape, BackendError> {
    let shape = shape_of(a, b)?;
    check_memory(&shape, memory)?;
    Ok(shape)
}

/// Rows of a product that a backend multiplies before it hands over their
/// tiles. The block is small enough that its sums are still in a cache.
pub(crate) const PRODUCT_ROWS: usize = 512;

/// [`Backend::apply_tiles`] by a function that multiplies a block of rows into
/// memory.
fn tiles_of_blocks(
    a: OperandView<'_>,
    b: &Plain,
    each: &(dyn Fn(Tile, &[i32]) + Sync),
    mut apply: impl FnMut(Operand, &mut [i32]) -> Result<(), BackendError>,
) -> Result<(), BackendError> {
    let (tile, n) = (a.params().tile(), b.operand().rows() as usize);
    let block_rows = PRODUCT_ROWS / tile * tile;
    let (mut memory, mut sums) = (vec![], vec![0; tile * tile]);
    for first in (0..a.rows()).step_by(block_rows.max(tile)) {
        let rows = first..a.rows().min(first + block_rows.max(tile));
        let block = a.strips(rows.clone()).ok_or(BackendError::Pair)?;
        memory.resize(rows.len() * n, 0);
        apply(block.to_operand(), &mut memory)?;
        for (row, strip) in (first / tile..).zip(memory.chunks_exact(tile * n)) {
            for column in 0..n / tile {
                for (to, from) in sums.chunks_exact_mut(tile).zip(strip.chunks_exact(n)) {
                    to.copy_from_slice(&from[column * tile..][..tile]);
                }
                // Exact: an operand's rows fit 32 bits.
                each(Tile { row: row as u32, column: column as u32 }, &sums);
            }
        }
    }
    Ok(())
}

/// [`Backend::product_small`] as plain loops.
fn product_small(a: &[i8], b: &[i8], k: usize, memory: &mut [i32]) -> Result<(), BackendError> {
    let n = check_small(a, b, k, memory)?;
    for (a, sums) in a.chunks_exact(k).zip(memory.chunks_exact_mut(n)) {
        for (b, sum) in b.chunks_exact(k).zip(sums) {
            *sum = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        }
    }
    Ok(())
}

/// What [`Backend::apply_into`] calls for each tile: the tile, its sums, and its part
/// of the output.
pub type EachPart<'a> = dyn Fn(Tile, &[i32], ArrayViewMut2<'_, u8>) + Sync + 'a;

/// Checks that an output of `entry` bytes an entry has a part for each tile.
fn check_output(
    a: &OperandView<'_>,
    b: &Plain,
    output: &ArrayViewMut2<'_, u8>,
    entry: usize,
) -> Result<(), BackendError> {
    let tile = a.params().tile();
    let (rows, columns) = (a.rows(), b.operand().rows() as usize);
    let fits = |whole: usize, got: usize, unit: usize| {
        got <= whole * unit && got.div_ceil(tile * unit.max(1)) == whole / tile
    };
    if fits(rows, output.nrows(), 1) && fits(columns, output.ncols(), entry) {
        return Ok(());
    }
    Err(BackendError::Output { expected: rows * columns * entry, got: output.len() })
}

/// Cuts a matrix into parts of `each` rows or columns; the last may have fewer.
fn cut(whole: ArrayViewMut2<'_, u8>, axis: Axis, each: usize) -> Vec<ArrayViewMut2<'_, u8>> {
    let (mut rest, mut parts) = (whole, vec![]);
    while rest.len_of(axis) > each {
        let (first, others) = rest.split_at(axis, each);
        parts.push(first);
        rest = others;
    }
    parts.push(rest);
    parts
}

/// The n of a small product. Checks that `memory` has its size.
pub fn check_small(a: &[i8], b: &[i8], k: usize, memory: &[i32]) -> Result<usize, BackendError> {
    let whole = |entries: usize| entries.checked_div(k).filter(|rows| rows * k == entries);
    let expected = whole(a.len()).zip(whole(b.len()));
    let expected = expected.filter(|_| k < poai_core::params::K_END as usize);
    match expected {
        Some((m, n)) if n > 0 && m * n == memory.len() => Ok(n),
        _ => {
            let expected = expected.map_or(0, |(m, n)| m * n);
            Err(BackendError::Output { expected, got: memory.len() })
        }
    }
}

/// Checks that `memory` has exactly the size of the product.
pub fn check_memory(shape: &Shape, memory: &[i32]) -> Result<(), BackendError> {
    let (expected, got) = (shape.m as usize * shape.n as usize, memory.len());
    if expected != got {
        return Err(BackendError::Output { expected, got });
    }
    Ok(())
}

/// Whether a multiplication went through every tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Completion {
    /// The backend drew every ticket, and the output is whole.
    Complete,
    /// The watch asked to stop; the caller must not use the output.
    Stopped,
}

/// A unit that multiplies, with the same results as every other, bit for bit.
///
/// Every backend supports [`Params::CONSENSUS`]. The tester of `poai-testing`
/// checks this rule, and [`crate::Miner::new`] relies on it.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The name that selects the backend, such as `cpu-scalar`.
    fn name(&self) -> &'static str;

    /// Checks whether the backend supports a (rank, tile) pair. Every backend
    /// supports [`Params::CONSENSUS`].
    ///
    /// # Errors
    /// [`Unsupported`].
    fn supports(&self, params: &Params) -> Result<(), Unsupported>;

    /// An upper bound of the host's memory, in bytes, that mining a product of
    /// this shape takes at its peak. It includes the exact product and
    /// everything made from the two matrices, but not the matrices.
    fn memory_bytes(&self, params: &Params, shape: &Shape) -> u64;

    /// Commits to an operand and converts it to this backend's layout.
    ///
    /// # Errors
    /// [`BackendError`].
    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError>;

    /// Noises a prepared operand under its side's seed.
    ///
    /// # Errors
    /// [`BackendError`].
    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError>;

    /// Converts a prepared operand to the layout of [`Backend::product`],
    /// without noise. Weights that serve many plain products need this once.
    ///
    /// # Errors
    /// [`BackendError`].
    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError>;

    /// As [`Backend::pack`], for an operand that serves few products and that
    /// nothing has committed to.
    ///
    /// # Errors
    /// [`BackendError`].
    fn pack_operand(&self, operand: Operand) -> Result<Plain, BackendError> {
        self.pack(&self.prepare(operand)?)
    }

    /// The plain product `A·B`, row-major m×n, without noise or tickets. The
    /// entries are those of [`Output::Exact`].
    ///
    /// # Errors
    /// [`BackendError`].
    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError>;

    /// The plain product of an uncommitted operand with weights that were
    /// packed once. The result is that of [`Backend::product`].
    ///
    /// # Errors
    /// [`BackendError`].
    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let a = self.pack(&self.prepare(a)?)?;
        self.product(&a, b, memory)
    }

    /// The product of [`Backend::apply`], handed over tile by tile: `each` gets
    /// the tile and its row-major sums, in any order and on any thread. The
    /// caller converts the sums while they are in a cache.
    ///
    /// # Errors
    /// [`BackendError`].
    fn apply_tiles(
        &self,
        a: OperandView<'_>,
        b: &Plain,
        each: &(dyn Fn(Tile, &[i32]) + Sync),
    ) -> Result<(), BackendError> {
        tiles_of_blocks(a, b, each, |a, memory| self.apply(a, b, memory))
    }

    /// As [`Backend::apply_tiles`], for a caller that writes an output: `each` also
    /// gets the part of `output` that belongs to the tile. `output` has a row for each
    /// row of the product and `entry` bytes for each column, without all or some of
    /// the last strip's padding.
    ///
    /// # Errors
    /// [`BackendError`].
    fn apply_into(
        &self,
        a: OperandView<'_>,
        b: &Plain,
        output: ArrayViewMut2<'_, u8>,
        entry: usize,
        each: &EachPart<'_>,
    ) -> Result<(), BackendError> {
        let tile = a.params().tile();
        check_output(&a, b, &output, entry)?;
        let strips = cut(output, Axis(0), tile).into_iter().map(Mutex::new);
        let strips: Vec<Mutex<ArrayViewMut2<'_, u8>>> = strips.collect();
        self.apply_tiles(a, b, &|place, sums| {
            // The output has a row of every strip.
            let Some(strip) = strips.get(place.row as usize) else { return };
            let mut strip = strip.lock().unwrap_or_else(PoisonError::into_inner);
            let first = place.column as usize * tile * entry;
            let columns = first..strip.ncols().min(first + tile * entry);
            each(place, sums, strip.slice_mut(s![.., columns]));
        })
    }

    /// A small plain product on the calling thread: `a` is m×k and `b` is n×k,
    /// both row-major and clean. Any shape with k below 2^17 is valid; `memory`
    /// is m×n. It serves products of values and of groups, of which many run at
    /// once.
    ///
    /// # Errors
    /// [`BackendError::Output`] if `memory` has another size.
    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        product_small(a, b, k, memory)
    }

    /// The noised entries, row-major, for comparing backends.
    ///
    /// # Errors
    /// [`BackendError`].
    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError>;

    /// Computes the noised product, draws every ticket and reports the tickets
    /// that meet the target.
    ///
    /// # Errors
    /// [`BackendError`].
    fn multiply(
        &self,
        multiplication: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError>;
}

/// A backend of this crate, and whether this machine can run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ListedCpu {
    /// The name that selects the backend.
    pub name: &'static str,
    /// What the backend needs from the machine.
    pub needs: &'static str,
    /// Whether the machine meets the needs.
    pub present: bool,
}
