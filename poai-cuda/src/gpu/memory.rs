//! Memory on the GPU, allocated in the order of the queues if the driver has
//! pools.

use super::stream::{Queue, Streams, Uses};
use crate::error::{CudaError, failed};
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUmemPool_attribute_enum as PoolAttribute};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Freed memory may keep one part in this number of a GPU's memory.
const KEPT: u64 = 4;

/// Memory on the GPU. It is freed after it is dropped and no queue uses it any
/// more.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(super) block: Arc<Block>,
}

impl Memory {
    /// The number of bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.block.bytes()
    }

    /// The address of the first byte.
    #[cfg(feature = "measure")]
    pub(crate) fn address(&self) -> sys::CUdeviceptr {
        self.block.address()
    }
}

/// The memory itself, which a copy in progress shares.
#[derive(Debug)]
pub(super) struct Block {
    address: sys::CUdeviceptr,
    bytes: u64,
    streams: Arc<Streams>,
    uses: Mutex<Uses>,
}

impl Block {
    /// Allocates memory with any contents. The first use in any other queue
    /// comes after its allocation.
    pub(super) fn new(
        streams: &Arc<Streams>,
        queue: Queue,
        bytes: u64,
    ) -> Result<Block, CudaError> {
        let len = usize::try_from(bytes.max(1)).map_err(|_| CudaError::Bounds)?;
        let address = match streams.pools() {
            // SAFETY: the contents do not matter before the first write,
            // because every byte has some value.
            true => unsafe { result::malloc_async(streams.of(queue).cu_stream(), len) },
            // SAFETY: as above.
            false => unsafe { result::malloc_sync(len) },
        };
        let address = address.map_err(failed("cuMemAlloc", &streams.info().name, Some(bytes)))?;
        let uses = Mutex::default();
        let block = Block { address, bytes: len as u64, streams: streams.clone(), uses };
        match queue {
            // The allocation itself is a use of the queue.
            Queue::Compute => block.uses().computed(),
            // If this fails, the allocation is complete; the drop relies on
            // that.
            _ => block.used(queue)?,
        }
        Ok(block)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether these queues own the memory.
    pub(super) fn is_of(&self, streams: &Arc<Streams>) -> bool {
        Arc::ptr_eq(&self.streams, streams)
    }

    pub(super) fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the last request of a queue uses this memory. If recording
    /// fails, the queue has completed the request when this returns.
    pub(super) fn used(&self, queue: Queue) -> Result<(), CudaError> {
        match self.streams.record(queue) {
            Ok(point) => {
                self.uses().last(queue, point);
                Ok(())
            }
            Err(error) => {
                // The first error says more than an error of the wait.
                let _ = self.streams.drain(queue);
                Err(error)
            }
        }
    }

    /// The address of the first byte.
    pub(super) fn address(&self) -> sys::CUdeviceptr {
        self.address
    }

    /// The address of `bytes` bytes from an offset on, if the memory has that
    /// many.
    pub(super) fn place(&self, offset: u64, bytes: u64) -> Result<sys::CUdeviceptr, CudaError> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.bytes);
        end.map(|_| self.address + offset).ok_or(CudaError::Bounds)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let streams = &self.streams;
        // If the GPU is lost, nothing can be done.
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
            // SAFETY: allocated the same way and freed once, in a queue that
            // comes after everything that uses it.
            true => unsafe {
                result::free_async(self.address, streams.of(Queue::Compute).cu_stream())
            },
            // SAFETY: allocated the same way and freed once; nothing is queued.
            false => unsafe { result::free_sync(self.address) },
        };
    }
}

/// Lets freed memory stay with this process for the next product, up to a
/// quarter of the GPU. By default the driver returns all of it at every wait,
/// and to allocate it again takes longer than a small product. The setting
/// belongs to the GPU's default pool, which the whole process shares. A higher
/// setting is kept.
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
        // SAFETY: as above; the call only reads the value.
        let set =
            unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut kept).cast()) };
        set.map_err(streams.failed("cuMemPoolSetAttribute"))?;
    }
    Ok(())
}
