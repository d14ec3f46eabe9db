//! Files that claim sizes: readers allocate nothing for a claim alone.

mod iden3;
mod keys;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;
