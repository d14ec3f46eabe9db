//! PoAI-1 on one GPU, as a [`Backend`].
//!
//! Data stays on the card: clean operands from [`Backend::prepare`] on, which
//! also hashes them there, noised ones from [`Backend::noise`]. A product goes
//! down its rows in bands; the card compares tickets with the target, and the
//! host fetches the winners and, where it is wanted, the band of the product,
//! while the card is at the next.
//!
//! - [`variant`]: the ways to multiply.
//! - `operand`: what is kept of an operand, and how it gets there.
//! - `multiply`: noised products, their winners, and exact ones.

pub(crate) mod multiply;
pub(crate) mod operand;
pub mod variant;

use crate::card::{Argument, Card, Fetch, Launch, Memory, Rows};
use crate::device::Device;
use crate::driver;
use crate::error::CudaError;
use crate::kernels::{self, CHECK_THREADS};
use multiply::{Place, Work};
use operand::{Clean, NoisedOnCard};
use poai_core::{Params, Seed, Shape};
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Prepared,
    Unsupported, Watch, product_shape,
};
use poai_engine::{Cpu, Operand};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use variant::Variant;

/// A band of a product that is kept on the card, in bytes; there are two.
pub(crate) const BAND_BYTES: u64 = 256 << 20;

/// A GPU that multiplies. Cloning shares the card.
#[derive(Clone, Debug)]
pub struct Cuda {
    pub(crate) card: Arc<Card>,
    variant: Variant,
    /// For products that are too small for a card.
    small: Arc<Cpu>,
}

impl Cuda {
    /// Opens a device that [`crate::devices`] listed, with the fastest kernels
    /// that it has, and lets it prove that they compute what they should.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn open(device: &Device) -> Result<Cuda, CudaError> {
        device.check_supported()?;
        let variant = match Variant::fastest(device.capability) {
            // A driver that cannot make maps still has the next.
            Some(Variant::Wgmma) if driver::load_for_maps().is_err() => Some(Variant::Mma),
            fastest => fastest,
        };
        // The check above asks for what the slowest needs.
        Cuda::forced(device, variant.unwrap_or(Variant::Dp4a))
    }

    /// The same with one variant and no other.
    ///
    /// # Errors
    /// [`CudaError::NoVariant`] where the card lacks it, or another
    /// [`CudaError`].
    pub fn forced(device: &Device, variant: Variant) -> Result<Cuda, CudaError> {
        if !variant.needs().runs_on(device.capability) {
            return Err(CudaError::NoVariant {
                name: device.name.clone(),
                capability: device.capability,
                variant: variant.name(),
                needed: variant.needs(),
            });
        }
        if variant.takes_maps() {
            driver::load_for_maps()?;
        }
        let card = Arc::new(Card::open(device)?);
        let cuda = Cuda { card, variant, small: Arc::new(Cpu::new()) };
        cuda.check()?;
        Ok(cuda)
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Which kernels multiply.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Asks the card for a sum that the host knows: a driver that compiles our
    /// kernels wrongly, or a card that computes wrongly, is found here.
    fn check(&self) -> Result<(), CudaError> {
        let words = |seed: u32| -> Vec<u32> {
            (0..4 * CHECK_THREADS + 1).map(|i| (i ^ seed).wrapping_mul(0x9e37_79b9)).collect()
        };
        let (a, b) = (words(1), words(2));
        let (on_a, on_b) =
            (self.upload(bytemuck::cast_slice(&a))?, self.upload(bytemuck::cast_slice(&b))?);
        let answer = self.card.allocate(4)?;
        self.card.clear(&answer)?;
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
        unsafe { self.card.launch(&launch, &arguments)? };
        let mut got = [0; 4];
        self.card.download(&answer, 0, &mut got)?;
        let (expected, got) = (kernels::check_answer(&a, &b), u32::from_le_bytes(got));
        if expected != got {
            return Err(CudaError::Wrong { name: self.card.device().name.clone(), expected, got });
        }
        Ok(())
    }

    /// A handle's data, where it was made on this card: on another one, or on
    /// this one opened once more, a backend of the same name has nothing for it.
    fn own<'a, T: AsRef<Memory>>(&self, data: &'a T) -> Result<&'a T, BackendError> {
        match self.card.owns(data.as_ref()) {
            true => Ok(data),
            false => Err(BackendError::Foreign { backend: self.name(), owner: self.name() }),
        }
    }

    /// A whole product.
    pub(crate) fn work<'a>(&self, job: &Multiplication<'a>) -> Result<Work<'a>, BackendError> {
        let a: &NoisedOnCard = self.own(job.a.data(self.name())?)?;
        let b: &NoisedOnCard = self.own(job.b.data(self.name())?)?;
        let (shape, seed, target) = (job.shape()?, job.a.seed(), job.target);
        Ok(Work { a, b, shape, first: 0, seed, target })
    }

    pub(crate) fn upload(&self, bytes: &[u8]) -> Result<Memory, CudaError> {
        self.card.load(bytes)
    }

    /// Rows of an operand as the kernels of a variant take them.
    pub(crate) fn rows<'a>(variant: Variant, rows: Rows<'a>) -> Argument<'a> {
        match variant.takes_maps() {
            true => Argument::Map(rows),
            false => Argument::At(rows.memory, u64::from(rows.first) * u64::from(rows.columns)),
        }
    }

    /// A plain product of `m` rows from `first` on, into memory of the card.
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
        // rows `first` to `first + m` of a, all of bt, and m·n entries of c. A
        // variant with maps was opened by `forced`, which looked for them.
        unsafe { self.card.launch(&launch, &arguments) }
    }

    /// What [`Cuda::plain`] launches.
    fn plain_launch<'a>(
        &self,
        a: &'a Memory,
        first: u32,
        b: &'a Memory,
        c: &'a Memory,
        [m, n, k]: [u32; 3],
    ) -> (Launch, [Argument<'a>; 6]) {
        let multiprocessors = self.card.device().multiprocessors;
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

    /// A plain product, band by band into the host's memory, until somebody
    /// wants no more of it.
    pub(crate) fn fetch_product(
        &self,
        a: &Memory,
        b: &Memory,
        shape: &Shape,
        memory: &mut [i32],
        stopped: &AtomicBool,
    ) -> Result<(), CudaError> {
        let &Shape { m, n, k } = shape;
        let multiprocessors = self.card.device().multiprocessors;
        let band = self.variant.band(n, multiprocessors, Some(BAND_BYTES)).min(m);
        let entries = band as usize * n as usize;
        let room = || self.card.allocate(4 * entries as u64);
        // One is read while the next is written.
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
            before = Some((self.card.fetch(c, 0, 4 * rows.len() as u64)?, rows));
        }
        match before {
            Some((fetch, to)) => fetch.finish(bytemuck::cast_slice_mut(to)),
            None => Ok(()),
        }
    }
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
        // Nobody asks for a commitment, so nothing is hashed.
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
        // Done before a card would have been asked.
        self.small.product_small(a, b, k, memory)
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let on_card: &NoisedOnCard = self.own(noised.data(self.name())?)?;
        let mut entries = vec![0i8; noised.operand().as_slice().len()];
        self.card.download(&on_card.matrix, 0, bytemuck::cast_slice_mut(&mut entries))?;
        Ok(entries)
    }

    fn multiply(
        &self,
        job: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = job.shape()?;
        job.check_output(&shape, &output)?;
        self.draw(&self.work(job)?, Place::Host(output), watch)
    }
}
