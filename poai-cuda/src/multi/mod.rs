//! Several GPUs as one [`Backend`]: they share the rows of side A, and each has
//! all of side B.
//!
//! Rows of the product are independent of each other, so the GPUs exchange
//! nothing. Each has its rows of A, clean and noised, and writes its rows of
//! the product. The cost of the split: B is uploaded, stored and noised once
//! for each GPU. For exact products it is also multiplied by its step factors
//! on each.
//!
//! Programs run product by product ([`Device::resident`] returns `None`). A
//! step's rows may depend on any row of the step before, and these are on
//! several GPUs.
//!
//! - `share`: which rows each GPU takes;
//! - `parts`: the rows and data of each GPU;
//! - `threads`: a host thread for each GPU, and how they stop;
//! - `error`: names the GPU that failed.

mod error;
mod parts;
mod share;
mod threads;

pub use error::MultiGpuError;

use crate::backend::multiply::{Place, Work};
use crate::backend::operand::{Clean, NoisedOnGpu};
use crate::backend::{Cuda, host_bytes};
use core::ops::Range;
use parts::{OnGpus, Part, cut, outputs, pairs, ranges, rows_of};
use poai_core::puzzle::commitment::Tree;
use poai_core::{Params, Seed, Shape, Side};
use poai_engine::Operand;
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Prepared,
    Unsupported, Watch, product_shape,
};
use poai_engine::execute::Device;
use std::sync::Arc;
use threads::{Shared, Stop, each, each_beside};

/// The owner's name in handles, so that a single GPU does not accept them.
const NAME: &str = "cuda-multi";

/// The fewest bytes that a GPU's share moves between host and GPU. A fast bus
/// takes about 50 µs for them, about as long as a thread and a few launches.
/// Estimated, not measured.
const SHARE_BYTES: u64 = 1 << 20;

/// GPUs that multiply together. Cloning shares them.
#[derive(Clone, Debug)]
pub struct MultiGpu {
    gpus: Arc<[Cuda]>,
    /// Each GPU's speed relative to the others.
    weights: Vec<u64>,
    share_bytes: u64,
}

impl MultiGpu {
    /// GPUs of any variants, in the order in which they take A's rows.
    ///
    /// # Errors
    /// [`MultiGpuError::Empty`]; [`MultiGpuError::Twice`] if two are the same
    /// GPU.
    pub fn new(gpus: Vec<Cuda>) -> Result<MultiGpu, MultiGpuError> {
        if gpus.is_empty() {
            return Err(MultiGpuError::Empty);
        }
        let ordinals: Vec<_> = gpus.iter().map(|cuda| cuda.gpu().info().ordinal).collect();
        check_once(&ordinals)?;
        let weights = share::weights(&gpus);
        Ok(MultiGpu { gpus: gpus.into(), weights, share_bytes: SHARE_BYTES })
    }

    /// Sets the fewest bytes of an operand's rows that a GPU takes (1 MiB by
    /// default). If the columns of the product are known, its rows count too.
    /// Products that are too small use fewer GPUs, in the end only the fastest.
    /// With 0, every GPU that can have a tile's rows gets some.
    pub fn share_bytes(self, bytes: u64) -> MultiGpu {
        MultiGpu { share_bytes: bytes, ..self }
    }

    /// The GPUs.
    pub fn gpus(&self) -> &[Cuda] {
        &self.gpus
    }

    /// The rows of each GPU, of `rows` rows that move `row_bytes` bytes each.
    fn shares(&self, rows: u32, row_bytes: u64) -> Vec<Option<Range<u32>>> {
        share::shares(rows, row_bytes, &self.weights, self.share_bytes)
    }

    /// Pairs each result with its rows.
    fn on_gpus<T>(&self, rows: Vec<Option<Range<u32>>>, data: Vec<Option<T>>) -> OnGpus<T> {
        let part = |(rows, data): (Option<_>, _)| Some(Part { rows: rows?, data: data? });
        let parts = rows.into_iter().zip(data).map(part).collect();
        OnGpus { owner: self.gpus.clone(), parts }
    }

