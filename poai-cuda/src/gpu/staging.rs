//! Host memory that the driver has pinned. Copies to and from it run at the
//! bus's rate and beside everything else. Only they may be in progress when a
//! call returns. Only the host touches the caller's slices.

use super::stream::{Point, Queue, Streams};
use crate::error::CudaError;
use cudarc::driver::{DriverError, result, sys};
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{slice, thread};

/// Pinned memory, and the last copy that uses it.
#[derive(Debug)]
pub(super) struct Slot {
    address: NonNull<u8>,
    bytes: usize,
    streams: Arc<Streams>,
    under_way: Option<Point>,
    /// Whether a copy may be in progress whose end nothing reports.
    lost: bool,
}

// SAFETY: only the slot uses the memory, and copies that the slot waits for.
unsafe impl Send for Slot {}

impl Slot {
    fn new(streams: &Arc<Streams>, bytes: usize) -> Result<Slot, CudaError> {
        // SAFETY: written below before anything reads it.
        let memory = unsafe { result::malloc_host(bytes, 0) };
        let memory = memory.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                CudaError::OutOfHostMemory { bytes: bytes as u64 }
            }
            _ => streams.failed("cuMemHostAlloc")(error),
        })?;
        let address = NonNull::new(memory.cast::<u8>()).ok_or(CudaError::Bounds)?;
        // SAFETY: that many bytes, just allocated.
        unsafe { address.write_bytes(0, bytes) };
        let streams = streams.clone();
        Ok(Slot { address, bytes, streams, under_way: None, lost: false })
    }

    /// The slot's memory, after the last copy that uses it has ended.
    fn memory(&mut self, bytes: usize) -> Result<&mut [u8], CudaError> {
        if self.lost || bytes > self.bytes {
            return Err(CudaError::Bounds);
        }
        if let Some(point) = &self.under_way {
            self.streams.reach(point)?;
            self.under_way = None;
        }
        // SAFETY: the memory is the slot's own, was initialised when the slot
        // was made, and no copy is in progress.
        Ok(unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), bytes) })
    }

    /// Queues a copy of `from` to the GPU; `from` need not outlive the call.
    pub(super) fn up(
        &mut self,
        from: &[u8],
        place: sys::CUdeviceptr,
        queue: Queue,
    ) -> Result<(), CudaError> {
        self.memory(from.len())?.copy_from_slice(from);
        // SAFETY: the callers' place has `from.len()` bytes.
        self.copy(from.len(), queue, "cuMemcpyHtoDAsync", |memory, stream| unsafe {
            result::memcpy_htod_async(place, memory, stream)
        })
    }

    /// Queues a copy from the GPU into this slot.
    pub(super) fn down(&mut self, place: sys::CUdeviceptr, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the callers' place has `bytes` bytes.
        self.copy(bytes, Queue::Down, "cuMemcpyDtoHAsync", |memory, stream| unsafe {
            result::memcpy_dtoh_async(memory, place, stream)
        })
    }

    /// Waits for the copy from the GPU and copies its contents to `to`.
    pub(super) fn read(&mut self, to: &mut [u8]) -> Result<(), CudaError> {
        to.copy_from_slice(self.memory(to.len())?);
        Ok(())
    }

    fn copy(
        &mut self,
        bytes: usize,
        queue: Queue,
        call: &'static str,
        copy: impl FnOnce(&mut [u8], sys::CUstream) -> Result<(), DriverError>,
    ) -> Result<(), CudaError> {
        let streams = self.streams.clone();
        let copied = copy(self.memory(bytes)?, streams.of(queue).cu_stream());
        let recorded = copied.map_err(streams.failed(call)).and_then(|()| streams.record(queue));
        match recorded {
            Ok(point) => {
                self.under_way = Some(point);
                Ok(())
            }
            Err(error) => {
                // The copy may be in progress despite the error.
                self.lost = streams.drain(queue).is_err();
                Err(error)
            }
        }
    }

    /// Whether the slot can be used without a wait.
    fn is_idle(&self) -> bool {
        self.under_way.as_ref().is_none_or(|point| point.is_complete())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let bound = self.streams.bind().is_ok();
        // If the end of a copy is unknown, the memory is leaked: the copy may
        // use it.
        if bound && self.memory(0).is_ok() {
            // SAFETY: allocated the same way, freed once, and no copy uses it.
            let _ = unsafe { result::free_host(self.address.as_ptr().cast()) };
        }
    }
}

