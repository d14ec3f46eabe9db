//! A product to measure: operands prepared, and everything that a backend does
//! with them as one call each.

use poai_core::backend::{
    Backend, BackendError, Job, Noised, Output, Plain, Prepared, Watch, Winner,
};
use poai_core::seeds::{seed_a, seed_b};
use poai_core::*;
use std::ops::ControlFlow;

/// Rank and tile of every benchmark.
pub const P: Params = Params::CONSENSUS;

/// Pseudo-random operands of one shape on one backend.
pub struct Workload<'a> {
    backend: &'a dyn Backend,
    shape: Shape,
    a: Prepared,
    bt: Prepared,
    plain_bt: Plain,
    memory: Vec<i32>,
}

/// Nobody watches.
struct Nobody;

impl Watch for Nobody {
    fn winner(&self, _: Winner) {}
    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<'a> Workload<'a> {
    /// Prepares both operands.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn new(
        backend: &'a dyn Backend,
        shape: Shape,
    ) -> Result<Workload<'a>, Box<dyn std::error::Error>> {
        let operand = |side, rows: u32| {
            Operand::pseudorandom(&P, side, b"benchmark", rows as usize, shape.k as usize)
        };
        let a = backend.prepare(operand(Side::A, shape.m)?)?;
        let bt = backend.prepare(operand(Side::B, shape.n)?)?;
        let plain_bt = backend.pack(&bt)?;
        let memory = vec![0; shape.m as usize * shape.n as usize];
        Ok(Workload { backend, shape, a, bt, plain_bt, memory })
    }

    /// Multiply-accumulates of the product.
    pub fn macs(&self) -> f64 {
        self.shape.macs() as f64
    }

    /// The plain product; the right operand was packed before.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn plain(&mut self) -> Result<(), BackendError> {
        let a = self.backend.pack(&self.a)?;
        self.backend.product(&a, &self.plain_bt, &mut self.memory)
    }

    /// Everything that tickets take: A committed, both sides noised, every
    /// ticket drawn. Only the right operand was prepared before.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn ticketed(&mut self) -> Result<(), BackendError> {
        let (a, b) = self.noise()?;
        self.multiply(&a, &b, false)
    }

    /// The same with the exact product.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn recovered(&mut self) -> Result<(), BackendError> {
        let (a, b) = self.noise()?;
        self.multiply(&a, &b, true)
    }

    /// Commits to A.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn commit(&self) -> Result<Prepared, BackendError> {
        self.backend.prepare(self.a.operand().clone())
    }

    /// Commits to A and noises both sides.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn noise(&self) -> Result<(Noised, Noised), BackendError> {
        let a = self.commit()?;
        let Shape { m, n, k } = self.shape;
        let seed_b = seed_b(&P, &Challenge::default(), n, k, self.bt.root());
        let seed_a = seed_a(&seed_b, m, a.root());
        Ok((self.backend.noise(&seed_a, &a)?, self.backend.noise(&seed_b, &self.bt)?))
    }

    /// Draws every ticket of noised operands, and recovers the product where
    /// that is asked for.
    ///
    /// # Errors
    /// Whatever the backend says.
    pub fn multiply(&mut self, a: &Noised, b: &Noised, exact: bool) -> Result<(), BackendError> {
        let target = Difficulty::BLOCK_MIN.target(&P, self.shape.k);
        let output = if exact { Output::Exact(&mut self.memory) } else { Output::Tickets };
        self.backend.multiply(&Job { a, b, target }, output, &Nobody).map(drop)
    }

    /// BLAKE3 of what the last product left: a known answer.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for entries in self.memory.chunks(4096) {
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        hasher.finalize().to_hex().to_string()
    }
}
