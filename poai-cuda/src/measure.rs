//! Measurements of a GPU: time by the GPU's own events, and the backend's steps
//! with operands, one by one and on the GPU alone.
//!
//! Programs use [`crate::Cuda`], which brings operands to the GPU and products
//! back. Here data stays on the GPU, so that a time is the time of the GPU's
//! work. Every call queues its work and returns, unless its doc says that it
//! waits.
//!
//! [`Measure::milliseconds`] times the work that is queued in it. [`kernels`]
//! has every kernel by itself.

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

/// The number of winners that a [`Draw`] has room for.
pub const ROOM: u32 = 4096;

/// A backend whose steps are measured.
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

/// The thin operands that make a product exact, on the GPU.
#[derive(Debug)]
pub struct Recovery {
    thin: Thin,
    shape: Shape,
}

/// The inputs of a product with tickets, and its room for winners and tickets.
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

    /// The number of bytes.
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
    /// The tickets of all tiles, row by row, 32 bytes each, if the caller
    /// requested them.
    pub fn tickets(&self) -> Option<&OnGpu> {
        self.tickets.as_ref()
    }
}

impl Measure {
    /// Measures `cuda`, with its GPU and its variant.
    ///
    /// # Errors
    /// [`CudaError::Incomplete`] if the driver cannot time.
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
    /// An error of the driver.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.cuda.gpu.wait()
    }

    /// Copies to the GPU, and waits for it.
    ///
    /// # Errors
    /// An error of the driver.
    pub fn upload(&self, bytes: &[u8]) -> Result<OnGpu, CudaError> {
        let to = self.empty(bytes.len() as u64)?;
        self.cuda.gpu.upload(bytes, &to.memory, 0)?;
        Ok(to)
    }

    /// Allocates memory with any contents.
    ///
    /// # Errors
    /// An error of the driver.
    pub fn empty(&self, bytes: u64) -> Result<OnGpu, CudaError> {
        Ok(OnGpu { memory: Arc::new(self.cuda.gpu.allocate(bytes)?), bytes })
    }

    /// Copies from the GPU, from an offset on, and waits for it.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`], or an error of the
    /// driver.
    pub fn download(&self, from: &OnGpu, offset: u64, to: &mut [u8]) -> Result<(), CudaError> {
        self.own(&from.memory)?;
        self.cuda.gpu.download(&from.memory, offset, to)
    }

    /// The tree of bytes on the GPU, hashed there. Waits for the upper levels,
    /// which the host makes.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], or an error of the driver.
    pub fn tree(&self, of: &OnGpu) -> Result<Tree, CudaError> {
        self.own(&of.memory)?;
        if let Some(nodes) = self.cuda.nodes(&of.memory, of.bytes)?
            && let Some(tree) = self.cuda.fetch_tree(&nodes)?
        {
            return Ok(tree);
        }
        // The tree is one group: the backend hashes such bytes on the host,
        // too.
        let mut bytes = vec![0; usize::try_from(of.bytes).map_err(|_| CudaError::Bounds)?];
        self.download(of, 0, &mut bytes)?;
        Ok(Tree::new(&bytes))
    }

    /// Noises an operand whose entries are in `clean`.
    ///
    /// # Errors
    /// [`CudaError::Unsupported`] if the parameters are not the kernels',
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] if `clean` has too few
    /// entries, or an error of the driver.
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

    /// Copies the noised entries, row-major. Waits.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], or an error of the driver.
    pub fn noised_entries(&self, noised: &MeasuredOperand) -> Result<Vec<i8>, CudaError> {
        self.own(noised.at())?;
        let mut entries = vec![0i8; noised.rows as usize * noised.k as usize];
        self.cuda.gpu.download(noised.at(), 0, bytemuck::cast_slice_mut(&mut entries))?;
        Ok(entries)
    }

    /// Computes the plain product of clean operands, m×n of i32, by the
    /// variant.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] if an operand or `c` is
    /// too small, or an error of the driver.
    pub fn plain(&self, a: &OnGpu, bt: &OnGpu, c: &OnGpu, shape: &Shape) -> Result<(), CudaError> {
        let &Shape { m, n, k } = shape;
        aligned(shape)?;
        self.holds(a, m, k.into())?;
        self.holds(bt, n, k.into())?;
        self.holds(c, m, 4 * u64::from(n))?;
        self.cuda.plain(&a.memory, 0, &bt.memory, &c.memory, [m, n, k])
    }

    /// Computes the product of noised operands, without tickets.
    ///
    /// # Errors
    /// As [`Measure::plain`], and [`CudaError::Bounds`] if the operands are not
    /// a pair.
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

    /// Makes the key and the target of a product's tickets, with room for
    /// winners and, if requested, for the tickets of all tiles. Waits for the
    /// keys.
    ///
    /// # Errors
    /// An error of the driver.
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

    /// The winners of the one product that was drawn with `draw`. Waits.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] if there are more than
    /// [`ROOM`] winners, or an error of the driver.
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

    /// Computes a noised product with its tickets, in one launch. Writes the
    /// noised product to `c` if it is given.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] if the operands are not a
    /// pair or `c` is too small, or an error of the driver.
    pub fn ticketed(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
        draw: &Draw,
        c: Option<&OnGpu>,
    ) -> Result<(), CudaError> {
        self.product(a, b, draw, c, None)
    }

    /// The thin operands that make the product of `a` and `b` exact.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] if the operands are not a
    /// pair, or an error of the driver.
    pub fn recovery(
        &self,
        a: &MeasuredOperand,
        b: &MeasuredOperand,
    ) -> Result<Recovery, CudaError> {
        let shape = self.shape_of(a, b)?;
        Ok(Recovery { thin: self.cuda.thin(&a.noised, &b.noised, &shape)?, shape })
    }

    /// Computes the noised product with its tickets, and writes the exact
    /// product to `c`.
    ///
    /// # Errors
    /// As [`Measure::ticketed`], and [`CudaError::Bounds`] if the recovery's
    /// shape differs.
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

    /// Does what the backend does with noised operands: computes the product
    /// with its tickets, band by band. The host reads the winners of a band
    /// while the GPU computes the next. Writes the exact product to `c` if it
    /// is given. Waits for the winners, which come in any order.
    ///
    /// # Errors
    /// [`CudaError::Foreign`], [`CudaError::Bounds`] if the operands are not a
    /// pair or `c` is too small, or an error of the driver.
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
        // first_row, thin_a, thin_b, wide): `noise` and `recovery` made the
        // operands of this shape. The checks above found m·n entries of c and a
        // ticket for each tile. The memory of winners says how many it has room
        // for. `Cuda::forced` opened a variant with maps.
        unsafe { self.cuda.gpu.launch(&launch, &arguments) }
    }

    /// The GPU's compute capability.
    pub fn capability(&self) -> Version {
        self.cuda.gpu.info().capability
    }

    /// Checks that memory is this GPU's. The queues of another GPU do not know
    /// of its uses here, and this GPU may not be able to reach its memory.
    fn own(&self, memory: &Memory) -> Result<(), CudaError> {
        match self.cuda.gpu.owns(memory) {
            true => Ok(()),
            false => Err(CudaError::Foreign { name: self.cuda.gpu.info().name.clone() }),
        }
    }

    /// Checks that bytes are this GPU's, and enough for the rows.
    fn holds(&self, on_gpu: &OnGpu, rows: u32, row_bytes: u64) -> Result<(), CudaError> {
        self.own(&on_gpu.memory)?;
        let needed = u64::from(rows).checked_mul(row_bytes);
        needed.filter(|bytes| *bytes <= on_gpu.bytes).map(drop).ok_or(CudaError::Bounds)
    }

    /// Rows and k of an operand, if the kernels can noise it and `clean` has
    /// its entries.
    fn noisable(&self, operand: &Operand, clean: &OnGpu) -> Result<[u32; 2], CudaError> {
        let params = operand.params();
        if *params != Params::CONSENSUS {
            return Err(CudaError::Unsupported { rank: params.rank(), tile: params.tile() });
        }
        self.holds(clean, operand.rows(), operand.k().into())?;
        Ok([operand.rows(), operand.k()])
    }

    /// The shape of the product of a pair.
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

/// Checks that the kernels take a shape.
fn aligned(shape: &Shape) -> Result<(), CudaError> {
    let &Shape { m, n, k } = shape;
    let whole = m.is_multiple_of(TILE) && n.is_multiple_of(TILE) && k.is_multiple_of(RANK);
    if !whole || m == 0 || n == 0 || k == 0 {
        return Err(CudaError::Bounds);
    }
    Ok(())
}

/// The tickets in the bytes of [`Draw::tickets`].
pub fn tickets(bytes: &[u8]) -> Vec<Ticket> {
    bytes.as_chunks::<32>().0.iter().map(|bytes| Ticket(*bytes)).collect()
}
