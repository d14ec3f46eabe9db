//! How much memory this process has taken.

/// Where the figure comes from.
pub const SOURCE: &str = "VmHWM of /proc/self/status";

/// The most resident memory that this process ever had, in bytes: what the
/// kernel counts, libraries and allocator included. `None` where the system is
/// not Linux.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