/// Slots of one size, made on demand up to a maximum number.
#[derive(Debug)]
pub(super) struct Staging {
    bytes: usize,
    most: usize,
    slots: Mutex<Slots>,
    given: Condvar,
}

/// The free slots, the one returned first at the front, and the number of slots
/// in use.
#[derive(Debug, Default)]
struct Slots {
    free: VecDeque<Slot>,
    taken: usize,
}

/// A slot that a caller holds for a while.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    staging: &'a Staging,
    slot: Option<Slot>,
}

impl Taken<'_> {
    pub(super) fn slot(&mut self) -> Result<&mut Slot, CudaError> {
        // The slot is present until this is dropped.
        self.slot.as_mut().ok_or(CudaError::Bounds)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut slots = self.staging.lock();
        slots.taken -= 1;
        // A lost slot is discarded, which makes room for another.
        slots.free.extend(self.slot.take().filter(|slot| !slot.lost));
        self.staging.given.notify_one();
    }
}

impl Staging {
    pub(super) fn new(bytes: usize, most: usize) -> Staging {
        Staging { bytes, most, slots: Mutex::default(), given: Condvar::new() }
    }

    /// Bytes of a slot.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot, and waits for another thread's if all are in use. Use it
    /// only for staging whose callers hold no slot while they wait for another.
    pub(super) fn take(&self, streams: &Arc<Streams>) -> Result<Taken<'_>, CudaError> {
        loop {
            if let Some(taken) = self.take_idle(streams)? {
                return Ok(taken);
            }
            let mut slots = self.lock();
            while slots.free.is_empty() && slots.taken >= self.most {
                slots = self.given.wait(slots).unwrap_or_else(PoisonError::into_inner);
            }
            // The first use waits for its copy, without the lock.
            if let Some(slot) = slots.free.pop_front() {
                slots.taken += 1;
                return Ok(Taken { staging: self, slot: Some(slot) });
            }
        }
    }

    /// Takes a slot that is usable at once, if one exists or can be made.
    pub(super) fn take_idle(&self, streams: &Arc<Streams>) -> Result<Option<Taken<'_>>, CudaError> {
        let mut slots = self.lock();
        let room = slots.free.len() + slots.taken < self.most;
        let idle = slots.free.front().is_some_and(Slot::is_idle);
        if !idle && !room {
            return Ok(None);
        }
        slots.taken += 1;
        let slot = if idle { slots.free.pop_front() } else { None };
        drop(slots);
        // The slot counts as taken from here on, even if the next call fails.
        let mut taken = Taken { staging: self, slot };
        if taken.slot.is_none() {
            taken.slot = Some(Slot::new(streams, self.bytes)?);
        }
        Ok(Some(taken))
    }

    /// Does some work with every piece of a large copy, with one slot each.
    /// Several threads work at once, because one thread fills or reads a slot
    /// slower than the bus does. The function starts its own threads: a thread
    /// of a pool could take other work here that needs a slot, and wait for
    /// itself.
    pub(super) fn each<T: Send>(
        &self,
        streams: &Arc<Streams>,
        pieces: impl ExactSizeIterator<Item = T> + Send,
        work: impl Fn(&mut Slot, T) -> Result<(), CudaError> + Sync,
    ) -> Result<(), CudaError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(pieces.len()).min(self.most);
        let pieces = Mutex::new(Some(pieces));
        let next = || {
            let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
            pieces.as_mut().and_then(Iterator::next)
        };
        let run = || {
            streams.bind()?;
            while let Some(piece) = next() {
                // One slot at a time: a thread that waits for a slot holds
                // none.
                let done = self.take(streams).and_then(|mut taken| work(taken.slot()?, piece));
                if done.is_err() {
                    // Let the other threads stop.
                    *pieces.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return done;
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let beside: Vec<_> = (1..threads)
                // If a thread cannot be started, the others do its part.
                .filter_map(|_| thread::Builder::new().spawn_scoped(scope, run).ok())
                .collect();
            let done = run();
            beside.into_iter().fold(done, |done, thread| {
                let other = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                done.and(other)
            })
        })
    }
}
