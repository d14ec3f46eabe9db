//! A caller's options for one product.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use poai_core::difficulty::Difficulty;
use std::sync::Arc;

/// Which winning tiles are kept. This bounds memory, because every tile wins at
/// an easy target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Keep {
    /// The winner with the lowest ticket (ties by tile): the same on every
    /// backend.
    Best,
    /// Up to this many winners, those with the lowest tickets, such as a pool's
    /// shares.
    UpTo(usize),
}

impl Keep {
    /// The most winners that are kept.
    pub(super) fn limit(&self) -> usize {
        match self {
            Keep::Best => 1,
            Keep::UpTo(limit) => *limit,
        }
    }
}

/// Progress of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MineProgress {
    /// Tiles done.
    pub done: u64,
    /// Tiles in all.
    pub total: u64,
}

type OnProgress = Arc<dyn Fn(MineProgress) + Send + Sync>;

/// Options of mining one product.
#[derive(Clone)]
pub struct MineOptions {
    pub(super) difficulty: Difficulty,
    pub(super) keep: Keep,
    pub(super) cancel: Option<Cancel>,
    pub(super) progress: Option<OnProgress>,
}

impl MineOptions {
    /// Keeps the best winner at this difficulty.
    pub fn new(difficulty: Difficulty) -> MineOptions {
        MineOptions { difficulty, keep: Keep::Best, cancel: None, progress: None }
    }

    /// Sets which winners are kept.
    pub fn keep(mut self, keep: Keep) -> MineOptions {
        self.keep = keep;
        self
    }

    /// Stops when `cancel` is cancelled, from any thread.
    pub fn cancel(mut self, cancel: &Cancel) -> MineOptions {
        self.cancel = Some(cancel.clone());
        self
    }

    /// Calls `callback` as tiles are done: often, from any thread and in no
    /// strict order. The callback must be quick.
    pub fn progress(
        mut self,
        callback: impl Fn(MineProgress) + Send + Sync + 'static,
    ) -> MineOptions {
        self.progress = Some(Arc::new(callback));
        self
    }
}

impl fmt::Debug for MineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MineOptions")
            .field("difficulty", &self.difficulty)
            .field("keep", &self.keep)
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

/// A switch that stops a running product. Clones share it; it is never reset.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that is not cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops every product that has this switch.
    pub fn cancel(&self) {
        // Relaxed: the flag guards no other memory.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the switch was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
