//! Control of long calls: progress and cancellation, the same for all of them.
//!
//! A long call takes a [`Control`], or options that hold one. It reports its
//! [`Progress`] and stops soon after its [`Cancel`] is cancelled. The call
//! documents its unit of progress.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// The progress of one long call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
}

/// A switch that stops long calls. Clones share it; it is never reset.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that is not cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops every call that has this switch.
    pub fn cancel(&self) {
        // Relaxed: the flag guards no other memory.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the switch was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The caller cancelled a long call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled by the caller")]
pub struct Cancelled;

type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a caller wants of a long call: its progress, and a switch that stops
/// it. The default asks for neither.
#[derive(Clone, Default)]
pub struct Control {
    cancels: Vec<Cancel>,
    progress: Option<OnProgress>,
}

impl Control {
    /// A control without a callback and without a switch.
    pub fn new() -> Control {
        Control::default()
    }

    /// Stops the call when `cancel` is cancelled, from any thread. A call with
    /// several switches stops when any of them is cancelled.
    pub fn cancel(mut self, cancel: &Cancel) -> Control {
        self.cancels.push(cancel.clone());
        self
    }

    /// Adds the switches of another control, and not its callback. A call that
    /// makes another call so passes its own switches on.
    pub fn cancelled_with(mut self, other: &Control) -> Control {
        self.cancels.extend(other.cancels.iter().cloned());
        self
    }

    /// The same switches without the callback.
    pub fn silent(&self) -> Control {
        Control { cancels: self.cancels.clone(), progress: None }
    }

    /// Calls `callback` as units are done: often, from any thread and in no
    /// strict order. The callback must be quick.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Control {
        self.progress = Some(Arc::new(callback));
        self
    }

    /// Whether the caller has cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancels.iter().any(Cancel::is_cancelled)
    }

    /// Fails if the caller has cancelled.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Calls the progress callback, if any.
    pub fn report(&self, done: u64, total: u64) {
        if let Some(progress) = &self.progress {
            progress(Progress { done, total });
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("cancels", &self.cancels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    #[test]
    fn clones_share_the_switch_and_the_callback() {
        let cancel = Cancel::new();
        let sum = Arc::new(AtomicU64::new(0));
        let shared = sum.clone();
        let count = move |progress: Progress| {
            shared.fetch_add(progress.done * 100 + progress.total, Ordering::Relaxed);
        };
        let control = Control::new().cancel(&cancel).progress(count);
        let other = control.clone();
        control.report(1, 7);
        other.report(2, 7);
        assert_eq!(sum.load(Ordering::Relaxed), 314);
        assert_eq!(control.check(), Ok(()));
        cancel.clone().cancel();
        assert_eq!((control.check(), other.check()), (Err(Cancelled), Err(Cancelled)));
        assert!(!Control::new().is_cancelled());
        assert!(Control::new().cancelled_with(&control).is_cancelled());
        let two = Control::new().cancel(&Cancel::new()).cancel(&cancel);
        assert!(two.is_cancelled() && two.silent().is_cancelled());
        control.silent().report(1, 7);
        assert_eq!(sum.load(Ordering::Relaxed), 314);
    }
}
