//! Memory that runs reuse. Fresh pages cost more than the arithmetic of most
//! steps.
//!
//! A tensor made by a run returns its memory to its session when it is dropped,
//! after its last reader or with the trace. The memory kept is bounded and
//! belongs to the session: nothing is global.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that a session keeps by default: enough for a traced run of a small
/// encoder.
pub(super) const KEPT_BYTES: u64 = 1 << 30;

/// Freed memory of one session's runs.
#[derive(Clone)]
pub(super) struct Buffers(Arc<Mutex<Pool>>);

struct Pool {
    limit: u64,
    bytes: u64,
    free: Vec<Vec<u8>>,
}

impl Buffers {
    pub(super) fn new(limit: u64) -> Buffers {
        Buffers(Arc::new(Mutex::new(Pool { limit, bytes: 0, free: vec![] })))
    }

    /// Memory of `len` bytes with arbitrary contents.
    pub(super) fn take(&self, len: usize) -> Buffer {
        let free = self.with(|kept| {
            // The buffer returned last is most likely still in a cache.
            let at = kept.free.iter().rposition(|bytes| bytes.len() == len)?;
            kept.bytes -= len as u64;
            Some(kept.free.remove(at))
        });
        let bytes = free.unwrap_or_else(|| vec![0; len]);
        Buffer { bytes, home: Some(self.clone()) }
    }

    /// Sets the limit of kept bytes, and frees any excess.
    pub(super) fn limit(&self, limit: u64) {
        let freed = self.with(|kept| {
            kept.limit = limit;
            kept.trim()
        });
        drop(freed);
    }

    /// The number of bytes kept.
    pub(super) fn kept(&self) -> u64 {
        self.with(|kept| kept.bytes)
    }

    fn give_back(&self, bytes: Vec<u8>) {
        let freed = self.with(|kept| {
            kept.bytes += bytes.len() as u64;
            kept.free.push(bytes);
            kept.trim()
        });
        drop(freed);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pool) -> T) -> T {
        // Nothing panics while the lock is held, and every state of the pool is
        // valid.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pool {
    /// Removes the oldest buffers until the rest is within the limit. The
    /// caller frees them after it releases the lock.
    fn trim(&mut self) -> Vec<Vec<u8>> {
        let mut count = 0;
        while self.bytes > self.limit && count < self.free.len() {
            self.bytes -= self.free[count].len() as u64;
            count += 1;
        }
        self.free.drain(..count).collect()
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffers({} bytes kept)", self.kept())
    }
}

/// A tensor's bytes, and the session that made them.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Option<Buffers>,
}

impl Buffer {
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer { bytes, home: None }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Clone for Buffer {
    /// The copy does not belong to the session: dropping it returns no memory.
    fn clone(&self) -> Buffer {
        self.bytes.clone().into()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Buffer) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}
