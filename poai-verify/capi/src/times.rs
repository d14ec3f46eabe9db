//! Which times a block may state (specification §17). Times are seconds since
//! an epoch that the chain chooses; the library reads no clock.

use crate::border::{guard, numbers, read, write};
use crate::code::{POAI_ERROR_TIMES, POAI_INVALID_FUTURE, POAI_INVALID_PAST};
use poai_verify::chain::{TimeRules, median_time_past};

/// How far a block's time may be from its ancestors' times and from now. Both
/// limits are the chain's constitution.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct poai_times {
    /// Seconds that a block may be ahead of the clock.
    pub future_limit: u64,
    /// The number of ancestors whose median time a block's time has to be
    /// after: an odd number, 1 to 101.
    pub ancestors: u32,
}

/// Checks that a time is after its ancestors' median, a rule of consensus.
/// Returns POAI_OK, or POAI_INVALID_PAST if it is not.
///
/// - `times`: the chain's.
/// - `latest`, `len`: the ancestors' times, the parent's first. The rules'
///   number of them counts, or all if there are fewer; more are not read. Null
///   if there are no ancestors: a genesis may state any time.
///
/// Otherwise POAI_ERROR_TIMES, or POAI_ERROR_ARGUMENT if `times` is null,
/// `latest` is null with a length above 0, or the length is beyond all memory.
///
/// # Safety
/// `times` is null or points to a readable struct, `latest` to `len` readable
/// numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_times_check_past(
    times: *const poai_times,
    time: u64,
    latest: *const u64,
    len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let rules = unsafe { rules(times) }?;
        // SAFETY: the caller guarantees it.
        let latest = unsafe { numbers(latest, len, rules.ancestors()) }?;
        rules.check_past(time, &latest).map_err(|_| POAI_INVALID_PAST)
    })
}

/// Checks that a time is not too far ahead of the clock, a rule for blocks that
/// *arrive*. Returns POAI_OK, or POAI_INVALID_FUTURE if it is more than the
/// limit after `now`. A refused block may become valid in a minute, and an
/// accepted block stays valid. Do not check stored blocks again.
///
/// Otherwise POAI_ERROR_TIMES, or POAI_ERROR_ARGUMENT if `times` is null.
///
/// # Safety
/// `times` is null or points to a readable struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_times_check_future(
    times: *const poai_times,
    time: u64,
    now: u64,
) -> i32 {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let rules = unsafe { rules(times) }?;
        rules.check_future(time, now).map_err(|_| POAI_INVALID_FUTURE)
    })
}

/// Writes the median of 1 to 101 times in any order; of an even number the
/// later of the middle two. Returns POAI_OK, POAI_ERROR_TIMES for no times or
/// more than 101, or POAI_ERROR_ARGUMENT if `times` or `median` is null. Writes
/// only on POAI_OK.
///
/// # Safety
/// `times` is null or points to `len` readable numbers, `median` to a writable
/// one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poai_median_time_past(
    times: *const u64,
    len: usize,
    median: *mut u64,
) -> i32 {
    guard(|| {
        if len > TimeRules::ANCESTORS_MAX {
            return Err(POAI_ERROR_TIMES);
        }
        // SAFETY: the caller guarantees it.
        let times = unsafe { numbers(times, len, len) }?;
        let found = median_time_past(&times).ok_or(POAI_ERROR_TIMES)?;
        // SAFETY: the caller guarantees it.
        unsafe { write(median, found) }
    })
}

/// # Safety
/// `times` is null, or points to a readable struct.
unsafe fn rules(times: *const poai_times) -> Result<TimeRules, i32> {
    // SAFETY: the caller guarantees the struct, in which every bit pattern is a
    // value.
    let asked = unsafe { read(times) }?;
    let ancestors = usize::try_from(asked.ancestors).map_err(|_| POAI_ERROR_TIMES)?;
    TimeRules::new(ancestors, asked.future_limit).map_err(|_| POAI_ERROR_TIMES)
}
