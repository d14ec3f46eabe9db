//! A caller's options for one product.

use poai_core::control::{Cancel, Control, Progress};
use poai_core::difficulty::Difficulty;

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
    pub(crate) fn limit(&self) -> usize {
        match self {
            Keep::Best => 1,
            Keep::UpTo(limit) => *limit,
        }
    }
}

/// Options of mining one product.
#[derive(Clone, Debug)]
pub struct MineOptions {
    pub(super) difficulty: Difficulty,
    pub(crate) keep: Keep,
    pub(super) control: Control,
}

impl MineOptions {
    /// Keeps the best winner at this difficulty.
    pub fn new(difficulty: Difficulty) -> MineOptions {
        MineOptions { difficulty, keep: Keep::Best, control: Control::new() }
    }

    /// Sets which winners are kept.
    pub fn keep(mut self, keep: Keep) -> MineOptions {
        self.keep = keep;
        self
    }

    /// Stops when `cancel` is cancelled, from any thread.
    pub fn cancel(mut self, cancel: &Cancel) -> MineOptions {
        self.control = self.control.cancel(cancel);
        self
    }

    /// Calls `callback` as tiles are done: often, from any thread and in no
    /// strict order. The callback must be quick.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> MineOptions {
        self.control = self.control.progress(callback);
        self
    }

    /// Adds the switches of a control, such as a run's, which mines its products.
    pub fn cancelled_with(mut self, control: &Control) -> MineOptions {
        self.control = self.control.cancelled_with(control);
        self
    }

    /// Sets progress and cancellation.
    pub fn control(mut self, control: Control) -> MineOptions {
        self.control = control;
        self
    }
}

/// Keeps the best winner at this difficulty.
impl From<Difficulty> for MineOptions {
    fn from(difficulty: Difficulty) -> MineOptions {
        MineOptions::new(difficulty)
    }
}

impl From<&MineOptions> for MineOptions {
    fn from(options: &MineOptions) -> MineOptions {
        options.clone()
    }
}
