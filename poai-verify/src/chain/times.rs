//! Which times a block may state (spec §17). Seconds since some epoch; the
//! library looks at no clock.

use alloc::vec::Vec;

/// How far a block's time may be from its ancestors' and from now.
///
/// | rule | permitted | what it stops |
/// | --- | --- | --- |
/// | ancestors | odd numbers, 1..=101 | a miner who sets the schedule back alone |
/// | future limit | any number of seconds | a miner who sets it forward; clocks differ, so not 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TimeRules {
    ancestors: usize,
    future_limit: u64,
}

/// Why a time is refused, or rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// A median of an even number of times, of none, or of very many.
    #[error("a median of {ancestors} times: it takes an odd number within 1..=101")]
    Ancestors {
        /// How many were asked for.
        ancestors: usize,
    },
    /// The block is too far ahead of the clock. It may be right later.
    #[error("time {time} is more than {limit} s after {now}")]
    Future {
        /// The block's time.
        time: u64,
        /// The clock.
        now: u64,
        /// How far ahead it may be.
        limit: u64,
    },
    /// The block is no later than most of its ancestors. It never will be.
    #[error("time {time} is not after the median of its ancestors, {median}")]
    Past {
        /// The block's time.
        time: u64,
        /// The median that it has to be after.
        median: u64,
    },
}

impl TimeRules {
    /// The most ancestors that may count.
    pub const ANCESTORS_MAX: usize = 101;

    /// A time must be after the median of so many ancestors' and at most
    /// `future_limit` seconds after the clock.
    ///
    /// # Errors
    /// [`TimeError::Ancestors`].
    pub const fn new(ancestors: usize, future_limit: u64) -> Result<TimeRules, TimeError> {
        if ancestors.is_multiple_of(2) || ancestors > Self::ANCESTORS_MAX {
            return Err(TimeError::Ancestors { ancestors });
        }
        Ok(TimeRules { ancestors, future_limit })
    }

    /// How many ancestors count.
    pub fn ancestors(&self) -> usize {
        self.ancestors
    }

    /// Seconds that a block may be ahead of the clock.
    pub fn future_limit(&self) -> u64 {
        self.future_limit
    }

    /// Whether a time is after its ancestors': a rule of consensus. `latest`
    /// are their times, the parent's first; as many count as the rules ask for
    /// or there are, and a genesis may state any time.
    ///
    /// # Errors
    /// [`TimeError::Past`].
    pub fn check_past(&self, time: u64, latest: &[u64]) -> Result<(), TimeError> {
        let counted = latest.get(..self.ancestors).unwrap_or(latest);
        match median_time_past(counted) {
            Some(median) if time <= median => Err(TimeError::Past { time, median }),
            _ => Ok(()),
        }
    }

    /// Whether a time is not too far ahead of the clock: a rule for blocks that
    /// *arrive*. One that is refused now may be right in a minute, and one that
    /// was accepted stays so; no stored block is to be asked again.
    ///
    /// # Errors
    /// [`TimeError::Future`].
    pub fn check_future(&self, time: u64, now: u64) -> Result<(), TimeError> {
        let limit = self.future_limit;
        if time > now.saturating_add(limit) {
            return Err(TimeError::Future { time, now, limit });
        }
        Ok(())
    }
}

/// The median of times in any order; of an even number the later of the middle
/// two. `None` of none.
pub fn median_time_past(times: &[u64]) -> Option<u64> {
    let mut sorted = Vec::from(times);
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}
