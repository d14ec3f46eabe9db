//! What the figures of a GPU are made with: time by the GPU's own events, and
//! what the backend does with operands, step by step and on the GPU alone.
//!
//! [`crate::Cuda`] is what programs use; it brings operands to the GPU and
//! products back. Here data stays where it is, so that a time is that of the
//! GPU's work. Every call queues its work and returns, but for those that
//! say that they wait.
//!
//! [`Measure::milliseconds`] times whatever is queued in it. [`kernels`] has
//! every kernel by itself.

mod clock;
pub mod kernels;

pub use clock::Rates;

use crate::backend::multiply::{Place, RANK, TILE, Thin, WINNER_WORDS, Work, draw, winner};
use crate::backend::operand::{Clean, NoisedOnGpu};
use crate::backend::{Cuda, multiply};
use crate::driver;
use crate::error::CudaError;
use crate::gpu::{Argument, Memory, Rows};
use crate::version::Version;
use poai_core::difficulty::Target;
use poai_core::puzzle::commitment::Tree;
use poai_core::{Params, Seed, Shape, Ticket};
use poai_engine::Operand;
use poai_engine::backend::{BackendError, Output, Watch, Winner};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// Winners that a [`Draw`] has room for.
pub const ROOM: u32 = 4096;

/// A backend of which the steps are measured.
#[derive(Clone, Debug)]
pub struct Measure {
    cuda: Cuda,
}

/// Bytes on the GPU. Cloning shares them.
#[derive(Clone, Debug)]
pub struct OnGpu {
    memory: Arc<Memory>,
    bytes: u64,
}

/// A noised operand on the GPU.
#[derive(Debug)]
pub struct MeasuredOperand {
    noised: NoisedOnGpu,
    rows: u32,
    k: u32,
}

/// What makes a product exact, on the GPU.
#[derive(Debug)]
pub struct Recovery {
    thin: Thin,
    shape: Shape,
}

/// What a product with tickets draws with, and where it leaves what it found.
#[derive(Debug)]
pub struct Draw {
    draw: Memory,
    winners: Memory,
    tickets: Option<OnGpu>,
}

impl OnGpu {
    /// The address, for other libraries that work in [`Measure::stream`].
    pub fn address(&self) -> u64 {
        self.memory.address()
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl MeasuredOperand {
    /// The noised entries, row-major. They live as long as `self`.
    fn at(&self) -> &Memory {
        &self.noised.matrix
    }
}

impl Draw {
    /// Where the tickets of all tiles lie, row by row, 32 bytes each, if that
    /// was asked for.
    pub fn tickets(&self) -> Option<&OnGpu> {
        self.tickets.as_ref()
    }
}

impl Measure {
    /// Whatever `cuda` does, by its GPU and its variant.
    ///
    /// # Errors
    /// [`CudaError::Incomplete`] where the driver does not time.
    pub fn new(cuda: &Cuda) -> Result<Measure, CudaError> {
        driver::load_for_gpus()?;
        driver::whole(&clock::FUNCTIONS)?;
        Ok(Measure { cuda: cuda.clone() })
    }

    /// The backend.
    pub fn cuda(&self) -> &Cuda {
        &self.cuda
    }

    /// Waits for everything that was queued.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.cuda.gpu.wait()
    }

    /// Copies to the GPU, and waits for it.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn upload(&self, bytes: &[u8]) -> Result<OnGpu, CudaError> {
        let to = self.empty(bytes.len() as u64)?;
        self.cuda.gpu.upload(bytes, &to.memory, 0)?;
        Ok(to)
    }

