//! Which times a block may state (spec §17). Times are seconds since an epoch
//! that the chain chooses; the library reads no clock.

use alloc::vec::Vec;

/// How far a block's time may be from its ancestors' times and from now.
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

/// Why a time or the rules are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// The number of ancestors is even, 0 or above 101.
    #[error("expected an odd number of ancestors in 1..=101, got {ancestors}")]
    Ancestors {
        /// The number asked for.
        ancestors: usize,
    },
    /// The block is too far ahead of the clock. It may become valid later.
    #[error("expected a time at most {limit} s after {now}, got {time}")]
    Future {
        /// The block's time.
        time: u64,
        /// The clock.
        now: u64,
        /// The limit, in seconds.
        limit: u64,
    },
    /// The block's time is not after the median of its ancestors. It never
    /// becomes valid.
    #[error("expected a time after its ancestors' median {median}, got {time}")]
    Past {
        /// The block's time.
        time: u64,
        /// The median, which the time has to be after.
        median: u64,
    },
}

impl TimeRules {
    /// The largest permitted number of ancestors.
    pub const ANCESTORS_MAX: usize = 101;

    /// Rules by which a time must be after the median of `ancestors` ancestors'
    /// times, and at most `future_limit` seconds after the clock.
    ///
    /// # Errors
    /// [`TimeError::Ancestors`].
    pub const fn new(ancestors: usize, future_limit: u64) -> Result<TimeRules, TimeError> {
        if ancestors.is_multiple_of(2) || ancestors > Self::ANCESTORS_MAX {
            return Err(TimeError::Ancestors { ancestors });
        }
        Ok(TimeRules { ancestors, future_limit })
    }

    /// The number of ancestors that count.
    pub fn ancestors(&self) -> usize {
        self.ancestors
    }

    /// Seconds that a block may be ahead of the clock.
    pub fn future_limit(&self) -> u64 {
        self.future_limit
    }

    /// Checks that a time is after its ancestors' median: a rule of consensus.
    /// `latest` are the ancestors' times, the parent's first. The rules' number
    /// of them counts, or all if there are fewer. A genesis may state any time.
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

    /// Checks that a time is not too far ahead of the clock: a rule for blocks
    /// that *arrive*. A refused block may become valid in a minute, and an
    /// accepted block stays valid. Do not check stored blocks again.
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

/// The median of times in any order; for an even number the later of the middle
/// two. `None` without any times.
pub fn median_time_past(times: &[u64]) -> Option<u64> {
    let mut sorted = Vec::from(times);
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}
