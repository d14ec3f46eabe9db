//! PoAI-1 on one GPU, as a [`Backend`].
//!
//! Data stays on the GPU. [`Backend::prepare`] uploads clean operands and
//! hashes them there; [`Backend::noise`] makes noised ones there. A product is
//! computed in bands of rows. The GPU compares tickets with the target. While
//! the GPU computes the next band, the host fetches the winners and, if the
//! caller wants it, the band of the product.
//!
//! - [`variant`]: the product kernels.
//! - `operand`: what the GPU keeps of an operand, and how it gets there.
//! - `multiply`: noised products with their winners, and exact products.

pub(crate) mod multiply;
pub(crate) mod operand;
pub mod variant;

use crate::detection::Gpu;
use crate::driver;
use crate::error::CudaError;
use crate::gpu::{Argument, Fetch, Launch, Memory, OpenGpu, PINNED_BYTES, Rows};
use crate::kernels::{self, CHECK_THREADS};
use multiply::{Place, WINNER_WORDS, Work};
use operand::{Clean, NoisedOnGpu};
use poai_core::puzzle::commitment::Tree;
use poai_core::{Params, Seed, Shape};
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Prepared,
    Unsupported, Watch, product_shape,
};
use poai_engine::{Cpu, Operand};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use variant::Variant;

/// Bytes of one band of a product on the GPU; two bands are kept.
pub(crate) const BAND_BYTES: u64 = 256 << 20;

/// A backend on one GPU. Cloning shares the GPU.
#[derive(Clone, Debug)]
pub struct Cuda {
    pub(crate) gpu: Arc<OpenGpu>,
    variant: Variant,
    /// Multiplies products that are too small for a GPU.
    small: Arc<Cpu>,
}

