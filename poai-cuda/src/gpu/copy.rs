//! Copies to and from the GPU.

use super::memory::{Block, Memory};
use super::staging::Taken;
use super::stream::{Point, Queue};
use super::{OpenGpu, STAGE_BYTES};
use crate::error::CudaError;
use cudarc::driver::{result, sys};
use std::iter;
use std::sync::Arc;

/// A queued copy from the GPU. Requests made after it do not change its
/// contents, if nothing writes the source memory before it finishes.
///
/// If it is dropped before it finishes, the effect is as if it had never been
/// requested.
#[derive(Debug)]
pub(crate) struct Fetch<'a> {
    gpu: &'a OpenGpu,
    block: Arc<Block>,
    place: sys::CUdeviceptr,
    bytes: usize,
    stage: Stage<'a>,
}

/// The progress of a copy from the GPU.
#[derive(Debug)]
enum Stage<'a> {
    /// It is queued.
    Queued(Taken<'a>),
    /// It is too large for one slot, or all slots are in use. Its pieces are
    /// queued when it is finished, after these points.
    After(Vec<Point>),
}

impl Fetch<'_> {
    /// Waits for the copy, but not for requests made after it.
    pub(crate) fn finish(self, to: &mut [u8]) -> Result<(), CudaError> {
        let Fetch { gpu, block, place, bytes, stage } = self;
        if bytes != to.len() {
            return Err(CudaError::Bounds);
        }
        gpu.bind()?;
        match stage {
            Stage::Queued(mut taken) => taken.slot()?.read(to),
            Stage::After(points) => {
                let read = gpu.read_pieces(&points, place, to);
                if read.is_err() {
                    // Some pieces may be in progress, from memory that may be
                    // freed.
                    let _ = gpu.streams.drain(Queue::Down);
                }
                drop(block);
                read
            }
        }
    }
}

impl OpenGpu {
    /// Allocates memory with these contents. The copy waits for no earlier
    /// request and completes before anything that uses the memory. The caller
    /// may change `from` when this returns.
    pub(crate) fn load(&self, from: &[u8]) -> Result<Memory, CudaError> {
        self.bind()?;
        let memory = self.allocate_in(Queue::Up, from.len() as u64)?;
        self.copy_up(from, &memory.block, memory.block.address(), Queue::Up)?;
        Ok(memory)
    }

    /// Copies to the GPU, after every earlier request that uses the memory. The
    /// caller may change `from` when this returns. If the memory is new from
    /// [`OpenGpu::load`], the copy behaves as there. Otherwise it waits for its
    /// turn among the launches, and the host waits with it if it is large.
    pub(crate) fn upload(&self, from: &[u8], to: &Memory, offset: u64) -> Result<(), CudaError> {
        self.bind()?;
        let place = to.block.place(offset, from.len() as u64)?;
        let fresh = to.block.uses().is_fresh();
        self.copy_up(from, &to.block, place, if fresh { Queue::Up } else { Queue::Compute })
    }

    fn copy_up(
        &self,
        from: &[u8],
        block: &Block,
        place: sys::CUdeviceptr,
        queue: Queue,
    ) -> Result<(), CudaError> {
        self.streams.order(queue, iter::once(block.uses()))?;
        let staging = if from.len() <= self.small.bytes() { &self.small } else { &self.large_up };
        let copied = match from.len() <= staging.bytes() {
            true => staging
                .take(&self.streams)
                .and_then(|mut taken| taken.slot()?.up(from, place, queue)),
            false => {
                let pieces = from.chunks(STAGE_BYTES).enumerate();
                staging.each(&self.streams, pieces, |slot, (i, piece)| {
                    slot.up(piece, place + (i * STAGE_BYTES) as u64, queue)
                })
            }
        };
        match copied {
            Ok(()) if queue == Queue::Compute => Ok(()),
            Ok(()) => block.used(queue),
            Err(error) => {
                // Other pieces may be in progress, into memory that may be
                // freed.
                let _ = self.streams.drain(queue);
                Err(error)
            }
        }
    }

    /// Copies from the GPU, after every earlier request.
    pub(crate) fn download(
        &self,
        from: &Memory,
        offset: u64,
        to: &mut [u8],
    ) -> Result<(), CudaError> {
        self.fetch(from, offset, to.len() as u64)?.finish(to)
    }

    /// Requests a copy from the GPU, of the contents after every earlier
    /// request. Until [`Fetch::finish`] returns, the caller may request nothing
    /// that writes there.
    pub(crate) fn fetch(
        &self,
        from: &Memory,
        offset: u64,
        bytes: u64,
    ) -> Result<Fetch<'_>, CudaError> {
        self.bind()?;
        let block = from.block.clone();
        let place = block.place(offset, bytes)?;
        let bytes = usize::try_from(bytes).map_err(|_| CudaError::Bounds)?;
        let idle = match bytes <= STAGE_BYTES {
            true => self.fetched.take_idle(&self.streams)?,
            false => None,
        };
        let stage = match idle {
            Some(mut taken) => {
                self.streams.order(Queue::Down, iter::once(block.uses()))?;
                taken.slot()?.down(place, bytes)?;
                block.used(Queue::Down)?;
                Stage::Queued(taken)
            }
            None => Stage::After(self.streams.before(Queue::Down, &block.uses())?),
        };
        Ok(Fetch { gpu: self, block, place, bytes, stage })
    }

    fn read_pieces(
        &self,
        points: &[Point],
        place: sys::CUdeviceptr,
        to: &mut [u8],
    ) -> Result<(), CudaError> {
        for point in points {
            self.streams.wait(Queue::Down, point)?;
        }
        let pieces = to.chunks_mut(STAGE_BYTES).enumerate();
        self.large_down.each(&self.streams, pieces, |slot, (i, piece)| {
            slot.down(place + (i * STAGE_BYTES) as u64, piece.len())?;
            slot.read(piece)
        })
    }

    /// Sets memory to zero.
    pub(crate) fn clear(&self, memory: &Memory) -> Result<(), CudaError> {
        self.clear_part(memory, 0, memory.block.bytes())
    }

    /// Sets `bytes` bytes from an offset on to zero.
    pub(crate) fn clear_part(
        &self,
        memory: &Memory,
        offset: u64,
        bytes: u64,
    ) -> Result<(), CudaError> {
        self.bind()?;
        let place = memory.block.place(offset, bytes)?;
        let len = usize::try_from(bytes).map_err(|_| CudaError::Bounds)?;
        self.streams.order(Queue::Compute, iter::once(memory.block.uses()))?;
        let stream = self.streams.of(Queue::Compute).cu_stream();
        // SAFETY: `place` checked that `len` bytes lie inside the memory.
        let set = unsafe { result::memset_d8_async(place, 0, len, stream) };
        set.map_err(self.streams.failed("cuMemsetD8Async"))
    }
}
