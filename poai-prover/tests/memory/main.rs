//! Files that claim large sizes. Readers allocate nothing for a claim alone.
//!
//! The allocator counts for the whole process, so only one test runs at a time.

mod circuit;
mod iden3;
mod keys;

use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Waits until no other test runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