    /// Returns a handle's data if these GPUs made it, and not another
    /// `MultiGpu`.
    fn own<'a, T>(&self, data: &'a OnGpus<T>) -> Result<&'a OnGpus<T>, BackendError> {
        match Arc::ptr_eq(&self.gpus, &data.owner) {
            true => Ok(data),
            false => Err(foreign()),
        }
    }

    /// Shares rows among several GPUs, while the host hashes them. The kernel
    /// counts chunks from a matrix's first on, so a GPU could hash its rows
    /// only together with all rows before them. Hashing on the host costs one
    /// pass over the matrix. Hashing on one GPU would cost that GPU an upload
    /// of all rows and memory for them, more than its share.
    fn split(
        &self,
        operand: &Operand,
        shares: Vec<Option<Range<u32>>>,
    ) -> Result<(OnGpus<Clean>, Tree), BackendError> {
        let bytes = operand.as_bytes();
        let tasks = shares.iter().map(|share| rows_of(bytes, share.as_ref()?, operand.k()));
        let hold = |cuda: &Cuda, rows| Ok(cuda.hold(rows)?);
        let hash = || Tree::new(bytes);
        let (held, tree) = each_beside(&self.gpus, tasks.collect(), &Stop::default(), hold, hash)?;
        Ok((self.on_gpus(shares, held), tree))
    }

    /// Puts all rows on each GPU that has a share; the fastest of these hashes
    /// them.
    fn whole(
        &self,
        operand: &Operand,
        shares: Vec<Option<Range<u32>>>,
    ) -> Result<(OnGpus<Clean>, Tree), BackendError> {
        let holders =
            (0..).zip(&shares).zip(&self.weights).filter(|((_, share), _)| share.is_some());
        let fastest = holders.max_by_key(|(_, weight)| **weight).map(|((gpu, _), _)| gpu);
        let task = |(gpu, share): (usize, &Option<_>)| {
            share.as_ref().map(|_: &Range<u32>| Some(gpu) == fastest)
        };
        let tasks = (0..).zip(&shares).map(task).collect();
        let keep = |cuda: &Cuda, hashes| match hashes {
            true => Ok(cuda.commit(operand).map(|(clean, tree)| (clean, Some(tree)))?),
            false => Ok((cuda.hold(operand.as_bytes())?, None)),
        };
        let kept = each(&self.gpus, tasks, &Stop::default(), keep)?;
        let (clean, trees): (Vec<_>, Vec<_>) = kept.into_iter().map(Option::unzip).unzip();
        let tree = trees.into_iter().flatten().flatten().next();
        // There is always one GPU that hashes.
        let tree = tree.unwrap_or_else(|| Tree::new(operand.as_bytes()));
        Ok((self.on_gpus(shares, clean), tree))
    }
}

/// Checks that no GPU is named twice.
pub(crate) fn check_once(ordinals: &[usize]) -> Result<(), MultiGpuError> {
    let twice = |(i, ordinal): &(usize, &usize)| ordinals.iter().take(*i).any(|o| o == *ordinal);
    match ordinals.iter().enumerate().find(twice) {
        Some((_, &ordinal)) => Err(MultiGpuError::Twice { ordinal }),
        None => Ok(()),
    }
}

fn foreign() -> BackendError {
    BackendError::Foreign { backend: NAME, owner: NAME }
}

/// Programs run product by product.
impl Device for MultiGpu {}

