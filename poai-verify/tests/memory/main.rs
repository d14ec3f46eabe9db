//! Memory that verification allocates.
//!
//! The allocator counts for the whole process, so only one test runs at a time.

#[path = "../it/common.rs"]
mod common;
mod decoding;
mod full_memory;
mod tile_memory;

use peak_alloc::PeakAlloc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

/// Waits until no other test runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
