//! Free memory, and the memory of this process, as Linux counts them.

use crate::failure::Failure;
use poai::Params;

/// The source of [`peak`].
pub const SOURCE: &str = "VmHWM of /proc/self/status";

/// The most resident memory that this process ever had, in bytes. The kernel
/// counts it, including libraries and allocator. `None` if the system is not
/// Linux.
pub fn peak() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Refuses work that does not fit in the free memory, if the system reports how
/// much is free.
pub fn check(needed: u128) -> Result<(), Failure> {
    match field("/proc/meminfo", "MemAvailable:") {
        Some(free) if needed > u128::from(free) => Err(Failure::usage(format!(
            "expected about {} MiB of free memory, got {} MiB",
            needed >> 20,
            free >> 20
        ))),
        _ => Ok(()),
    }
}

/// A number of kibibytes in one of the kernel's files, as bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The approximate bytes that mining an m×n×k product takes. Operands count
/// twice while they are padded or cut, and once noised. The product counts
/// twice while parts are added up.
pub fn of_mining([m, n, k]: [usize; 3]) -> u128 {
    let padded = |size: usize, unit: u128| (size as u128).next_multiple_of(unit);
    let (tile, rank) = (Params::CONSENSUS.tile() as u128, Params::CONSENSUS.rank() as u128);
    let (m, n, k) = (padded(m, tile), padded(n, tile), padded(k, rank));
    (m + n)
        .saturating_mul(k)
        .saturating_mul(3)
        .saturating_add(m.saturating_mul(n).saturating_mul(8))
}
