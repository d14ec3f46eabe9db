//! The requirements on a machine whose GPUs mine.

use crate::version::Version;

/// The library that the driver installs, by one of the names that are tried.
pub(crate) const LIBRARY: &str = if cfg!(windows) {
    "nvcuda.dll"
} else if cfg!(target_os = "macos") {
    "libcuda.dylib"
} else {
    "libcuda.so.1"
};

/// The oldest driver interface that is accepted: the one that cudarc is pinned
/// to.
pub(crate) const DRIVER: Version = Version { major: 12, minor: 0 };

/// The lowest compute capability with `dp4a`, the product of four i8 pairs.
pub(crate) const CAPABILITY: Version = Version { major: 6, minor: 1 };
