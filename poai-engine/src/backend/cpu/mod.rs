//! The parallel CPU backends, one per instruction set. The fastest is chosen at
//! run time, and a caller can select any of them by name.
//!
//! - `poai_core::simd`: the instruction sets;
//! - `packed`: operands in a kernel's layout; `noised`: the same with noise;
//! - `product`: the loop over all tiles, spread over threads by rayon;
//!   `aligned`: its memory;
//! - `recover`: the thin products that turn noised tiles into exact ones;
//! - `memory`: a bound of the memory that all of this takes;
//! - `small`: small products on the calling thread;
//! - `tiles`: plain products that are handed over tile by tile.

mod aligned;
mod memory;
mod noised;
mod packed;
mod product;
mod recover;
mod small;
mod tiles;

use super::{
    Backend, BackendError, ChooseError, Completion, EachPart, ListedCpu, Multiplication, Noised,
    Output, Plain, Prepared, Unsupported, Watch, check_memory, check_output, check_small, shape_of,
};
use crate::operand::{Operand, OperandView};
use core::ops::ControlFlow;
use ndarray::ArrayViewMut2;
use noised::NoisedEntries;
use packed::RankSteps;
use poai_core::digest::Seed;
use poai_core::params::Params;
use poai_core::puzzle::commitment::Tree;
use poai_core::puzzle::statement::{Shape, Side, Tile};
use poai_core::puzzle::ticket::TicketKey;
use poai_core::simd::{self, Kernel};
use product::{Product, Tickets};
use recover::Correction;
use std::sync::Arc;

/// A parallel CPU backend. Every kernel gives the same result, bit for bit.
#[derive(Clone, Debug)]
pub struct Cpu {
    name: &'static str,
    kernel: &'static dyn Kernel,
    /// The backend's own threads, or `None` for the caller's rayon pool.
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Default for Cpu {
    fn default() -> Cpu {
        Cpu::new()
    }
}

impl Cpu {
    /// The fastest kernel that this processor has for blocks, on the caller's
    /// rayon pool. By default the pool has one thread per core. If the
    /// processor has AMX, this asks Linux once for permission to use it. If
    /// Linux refuses, the next fastest kernel is used.
    pub fn new() -> Cpu {
        Cpu::for_params(&Params::CONSENSUS)
    }

    /// The fastest kernel that this processor has for a (rank, tile) pair.
    pub fn for_params(params: &Params) -> Cpu {
        let (name, kernel) = simd::Entry::fastest(params);
        Cpu { name, kernel, pool: None }
    }

    /// A backend for a kernel that is not in the list, under the given name.
    pub fn of(name: &'static str, kernel: &'static dyn Kernel) -> Cpu {
        Cpu { name, kernel, pool: None }
    }

    /// The backend for the kernel of this name. It never substitutes another
    /// kernel.
    ///
    /// # Errors
    /// [`ChooseError`] if no kernel has this name, or if the processor lacks
    /// what the kernel needs.
    pub fn named(name: &str) -> Result<Cpu, ChooseError> {
        let entry = simd::ALL
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| ChooseError::unknown(name))?;
        let kernel =
            (entry.find)().ok_or(ChooseError::Missing { name: entry.name, needs: entry.needs })?;
        Ok(Cpu { name: entry.name, kernel, pool: None })
    }