    /// Memory with any contents.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn empty(&self, bytes: u64) -> Result<OnGpu, CudaError> {
        Ok(OnGpu { memory: Arc::new(self.cuda.gpu.allocate(bytes)?), bytes })
    }

    /// Copies from the GPU, from an offset on, and waits for it.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`], or what the driver
    /// reports.
    pub fn download(&self, from: &OnGpu, offset: u64, to: &mut [u8]) -> Result<(), CudaError> {
        self.own(&from.memory)?;
        self.cuda.gpu.download(&from.memory, offset, to)
    }

    /// The tree of bytes on the GPU, hashed there. Waits for the upper levels,
    /// which the host makes.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], or what the driver reports.
    pub fn tree(&self, of: &OnGpu) -> Result<Tree, CudaError> {
        self.own(&of.memory)?;
        if let Some(nodes) = self.cuda.nodes(&of.memory, of.bytes)?
            && let Some(tree) = self.cuda.fetch_tree(&nodes)?
        {
            return Ok(tree);
        }
        // One group: the backend hashes such bytes on the host, too.
        let mut bytes = vec![0; usize::try_from(of.bytes).map_err(|_| CudaError::Bounds)?];
        self.download(of, 0, &mut bytes)?;
        Ok(Tree::new(&bytes))
    }

    /// Noises an operand, of which `clean` has the entries.
    ///
    /// # Errors
    /// [`CudaError::Unsupported`] for other parameters than the kernels',
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] where `clean` has not as
    /// many, or what the driver reports.
    pub fn noise(
        &self,
        seed: &Seed,
        operand: &Operand,
        clean: &OnGpu,
    ) -> Result<MeasuredOperand, CudaError> {
        let [rows, k] = self.noisable(operand, clean)?;
        let clean = Clean { matrix: clean.memory.clone() };
        Ok(MeasuredOperand { noised: self.cuda.noised(seed, &clean, 0, [rows, k])?, rows, k })
    }

    /// A copy of the noised entries, row-major. Waits.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], or what the driver reports.
    pub fn noised_entries(&self, noised: &MeasuredOperand) -> Result<Vec<i8>, CudaError> {
        self.own(noised.at())?;
        let mut entries = vec![0i8; noised.rows as usize * noised.k as usize];
        self.cuda.gpu.download(noised.at(), 0, bytemuck::cast_slice_mut(&mut entries))?;
        Ok(entries)
    }

    /// The plain product of clean operands, m×n of i32, by the variant.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] where an operand or `c` is
    /// too small, or what the driver reports.
    pub fn plain(&self, a: &OnGpu, bt: &OnGpu, c: &OnGpu, shape: &Shape) -> Result<(), CudaError> {
        let &Shape { m, n, k } = shape;
        aligned(shape)?;
        self.holds(a, m, k.into())?;
        self.holds(bt, n, k.into())?;
        self.holds(c, m, 4 * u64::from(n))?;
        self.cuda.plain(&a.memory, 0, &bt.memory, &c.memory, [m, n, k])
    }

    /// The same of noised operands, without tickets.
    ///
    /// # Errors
    /// As [`Measure::plain`], and where the operands are no pair.
    pub fn plain_noised(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
        c: &OnGpu,
    ) -> Result<(), CudaError> {
        let Shape { m, n, k } = self.shape_of(a, b)?;
        self.holds(c, m, 4 * u64::from(n))?;
        self.cuda.plain(a.at(), 0, b.at(), &c.memory, [m, n, k])
    }

    /// What tickets of a product are drawn with, with room for winners and, if
    /// asked for, for the tickets of all tiles. Waits for the keys.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn draw(
        &self,
        seed_a: &Seed,
        target: &Target,
        tickets_of: Option<&Shape>,
    ) -> Result<Draw, CudaError> {
        let gpu = &self.cuda.gpu;
        let bytes = draw(seed_a, target);
        let draw = gpu.allocate(bytes.len() as u64)?;
        gpu.upload(&bytes, &draw, 0)?;
        let winners = gpu.allocate(8 + 4 * WINNER_WORDS as u64 * u64::from(ROOM))?;
        gpu.upload(bytemuck::cast_slice(&[0, ROOM]), &winners, 0)?;
        let tiles = |shape: &Shape| u64::from(shape.m / TILE) * u64::from(shape.n / TILE);
        let tickets = tickets_of.map(|shape| self.empty(32 * tiles(shape))).transpose()?;
        Ok(Draw { draw, winners, tickets })
    }

    /// The winners of the one product that was drawn with this. Waits.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] where they are more than
    /// [`ROOM`], or what the driver reports.
    pub fn winners(&self, draw: &Draw) -> Result<Vec<Winner>, CudaError> {
        self.own(&draw.winners)?;
        let mut count = [0u32];
        self.cuda.gpu.download(&draw.winners, 0, bytemuck::cast_slice_mut(&mut count))?;
        let [count] = count;
        if count > ROOM {
            return Err(CudaError::Bounds);
        }
        let mut words = vec![0u32; WINNER_WORDS * count as usize];
        self.cuda.gpu.download(&draw.winners, 8, bytemuck::cast_slice_mut(&mut words))?;
        Ok(words.as_chunks::<WINNER_WORDS>().0.iter().map(winner).collect())
    }

    /// A noised product with its tickets, in one launch. Leaves the noised
    /// product in `c`, where that is asked for.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] where the operands are no
    /// pair or `c` is too small, or what the driver reports.
    pub fn ticketed(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
        draw: &Draw,
        c: Option<&OnGpu>,
    ) -> Result<(), CudaError> {
        self.product(a, b, draw, c, None)
    }

    /// The thin operands that make the product of these exact.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] where they are no pair, or
    /// what the driver reports.
    pub fn recovery(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
    ) -> Result<Recovery, CudaError> {
        let shape = self.shape_of(a, b)?;
        Ok(Recovery { thin: self.cuda.thin(&a.noised, &b.noised, &shape)?, shape })
    }

    /// The noised product with its tickets, of which the exact product is left
    /// in `c`.
    ///
    /// # Errors
    /// As [`Measure::ticketed`], and where the recovery is another pair's.
    pub fn exact(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
        draw: &Draw,
        recovery: &Recovery,
        c: &OnGpu,
    ) -> Result<(), CudaError> {
        self.product(a, b, draw, Some(c), Some(recovery))
    }

    /// What the backend does with noised operands: the product with its
    /// tickets, band by band, of which the host reads the winners while the
    /// GPU is at the next. Leaves the exact product in `c`, where that is asked
    /// for. Waits for the winners, which come in any order.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] where the operands are no
    /// pair or `c` is too small, or what the driver reports.
    pub fn mine(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
        seed_a: &Seed,
        target: &Target,
        c: Option<&OnGpu>,
    ) -> Result<Vec<Winner>, BackendError> {
        let (shape, target) = (self.shape_of(a, b)?, *target);
        if let Some(c) = c {
            self.holds(c, shape.m, 4 * u64::from(shape.n))?;
        }
        let (a, b) = (&a.noised, &b.noised);
        let work = Work { a, b, shape, first: 0, seed: seed_a, target };
        let place = c.map_or(Place::Host(Output::Tickets), |c| Place::Gpu(&c.memory));
        let winners = Winners::default();
        self.cuda.draw(&work, place, &winners)?;
        Ok(winners.0.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn product(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
        draw: &Draw,
        c: Option<&OnGpu>,
        recovery: Option<&Recovery>,
    ) -> Result<(), CudaError> {
        let shape = self.shape_of(a, b)?;
        let Shape { m, n, k } = shape;
        if let Some(c) = c {
            self.holds(c, m, 4 * u64::from(n))?;
        }
        self.own(&draw.draw)?;
        if let Some(tickets) = &draw.tickets {
            self.holds(tickets, m / TILE, 32 * u64::from(n / TILE))?;
        }
        if let Some(recovery) = recovery {
            self.own(&recovery.thin.a)?;
            if recovery.shape != shape {
                return Err(CudaError::Bounds);
            }
        }
        let memory = |on_gpu: Option<&'_ OnGpu>| on_gpu.map(|on_gpu| on_gpu.memory.clone());
        let (c, tickets) = (memory(c), memory(draw.tickets.as_ref()));
        let side = |memory, rows, columns| {
            Cuda::rows(self.cuda.variant(), Rows { memory, first: 0, rows, columns })
        };
        let mut arguments = vec![
            side(a.at(), m, k),
            side(b.at(), n, k),
            c.as_deref().map_or(Argument::Null, Argument::Memory),
            Argument::U32(m),
            Argument::U32(n),
            Argument::U32(k),
            Argument::Memory(&draw.draw),
            Argument::Memory(&draw.winners),
            tickets.as_deref().map_or(Argument::Null, Argument::Memory),
            Argument::U32(0),
        ];
        let multiprocessors = self.cuda.gpu.info().multiprocessors;
        let launch = match recovery {
            Some(Recovery { thin, .. }) => {
                let columns = multiply::THIN_BYTES;
                arguments.extend([side(&thin.a, m, columns), side(&thin.b, n, columns)]);
                arguments.push(Argument::Memory(&thin.wide));
                self.cuda.variant().exact([m, n], multiprocessors)
            }
            None => self.cuda.variant().ticket([m, n], multiprocessors),
        };
        // SAFETY: product_…(a, bt, c, m, n, k, draw, winners, tickets,
        // first_row, thin_a, thin_b, wide): the operands are of this shape, as
        // `noise` and `recovery` made them, m·n entries of c and a ticket for
        // each tile were looked for above, and there is room for winners as it
        // says. A variant with maps was opened by `Cuda::forced`.
        unsafe { self.cuda.gpu.launch(&launch, &arguments) }
    }

    /// The GPU's compute capability.
    pub fn capability(&self) -> Version {
        self.cuda.gpu.info().capability
    }

    /// Whether memory is this GPU's: another's queues know nothing of the uses
    /// here, nor has its memory to be within reach.
    fn own(&self, memory: &Memory) -> Result<(), CudaError> {
        match self.cuda.gpu.owns(memory) {
            true => Ok(()),
            false => Err(CudaError::Foreign { name: self.cuda.gpu.info().name.clone() }),
        }
    }

    /// Whether bytes are this GPU's, and as many.
    fn holds(&self, on_gpu: &OnGpu, rows: u32, row_bytes: u64) -> Result<(), CudaError> {
        self.own(&on_gpu.memory)?;
        let needed = u64::from(rows).checked_mul(row_bytes);
        needed.filter(|bytes| *bytes <= on_gpu.bytes).map(drop).ok_or(CudaError::Bounds)
    }

    /// Rows and k of an operand, if the kernels noise such ones and `clean` has
    /// its entries.
    fn noisable(&self, operand: &Operand, clean: &OnGpu) -> Result<[u32; 2], CudaError> {
        let params = operand.params();
        if *params != Params::CONSENSUS {
            return Err(CudaError::Unsupported { rank: params.rank(), tile: params.tile() });
        }
        self.holds(clean, operand.rows(), operand.k().into())?;
        Ok([operand.rows(), operand.k()])
    }

    /// The product of a pair.
    fn shape_of(&self, a: &MeasuredOperand, b: &MeasuredOperand) -> Result<Shape, CudaError> {
        self.own(a.at())?;
        self.own(b.at())?;
        let shape = Shape { m: a.rows, n: b.rows, k: a.k };
        if a.k != b.k {
            return Err(CudaError::Bounds);
        }
        aligned(&shape)?;
        Ok(shape)
    }
}

/// Keeps every winner.
#[derive(Default)]
struct Winners(Mutex<Vec<Winner>>);

impl Watch for Winners {
    fn winner(&self, winner: Winner) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(winner);
    }

    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Whether the kernels take a shape.
fn aligned(shape: &Shape) -> Result<(), CudaError> {
    let &Shape { m, n, k } = shape;
    let whole = m.is_multiple_of(TILE) && n.is_multiple_of(TILE) && k.is_multiple_of(RANK);
    if !whole || m == 0 || n == 0 || k == 0 {
        return Err(CudaError::Bounds);
    }
    Ok(())
}

/// Tickets from the bytes that [`Draw::tickets`] has of them.
pub fn tickets(bytes: &[u8]) -> Vec<Ticket> {
    bytes.as_chunks::<32>().0.iter().map(|bytes| Ticket(*bytes)).collect()
}