impl Cuda {
    /// Opens a GPU that [`crate::gpus`] listed, with its fastest kernels, and
    /// checks that they compute correctly.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn open(gpu: &Gpu) -> Result<Cuda, CudaError> {
        gpu.check_supported()?;
        let variant = match Variant::fastest(gpu.capability) {
            // A driver that cannot make tensor maps can still run the next
            // variant.
            Some(Variant::Wgmma) if driver::load_for_maps().is_err() => Some(Variant::Mma),
            fastest => fastest,
        };
        // `check_supported` above requires what the slowest variant needs.
        Cuda::forced(gpu, variant.unwrap_or(Variant::Dp4a))
    }

    /// Opens a GPU with one variant and no other.
    ///
    /// # Errors
    /// [`CudaError::NoVariant`] if the GPU lacks the variant, or another
    /// [`CudaError`].
    pub fn forced(gpu: &Gpu, variant: Variant) -> Result<Cuda, CudaError> {
        if !variant.needs().runs_on(gpu.capability) {
            return Err(CudaError::NoVariant {
                name: gpu.name.clone(),
                capability: gpu.capability,
                variant: variant.name(),
                needed: variant.needs(),
            });
        }
        if variant.takes_maps() {
            driver::load_for_maps()?;
        }
        let gpu = Arc::new(OpenGpu::open(gpu)?);
        let cuda = Cuda { gpu, variant, small: Arc::new(Cpu::new()) };
        cuda.check()?;
        Ok(cuda)
    }

    /// The GPU.
    pub fn gpu(&self) -> &OpenGpu {
        &self.gpu
    }

    /// The kernels that multiply.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Compares a sum that the GPU computes with the host's. This finds a
    /// driver that compiles the kernels wrongly and a GPU that computes
    /// wrongly.
    fn check(&self) -> Result<(), CudaError> {
        let words = |seed: u32| -> Vec<u32> {
            (0..4 * CHECK_THREADS + 1).map(|i| (i ^ seed).wrapping_mul(0x9e37_79b9)).collect()
        };
        let (a, b) = (words(1), words(2));
        let (on_a, on_b) =
            (self.upload(bytemuck::cast_slice(&a))?, self.upload(bytemuck::cast_slice(&b))?);
        let answer = self.gpu.allocate(4)?;
        self.gpu.clear(&answer)?;
        let count = a.len() as u32;
        let launch = Launch {
            file: "check",
            kernel: "check",
            grid: [3, 1, 1],
            block: CHECK_THREADS,
            shared: 0,
        };
        let (a_at, b_at) = (Argument::Memory(&on_a), Argument::Memory(&on_b));
        let arguments = [a_at, b_at, Argument::U32(count), Argument::Memory(&answer)];
        // SAFETY: check(a, b, count, answer): `count` words each, and one.
        unsafe { self.gpu.launch(&launch, &arguments)? };
        let mut got = [0; 4];
        self.gpu.download(&answer, 0, &mut got)?;
        let (expected, got) = (kernels::check_answer(&a, &b), u32::from_le_bytes(got));
        if expected != got {
            return Err(CudaError::Wrong { name: self.gpu.info().name.clone(), expected, got });
        }
        Ok(())
    }

    /// Returns a handle's data if this opening of the GPU made it. Another GPU,
    /// or a second opening of this one, has a backend of the same name but
    /// cannot use the data.
    fn own<'a, T: AsRef<Memory>>(&self, data: &'a T) -> Result<&'a T, BackendError> {
        match self.gpu.owns(data.as_ref()) {
            true => Ok(data),
            false => Err(BackendError::Foreign { backend: self.name(), owner: self.name() }),
        }
    }

    /// The work of a whole product.
    pub(crate) fn work<'a>(
        &self,
        multiplication: &Multiplication<'a>,
    ) -> Result<Work<'a>, BackendError> {
        let a: &NoisedOnGpu = self.own(multiplication.a.data(self.name())?)?;
        let b: &NoisedOnGpu = self.own(multiplication.b.data(self.name())?)?;
        let (shape, seed, target) =
            (multiplication.shape()?, multiplication.a.seed(), multiplication.target);
        Ok(Work { a, b, shape, first: 0, seed, target })
    }

    pub(crate) fn upload(&self, bytes: &[u8]) -> Result<Memory, CudaError> {
        self.gpu.load(bytes)
    }

    /// Rows of an operand, in the form that a variant's kernels take.
    pub(crate) fn rows<'a>(variant: Variant, rows: Rows<'a>) -> Argument<'a> {
        match variant.takes_maps() {
            true => Argument::Map(rows),
            false => Argument::At(rows.memory, u64::from(rows.first) * u64::from(rows.columns)),
        }
    }

    /// Multiplies `m` rows from `first` on, without noise, into memory of the
    /// GPU.
    pub(crate) fn plain(
        &self,
        a: &Memory,
        first: u32,
        b: &Memory,
        c: &Memory,
        sizes: [u32; 3],
    ) -> Result<(), CudaError> {
        let (launch, arguments) = self.plain_launch(a, first, b, c, sizes);
        // SAFETY: product_…_plain(a, bt, c, m, n, k): the callers' memory has
        // rows `first` to `first + m` of a, all of bt, and m·n entries of c.
        // `forced` opened a variant with maps only after it found the driver's
        // function for them.
        unsafe { self.gpu.launch(&launch, &arguments) }
    }

    /// The launch of [`Cuda::plain`].
    fn plain_launch<'a>(
        &self,
        a: &'a Memory,
        first: u32,
        b: &'a Memory,
        c: &'a Memory,
        [m, n, k]: [u32; 3],
    ) -> (Launch, [Argument<'a>; 6]) {
        let multiprocessors = self.gpu.info().multiprocessors;
        let launch = self.variant.plain([m, n], multiprocessors);
        let variant = self.variant.of_plain(n);
        let arguments = [
            Cuda::rows(variant, Rows { memory: a, first, rows: m, columns: k }),
            Cuda::rows(variant, Rows { memory: b, first: 0, rows: n, columns: k }),
            Argument::Memory(c),
            Argument::U32(m),
            Argument::U32(n),
            Argument::U32(k),
        ];
        (launch, arguments)
    }

    /// Computes a plain product band by band into the host's memory, until
    /// `stopped` is set.
    pub(crate) fn fetch_product(
        &self,
        a: &Memory,
        b: &Memory,
        shape: &Shape,
        memory: &mut [i32],
        stopped: &AtomicBool,
    ) -> Result<(), CudaError> {
        let &Shape { m, n, k } = shape;
        let multiprocessors = self.gpu.info().multiprocessors;
        let band = self.variant.band(n, multiprocessors, Some(BAND_BYTES)).min(m);
        let entries = band as usize * n as usize;
        let room = || self.gpu.allocate(4 * entries as u64);
        // The host reads one while the GPU writes the other.
        let mut rooms = vec![room()?];
        if band < m {
            rooms.push(room()?);
        }
        let mut before: Option<(Fetch<'_>, &mut [i32])> = None;
        let bands = (0..).step_by(band as usize).zip(memory.chunks_mut(entries));
        for ((first, rows), c) in bands.zip(rooms.iter().cycle()) {
            if stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            let m = (rows.len() / n as usize) as u32;
            self.plain(a, first, b, c, [m, n, k])?;
            if let Some((fetch, to)) = before.take() {
                fetch.finish(bytemuck::cast_slice_mut(to))?;
            }
            before = Some((self.gpu.fetch(c, 0, 4 * rows.len() as u64)?, rows));
        }
        match before {
            Some((fetch, to)) => fetch.finish(bytemuck::cast_slice_mut(to)),
            None => Ok(()),
        }
    }
}

/// The most bytes of the host's memory that mining takes with this many GPUs.
/// Matrices and noise stay on the GPUs.
pub(crate) fn host_bytes(shape: &Shape, gpus: usize) -> u64 {
    let [m, n, k] = [shape.m, shape.n, shape.k].map(u128::from);
    let gpus = gpus as u128;
    // The nodes of each tree are fetched, and merged further.
    let groups = ((m + n) * k).div_ceil(u128::from(Tree::GROUP_BYTES)) + 2;
    // A band's winners are fetched as bytes and read as words.
    let winners = 2 * 4 * WINNER_WORDS as u128 * shape.tickets(&Params::CONSENSUS) as u128;
    let each = u128::from(PINNED_BYTES) + (1 << 20);
    u64::try_from(4 * m * n + 256 * groups + winners + gpus * each).unwrap_or(u64::MAX)
}

impl From<CudaError> for BackendError {
    fn from(error: CudaError) -> BackendError {
        BackendError::Device(Box::new(error))
    }
}

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        self.variant.name()
    }

    fn supports(&self, params: &Params) -> Result<(), Unsupported> {
        if *params != Params::CONSENSUS {
            let (rank, tile) = (params.rank(), params.tile());
            return Err(Unsupported { backend: self.name(), rank, tile });
        }
        Ok(())
    }

    fn memory_bytes(&self, _: &Params, shape: &Shape) -> u64 {
        host_bytes(shape, 1)
    }

    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        self.supports(operand.params())?;
        let (clean, tree) = self.commit(&operand)?;
        Ok(Prepared::new(self.name(), operand, tree, clean))
    }

    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        let clean: &Clean = self.own(prepared.data(self.name())?)?;
        let sizes = [prepared.operand().rows(), prepared.operand().k()];
        let noised = self.noised(seed, clean, 0, sizes)?;
        Ok(Noised::new(prepared, seed, noised))
    }

    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        let clean: &Clean = self.own(prepared.data(self.name())?)?;
        Ok(Plain::new(prepared, clean.clone()))
    }

    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let shape = product_shape(a.operand(), b.operand(), memory)?;
        let on_a: &Clean = self.own(a.data(self.name())?)?;
        let on_b: &Clean = self.own(b.data(self.name())?)?;
        let stopped = AtomicBool::new(false);
        Ok(self.fetch_product(&on_a.matrix, &on_b.matrix, &shape, memory, &stopped)?)
    }

    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        self.supports(a.params())?;
        let shape = product_shape(&a, b.operand(), memory)?;
        let on_b: &Clean = self.own(b.data(self.name())?)?;
        // No caller asks for a commitment, so nothing is hashed.
        let on_a = self.upload(a.as_bytes())?;
        let stopped = AtomicBool::new(false);
        Ok(self.fetch_product(&on_a, &on_b.matrix, &shape, memory, &stopped)?)
    }

    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        // The processor finishes it before a GPU call would start.
        self.small.product_small(a, b, k, memory)
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let on_gpu: &NoisedOnGpu = self.own(noised.data(self.name())?)?;
        let mut entries = vec![0i8; noised.operand().as_slice().len()];
        self.gpu.download(&on_gpu.matrix, 0, bytemuck::cast_slice_mut(&mut entries))?;
        Ok(entries)
    }

    fn multiply(
        &self,
        multiplication: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = multiplication.shape()?;
        multiplication.check_output(&shape, &output)?;
        self.draw(&self.work(multiplication)?, Place::Host(output), watch)
    }
}
