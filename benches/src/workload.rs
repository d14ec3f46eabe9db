//! A product to measure: prepared operands, and each operation of a backend as
//! one call.

use crate::Failure;
use poai_core::puzzle::seeds::{seed_a, seed_b};
use poai_core::*;
use poai_engine::backend::{
    Backend, BackendError, Multiplication, Noised, Output, Plain, Prepared, Watch, Winner,
};
use poai_engine::*;
use std::cell::{OnceCell, RefCell};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Rank and tile of every benchmark.
pub const P: Params = Params::CONSENSUS;

/// Pseudo-random operands of one shape on one backend.
pub struct Workload<'a> {
    backend: &'a dyn Backend,
    shape: Shape,
    a: Prepared,
    bt: Prepared,
    /// Made on first use, because not every measurement multiplies plainly.
    plain_bt: OnceCell<Plain>,
    /// Memory of the product, made on first use.
    memory: RefCell<Vec<i32>>,
}

/// A watch that ignores all reports.
struct Ignored;

impl Watch for Ignored {
    fn winner(&self, _: Winner) {}
    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Draws the tickets of noised operands and does nothing else.
///
/// # Errors
/// Any error of the backend.
pub fn draw(backend: &dyn Backend, a: &Noised, b: &Noised) -> Result<(), BackendError> {
    let target = Difficulty::BLOCK_MIN.target(&P, a.operand().k());
    backend.multiply(&Multiplication { a, b, target }, Output::Tickets, &Ignored).map(drop)
}

/// A watch that keeps every winner.
#[derive(Default)]
struct Everybody(Mutex<Vec<Winner>>);

impl Watch for Everybody {
    fn winner(&self, winner: Winner) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(winner);
    }
    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The shape of a product of square matrices of this size.
pub fn cube(size: u32) -> Shape {
    Shape { m: size, n: size, k: size }
}

impl<'a> Workload<'a> {
    /// Prepares both operands.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn new(backend: &'a dyn Backend, shape: Shape) -> Result<Workload<'a>, Failure> {
        // Two different operands. The product of an operand with itself is
        // symmetric and would hide rows confused with columns.
        let operand = |side: Side, rows: u32| {
            let seed = format!("benchmark {side}");
            Operand::pseudorandom(&P, side, seed.as_bytes(), rows as usize, shape.k as usize)
        };
        let a = backend.prepare(operand(Side::A, shape.m)?)?;
        let bt = backend.prepare(operand(Side::B, shape.n)?)?;
        let (plain_bt, memory) = (OnceCell::new(), RefCell::default());
        Ok(Workload { backend, shape, a, bt, plain_bt, memory })
    }

    /// Multiply-accumulates of the product.
    pub fn macs(&self) -> f64 {
        self.shape.macs() as f64
    }

    /// The operand of a side, committed.
    pub fn prepared(&self, side: Side) -> &Prepared {
        match side {
            Side::A => &self.a,
            Side::B => &self.bt,
        }
    }

    /// The plain product. The right operand is packed on the first call.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn plain(&self) -> Result<(), BackendError> {
        let bt = match self.plain_bt.get() {
            Some(bt) => bt,
            None => {
                let packed = self.backend.pack(&self.bt)?;
                self.plain_bt.get_or_init(|| packed)
            }
        };
        let a = self.backend.pack(&self.a)?;
        self.backend.product(&a, bt, self.memory().as_mut_slice())
    }

    /// The work of a ticketed product: A is committed, both sides are noised
    /// and every ticket is drawn. Only the right operand is prepared in
    /// advance.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn ticketed(&self) -> Result<(), BackendError> {
        let (a, b) = self.noise()?;
        self.multiply(&a, &b, false)
    }

    /// The same with the exact product.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn recovered(&self) -> Result<(), BackendError> {
        let (a, b) = self.noise()?;
        self.multiply(&a, &b, true)
    }

    /// Commits to A.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn commit(&self) -> Result<Prepared, BackendError> {
        self.backend.prepare(self.a.operand().clone())
    }

    /// Commits to A and noises both sides.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn noise(&self) -> Result<(Noised, Noised), BackendError> {
        let a = self.commit()?;
        self.noise_committed(&a)
    }

    /// Noises both sides after A was committed.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn noise_committed(&self, a: &Prepared) -> Result<(Noised, Noised), BackendError> {
        let Shape { m, n, k } = self.shape;
        let seed_b = seed_b(&P, &Challenge::default(), n, k, self.bt.root());
        let seed_a = seed_a(&seed_b, m, a.root());
        Ok((self.backend.noise(&seed_a, a)?, self.backend.noise(&seed_b, &self.bt)?))
    }

    /// Draws every ticket of noised operands, and recovers the product if
    /// `exact`.
    ///
    /// # Errors
    /// Any error of the backend.
    pub fn multiply(&self, a: &Noised, b: &Noised, exact: bool) -> Result<(), BackendError> {
        if !exact {
            return draw(self.backend, a, b);
        }
        let target = Difficulty::BLOCK_MIN.target(&P, self.shape.k);
        let output = Output::Exact(&mut self.memory());
        self.backend.multiply(&Multiplication { a, b, target }, output, &Ignored).map(drop)
    }

    /// Every tile's transcript, row by row.
    ///
    /// # Errors
    /// Any error of the backend, or that it omitted tiles.
    pub fn transcripts(&self) -> Result<Vec<Transcript>, Failure> {
        let (a, b) = self.noise()?;
        let target = Difficulty::ONE.target(&P, self.shape.k);
        let watch = Everybody::default();
        self.backend.multiply(&Multiplication { a: &a, b: &b, target }, Output::Tickets, &watch)?;
        let mut winners = watch.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        winners.sort_by_key(|winner| (winner.tile.row, winner.tile.column));
        let tickets = self.shape.tickets(&P);
        if winners.len() as u64 != tickets {
            return Err(format!("expected {tickets} tickets, got {}", winners.len()).into());
        }
        Ok(winners.into_iter().map(|winner| winner.transcript).collect())
    }

    /// A copy of the last product, row-major; empty before the first.
    pub fn product(&self) -> Vec<i32> {
        self.memory.borrow().clone()
    }

    /// BLAKE3 of the last product: a known answer.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for entries in self.memory.borrow().chunks(4096) {
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// BLAKE3 of all transcripts: a known answer.
    ///
    /// # Errors
    /// As for [`Workload::transcripts`].
    pub fn ticket_digest(&self) -> Result<String, Failure> {
        let mut hasher = blake3::Hasher::new();
        for transcript in self.transcripts()? {
            hasher.update(&transcript.to_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The memory of the product, made on first use.
    fn memory(&self) -> std::cell::RefMut<'_, Vec<i32>> {
        let mut memory = self.memory.borrow_mut();
        memory.resize(self.shape.m as usize * self.shape.n as usize, 0);
        memory
    }
}
