//! Memory and threads that mining leaves behind. Both are counted for the whole
//! process, so one test runs at a time.

mod mining;
mod runs;
mod stress;

use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Waits until no other test runs, and keeps other tests waiting.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
