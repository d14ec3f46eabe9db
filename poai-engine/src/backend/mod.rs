//! Backends: the heavy half of mining, behind one trait.
//!
//! Data flows one way: [`Backend::prepare`] commits to an operand and brings
//! it into the backend's own layout, once in its life; [`Backend::noise`]
//! noises it, once per challenge; [`Backend::multiply`] computes the noised
//! product, draws every ticket and recovers the exact product. Beside that way
//! there is the plain one, [`Backend::pack`] and [`Backend::product`], for
//! products that nobody mines.
//!
//! - [`mod@reference`]: the plain one, readable beside the spec.
//! - [`cpu`]: the parallel one.
//!
//! The crate `poai-testing` has what every backend has to pass, and two backends
//! in lock step, compared at every call.

pub mod cpu;
pub mod error;
pub mod handle;
pub mod reference;

pub use error::{BackendError, CpuChooseError, Unsupported};
pub use handle::{Noised, Plain, Prepared};

use crate::operand::Operand;
use core::fmt;
use core::ops::ControlFlow;
use poai_core::Ticket;
use poai_core::difficulty::Target;
use poai_core::digest::Seed;
use poai_core::params::Params;
use poai_core::puzzle::statement::{Shape, Side, Tile};
use poai_core::puzzle::transcript::Transcript;

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

/// Where a backend reports while it multiplies; called from any thread.
pub trait Watch: Sync {
    /// A tile has won. Called once per winning tile, in no particular order.
    fn winner(&self, winner: Winner);

    /// So many more tiles are done. `Break` asks the backend to stop soon;
    /// winners of tiles in flight may still be reported.
    fn advance(&self, tiles: u64) -> ControlFlow<()>;
}

/// What a multiplication leaves beside its tickets.
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
    /// [`BackendError::Pair`] where the operands are none.
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

/// The shape of a product of two operands, where they are a pair.
pub fn shape_of(a: &Operand, b: &Operand) -> Result<Shape, BackendError> {
    if a.side() != Side::A || b.side() != Side::B || a.k() != b.k() || a.params() != b.params() {
        return Err(BackendError::Pair);
    }
    Ok(Shape { m: a.rows(), n: b.rows(), k: a.k() })
}

/// The shape of a plain product whose memory fits, for backends.
///
/// # Errors
/// [`BackendError::Pair`], [`BackendError::Output`].
pub fn product_shape(a: &Operand, b: &Operand, memory: &[i32]) -> Result<Shape, BackendError> {
    let shape = shape_of(a, b)?;
    check_memory(&shape, memory)?;
    Ok(shape)
}

/// [`Backend::product_small`], plainly.
fn product_small(a: &[i8], b: &[i8], k: usize, memory: &mut [i32]) -> Result<(), BackendError> {
    let n = check_small(a, b, k, memory)?;
    for (a, sums) in a.chunks_exact(k).zip(memory.chunks_exact_mut(n)) {
        for (b, sum) in b.chunks_exact(k).zip(sums) {
            *sum = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        }
    }
    Ok(())
}

/// The n of a small product whose memory fits.
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

/// Checks that there is memory for exactly the product.
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
    /// Every ticket was drawn and the output is whole.
    Complete,
    /// The watch asked to stop; the output is not to be used.
    Stopped,
}

/// A unit that multiplies. Bit for bit the same as every other.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The name by which it is chosen, like `cpu-scalar`.
    fn name(&self) -> &'static str;

    /// Whether it takes a (rank, tile) pair. Every backend takes
    /// [`Params::CONSENSUS`].
    ///
    /// # Errors
    /// [`Unsupported`].
    fn supports(&self, params: &Params) -> Result<(), Unsupported>;

    /// Commits to an operand and brings it into this backend's layout.
    ///
    /// # Errors
    /// [`BackendError`].
    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError>;

    /// Noises a prepared operand under its side's seed.
    ///
    /// # Errors
    /// [`BackendError`].
    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError>;

    /// Brings a prepared operand into the layout of [`Backend::product`]
    /// without noise: once for weights that serve many plain products.
    ///
    /// # Errors
    /// [`BackendError`].
    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError>;

    /// The plain product `A·B`, row-major m×n: no noise, no tickets. The same
    /// entries as [`Output::Exact`] leaves.
    ///
    /// # Errors
    /// [`BackendError`].
    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError>;

    /// The plain product of an operand that nobody committed to with weights
    /// that were packed once, as [`Backend::product`] leaves it.
    ///
    /// # Errors
    /// [`BackendError`].
    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let a = self.pack(&self.prepare(a)?)?;
        self.product(&a, b, memory)
    }

    /// A small plain product on the calling thread: a is m×k, b is n×k, both
    /// row-major and clean, of any shape with k below 2^17; `memory` is m×n.
    /// For the products of attention, of which there are many at once.
    ///
    /// # Errors
    /// [`BackendError::Output`] where the memory has another size.
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

    /// Computes the noised product, draws every ticket and reports those that
    /// meet the target.
    ///
    /// # Errors
    /// [`BackendError`].
    fn multiply(
        &self,
        job: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError>;
}

/// A backend of this crate, and whether this machine can run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ListedCpu {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// What it asks of the machine.
    pub needs: &'static str,
    /// Whether the machine has it.
    pub present: bool,
}
