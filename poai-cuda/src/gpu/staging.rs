//! Memory of the host that the driver has pinned: copies to and from it run at
//! the bus's rate and beside everything else, and they alone may be under way
//! when a call returns. The caller's slices are only ever touched by the host.

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
    /// Whether a copy may be under way that nothing tells the end of.
    lost: bool,
}

// SAFETY: the memory belongs to the slot alone, and to copies that it waits for.
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

    /// Its memory, once no copy uses it any more.
    fn memory(&mut self, bytes: usize) -> Result<&mut [u8], CudaError> {
        if self.lost || bytes > self.bytes {
            return Err(CudaError::Bounds);
        }
        if let Some(point) = &self.under_way {
            self.streams.reach(point)?;
            self.under_way = None;
        }
        // SAFETY: the slot's own, initialised when it was made, and no copy is
        // under way.
        Ok(unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), bytes) })
    }

    /// Queues a copy of `from` to the GPU, which `from` need not outlive.
    pub(super) fn up(
        &mut self,
        from: &[u8],
        place: sys::CUdeviceptr,
        queue: Queue,
    ) -> Result<(), CudaError> {
        self.memory(from.len())?.copy_from_slice(from);
        // SAFETY: the callers' place has so many bytes.
        self.copy(from.len(), queue, "cuMemcpyHtoDAsync", |memory, stream| unsafe {
            result::memcpy_htod_async(place, memory, stream)
        })
    }

    /// Queues a copy from the GPU into this slot.
    pub(super) fn down(&mut self, place: sys::CUdeviceptr, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the callers' place has so many bytes.
        self.copy(bytes, Queue::Down, "cuMemcpyDtoHAsync", |memory, stream| unsafe {
            result::memcpy_dtoh_async(memory, place, stream)
        })
    }

    /// Waits for the copy from the GPU and hands on what came.
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
                // The copy may be under way all the same.
                self.lost = streams.drain(queue).is_err();
                Err(error)
            }
        }
    }

    /// Whether it can be used without a wait.
    fn is_idle(&self) -> bool {
        self.under_way.as_ref().is_none_or(|point| point.is_complete())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let bound = self.streams.bind().is_ok();
        // Where the end of a copy is unknown, the memory is left to it.
        if bound && self.memory(0).is_ok() {
            // SAFETY: allocated likewise, freed once, and no copy uses it.
            let _ = unsafe { result::free_host(self.address.as_ptr().cast()) };
        }
    }
}

/// Slots of one size, made when they are first needed, up to a number.
#[derive(Debug)]
pub(super) struct Staging {
    bytes: usize,
    most: usize,
    slots: Mutex<Slots>,
    given: Condvar,
}

/// The slots that are free, the one given back first at the front, and how
/// many there are beside them.
#[derive(Debug, Default)]
struct Slots {
    free: VecDeque<Slot>,
    taken: usize,
}

/// A slot that is somebody's for a while.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    staging: &'a Staging,
    slot: Option<Slot>,
}

impl Taken<'_> {
    pub(super) fn slot(&mut self) -> Result<&mut Slot, CudaError> {
        // It is there until this is dropped.
        self.slot.as_mut().ok_or(CudaError::Bounds)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut slots = self.staging.lock();
        slots.taken -= 1;
        // One that is lost makes room for another.
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

    /// A slot, if need be after a wait for another thread that has them all: for
    /// staging whose slots are never kept while another is waited for.
    pub(super) fn take(&self, streams: &Arc<Streams>) -> Result<Taken<'_>, CudaError> {
        loop {
            if let Some(taken) = self.take_idle(streams)? {
                return Ok(taken);
            }
            let mut slots = self.lock();
            while slots.free.is_empty() && slots.taken >= self.most {
                slots = self.given.wait(slots).unwrap_or_else(PoisonError::into_inner);
            }
            // Its copy is waited for when it is used, without the lock.
            if let Some(slot) = slots.free.pop_front() {
                slots.taken += 1;
                return Ok(Taken { staging: self, slot: Some(slot) });
            }
        }
    }

    /// A slot that can be used at once, where there is one or can be.
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
        // Counts as taken from here on, whatever comes.
        let mut taken = Taken { staging: self, slot };
        if taken.slot.is_none() {
            taken.slot = Some(Slot::new(streams, self.bytes)?);
        }
        Ok(Some(taken))
    }

    /// Does some work with every piece of a large copy, each time with a slot:
    /// several at a time, since a thread alone fills or reads a slot slower than
    /// the bus does. Threads of its own: one of a pool could go on here with
    /// other work that wants a slot, and wait for itself.
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
                // One at a time: a thread that waits for a slot has none.
                let done = self.take(streams).and_then(|mut taken| work(taken.slot()?, piece));
                if done.is_err() {
                    // The others need not go on.
                    *pieces.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return done;
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let beside: Vec<_> = (1..threads)
                // Where there is no thread to be had, the others do its part.
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