impl Backend for MultiGpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, params: &Params) -> Result<(), Unsupported> {
        if *params != Params::CONSENSUS {
            let (rank, tile) = (params.rank(), params.tile());
            return Err(Unsupported { backend: NAME, rank, tile });
        }
        Ok(())
    }

    fn memory_bytes(&self, _: &Params, shape: &Shape) -> u64 {
        host_bytes(shape, self.gpus.len())
    }

    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        self.supports(operand.params())?;
        let rows = operand.rows();
        let (on_gpus, tree) = match operand.side() {
            Side::A => {
                let shares = self.shares(rows, operand.k().into());
                match shares.iter().flatten().count() {
                    1 => self.whole(&operand, shares)?,
                    _ => self.split(&operand, shares)?,
                }
            }
            Side::B => self.whole(&operand, vec![Some(0..rows); self.gpus.len()])?,
        };
        Ok(Prepared::new(NAME, operand, tree, Arc::new(on_gpus)))
    }

    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        let clean = self.own(prepared.data::<Arc<OnGpus<Clean>>>(NAME)?)?;
        let k = prepared.operand().k();
        let noise = |cuda: &Cuda, part: &Part<Clean>| {
            Ok(cuda.noised(seed, &part.data, part.rows.start, [part.count(), k])?)
        };
        let tasks = clean.parts.iter().map(Option::as_ref).collect();
        let noised = each(&self.gpus, tasks, &Stop::default(), noise)?;
        let noised = self.on_gpus(ranges(&clean.parts).collect(), noised);
        Ok(Noised::new(prepared, seed, noised))
    }

    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        let clean = prepared.data::<Arc<OnGpus<Clean>>>(NAME)?;
        self.own(clean)?;
        Ok(Plain::new(prepared, clean.clone()))
    }

    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let Shape { n, k, .. } = product_shape(a.operand(), b.operand(), memory)?;
        let a = self.own(a.data::<Arc<OnGpus<Clean>>>(NAME)?)?;
        let b = self.own(b.data::<Arc<OnGpus<Clean>>>(NAME)?)?;
        let memory = cut(ranges(&a.parts), n, memory);
        let task = |(pair, memory): (Option<_>, Option<_>)| pair.zip(memory);
        let tasks = pairs(a, b)?.into_iter().zip(memory).map(task).collect();
        let stop = Stop::default();
        let multiply = |cuda: &Cuda, ((a, b), memory): ((&Part<Clean>, &Clean), _)| {
            let shape = Shape { m: a.count(), n, k };
            let (a, b) = (&a.data.matrix, &b.matrix);
            Ok(cuda.fetch_product(a, b, &shape, memory, &stop.stopped)?)
        };
        each(&self.gpus, tasks, &stop, multiply).map(drop)
    }

    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        self.supports(a.params())?;
        let Shape { m, n, k } = product_shape(&a, b.operand(), memory)?;
        let b = self.own(b.data::<Arc<OnGpus<Clean>>>(NAME)?)?;
        let shares = self.shares(m, u64::from(k) + 4 * u64::from(n));
        let memory = cut(shares.iter().cloned(), n, memory);
        let rows = shares.iter().map(|share| rows_of(a.as_bytes(), share.as_ref()?, k));
        let b = b.parts.iter().map(|part| part.as_ref().map(|part| &part.data));
        let tasks = rows.zip(b).zip(memory);
        let tasks = tasks.map(|((rows, b), memory)| Some((rows?, b?, memory?))).collect();
        let stop = Stop::default();
        let multiply = |cuda: &Cuda, (rows, b, memory): (&[u8], &Clean, &mut [i32])| {
            // No caller asks for a commitment, so nothing is hashed.
            let a = cuda.hold(rows)?;
            let shape = Shape { m: (memory.len() / n as usize) as u32, n, k };
            Ok(cuda.fetch_product(&a.matrix, &b.matrix, &shape, memory, &stop.stopped)?)
        };
        each(&self.gpus, tasks, &stop, multiply).map(drop)
    }

    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        // The processor computes it, so any GPU's backend will do.
        let cuda = self.gpus.first().ok_or(MultiGpuError::Empty)?;
        cuda.product_small(a, b, k, memory)
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let on_gpus = self.own(noised.data::<OnGpus<NoisedOnGpu>>(NAME)?)?;
        let operand = noised.operand();
        let mut entries = vec![0i8; operand.as_slice().len()];
        // Of side B every GPU has the same entries.
        let parts = match operand.side() {
            Side::A => on_gpus.parts.len(),
            Side::B => 1,
        };
        let parts = on_gpus.parts.iter().take(parts);
        let rows = parts.clone().map(|part| part.as_ref().map(|part| part.rows.clone()));
        let memory = cut(rows, operand.k(), &mut entries);
        let tasks = parts.zip(memory).map(|(part, memory)| part.as_ref().zip(memory)).collect();
        let fetch = |cuda: &Cuda, (part, memory): (&Part<NoisedOnGpu>, &mut [i8])| {
            Ok(cuda.gpu().download(&part.data.matrix, 0, bytemuck::cast_slice_mut(memory))?)
        };
        each(&self.gpus, tasks, &Stop::default(), fetch)?;
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
        let a = self.own(multiplication.a.data::<OnGpus<NoisedOnGpu>>(NAME)?)?;
        let b = self.own(multiplication.b.data::<OnGpus<NoisedOnGpu>>(NAME)?)?;
        let outputs = outputs(&a.parts, shape.n, output);
        let task = |(pair, output): (Option<_>, Option<_>)| pair.zip(output);
        let tasks = pairs(a, b)?.into_iter().zip(outputs).map(task).collect();
        let stop = Stop::default();
        let shared = Shared { watch, stop: &stop };
        let (seed, target) = (multiplication.a.seed(), multiplication.target);
        let multiply = |cuda: &Cuda, ((a, b), output): ((&Part<NoisedOnGpu>, _), _)| {
            let (shape, first) = (Shape { m: a.count(), ..shape }, a.rows.start);
            let work = Work { a: &a.data, b, shape, first, seed, target };
            cuda.draw(&work, Place::Host(output), &shared)
        };
        let done = each(&self.gpus, tasks, &stop, multiply)?;
        match done.contains(&Some(Completion::Stopped)) {
            true => Ok(Completion::Stopped),
            false => Ok(Completion::Complete),
        }
    }
}
