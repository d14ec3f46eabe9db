//! The queues of a GPU and the order among them.
//!
//! A queue is a stream of the driver: its requests run one after the other,
//! beside those of the other queues. Events order requests in two queues that
//! use the same memory: each block of memory records where it was last used.

use crate::detection::Gpu;
use crate::error::{CudaError, failed, refused_on};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError};
use std::array;
use std::sync::{Arc, MutexGuard};

/// A queue of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Launches, in the order of the calls.
    Compute,
    /// Launches that may run beside those of `Compute`.
    Side,
    /// Copies to the GPU.
    Up,
    /// Copies from the GPU.
    Down,
}

impl Queue {
    const ALL: [Queue; 4] = [Queue::Compute, Queue::Side, Queue::Up, Queue::Down];
}

/// A point in a queue: when it is reached, every earlier request is complete.
pub(super) type Point = Arc<CudaEvent>;

/// Where a block of memory was last used.
///
/// For the compute queue it records only whether it was used. A point is
/// recorded there when another queue has to wait for it, because usually only
/// the next launch waits for a launch.
#[derive(Debug, Default)]
pub(super) struct Uses {
    compute: bool,
    beside: [Option<Point>; Queue::ALL.len()],
}

impl Uses {
    /// Records that the compute queue used the memory, or allocated it.
    pub(super) fn computed(&mut self) {
        self.compute = true;
    }

    /// Whether the compute queue never used it.
    pub(super) fn is_fresh(&self) -> bool {
        !self.compute
    }

    /// Records the last use in a queue other than the compute queue.
    pub(super) fn last(&mut self, queue: Queue, point: Point) {
        self.beside[queue as usize] = Some(point);
    }

    /// The last uses in queues other than this one.
    fn others(&self, queue: Queue) -> impl Iterator<Item = &Point> {
        let uses = Queue::ALL.into_iter().zip(&self.beside);
        uses.filter(move |(of, _)| *of != queue).filter_map(|(_, point)| point.as_ref())
    }
}

/// The queues of an open GPU. Memory shares them, so they outlive it.
#[derive(Debug)]
pub(super) struct Streams {
    gpu: Gpu,
    context: Arc<CudaContext>,
    queues: [Arc<CudaStream>; Queue::ALL.len()],
}

impl Streams {
    pub(super) fn open(gpu: &Gpu) -> Result<Arc<Streams>, CudaError> {
        let context = CudaContext::new(gpu.ordinal)
            .map_err(refused_on("cuDevicePrimaryCtxRetain", &gpu.name))?;
        // SAFETY: the tracking is for cudarc's own slices, which are not used
        // here.
        unsafe { context.disable_event_tracking() };
        let open = || context.new_stream().map_err(refused_on("cuStreamCreate", &gpu.name));
        let queues = [open()?, open()?, open()?, open()?];
        Ok(Arc::new(Streams { gpu: gpu.clone(), context, queues }))
    }

    pub(super) fn info(&self) -> &Gpu {
        &self.gpu
    }

    /// Whether memory is allocated and freed in the order of a queue.
    pub(super) fn pools(&self) -> bool {
        self.context.has_async_alloc()
    }

    pub(super) fn of(&self, queue: Queue) -> &CudaStream {
        &self.queues[queue as usize]
    }

    /// Converts the error of a call on the open GPU.
    pub(super) fn failed(&self, call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
        failed(call, &self.gpu.name, None)
    }

    /// Makes the calling thread's calls go to this GPU.
    pub(super) fn bind(&self) -> Result<(), CudaError> {
        self.context.bind_to_thread().map_err(self.failed("cuCtxSetCurrent"))
    }

    /// The end of the requests of a queue so far.
    pub(super) fn record(&self, queue: Queue) -> Result<Point, CudaError> {
        let event = self.context.new_event(None).map_err(self.failed("cuEventCreate"))?;
        event.record(self.of(queue)).map_err(self.failed("cuEventRecord"))?;
        Ok(Arc::new(event))
    }

    /// Makes later requests of a queue start after a point of another queue.
    /// The host does not wait.
    pub(super) fn wait(&self, queue: Queue, point: &Point) -> Result<(), CudaError> {
        self.of(queue).wait(point).map_err(self.failed("cuStreamWaitEvent"))
    }

    /// Waits on the host until a point is reached.
    pub(super) fn reach(&self, point: &Point) -> Result<(), CudaError> {
        point.synchronize().map_err(self.failed("cuEventSynchronize"))
    }

    /// Waits on the host for every request of a queue.
    pub(super) fn drain(&self, queue: Queue) -> Result<(), CudaError> {
        self.of(queue).synchronize().map_err(self.failed("cuStreamSynchronize"))
    }

    /// Waits on the host for every queue, even if one of them fails.
    pub(super) fn drain_all(&self) -> Result<(), CudaError> {
        let drained: [_; Queue::ALL.len()] = array::from_fn(|i| self.drain(Queue::ALL[i]));
        drained.into_iter().collect()
    }

    /// Makes later requests of the compute queue start after the earlier
    /// requests of all other queues.
    #[cfg(feature = "measure")]
    pub(super) fn join(&self) -> Result<(), CudaError> {
        let mut others = Queue::ALL.into_iter().filter(|queue| *queue != Queue::Compute);
        others.try_for_each(|other| self.wait(Queue::Compute, &self.record(other)?))
    }

    /// Makes later requests of all other queues start after the earlier
    /// requests of the compute queue.
    #[cfg(feature = "measure")]
    pub(super) fn fork(&self) -> Result<(), CudaError> {
        let point = self.record(Queue::Compute)?;
        let mut others = Queue::ALL.into_iter().filter(|queue| *queue != Queue::Compute);
        others.try_for_each(|other| self.wait(other, &point))
    }

    /// The points that a use in a copy's queue must come after, given the
    /// earlier uses of its memory.
    pub(super) fn before(&self, queue: Queue, uses: &Uses) -> Result<Vec<Point>, CudaError> {
        let mut points: Vec<_> = uses.others(queue).cloned().collect();
        if uses.compute {
            points.push(self.record(Queue::Compute)?);
        }
        Ok(points)
    }

    /// Makes the next request of a queue come after all these uses in other
    /// queues, each of one block of memory.
    pub(super) fn order<'a>(
        &self,
        queue: Queue,
        blocks: impl Iterator<Item = MutexGuard<'a, Uses>>,
    ) -> Result<(), CudaError> {
        let mut computed = false;
        for mut uses in blocks {
            for point in uses.others(queue) {
                self.wait(queue, point)?;
            }
            if queue == Queue::Compute {
                // A request that waits for the compute queue now waits for
                // these too.
                *uses = Uses { compute: true, beside: Default::default() };
            }
            computed |= uses.compute;
        }
        if computed && queue != Queue::Compute {
            self.wait(queue, &self.record(Queue::Compute)?)?;
        }
        Ok(())
    }
}
