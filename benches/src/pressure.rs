//! The time for which threads waited for a processor. It reveals other programs
//! that a lucky probe misses.

use std::time::Duration;

/// The time since the machine started during which some thread of any program
/// was ready but had no processor. `None` if the system does not count it.
pub fn waited() -> Option<Duration> {
    parse(&std::fs::read_to_string("/proc/pressure/cpu").ok()?)
}

/// Parses Linux's pressure file: `some avg10=… avg60=… avg300=… total=MICROS`.
pub fn parse(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}
