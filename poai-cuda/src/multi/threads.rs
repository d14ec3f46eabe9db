//! A host thread for each GPU.

use super::error::on_gpu;
use crate::backend::Cuda;
use core::ops::ControlFlow;
use poai_engine::backend::{BackendError, Watch, Winner};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A request to end the work of all GPUs early.
#[derive(Default)]
pub(super) struct Stop {
    /// Checked between bands.
    pub(super) stopped: AtomicBool,
    /// The first error.
    error: Mutex<Option<BackendError>>,
}

impl Stop {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn fail(&self, error: BackendError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop();
    }
}

/// Stops the other threads if its own panics.
struct Guard<'a>(&'a Stop);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// Runs `work` for every GPU that has a task, each on its own thread, and
/// `beside` on this one. Returns when all of them are done. On an error, the
/// other GPUs are asked to stop, and the first error is returned.
pub(super) fn each_beside<T: Send, R: Send, B>(
    gpus: &[Cuda],
    tasks: Vec<Option<T>>,
    stop: &Stop,
    work: impl Fn(&Cuda, T) -> Result<R, BackendError> + Sync,
    beside: impl FnOnce() -> B,
) -> Result<(Vec<Option<R>>, B), BackendError> {
    let run = |cuda: &Cuda, task: T| {
        let _guard = Guard(stop);
        let ordinal = cuda.gpu().info().ordinal;
        work(cuda, task).map_err(|error| stop.fail(on_gpu(ordinal, error))).ok()
    };
    let run = &run;
    let done = thread::scope(|scope| {
        let start = |(cuda, task): (_, Option<T>)| {
            let task = task?;
            let thread = thread::Builder::new().spawn_scoped(scope, move || run(cuda, task));
            thread.map_err(|error| stop.fail(BackendError::Threads(Box::new(error)))).ok()
        };
        let threads: Vec<_> = gpus.iter().zip(tasks).map(start).collect();
        let beside = beside();
        let join = |thread: Option<thread::ScopedJoinHandle<'_, Option<R>>>| {
            thread?.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        (threads.into_iter().map(join).collect(), beside)
    });
    match stop.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// Runs `work` for every GPU that has a task. A single task runs on this
/// thread.
pub(super) fn each<T: Send, R: Send>(
    gpus: &[Cuda],
    tasks: Vec<Option<T>>,
    stop: &Stop,
    work: impl Fn(&Cuda, T) -> Result<R, BackendError> + Sync,
) -> Result<Vec<Option<R>>, BackendError> {
    if tasks.iter().flatten().count() > 1 {
        return each_beside(gpus, tasks, stop, work, || ()).map(|(done, ())| done);
    }
    let run = |(cuda, task): (&Cuda, Option<T>)| {
        let ordinal = cuda.gpu().info().ordinal;
        task.map(|task| work(cuda, task).map_err(|error| on_gpu(ordinal, error))).transpose()
    };
    gpus.iter().zip(tasks).map(run).collect()
}

/// The caller's watch, as one of the GPUs uses it.
pub(super) struct Shared<'a> {
    pub(super) watch: &'a dyn Watch,
    pub(super) stop: &'a Stop,
}

impl Watch for Shared<'_> {
    fn winner(&self, winner: Winner) {
        self.watch.winner(winner);
    }

    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        if self.watch.advance(tiles).is_break() {
            self.stop.stop();
        }
        match self.stop.stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
