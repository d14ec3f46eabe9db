//! Memory on the GPU: in the order of the queues where the driver has pools.

use super::stream::{Queue, Streams, Uses};
use crate::error::{CudaError, failed};
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUmemPool_attribute_enum as PoolAttribute};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part of a GPU's memory that freed memory may keep: one in this number.
const KEPT: u64 = 4;

/// Memory on the GPU, freed when it is dropped and nothing in a queue uses it
/// any more.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(super) block: Arc<Block>,
}

impl Memory {
    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> u64 {
        self.block.bytes()
    }

    /// The address of the first byte.
    #[cfg(feature = "measure")]
    pub(crate) fn address(&self) -> sys::CUdeviceptr {
        self.block.address()
    }
}

/// What [`Memory`] is; a copy that is under way shares it.
#[derive(Debug)]
pub(super) struct Block {
    address: sys::CUdeviceptr,
    bytes: u64,
    streams: Arc<Streams>,
    uses: Mutex<Uses>,
}

impl Block {
    /// Memory with any contents. The first use in any other queue comes after
    /// its allocation.
    pub(super) fn new(
        streams: &Arc<Streams>,
        queue: Queue,
        bytes: u64,
    ) -> Result<Block, CudaError> {
        let len = usize::try_from(bytes.max(1)).map_err(|_| CudaError::Bounds)?;
        let address = match streams.pools() {
            // SAFETY: nothing reads it before it is written, in any way that
            // matters: every byte has some value.
            true => unsafe { result::malloc_async(streams.of(queue).cu_stream(), len) },
            // SAFETY: the same.
            false => unsafe { result::malloc_sync(len) },
        };
        let address = address.map_err(failed("cuMemAlloc", &streams.info().name, Some(bytes)))?;
        let uses = Mutex::default();
        let block = Block { address, bytes: len as u64, streams: streams.clone(), uses };
        match queue {
            // The allocation itself is a use of the queue.
            Queue::Compute => block.uses().computed(),
            // Where this fails the allocation is done, which the drop relies on.
            _ => block.used(queue)?,
        }
        Ok(block)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether these queues use it.
    pub(super) fn is_of(&self, streams: &Arc<Streams>) -> bool {
        Arc::ptr_eq(&self.streams, streams)
    }

    pub(super) fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that what was asked last of a queue uses it. Should that not
    /// be possible, the queue has done it when this returns.
    pub(super) fn used(&self, queue: Queue) -> Result<(), CudaError> {
        match self.streams.record(queue) {
            Ok(point) => {
                self.uses().last(queue, point);
                Ok(())
            }
            Err(error) => {
                // The first error says more than what the wait comes to.
                let _ = self.streams.drain(queue);
                Err(error)
            }
        }
    }

    /// The address of the first byte.
    pub(super) fn address(&self) -> sys::CUdeviceptr {
        self.address
    }

    /// The bytes from an offset on, where there are as many.
    pub(super) fn place(&self, offset: u64, bytes: u64) -> Result<sys::CUdeviceptr, CudaError> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.bytes);
        end.map(|_| self.address + offset).ok_or(CudaError::Bounds)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let streams = &self.streams;
        // Nothing can be done about a GPU that is lost by now.
        if streams.bind().is_err() {
            return;
        }
        let ordered = match streams.pools() {
            true => streams.order(Queue::Compute, iter::once(self.uses())),
            false => streams.drain_all(),
        };
        if ordered.is_err() {
            let _ = streams.drain_all();
        }
        let _ = match streams.pools() {
            // SAFETY: allocated likewise and freed once, in a queue that comes
            // after everything that uses it.
            true => unsafe {
                result::free_async(self.address, streams.of(Queue::Compute).cu_stream())
            },
            // SAFETY: allocated likewise and freed once; nothing is queued.
            false => unsafe { result::free_sync(self.address) },
        };
    }
}

/// Lets freed memory stay with this process for the next product, up to a
/// quarter of the GPU: by default the driver gives all of it back at every
/// wait, and asking for it again takes longer than a small product. The setting
/// is that of the GPU's default pool, which everything in the process shares;
/// a higher one is left as it is.
pub(super) fn keep_freed(streams: &Streams) -> Result<(), CudaError> {
    if !streams.pools() {
        return Ok(());
    }
    let ordinal = i32::try_from(streams.info().ordinal).map_err(|_| CudaError::NoGpu)?;
    let gpu = result::device::get(ordinal).map_err(streams.failed("cuDeviceGet"))?;
    // SAFETY: the handle comes from `device::get`.
    let pool = unsafe { result::device::get_default_mem_pool(gpu) };
    let pool = pool.map_err(streams.failed("cuDeviceGetDefaultMemPool"))?;
    let (mut kept, wanted) = (0u64, streams.info().memory / KEPT);
    let attribute = PoolAttribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the GPU's pool is never destroyed; the attribute is a u64.
    let got = unsafe { result::mem_pool::get_attribute(pool, attribute, (&raw mut kept).cast()) };
    got.map_err(streams.failed("cuMemPoolGetAttribute"))?;
    if kept < wanted {
        kept = wanted;
        // SAFETY: the same; the call only reads it.
        let set =
            unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut kept).cast()) };
        set.map_err(streams.failed("cuMemPoolSetAttribute"))?;
    }
    Ok(())
}
