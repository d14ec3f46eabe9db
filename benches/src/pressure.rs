//! How long threads had to wait for a processor: what a probe that is lucky
//! does not see of other programs.

use std::time::Duration;

/// For how long, since the machine started, some thread of any program was
/// ready and had no processor; `None` where the system does not count it.
pub fn waited() -> Option<Duration> {
    parse(&std::fs::read_to_string("/proc/pressure/cpu").ok()?)
}

/// Reads Linux's pressure file: `some avg10=… avg60=… avg300=… total=MICROS`.
pub fn parse(text: &str) -> Option<Duration> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}
