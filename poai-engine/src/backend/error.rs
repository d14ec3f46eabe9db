//! Errors of choosing and running a backend, and the names of all backends.

/// The name of the plain reference.
pub const REFERENCE: &str = "reference";

/// The names of all backends of this crate, the fastest first.
pub fn names() -> Vec<&'static str> {
    // Does not inspect the processor: names are the same on every machine.
    let kernels = poai_core::simd::ALL.iter().map(|entry| entry.name);
    kernels.chain([REFERENCE]).collect()
}

/// A backend does not support a (rank, tile) pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("backend {backend} does not support rank {rank} with tile {tile}; choose another backend")]
pub struct Unsupported {
    /// The backend's name.
    pub backend: &'static str,
    /// The requested rank.
    pub rank: usize,
    /// The requested tile.
    pub tile: usize,
}

/// Why a backend failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The backend does not support the parameters.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The caller passed an operand that another backend had prepared or
    /// noised.
    #[error(
        "expected an operand of backend {backend}, got one of {owner}; prepare it on {backend}"
    )]
    Foreign {
        /// The backend that was called.
        backend: &'static str,
        /// The backend that made the operand.
        owner: &'static str,
    },
    /// The two operands do not multiply, are on the wrong sides, or were made
    /// for different parameters.
    #[error("the operands are not a pair; pass sides A and B with the same k, rank and tile")]
    Pair,
    /// The memory for the product does not have m·n entries.
    #[error("expected memory for {expected} entries, got {got}; pass one entry per product entry")]
    Output {
        /// m·n.
        expected: usize,
        /// The number of entries that the caller passed.
        got: usize,
    },
    /// Worker threads could not be started.
    #[error("cannot start worker threads: {0}")]
    Threads(String),
    /// The device failed.
    #[error(transparent)]
    Device(Box<dyn std::error::Error + Send + Sync>),
}

/// Why no backend was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuChooseError {
    /// No backend has the name.
    #[error("no backend is called {name:?}; use one of: {}", names().join(", "))]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// The backend exists, but cannot run on this machine.
    #[error("backend {name} is not on this machine: it needs {needs}; choose another backend")]
    Missing {
        /// The requested name.
        name: &'static str,
        /// What the backend needs from the machine.
        needs: &'static str,
    },
}