    /// The same backend with `threads` threads of its own.
    ///
    /// # Errors
    /// [`BackendError::Threads`] if the threads cannot be started.
    pub fn threads(self, threads: usize) -> Result<Cpu, BackendError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| BackendError::Threads(Box::new(error)))?;
        Ok(Cpu { pool: Some(Arc::new(pool)), ..self })
    }

    /// Every kernel, the fastest first, whether this processor has it or not.
    /// The check for `cpu-amx` asks Linux once for permission to use AMX.
    pub fn list() -> Vec<ListedCpu> {
        simd::ALL
            .iter()
            .map(|entry| ListedCpu {
                name: entry.name,
                needs: entry.needs,
                present: (entry.find)().is_some(),
            })
            .collect()
    }

    /// The packed side B of a product of rows, if the two form a pair.
    fn other<'b>(&self, a: &OperandView<'_>, b: &'b Plain) -> Result<&'b RankSteps, BackendError> {
        self.supports(a.params())?;
        let weights = b.operand();
        let pair = a.side() == Side::A && weights.side() == Side::B;
        if !pair || a.k() != weights.k() as usize || a.params() != weights.params() {
            return Err(BackendError::Pair);
        }
        b.data(self.name)
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
        self.name
    }

    fn supports(&self, params: &Params) -> Result<(), Unsupported> {
        if self.kernel.supports(params) {
            return Ok(());
        }
        Err(Unsupported { backend: self.name, rank: params.rank(), tile: params.tile() })
    }

    fn memory_bytes(&self, params: &Params, shape: &Shape) -> u64 {
        let threads = self.run(rayon::current_num_threads);
        memory::of_mining(self.kernel, threads, params, shape)
    }

    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        self.supports(operand.params())?;
        let tree = self.run(|| Tree::new(operand.as_bytes()));
        // Nothing to pack here: `noise` writes from row-major straight into the
        // packed layout, once per challenge.
        Ok(Prepared::new(self.name, operand, tree, ()))
    }

    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        self.supports(prepared.operand().params())?;
        let () = prepared.data(self.name)?;
        let noised = self.run(|| NoisedEntries::new(self.kernel, seed, prepared.operand()));
        Ok(Noised::new(prepared, seed, noised))
    }

    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        self.supports(prepared.operand().params())?;
        let () = prepared.data(self.name)?;
        let steps = self.run(|| RankSteps::new(self.kernel, prepared.operand()));
        Ok(Plain::new(prepared, steps))
    }

    fn pack_operand(&self, operand: Operand) -> Result<Plain, BackendError> {
        self.supports(operand.params())?;
        let steps = self.run(|| RankSteps::new(self.kernel, &operand));
        Ok(Plain::of(self.name, operand, steps))
    }

    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let shape = shape_of(a.operand(), b.operand())?;
        check_memory(&shape, memory)?;
        let params = *a.operand().params();
        let (a, b): (&RankSteps, &RankSteps) = (a.data(self.name)?, b.data(self.name)?);
        let product = Product::new(self.kernel, &params, shape, a, b);
        // No watch is attached, so nothing stops this product.
        let _: ControlFlow<()> = self.run(|| product.run(Some(memory)));
        Ok(())
    }

    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        self.supports(a.params())?;
        let shape = shape_of(&a, b.operand())?;
        check_memory(&shape, memory)?;
        let b: &RankSteps = b.data(self.name)?;
        self.run(|| {
            // This path needs no commitment, so it hashes nothing.
            let steps = RankSteps::new(self.kernel, &a);
            let product = Product::new(self.kernel, a.params(), shape, &steps, b);
            let _: ControlFlow<()> = product.run(Some(memory));
        });
        Ok(())
    }

    fn apply_tiles(
        &self,
        a: OperandView<'_>,
        b: &Plain,
        each: &(dyn Fn(Tile, &[i32]) + Sync),
    ) -> Result<(), BackendError> {
        let b = self.other(&a, b)?;
        self.run(|| tiles::run(self.kernel, &a, b, each));
        Ok(())
    }

    fn apply_into(
        &self,
        a: OperandView<'_>,
        b: &Plain,
        output: ArrayViewMut2<'_, u8>,
        entry: usize,
        each: &EachPart<'_>,
    ) -> Result<(), BackendError> {
        check_output(&a, b, &output, entry)?;
        let b = self.other(&a, b)?;
        self.run(|| tiles::run_into(self.kernel, &a, b, (output, entry), each));
        Ok(())
    }

    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        let n = check_small(a, b, k, memory)?;
        small::product(self.kernel, a, b, k, n, memory);
        Ok(())
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let entries: &NoisedEntries = noised.data(self.name)?;
        Ok(entries.steps.unpack(self.kernel))
    }

    fn multiply(
        &self,
        multiplication: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = multiplication.shape()?;
        multiplication.check_output(&shape, &output)?;
        let a: &NoisedEntries = multiplication.a.data(self.name)?;
        let b: &NoisedEntries = multiplication.b.data(self.name)?;
        self.run(|| {
            let (memory, correction) = match output {
                Output::Tickets => (None, None),
                Output::Noised(memory) => (Some(memory), None),
                Output::Exact(memory) => {
                    (Some(memory), Some(Correction::new(self.kernel, multiplication, a, b)))
                }
            };
            let tickets = Tickets {
                key: TicketKey::new(multiplication.a.seed()),
                target: multiplication.target,
                watch,
            };
            let product = Product {
                tickets: Some(tickets),
                correction,
                ..Product::new(self.kernel, multiplication.params(), shape, &a.steps, &b.steps)
            };
            Ok(match product.run(memory) {
                ControlFlow::Continue(()) => Completion::Complete,
                ControlFlow::Break(()) => Completion::Stopped,
            })
        })
    }
}
